"""Channel shuffle: the channels of g groups dealt out in turn, so that the next grouped layer sees all groups.

Channel group * n + k goes to k * g + group, by reshape, transpose, reshape (Zhang et al. 2018, "ShuffleNet", section 3.1). The places
of the feature map are one axis, so that the transpose has rank 4 at most, batch included: every int8 runtime has that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras


def shuffle_layers(name: str, shape: Sequence[int], groups: int) -> list[tuple[type, dict[str, Any]]]:
    """Class and config of the three layers.

    Args:
        name: they are called `<name>_split`, `<name>_turn` and `<name>_join`.
        shape: of one sample, [..., channels].
    """
    *places, channels = shape
    split = (math.prod(places), groups, channels // groups) if places else (groups, channels // groups)
    turn = (1, 3, 2) if places else (2, 1)
    return [
        (keras.layers.Reshape, {"name": f"{name}_split", "target_shape": split}),
        (keras.layers.Permute, {"name": f"{name}_turn", "dims": turn}),
        (keras.layers.Reshape, {"name": f"{name}_join", "target_shape": tuple(shape)}),
    ]


def shuffle_channels(x: Any, groups: int, name: str) -> Any:  # noqa: ANN401 - Keras ships without types
    """A Keras tensor [batch, ..., channels] with its channels shuffled."""
    for kind, config in shuffle_layers(name, x.shape[1:], groups):
        x = kind(**config)(x)
    return x
