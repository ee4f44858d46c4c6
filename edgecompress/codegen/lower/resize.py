"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR as calls of ec_resize.h."""

from __future__ import annotations

import numpy as np

from edgecompress.codegen.lower.conv import image_shape
from edgecompress.codegen.lower.rules import Lowering, input_tensor, output_tensor, require_int8, unsupported
from edgecompress.codegen.program import Constant, Field, Names, ParamsArg, Step, TensorArg
from edgecompress.graph import Graph, Op, ResizeOptions, Tensor
from edgecompress.numerics.reference.resize import BilinearAxis, bilinear_axis, nearest_sources

_LARGEST_SIDE = 65535


def lower_nearest(graph: Graph, op: Op, names: Names) -> Step:
    """Images of any element type of whole bytes.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    x, out, options = _images(graph, op)
    if x.dtype is not out.dtype or x.dtype.bits % 8 or x.dtype.bits == 0:
        raise unsupported(graph, op, f"expected one type of whole bytes, came {x.dtype.value} and {out.dtype.value}")
    rows = nearest_sources(x.shape[1], out.shape[1], options)
    columns = nearest_sources(x.shape[2], out.shape[2], options)
    params: dict[str, Field] = {
        "batches": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "out_h": out.shape[1],
        "out_w": out.shape[2],
        "pixel_bytes": x.shape[3] * x.dtype.bits // 8,
        "rows": Constant(names.constant("rows"), "uint16_t", np.array(rows, np.uint16), "input row of every output row"),
        "columns": Constant(names.constant("columns"), "uint16_t", np.array(columns, np.uint16), "input column of every output column"),
    }
    return _step(op, "ec_resize_nearest", ParamsArg("ec_resize_nearest_params", params), x, out)


def lower_bilinear(graph: Graph, op: Op, names: Names) -> Step:
    """int8 images; the quantization stays.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    x, out, options = _images(graph, op)
    require_int8(graph, op, x, out)
    params: dict[str, Field] = {
        "batches": x.shape[0],
        "in": image_shape(x),
        "out": image_shape(out),
        "rows": _axis_fields(bilinear_axis(x.shape[1], out.shape[1], options)),
        "columns": _axis_fields(bilinear_axis(x.shape[2], out.shape[2], options)),
    }
    return _step(op, "ec_resize_bilinear_s8", ParamsArg("ec_resize_bilinear_params", params), x, out)


def _axis_fields(axis: BilinearAxis) -> dict[str, Field]:
    return {"step": axis.step, "start": axis.start}


def _images(graph: Graph, op: Op) -> tuple[Tensor, Tensor, ResizeOptions]:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    if not isinstance(op.options, ResizeOptions):
        raise unsupported(graph, op, "its options are missing")
    if len(x.shape) != 4 or len(out.shape) != 4 or (x.shape[0], x.shape[3]) != (out.shape[0], out.shape[3]):
        raise unsupported(graph, op, f"expected NHWC images with as many channels, came {x.shape} and {out.shape}")
    if min(*x.shape, *out.shape) < 1 or max(*x.shape[1:3], *out.shape[1:3]) > _LARGEST_SIDE:
        raise unsupported(graph, op, f"expected sides of 1 to {_LARGEST_SIDE} pixels, came {x.shape} and {out.shape}")
    return x, out, op.options


def _step(op: Op, function: str, params: ParamsArg, x: Tensor, out: Tensor) -> Step:
    reads = () if x.is_constant else (x.index,)
    arguments = (params, TensorArg(x.index), TensorArg(out.index))
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,))


LOWER: dict[str, Lowering] = {"RESIZE_NEAREST_NEIGHBOR": lower_nearest, "RESIZE_BILINEAR": lower_bilinear}
