"""The graph noun: sizes, constants, and how multiply-accumulates are counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecompress.graph import (
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    NoOptions,
    Op,
    Padding,
    Quantization,
    Tensor,
    TransposeConvOptions,
    as_identifier,
    count_macs,
)


def tensor(index: int, shape: tuple[int, ...], dtype: DType = DType.INT8, *, constant: bool = False) -> Tensor:
    data = np.zeros(shape, np.int8) if constant else None
    return Tensor(index, f"t{index}", shape, dtype, data=data)


def graph(tensors: list[Tensor], *ops: Op) -> Graph:
    return Graph("toy", "00", 0, tuple(tensors), ops, inputs=(0,), outputs=(len(tensors) - 1,))


def loop_macs_conv(output: tuple[int, ...], filter_: tuple[int, ...]) -> int:
    """Products of a convolution by its definition: per output element, one per filter tap and input channel."""
    return sum(1 for _ in np.ndindex(*output) for _ in np.ndindex(*filter_[1:]))


def test_macs_of_a_convolution_are_those_of_its_loops():
    """A 3x3 convolution over 2 channels into [1,4,4,5] multiplies as often as the loops that define it."""
    tensors = [tensor(0, (1, 4, 4, 2)), tensor(1, (5, 3, 3, 2), constant=True), tensor(2, (1, 4, 4, 5))]
    op = Op(0, "CONV_2D", 1, (0, 1, -1), (2,), ConvOptions(Padding.SAME, 1, 1))
    assert count_macs(graph(tensors, op), op) == loop_macs_conv((1, 4, 4, 5), (5, 3, 3, 2))


def test_macs_of_a_grouped_convolution_count_its_group_only():
    """Each output channel sees the filter's input channels, not the input's."""
    tensors = [tensor(0, (1, 4, 4, 8)), tensor(1, (6, 1, 1, 4), constant=True), tensor(2, (1, 4, 4, 6))]
    op = Op(0, "CONV_2D", 1, (0, 1), (2,), ConvOptions(Padding.VALID, 1, 1))
    assert count_macs(graph(tensors, op), op) == 4 * 4 * 6 * 4


def test_macs_of_a_depthwise_convolution_do_not_cross_channels():
    """Each output element takes one product per filter tap."""
    tensors = [tensor(0, (1, 5, 5, 3)), tensor(1, (1, 3, 3, 6), constant=True), tensor(2, (1, 3, 3, 6))]
    op = Op(0, "DEPTHWISE_CONV_2D", 1, (0, 1), (2,), DepthwiseConvOptions(Padding.VALID, 1, 1, depth_multiplier=2))
    assert count_macs(graph(tensors, op), op) == 3 * 3 * 6 * 9


def test_macs_of_a_transposed_convolution_go_by_its_input():
    """Each input element is multiplied by every tap of every output channel."""
    tensors = [tensor(0, (4,), DType.INT32, constant=True), tensor(1, (3, 2, 2, 5), constant=True), tensor(2, (1, 4, 4, 5))]
    tensors.append(tensor(3, (1, 8, 8, 3)))
    op = Op(0, "TRANSPOSE_CONV", 1, (0, 1, 2), (3,), TransposeConvOptions(Padding.VALID, 2, 2))
    assert count_macs(graph(tensors, op), op) == (4 * 4 * 5) * (3 * 2 * 2)


def test_macs_of_a_dense_layer_are_rows_times_columns():
    """Rows of the batch times inputs times outputs; other kinds count nothing."""
    tensors = [tensor(0, (2, 64)), tensor(1, (10, 64), constant=True), tensor(2, (2, 10)), tensor(3, (2, 10))]
    dense = Op(0, "FULLY_CONNECTED", 1, (0, 1, -1), (2,), FullyConnectedOptions())
    softmax = Op(1, "SOFTMAX", 1, (2,), (3,), NoOptions())
    whole = graph(tensors, dense, softmax)
    assert count_macs(whole, dense) == 2 * 64 * 10
    assert count_macs(whole, softmax) == 0
    assert whole.macs == 2 * 64 * 10
    assert whole.parameters == 640


def test_a_constant_that_two_ops_share_is_one():
    """Shared weights are stored, and counted, once."""
    tensors = [tensor(0, (1, 4)), tensor(1, (4, 4), constant=True), tensor(2, (1, 4)), tensor(3, (1, 4))]
    ops = [Op(0, "FULLY_CONNECTED", 1, (0, 1), (2,)), Op(1, "FULLY_CONNECTED", 1, (2, 1), (3,))]
    whole = graph(tensors, *ops)
    assert whole.parameters == 16
    assert [t.index for t in whole.constants()] == [1]


def test_an_input_left_out_is_none():
    """An optional input of -1 is no tensor."""
    tensors = [tensor(0, (1, 4)), tensor(1, (4, 4), constant=True), tensor(2, (1, 4))]
    op = Op(0, "FULLY_CONNECTED", 1, (0, 1, -1), (2,))
    assert graph(tensors, op).op_inputs(op)[2] is None


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [(DType.INT8, (2, 3), 6), (DType.INT4, (5,), 3), (DType.INT32, (), 4), (DType.FLOAT32, (0, 4), 0), (DType.BOOL, (7,), 7)],
)
def test_bytes_of_a_tensor_round_up(dtype, shape, expected):
    """Storage in whole bytes: packed int4 rounds up, a scalar has one element, an empty tensor has none."""
    one = tensor(0, shape, dtype)
    assert one.elements == math.prod(shape)
    assert one.bytes == expected


def test_a_single_scale_is_asked_for_only_where_there_is_one():
    """Per-channel and missing quantization have no scale of the tensor."""
    per_tensor = Quantization((0.5,), (3,))
    assert (per_tensor.scale, per_tensor.zero_point, per_tensor.per_channel) == (0.5, 3, False)
    per_channel = Quantization((0.5, 0.25), (0, 0), axis=0)
    with pytest.raises(ValueError, match="2 channels"):
        _ = per_channel.scale
    with pytest.raises(ValueError, match="not quantized"):
        _ = tensor(0, (1,)).scale


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("KWS small-v2.tflite", "kws_small_v2"),
        ("/a/b/model.TFLITE", "model"),
        ("3d.tflite", "model_3d"),
        ("..tflite", "model"),
        ("é.tflite", "model"),
        ("a\\b\\c.tflite", "c"),
        ("", "model"),
    ],
)
def test_names_become_c_identifiers(text, name):
    """Any file name gives an identifier, and a plain one keeps its words."""
    assert as_identifier(text) == name
    assert as_identifier(text).isidentifier()
