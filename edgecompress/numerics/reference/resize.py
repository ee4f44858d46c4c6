"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR on NHWC images.

Nearest: every output row and column has one source, worked out in float32 as TFLM does it; the C side gets the sources as a table.
Bilinear: positions in 1/1024 pixels, all in integers. C twins: firmware/kernels/portable/ec_resize_nearest_s8.c, ec_resize_bilinear_s8.c.
Source: tensorflow/lite/kernels/internal/reference/resize_{nearest_neighbor,bilinear}.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Op, ResizeOptions
from edgecompress.numerics.affine import round_half_away
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, no_oracle, require_types, tensors_of

_UNIT = 1 << 10


def nearest_sources(in_size: int, out_size: int, options: ResizeOptions) -> tuple[int, ...]:
    """For every output position along one axis, the input position that it copies."""
    aligned = options.align_corners and out_size > 1
    scale = np.float32(in_size - 1) / np.float32(out_size - 1) if aligned else np.float32(in_size) / np.float32(out_size)
    offset = np.float32(0.5 if options.half_pixel_centers else 0.0)
    positions = (np.arange(out_size, dtype=np.float32) + offset) * scale
    # TFLM asks align_corners here even when there is one output only.
    rounded = (round_half_away(float(p)) if options.align_corners else int(np.floor(p)) for p in positions)
    return tuple(min(source, in_size - 1) for source in rounded)


def resize_nearest(x: Array, rows: tuple[int, ...], columns: tuple[int, ...]) -> Array:
    """[batches, h, w, c] -> [batches, len(rows), len(columns), c] with the sources of `nearest_sources`."""
    return x[:, list(rows)][:, :, list(columns)]


@dataclass(frozen=True)
class BilinearAxis:
    """Positions along one axis: output i looks at `i * step + start`, in 1/1024 of an input pixel."""

    step: int
    start: int
    in_size: int
    out_size: int

    def taps(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """For every output position: the input positions before and after it, and how far it is from the first, in 1/1024."""
        position = np.arange(self.out_size, dtype=np.int64) * self.step + self.start
        # C's division truncates towards zero.
        before = np.maximum(np.sign(position) * (np.abs(position) // _UNIT), 0)
        after = np.minimum((position + _UNIT - 1) // _UNIT, self.in_size - 1)
        return before, np.maximum(after, 0), position - before * _UNIT


def bilinear_axis(in_size: int, out_size: int, options: ResizeOptions) -> BilinearAxis:
    """Positions of a bilinear resize along one axis.

    Raises:
        ModelError: both align_corners and half_pixel_centers; or sizes for which TFLM's rounding looks behind the last pixel.
    """
    if options.align_corners and options.half_pixel_centers:
        raise ModelError("RESIZE_BILINEAR: expected align_corners or half_pixel_centers, came both")
    if options.align_corners and out_size > 1:
        step = (_UNIT * (in_size - 1) + (out_size - 1) // 2) // (out_size - 1)
    else:
        step = (_UNIT * in_size + out_size // 2) // out_size
    axis = BilinearAxis(step, step // 2 - _UNIT // 2 if options.half_pixel_centers else 0, in_size, out_size)
    before, _, fraction = axis.taps()
    # Weights stay in [-1024, 2048] then: 128 * 3072**2 < 2**31.
    if before.max() >= in_size or fraction.min() < -_UNIT or fraction.max() > 2 * _UNIT:
        raise ModelError(f"RESIZE_BILINEAR: {in_size} to {out_size} pixels would read behind the last one", hint="enlarge in two steps")
    return axis


def resize_bilinear(x: NDArray[np.int8], rows: BilinearAxis, columns: BilinearAxis) -> NDArray[np.int8]:
    """[batches, h, w, c] -> [batches, rows.out_size, columns.out_size, c], halves away from zero."""
    y0, y1, fy = rows.taps()
    x0, x1, fx = columns.taps()
    image = x.astype(np.int64)
    wy, wx = fy[:, None, None], fx[:, None]
    top = image[:, y0][:, :, x0] * (_UNIT - wx) + image[:, y0][:, :, x1] * wx
    bottom = image[:, y1][:, :, x0] * (_UNIT - wx) + image[:, y1][:, :, x1] * wx
    total = top * (_UNIT - wy) + bottom * wy
    rounded: NDArray[np.int64] = np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)
    return rounded.astype(np.int8)


def _options(graph: Graph, op: Op) -> ResizeOptions:
    if not isinstance(op.options, ResizeOptions):
        raise no_oracle(graph, op, "the options are missing")
    return op.options


def evaluate_nearest(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    options = _options(graph, op)
    rows = nearest_sources(x.shape[1], out.shape[1], options)
    return (resize_nearest(values[0], rows, nearest_sources(x.shape[2], out.shape[2], options)),)


def evaluate_bilinear(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    require_types(graph, op, (x, out), DType.INT8)
    options = _options(graph, op)
    rows = bilinear_axis(x.shape[1], out.shape[1], options)
    return (resize_bilinear(values[0], rows, bilinear_axis(x.shape[2], out.shape[2], options)),)


REFERENCE: dict[str, Oracle] = {
    "RESIZE_NEAREST_NEIGHBOR": evaluate_nearest,
    "RESIZE_BILINEAR": evaluate_bilinear,
}
