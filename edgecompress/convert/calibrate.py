"""Calibration inputs on their way to the converter: checked against the model, and written where the child reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import DataError

Inputs: TypeAlias = NDArray[np.generic] | Sequence[NDArray[np.generic]] | Mapping[str, NDArray[np.generic]]
"""Samples for a model: one array [n, ...]; for several inputs a tuple in the model's order, or a mapping by input name."""

_HINT = "calibration data has the shape of the model's input with the samples along the first axis: [n, ...]"


def input_arrays(inputs: Inputs, names: Sequence[str]) -> list[NDArray[np.generic]]:
    """One array per model input, in the model's order.

    Raises:
        DataError: a wrong number of arrays, or a name that the model lacks.
    """
    if isinstance(inputs, Mapping):
        missing = [name for name in names if name not in inputs]
        if missing:
            raise DataError(
                f"the data has no array for the model's input {missing[0]!r}; it has {sorted(inputs)}",
                hint="name the arrays as the model's inputs",
            )
        return [np.asarray(inputs[name]) for name in names]
    # A list for a model of one input is a list of samples.
    several = isinstance(inputs, tuple) or (isinstance(inputs, list) and len(names) != 1)
    count = len(inputs) if several else 1
    if count != len(names):
        plural = "s" if len(names) != 1 else ""
        raise DataError(
            f"the model has {len(names)} input{plural} ({', '.join(names)}); {count} array{'s' if count != 1 else ''} came",
            hint="give a tuple with one array per input, in that order" if plural else "give one array",
        )
    return [np.asarray(array) for array in inputs] if several else [np.asarray(inputs)]


def check_calibration(arrays: Sequence[NDArray[np.generic]], names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse calibration arrays that the model cannot take.

    Args:
        arrays: one per input, each [n, ...].
        shapes: of one sample of each input.

    Raises:
        DataError: empty, of another shape, of different lengths, or not finite.
    """
    for array, name, shape in zip(arrays, names, shapes, strict=True):
        if array.shape[1:] != tuple(shape) or array.ndim == 0:
            raise DataError(
                f"calibration: input {name!r} takes samples of shape {list(shape)}; the array is {list(array.shape)}", hint=_HINT
            )
        if len(array) == 0:
            raise DataError(f"calibration: the array of input {name!r} holds no samples", hint="give about 100 to 500 typical samples")
        if len(array) != len(arrays[0]):
            raise DataError(
                f"calibration: {len(arrays[0])} samples of {names[0]!r} but {len(array)} of {name!r}", hint="give as many of each"
            )
        if array.dtype.kind not in "fiub":
            raise DataError(f"calibration: input {name!r} takes numbers; the array holds {array.dtype}", hint=_HINT)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(
                f"calibration: the array of input {name!r} holds NaN or infinite values",
                hint="remove them: ranges are measured from these samples",
            )


def save_calibration(path: Path, arrays: Sequence[NDArray[np.generic]], dtypes: Sequence[str]) -> None:
    """Write the arrays as `input_0`, `input_1`, ... of an .npz, each in the model's own type."""
    named = {f"input_{i}": np.ascontiguousarray(array, dtype=dtype) for i, (array, dtype) in enumerate(zip(arrays, dtypes, strict=True))}
    np.savez(path, allow_pickle=False, **named)
