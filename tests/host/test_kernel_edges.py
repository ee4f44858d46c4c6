"""Layers at the edges of what kernels take, on the host under sanitizers: the oracle's bytes, and no byte beside a tensor is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecompress.target import KernelSet
from tests.aot_host import compile_models, host_compiler
from tests.edge_families import edge_add, edge_conv2d, edge_dense, edge_depthwise, edge_pointwise, edge_sums
from tests.kernel_fuzz import FOUND, Batch, cases_of
from tests.spread_plan import generate_spread

FAMILIES = (edge_conv2d, edge_pointwise, edge_depthwise, edge_dense, edge_sums, edge_add)
# `make fuzz` takes 2,000 of each, with another seed.
SEED, COUNT = 12, 40


@pytest.mark.parametrize("kernels", KernelSet, ids=lambda kernels: kernels.value)
def test_edges(kernels: KernelSet, tmp_path: Path) -> None:
    """Sums at the bounds of each kernel, -128 among the weights, scales from 1e-11 up, one pixel, a stride over the image."""
    batch = Batch([*(case for family in FAMILIES for case in cases_of(family.__name__, SEED, 0, COUNT)), *FOUND])
    failures = batch.on_host(kernels, tmp_path)
    assert not failures, "\n".join(map(str, failures))


def test_a_byte_beside_a_tensor_is_noticed(tmp_path: Path) -> None:
    """A kernel that reads one byte behind its input ends the program: the gaps between tensors are poisoned."""
    if "-fsanitize=undefined" in host_compiler().flags:
        pytest.skip("needs the address sanitizer: install gcc")
    batch = Batch(cases_of("edge_add", SEED, 0, 1))
    model = generate_spread(batch.graph, KernelSet.PORTABLE)
    count = batch.inputs[0].size
    longer = {name: text.replace(f"            {count},\n", f"            {count + 1},\n") for name, text in model.files.items()}
    assert longer != model.files
    program = compile_models([replace(model, files=longer)], tmp_path)
    with pytest.raises(AssertionError, match="use-after-poison"):
        program.run(0, batch.inputs)
