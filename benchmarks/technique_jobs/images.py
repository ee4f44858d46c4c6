"""CIFAR-10 from a zip of JPEG files, decoded once, and its training stream: flips and shifts, the same for the same seed.

Pixels stay as they are, 0 to 255: the model's own first layers take them, and so does the firmware.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.errors import DataError
from edgecompress.files import replacing
from technique_jobs.splits import Split, Splits

VALIDATION = 5_000
_SPLIT_SEED = 0
_ZIP = "cifar10.zip"
_PARTS = ("train", "test")


def load_cifar10(folder: Path, cache: Path) -> Splits:
    """The images of `folder`/cifar10.zip, uint8 [n, 32, 32, 3]; 5,000 training images, drawn with a fixed seed, are for validation.

    Args:
        cache: where the decoded pixels are kept, as .npz.

    Raises:
        DataError: the archive is not there.
    """
    train, test = (_decoded(folder / _ZIP, part, cache / f"cifar10-{part}.npz") for part in _PARTS)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(train.y))
    held, rest = order[:VALIDATION], order[VALIDATION:]
    return Splits(Split(train.x[rest], train.y[rest]), Split(train.x[held], train.y[held]), test)


def augmented(split: Split, *, batch: int, seed: int, shift: int) -> tf.data.Dataset:
    """Batches of (x float32, y), each image flipped with p = 1/2 and moved by up to `shift` pixels each way over black.

    The order and the changes differ from pass to pass and are the same for the same seed.
    """
    images, labels = tf.constant(split.x), tf.constant(split.y)
    height, width = split.x.shape[1:3]

    def change(chosen: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count, drawn = tf.shape(chosen)[0], seeds[0]
        x = tf.pad(tf.gather(images, chosen), [[0, 0], [shift, shift], [shift, shift], [0, 0]])
        moves = tf.random.stateless_uniform([2, count, 1], drawn, 0, 2 * shift + 1, tf.int32)
        flips = tf.random.stateless_uniform([count, 1], drawn + 1) < 0.5
        rows, columns = moves[0] + tf.range(height), moves[1] + tf.range(width)
        columns = tf.where(flips, tf.reverse(columns, [1]), columns)
        x = tf.gather(tf.gather(x, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
        return tf.cast(x, tf.float32), tf.gather(labels, chosen)

    order = tf.data.Dataset.range(len(split.y)).shuffle(len(split.y), seed=seed, reshuffle_each_iteration=True).batch(batch)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2).batch(1)
    return tf.data.Dataset.zip(order, seeds).map(change, num_parallel_calls=1).prefetch(2)


def _decoded(archive: Path, part: str, cached: Path) -> Split:
    if not cached.exists():
        x, y = _decode(archive, part)
        with replacing(cached) as temporary, temporary.open("wb") as file:
            np.savez(file, x=x, y=y)
    with np.load(cached) as arrays:
        return Split(arrays["x"], arrays["y"])


def _decode(archive: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Pixels and classes of `part`/CLASS/NNNN.jpg, in the order of their names; classes are numbered in theirs."""
    if not archive.is_file():
        raise DataError(f"{archive}: is not there", hint="EDGECOMPRESS_DATA names the folder that holds it")
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.startswith(f"{part}/") and name.endswith(".jpg"))
        pixels = np.stack([tf.io.decode_jpeg(files.read(name), channels=3).numpy() for name in names])
    classes = sorted({name.split("/")[1] for name in names})
    return pixels, np.array([classes.index(name.split("/")[1]) for name in names], np.int32)
