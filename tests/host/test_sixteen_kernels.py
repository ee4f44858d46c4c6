"""Ops on int16 activations: generated C, numpy and TensorFlow Lite Micro agree byte for byte on random ops."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.target import KernelSet
from tests.aot_host import compile_models
from tests.op_cases import Family, OpCases
from tests.op_matches import FamilyMatches, check_numpy, compare_outputs, reference_outputs
from tests.sixteen_families import FAMILIES, sixteen_chain
from tests.tflite_builder import run_tflm

pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")


DSP_CALLS = {"ec_conv2d_dsp_s16": 60, "ec_depthwise_conv2d_dsp_s16": 40, "ec_fully_connected_dsp_s16": 15, "ec_add_dsp_s16": 30}


def by_name(family: Family) -> str:
    return family.__name__


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> FamilyMatches:
    return FamilyMatches(FAMILIES, tmp_path_factory.mktemp("models"), seed=1, count=40)


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_generated_c_gives_tflms_bytes(matches: FamilyMatches, family: Family) -> None:
    """40 random ops, compiled with sanitizers, have the outputs of TFLM."""
    matches.check(family)


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_numpy_gives_tflms_bytes(family: Family) -> None:
    """120 more random ops have the outputs of TFLM in numpy."""
    for seed in range(100, 103):
        check_numpy(family, seed=seed, count=40)


def test_kernels_of_the_dsp_extension_give_the_reference_bytes(tmp_path: Path) -> None:
    """Random layers, and chains whose outputs overlap their inputs, in plain C under the sanitizers; each kernel is called often enough."""
    built = [OpCases(seed).grow(family, 60).build() for seed, family in enumerate(FAMILIES[:4])]
    built += [OpCases(100 + seed).grow(sixteen_chain, 1).build() for seed in range(60)]
    program = compile_models(
        [generate_aot(read_tflite(data, name=f"m{n}"), kernels=KernelSet.DSP) for n, (data, _) in enumerate(built)], tmp_path
    )
    for n, (data, values) in enumerate(built):
        compare_outputs(data, reference_outputs(data, values), program.run(n, values), f"model {n}")
    called = Counter(
        re.findall(r"^    (ec_\w+)\(", "\n".join(model.files[f"{model.info.name}.c"] for model in program.models), re.MULTILINE)
    )
    few = [name for name, least in DSP_CALLS.items() if called[name] < least]
    assert not few, f"too few calls for a test: {few} of {called}"


def test_a_whole_net_gives_tflms_bytes(tmp_path: Path) -> None:
    """Layers in a row on one planned arena, with padding, joining and renaming between them."""
    data, inputs = _net()
    graph = read_tflite(data, name="net")
    expected = run_tflm(data, inputs)
    program = compile_models([generate_aot(graph)], tmp_path)
    compare_outputs(data, expected, program.run(0, inputs), "generated C")
    compare_outputs(data, expected, reference_outputs(data, inputs), "numpy")


def _net() -> tuple[bytes, list[NDArray[Any]]]:
    c = OpCases(5)
    b = c.builder
    image = c.input((1, 8, 8, 2), "int16", scale=1e-4)
    padded, narrow = b.tensor((1, 10, 10, 2), "int16", scale=1e-4), b.tensor((1, 8, 8, 4), "int16", scale=2e-4)
    deep, joined = b.tensor((1, 8, 8, 4), "int16", scale=2e-4), b.tensor((1, 8, 8, 8), "int16", scale=2e-4)
    small, flat = b.tensor((1, 2, 2, 8), "int16", scale=2e-4), b.tensor((1, 32), "int16", scale=2e-4)
    logits, shares = b.tensor((1, 6), "int16", scale=3e-4), c.output((1, 6), "int16", scale=1 / 32768)
    window = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    b.op("PAD", [image, c.constant([[0, 0], [1, 1], [1, 1], [0, 0]])], [padded])
    filters = c.constant(c.data((4, 3, 3, 2)), "int8", scale=[0.01, 0.02, 0.01, 0.005], axis=0)
    b.op("CONV_2D", [padded, filters, _bias(c, 4)], [narrow], activation="RELU", **window)
    filters = c.constant(c.data((1, 3, 3, 4)), "int8", scale=0.004)
    b.op("DEPTHWISE_CONV_2D", [narrow, filters, _bias(c, 4)], [deep], **{**window, "padding": "SAME"}, depth_multiplier=1)
    b.op("CONCATENATION", [narrow, deep], [joined], axis=3)
    b.op("AVERAGE_POOL_2D", [joined], [small], padding="VALID", stride_h=4, stride_w=4, filter_height=4, filter_width=4)
    b.op("RESHAPE", [small, c.constant([1, 32])], [flat], new_shape=[1, 32])
    b.op("FULLY_CONNECTED", [flat, c.constant(c.data((6, 32)), "int8", scale=0.01), _bias(c, 6)], [logits])
    b.op("SOFTMAX", [logits], [shares], beta=1.0)
    # The host interpreter's arena is ten times the file.
    c.constant(np.zeros(1000), "int8")
    return c.build()


def _bias(c: OpCases, channels: int) -> int:
    return c.constant(c.rng.integers(-10_000, 10_000, channels), "int64", scale=2e-6)


def test_every_count_has_tflms_curves(tmp_path: Path) -> None:
    """LOGISTIC, TANH, RELU and RELU6 of all 65,536 counts, at exact and other scales."""
    c = OpCases(6)
    for kind, scale in [(k, s) for k in ("LOGISTIC", "TANH") for s in (2.0**-12, 2.0**-11, 3e-4, 1e-3)] + [("RELU", 4e-4), ("RELU6", 4e-4)]:
        x = c.input((1 << 16,), "int16", scale=scale)
        c.values[-1][:] = np.arange(-(1 << 15), 1 << 15)
        c.builder.op(kind, [x], [c.output((1 << 16,), "int16", scale=1 / 32768)])
    _roomy(c, 300_000)
    _compare(c, tmp_path)


def test_the_largest_sums_have_tflms_bytes(tmp_path: Path) -> None:
    """511, 512 and more products of -128 and -32768, with biases of 64 and of 32 bits, one unit or five, and their opposite."""
    c = OpCases(7)
    for depth in (511, 512, 513, 1100):
        for units, value, narrow in [(1, -32768, False), (5, -32768, False), (5, 32767, False), (5, -32768, True)]:
            x = c.input((1, depth), "int16", scale=1e-4)
            c.values[-1][...] = value
            weights = c.constant(np.full((units, depth), -128), "int8", scale=0.01)
            bias = c.constant(np.arange(units) * 1000, "int32" if narrow else "int64", scale=1e-6)
            c.builder.op("FULLY_CONNECTED", [x, weights, bias], [c.output((1, units), "int16", scale=1e-6 * 2**23 * depth / 40_000)])
    _compare(c, tmp_path)


def _roomy(c: OpCases, length: int) -> None:
    """TFLM's host interpreter takes ten times the file as its arena."""
    c.constant(np.zeros(length), "int8")


def _compare(c: OpCases, folder: Path) -> None:
    data, inputs = c.build()
    expected = run_tflm(data, inputs)
    program = compile_models([generate_aot(read_tflite(data, name="cases"))], folder)
    compare_outputs(data, expected, program.run(0, inputs), "generated C")
    compare_outputs(data, expected, reference_outputs(data, inputs), "numpy")
