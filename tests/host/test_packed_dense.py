"""Dense layers from packed weights with the DSP extension: the bytes of the unpacked layer, from less flash, at a bounded cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.codegen.lower import lower
from edgecompress.codegen.program import constant_bytes
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator
from edgecompress.graph import Graph
from edgecompress.numerics.reference import run_reference
from edgecompress.target import KernelSet, Optimize, load_target
from tests.kernel_fuzz import Batch, cases_of, kernel_calls
from tests.spread_plan import generate_spread
from tests.tflite_builder import ModelBuilder

UNITS, DEPTH = 32, 322


def drawn(book: NDArray[np.integer] | list[int], seed: int = 4) -> NDArray[np.int8]:
    """Weights of few values."""
    return np.random.default_rng(seed).choice(book, (UNITS, DEPTH)).astype(np.int8)


def kept_of_four(kept: int) -> NDArray[np.int8]:
    """So many weights of each four."""
    order = np.random.default_rng(5).permuted(np.tile(np.arange(4), (UNITS, 81, 1)), axis=2).reshape(UNITS, -1)[:, :DEPTH]
    return np.where(order < kept, drawn(list(range(-127, 128))), 0).astype(np.int8)


RANDOM = cases_of("packed_dense", 7, 200, 64)
CALLS = {
    **{"ec_fully_connected_nibbles_dsp_s8": 4, "ec_fully_connected_codes_dsp_s8": 8, "ec_fully_connected_book_dsp_s8": 3},
    **{"ec_fully_connected_books_dsp_s8": 3, "ec_fully_connected_fours_dsp_s8": 3, "ec_fully_connected_blocks_dsp_s8": 1},
}
"""Of each kernel, that the random layers must come to."""

BOOK = np.sort(np.random.default_rng(8).choice(np.arange(-127, 128), 32, replace=False))
FORMS = {
    # Kernel, instructions at most and bytes of weights at most, over those of the unpacked layer (benchmarks/packed.py).
    "int4": (drawn(list(range(-8, 8))), "ec_fully_connected_nibbles_dsp_s8", 1.45, 0.5),
    "16 values": (drawn(BOOK[::2]), "ec_fully_connected_codes_dsp_s8", 2.25, 0.502),
    "32 values": (drawn(BOOK), "ec_fully_connected_codes_dsp_s8", 2.95, 0.63),
    "4 values": (drawn(BOOK[::8]), "ec_fully_connected_codes_dsp_s8", 2.1, 0.251),
    "2:4": (kept_of_four(2), "ec_fully_connected_fours_dsp_s8", 2.25, 0.625),
    "1:4": (kept_of_four(1), "ec_fully_connected_fours_dsp_s8", 1.35, 0.3125),
}


def dense_graph(weights: NDArray[np.int8]) -> Graph:
    """One dense layer."""
    units, depth = weights.shape
    b = ModelBuilder()
    source = b.tensor((1, depth), "int8", scale=0.05, zero_point=3)
    output = b.tensor((1, units), "int8", scale=0.01 * depth, zero_point=5)
    w = b.tensor(weights.shape, "int8", scale=0.01, data=weights)
    bias = b.tensor((units,), "int32", scale=0.0005, data=np.arange(units) * -9)
    b.op("FULLY_CONNECTED", [source, w, bias], [output])
    b.inputs(source)
    b.outputs(output)
    return read_tflite(b.build(), name="net")


def counted(graph: Graph, optimize: Optimize, folder: Path, value: NDArray[np.int8]) -> tuple[bytes, float, str]:
    """On a Cortex-M4: the output for an input, the instructions, and the kernel."""
    target = load_target("cortex-m4")
    model = generate_spread(graph, KernelSet.DSP, optimize)
    firmware = build_firmware(model, target, output=folder)
    with open_emulator(firmware, target) as device:
        (output,) = device.run([value.tobytes()])
        (kernel,) = kernel_calls(model)
        return output, device.measure([value.tobytes()], runs=1, warmup=0).samples[0], kernel


INPUT = np.random.default_rng(1).integers(-128, 128, (1, DEPTH)).astype(np.int8)


@pytest.mark.parametrize("form", FORMS)
def test_a_packed_layer_costs_little(form: str, tmp_path: Path) -> None:
    """The kernel of the form, the bytes of the unpacked layer and of the reference, within the bounds on instructions and flash."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    weights, kernel, cost, share = FORMS[form]
    graph = dense_graph(weights)
    plain, before, _ = counted(graph, Optimize.SPEED, tmp_path / "plain", INPUT)
    packed, after, called = counted(graph, Optimize.SIZE, tmp_path / "packed", INPUT)
    assert packed == plain == run_reference(graph, [INPUT])[graph.outputs[0]].tobytes()
    assert called == kernel
    assert after < cost * before, f"{after / before:.2f} of the unpacked layer's instructions"
    assert weight_bytes(graph, Optimize.SIZE) <= share * UNITS * (DEPTH + 2) + 32


@pytest.mark.parametrize(("dropped", "cost", "share"), [(0.0, 1.0, 1.0), (0.75, 0.75, 0.34), (0.9, 0.4, 0.15)])
def test_zero_blocks_are_neither_stored_nor_multiplied(dropped: float, cost: float, share: float, tmp_path: Path) -> None:
    """Also for speed: instructions and flash fall with the fours of inputs that are all zero; without them the layer is the whole one."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    whole = drawn(list(range(-127, 128)))[:, :320]
    keep = np.random.default_rng(2).random((UNITS, 80)) >= dropped
    value = INPUT[:, :320]
    _, before, kernel = counted(dense_graph(whole), Optimize.SPEED, tmp_path / "whole", value)
    graph = dense_graph(np.where(np.repeat(keep, 4, axis=1), whole, 0).astype(np.int8))
    came, after, called = counted(graph, Optimize.SPEED, tmp_path / "sparse", value)
    assert came == run_reference(graph, [value])[graph.outputs[0]].tobytes()
    assert called == ("ec_fully_connected_blocks_dsp_s8" if dropped else kernel)
    assert after <= cost * before and weight_bytes(graph, Optimize.SPEED) <= share * whole.size


def test_sums_of_nibbles_are_taken_apart_in_time(tmp_path: Path) -> None:
    """1,100 times the largest product of a weight of four bits, which the upper bits of a sum cannot hold."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    weights = np.full((4, 1100), -8, np.int8)
    weights[:, :16] = np.arange(-8, 8)
    graph, value = dense_graph(weights), np.full((1, 1100), -128, np.int8)
    came, _, called = counted(graph, Optimize.SIZE, tmp_path / "packed", value)
    assert called == "ec_fully_connected_nibbles_dsp_s8"
    assert came == run_reference(graph, [value])[graph.outputs[0]].tobytes()


def weight_bytes(graph: Graph, optimize: Optimize) -> int:
    """Constants of the only step, less its bias and scale."""
    ((step,), _) = lower(graph, kernels=KernelSet.DSP, optimize=optimize)
    return constant_bytes(step) - 4 * UNITS - 8


def test_a_large_table_is_left_out_where_it_is_the_peak() -> None:
    """The 4 KB of pairs of 32 values are more than a quarter of what packing saves; the 1 KB of 16 values is less, and stays."""
    calls = [kernel_calls(generate_aot(dense_graph(FORMS[form][0]), kernels=KernelSet.DSP, optimize=Optimize.SIZE)) for form in FORMS]
    names = dict(zip(FORMS, (next(iter(c)) for c in calls), strict=True))
    assert names["32 values"] == "ec_fully_connected_book_dsp_s8"
    assert names["16 values"] == "ec_fully_connected_codes_dsp_s8"


def test_plain_kernels_do_not_stand_in_for_the_core() -> None:
    """100 values: no kernel of the set takes them, and the unpacked layer stays, though portable code could pack it."""
    graph = dense_graph(drawn(list(range(-50, 50))))
    names = [
        next(iter(kernel_calls(generate_aot(graph, kernels=kernels, optimize=Optimize.SIZE))))
        for kernels in (KernelSet.PORTABLE, KernelSet.DSP)
    ]
    assert names == ["ec_fully_connected_packed_s8", "ec_fully_connected_dsp_s8"]


def test_random_layers_on_the_host(tmp_path: Path) -> None:
    """Every kernel, with tails of outputs and inputs and the largest sums there are, under sanitizers and between poisoned gaps."""
    batch = Batch(RANDOM)
    failures = batch.on_host(KernelSet.DSP, tmp_path)
    assert not failures, "\n".join(map(str, failures))
    calls = kernel_calls(generate_spread(batch.graph, KernelSet.DSP, Optimize.SIZE))
    few = {name for name, least in CALLS.items() if calls[name] < least}
    assert not few, f"too few calls of packed kernels: {calls}"


def test_random_layers_on_a_core(tmp_path: Path) -> None:
    """The same on an emulated Cortex-M4."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    failures = Batch(RANDOM).on_core("cortex-m4", KernelSet.DSP, tmp_path / "out", spread=True)
    assert not failures, "\n".join(map(str, failures))


@pytest.mark.parametrize("side", [1, 2])
def test_a_convolution_of_one_window_is_a_dense_layer_here_too(side: int) -> None:
    """16 values on one pixel take the dense kernel of packed codes; four pixels, too few to unpack for, stay unpacked."""
    b = ModelBuilder()
    source = b.tensor((1, side, side, 128), "int8", scale=0.05, zero_point=3)
    output = b.tensor((1, side, side, UNITS), "int8", scale=1.0, zero_point=5)
    w = b.tensor((UNITS, 1, 1, 128), "int8", scale=np.full(UNITS, 0.01), axis=0, data=drawn(BOOK[::2])[:, :128].reshape(UNITS, 1, 1, 128))
    b.op("CONV_2D", [source, w], [output], padding="VALID", stride_h=1, stride_w=1)
    b.inputs(source)
    b.outputs(output)
    (kernel,) = kernel_calls(generate_spread(read_tflite(b.build(), name="net"), KernelSet.DSP, Optimize.SIZE))
    assert kernel == ("ec_fully_connected_codes_dsp_s8" if side == 1 else "ec_conv2d_dsp_s8")
