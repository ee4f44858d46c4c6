"""PAD, PADV2, TRANSPOSE, STRIDED_SLICE, CONCATENATION, SPLIT, PACK, UNPACK as calls of ec_shape.h; RESHAPE and its kin as other names.

These only move elements, so they take every type of whole bytes. What moves nothing is another name for its input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecompress.codegen.lower.loops import Loop, contiguous_strides, fill_loops, merge_loops, split_block
from edgecompress.codegen.lower.rules import Lowering, constant_input, input_tensor, output_tensor, unsupported
from edgecompress.codegen.program import Alias, Constant, ConstantArg, LiteralArg, Names, ParamsArg, PointerArray, Step, TensorArg
from edgecompress.graph import Activation, ConcatenationOptions, DType, Graph, Op, PackOptions, StridedSliceOptions, Tensor
from edgecompress.numerics.reference.shape import pad_value, pad_widths, resolve_axis, slice_axes

PAD_RANK = 4
"""EC_PAD_RANK of ec_shape.h."""
COPY_RANK = 5
"""EC_COPY_RANK of ec_shape.h."""


def lower_pad(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """PAD with the output's zero, PADV2 with a constant.

    Raises:
        UnsupportedOpError: a type, shape or value that the kernel does not take.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    unit = _element_bytes(graph, op, x, out)
    widths = pad_widths(_integers(graph, op, 1), len(x.shape))
    _require_shape(graph, op, out, [size + before + after for size, (before, after) in zip(x.shape, widths, strict=True)])
    if x.elements == out.elements:
        return Alias(op.index, x.index, out.index)
    steps = contiguous_strides(out.shape, unit)
    rows, row_bytes = split_block(merge_loops((*x.shape, unit), (*steps, 1)))
    params = {
        **_loop_fields(graph, op, rows, PAD_RANK),
        "offset": sum(before * step for (before, _), step in zip(widths, steps, strict=True)),
        "row_bytes": row_bytes,
        "out_bytes": out.elements * unit,
        "fill": _fill_byte(graph, op, out),
    }
    return _step(op, "ec_pad", ParamsArg("ec_pad_params", params), x, out)


def _fill_byte(graph: Graph, op: Op, out: Tensor) -> int:
    """The byte, as int8, that makes up every element around the input."""
    value = constant_input(graph, op, 2).data if len(op.inputs) > 2 else None
    count = pad_value(out, value)
    octets = set((count & ((1 << out.dtype.bits) - 1)).to_bytes(out.dtype.bits // 8, "little"))
    if len(octets) != 1:
        raise unsupported(graph, op, f"expected a value of equal bytes, came {count} as {out.dtype.value}")
    octet = octets.pop()
    return octet - 256 if octet > 127 else octet


def lower_transpose(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A constant permutation.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    unit = _element_bytes(graph, op, x, out)
    order = _integers(graph, op, 1)
    if sorted(order) != list(range(len(x.shape))):
        raise unsupported(graph, op, f"expected a permutation of {len(x.shape)} axes, came {order}")
    _require_shape(graph, op, out, [x.shape[axis] for axis in order])
    strides = contiguous_strides(x.shape, unit)
    return _gather(graph, op, x, out, [strides[axis] for axis in order], 0)


def lower_strided_slice(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """Constant begin, end and strides of either sign; begin, end and shrink masks.

    Raises:
        UnsupportedOpError: a type, shape or mask that the kernel does not take.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    unit = _element_bytes(graph, op, x, out)
    if not isinstance(op.options, StridedSliceOptions):
        raise unsupported(graph, op, "its options are missing")
    begin, end, steps = (_integers(graph, op, position) for position in (1, 2, 3))
    axes = slice_axes(x.shape, begin, end, steps, op.options)
    _require_shape(graph, op, out, [axis.count for axis in axes if axis.kept])
    strides = contiguous_strides(x.shape, unit)
    offset = sum(axis.start * stride for axis, stride in zip(axes, strides, strict=True))
    kept = [axis.step * stride for axis, stride in zip(axes, strides, strict=True) if axis.kept]
    return _gather(graph, op, x, out, kept, offset)


def _gather(graph: Graph, op: Op, x: Tensor, out: Tensor, strides: Sequence[int], offset: int) -> Step | Alias:
    """Blocks of x in the order of out; strides and offset in bytes of x."""
    unit = out.dtype.bits // 8
    blocks, block_bytes = split_block(merge_loops((*out.shape, unit), (*strides, 1)))
    if block_bytes == x.elements * unit:
        return Alias(op.index, x.index, out.index)
    params = {**_loop_fields(graph, op, blocks, COPY_RANK), "offset": offset, "block_bytes": block_bytes}
    return _step(op, "ec_copy_strided", ParamsArg("ec_copy_params", params), x, out)


def lower_concatenation(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """Any number of inputs, constants too, all in the output's quantization.

    Raises:
        UnsupportedOpError: a type, shape, activation or quantization that the kernel does not take.
    """
    out, inputs = output_tensor(graph, op), [input_tensor(graph, op, n) for n in range(len(op.inputs))]
    if not isinstance(op.options, ConcatenationOptions) or op.options.activation is not Activation.NONE:
        raise unsupported(graph, op, "expected no fused activation")
    axis = resolve_axis(op.options.axis, len(out.shape))
    _require_same_scale(graph, op, inputs, out)
    _require_shape(graph, op, out, _joined_shape(graph, op, inputs, axis))
    return _join(graph, op, names, inputs, out, math.prod(out.shape[:axis]))


def _joined_shape(graph: Graph, op: Op, inputs: Sequence[Tensor], axis: int) -> list[int]:
    shapes = {(*t.shape[:axis], *t.shape[axis + 1 :]) for t in inputs}
    if len(shapes) != 1 or len({len(t.shape) for t in inputs}) != 1:
        raise unsupported(graph, op, f"expected shapes that differ along axis {axis} only, came {[t.shape for t in inputs]}")
    first = inputs[0].shape
    return [*first[:axis], sum(t.shape[axis] for t in inputs), *first[axis + 1 :]]


def _require_same_scale(graph: Graph, op: Op, inputs: Sequence[Tensor], out: Tensor) -> None:
    """TFLM's rule for int8: nothing is rescaled here."""
    for tensor in inputs:
        if out.dtype is DType.INT8 and tensor.quantization != out.quantization:
            raise unsupported(
                graph,
                op,
                f"expected {tensor.name} in the output's quantization {out.quantization}, came {tensor.quantization}",
                "convert again: the converter puts a QUANTIZE before such an input",
            )


def lower_pack(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """Any number of inputs of one shape, constants too.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    out, inputs = output_tensor(graph, op), [input_tensor(graph, op, n) for n in range(len(op.inputs))]
    if not isinstance(op.options, PackOptions) or len({t.shape for t in inputs}) != 1:
        raise unsupported(graph, op, f"expected inputs of one shape, came {[t.shape for t in inputs]}")
    axis = resolve_axis(op.options.axis, len(inputs[0].shape) + 1)
    shape = inputs[0].shape
    _require_shape(graph, op, out, [*shape[:axis], len(inputs), *shape[axis:]])
    return _join(graph, op, names, inputs, out, math.prod(shape[:axis]))


def _join(graph: Graph, op: Op, names: Names, inputs: Sequence[Tensor], out: Tensor, blocks: int) -> Step | Alias:
    _element_bytes(graph, op, *inputs, out)
    if len(inputs) == 1:
        return Alias(op.index, inputs[0].index, out.index)
    reads = tuple(dict.fromkeys(t.index for t in inputs if not t.is_constant))
    arguments = (
        PointerArray(tuple(t.index for t in inputs), writes=False),
        _block_bytes(names, inputs, blocks),
        LiteralArg(len(inputs)),
        LiteralArg(blocks),
        TensorArg(out.index),
    )
    return Step((op.index,), "ec_join", "kernels/portable/ec_join.c", arguments, reads, (out.index,))


def lower_split(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """Equal parts along a constant axis.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    x = input_tensor(graph, op, 1)
    axis = resolve_axis(_integers(graph, op, 0)[0], len(x.shape))
    part = [*x.shape[:axis], x.shape[axis] // len(op.outputs), *x.shape[axis + 1 :]]
    return _split(graph, op, names, x, part, math.prod(x.shape[:axis]))


def lower_unpack(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """One output for each position along an axis.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    x = input_tensor(graph, op, 0)
    if not isinstance(op.options, PackOptions):
        raise unsupported(graph, op, "its options are missing")
    axis = resolve_axis(op.options.axis, len(x.shape))
    return _split(graph, op, names, x, [*x.shape[:axis], *x.shape[axis + 1 :]], math.prod(x.shape[:axis]))


def _split(graph: Graph, op: Op, names: Names, x: Tensor, part: Sequence[int], blocks: int) -> Step | Alias:
    outputs = [output_tensor(graph, op, n) for n in range(len(op.outputs))]
    _element_bytes(graph, op, x, *outputs)
    for out in outputs:
        _require_shape(graph, op, out, part)
    if sum(out.elements for out in outputs) != x.elements:
        raise unsupported(graph, op, f"{len(outputs)} parts of {tuple(part)} are not {x.shape}")
    if len(outputs) == 1:
        return Alias(op.index, x.index, outputs[0].index)
    written = tuple(t.index for t in outputs)
    arguments = (
        TensorArg(x.index),
        _block_bytes(names, outputs, blocks),
        LiteralArg(len(outputs)),
        LiteralArg(blocks),
        PointerArray(written, writes=True),
    )
    return Step((op.index,), "ec_split", "kernels/portable/ec_split.c", arguments, () if x.is_constant else (x.index,), written)


def _block_bytes(names: Names, tensors: Sequence[Tensor], blocks: int) -> ConstantArg:
    sizes = np.array([t.bytes // max(blocks, 1) for t in tensors], np.int32)
    return ConstantArg(Constant(names.constant("block_bytes"), "int32_t", sizes, "bytes of one block of every tensor"))


def lower_rename(graph: Graph, op: Op, names: Names) -> Alias:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes.

    Raises:
        UnsupportedOpError: the bytes are not as many.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    if x.elements != out.elements or x.dtype is not out.dtype:
        raise unsupported(graph, op, f"expected {x.elements} elements of {x.dtype.value}, came {out.elements} of {out.dtype.value}")
    return Alias(op.index, x.index, out.index)


def _integers(graph: Graph, op: Op, position: int) -> list[int]:
    tensor = constant_input(graph, op, position)
    if tensor.dtype not in (DType.INT32, DType.INT64) or tensor.data is None:
        raise unsupported(graph, op, f"expected int32 or int64 in {tensor.name}, came {tensor.dtype.value}")
    return [int(n) for n in tensor.data.reshape(-1)]


def _element_bytes(graph: Graph, op: Op, *tensors: Tensor) -> int:
    """Bytes of one element: all tensors have one type, of whole bytes."""
    types = {t.dtype for t in tensors}
    bits = tensors[0].dtype.bits
    if len(types) != 1 or bits == 0 or bits % 8:
        raise unsupported(graph, op, f"expected one type of whole bytes, came {sorted(t.value for t in types)}")
    return bits // 8


def _require_shape(graph: Graph, op: Op, out: Tensor, shape: Sequence[int]) -> None:
    if out.shape != tuple(shape):
        raise unsupported(graph, op, f"expected an output of shape {tuple(shape)}, came {out.shape}")


def _loop_fields(graph: Graph, op: Op, loops: Sequence[Loop], rank: int) -> dict[str, int | tuple[int, ...]]:
    if len(loops) > rank:
        raise unsupported(graph, op, f"expected a walk of at most {rank} loops, came {len(loops)}")
    filled = fill_loops(loops, rank, 1)
    return {"extents": tuple(loop.extent for loop in filled), "strides": tuple(loop.strides[0] for loop in filled)}


def _step(op: Op, function: str, params: ParamsArg, x: Tensor, out: Tensor) -> Step:
    arguments = (params, TensorArg(x.index), TensorArg(out.index))
    reads = () if x.is_constant else (x.index,)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,))


LOWER: dict[str, Lowering] = {
    "PAD": lower_pad,
    "PADV2": lower_pad,
    "TRANSPOSE": lower_transpose,
    "STRIDED_SLICE": lower_strided_slice,
    "CONCATENATION": lower_concatenation,
    "PACK": lower_pack,
    "SPLIT": lower_split,
    "UNPACK": lower_unpack,
    "RESHAPE": lower_rename,
    "SQUEEZE": lower_rename,
    "EXPAND_DIMS": lower_rename,
}
