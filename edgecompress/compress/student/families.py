"""Small architectures by width and depth, for images, spectrograms and sequences.

    mobilenet_v1   depthwise 3x3 and pointwise, in turn                          Howard et al. 2017, table 1
    mobilenet_v2   inverted residuals with a linear bottleneck                   Sandler et al. 2018, tables 1 and 2
    shufflenet     grouped pointwise, channel shuffle, depthwise                 Zhang et al. 2018, figure 2 and table 1
    ds_cnn         one wide convolution, then depthwise separable ones           Zhang et al. 2017 ("Hello Edge"), as in MLPerf Tiny
    resnet8        three stages of residual blocks                               MLPerf Tiny, image classification

`width` multiplies the channels of every layer, `depth` the repetitions of every stage. Channels are rounded to multiples of 8, but never
below 90 % of what was asked for; ShuffleNet's to what its groups need. These networks were made for large images: a stage halves the
feature map only while at least 3 places remain along its longer axis, and the last stages halve first, so that a small input keeps its
detail at the start. An input [length, channels] gets one-dimensional layers. The result gives logits and is not compiled; its weights are
Keras' initial ones, from Keras' seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from edgecompress.compress.replace.shuffle import shuffle_channels
from edgecompress.errors import ModelError

Tensor: TypeAlias = Any
"""A Keras tensor; Keras ships without types."""

# Short trainings never see enough batches for Keras' 0.99.
_MOMENTUM = 0.9
_DIVISOR = 8
_LEAST_PLACES = 3


def mobilenet_v1(input_shape: Sequence[int], classes: int, *, width: float = 1.0, depth: float = 1.0) -> keras.Model:
    """MobileNetV1; at 96x96x3 and width 0.25 the network of MLPerf Tiny's visual wake words.

    Args:
        input_shape: of one sample, [height, width, channels] or [length, channels].
        classes: outputs.

    Raises:
        ModelError: another rank of input.
    """
    kit, image = _start(input_shape)
    # Channels, repetitions, and whether the first of them halves.
    stages = [(64, 1, False), (128, 2, True), (256, 2, True), (512, 6, True), (1024, 2, True)]
    halves = _halvings(input_shape, [True, *(halving for *_, halving in stages)])
    x = kit.convolve(image, _channels(32, width), 3, "stem", stride=_stride(halves[0]))
    number = 0
    for (channels, repeats, _), halving in zip(stages, halves[1:], strict=True):
        for repeat in range(_repeats(repeats, depth)):
            number += 1
            x = kit.separable(x, _channels(channels, width), f"block{number}", stride=_stride(halving and repeat == 0))
    return kit.finish(image, x, classes, "mobilenet_v1")


def mobilenet_v2(input_shape: Sequence[int], classes: int, *, width: float = 1.0, depth: float = 1.0) -> keras.Model:
    """MobileNetV2; its last 1280 channels shrink with `width` as well, which the paper leaves whole.

    Args:
        input_shape: of one sample, [height, width, channels] or [length, channels].
        classes: outputs.

    Raises:
        ModelError: another rank of input.
    """
    kit, image = _start(input_shape)
    # Expansion, channels, repetitions, and whether the first of them halves.
    stages = [
        (1, 16, 1, False),
        (6, 24, 2, True),
        (6, 32, 3, True),
        (6, 64, 4, True),
        (6, 96, 3, False),
        (6, 160, 3, True),
        (6, 320, 1, False),
    ]
    halves = _halvings(input_shape, [True, *(halving for *_, halving in stages)])
    x = kit.convolve(image, _channels(32, width), 3, "stem", stride=_stride(halves[0]), activation="relu6")
    number = 0
    for (expansion, channels, repeats, _), halving in zip(stages, halves[1:], strict=True):
        for repeat in range(_repeats(repeats, depth)):
            number += 1
            stride = _stride(halving and repeat == 0)
            x = kit.inverted_residual(x, _channels(channels, width), expansion, f"block{number}", stride)
    x = kit.convolve(x, _channels(1280, width), 1, "head", activation="relu6")
    return kit.finish(image, x, classes, "mobilenet_v2")


def shufflenet(input_shape: Sequence[int], classes: int, *, width: float = 1.0, depth: float = 1.0, groups: int = 4) -> keras.Model:
    """ShuffleNet; a unit's inner channels are a quarter of its outputs. The channels are those of table 1 for 4 groups, at any `groups`.

    Args:
        input_shape: of one sample, [height, width, channels] or [length, channels].
        classes: outputs.
        groups: of the pointwise convolutions; 1 leaves out the shuffle.

    Raises:
        ModelError: another rank of input.
    """
    kit, image = _start(input_shape)
    stages = [(272, 4), (544, 8), (1088, 4)]
    halves = _halvings(input_shape, [True, True, *(True for _ in stages)])
    # The shortcut of a halving unit is concatenated: its channels, too, must be dealt to the groups.
    x = kit.convolve(image, _multiple(24 * width, groups, at_least=groups), 3, "stem", stride=_stride(halves[0]))
    if halves[1]:
        x = kit.layer("MaxPooling", 3, strides=2, padding="same", name="stem_pool")(x)
    number = 0
    for (channels, repeats), halving in zip(stages, halves[2:], strict=True):
        wanted = _multiple(channels * width, 4 * groups, at_least=x.shape[-1] + 4 * groups)
        for repeat in range(_repeats(repeats, depth)):
            number += 1
            # The paper leaves the first reduction whole: it has few inputs.
            unit = _ShuffleUnit(wanted, 1 if number == 1 else groups, groups, stride=_stride(halving), widens=repeat == 0)
            x = kit.shuffle_unit(x, unit, f"unit{number}")
    return kit.finish(image, x, classes, "shufflenet")


def ds_cnn(input_shape: Sequence[int], classes: int, *, width: float = 1.0, depth: float = 1.0) -> keras.Model:
    """DS-CNN; at 49x10x1 and width 1 the network of MLPerf Tiny's keyword spotting, of 64 channels and 4 blocks.

    Args:
        input_shape: of one sample, [height, width, channels] or [length, channels].
        classes: outputs.

    Raises:
        ModelError: another rank of input.
    """
    kit, image = _start(input_shape)
    channels = _channels(64, width)
    x = kit.convolve(image, channels, kit.stem_kernel(input_shape), "stem", stride=_stride(_halvings(input_shape, [True])[0]))
    for number in range(_repeats(4, depth)):
        x = kit.separable(x, channels, f"block{number + 1}")
    return kit.finish(image, x, classes, "ds_cnn")


def resnet8(input_shape: Sequence[int], classes: int, *, width: float = 1.0, depth: float = 1.0) -> keras.Model:
    """ResNet8; at 32x32x3 and width 1 the network of MLPerf Tiny's image classification. `depth` 2 and 3 give ResNet14 and 20.

    Args:
        input_shape: of one sample, [height, width, channels] or [length, channels].
        classes: outputs.

    Raises:
        ModelError: another rank of input.
    """
    kit, image = _start(input_shape)
    stages = [(16, False), (32, True), (64, True)]
    halves = _halvings(input_shape, [halving for _, halving in stages])
    x = kit.convolve(image, _channels(16, width), 3, "stem")
    number = 0
    for (channels, _), halving in zip(stages, halves, strict=True):
        for repeat in range(_repeats(1, depth)):
            number += 1
            x = kit.residual(x, _channels(channels, width), f"block{number}", stride=_stride(halving and repeat == 0))
    return kit.finish(image, x, classes, "resnet8")


@dataclass(frozen=True)
class _ShuffleUnit:
    """One unit of ShuffleNet.

    Attributes:
        channels: of its output.
        reduce_groups, groups: of its first and of its last pointwise convolution.
        stride: of a unit that widens.
        widens: the first unit of a stage (figure 2c), against the others (2b).
    """

    channels: int
    reduce_groups: int
    groups: int
    stride: int
    widens: bool


@dataclass(frozen=True)
class _Kit:
    """Blocks of layers for feature maps with `rank` spatial axes."""

    rank: int

    def layer(self, stem: str, *sizes: object, **config: object) -> Any:  # noqa: ANN401
        """A layer of the right rank, such as Conv2D for "Conv"."""
        return getattr(keras.layers, f"{stem}{self.rank}D")(*sizes, **config)

    def stem_kernel(self, input_shape: Sequence[int]) -> int | tuple[int, ...]:
        """10 by 4 for spectrograms (and 10 for sequences), which are longer than wide; 3 by 3 for images."""
        if self.rank == 1:
            return min(10, input_shape[0])
        return (min(10, input_shape[0]), min(4, input_shape[1])) if input_shape[0] >= 2 * input_shape[1] else 3

    def convolve(
        self,
        x: Tensor,
        channels: int,
        kernel: int | tuple[int, ...],
        name: str,
        *,
        stride: int = 1,
        activation: str = "relu",
        groups: int = 1,
    ) -> Tensor:
        """Convolution, normalization, activation."""
        x = self.layer(
            "Conv",
            channels,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            groups=groups,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return _normalize(x, name, activation)

    def depthwise(self, x: Tensor, name: str, *, stride: int, activation: str) -> Tensor:
        """Depthwise convolution of 3 taps an axis, normalization, activation."""
        x = self.layer("DepthwiseConv", 3, strides=stride, padding="same", use_bias=False, depthwise_initializer="he_normal", name=name)(x)
        return _normalize(x, name, activation)

    def separable(self, x: Tensor, channels: int, name: str, *, stride: int = 1) -> Tensor:
        """A depthwise and a pointwise convolution, each normalized and rectified."""
        x = self.depthwise(x, f"{name}_depthwise", stride=stride, activation="relu")
        return self.convolve(x, channels, 1, f"{name}_pointwise")

    def inverted_residual(self, x: Tensor, channels: int, expansion: int, name: str, stride: int) -> Tensor:
        """Expand, filter, project without activation; added to the input where the shapes allow."""
        source = x
        if expansion > 1:
            x = self.convolve(x, expansion * x.shape[-1], 1, f"{name}_expand", activation="relu6")
        x = self.depthwise(x, f"{name}_depthwise", stride=stride, activation="relu6")
        x = self.convolve(x, channels, 1, f"{name}_project", activation="linear")
        return keras.layers.Add(name=f"{name}_add")([source, x]) if x.shape == source.shape else x

    def shuffle_unit(self, x: Tensor, unit: _ShuffleUnit, name: str) -> Tensor:
        """Reduce, shuffle, filter, expand; the shortcut is added, or concatenated by a unit that widens."""
        source = x
        x = self.convolve(x, unit.channels // 4, 1, f"{name}_reduce", groups=unit.reduce_groups)
        if unit.groups > 1:
            x = shuffle_channels(x, unit.groups, f"{name}_shuffle")
        x = self.depthwise(x, f"{name}_depthwise", stride=unit.stride if unit.widens else 1, activation="linear")
        made = unit.channels - source.shape[-1] if unit.widens else unit.channels
        x = self.convolve(x, made, 1, f"{name}_expand", activation="linear", groups=unit.groups)
        if not unit.widens:
            return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([source, x]))
        if unit.stride > 1:
            source = self.layer("AveragePooling", 3, strides=unit.stride, padding="same", name=f"{name}_pool")(source)
        # The shortcut is rectified already.
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        return keras.layers.Concatenate(name=f"{name}_concatenate")([source, x])

    def residual(self, x: Tensor, channels: int, name: str, *, stride: int) -> Tensor:
        """Two convolutions, added to the input, which a pointwise one fits where it must."""
        source = x
        x = self.convolve(x, channels, 3, f"{name}_first", stride=stride)
        x = self.convolve(x, channels, 3, f"{name}_second", activation="linear")
        if x.shape != source.shape:
            source = self.layer(
                "Conv", channels, 1, strides=stride, padding="same", kernel_initializer="he_normal", name=f"{name}_shortcut"
            )(source)
        return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([source, x]))

    def finish(self, image: Tensor, x: Tensor, classes: int, name: str) -> keras.Model:
        """The mean over all places, then one dense layer."""
        x = self.layer("GlobalAveragePooling", name="pool")(x)
        return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name=name)


def _normalize(x: Tensor, name: str, activation: str) -> Tensor:
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    match activation:
        case "relu":
            return keras.layers.ReLU(name=f"{name}_relu")(x)
        case "relu6":
            return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x)
        case _:
            return x


def _start(input_shape: Sequence[int]) -> tuple[_Kit, Tensor]:
    if len(input_shape) not in (2, 3):
        raise ModelError(
            f"a student of convolutions takes [height, width, channels] or [length, channels]; the input is {list(input_shape)}",
            hint="add the channel axis: [49, 10] becomes [49, 10, 1]",
        )
    return _Kit(len(input_shape) - 1), keras.Input(tuple(input_shape), name="input")


def _halvings(input_shape: Sequence[int], wanted: Sequence[bool]) -> list[bool]:
    """Which of the stages that want to halve the feature map do: the last ones, as many as leave `_LEAST_PLACES` on the longer axis."""
    places, count = max(input_shape[:-1]), 0
    while -(-places // 2) >= _LEAST_PLACES:
        places, count = -(-places // 2), count + 1
    halves = list(wanted)
    surplus = sum(wanted) - count
    for stage, wants in enumerate(wanted):
        if wants and surplus > 0:
            halves[stage] = False
            surplus -= 1
    return halves


def _stride(halving: bool) -> int:
    return 2 if halving else 1


def _repeats(count: int, depth: float) -> int:
    return max(1, round(count * depth))


def _channels(count: int, width: float) -> int:
    """The nearest multiple of 8, at least 8 and at least 90 % of count * width (Sandler et al. 2018, reference code)."""
    wanted = count * width
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * wanted else rounded


def _multiple(wanted: float, divisor: int, *, at_least: int) -> int:
    """The multiple of `divisor` nearest to `wanted` that is not below `at_least`."""
    return max(round(wanted / divisor), -(-at_least // divisor)) * divisor
