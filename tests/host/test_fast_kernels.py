"""Kernels for instruction sets, in plain C under the host's sanitizers, give TensorFlow Lite Micro's bytes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgecompress.convert import read_tflite
from edgecompress.numerics.reference import run_reference
from edgecompress.target import KernelSet
from tests.aot_host import HostProgram, compile_tflites
from tests.conv_families import conv2d, depthwise, depthwise_without_bias, fully_connected
from tests.op_cases import OpCases
from tests.op_chains import convolution_chain
from tests.op_families import add, mean, mul, pool, sub
from tests.wide_families import wide_add, wide_conv2d, wide_dense, wide_depthwise

FAMILIES = (
    *(conv2d, depthwise, depthwise_without_bias, fully_connected, add, sub, mul, mean, pool),
    *(wide_conv2d, wide_depthwise, wide_dense, wide_add),
)
SETS = [kernels for kernels in KernelSet if kernels is not KernelSet.PORTABLE]
# Of each set, what the random models below must have called at least this often.
CALLS = {
    KernelSet.THUMB1: {
        **{"ec_conv2d_thumb1_s8": 80, "ec_depthwise_conv2d_thumb1_s8": 60},
        **{"ec_fully_connected_thumb1_s8": 40, "ec_add_thumb1_s8": 10},
    },
    KernelSet.THUMB2: {
        **{"ec_conv2d_thumb2_s8": 100, "ec_depthwise_conv2d_thumb2_s8": 60},
        **{"ec_fully_connected_thumb2_s8": 40, "ec_add_thumb2_s8": 20},
    },
    KernelSet.DSP: {
        "ec_conv2d_dsp_s8": 90,
        "ec_conv2d_blocks_dsp_s8": 15,
        "ec_depthwise_conv2d_dsp_s8": 60,
        "ec_fully_connected_dsp_s8": 40,
        "ec_add_dsp_s8": 20,
    },
    KernelSet.MVE: {
        **{"ec_conv2d_mve_s8": 150, "ec_depthwise_conv2d_mve_s8": 100},
        **{"ec_fully_connected_mve_s8": 40, "ec_add_mve_s8": 40, "ec_mul_mve_s8": 10},
        **{"ec_average_pool_mve_s8": 10, "ec_max_pool_mve_s8": 10, "ec_mean_mve_s8": 5},
    },
    KernelSet.WIDE: {
        **{"ec_conv2d_wide_s8": 150, "ec_depthwise_conv2d_wide_s8": 50, "ec_fully_connected_wide_s8": 60},
        **{"ec_add_wide_s8": 40, "ec_average_pool_wide_s8": 10},
    },
}


def calls(program: HostProgram) -> Counter[str]:
    """How often the generated sources call each kernel."""
    texts = [text for model in program.models for name, text in model.files.items() if name == f"{model.info.name}.c"]
    return Counter(re.findall(r"^    (ec_\w+)\(", "\n".join(texts), re.MULTILINE))


@pytest.mark.parametrize("kernels", SETS, ids=lambda k: k.value)
def test_random_layers_and_chains(kernels: KernelSet, tmp_path: Path) -> None:
    """Random layers of every shape, and chains of layers whose outputs overlap their inputs: the bytes of the reference, no stray read."""
    built = [OpCases(seed).grow(family, 40).build() for seed, family in enumerate(FAMILIES)]
    built += [OpCases(100 + seed).grow(convolution_chain, 1).build() for seed in range(60)]
    program = compile_tflites([data for data, _ in built], tmp_path, kernels=kernels)
    results = program.run_all([(n, values) for n, (_, values) in enumerate(built)])
    for n, ((data, values), came) in enumerate(zip(built, results, strict=True)):
        graph = read_tflite(data, name=f"m{n}")
        oracle = run_reference(graph, values)
        for index, ours in zip(graph.outputs, came, strict=True):
            np.testing.assert_array_equal(ours, oracle[index], f"model {n}, tensor {index} of {[op.kind for op in graph.ops]}")
    called = calls(program)
    few = {name: called[name] for name, least in CALLS[kernels].items() if called[name] < least}
    assert not few, f"too few calls for a test: {few} of {called}"
