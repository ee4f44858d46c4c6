"""What is trained on, what every choice is made on, and what is read once a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Split:
    """Samples x [n, ...] and class numbers y [n] of one part."""

    x: NDArray[Any]
    y: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a data set."""

    train: Split
    validation: Split
    test: Split
