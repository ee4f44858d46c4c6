"""The numpy oracles on values worked out by hand, and whole graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompress.errors import DataError, ModelError, UnsupportedOpError
from edgecompress.graph import (
    Activation,
    ArithmeticOptions,
    ConcatenationOptions,
    DType,
    Graph,
    LeakyReluOptions,
    PackOptions,
    Padding,
    PoolOptions,
    ReducerOptions,
    ResizeOptions,
    SoftmaxOptions,
    StridedSliceOptions,
)
from edgecompress.numerics.reference import run_reference
from edgecompress.numerics.reference.activation import softmax_exponentials
from edgecompress.numerics.reference.resize import bilinear_axis
from tests.graphs import constant, one_op, tensor

NONE = ArithmeticOptions(Activation.NONE)


def int8(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


def result(graph: Graph, *inputs: np.ndarray) -> list[Any]:
    values = run_reference(graph, inputs)
    outputs = [values[i] for i in graph.outputs]
    return outputs[0].tolist() if len(outputs) == 1 else [o.tolist() for o in outputs]


def test_add_takes_out_scales_and_zero_points() -> None:
    """1.5 - 1.0 = 0.5 with scales 0.5, 0.25 and 0.125, and zero points that move all three."""
    graph = one_op("ADD", [tensor(0, (1,), 0.5, 10), tensor(1, (1,), 0.25, -4)], [tensor(2, (1,), 0.125, 7)], NONE)
    assert result(graph, int8(13), int8(-8)) == [7 + 4]


def test_add_saturates_and_clamps() -> None:
    """100 + 100 stops at 127, at 6 with relu6, and -5 + 0 at 0."""
    tensors = [tensor(0, (1,)), tensor(1, (1,))]
    assert result(one_op("ADD", tensors, [tensor(2, (1,))], NONE), int8(100), int8(100)) == [127]
    relu6 = one_op("ADD", tensors, [tensor(2, (1,))], ArithmeticOptions(Activation.RELU6))
    assert result(relu6, int8(100), int8(100)) == [6]
    assert result(relu6, int8(-5), int8(0)) == [0]


def test_sub_subtracts_the_second_input() -> None:
    """[5, 7] - [1] broadcasts to [4, 6]."""
    graph = one_op("SUB", [tensor(0, (2,)), tensor(1, (1,))], [tensor(2, (2,))], NONE)
    assert result(graph, int8(5, 7), int8(1)) == [4, 6]


def test_mul_of_scalars_has_no_dimensions() -> None:
    """0.5 * 3 times 0.5 * 5 is 15 quarters; a scalar stays a scalar."""
    graph = one_op("MUL", [tensor(0, (), 0.5), tensor(1, (), 0.5)], [tensor(2, (), 0.25)], NONE)
    assert result(graph, np.array(3, np.int8), np.array(5, np.int8)) == 15


def test_prelu_bends_below_zero() -> None:
    """Slope 1/4: -8 becomes -2, 8 stays."""
    slope = tensor(1, (1,), 0.25, 0, data=int8(1))
    assert result(one_op("PRELU", [tensor(0, (2,)), slope], [tensor(2, (2,))]), int8(-8, 8)) == [-2, 8]


def test_maximum_and_minimum_compare_counts() -> None:
    """Element by element."""
    tensors = [tensor(0, (2,)), tensor(1, (2,))]
    assert result(one_op("MAXIMUM", tensors, [tensor(2, (2,))]), int8(1, 5), int8(3, 2)) == [3, 5]
    assert result(one_op("MINIMUM", tensors, [tensor(2, (2,))]), int8(1, 5), int8(3, 2)) == [1, 2]


def test_an_output_scale_near_zero_is_an_error() -> None:
    """ADD to a scale below 2**-19 of the inputs' would abort TFLM."""
    graph = one_op("ADD", [tensor(0, (1,)), tensor(1, (1,))], [tensor(2, (1,), 1e-9)], NONE)
    with pytest.raises(ModelError, match="scale of t2"):
        result(graph, int8(1), int8(1))


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("RELU", [-5, 5, 127], [0, 10, 127]),
        ("RELU6", [-5, 5, 127], [0, 5, 12]),
        ("LEAKY_RELU", [-10, 5, 127], [-2, 10, 127]),
        ("HARD_SWISH", [-6, 0, 6, 12], [0, 0, 12, 24]),
    ],
)
def test_rectifiers(kind: str, given: list[int], expected: list[int]) -> None:
    """From scale 1/2 to 1/4: real numbers stay, but RELU6 keeps the counts."""
    options = LeakyReluOptions(0.1) if kind == "LEAKY_RELU" else NONE
    graph = one_op(kind, [tensor(0, (len(given),), 0.5)], [tensor(1, (len(given),), 0.25)], options)
    assert result(graph, int8(*given)) == expected


def test_logistic_and_tanh_saturate() -> None:
    """0 is one half and 0; 8 is 1 and 1, as far as int8 goes."""
    x = tensor(0, (3,), 0.125)
    assert result(one_op("LOGISTIC", [x], [tensor(1, (3,), 1 / 256, -128)]), int8(-128, 0, 64)) == [-128, 0, 127]
    assert result(one_op("TANH", [x], [tensor(1, (3,), 1 / 128)]), int8(-64, 0, 64)) == [-128, 0, 127]


def test_quantize_between_types() -> None:
    """int8 to uint8 moves by 128; int8 to int16 with a finer scale multiplies."""
    to_uint8 = one_op("QUANTIZE", [tensor(0, (2,), 0.5, -128)], [tensor(1, (2,), 0.5, 0, DType.UINT8)])
    assert result(to_uint8, int8(-128, 127)) == [0, 255]
    to_int16 = one_op("QUANTIZE", [tensor(0, (2,), 0.5, 1)], [tensor(1, (2,), 0.125, 0, DType.INT16)])
    assert result(to_int16, int8(-128, 127)) == [-516, 504]


def test_softmax_shares_one_row() -> None:
    """Two equal elements have one half each; one far above takes all."""
    graph = one_op("SOFTMAX", [tensor(0, (2, 2), 0.25)], [tensor(1, (2, 2), 1 / 256, -128)], SoftmaxOptions(1.0))
    assert result(graph, np.array([[7, 7], [-128, 127]], np.int8)) == [[0, 0], [-128, 127]]


def test_softmax_drops_entries_that_change_nothing() -> None:
    """With scale 1 only exp(0) .. exp(-13) are above 2**-20; with a small scale all 256 differences stay."""
    assert len(softmax_exponentials(1.0, 1.0)) == 14
    assert len(softmax_exponentials(1.0, 0.001)) == 256


def pool_graph(kind: str, padding: Padding, window: int, stride: int, shape: tuple[int, ...], out: tuple[int, ...]) -> Graph:
    options = PoolOptions(padding, stride, stride, window, window)
    return one_op(kind, [tensor(0, shape)], [tensor(1, out)], options)


def test_average_pool_rounds_away_from_zero() -> None:
    """1.5 becomes 2 and -1.5 becomes -2; padding does not count."""
    graph = pool_graph("AVERAGE_POOL_2D", Padding.VALID, 1, 1, (1, 1, 1, 1), (1, 1, 1, 1))
    assert result(graph, np.array([[[[3]]]], np.int8)) == [[[[3]]]]
    wide = pool_graph("AVERAGE_POOL_2D", Padding.SAME, 2, 2, (1, 1, 3, 2), (1, 1, 2, 2))
    assert result(wide, np.array([[[[1, -1], [2, -2], [9, -9]]]], np.int8)) == [[[[2, -2], [9, -9]]]]


def test_max_pool_ignores_padding() -> None:
    """A window over the edge has the largest of what is inside, even if that is -128."""
    graph = pool_graph("MAX_POOL_2D", Padding.SAME, 2, 2, (1, 1, 3, 1), (1, 1, 2, 1))
    assert result(graph, np.array([[[[1], [5], [-128]]]], np.int8)) == [[[[5], [-128]]]]


@pytest.mark.parametrize(("axes", "shape", "expected"), [([0], (1, 2), [[2, 3]]), ([-1, 0], (1, 1), [[3]])])
def test_mean_over_any_axes(axes: list[int], shape: tuple[int, ...], expected: list[Any]) -> None:
    """[[1, 2], [3, 4]]: 2 and 3 over rows, 2.5 over all, rounded away from zero."""
    graph = one_op("MEAN", [tensor(0, (2, 2)), constant(1, axes)], [tensor(2, shape)], ReducerOptions(keep_dims=True))
    assert result(graph, np.array([[1, 2], [3, 4]], np.int8)) == expected


def test_sum_adds_up() -> None:
    """[1, 2, 3] with zero point 1 is 0 + 1 + 2."""
    graph = one_op("SUM", [tensor(0, (3,), 1, 1), constant(1, [0])], [tensor(2, (), 1, 0)], ReducerOptions())
    assert result(graph, int8(1, 2, 3)) == 3


def test_pad_writes_the_zero_point() -> None:
    """PAD surrounds with the output's zero, PADV2 with its value."""
    widths = constant(1, [[1, 2]])
    assert result(one_op("PAD", [tensor(0, (1,), 1, 9), widths], [tensor(2, (4,), 1, 9)]), int8(5)) == [9, 5, 9, 9]
    value = tensor(2, (), data=np.array(-7, np.int8))
    assert result(one_op("PADV2", [tensor(0, (1,)), widths, value], [tensor(3, (4,))]), int8(5)) == [-7, 5, -7, -7]


def test_strided_slice_with_masks_and_negative_strides() -> None:
    """x[::-2, 1] of a 3x2 tensor: backwards by two, the second column, whose axis goes."""
    options = StridedSliceOptions(begin_mask=1, end_mask=1, shrink_axis_mask=2)
    bounds = [constant(1, [0, 1]), constant(2, [0, 0]), constant(3, [-2, 1])]
    graph = one_op("STRIDED_SLICE", [tensor(0, (3, 2)), *bounds], [tensor(4, (2,))], options)
    assert result(graph, np.array([[1, 2], [3, 4], [5, 6]], np.int8)) == [6, 2]


def test_moving_elements() -> None:
    """TRANSPOSE, CONCATENATION, PACK and UNPACK put every element where numpy does."""
    x = np.array([[1, 2], [3, 4]], np.int8)
    pair = [tensor(0, (2, 2)), tensor(1, (2, 2))]
    assert result(one_op("TRANSPOSE", [tensor(0, (2, 2)), constant(1, [1, 0])], [tensor(2, (2, 2))]), x) == [[1, 3], [2, 4]]
    joined = one_op("CONCATENATION", pair, [tensor(2, (2, 4))], ConcatenationOptions(-1))
    assert result(joined, x, x) == [[1, 2, 1, 2], [3, 4, 3, 4]]
    assert result(one_op("PACK", pair, [tensor(2, (2, 2, 2))], PackOptions(1, 2)), x, x) == [[[1, 2], [1, 2]], [[3, 4], [3, 4]]]
    unpacked = one_op("UNPACK", [tensor(0, (2, 2))], [tensor(1, (2,)), tensor(2, (2,))], PackOptions(1, 2))
    assert result(unpacked, x) == [[1, 3], [2, 4]]


def test_resize_doubles_an_image() -> None:
    """Nearest repeats; bilinear with half-pixel centers blends by quarters."""
    x = np.array([[[[0], [100]]]], np.int8)
    tensors = [tensor(0, (1, 1, 2, 1)), constant(1, [1, 4])]
    nearest = one_op("RESIZE_NEAREST_NEIGHBOR", tensors, [tensor(2, (1, 1, 4, 1))], ResizeOptions())
    assert np.array(result(nearest, x)).reshape(-1).tolist() == [0, 0, 100, 100]
    bilinear = one_op("RESIZE_BILINEAR", tensors, [tensor(2, (1, 1, 4, 1))], ResizeOptions(half_pixel_centers=True))
    assert np.array(result(bilinear, x)).reshape(-1).tolist() == [0, 25, 75, 100]


def test_a_bilinear_resize_that_would_read_outside_is_an_error() -> None:
    """From 3 to 150 pixels the rounded step makes TFLM look behind the last pixel."""
    with pytest.raises(ModelError, match="behind the last one"):
        for size in range(100, 200):
            bilinear_axis(3, size, ResizeOptions())


def test_every_tensor_is_kept() -> None:
    """Inputs, constants and results are all there, by index."""
    graph = one_op("ADD", [tensor(0, (1,)), tensor(1, (1,), data=int8(4))], [tensor(2, (1,))], NONE)
    values = run_reference(graph, [int8(3)])
    assert {i: v.tolist() for i, v in values.items()} == {0: [3], 1: [4], 2: [7]}


def test_inputs_are_checked() -> None:
    """A missing input, a wrong shape and a wrong type are named."""
    graph = one_op("RELU", [tensor(0, (2,))], [tensor(1, (2,))])
    with pytest.raises(DataError, match="expected 1 inputs, came 0"):
        run_reference(graph, [])
    with pytest.raises(DataError, match=r"expected int8 \(2,\) for input t0"):
        run_reference(graph, [int8(1)])
    with pytest.raises(DataError, match="came float64"):
        run_reference(graph, [np.zeros(2)])


def test_an_op_without_an_oracle_is_named() -> None:
    """Layer, kind and version stand in the message."""
    with pytest.raises(UnsupportedOpError, match=r"t1: COS version 3 \(op 0\): no numpy oracle"):
        run_reference(one_op("COS", [tensor(0, (2,))], [tensor(1, (2,))], version=3), [int8(1, 2)])
