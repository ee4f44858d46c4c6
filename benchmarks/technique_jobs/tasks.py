"""What the rows are tried on: a data set, the network where float training begins, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.data_function import as_data
from edgecompress.demo import data as digits
from edgecompress.demo.model import build_model
from edgecompress.errors import DataError
from technique_jobs.images import augmented, load_cifar10
from technique_jobs.speech import by_take, ds_cnn, load_fsdd, without_speaker
from technique_jobs.splits import Split, Splits

SEED = 0
_CALIBRATION = 256
_BATCH, _SMALL_BATCH = 128, 32
_SHIFT, _SMALL_SHIFT = 4, 1
_QUICK_VALIDATION = 200
ENVIRONMENT = "EDGECOMPRESS_DATA"


@dataclass(frozen=True, eq=False)
class Task:
    """One data set and the network for it.

    Attributes:
        name: also of the file of rows, NAME.toml.
        begin: the network that float training begins with; its weights are published ones, or follow Keras' seed.
        stream: training batches anew for each pass, or None to train on the arrays.
        unheard: the same with one speaker's clips for testing alone; None where nobody speaks.
    """

    name: str
    splits: Splits
    begin: Callable[[], keras.Model]
    stream: Callable[[Split], tf.data.Dataset] | None = None
    unheard: Task | None = None

    def data(self) -> Data:
        """What a recipe may see: never the test part."""
        train, validation = self.splits.train, self.splits.validation
        return as_data(
            Data(
                train=self.stream(train) if self.stream else (train.x, train.y),
                validation=(as_float(validation.x), validation.y),
                calibration=as_float(train.x[:_CALIBRATION]),
            ),
            self.name,
        )


def open_task(name: str, cache: Path, *, quick: bool) -> Task:
    """The task that is called so; `quick` puts scikit-learn's digits and the demo's network in its place.

    Args:
        cache: for decoded images.

    Raises:
        DataError: EDGECOMPRESS_DATA is unset, or names a folder without the data set.
    """
    if quick:
        return _digits(name)
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        raise DataError(
            f"{ENVIRONMENT} is not set, and {name} is read from the folder that it names",
            hint=f"set {ENVIRONMENT}, or use --quick, which needs no data",
        )
    return _cifar10(name, Path(folder), cache) if name == "cifar10" else _fsdd(name, Path(folder))


def as_float(x: NDArray[Any]) -> NDArray[np.float32]:
    """The values as they are, in float32."""
    return x.astype(np.float32)


def _cifar10(name: str, folder: Path, cache: Path) -> Task:
    return Task(
        name,
        load_cifar10(folder, cache),
        lambda: keras.models.load_model(folder / "models" / "ic_resnet8.h5", compile=False),
        lambda train: augmented(train, batch=_BATCH, seed=SEED, shift=_SHIFT),
    )


def _fsdd(name: str, folder: Path) -> Task:
    speech = load_fsdd(folder)
    return Task(name, by_take(speech), ds_cnn, unheard=Task(name, without_speaker(speech), ds_cnn))


def _digits(name: str) -> Task:
    source = digits.load_digits()
    train = Split(source.train_x[_QUICK_VALIDATION:], source.train_y[_QUICK_VALIDATION:])
    validation = Split(source.train_x[:_QUICK_VALIDATION], source.train_y[:_QUICK_VALIDATION])
    splits = Splits(train, validation, Split(source.held_out_x, source.held_out_y))
    return Task(name, splits, build_model, lambda part: augmented(part, batch=_SMALL_BATCH, seed=SEED, shift=_SMALL_SHIFT))
