"""Twenty models of different shapes, written once: for the planner alone, and as graphs that are lowered to kernels.

A `Builder` adds layers to whatever it makes; tensors are numbers, and `shapes` has their height, width and channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

Shape = tuple[int, int, int]


class Builder(Protocol):
    """What a model is written with; each method gives the number of its output."""

    shapes: list[Shape]

    def input(self, *shape: int) -> int: ...
    def conv(self, x: int, channels: int, stride: int = 1, scratch: int = 0) -> int: ...
    def pointwise(self, x: int, channels: int) -> int: ...
    def depthwise(self, x: int, stride: int = 1) -> int: ...
    def add(self, a: int, b: int) -> int: ...
    def concat(self, *reads: int) -> int: ...
    def reduce(self, x: int) -> int: ...
    def scale(self, x: int, gate: int) -> int: ...
    def grow(self, x: int) -> int: ...
    def dense(self, x: int, units: int) -> int: ...
    def softmax(self, x: int) -> int: ...
    def scores(self, q: int, k: int) -> int: ...
    def mixed(self, weights: int, v: int, shape: Shape) -> int: ...
    def half(self, x: int, part: int) -> int: ...
    def interleaved(self, x: int) -> int: ...


def dense_chain(m: Builder, x: int) -> int:
    for units in (128, 64, 8, 64, 128, 640):
        x = m.dense(x, units)
    return x


def mobilenet_v1(m: Builder, x: int) -> int:
    x = m.conv(x, 8, 2, 96)
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2)):
        x = m.pointwise(m.depthwise(x, stride), channels)
    return m.dense(m.reduce(x), 10)


def mobilenet_v2(m: Builder, x: int) -> int:
    x = m.conv(x, 16, 2)
    for channels, stride in ((8, 1), (16, 2), (16, 1), (24, 2), (24, 1), (24, 1), (32, 2), (32, 1)):
        y = m.pointwise(m.depthwise(m.pointwise(x, 6 * m.shapes[x][2]), stride), channels)
        x = m.add(x, y) if m.shapes[x] == m.shapes[y] else y
    return m.dense(m.reduce(x), 10)


def resnet(m: Builder, x: int) -> int:
    x = m.conv(x, 16)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = m.conv(m.conv(x, channels, stride), channels)
        x = m.add(x if stride == 1 else m.conv(x, channels, stride), y)
    return m.dense(m.reduce(x), 10)


def inception(m: Builder, x: int) -> int:
    for _ in range(3):
        x = m.concat(m.conv(x, 16), m.conv(m.pointwise(x, 12), 24), m.conv(m.conv(m.pointwise(x, 4), 8), 8), m.pointwise(m.depthwise(x), 8))
    return m.dense(m.reduce(x), 10)


def unet(m: Builder, x: int) -> int:
    skips = []
    for channels in (8, 16, 32):
        x = m.conv(m.conv(x, channels), channels)
        skips.append(x)
        x = m.conv(x, channels, 2)
    for channels, skip in zip((32, 16, 8), reversed(skips), strict=True):
        x = m.conv(m.concat(m.grow(x), skip), channels)
    return m.conv(x, 2)


def unet_add(m: Builder, x: int) -> int:
    skips = []
    for _ in range(4):
        x = m.conv(x, 12)
        skips.append(x)
        x = m.depthwise(x, 2)
    for skip in reversed(skips):
        x = m.add(m.grow(x), skip)
    return x


def densenet(m: Builder, x: int) -> int:
    x = m.conv(x, 16)
    for _ in range(2):
        for _ in range(4):
            x = m.concat(x, m.conv(m.pointwise(x, 32), 8))
        x = m.conv(x, 24, 2)
    return m.dense(m.reduce(x), 10)


def dense_lists(m: Builder, x: int) -> int:
    parts = [m.conv(x, 8)]
    for _ in range(5):
        parts.append(m.conv(m.concat(*parts) if len(parts) > 1 else parts[0], 8))
    return m.concat(*parts)


def squeeze_excite(m: Builder, x: int) -> int:
    x = m.conv(x, 16, 2)
    for stride in (1, 2, 1):
        y = m.depthwise(m.pointwise(x, 64), stride)
        y = m.scale(y, m.dense(m.dense(m.reduce(y), 16), 64))
        y = m.pointwise(y, 16)
        x = m.add(x, y) if stride == 1 else y
    return m.dense(m.reduce(x), 10)


def squeezenet(m: Builder, x: int) -> int:
    x = m.conv(x, 32, 2)
    for squeezed in (8, 8, 16, 16):
        y = m.pointwise(x, squeezed)
        x = m.concat(m.pointwise(y, 4 * squeezed), m.conv(y, 4 * squeezed))
    return m.reduce(m.pointwise(x, 10))


def pyramid(m: Builder, x: int) -> Iterator[int]:
    levels = []
    for channels in (8, 16, 24, 32):
        x = m.conv(x, channels, 2)
        levels.append(m.pointwise(x, 16))
    top = levels[-1]
    yield m.conv(top, 6)
    for level in reversed(levels[:-1]):
        top = m.add(m.grow(top), level)
        yield m.conv(top, 6)


def two_heads(m: Builder, x: int) -> Iterator[int]:
    x = mobilenet_trunk(m, x)
    yield m.dense(m.reduce(x), 4)
    yield m.conv(m.grow(x), 2)


def mobilenet_trunk(m: Builder, x: int) -> int:
    for channels, stride in ((8, 2), (16, 2), (24, 1)):
        x = m.pointwise(m.depthwise(x, stride), channels)
    return x


def siamese(m: Builder, x: int) -> int:
    other = m.input(*m.shapes[x])
    return m.dense(m.concat(mobilenet_trunk(m, x), mobilenet_trunk(m, other)), 2)


def three_inputs(m: Builder, x: int) -> int:
    a, b = m.input(1, 1, 500), m.input(1, 40, 30)
    y = m.concat(m.reduce(m.conv(x, 24, 2)), m.dense(a, 40), m.reduce(m.conv(b, 12)))
    return m.dense(m.dense(y, 300), 3)


def wake_word(m: Builder, x: int) -> int:
    for _ in range(4):
        x = m.pointwise(m.depthwise(m.conv(x, 32)), 32)
    return m.dense(x, 1)


def temporal(m: Builder, x: int) -> int:
    x = m.conv(x, 24)
    total = x
    for _ in range(5):
        x = m.add(x, m.conv(m.conv(x, 24), 24))
        total = m.add(total, x)
    return m.dense(total, 12)


def attention(m: Builder, x: int) -> int:
    for _ in range(2):
        q, k, v = m.pointwise(x, 16), m.pointwise(x, 16), m.pointwise(x, 16)
        weights = m.softmax(m.scores(q, k))
        x = m.add(x, m.mixed(weights, v, m.shapes[x]))
        x = m.add(x, m.pointwise(m.pointwise(x, 64), 16))
    return m.dense(x, 5)


def shuffle(m: Builder, x: int) -> int:
    x = m.conv(x, 24, 2)
    for _ in range(4):
        deep = m.shapes[x][2]
        left, right = m.half(x, 0), m.half(x, 1)
        x = m.interleaved(m.concat(left, m.pointwise(m.depthwise(m.pointwise(right, deep // 2)), deep // 2)))
    return m.dense(m.reduce(x), 10)


def hourglass(m: Builder, x: int) -> int:
    x = m.conv(x, 16)
    outer = m.conv(x, 16)
    middle = m.conv(m.conv(x, 16, 2), 24)
    inner = m.grow(m.conv(m.conv(middle, 32, 2), 24))
    return m.conv(m.add(outer, m.conv(m.grow(m.add(middle, inner)), 16)), 5)


Model = Callable[[Builder, int], "int | Iterator[int]"]
MODELS: list[tuple[Model, Shape]] = [
    (dense_chain, (1, 1, 640)),
    (mobilenet_v1, (96, 96, 3)),
    (mobilenet_v2, (144, 144, 3)),
    (resnet, (32, 32, 3)),
    (inception, (24, 24, 16)),
    (unet, (64, 64, 1)),
    (unet_add, (48, 64, 3)),
    (densenet, (32, 32, 3)),
    (dense_lists, (20, 20, 4)),
    (squeeze_excite, (64, 64, 3)),
    (squeezenet, (48, 48, 3)),
    (pyramid, (96, 64, 3)),
    (two_heads, (64, 64, 4)),
    (siamese, (40, 40, 3)),
    (three_inputs, (28, 28, 3)),
    (wake_word, (30, 1, 40)),
    (temporal, (49, 1, 10)),
    (attention, (8, 8, 16)),
    (shuffle, (56, 56, 3)),
    (hourglass, (32, 32, 6)),
]
