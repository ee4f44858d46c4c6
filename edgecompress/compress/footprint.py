"""What a model weighs once it is converted: measured before and after every step of a recipe, not counted in zeros alone.

A model in the middle of a recipe is converted by post-training int8 (to float32 when nothing can calibrate it), so that a step's gain is
seen in the bytes that would ship.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.score import Score
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import DataError, ModelError
from edgecompress.graph import Graph
from edgecompress.recipe import QuantizeSettings

if TYPE_CHECKING:
    from keras import Model

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"})
_WEIGHTS = 1
"""Which input of these ops holds the weights."""


@dataclass(frozen=True)
class Footprint:
    """A model's size and score. What could not be measured is None, and `remark` says why.

    Attributes:
        mode: what it was converted to.
        parameters, macs: of the .tflite: weights and biases; multiply-accumulates of one inference.
        weights, zeros: elements of its kernels, and how many of them are exactly 0.
        gzip_bytes: level 9, no time stamp.
        keras, tflite: scores on the validation data, of the Keras model and of the .tflite through LiteRT.
    """

    mode: str
    parameters: int | None = None
    macs: int | None = None
    weights: int | None = None
    zeros: int | None = None
    tflite_bytes: int | None = None
    gzip_bytes: int | None = None
    keras: Score | None = None
    tflite: Score | None = None
    remark: str = ""


def measure_footprint(model: Model, data: Data, converter: Converter, *, allow_float: tuple[str, ...]) -> Footprint:
    """Of a Keras model in the middle of a recipe."""
    from edgecompress.compress.int8.step import convert_quantized, quantize
    from edgecompress.compress.score import score_model

    mode: Literal["int8", "float32"] = "float32" if data.calibration_inputs is None else "int8"
    settings = QuantizeSettings(method="ptq", mode=mode, allow_float=allow_float)
    score = score_model(model, data)
    try:
        converted = convert_quantized(quantize(model, settings, data)[0], settings, data, converter)
    except ModelError as e:
        return Footprint(mode, keras=score, remark=e.message)
    return replace(measure_bytes(converted, model, data, mode=mode), keras=score)


def measure_bytes(tflite: bytes, model: Model, data: Data, *, mode: str) -> Footprint:
    """Of a converted model; `model` tells whether its outputs are probabilities."""
    from edgecompress.compress.evaluate import score_tflite
    from edgecompress.compress.training.objective import gives_probabilities

    graph = read_tflite(tflite)
    weights, zeros = count_weights(graph)
    remark, score = "", None
    try:
        score = score_tflite(tflite, data, probabilities=gives_probabilities(model))
    except (ModelError, DataError) as e:
        remark = e.message
    if score is None and not remark and data.validation is not None:
        remark = "the validation labels allow no score: give a metric of your own"
    return Footprint(
        mode=mode,
        parameters=graph.parameters,
        macs=graph.macs,
        weights=weights,
        zeros=zeros,
        tflite_bytes=len(tflite),
        gzip_bytes=gzip_size(tflite),
        tflite=score,
        remark=remark,
    )


def count_weights(graph: Graph) -> tuple[int, int]:
    """Elements of all kernels, each once, and how many of them are 0."""
    indices = {op.inputs[_WEIGHTS] for op in graph.ops if op.kind in _WEIGHTED}
    arrays = [graph.tensor(index).data for index in sorted(indices) if index >= 0]
    kernels = [array for array in arrays if array is not None]
    return sum(array.size for array in kernels), sum(array.size - int(np.count_nonzero(array)) for array in kernels)


def gzip_size(data: bytes) -> int:
    """Bytes after gzip, level 9, without a time stamp."""
    return len(gzip.compress(data, 9, mtime=0))
