"""A layer in disguise computes the same bytes, and filters lose the taps that only meet padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecompress.codegen.lower.layers import share_inside
from edgecompress.codegen.lower.views import views, without_dead_taps
from edgecompress.convert import read_tflite
from edgecompress.graph import ConvOptions, Graph, Op, Padding
from edgecompress.numerics.reference import run_reference
from tests.edge_families import edge_conv2d, edge_depthwise
from tests.graphs import constant, one_op, tensor
from tests.op_cases import Family, OpCases


def convolution(h: int, w: int, size: int, stride: int, dilation: int = 1) -> tuple[Graph, Op]:
    """A convolution of one channel with SAME padding."""
    options = ConvOptions(Padding.SAME, stride, stride, dilation, dilation)
    weights = np.arange(size * size, dtype=np.int8).reshape(1, size, size, 1)
    output = tensor(2, (1, -(-h // stride), -(-w // stride), 1))
    graph = one_op("CONV_2D", (tensor(0, (1, h, w, 1)), constant(1, weights)), (output,), options)
    return graph, graph.ops[0]


def weights_of(graph: Graph, op: Op) -> list[list[int]]:
    data = graph.tensor(op.inputs[1]).data
    assert data is not None
    return data[0, :, :, 0].tolist()


@pytest.mark.parametrize(
    ("image", "filter_size", "stride", "dilation", "kept"),
    [
        ((1, 1), 3, 1, 1, [[4]]),
        ((1, 9), 3, 1, 1, [[3, 4, 5]]),
        ((9, 1), 3, 1, 1, [[1], [4], [7]]),
        ((2, 2), 3, 2, 1, [[0, 1], [3, 4]]),
        ((2, 2), 5, 1, 1, [[6, 7, 8], [11, 12, 13], [16, 17, 18]]),
        ((1, 1), 3, 9, 3, [[4]]),
        ((1, 1), 4, 1, 1, [[5]]),
    ],
)
def test_taps_that_only_meet_padding_are_left_out(
    image: tuple[int, int], filter_size: int, stride: int, dilation: int, kept: list[list[int]]
) -> None:
    """What stays is the block of taps that meet the image in some window."""
    assert weights_of(*without_dead_taps(*convolution(*image, filter_size, stride, dilation))) == kept


@pytest.mark.parametrize(("image", "filter_size", "stride"), [((2, 2), 3, 1), ((3, 3), 5, 1), ((8, 8), 3, 2)])
def test_filters_whose_taps_all_live_stay(image: tuple[int, int], filter_size: int, stride: int) -> None:
    """The very same graph and op come back."""
    graph, op = convolution(*image, filter_size, stride)
    assert without_dead_taps(graph, op) == (graph, op)


def test_a_share_of_the_taps_is_inside() -> None:
    """On 2x2 pixels four of nine taps of each window are inside, on 8x8 all but the border's."""
    for side, share in ((2, 4 / 9), (8, (22 / 24) ** 2)):
        graph, op = convolution(side, side, 3, 1)
        assert isinstance(op.options, ConvOptions)
        source, weights, output = graph.tensor(0), graph.tensor(1), graph.tensor(2)
        assert share_inside(op.options, source, weights, output) == pytest.approx(share)


@pytest.mark.parametrize("family", [edge_conv2d, edge_depthwise])
def test_views_compute_the_same_bytes(family: Family) -> None:
    """Random layers at the edges of a window: the oracle gives a cropped layer's bytes, and those of each of its views."""
    data, values = OpCases(3).grow(family, 120).build()
    graph = read_tflite(data, name="layers")
    expected = run_reference(graph, values)
    cropped = turned = 0
    for op in graph.ops:
        live, alive = without_dead_taps(graph, op)
        cropped += live is not graph
        for view, viewed in ((live, alive), *views(live, alive)):
            turned += viewed.kind != op.kind
            source = view.tensor(op.inputs[0])
            alone = replace(view, ops=(viewed,), inputs=(op.inputs[0],), outputs=op.outputs)
            came = run_reference(alone, [expected[op.inputs[0]].reshape(source.shape)])[op.outputs[0]]
            np.testing.assert_array_equal(came.reshape(-1), expected[op.outputs[0]].reshape(-1), f"{op.options} {source.shape}")
    assert cropped > 20
    assert turned > 0


def _classifier(filters: int, *, dense_beside: bool = False) -> list[str]:
    """The kinds of a 1x1 layer on one pixel of 256 channels, best first."""
    c = OpCases(9)
    x = c.input((1, 1, 1, 256), scale=0.05, zero_point=0)
    scales = np.full(filters, 0.01, np.float32)
    weights = c.constant(c.data((filters, 1, 1, 256)), "int8", scale=scales, axis=0)
    out = c.output((1, 1, 1, filters), scale=1.0, zero_point=0)
    c.builder.op("CONV_2D", [x, weights], [out], padding="VALID", stride_h=1, stride_w=1)
    if dense_beside:
        flat = c.input((1, 4), scale=0.05, zero_point=0)
        c.builder.op("FULLY_CONNECTED", [flat, c.constant(c.data((1, 4)), "int8", scale=0.01)], [c.output((1, 1), scale=1.0, zero_point=0)])
    graph = read_tflite(c.build()[0], name="net")
    return [op.kind for _, op in views(graph, graph.ops[0])]


def test_a_small_single_window_brings_no_dense_kernel_in() -> None:
    """Two classes of 256 channels stay a convolution first, sixteen do not, nor two where the dense kernel is there anyway."""
    assert _classifier(2)[0] == "CONV_2D"
    assert _classifier(16)[0] == _classifier(2, dense_beside=True)[0] == "FULLY_CONNECTED"
