"""Handwritten digits: 1,797 images of 8x8 pixels, from scikit-learn's own wheel, so nothing is downloaded.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998 (the test part).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import DataError

HELD_OUT = 497
CALIBRATION = 200
_SPLIT_SEED = 0
_LEVELS = 16.0  # pixels count 0 to 16 dark dots of a 4x4 block


@dataclass(frozen=True, eq=False)
class Digits:
    """Images [n, 8, 8, 1] float32 in 0 to 1, labels [n] int32. Nothing is fitted to, or chosen by, the held-out ones."""

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int32]
    held_out_x: NDArray[np.float32]
    held_out_y: NDArray[np.int32]

    @property
    def calibration_x(self) -> NDArray[np.float32]:
        """Training images for measuring ranges."""
        return self.train_x[:CALIBRATION]


def load_digits() -> Digits:
    """The images, split by one fixed permutation into 1,300 to train on and 497 held out.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as e:
        raise DataError("the demo's images come with scikit-learn, which is not installed", hint='pip install "edgecompress[demo]"') from e
    source = datasets.load_digits()
    x = (source.images / _LEVELS).astype(np.float32)[..., np.newaxis]
    y = source.target.astype(np.int32)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(x))
    held_out, train = order[:HELD_OUT], order[HELD_OUT:]
    return Digits(x[train], y[train], x[held_out], y[held_out])
