"""Training batches that are made anew each epoch: a tf.data.Dataset or a keras.utils.PyDataset, so that augmentation stays alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from edgecompress.errors import DataError

_INFINITE, _UNKNOWN = -1, -2
_HINT = "build it with tf.data.Dataset.from_tensor_slices((x, y)).batch(32), or a PyDataset whose __getitem__ returns a batch (x, y)"


@dataclass(frozen=True, eq=False)
class Stream:
    """Finite batches (x, y) or (x, y, weights) that can be read again and again.

    Attributes:
        source: the user's tf.data.Dataset or keras.utils.PyDataset.
        batches: in one pass.
    """

    source: Any
    batches: int

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One pass, batches as numpy arrays."""
        if _is_dataset(self.source):
            yield from self.source.as_numpy_iterator()
        else:
            yield from (_as_numpy(self.source[i]) for i in range(self.batches))

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
            return Stream(self.source.map(lambda x, y, *rest: (*change(x, y), *rest)), self.batches)
        return Stream(_changed(self.source, change), self.batches)


def read_stream(value: Any, where: str) -> Stream | None:  # noqa: ANN401  anything a user returns
    """The value as a Stream; None when it is neither a Dataset nor a PyDataset.

    Raises:
        DataError: it never ends, is empty, or its elements are no batches (x, y).
    """
    if _is_dataset(value):
        stream = Stream(value, _count(value, where))
    elif hasattr(value, "num_batches") and hasattr(value, "__getitem__"):
        if value.num_batches is None:
            raise DataError(f"{where}: the PyDataset never ends", hint="give it a __len__ that counts its batches")
        stream = Stream(value, int(value.num_batches))
    else:
        return None
    if stream.batches < 1:
        raise DataError(f"{where}: holds no batches", hint="return at least one")
    first = next(iter(stream))
    if not isinstance(first, tuple | list) or len(first) not in (2, 3):
        raise DataError(f"{where}: expected batches (x, y) or (x, y, weights)", hint=_HINT)
    return stream


def _is_dataset(value: Any) -> bool:  # noqa: ANN401
    return hasattr(value, "element_spec")


def _count(dataset: Any, where: str) -> int:  # noqa: ANN401  TensorFlow ships without types
    count = int(dataset.cardinality())
    if count == _INFINITE:
        raise DataError(f"{where}: the Dataset never ends", hint="leave out repeat(), or end it with take(n)")
    return sum(1 for _ in dataset) if count == _UNKNOWN else count


def _as_numpy(batch: Any) -> tuple[Any, ...]:  # noqa: ANN401
    import keras

    return tuple(keras.tree.map_structure(np.asarray, tuple(batch)))


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
