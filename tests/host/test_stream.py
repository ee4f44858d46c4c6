"""Layers by rows give the bytes of layers one after the other, in an arena that is as small as promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgecompress.artifact import Engine, Streaming
from edgecompress.build.layouts import ProjectLayout
from edgecompress.cli.group import command
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.errors import UserError
from edgecompress.numerics.reference import run_reference
from edgecompress.pipeline import generate, measure
from edgecompress.target import KernelSet, Optimize
from tests.aot_host import compile_models
from tests.op_cases import OpCases
from tests.stream_chains import force_blocks, row_chain

CHAINS = 30


@pytest.mark.parametrize("kernels", list(KernelSet), ids=lambda k: k.value)
def test_random_blocks_give_the_same_bytes(kernels: KernelSet, tmp_path: Path) -> None:
    """Random layers cut into random blocks, with the input in the arena or its rows called for in order: the bytes of the reference."""
    models, graphs = [], []
    for seed in range(CHAINS):
        data, values = OpCases(seed).grow(row_chain, 1).build()
        graph = read_tflite(data, name=f"m{len(models)}")
        model = force_blocks(graph, kernels, np.random.default_rng(seed), call_for_rows=seed % 2 == 1)
        if model is not None:
            models.append(model)
            graphs.append((graph, values))
    assert len(models) > CHAINS // 2, "too few of the random models can be streamed"
    program = compile_models(models, tmp_path)
    results = program.run_all([(n, values) for n, (_, values) in enumerate(graphs)])
    for (graph, values), came in zip(graphs, results, strict=True):
        wanted = run_reference(graph, values)
        for index, array in zip(graph.outputs, came, strict=True):
            np.testing.assert_array_equal(array, wanted[index], err_msg=graph.name)


def test_commands_take_streaming_and_refuse_what_cannot_be(tmp_path: Path) -> None:
    """`inspect` and `build` say what going by rows did; a layout, a computer, finished firmware and tflm refuse what they cannot do."""
    model = tmp_path / "chain.tflite"
    data, _ = next(OpCases(seed).grow(row_chain, 1).build() for seed in range(60) if _streams(seed))
    model.write_bytes(data)
    told = CliRunner().invoke(command, ["inspect", str(model), "--stream", "rows"])
    assert told.exit_code == 0 and "By rows: ops " in told.output and " 0 MACs computed twice" in told.output
    built = CliRunner().invoke(command, ["build", "cortex-m4", str(model), "--stream", "rows", "-o", str(tmp_path / "out")])
    assert built.exit_code == 0 and "by rows" in built.output
    with pytest.raises(UserError, match="deliver it by rows"):
        generate(model, output=tmp_path / "project", layout=ProjectLayout.PLAIN, stream=Streaming.INPUT)
    with pytest.raises(UserError, match="firmware that is built here"):
        measure("local", model, stream=Streaming.ROWS)
    with pytest.raises(UserError, match="was built already"):
        measure("cortex-m4", tmp_path / "out" / "firmware.elf", stream=Streaming.ROWS)
    with pytest.raises(UserError, match="for speed or for size"):
        measure("cortex-m4", tmp_path / "out" / "firmware.elf", optimize=Optimize.SIZE)
    with pytest.raises(UserError, match="tflm runs layer after layer"):
        generate(model, output=tmp_path / "tflm", engine=Engine.TFLM, stream=Streaming.ROWS)


def _streams(seed: int) -> bool:
    """Whether going by rows lowers this model's arena."""
    data, _ = OpCases(seed).grow(row_chain, 1).build()
    stream = generate_aot(read_tflite(data, name="chain"), kernels=KernelSet.DSP, stream=Streaming.ROWS).info.stream
    plain = generate_aot(read_tflite(data, name="chain"), stream=Streaming.ROWS).info.stream
    return stream is not None and bool(stream.blocks) and plain is not None and bool(plain.blocks)
