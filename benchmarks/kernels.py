"""Instructions per MAC by kernel and shape: what a lowering may choose by.

    python benchmarks/kernels.py                               every emulated core, portable kernels beside the core's own
    python benchmarks/kernels.py --cores m4 m3 --markdown      two of them, as a table for a page
    python benchmarks/kernels.py --cores m55                   in QEMU: needs qemu-system-arm
    python benchmarks/kernels.py --int16                       layers of int16 activations
    python benchmarks/kernels.py --quick                       three shapes on an M4

Each shape is one layer with random weights; all shapes of a core and a set of kernels are steps of one firmware, counted alone. Sums have
no MACs: theirs are instructions per element. `!` marks a shape where the core's own kernel takes more than the portable one, and `=` one
that has no kernel of its own there; both are listed below the table. The bytes of every layer are compared with the numpy reference.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.artifact import GeneratedModel
from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.device import open_emulator, open_qemu
from edgecompress.errors import EdgeCompressError
from edgecompress.graph import (
    ArithmeticOptions,
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    Op,
    Options,
    Padding,
    Quantization,
    Tensor,
    count_macs,
)
from edgecompress.numerics.reference import run_reference
from edgecompress.target import EmulatorLink, KernelSet, Target, load_target

CORES = {
    "m4": "cortex-m4",
    "m7": "cortex-m7",
    "m33": "cortex-m33",
    "m3": "cortex-m3",
    "m0plus": "cortex-m0plus",
    "m55": "qemu-mps3-an547",
}
DEFAULT_CORES = ("m4", "m3", "m0plus")


@dataclass(frozen=True)
class Layer:
    """One layer with SAME padding: its name in the table, its kind, and its shapes."""

    name: str
    kind: str
    image: tuple[int, int, int]
    size: int = 1
    filters: int = 1
    stride: int = 1


def conv(side: int, depth: int, filters: int, size: int = 3, stride: int = 1) -> Layer:
    name = f"conv {size}x{size}{f' /{stride}' if stride > 1 else ''}, {depth} -> {filters}, {side}x{side}"
    return Layer(name, "CONV_2D", (side, side, depth), size, filters, stride)


def depthwise(side: int, channels: int, size: int, stride: int) -> Layer:
    name = f"depthwise {size}x{size}{f' /{stride}' if stride > 1 else ''}, {channels}, {side}x{side}"
    return Layer(name, "DEPTHWISE_CONV_2D", (side, side, channels), size, channels, stride)


def dense(depth: int, units: int) -> Layer:
    return Layer(f"dense, {depth} -> {units}", "FULLY_CONNECTED", (1, 1, depth), filters=units)


LAYERS = (
    conv(32, 3, 16),
    conv(16, 8, 8),
    conv(16, 16, 16),
    conv(8, 32, 32),
    conv(8, 64, 64),
    conv(16, 16, 32, stride=2),
    *(conv(8, channels, channels, size=1) for channels in (8, 16, 32, 64, 128)),
    conv(4, 256, 256, size=1),
    conv(1, 64, 64, size=1),
    conv(2, 32, 32),
    conv(1, 32, 32),
    *(depthwise(16, channels, 3, stride) for channels in (8, 64) for stride in (1, 2)),
    depthwise(3, 256, 3, 1),
    *(depthwise(16, 16, 5, stride) for stride in (1, 2)),
    dense(64, 10),
    dense(640, 128),
    dense(8, 128),
    Layer("add, 16x16x16", "ADD", (16, 16, 16)),
)
QUICK_LAYERS = (conv(4, 4, 4), depthwise(4, 8, 3, 1), dense(16, 8))


@dataclass(frozen=True)
class Counted:
    """One layer with one set of kernels: instructions per MAC (or element), and the kernel that was called."""

    per_mac: float
    kernel: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", nargs="+", choices=sorted(CORES), default=DEFAULT_CORES)
    parser.add_argument("--markdown", action="store_true", help="a table for a page")
    parser.add_argument("--int16", action="store_true", help="int16 activations, int8 weights, biases of 64 bits")
    parser.add_argument("--quick", action="store_true", help="three small shapes on an M4")
    arguments = parser.parse_args()
    layers, cores = (QUICK_LAYERS, ("m4",)) if arguments.quick else (LAYERS, tuple(arguments.cores))
    graph, values = model_of(layers, DType.INT16 if arguments.int16 else DType.INT8)
    columns: dict[tuple[str, KernelSet], list[Counted]] = {}
    try:
        for core in cores:
            target = load_target(CORES[core])
            for kernels in dict.fromkeys((KernelSet.PORTABLE, target.kernels)):
                columns[core, kernels] = count(graph, values, target, kernels)
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    print(table(layers, columns, markdown=arguments.markdown))
    return 0


def count(
    graph: Graph, values: Sequence[NDArray[Any]], target: Target, kernels: KernelSet, generated: GeneratedModel | None = None
) -> list[Counted]:
    """Every layer of the model on a core.

    Args:
        generated: its C, where it is not that of `generate_aot`.

    Raises:
        SystemExit: a layer's bytes are not the reference's.
    """
    generated = generated or generate_aot(graph, kernels=kernels)
    raw = [value.tobytes() for value in values]
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        firmware = build_firmware(generated, target, output=Path(folder))
        opened = open_emulator(firmware, target) if isinstance(target.link, EmulatorLink) else open_qemu(firmware, target)
        with opened as device:
            outputs = device.run(raw)
            measured = device.measure(raw, runs=1, warmup=0)
    expected = run_reference(graph, values)
    for op, output in zip(graph.ops, outputs, strict=True):
        if output != expected[op.outputs[0]].tobytes():
            raise SystemExit(f"{graph.tensor(op.outputs[0]).name}: {kernels.value} kernels on {target.name} give other bytes")
    called = kernels_called(generated.files[f"{generated.info.name}.c"])
    work = [count_macs(graph, op) or graph.tensor(op.outputs[0]).elements for op in graph.ops]
    return [Counted(ops / macs, kernel) for ops, macs, kernel in zip(measured.ops, work, called, strict=True)]


def kernels_called(source: str) -> list[str]:
    """The kernel of each step, in order."""
    lines = (line.strip() for line in source.splitlines() if line.startswith("    ec_") and "(" in line)
    return [line[: line.index("(")] for line in lines]


def table(layers: Sequence[Layer], columns: dict[tuple[str, KernelSet], list[Counted]], *, markdown: bool) -> str:
    """Layers down, cores and kernels across, and what stands out below."""
    heads = ["layer", *(f"{core} {kernels.value}" for core, kernels in columns)]
    rows, slower, lacking = [], [], []
    for n, layer in enumerate(layers):
        cells = [layer.name]
        for (core, kernels), counted in columns.items():
            own, plain = counted[n], columns[core, KernelSet.PORTABLE][n]
            mark = ""
            if kernels is not KernelSet.PORTABLE and own.kernel == plain.kernel:
                mark = " ="
                lacking.append(f"{layer.name} on {core}: {own.kernel}")
            elif own.per_mac > plain.per_mac:
                mark = " !"
                slower.append(f"{layer.name} on {core}: {own.kernel} {own.per_mac:.2f}, {plain.kernel} {plain.per_mac:.2f}")
            cells.append(f"{own.per_mac:.2f}{mark}")
        rows.append(cells)
    lines = markdown_lines(heads, rows) if markdown else text_lines(heads, rows)
    for what, found in (("Slower than the portable kernel:", slower), ("No kernel of the core's own:", lacking)):
        lines += ["", what, *(f"* {line}" for line in found)] if found else []
    return "\n".join(lines)


def text_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest."""
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    return ["  ".join(c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))) for row in (heads, *rows)]


def markdown_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}", *(f"| {' | '.join(row)} |" for row in rows)]


def model_of(layers: Sequence[Layer], activations: DType = DType.INT8) -> tuple[Graph, list[NDArray[Any]]]:
    """One model of all layers side by side, and a value for each of its inputs."""
    made = _Made(activations)
    for layer in layers:
        made.add(layer)
    return made.graph(), made.values


class _Made:
    """Layers with inputs and outputs of their own."""

    def __init__(self, activations: DType) -> None:
        self.values: list[NDArray[Any]] = []
        self._long = activations is DType.INT16
        self._type = activations
        self._rng = np.random.default_rng(1)
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._inputs: list[int] = []
        self._outputs: list[int] = []

    def add(self, layer: Layer) -> None:
        h, w, depth = layer.image
        strided = (1, -(-h // layer.stride), -(-w // layer.stride), layer.filters)
        side = {"padding": Padding.SAME, "stride_h": layer.stride, "stride_w": layer.stride}
        match layer.kind:
            case "CONV_2D":
                self._op(layer, (1, h, w, depth), (layer.filters, layer.size, layer.size, depth), 0, strided, ConvOptions(**side))
            case "DEPTHWISE_CONV_2D":
                options = DepthwiseConvOptions(**side, depth_multiplier=1)
                self._op(layer, (1, h, w, depth), (1, layer.size, layer.size, depth), 3, strided, options)
            case "FULLY_CONNECTED":
                self._op(layer, (1, depth), (layer.filters, depth), 0, (1, layer.filters), FullyConnectedOptions())
            case _:
                both = [self._input((1, h, w, depth)), self._input((1, h, w, depth))]
                self._put(layer, both, (1, h, w, depth), 0.09, ArithmeticOptions())

    def _op(
        self, layer: Layer, source: tuple[int, ...], weights: tuple[int, ...], axis: int, out: tuple[int, ...], options: Options
    ) -> None:
        channels = weights[axis]
        scales = tuple(float(s) for s in self._rng.uniform(0.002, 0.01, channels).astype(np.float32))
        values = self._rng.integers(-127, 128, weights).astype(np.int8)
        bias = self._rng.integers(-2000, 2000, channels).astype(np.int64 if self._long else np.int32)
        inputs = [
            self._input(source),
            self._tensor(weights, DType.INT8, Quantization(scales, (0,) * channels, axis), values),
            self._tensor((channels,), DType.INT64 if self._long else DType.INT32, None, bias),
        ]
        self._put(layer, inputs, out, 0.02 * max(scales) * 60 * (values.size / channels) ** 0.5, options)

    def _put(self, layer: Layer, inputs: Sequence[int], shape: tuple[int, ...], scale: float, options: Options) -> None:
        quantization = Quantization((float(np.float32(scale / (256 if self._long else 1))),), (0 if self._long else 4,))
        output = self._tensor(shape, self._type, quantization, name=layer.name)
        self._ops.append(Op(len(self._ops), layer.kind, 1, tuple(inputs), (output,), options))
        self._outputs.append(output)

    def _input(self, shape: tuple[int, ...]) -> int:
        index = self._tensor(shape, self._type, Quantization((0.02 / 256,), (0,)) if self._long else Quantization((0.02,), (-5,)))
        self._inputs.append(index)
        low = -(1 << 15) if self._long else -128
        self.values.append(self._rng.integers(low, -low, shape).astype(np.int16 if self._long else np.int8))
        return index

    def _tensor(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        quantization: Quantization | None,
        data: NDArray[np.generic] | None = None,
        name: str | None = None,
    ) -> int:
        index = len(self._tensors)
        self._tensors.append(Tensor(index, name or f"t{index}", shape, dtype, quantization, data))
        return index

    def graph(self) -> Graph:
        sha256 = hashlib.sha256(repr([(op.kind, self._tensors[op.outputs[0]].name) for op in self._ops]).encode()).hexdigest()
        return Graph("layers", sha256, 0, tuple(self._tensors), tuple(self._ops), tuple(self._inputs), tuple(self._outputs))


if __name__ == "__main__":
    raise SystemExit(main())
