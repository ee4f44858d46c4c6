"""Failures of the user's own code while Keras runs it: a loss that breaks, a PyDataset that raises, labels that fit no loss."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

import edgecompress
from edgecompress.errors import DataError, EdgeCompressError

_OURS = Path(edgecompress.__file__).parent
_KERAS_SAYS = (ValueError, TypeError, tf.errors.OpError)
"""What Keras and TensorFlow raise of labels that do not fit; their messages say all."""


@contextmanager
def loss_errors_named(stage: str, source: str) -> Iterator[None]:
    """The loss and the data may be the user's own, and only Keras knows which labels a loss takes.

    Args:
        source: where the loss came from, as an `Objective` says it.

    Raises:
        DataError: in place of whatever was raised, except by this package itself: that is a bug, and shows its traceback.
    """
    try:
        yield
    except EdgeCompressError:
        raise
    except Exception as e:
        said = isinstance(e, _KERAS_SAYS)
        if not said and _is_ours(e):
            raise
        reason = first_reason(e) if said else f"{type(e).__name__}: {first_reason(e)}"
        raise DataError(f"{stage}: Keras cannot train on this data: {reason}", hint=f"the loss is {source}") from e


def first_reason(error: Exception) -> str:
    """The telling line of a long message: TensorFlow puts the reason after a trace of its graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if not line.startswith(("Graph execution error", "Detected at", "File ", "<"))), lines[0])[:300]


def _is_ours(error: Exception) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_OURS)
