"""No silent float: an op of a fully-int8 model that still computes on floats is an error with the layer's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecompress.convert.names import layer_of
from edgecompress.convert.read import read_tflite
from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import DType, Graph, Op

ANY_LAYER = "*"

_FLOATS = (DType.FLOAT32, DType.FLOAT16)
# These carry values between the two worlds; the op beside them is the one to name.
_BORDERS = frozenset({"QUANTIZE", "DEQUANTIZE"})


def float_ops(graph: Graph) -> Iterator[Op]:
    """Ops that read or write a float tensor, the QUANTIZE and DEQUANTIZE around them left out."""
    for op in graph.ops:
        tensors = [t for t in (*graph.op_inputs(op), *graph.op_outputs(op)) if t is not None]
        if op.kind not in _BORDERS and any(t.dtype in _FLOATS for t in tensors):
            yield op


def check_all_quantized(data: bytes, layers: Sequence[str], allow_float: Sequence[str] = ()) -> None:
    """Refuse a model in which a layer stayed float.

    Args:
        layers: Keras layer paths, longest first.
        allow_float: layers that may stay float, by path or by the path of a model around them; "*" allows any.

    Raises:
        UnsupportedOpError: naming the layers and their ops.
    """
    if ANY_LAYER in allow_float:
        return
    graph = read_tflite(data)
    found: dict[str, list[str]] = {}
    for op in float_ops(graph):
        layer = _layer(graph, op, layers)
        if not any(layer == allowed or layer.startswith(f"{allowed}/") for allowed in allow_float):
            found.setdefault(layer, []).append(op.kind)
    if not found:
        return
    places = "; ".join(f"{layer} ({', '.join(dict.fromkeys(kinds))})" for layer, kinds in list(found.items())[:5])
    rest = f" and {len(found) - 5} more" if len(found) > 5 else ""
    allowing = ", ".join(f'"{layer}"' for layer in found) if len(found) <= 3 else f'"{ANY_LAYER}"'
    raise UnsupportedOpError(
        f"{'these layers stay' if len(found) > 1 else 'this layer stays'} float in an int8 model: {places}{rest}",
        hint=f"use layers that quantize (docs/quantization.md says which do not), or allow them to stay float: allow_float = [{allowing}]",
    )


def _layer(graph: Graph, op: Op, layers: Sequence[str]) -> str:
    """The layer whose name the op's output bears; the tensor's own name when no layer claims it."""
    names = [graph.tensor(i).name for i in op.outputs]
    for name in names:
        plain = name.split(":")[0]
        layer = plain if plain in layers else layer_of(name, layers)
        if layer is not None:
            return layer
    return names[0] if names else op.kind
