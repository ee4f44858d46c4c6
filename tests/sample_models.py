"""Whole small models for tests: one like a converter writes it, one with every op that generated code knows, and three that are unusual.

Weights come from a fixed seed. `every_op` runs on TFLM as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tflite_builder import ModelBuilder

_SEED = 7


class Net:
    """An int8 model that is written layer by layer; each method adds one op and gives the index of its output tensor."""

    def __init__(self, batch_signature: bool = False) -> None:
        self.builder = ModelBuilder()
        self.rng = np.random.default_rng(_SEED)
        self._batch_signature = batch_signature
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._scales: dict[int, tuple[float, int]] = {}

    def activation(self, shape: Sequence[int], scale: float = 0.05, zero_point: int = 3, name: str | None = None) -> int:
        signature = (-1, *shape[1:]) if self._batch_signature else None
        index = self.builder.tensor(shape, "int8", scale=scale, zero_point=zero_point, name=name, shape_signature=signature)
        self._shapes[index], self._scales[index] = tuple(shape), (scale, zero_point)
        return index

    def constant(self, values: Any, dtype: str = "int32", scale: float | None = None, zero_point: int = 0) -> int:
        data = np.asarray(values)
        index = self.builder.tensor(data.shape, dtype, data=data, scale=scale, zero_point=zero_point)
        self._shapes[index] = data.shape
        return index

    def weights(self, shape: Sequence[int], axis: int | None) -> tuple[int, Any]:
        """Random int8 weights, one scale per entry of `axis`; the tensor and its scales."""
        count = shape[axis] if axis is not None else 1
        scales = self.rng.uniform(0.002, 0.02, count)
        data = self.rng.integers(-127, 128, shape)
        return self.builder.tensor(shape, "int8", scale=scales, axis=axis, data=data), scales

    def bias(self, source: int, scales: Any, count: int = 0) -> int:
        data = self.rng.integers(-300, 300, count or len(scales))
        return self.builder.tensor(data.shape, "int32", scale=scales * self._scales[source][0], axis=0, data=data)

    def layer(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        *,
        scale: float = 0.05,
        zero_point: int = 3,
        version: int = 1,
        **options: Any,
    ) -> int:
        output = self.activation(shape, scale, zero_point)
        self.builder.op(kind, inputs, [output], version, **options)
        return output

    def same(self, kind: str, source: int, inputs: Sequence[int] = (), **options: Any) -> int:
        """An op that keeps its input's shape, scale and zero point."""
        scale, zero_point = self._scales[source]
        return self.layer(kind, [source, *inputs], self._shapes[source], scale=scale, zero_point=zero_point, **options)

    def reshaped(self, kind: str, source: int, shape: Sequence[int], inputs: Sequence[int] = (), **options: Any) -> int:
        """An op that keeps its input's scale and zero point."""
        scale, zero_point = self._scales[source]
        return self.layer(kind, [source, *inputs], shape, scale=scale, zero_point=zero_point, **options)

    def conv(self, source: int, filters: int, size: int, stride: int = 1, groups: int = 1, **options: Any) -> int:
        n, h, w, c = self._shapes[source]
        weights, scales = self.weights((filters, size, size, c // groups), 0)
        shape = (n, -(-h // stride), -(-w // stride), filters)
        inputs = [source, weights, self.bias(source, scales)]
        return self.layer("CONV_2D", inputs, shape, version=3, padding="SAME", stride_h=stride, stride_w=stride, **options)

    def depthwise(self, source: int, size: int = 3, **options: Any) -> int:
        n, h, w, c = self._shapes[source]
        weights, scales = self.weights((1, size, size, c), 3)
        inputs = [source, weights, self.bias(source, scales)]
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1} | options
        return self.layer("DEPTHWISE_CONV_2D", inputs, (n, h, w, c), version=3, **options)

    def dense(self, source: int, units: int) -> int:
        weights, scales = self.weights((units, self._shapes[source][-1]), None)
        return self.layer("FULLY_CONNECTED", [source, weights, self.bias(source, scales, units)], (1, units), version=4)

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self.builder.inputs(*inputs)
        self.builder.outputs(*outputs)
        return self.builder.build()


def tiny_classifier() -> bytes:
    """[1, 8, 8, 1] to 4 classes, shaped like what the converter makes of a small residual network with a free batch."""
    net = Net(batch_signature=True)
    x = net.activation((1, 8, 8, 1), name="serving_default_input:0")
    y = net.conv(x, 4, 3, stride=2, activation="RELU")
    z = net.depthwise(y, activation="RELU6")
    z = net.conv(z, 4, 1)
    y = net.layer("ADD", [y, z], (1, 4, 4, 4), version=2, activation="RELU")
    y = net.reshaped(
        "AVERAGE_POOL_2D", y, (1, 1, 1, 4), version=2, padding="VALID", stride_h=4, stride_w=4, filter_height=4, filter_width=4
    )
    y = net.reshaped("RESHAPE", y, (1, 4), [net.constant([-1, 4])], new_shape=(-1, 4))
    y = net.dense(y, 4)
    y = net.layer("SOFTMAX", [y], (1, 4), scale=1 / 256, zero_point=-128, version=2, beta=1.0)
    return net.build([x], [y])


def three_roundings() -> bytes:
    """[1, 16, 16, 8]: deep and wide enough that LiteRT's three families of kernels give three different outputs for most inputs."""
    net = Net()
    x = net.activation((1, 16, 16, 8))
    y = net.depthwise(net.conv(x, 32, 3))
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    return net.build([x], [net.reshaped("AVERAGE_POOL_2D", y, (1, 8, 8, 32), version=2, **pool)])


def every_op() -> bytes:
    """Every op that the aot engine knows, in one graph of [1, 8, 8, 4] that TFLM runs."""
    net = Net()
    x = net.activation((1, 8, 8, 4))
    y = net.conv(x, 4, 3, activation="RELU6")
    y = net.conv(y, 4, 3, groups=2)
    y = net.depthwise(y, dilation_h_factor=2, dilation_w_factor=2)
    y = net.layer("ADD", [x, y], (1, 8, 8, 4))
    y = net.layer("SUB", [y, x], (1, 8, 8, 4))
    y = net.layer("MUL", [y, net.constant([[[[3, 5, 7, 9]]]], "int8", scale=0.1)], (1, 8, 8, 4))
    y = net.layer("LOGISTIC", [y], (1, 8, 8, 4), scale=1 / 256, zero_point=-128)
    y = net.layer("TANH", [y], (1, 8, 8, 4), scale=1 / 128, zero_point=0)
    y = net.layer("QUANTIZE", [y], (1, 8, 8, 4))
    y = net.same("RELU", y)
    y = net.same("RELU6", y)
    y = net.same("LEAKY_RELU", y, alpha=0.2)
    y = net.same("PRELU", y, [net.constant([[[10, 20, 30, 40]]], "int8", scale=0.01)])
    y = net.same("HARD_SWISH", y)
    y = net.same("MAXIMUM", y, [x])
    y = net.same("MINIMUM", y, [net.constant([50], "int8", scale=0.05, zero_point=3)])
    y = net.reshaped("PAD", y, (1, 10, 9, 4), [net.constant([[0, 0], [1, 1], [0, 1], [0, 0]])])
    y = net.reshaped("PADV2", y, (1, 10, 10, 4), [net.constant([[0, 0], [0, 0], [1, 0], [0, 0]]), net.constant(5, "int8", 0.05, 3)])
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    a = net.reshaped("AVERAGE_POOL_2D", y, (1, 5, 5, 4), **pool)
    b = net.reshaped("MAX_POOL_2D", y, (1, 5, 5, 4), **pool)
    y = net.layer("CONCATENATION", [a, b], (1, 5, 5, 8), axis=-1)
    halves = [net.activation((1, 5, 5, 4)) for _ in range(2)]
    net.builder.op("SPLIT", [net.constant(3), y], halves, num_splits=2)
    y = net.layer("PACK", halves, (2, 1, 5, 5, 4), values_count=2, axis=0)
    parts = [net.activation((1, 5, 5, 4)) for _ in range(2)]
    net.builder.op("UNPACK", [y], parts, num=2, axis=0)
    y = net.reshaped("RESHAPE", parts[0], (1, 25, 4), [net.constant([1, 25, 4])])
    y = net.reshaped("SQUEEZE", y, (25, 4), squeeze_dims=(0,))
    y = net.reshaped("EXPAND_DIMS", y, (1, 25, 4), [net.constant([0])])
    y = net.reshaped("RESHAPE", y, (1, 5, 5, 4), [net.constant([1, 5, 5, 4])])
    y = net.reshaped("TRANSPOSE", y, (1, 5, 5, 4), [net.constant([0, 2, 1, 3])])
    bounds = [net.constant(v) for v in ([0, 1, 0, 0], [1, 5, 4, 4], [1, 2, 1, 1])]
    y = net.reshaped("STRIDED_SLICE", y, (1, 2, 4, 4), bounds)
    y = net.reshaped("RESIZE_NEAREST_NEIGHBOR", y, (1, 4, 4, 4), [net.constant([4, 4])])
    y = net.reshaped("RESIZE_BILINEAR", y, (1, 8, 8, 4), [net.constant([8, 8])], half_pixel_centers=True)
    weights, scales = net.weights((3, 3, 3, 4), 0)
    inputs = [net.constant([1, 16, 16, 3]), weights, y, net.bias(y, scales)]
    y = net.layer("TRANSPOSE_CONV", inputs, (1, 16, 16, 3), version=3, padding="SAME", stride_h=2, stride_w=2)
    y = net.layer("MEAN", [y, net.constant([1, 2])], (1, 3), keep_dims=False)
    y = net.dense(y, 5)
    y = net.layer("SOFTMAX", [y], (1, 5), scale=1 / 256, zero_point=-128, beta=1.0)
    return net.build([x], [y, parts[1]])


def float_and_half() -> bytes:
    """A float32 dense layer whose weights are float16 behind a DEQUANTIZE, as the converter's float16 mode writes it."""
    b = ModelBuilder()
    rng = np.random.default_rng(_SEED)
    x = b.tensor((1, 6), "float32")
    half = b.tensor((3, 6), "float16", data=rng.standard_normal((3, 6)))
    weights, y = b.tensor((3, 6), "float32"), b.tensor((1, 3), "float32")
    b.op("DEQUANTIZE", [half], [weights], version=3)
    b.op("FULLY_CONNECTED", [x, weights, -1], [y], activation="RELU", keep_num_dims=True)
    b.inputs(x)
    b.outputs(y)
    return b.build()


def int4_weights() -> bytes:
    """A conv whose 27 weights are int4, two a byte."""
    b = ModelBuilder()
    rng = np.random.default_rng(_SEED)
    x = b.tensor((1, 4, 4, 3), "int8", scale=0.1)
    weights = b.tensor((1, 3, 3, 3), "int4", scale=0.2, data=rng.integers(-7, 8, 27))
    y = b.tensor((1, 2, 2, 1), "int8", scale=0.3)
    b.op("CONV_2D", [x, weights], [y], version=7, padding="VALID", stride_h=1, stride_w=1)
    b.inputs(x)
    b.outputs(y)
    return b.build()


def with_custom_op() -> bytes:
    """An op of the user's own, a variable that nobody writes, and a second output that is an input."""
    b = ModelBuilder()
    x = b.tensor((2, 3), "int16", scale=0.1)
    state = b.tensor((2, 3), "int16", scale=0.1, is_variable=True)
    y = b.tensor((2, 3), "float32")
    b.op("CUSTOM:MyFilter", [x, state], [y], version=2)
    b.inputs(x)
    b.outputs(y, x)
    return b.build()


SAMPLES: dict[str, Callable[[], bytes]] = {f.__name__: f for f in (tiny_classifier, every_op, float_and_half, int4_weights, with_custom_op)}
