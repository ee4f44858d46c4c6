"""What layers give while a model runs, read without changing the model's graph.

Extra outputs would do for a flat functional model; a layer inside a nested or a subclassed model has no tensor that a new model could
start from. So the layers' `call` is listened to for as long as the `with` block lasts.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from edgecompress.compress.layers import require_layers, walk_layers


class Taps:
    """The last output of each of some layers.

    Outputs are kept by thread: a `tf.distribute` strategy traces every replica in a thread of its own.
    """

    def __init__(self, layers: Mapping[str, keras.Layer]) -> None:
        self._layers = dict(layers)
        self._seen = threading.local()

    def last(self, path: str) -> Any:  # noqa: ANN401  a tensor of the graph that is being traced
        """What the layer gave when it was last called in this thread."""
        return getattr(self._seen, path)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the outputs of every call inside the block."""
        for path, layer in self._layers.items():
            layer.call = self._noting(path, layer.call)
        try:
            yield
        finally:
            for layer in self._layers.values():
                del layer.call

    def _noting(self, path: str, call: Callable[..., Any]) -> Callable[..., Any]:
        # `wraps` keeps the signature, from which Keras reads whether a layer takes `training` and masks.
        @functools.wraps(call)
        def noting(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            result = call(*args, **kwargs)
            setattr(self._seen, path, result)
            return result

        return noting


def find_layers(model: keras.Model, paths: list[str], setting: str) -> dict[str, keras.Layer]:
    """Layers of `model`, and of the models in it, by path.

    Raises:
        RecipeError: a path names no layer; `setting` says which setting it is of.
    """
    layers = dict(walk_layers(model))
    require_layers(list(layers), [path for path in paths if path not in layers], setting)
    return {path: layers[path] for path in paths}
