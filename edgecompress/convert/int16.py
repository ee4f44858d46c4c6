"""What TensorFlow's converter (2.21) gets wrong in models with int16 activations whose ranges are in the graph.

* Biases are int32, which the kernels of LiteRT and TensorFlow Lite Micro refuse beside int16 activations. They become int64; the numbers
  are the same: scale of the input times scale of the weights.
* Outputs of sigmoid, tanh and softmax have another scale than the one that their int16 kernels compute in, 1/32768 around 0. They get that
  one; whoever reads them goes by what the tensor says.

Runs in the child process, on bytes that the converter has just made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BIAS = 2
_TRANSPOSED_BIAS = 3
_EDGE = 2**31 - 1
_UNIT_SCALE = 1 / 32768


class SaturatedBiasError(ValueError):
    """A bias that did not fit 32 bits; the numbers beyond are lost."""


def repair_int16(data: bytes) -> bytes:
    """The same model with the biases and the scales that int16 kernels take.

    Raises:
        SaturatedBiasError: the converter had to clip a bias; its layer is named.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    widened: set[int] = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            output = graph.tensors[operator.outputs[0]]
            if code in _unit_valued(schema) and output.type == schema.TensorType.INT16:
                output.quantization.scale, output.quantization.zeroPoint = [_UNIT_SCALE], [0]
            place = _TRANSPOSED_BIAS if code == schema.BuiltinOperator.TRANSPOSE_CONV else _BIAS
            if code in _weighted(schema) and len(operator.inputs) > place and operator.inputs[place] >= 0:
                tensor = graph.tensors[operator.inputs[place]]
                if tensor.type == schema.TensorType.INT32:
                    _widen(model, tensor, schema.TensorType.INT64, widened)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _weighted(schema: Any) -> frozenset[int]:  # noqa: ANN401 - a generated module
    kinds = schema.BuiltinOperator
    return frozenset({kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED, kinds.TRANSPOSE_CONV})


def _unit_valued(schema: Any) -> frozenset[int]:  # noqa: ANN401
    kinds = schema.BuiltinOperator
    return frozenset({kinds.LOGISTIC, kinds.TANH, kinds.SOFTMAX})


def _widen(model: Any, tensor: Any, int64: int, widened: set[int]) -> None:  # noqa: ANN401 - generated classes
    buffer = model.buffers[tensor.buffer]
    if tensor.buffer not in widened:
        counts = np.asarray(buffer.data, np.uint8).view(np.int32)
        if np.any(np.abs(counts.astype(np.int64)) >= _EDGE):
            name = tensor.name.decode("utf-8", "replace") if isinstance(tensor.name, bytes) else str(tensor.name)
            raise SaturatedBiasError(f"{name}: a bias is too large for 32 bits in units of input scale times weight scale")
        buffer.data = np.frombuffer(counts.astype("<i8").tobytes(), np.uint8)
        widened.add(tensor.buffer)
    tensor.type = int64
