"""Finishing touches on a converted model: tensors are called as their Keras layers, inputs and outputs stand in the model's order.

The converter joins the names of all ops that it fused ("re_lu/Relu;bn/batchnorm/add_1;conv2d/convolution"). The layer meant is the one of
the last part, whose weights the op holds. The converter also sorts the model's ends by its own rules. Both are repaired in place, names
never longer than before, so no offset and no alignment of the file changes.
Runs in the child process, on bytes that the converter has just made.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tensorflow.lite.python.schema_py_generated import Model, Operator, SubGraph, Tensor

# Offsets in the vtables of TFLite's schema.fbs: Tensor.name, SubGraph.inputs, SubGraph.outputs.
_NAME_FIELD = 10
_INPUTS_FIELD = 6
_OUTPUTS_FIELD = 8
_ROLES = {1: "kernel", 2: "bias"}
_WEIGHTED = re.compile(r"CONV|FULLY_CONNECTED")


def layer_of(tensor_name: str, layers: Sequence[str]) -> str | None:
    """The path of the Keras layer that a tensor comes from: the longest path that leads the last part of a fused name.

    >>> layer_of("re_lu/Relu;block/conv/block/conv_1/convolution;", ["block/conv", "re_lu", "block"])
    'block/conv'
    """
    parts = [part for part in tensor_name.split(";") if "/" in part]
    for part in reversed(parts):
        for layer in layers:
            if part.startswith(f"{layer}/"):
                return layer
    return None


def finish_model(data: bytes, inputs: Sequence[str], outputs: Sequence[str], layers: Sequence[str]) -> bytes:
    """The same model with its tensors named after layers, and its ends in the signature's order.

    Args:
        inputs, outputs: names of the model's input tensors and output layers, in the signature's order.
        layers: all layer paths, longest first.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    names = _choose_names(model, graph, inputs, outputs, layers)
    result = bytearray(data)
    for index, name in names.items():
        _overwrite(result, graph.Tensors(index), name.encode("utf-8"))
    if model.SignatureDefsLength() == 1:
        signature = model.SignatureDefs(0)
        _reorder(result, graph, _INPUTS_FIELD, _ends(signature.Inputs, signature.InputsLength()))
        _reorder(result, graph, _OUTPUTS_FIELD, _ends(signature.Outputs, signature.OutputsLength()))
    return bytes(result)


def _choose_names(model: Model, graph: SubGraph, inputs: Sequence[str], outputs: Sequence[str], layers: Sequence[str]) -> dict[int, str]:
    current = [(graph.Tensors(i).Name() or b"").decode("utf-8", "replace") for i in range(graph.TensorsLength())]
    chosen = dict(_signature_names(model, inputs, outputs))
    taken = set(chosen.values())
    for kind, op in _operators(model, graph):
        for position, index in enumerate(_indices(op.OutputsAsNumpy())):
            layer = layer_of(current[index], layers)
            if index not in chosen and layer is not None:
                chosen[index] = _unique(layer if position == 0 else f"{layer}:{position}", taken)
        first = _indices(op.OutputsAsNumpy())[:1]
        if _WEIGHTED.search(kind) and first and first[0] in chosen:
            for position, index in enumerate(_indices(op.InputsAsNumpy())):
                if position in _ROLES and index >= 0 and index not in chosen and model.Buffers(graph.Tensors(index).Buffer()).DataLength():
                    chosen[index] = _unique(f"{chosen[first[0]]}/{_ROLES[position]}", taken)
    return chosen


def _signature_names(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> list[tuple[int, str]]:
    """Tensor index and name of the model's ends; a tensor that is two ends keeps its first name."""
    if model.SignatureDefsLength() != 1:
        return []
    signature = model.SignatureDefs(0)
    indices = _ends(signature.Inputs, signature.InputsLength()) + _ends(signature.Outputs, signature.OutputsLength())
    found: dict[int, str] = {}
    for index, name in zip(indices, (*inputs, *outputs), strict=False):
        if name not in found.values():
            found.setdefault(index, name)
    return list(found.items())


def _ends(entry: Callable[[int], Any], count: int) -> list[int]:
    """Tensor indices of a signature's entries `input_0`, `input_1`, ... (or `output_...`) in the order of their numbers."""
    entries = [entry(i) for i in range(count)]
    return [int(e.TensorIndex()) for e in sorted(entries, key=lambda e: int(e.Name().decode().rsplit("_", 1)[1]))]


def _operators(model: Model, graph: SubGraph) -> list[tuple[str, Operator]]:
    from tensorflow.lite.python import schema_py_generated as schema

    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    return [(kinds.get(model.OperatorCodes(op.OpcodeIndex()).BuiltinCode(), "CUSTOM"), op) for op in operators]


def _indices(vector: NDArray[np.int32] | int) -> list[int]:
    # flatbuffers gives 0 for a vector that is not there.
    return [] if isinstance(vector, int) else [int(i) for i in vector]


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}:{number}"
    taken.add(candidate)
    return candidate


def _reorder(data: bytearray, graph: SubGraph, field: int, indices: Sequence[int]) -> None:
    """Write the subgraph's vector of inputs or outputs in another order; left alone when it holds other tensors than the signature."""
    table = graph._tab
    start, count = table.Vector(table.Offset(field)), table.VectorLen(table.Offset(field))
    if sorted(indices) == sorted(struct.unpack_from(f"<{count}i", data, start)):
        struct.pack_into(f"<{count}i", data, start, *indices)


def _overwrite(data: bytearray, tensor: Tensor, name: bytes) -> None:
    """Replace a string by a shorter one: its length, then its bytes, then zeros up to where it ended."""
    table = tensor._tab
    field = table.Offset(_NAME_FIELD)
    if not field:
        return
    start = field + table.Pos
    start += struct.unpack_from("<I", data, start)[0]
    length = struct.unpack_from("<I", data, start)[0]
    if len(name) <= length:
        data[start : start + 4 + length] = struct.pack("<I", len(name)) + name + bytes(length - len(name))
