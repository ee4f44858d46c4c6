"""The user's data, and the function that gives it: `--data FILE.py:FUNCTION`.

The function takes no arguments and returns an `edgecompress.compress.Data`, or a dict with the same keys:

    def load():
        return {"train": (x_train, y_train), "validation": (x_val, y_val), "calibration": x_train[:200]}

`x` is one array [n, ...], or for models of several inputs a tuple of arrays or a dict by input name; `y` is an array [n, ...] (a tuple for
several outputs). `train` and `validation` may also be batched, finite tf.data.Datasets of (x, y), which are read into memory. Every key is
optional: a step that needs what is missing says so. Without `calibration`, the first 256 training inputs stand in.

The file runs with the user's rights, as by `python FILE.py`: the current folder stays, and modules beside the file can be imported.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecompress.convert.calibrate import Inputs, input_arrays
from edgecompress.convert.export import read_signature
from edgecompress.errors import DataError

if TYPE_CHECKING:
    from keras import Model

Labels: TypeAlias = NDArray[np.generic] | tuple[NDArray[np.generic], ...]
Pair: TypeAlias = tuple[Inputs, Labels]

DEFAULT_CALIBRATION_SAMPLES = 256

_SHAPE_HINT = 'return {"train": (x, y), "validation": (x, y), "calibration": x}, or an edgecompress.compress.Data of the same'
_MODULE_NAME = "edgecompress_user_data"


@dataclass(frozen=True, eq=False)
class Data:
    """Train, validation and calibration data; see the module's words for what each may be."""

    train: Pair | None = None
    validation: Pair | None = None
    calibration: Inputs | None = None

    @property
    def calibration_inputs(self) -> Inputs | None:
        """What ranges are measured on: `calibration`, or else the first training inputs."""
        if self.calibration is not None or self.train is None:
            return self.calibration
        return _first(self.train[0], DEFAULT_CALIBRATION_SAMPLES)

    @property
    def validation_inputs(self) -> Inputs:
        """Real inputs to try a model on: those of `validation`, or else `calibration`, or else the training inputs.

        Raises:
            DataError: there are none.
        """
        for inputs in (self.validation and self.validation[0], self.calibration, self.train and self.train[0]):
            if inputs is not None:
                return inputs
        raise DataError("the data function returned no data", hint=_SHAPE_HINT)


def load_data(spec: str) -> Data:
    """Call the function that `FILE.py:FUNCTION` names.

    Raises:
        DataError: the file or function is missing, it raises, or what it returns is no such data.
    """
    path, function = _split(spec)
    with _importable(path.parent):
        module = _load_module(path, spec)
        call = getattr(module, function, None)
        if not callable(call):
            names = [name for name, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == _MODULE_NAME]
            has = f"it has {', '.join(names)}" if names else "it has no functions"
            raise DataError(f"{spec}: {path.name} has no function {function!r}", hint=has)
        try:
            result = call()
        except (Exception, SystemExit) as e:
            raise DataError(f"{spec}: the data function failed: {_last_line(e, path)}", hint=f"try it alone: python {path}") from e
        return as_data(result, spec)


def as_data(value: object, where: str) -> Data:
    """What a data function returned as Data of numpy arrays.

    Raises:
        DataError: naming `where` and the part that is wrong.
    """
    if isinstance(value, Mapping):
        unknown = sorted(str(key) for key in value if key not in ("train", "validation", "calibration"))
        if unknown:
            raise DataError(f"{where}: returned the unknown key {unknown[0]!r}", hint=_SHAPE_HINT)
        value = Data(**value)
    if not isinstance(value, Data):
        raise DataError(f"{where}: returned {type(value).__name__}; expected train, validation and calibration data", hint=_SHAPE_HINT)
    if value.train is None and value.validation is None and value.calibration is None:
        raise DataError(f"{where}: returned no data", hint=_SHAPE_HINT)
    return Data(
        train=_as_pair(value.train, f"{where}: train"),
        validation=_as_pair(value.validation, f"{where}: validation"),
        calibration=None if value.calibration is None else _as_inputs(value.calibration, f"{where}: calibration"),
    )


def fit_data(data: Data, model: Model) -> Data:
    """The same data in the order and the types of the model's inputs: one array, or a tuple of them.

    Raises:
        DataError: a shape or a type that the model cannot take.
        ModelError: the model's shapes are unknown.
    """
    train, validation, calibration = data.train, data.validation, data.calibration
    return replace(
        data,
        train=None if train is None else (_fit_inputs(train[0], model, "train"), train[1]),
        validation=None if validation is None else (_fit_inputs(validation[0], model, "validation"), validation[1]),
        calibration=None if calibration is None else _fit_inputs(calibration, model, "calibration"),
    )


def as_model_inputs(model: Model, inputs: Inputs) -> Any:  # noqa: ANN401  the structure that the model was built with
    """Inputs in the structure that `model.fit` and `model.predict` take."""
    import keras

    names = read_signature(model).names
    arrays = input_arrays(inputs, names)
    return arrays[0] if len(arrays) == 1 else keras.tree.pack_sequence_as(model._inputs_struct, arrays)


def count_samples(inputs: Inputs | Labels) -> int:
    """How many samples there are."""
    if isinstance(inputs, Mapping):
        return len(next(iter(inputs.values())))
    return len(inputs[0]) if isinstance(inputs, list | tuple) else len(inputs)


def _fit_inputs(inputs: Inputs, model: Model, part: str) -> Inputs:
    signature = read_signature(model)
    fitted = []
    for array, name, shape, dtype in zip(
        input_arrays(inputs, signature.names), signature.names, signature.shapes, signature.dtypes, strict=True
    ):
        if array.shape[1:] != shape:
            raise DataError(
                f"{part}: input {name!r} of the model takes samples of shape {list(shape)}; the data has {list(array.shape[1:])}",
                hint=_shape_hint(array.shape, shape),
            )
        if np.dtype(dtype).kind in "iu" and array.dtype.kind == "f" and not (array == np.floor(array)).all():
            raise DataError(f"{part}: input {name!r} of the model takes {dtype}; the data holds fractions", hint="give whole numbers")
        fitted.append(np.ascontiguousarray(array, dtype))
    return fitted[0] if len(fitted) == 1 else tuple(fitted)


def _shape_hint(came: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if came[1:] + (1,) == shape:
        return "add the channel axis: x[..., None]"
    if came == shape:
        return "the samples run along the first axis: give x[None] for one sample"
    if len(shape) == 3 and came[1:] == (shape[2], *shape[:2]):
        return "the channels come last: np.moveaxis(x, 1, -1)"
    return "give samples as the model was trained on: [n, " + ", ".join(map(str, shape)) + "]"


def _as_pair(value: object, where: str) -> Pair | None:
    if value is None:
        return None
    if hasattr(value, "element_spec"):
        value = _read_dataset(value, where)
    if not isinstance(value, list | tuple) or len(value) != 2:
        came = f"{len(value)} values" if isinstance(value, list | tuple) else type(value).__name__
        raise DataError(f"{where}: expected a pair (x, y), came {came}", hint=_SHAPE_HINT)
    inputs, labels = _as_inputs(value[0], f"{where} x"), _as_labels(value[1], f"{where} y")
    if count_samples(inputs) != count_samples(labels):
        raise DataError(f"{where}: {count_samples(inputs)} inputs but {count_samples(labels)} labels", hint="give one label per input")
    return inputs, labels


def _as_inputs(value: object, where: str) -> Inputs:
    if isinstance(value, Mapping):
        arrays = {str(name): _as_array(array, f"{where} {name!r}") for name, array in value.items()}
        _check_lengths(list(arrays.values()), where)
        return arrays
    if isinstance(value, tuple):
        parts = tuple(_as_array(array, f"{where}[{i}]") for i, array in enumerate(value))
        _check_lengths(parts, where)
        return parts
    return _as_array(value, where)


def _as_labels(value: object, where: str) -> Labels:
    if isinstance(value, tuple):
        parts = tuple(_as_array(array, f"{where}[{i}]") for i, array in enumerate(value))
        _check_lengths(parts, where)
        return parts
    return _as_array(value, where)


def _as_array(value: object, where: str) -> NDArray[np.generic]:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as e:
        raise DataError(f"{where}: is no array: {e}", hint="the samples must all have the same shape") from e
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where}: expected numbers, came {array.dtype}", hint="convert it with np.asarray(..., dtype=np.float32)")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"{where}: is empty", hint="return at least one sample")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0][0])
        raise DataError(f"{where}: holds NaN or infinite values, first in sample {bad}", hint="remove or replace them")
    return array


def _check_lengths(arrays: tuple[NDArray[np.generic], ...] | list[NDArray[np.generic]], where: str) -> None:
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1:
        raise DataError(f"{where}: its arrays hold {' and '.join(map(str, lengths)) or 'no'} samples", hint="give as many samples of each")


def _read_dataset(dataset: Any, where: str) -> tuple[Any, Any]:  # noqa: ANN401  TensorFlow ships without types
    """All batches of a tf.data.Dataset, joined."""
    import keras

    if int(dataset.cardinality()) == -1:
        raise DataError(f"{where}: the Dataset never ends", hint="leave out repeat(), or end it with take(n)")
    batches = list(dataset.as_numpy_iterator())
    if not batches or not isinstance(batches[0], tuple) or len(batches[0]) != 2:
        raise DataError(f"{where}: expected a Dataset of batches (x, y)", hint="build it with Dataset.from_tensor_slices((x, y)).batch(32)")
    try:
        inputs, labels = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except ValueError as e:
        raise DataError(f"{where}: the Dataset's batches do not join: {e}", hint="batch it: dataset.batch(32)") from e
    return inputs, labels


def _first(inputs: Inputs, count: int) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: array[:count] for name, array in inputs.items()}
    return tuple(array[:count] for array in inputs) if isinstance(inputs, list | tuple) else inputs[:count]


def _split(spec: str) -> tuple[Path, str]:
    name, colon, function = spec.rpartition(":")
    if not colon or not name.endswith(".py") or not function.isidentifier():
        raise DataError(f"{spec!r} is no FILE.py:FUNCTION", hint="for example --data data.py:load")
    path = Path(name).absolute()
    if not path.is_file():
        raise DataError(f"{spec}: there is no file {name}", hint=f"it was looked for at {path}")
    return path, function


def _load_module(path: Path, spec: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if found is None or found.loader is None:
        raise DataError(f"{spec}: {path.name} cannot be imported", hint="give a Python file")
    module = importlib.util.module_from_spec(found)
    # Classes and functions defined in the file look themselves up here (dataclasses, pickle).
    sys.modules[_MODULE_NAME] = module
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as e:
        raise DataError(f"{spec}: {path.name} cannot be imported: {_last_line(e, path)}", hint=f"try it alone: python {path}") from e
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the file import modules that stand beside it."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _last_line(error: BaseException, path: Path) -> str:
    """Where in the user's file it happened, and what: `line 7, in load: ValueError: boom`."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: {text}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {frames[-1].lineno}, in {frames[-1].name}: {text}" if frames else text
