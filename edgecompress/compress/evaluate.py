"""Real inputs through a .tflite on the host, in batches where that changes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.score import Score, score_of, score_outputs
from edgecompress.convert import read_tflite
from edgecompress.convert.calibrate import Inputs, input_arrays
from edgecompress.errors import DataError, ModelError
from edgecompress.graph import require_openable

_BATCH = 32
_PROBE = 4


def run_tflite(model: bytes, inputs: Inputs) -> NDArray[np.float64]:
    """The model's first output for every sample, as real values; see `run_tflite_outputs`."""
    return run_tflite_outputs(model, inputs)[0]


def run_tflite_outputs(model: bytes, inputs: Inputs) -> list[NDArray[np.float64]]:
    """The model's outputs for every sample, as real values.

    The model is run in batches of 32 if the first 4 samples come out the same one by one; a model that fixes its batch runs one by one.

    Args:
        model: the file's bytes.
        inputs: real values [n, ...]; quantized with the model's own scales, halves to even.

    Returns:
        [n, ...] for each output.

    Raises:
        ModelError: LiteRT refuses the model.
        DataError: the inputs do not fit it.
    """
    require_openable(read_tflite(model))
    single = _open(model)
    details = single.get_input_details()
    arrays = [_quantize(array, detail) for array, detail in zip(_in_order(inputs, details), details, strict=True)]
    count = len(arrays[0])
    probe = _run(single, [array[:_PROBE] for array in arrays], 1)
    if count > _PROBE:
        batched = _open_batched(model, _PROBE)
        if batched is not None and _equal(_run(batched, [array[:_PROBE] for array in arrays], _PROBE), probe):
            batched = _open_batched(model, _BATCH)
            if batched is not None:
                return _run(batched, arrays, _BATCH)
    return _run(single, arrays, 1)


def score_tflite(model: bytes, data: Data, *, probabilities: bool) -> Score | None:
    """A .tflite's score on the validation data; None when its labels allow none.

    Raises:
        DataError: the inputs do not fit the model, or the user's metric failed.
        ModelError: LiteRT refuses the model.
    """
    if data.validation is None:
        return None
    outputs = run_tflite_outputs(model, data.validation[0])
    return score_of(outputs[0] if len(outputs) == 1 else outputs, data, probabilities=probabilities)


def evaluate_tflite(model: bytes, x: Inputs, y: NDArray[np.generic]) -> float:
    """The share of samples that a .tflite classifies right, through LiteRT's optimized kernels.

    Args:
        model: the file's bytes.
        x: real inputs [n, ...]; they are quantized as the model says.
        y: class numbers [n], or labels of the outputs' shape. An output of one value is a probability if it never leaves [0, 1].

    Raises:
        DataError: x does not fit the model, or y allows no accuracy.
        ModelError: LiteRT refuses the model.
    """
    outputs = run_tflite(model, x)
    score = score_outputs(outputs, np.asarray(y), probabilities=bool(outputs.min() >= 0 and outputs.max() <= 1))
    if score.metric != "accuracy":
        raise DataError(f"{len(y)} labels are no classes: they allow a {score.metric}, no accuracy", hint="give class numbers [n]")
    return score.value


def _open(model: bytes) -> Any:  # noqa: ANN401  LiteRT ships without types
    from ai_edge_litert import interpreter as litert

    try:
        interpreter = litert.Interpreter(model_content=model, num_threads=min(4, os.cpu_count() or 1))
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as e:
        raise ModelError(f"LiteRT refuses this model: {_first_line(e)}", hint="edgecompress inspect shows its ops") from e
    return interpreter


def _open_batched(model: bytes, batch: int) -> Any | None:  # noqa: ANN401
    """An interpreter of a larger batch, or None when some op fixes it."""
    interpreter = _open(model)
    try:
        for detail in interpreter.get_input_details():
            interpreter.resize_tensor_input(detail["index"], [batch, *detail["shape"][1:]])
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return None
    grown = all(len(detail["shape"]) and detail["shape"][0] == batch for detail in interpreter.get_output_details())
    return interpreter if grown else None


def _equal(left: Sequence[NDArray[np.float64]], right: Sequence[NDArray[np.float64]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def _run(interpreter: Any, arrays: Sequence[NDArray[np.generic]], batch: int) -> list[NDArray[np.float64]]:  # noqa: ANN401
    outputs = interpreter.get_output_details()
    results: list[list[NDArray[np.generic]]] = [[] for _ in outputs]
    for start in range(0, len(arrays[0]), batch):
        parts = [array[start : start + batch] for array in arrays]
        given = len(parts[0])
        for detail, part in zip(interpreter.get_input_details(), parts, strict=True):
            interpreter.set_tensor(detail["index"], np.resize(part, (batch, *part.shape[1:])) if given < batch else part)
        interpreter.invoke()
        for parts_of_output, output in zip(results, outputs, strict=True):
            parts_of_output.append(np.array(interpreter.get_tensor(output["index"]))[:given])
    return [_dequantize(np.concatenate(parts), output) for parts, output in zip(results, outputs, strict=True)]


def _in_order(inputs: Inputs, details: Sequence[dict[str, Any]]) -> list[NDArray[np.generic]]:
    names = [str(detail["name"]) for detail in details]
    arrays = input_arrays(inputs, names)
    for array, detail in zip(arrays, details, strict=True):
        shape = tuple(int(size) for size in detail["shape"][1:])
        if array.ndim == 0 or len(array) == 0 or array.shape[1:] != shape:
            raise DataError(
                f"input {detail['name']!r} takes samples of shape {list(shape)}; the array is {list(array.shape)}", hint="[n, ...]"
            )
    return arrays


def _quantize(array: NDArray[np.generic], detail: dict[str, Any]) -> NDArray[np.generic]:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if not scale or dtype.kind == "f":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    counts = np.round(array.astype(np.float32) / np.float32(scale)) + zero_point
    quantized: NDArray[np.generic] = np.clip(counts, limits.min, limits.max).astype(dtype)
    return quantized


def _dequantize(array: NDArray[np.generic], detail: dict[str, Any]) -> NDArray[np.float64]:
    scale, zero_point = detail["quantization"]
    real = array.astype(np.float64)
    return (real - zero_point) * scale if scale else real


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
