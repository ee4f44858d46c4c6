"""The bytes that an int8 model must give on every microcontroller: TensorFlow Lite Micro's reference kernels.

Where its host wheel does not exist, this project's numpy oracle stands in; tests hold the two equal.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence

import numpy as np

from edgecompress.device.interpreters import TflmHost, as_arrays, tflm_available
from edgecompress.pipeline.sources import LoadedModel
from edgecompress.profile import Parity

# XNNPACK, and LiteRT's reference kernel for dense layers, round once where the reference rounds twice; on softmax outputs up to 13 LSB were
# seen, on logits 2.
LITERT_TOLERANCE = 16
# LiteRT's and tflite-runtime's built-in optimized kernels: up to 25 LSB on softmax outputs (ResNet8 on random bytes), 1 elsewhere.
BUILTIN_TOLERANCE = 32

Runner = Callable[[Sequence[bytes]], list[bytes]]


def open_reference(model: LoadedModel) -> tuple[str, Runner]:
    """The reference's name, and a function from raw inputs to raw outputs.

    Raises:
        ModelError: the reference cannot run this model.
    """
    if tflm_available():
        return f"tflite-micro {importlib.metadata.version('tflite-micro')}, host, reference kernels", TflmHost(model.data, model.graph).run
    return "edgecompress numpy reference", lambda inputs: _run_numpy(model, inputs)


def _run_numpy(model: LoadedModel, inputs: Sequence[bytes]) -> list[bytes]:
    from edgecompress.numerics.reference import run_reference

    values = run_reference(model.graph, as_arrays(model.graph, inputs))
    return [np.ascontiguousarray(values[index]).tobytes() for index in model.graph.outputs]


def compare_bytes(model: LoadedModel, expected: Sequence[bytes], got: Sequence[bytes]) -> tuple[int, int]:
    """How many output elements differ, and the largest difference in counts of the output's type."""
    mismatched = largest = 0
    for index, want, have in zip(model.graph.outputs, expected, got, strict=True):
        difference = element_difference(model, index, want, have)
        mismatched += int(np.count_nonzero(difference))
        largest = max(largest, int(difference.max(initial=0)))
    return mismatched, largest


def element_difference(model: LoadedModel, index: int, want: bytes, have: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """|want - have| per element of the tensor `index`, as int64 (floats: compared by their bits, 0 or 1)."""
    from edgecompress.device.interpreters import NUMPY_TYPES

    dtype = NUMPY_TYPES[model.graph.tensor(index).dtype]
    left, right = np.frombuffer(want, dtype), np.frombuffer(have, dtype)
    if left.size != right.size:
        return np.full(max(left.size, right.size), 1, np.int64)
    if np.issubdtype(dtype, np.floating):
        same = np.frombuffer(want, np.uint8) == np.frombuffer(have, np.uint8)
        same_elements: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = same.reshape(left.size, -1).all(axis=1)
        return (~same_elements).astype(np.int64)
    difference: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.abs(left.astype(np.int64) - right.astype(np.int64))
    return difference


def check_parity(run: Runner, model: LoadedModel, inputs: Sequence[Sequence[bytes]], *, tolerance: int = 0) -> Parity | None:
    """A device's outputs against the reference; None when there is nothing to compare.

    Args:
        tolerance: by how many counts an element may differ; 0 for a device that rounds as the reference does.
    """
    if not inputs:
        return None
    name, reference = open_reference(model)
    mismatched = largest = 0
    digest = hashlib.sha256()
    for sample in inputs:
        outputs = run(sample)
        count, difference = compare_bytes(model, reference(sample), outputs)
        mismatched, largest = mismatched + count, max(largest, difference)
        for output in outputs:
            digest.update(output)
    return Parity(
        reference=name,
        inputs=len(inputs),
        mismatched_bytes=mismatched,
        largest_difference=largest,
        tolerance=tolerance,
        outputs_sha256=digest.hexdigest(),
    )
