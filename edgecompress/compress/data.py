"""Train, validation and calibration data, checked and brought into the model's order.

A data function takes no arguments and returns a `Data`, or a dict with the same keys:

    def load():
        return {"train": (x_train, y_train), "validation": (x_val, y_val), "calibration": x_train[:200]}

`x` is one array [n, ...], or for models of several inputs a tuple or list of arrays or a dict by input name; `y` is the same for outputs.
`train`, `validation` and `calibration` may also be batched, finite tf.data.Datasets or keras.utils.PyDatasets: `train` is then read anew
each epoch, the others once into memory. `loss` and `metric` are the user's own. Every key is optional: a step that needs what is missing
says so. Without `calibration`, the first 256 training inputs stand in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.stream import Stream, count_batches, is_stream, read_batches, read_stream
from edgecompress.convert.calibrate import Inputs, input_arrays
from edgecompress.convert.export import read_signature
from edgecompress.errors import DataError

if TYPE_CHECKING:
    from keras import Model

Labels: TypeAlias = NDArray[np.generic] | tuple[NDArray[np.generic], ...] | Mapping[str, NDArray[np.generic]]
"""By output name only as they come: `fit_data` puts them in the order of the model's outputs."""
Pair: TypeAlias = tuple[Inputs, Labels]

DEFAULT_CALIBRATION_SAMPLES = 256

_TRAIN_HINT = "return train=(x, y) from the data function"
_SHAPE_HINT = 'return {"train": (x, y), "validation": (x, y), "calibration": x}, or an edgecompress.compress.Data of the same'
_WEIGHTS_HINT = "for sample weights give train as batches: tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(32)"


@dataclass(frozen=True, eq=False)
class Data:
    """What a recipe's steps learn from and are judged by; see the module's words for what each part may be.

    Attributes:
        loss: what training minimizes, as in `compile`: a Keras loss, its name, or a function (y, y_pred) of tensors. None for the model's
            own, or the one that the labels imply.
        metric: how good outputs are: a Keras metric, its name, or a function (y, outputs) of arrays that gives a number. None for accuracy
            or, of a regression, mean absolute error.
        metric_goal: whether a higher (`max`) or a lower (`min`) metric is better.
    """

    train: Pair | Stream | None = None
    validation: Pair | None = None
    calibration: Inputs | None = None
    loss: Any = None
    metric: str | Callable[..., Any] | None = None
    metric_goal: Literal["max", "min"] = "max"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to learn from, to be judged by or to calibrate on."""
        return self.train is None and self.validation is None and self.calibration is None

    @property
    def calibration_inputs(self) -> Inputs | None:
        """What ranges are measured on: `calibration`, or else the first training inputs."""
        return self.calibration if self.calibration is not None or self.train is None else self._first_train()[0]

    @property
    def validation_inputs(self) -> Inputs:
        """Real inputs to try a model on: those of `validation`, or else `calibration`, or else the first training inputs.

        Raises:
            DataError: there are none.
        """
        for inputs in (self.validation and self.validation[0], self.calibration_inputs):
            if inputs is not None:
                return inputs
        raise DataError("the data function returned no data", hint=_SHAPE_HINT)

    @property
    def example_labels(self) -> Labels | None:
        """Labels that tell what the task is: all training labels that are in memory, or else the validation's, or a stream's first."""
        if self.train is not None and not isinstance(self.train, Stream):
            return self.train[1]
        if self.validation is not None:
            return self.validation[1]
        return None if self.train is None else self._first_train()[1]

    def _first_train(self) -> Pair:
        if isinstance(self.train, Stream):
            return self.train.first(DEFAULT_CALIBRATION_SAMPLES)
        if self.train is None:
            raise DataError("the data has no train", hint=_SHAPE_HINT)
        x, y = self.train
        return _first(x, DEFAULT_CALIBRATION_SAMPLES), _first(y, DEFAULT_CALIBRATION_SAMPLES)


def as_data(value: object, where: str) -> Data:
    """What a data function returned, checked.

    Raises:
        DataError: naming `where` and the part that is wrong.
    """
    if isinstance(value, Mapping):
        known = [entry.name for entry in fields(Data)]
        unknown = sorted(str(key) for key in value if key not in known)
        if unknown:
            raise DataError(f"{where}: returned the unknown key {unknown[0]!r}", hint=_SHAPE_HINT)
        value = Data(**value)
    if not isinstance(value, Data):
        raise DataError(f"{where}: returned {type(value).__name__}; expected train, validation and calibration data", hint=_SHAPE_HINT)
    if value.is_empty:
        raise DataError(f"{where}: returned no data", hint=_SHAPE_HINT)
    if value.metric_goal not in ("max", "min"):
        raise DataError(f"{where}: metric_goal is {value.metric_goal!r}; expected 'max' or 'min'", hint=_SHAPE_HINT)
    stream = value.train if isinstance(value.train, Stream) else read_stream(value.train, f"{where}: train")
    train = stream or _as_pair(value.train, f"{where}: train")
    validation = _as_pair(value.validation, f"{where}: validation")
    calibration = _as_calibration(value.calibration, (train, validation), f"{where}: calibration")
    return replace(value, train=train, validation=validation, calibration=calibration)


def train_batches(data: Data, model: Model, *, samples: int | None = None, batch_size: int = 32, stage: str) -> Iterator[tuple[Any, Any]]:
    """The first `samples` training samples (all by default) in order, as batches (x, y) in the model's own structure.

    Raises:
        DataError: there is no training data.
    """
    if data.train is None:
        raise DataError(f"{stage}: this step reads training data, and the data has no train", hint=_TRAIN_HINT)
    if not isinstance(data.train, Stream):
        x, y = data.train
        yield from _batches((as_model_inputs(model, x), y), min(samples or count_samples(x), count_samples(x)), batch_size)
        return
    left = samples
    for x, y, *_ in islice(iter(data.train), data.train.batches):
        count = _length(x) if left is None else min(left, _length(x))
        yield from _batches((x, y), count, batch_size)
        left = None if left is None else left - count
        if left == 0:
            return


def calibration_batches(data: Data, model: Model, *, samples: int | None = None, batch_size: int = 32, stage: str) -> Iterator[Any]:
    """The calibration inputs (or else the first training inputs) in order, in the model's own structure.

    Raises:
        DataError: there are none.
    """
    inputs = data.calibration_inputs
    if inputs is None:
        raise DataError(f"{stage}: this step reads calibration data, and the data has neither calibration nor train", hint=_SHAPE_HINT)
    count = count_samples(inputs)
    yield from _batches(as_model_inputs(model, inputs), min(samples or count, count), batch_size)


def fit_data(data: Data, model: Model) -> Data:
    """The same data in the order of the model's inputs and outputs and in the types of its inputs: one array, or a tuple of them.

    Raises:
        DataError: a shape or a type that the model cannot take.
        ModelError: the model's shapes are unknown.
    """
    train, validation, calibration = data.train, data.validation, data.calibration
    return replace(
        data,
        train=_fit_train(train, model),
        validation=None if validation is None else _fit_pair(validation, model, "validation"),
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


def _fit_train(train: Pair | Stream | None, model: Model) -> Pair | Stream | None:
    if not isinstance(train, Stream):
        return None if train is None else _fit_pair(train, model, "train")
    # One batch stands for all: the stream is not read to its end for a check.
    x, y, *_ = (tuple(part) if isinstance(part, list) else part for part in next(iter(train)))
    _fit_inputs(_as_inputs(x, "train x"), model, "train")
    _fit_labels(_as_labels(y, "train y"), model, "train")
    return train.changed(lambda x, y: (_in_structure(model, x), _fit_labels(y, model, "train")))


def _fit_pair(pair: Pair, model: Model, part: str) -> Pair:
    return _fit_inputs(pair[0], model, part), _fit_labels(pair[1], model, part)


def _fit_labels(labels: Any, model: Model, part: str) -> Any:  # noqa: ANN401  arrays or tensors, as a stream gives them
    """Labels by name in the order of the model's outputs, others as they are; of one output never a tuple."""
    names = list((getattr(model, "_functional", None) or model).output_names)
    if isinstance(labels, tuple):
        if len(labels) != len(names):
            raise DataError(
                f"{part}: {len(labels)} arrays of labels came; the model has {len(names)} output{'s' if len(names) > 1 else ''}",
                hint=f"give one array for each of {', '.join(names)}, in that order",
            )
        return labels[0] if len(names) == 1 else labels
    if not isinstance(labels, Mapping):
        return labels
    wrong = [f"it has none for {name!r}" for name in names if name not in labels]
    wrong += [f"the model has no output {name!r}" for name in labels if name not in names]
    if wrong:
        raise DataError(f"{part}: labels by name: {wrong[0]}", hint=f"the model's outputs: {', '.join(names)}")
    return labels[names[0]] if len(names) == 1 else tuple(labels[name] for name in names)


def _in_structure(model: Model, x: Any) -> Any:  # noqa: ANN401  arrays or tensors, as a stream gives them
    """One batch of inputs in the structure that the model was built with, by position or by name."""
    import keras

    names = read_signature(model).names
    parts = [x[name] for name in names] if isinstance(x, Mapping) else x
    ordered = list(parts) if isinstance(parts, tuple | list) else [parts]
    return ordered[0] if len(ordered) == 1 else keras.tree.pack_sequence_as(model._inputs_struct, ordered)


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
    stream = read_stream(value, where)
    if stream is not None:
        value = _join(stream, where)
    if not isinstance(value, list | tuple) or len(value) != 2:
        came = f"{len(value)} values" if isinstance(value, list | tuple) else type(value).__name__
        raise DataError(f"{where}: expected a pair (x, y), came {came}", hint=_WEIGHTS_HINT if came == "3 values" else _SHAPE_HINT)
    x, y = _as_tuples(value[0], value[1])
    inputs, labels = _as_inputs(x, f"{where} x"), _as_labels(y, f"{where} y")
    if count_samples(inputs) != count_samples(labels):
        raise DataError(f"{where}: {count_samples(inputs)} inputs but {count_samples(labels)} labels", hint="give one label per input")
    return inputs, labels


def _as_tuples(x: object, y: object) -> tuple[object, object]:
    """Lists that hold an array for each input or output, as `model.fit` takes them, as tuples; a list of samples stays a list.

    They are told apart by the number of samples, which inputs and labels share.
    """
    shared = _possible_counts(x) & _possible_counts(y)
    count = max(shared, default=None)
    return tuple(tuple(value) if isinstance(value, list) and _common_length(value) == count else value for value in (x, y))  # type: ignore[return-value]


def _possible_counts(value: object) -> set[int]:
    """How many samples it may hold."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return _possible_counts(value[0]) if value else set()
    found = {len(value)} if isinstance(value, Sized) else set()
    common = _common_length(value) if isinstance(value, list) else None
    return found if common is None else found | {common}


def _common_length(values: list[Any]) -> int | None:
    """The length of all arrays of a list; None where they differ, or are none."""
    lengths = {len(value) if isinstance(value, np.ndarray) and value.ndim else -1 for value in values}
    return lengths.pop() if len(lengths) == 1 and -1 not in lengths else None


def _as_inputs(value: object, where: str) -> Inputs:
    return _as_named(value, where) if isinstance(value, Mapping) else _as_arrays(value, where)


def _as_labels(value: object, where: str) -> Labels:
    return _as_named(value, where) if isinstance(value, Mapping) else _as_arrays(value, where)


def _as_named(value: Mapping[Any, object], where: str) -> dict[str, NDArray[np.generic]]:
    arrays = {str(name): _as_array(array, f"{where} {name!r}") for name, array in value.items()}
    _check_lengths(list(arrays.values()), where)
    return arrays


def _as_arrays(value: object, where: str) -> NDArray[np.generic] | tuple[NDArray[np.generic], ...]:
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


def _join(stream: Stream, where: str) -> tuple[Any, Any]:
    """All batches of a stream, joined."""
    import keras

    batches = [(x, y) for x, y, *_ in islice(iter(stream), stream.batches)]
    try:
        inputs, labels = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except ValueError as e:
        raise DataError(f"{where}: its batches do not join: {e}", hint="batch it: dataset.batch(32)") from e
    return inputs, labels


def _as_calibration(value: object, others: Sequence[Pair | Stream | None], where: str) -> Inputs | None:
    if value is None:
        return None
    if isinstance(value, list):
        # A list is of inputs where the others have as many, and of samples otherwise.
        several = [len(pair[0]) for pair in others if isinstance(pair, tuple) and isinstance(pair[0], tuple | Mapping)]
        value = tuple(value) if len(value) in several else value
    if is_stream(value):
        # Batches of x alone, or of (x, y) as in training.
        value = _join_inputs(value, where)
    return _as_inputs(value, where)


def _join_inputs(value: Any, where: str) -> Any:  # noqa: ANN401
    import keras

    batches = list(read_batches(value, count_batches(value, where), where))
    inputs = [batch[0] if isinstance(batch, tuple) else batch for batch in batches]
    if not inputs:
        raise DataError(f"{where}: holds no batches", hint="return at least one")
    try:
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *inputs)
    except ValueError as e:
        raise DataError(f"{where}: its batches do not join: {e}", hint="batch it: dataset.batch(32)") from e


def _batches(structure: Any, count: int, batch_size: int) -> Iterator[Any]:  # noqa: ANN401
    import keras

    for start in range(0, count, batch_size):
        stop = min(count, start + batch_size)
        yield keras.tree.map_structure(lambda array, start=start, stop=stop: array[start:stop], structure)


def _length(structure: Any) -> int:  # noqa: ANN401
    import keras

    return len(keras.tree.flatten(structure)[0])


def _first(values: Any, count: int) -> Any:  # noqa: ANN401  inputs, or labels
    if isinstance(values, Mapping):
        return {name: array[:count] for name, array in values.items()}
    return tuple(array[:count] for array in values) if isinstance(values, list | tuple) else values[:count]
