"""Weights in fewer bits than eight: the same outputs from the packed form, and exactly the bytes that the form takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.artifact import Firmware, GeneratedModel
from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.codegen.lower import choices
from edgecompress.codegen.lower.packed_weights import pack_weights, unpack
from edgecompress.codegen.program import Step
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator
from edgecompress.graph import Graph
from edgecompress.numerics.reference import run_reference
from edgecompress.target import KernelSet, Optimize, load_target
from tests.kernel_fuzz import PACKED, Batch, cases_of, kernel_calls
from tests.op_cases import OpCases
from tests.spread_plan import generate_spread
from tests.tflite_builder import ModelBuilder

SEED = 7
ALL = [case for family in PACKED for case in cases_of(family.__name__, SEED, 0, 9)]
SOME = [case for family in PACKED for case in cases_of(family.__name__, SEED, 100, 8)]

CALLS = {
    KernelSet.PORTABLE: ("ec_conv2d_packed_s8", "ec_depthwise_conv2d_packed_s8", "ec_fully_connected_packed_s8"),
    KernelSet.DSP: ("ec_conv2d_packed_dsp_s8", "ec_depthwise_conv2d_packed_dsp_s8"),
}
"""Of packed kernels, that the random layers must come to."""


def drawn(book: list[int], shape: tuple[int, ...], seed: int = 3) -> NDArray[np.int8]:
    """Weights of `shape` that take every value of the book, and no other."""
    rng = np.random.default_rng(seed)
    values = rng.choice(book, shape).astype(np.int8)
    values.reshape(-1)[: len(book)] = book
    return values


def net(first: NDArray[np.int8], second: NDArray[np.int8], dtype: str) -> bytes:
    """A 3x3 convolution of 8 to 16 channels on 6x6, and a dense layer to 10 outputs."""
    b = ModelBuilder()
    source = b.tensor((1, 6, 6, 8), "int8", scale=0.05, zero_point=3)
    middle = b.tensor((1, 6, 6, 16), "int8", scale=0.4, zero_point=-128)
    output = b.tensor((1, 10), "int8", scale=0.9, zero_point=5)
    w0 = b.tensor(first.shape, dtype, scale=np.linspace(0.01, 0.02, 16), axis=0, data=first)
    w1 = b.tensor(second.shape, dtype, scale=0.01, data=second)
    b0 = b.tensor((16,), "int32", scale=0.0005, data=np.arange(16) * 7)
    b1 = b.tensor((10,), "int32", scale=0.004, data=np.arange(10) * -9)
    b.op("CONV_2D", [source, w0, b0], [middle], padding="SAME", stride_h=1, stride_w=1, activation="RELU")
    b.op("FULLY_CONNECTED", [middle, w1, b1], [output])
    b.inputs(source)
    b.outputs(output)
    return b.build()


SHAPES = (16, 3, 3, 8), (10, 576)
WEIGHTS = 16 * 72 + 5760
CLUSTERED = [-90, -61, -40, -33, -21, -12, -5, 0, 3, 9, 17, 26, 38, 55, 80, 127]
NETS = {
    # Bytes of both layers: their codes, and the codebook that they share; arrays start at multiples of four.
    "clustered": (net(*(drawn(CLUSTERED, shape) for shape in SHAPES), "int8"), WEIGHTS // 2 + 16),
    "32 values": (net(*(drawn(list(range(-64, 64, 4)), shape) for shape in SHAPES), "int8"), WEIGHTS * 5 // 8 + 32),
    "int4": (net(*(drawn(list(range(-8, 8)), shape) for shape in SHAPES), "int4"), WEIGHTS // 2 + 16),
    "ternary": (net(*(drawn([-1, 0, 1], shape) for shape in SHAPES), "int8"), WEIGHTS // 4 + 4),
}


def firmware_of(model: GeneratedModel, folder: Path) -> tuple[Firmware, bytes, float]:
    """Linked for a Cortex-M4; its output for one input, and its instructions."""
    target = load_target("cortex-m4")
    firmware = build_firmware(model, target, output=folder)
    value = np.random.default_rng(1).integers(-128, 128, model.info.inputs[0].shape).astype(np.int8).tobytes()
    with open_emulator(firmware, target) as device:
        (output,) = device.run([value])
        return firmware, output, device.measure([value], runs=1, warmup=0).samples[0]


@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        (drawn([5], (1, 1)), None),
        (drawn([5, 6], (3, 11)), 2 + 5),
        (drawn(list(range(-60, 60, 4)), (7, 33)), 30 + -(-7 * 33 * 5 // 8)),
        (np.stack([drawn(list(range(k, k + 4)), (99,)) for k in range(-120, 120, 9)]), 27 * 4 + -(-27 * 99 * 2 // 8)),
        (np.tile(np.array([0, 7, 0, 0, -128, 0, 0, 0, 0], np.int8), (2, 3)) * np.arange(1, 28, dtype=np.int8), 2 * 7 + 4),
        (np.arange(-128, 128, dtype=np.int8).reshape(4, 64), None),
    ],
    ids=["one weight", "one bit", "five bits", "codebook a filter", "one of four", "256 values"],
)
def test_weights_come_back_from_the_smallest_form(matrix: NDArray[np.int8], size: int | None) -> None:
    """What is packed takes exactly the bytes of its codes and values, and unpacks to the same weights; else nothing is packed."""
    packed = pack_weights(matrix)
    assert (None if packed is None else packed.bytes) == size
    if packed is not None:
        np.testing.assert_array_equal(unpack(packed, len(matrix)), matrix)


@pytest.mark.parametrize("kernels", [KernelSet.PORTABLE, KernelSet.DSP], ids=lambda k: k.value)
def test_random_layers_on_the_host(kernels: KernelSet, tmp_path: Path) -> None:
    """Every form, shape and tail under sanitizers, between poisoned gaps, on the smallest plan: the bytes of the reference."""
    batch = Batch(ALL)
    failures = batch.on_host(kernels, tmp_path)
    assert not failures, "\n".join(map(str, failures))
    # With gaps between all tensors nothing is exchanged for a smaller arena.
    calls = kernel_calls(generate_spread(batch.graph, kernels, Optimize.SIZE))
    few = {name for name in CALLS[kernels] if calls[name] < 4}
    assert not few, f"too few calls of packed kernels: {calls}"


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_random_layers_on_cores(target: str, tmp_path: Path) -> None:
    """The same on an emulated core that refuses unaligned words, and on one with the DSP extension."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    failures = Batch(SOME).on_core(target, load_target(target).kernels, tmp_path / "out")
    assert not failures, "\n".join(map(str, failures))


@pytest.mark.parametrize("name", NETS)
def test_a_packed_model_gives_the_same_bytes_from_less_flash(name: str, tmp_path: Path) -> None:
    """On a Cortex-M4: outputs of the unpacked model and of the reference, and constants smaller by just what the weights save."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    data, packed_bytes = NETS[name]
    graph = read_tflite(data, name="net")
    plain = generate_aot(graph)
    small = generate_aot(graph, optimize=Optimize.SIZE)
    before, expected, dense = firmware_of(plain, tmp_path / "plain")
    after, came, packed = firmware_of(small, tmp_path / "small")
    assert came == expected == reference_of(graph)
    assert before.sizes.model_bytes - after.sizes.model_bytes == WEIGHTS - packed_bytes
    assert packed > dense


def reference_of(graph: Graph) -> bytes:
    """The output for the input of `firmware_of`."""
    value = np.random.default_rng(1).integers(-128, 128, graph.tensor(graph.inputs[0]).shape).astype(np.int8)
    return np.ascontiguousarray(run_reference(graph, [value])[graph.outputs[0]]).tobytes()


def test_the_sources_say_what_was_optimized() -> None:
    """The head of the generated source repeats the option, and the steps call the packed kernels."""
    model = generate_aot(read_tflite(NETS["int4"][0], name="net"), kernels=KernelSet.DSP, optimize=Optimize.SIZE)
    text = model.files["net.c"]
    assert "--kernels dsp --optimize size" in text
    assert "codes of 4 bits into one codebook" in model.files["net_data.c"]
    assert sorted(Path(kernel).stem for kernel in model.kernels) == ["ec_conv2d_packed_dsp_s8", "ec_fully_connected_nibbles_dsp_s8"]


def test_packed_loops_of_the_core_take_fewer_instructions(tmp_path: Path) -> None:
    """Where the arena has room for the core's own loops, packed weights run through them with fewer instructions than in plain C."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    graph = read_tflite(NETS["clustered"][0], name="net")
    plain = generate_spread(graph, KernelSet.PORTABLE, Optimize.SIZE)
    fast = generate_spread(graph, KernelSet.DSP, Optimize.SIZE)
    _, expected, slow = firmware_of(plain, tmp_path / "plain")
    _, came, quick = firmware_of(fast, tmp_path / "fast")
    assert came == expected and quick < slow


def test_speed_is_unchanged_by_packable_weights() -> None:
    """Without the option nothing is packed, and int4 tensors run as int8."""
    model = generate_aot(read_tflite(NETS["int4"][0], name="net"), kernels=KernelSet.DSP)
    assert not any("packed" in kernel for kernel in model.kernels)


def test_size_never_takes_a_larger_arena_than_either_set_alone() -> None:
    """Weights that cannot be packed: the plan of mixed kernels is as low as the lower of all fast and all portable ones."""
    rng = np.random.default_rng(2)
    data = net(*(rng.integers(-127, 128, shape).astype(np.int8) for shape in SHAPES), "int8")
    graph = read_tflite(data, name="net")
    alone = [generate_aot(graph, kernels=kernels).info.arena_bytes for kernels in (KernelSet.DSP, KernelSet.PORTABLE)]
    assert generate_aot(graph, kernels=KernelSet.DSP, optimize=Optimize.SIZE).info.arena_bytes <= min(alone)


@pytest.mark.parametrize(("side", "depth", "at_once"), [(4, 128, 16), (12, 40, 40)])
def test_filters_are_unpacked_as_the_arena_allows(side: int, depth: int, at_once: int, tmp_path: Path) -> None:
    """Few pixels and long filters: 16 at a time, in less scratch. Many pixels: all at once, for the output may then overlap the input."""
    pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")
    b = ModelBuilder()
    source = b.tensor((1, side, side, depth), "int8", scale=0.05, zero_point=3)
    output = b.tensor((1, side, side, 40), "int8", scale=1.0, zero_point=-7)
    w = b.tensor((40, 1, 1, depth), "int8", scale=np.linspace(0.01, 0.02, 40), axis=0, data=drawn(CLUSTERED, (40, 1, 1, depth)))
    b.op("CONV_2D", [source, w], [output], padding="VALID", stride_h=1, stride_w=1)
    b.inputs(source)
    b.outputs(output)
    graph = read_tflite(b.build(), name="net")
    model = generate_aot(graph, kernels=KernelSet.DSP, optimize=Optimize.SIZE)
    assert f", {at_once}, &" in " ".join(model.files["net.c"].split())
    _, came, _ = firmware_of(model, tmp_path)
    assert came == reference_of(graph)


def test_size_keeps_zero_blocks_out() -> None:
    """A layer that its own kernel stores without zero blocks is not exchanged for one that stores them, whatever the arena."""
    c = OpCases(3)
    values = np.where(np.arange(64 * 64).reshape(64, 1, 1, 64) // 4 % 8 == 0, c.data((64, 1, 1, 64)), 0).astype(np.int8)
    x, weights = c.input((1, 8, 8, 64), scale=0.05, zero_point=0), c.constant(values, "int8", scale=np.full(64, 0.01, np.float32), axis=0)
    c.builder.op("CONV_2D", [x, weights], [c.output((1, 8, 8, 64), scale=0.5, zero_point=0)], padding="VALID", stride_h=1, stride_w=1)
    graph = read_tflite(c.build()[0], name="sparse")
    kinds = [[step.function for step in choices(graph, graph.ops[0], "m", KernelSet.DSP, o) if isinstance(step, Step)] for o in Optimize]
    assert kinds == [["ec_conv2d_blocks_dsp_s8"]] * 2
