"""Twenty models lowered to each set of kernels: with their overlaps and scratch, the plan stays within 5 % of its bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.codegen.check import check_program
from edgecompress.codegen.lower import lower
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Alias, Step
from edgecompress.graph import (
    Activation,
    ArithmeticOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    NoOptions,
    Op,
    Options,
    Padding,
    Quantization,
    ReducerOptions,
    ReshapeOptions,
    ResizeOptions,
    SoftmaxOptions,
    StridedSliceOptions,
    Tensor,
)
from edgecompress.target import KernelSet
from tests.plan_models import MODELS, Model, Shape

_ACTIVATION = Quantization((0.05,), (3,))


class Network:
    """A `plan_models.Builder` that makes a graph; every activation has one quantization, so that any may be joined."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.inputs: list[int] = []
        self._rng = np.random.default_rng(4)
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._of_shape: list[int] = []

    def input(self, *shape: int) -> int:
        made = self._output((1, *shape))
        self.inputs.append(made)
        return self._number(made, (shape[0], shape[1], shape[2]))

    def conv(self, x: int, channels: int, stride: int = 1, scratch: int = 0) -> int:
        return self._convolution(x, channels, 3, stride)

    def pointwise(self, x: int, channels: int) -> int:
        return self._convolution(x, channels, 1, 1)

    def depthwise(self, x: int, stride: int = 1) -> int:
        high, wide, deep = self.shapes[x]
        shape = (-(-high // stride), -(-wide // stride), deep)
        options = DepthwiseConvOptions(Padding.SAME, stride, stride, 1, activation=Activation.RELU)
        return self._layer("DEPTHWISE_CONV_2D", [x], self._weights((1, 3, 3, deep), 3), shape, options)

    def add(self, a: int, b: int) -> int:
        return self._layer("ADD", [a, b], [], self.shapes[a], ArithmeticOptions())

    def concat(self, *reads: int) -> int:
        high, wide, _ = self.shapes[reads[0]]
        deep = sum(self.shapes[i][2] for i in reads)
        return self._layer("CONCATENATION", reads, [], (high, wide, deep), ConcatenationOptions(axis=3))

    def reduce(self, x: int) -> int:
        return self._layer("MEAN", [x], [self._constant([1, 2])], (1, 1, self.shapes[x][2]), ReducerOptions(keep_dims=True))

    def scale(self, x: int, gate: int) -> int:
        return self._layer("MUL", [x, gate], [], self.shapes[x], ArithmeticOptions())

    def grow(self, x: int) -> int:
        high, wide, deep = self.shapes[x]
        size = self._constant([2 * high, 2 * wide])
        return self._layer("RESIZE_NEAREST_NEIGHBOR", [x], [size], (2 * high, 2 * wide, deep), ResizeOptions())

    def dense(self, x: int, units: int) -> int:
        flat = self._reshaped(self._of_shape[x], (1, math.prod(self.shapes[x])))
        made = self._output((1, units))
        weights = self._weights((units, math.prod(self.shapes[x])), 0)
        self._op("FULLY_CONNECTED", [flat, *weights], made, FullyConnectedOptions())
        return self._number(self._reshaped(made, (1, 1, 1, units)), (1, 1, units))

    def softmax(self, x: int) -> int:
        made = self._output(self._tensors[self._of_shape[x]].shape, Quantization((1 / 256,), (-128,)))
        self._op("SOFTMAX", [self._of_shape[x]], made, SoftmaxOptions())
        return self._number(made, self.shapes[x])

    def scores(self, q: int, k: int) -> int:
        """Each pixel of one against each of the other: a dense layer whose weights are computed."""
        rows, deep = self.shapes[q][0] * self.shapes[q][1], self.shapes[q][2]
        flat, weights = (self._reshaped(self._of_shape[x], (rows, deep)) for x in (q, k))
        made = self._output((rows, rows))
        self._op("FULLY_CONNECTED", [flat, weights, -1], made, FullyConnectedOptions())
        return self._number(self._reshaped(made, (1, rows, rows, 1)), (rows, rows, 1))

    def mixed(self, weights: int, v: int, shape: Shape) -> int:
        rows, deep = shape[0] * shape[1], shape[2]
        turned, made = self._output((deep, rows)), self._output((rows, deep))
        self._op("TRANSPOSE", [self._reshaped(self._of_shape[v], (rows, deep)), self._constant([1, 0])], turned, NoOptions())
        flat = self._reshaped(self._of_shape[weights], (rows, rows))
        self._op("FULLY_CONNECTED", [flat, turned, -1], made, FullyConnectedOptions())
        return self._number(self._reshaped(made, (1, *shape)), shape)

    def half(self, x: int, part: int) -> int:
        high, wide, deep = self.shapes[x]
        begin, end = (0, 0, 0, part * deep // 2), (1, high, wide, (part + 1) * deep // 2)
        bounds = [self._constant(values) for values in (begin, end, (1, 1, 1, 1))]
        return self._layer("STRIDED_SLICE", [x], bounds, (high, wide, deep // 2), StridedSliceOptions())

    def interleaved(self, x: int) -> int:
        """Channels of two groups take turns: another name, a transposition, another name."""
        high, wide, deep = self.shapes[x]
        turned = self._output((high * wide, deep // 2, 2))
        grouped = self._reshaped(self._of_shape[x], (high * wide, 2, deep // 2))
        self._op("TRANSPOSE", [grouped, self._constant([0, 2, 1])], turned, NoOptions())
        return self._number(self._reshaped(turned, (1, high, wide, deep)), self.shapes[x])

    def graph(self, outputs: Sequence[int]) -> Graph:
        made = tuple(self._of_shape[x] for x in outputs)
        return Graph("net", "00" * 32, 0, tuple(self._tensors), tuple(self._ops), tuple(self.inputs), made)

    def _convolution(self, x: int, channels: int, size: int, stride: int) -> int:
        high, wide, deep = self.shapes[x]
        shape = (-(-high // stride), -(-wide // stride), channels)
        options = ConvOptions(Padding.SAME, stride, stride, activation=Activation.RELU)
        return self._layer("CONV_2D", [x], self._weights((channels, size, size, deep), 0), shape, options)

    def _layer(self, kind: str, reads: Sequence[int], constants: Sequence[int], shape: Shape, options: Options) -> int:
        made = self._output((1, *shape))
        self._op(kind, [*(self._of_shape[x] for x in reads), *constants], made, options)
        return self._number(made, shape)

    def _number(self, tensor: int, shape: Shape) -> int:
        self.shapes.append(shape)
        self._of_shape.append(tensor)
        return len(self.shapes) - 1

    def _reshaped(self, tensor: int, shape: tuple[int, ...]) -> int:
        made = self._output(shape, self._tensors[tensor].quantization)
        self._op("RESHAPE", [tensor, self._constant(shape)], made, ReshapeOptions(shape))
        return made

    def _weights(self, shape: tuple[int, ...], axis: int) -> list[int]:
        channels = shape[axis]
        values = self._rng.integers(-127, 128, shape).astype(np.int8)
        weights = self._tensor(shape, DType.INT8, Quantization((0.005,) * channels, (0,) * channels, axis), values)
        return [weights, self._tensor((channels,), DType.INT32, None, np.zeros(channels, np.int32))]

    def _constant(self, values: Sequence[int]) -> int:
        return self._tensor((len(values),), DType.INT32, None, np.array(values, np.int32))

    def _output(self, shape: tuple[int, ...], quantization: Quantization | None = _ACTIVATION) -> int:
        return self._tensor(shape, DType.INT8, quantization, None)

    def _tensor(self, shape: tuple[int, ...], dtype: DType, quantization: Quantization | None, data: NDArray[Any] | None) -> int:
        index = len(self._tensors)
        self._tensors.append(Tensor(index, f"t{index}", shape, dtype, quantization, data))
        return index

    def _op(self, kind: str, inputs: Sequence[int], output: int, options: Options) -> None:
        self._ops.append(Op(len(self._ops), kind, 1, tuple(inputs), (output,), options))


def lowered(model: Model, shape: Shape, kernels: KernelSet) -> tuple[Graph, Sequence[Step], Sequence[Alias]]:
    """A model's graph, its steps and its other names."""
    network = Network()
    made = model(network, network.input(*shape))
    graph = network.graph([made] if isinstance(made, int) else list(made))
    return graph, *lower(graph, kernels=kernels)


@pytest.mark.parametrize("kernels", KernelSet, ids=lambda kernels: kernels.value)
@pytest.mark.parametrize(("model", "shape"), MODELS, ids=[model.__name__ for model, _ in MODELS])
def test_twenty_models_stay_within_five_percent(model: Model, shape: Shape, kernels: KernelSet) -> None:
    """The peak is at most 1.05 times what no plan of the same steps can be below."""
    graph, steps, aliases = lowered(model, shape, kernels)
    plan = plan_arena(steps, aliases, graph)
    check_program(steps, aliases, plan, graph)
    assert plan.bound_bytes <= plan.peak_bytes <= 1.05 * plan.bound_bytes


@pytest.mark.parametrize("kernels", [k for k in KernelSet if k is not KernelSet.PORTABLE], ids=lambda kernels: kernels.value)
def test_models_are_planned_with_the_kernels_of_the_set(kernels: KernelSet) -> None:
    """Most of the twenty call a kernel that is not the portable one, so that overlaps and scratch of such were planned."""
    own = 0
    for model, shape in MODELS:
        _, steps, _ = lowered(model, shape, kernels)
        own += any("/portable/" not in step.kernel for step in steps)
    assert own >= 18
