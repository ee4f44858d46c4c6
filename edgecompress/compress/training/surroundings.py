"""How training is run: under which tf.distribute strategy, and whether every op gives the same bits each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import config as framework_config

from edgecompress.errors import RecipeError
from edgecompress.recipe import Recipe


@contextmanager
def op_determinism(recipe: Recipe) -> Iterator[None]:
    """TensorFlow's deterministic ops while the block runs, when the recipe asks for them; then as before."""
    before = bool(framework_config.is_op_determinism_enabled())
    if not recipe.deterministic or before:
        yield
        return
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        framework_config.disable_op_determinism()


def strategy_scope(recipe: Recipe) -> AbstractContextManager[Any]:
    """Where models are made that train under the recipe's strategy.

    Raises:
        RecipeError: this TensorFlow cannot start it.
    """
    try:
        scope: AbstractContextManager[Any] = _strategy(recipe.strategy).scope()
    except (ValueError, RuntimeError, tf.errors.OpError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise RecipeError(f"strategy {recipe.strategy!r} cannot be started: {reason}", hint='"single" needs one device only') from e
    return scope


@cache
def _strategy(name: str) -> Any:  # noqa: ANN401  TensorFlow ships without types
    """One of a kind for the process: a second one would number its collective operations from the start again, and they would collide."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()
