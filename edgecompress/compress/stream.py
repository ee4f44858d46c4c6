"""Training batches that are made anew each epoch: a tf.data.Dataset or a keras.utils.PyDataset, so that augmentation stays alive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from edgecompress.errors import DataError, EdgeCompressError

_INFINITE, _UNKNOWN = -1, -2
_HINT = "build it with tf.data.Dataset.from_tensor_slices((x, y)).batch(32), or a PyDataset whose __getitem__ returns a batch (x, y)"
# TensorFlow puts the place in its graph in front of what a Dataset's own Python function raised.
_PLACE = re.compile(r"\{\{.*?\}\}\s*")


@dataclass(frozen=True, eq=False)
class Stream:
    """Finite batches (x, y) or (x, y, weights) that can be read again and again.

    Attributes:
        source: the user's tf.data.Dataset or keras.utils.PyDataset.
        batches: in one pass.
        where: it came from, for errors.
    """

    source: Any
    batches: int
    where: str = "train"

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One pass, batches as numpy arrays.

        Raises:
            DataError: the source failed, or gave what is no batch (x, y).
        """
        for batch in read_batches(self.source, self.batches, self.where):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise DataError(f"{self.where}: expected batches (x, y) or (x, y, weights)", hint=_HINT)
            yield tuple(batch)

    def first(self, count: int) -> tuple[Any, Any]:
        """The inputs and labels of the first `count` samples, joined; fewer if there are no more."""
        import keras

        batches: list[tuple[Any, Any]] = []
        found = 0
        for batch in islice(iter(self), self.batches):
            batches.append(batch[:2])
            found += len(keras.tree.flatten(batch[0])[0])
            if found >= count:
                break
        joined = keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:count], *batches)
        return joined[0], joined[1]

    def changed(self, change: Callable[[Any, Any], tuple[Any, Any]]) -> Stream:
        """The same batches with `change` applied to each (x, y)."""
        if _is_dataset(self.source):
            return Stream(self.source.map(lambda x, y, *rest: (*change(x, y), *rest)), self.batches, self.where)
        return Stream(_changed(self.source, change), self.batches, self.where)


def read_stream(value: Any, where: str) -> Stream | None:  # noqa: ANN401  anything a user returns
    """The value as a Stream; None when it is neither a Dataset nor a PyDataset.

    Raises:
        DataError: it never ends, is empty, or its elements are no batches (x, y).
    """
    if not is_stream(value):
        return None
    stream = Stream(value, count_batches(value, where), where)
    if stream.batches < 1:
        raise DataError(f"{where}: holds no batches", hint="return at least one")
    next(iter(stream))
    return stream


def is_stream(value: Any) -> bool:  # noqa: ANN401
    """Whether it is a Dataset or a PyDataset, of whatever elements."""
    return _is_dataset(value) or (hasattr(type(value), "num_batches") and hasattr(value, "__getitem__"))


def count_batches(value: Any, where: str) -> int:  # noqa: ANN401  TensorFlow ships without types
    """How many batches a Dataset or a PyDataset has; a Dataset that does not know is read for it.

    Raises:
        DataError: it never ends, or reading it failed.
    """
    kind = "Dataset" if _is_dataset(value) else "PyDataset"
    with _failures_named(where):
        count = int(value.cardinality()) if _is_dataset(value) else value.num_batches
        if count == _UNKNOWN:
            return sum(1 for _ in value)
    if count is None:
        raise DataError(f"{where}: the {kind} never ends", hint="give it a __len__ that counts its batches")
    if count == _INFINITE:
        raise DataError(f"{where}: the {kind} never ends", hint="leave out repeat(), or end it with take(n)")
    return int(count)


def read_batches(value: Any, batches: int, where: str) -> Iterator[Any]:  # noqa: ANN401
    """The elements of a Dataset or a PyDataset in one pass, as numpy arrays.

    Raises:
        DataError: reading them failed.
    """
    with _failures_named(where):
        yield from value.as_numpy_iterator() if _is_dataset(value) else (_as_numpy(value[i]) for i in range(batches))


@contextmanager
def _failures_named(where: str) -> Iterator[None]:
    """The source is the user's code, which may raise anything."""
    try:
        yield
    except EdgeCompressError:
        raise
    except Exception as e:
        line = (str(e).strip().splitlines() or [""])[0]
        reason = _PLACE.sub("", line, count=1) if _PLACE.match(line) else f"{type(e).__name__}: {line}"
        raise DataError(
            f"{where}: reading its batches failed: {reason}", hint="iterate over it in the data function to find the batch"
        ) from e


def _is_dataset(value: Any) -> bool:  # noqa: ANN401
    return hasattr(value, "element_spec")


def _as_numpy(batch: Any) -> Any:  # noqa: ANN401
    import keras

    return keras.tree.map_structure(np.asarray, batch)


def _changed(source: Any, change: Callable[[Any, Any], tuple[Any, Any]]) -> Any:  # noqa: ANN401
    import keras

    class Changed(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships without types
        """The user's PyDataset with its inputs and labels rearranged."""

        def __len__(self) -> int:
            return int(source.num_batches)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            x, y, *rest = source[index]
            return (*change(x, y), *rest)

        def on_epoch_begin(self) -> None:
            source.on_epoch_begin()

        def on_epoch_end(self) -> None:
            source.on_epoch_end()

    return Changed(workers=source.workers, use_multiprocessing=source.use_multiprocessing, max_queue_size=source.max_queue_size)
