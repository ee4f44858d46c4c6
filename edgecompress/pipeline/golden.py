"""Inferences of the reference that an app's tests repeat: chosen so that their outputs differ.

Noise alone drives many a classifier into the same class whatever the seed, and a test within a tolerance would then pass for a model that
ignores its input. So a few kinds of input are tried, and those kept whose outputs are farthest apart. The first is always noise of seed 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.build.android import Golden, GoldenSample
from edgecompress.graph import DType, Graph, Tensor
from edgecompress.numerics.lcg import lcg_bytes
from edgecompress.pipeline.reference import element_difference, open_reference
from edgecompress.pipeline.sources import LoadedModel

GOLDEN_VECTORS = 3
_Pattern = NDArray[np.int8]


def golden_vectors(model: LoadedModel, tolerance: int, count: int = GOLDEN_VECTORS) -> Golden:
    """Inferences of the reference on generated inputs, as far apart as sixteen candidates allow.

    Args:
        tolerance: largest difference that passes on a phone, in counts; 0 for what computes as the reference does.

    Raises:
        ModelError: the reference cannot run this model.
    """
    reference, run = open_reference(model)
    candidates = [GoldenSample(inputs, tuple(run(inputs))) for inputs in _candidates(model.graph)]
    chosen = candidates[:1]
    while len(chosen) < count:
        chosen.append(max(candidates, key=lambda one: min(_distance(model, one, other) for other in chosen)))
    return Golden(tuple(chosen), reference, tolerance)


def _distance(model: LoadedModel, left: GoldenSample, right: GoldenSample) -> int:
    """The largest difference of an output element, in counts."""
    triples = zip(model.graph.outputs, left.outputs, right.outputs, strict=True)
    return max(int(element_difference(model, index, one, other).max(initial=0)) for index, one, other in triples)


def _candidates(graph: Graph) -> Iterator[tuple[bytes, ...]]:
    """Inputs of every kind; the patterns of several inputs differ in their seeds."""
    tensors = [graph.tensor(index) for index in graph.inputs]
    for kind in range(len(_patterns(1, 1))):
        yield tuple(_as_tensor(_patterns(place * 100, tensor.elements)[kind], tensor) for place, tensor in enumerate(tensors))


def _patterns(offset: int, size: int) -> Sequence[_Pattern]:
    """Noise, quieter noise, noise in runs, one level, a ramp."""
    noise = [np.frombuffer(lcg_bytes(offset + seed, size), np.int8) for seed in (1, 2, 3, 4)]
    quiet = [noise[0] >> bits for bits in (2, 4)]
    runs = [np.repeat(one[: -(-size // length)], length)[:size] for one in noise[:2] for length in (4, 16, 64)]
    levels = [np.full(size, level, np.int8) for level in (-128, 0, 127)]
    ramp = (np.arange(size) * 256 // max(1, size) - 128).astype(np.int8)
    return [*noise, *quiet, *runs, *levels, ramp]


def _as_tensor(pattern: _Pattern, tensor: Tensor) -> bytes:
    """A pattern over the whole range of the tensor's type; floats in [-1, 1); int32, often an index, 0 or 1."""
    match tensor.dtype:
        case DType.FLOAT32:
            return (pattern.astype(np.float32) / 128).astype("<f4").tobytes()
        case DType.UINT8:
            return (pattern.astype(np.int16) + 128).astype(np.uint8).tobytes()
        case DType.INT16:
            return (pattern.astype(np.int16) * 256).astype("<i2").tobytes()
        case DType.INT32:
            return (pattern & 1).astype("<i4").tobytes()
        case _:
            return np.resize(pattern.view(np.uint8), tensor.bytes).tobytes()
