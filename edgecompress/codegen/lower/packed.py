"""Layers computed from packed weights (ec_packed.h): the portable step with its weights in fewer bits.

Slower than a kernel for the instruction set, so a layer is packed only where flash counts (`Optimize.SIZE`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.packed_weights import PackedWeights, pack_weights
from edgecompress.codegen.lower.rules import input_tensor
from edgecompress.codegen.program import Constant, Names, ParamsArg, ScratchArg, Step
from edgecompress.graph import Graph, Op, Tensor

# What is unpacked at once: filters, and inputs of a dense layer (EC_PACKED_INPUTS).
_FILTERS = 4
_DENSE_INPUTS = 64
_SUM_BYTES = 16

_KERNELS = {
    "ec_conv2d_s8": "ec_conv2d_packed_s8",
    "ec_depthwise_conv2d_s8": "ec_depthwise_conv2d_packed_s8",
    "ec_fully_connected_s8": "ec_fully_connected_packed_s8",
}


def packed_step(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """The portable step from packed weights; None for another op, computed weights, or where no form is smaller."""
    function = _KERNELS.get(portable.function)
    params = portable.arguments[0]
    if function is None or not isinstance(params, ParamsArg) or params.fields.get("weights_zero_point", 0) != 0:
        return None
    weights = input_tensor(graph, op, 1)
    matrix = _matrix(op, weights)
    packed = None if matrix is None else pack_weights(matrix)
    if packed is None:
        return None
    source, bias, scales, output = portable.arguments[1], *portable.arguments[3:]
    arguments = (params, source, packed_argument(names, weights, packed), bias, scales, ScratchArg(), output)
    return replace(
        portable,
        function=function,
        kernel=f"kernels/portable/{function}.c",
        arguments=arguments,
        scratch_bytes=_scratch_bytes(params, op, packed),
    )


def _matrix(op: Op, weights: Tensor) -> NDArray[np.int8] | None:
    """[filters, weights of a filter]; a depthwise layer is one filter, as its kernel unpacks it."""
    if weights.data is None:
        return None
    values = weights.data.astype(np.int8)
    return values.reshape(1 if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[0], -1)


def packed_argument(names: Names, weights: Tensor, packed: PackedWeights) -> ParamsArg:
    """An `ec_packed_weights`."""
    shape = "".join(f"[{n}]" for n in weights.shape)
    return ParamsArg(
        "ec_packed_weights",
        {
            "values": Constant(names.constant("values"), "int8_t", packed.values, f"weights {shape}: {packed.about}"),
            "codes": Constant(names.constant("codes"), "uint8_t", packed.codes, f"of {packed.bits} bits"),
            "bits": packed.bits,
            "book_stride": packed.book_stride,
            "kept": packed.kept,
            "filter_len": packed.filter_len,
        },
    )


def _scratch_bytes(params: ParamsArg, op: Op, packed: PackedWeights) -> int:
    if op.kind == "DEPTHWISE_CONV_2D":
        return packed.filter_len
    if op.kind == "CONV_2D":
        return _at_once(params, "filters_per_group") * packed.filter_len
    return _at_once(params, "out_len") * min(packed.filter_len, _DENSE_INPUTS) + _SUM_BYTES * _integer(params, "batches")


def _at_once(params: ParamsArg, field: str) -> int:
    return _FILTERS if _integer(params, field) >= _FILTERS else 1


def _integer(params: ParamsArg, field: str) -> int:
    value = params.fields[field]
    if not isinstance(value, int):
        raise TypeError(f"{field} of {params.c_type} is no integer")
    return value
