"""A sum whose output is always 0 gets a scale on which TensorFlow Lite ends the process: it is refused before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers
from tflite_builder import ModelBuilder

from edgecompress.compress import Data, compress
from edgecompress.compress.evaluate import run_tflite
from edgecompress.convert import read_tflite
from edgecompress.device.interpreters import LiteRtReference, TflmHost
from edgecompress.errors import ModelError
from edgecompress.graph import require_openable
from edgecompress.recipe import parse_recipe

_OPEN = "import sys; from ai_edge_litert.interpreter import Interpreter as I; I(model_content=sys.stdin.buffer.read()).allocate_tensors()"
BOUNDS = {"int8": 2.0**-19, "int16": 2.0**-14}


def sum_model(kind: str, scale: float, dtype: str = "int8") -> bytes:
    """One sum of inputs with scales 1 and 0.5."""
    builder = ModelBuilder()
    a = builder.tensor([1, 4], dtype, scale=1.0, name="a")
    b = builder.tensor([1, 4], dtype, scale=0.5, name="b")
    out = builder.tensor([1, 4], dtype, scale=scale, name="sum")
    builder.op(kind, [a, b], [out], version=2, **({"pot_scale_int16": False} if dtype == "int16" else {}))
    builder.inputs(a, b)
    builder.outputs(out)
    return builder.build()


@pytest.mark.parametrize(("kind", "dtype"), [("ADD", "int8"), ("SUB", "int8"), ("ADD", "int16"), ("SUB", "int16")])
def test_the_bound_is_litert_s(kind, dtype):
    """At the bound LiteRT aborts and the check refuses; a hair above it LiteRT opens the model and so does the check."""
    at, above = sum_model(kind, BOUNDS[dtype], dtype), sum_model(kind, 1.001 * BOUNDS[dtype], dtype)
    codes = [subprocess.run([sys.executable, "-c", _OPEN], input=data, capture_output=True).returncode for data in (at, above)]
    assert codes == [-signal.SIGABRT, 0]
    require_openable(read_tflite(above))
    with pytest.raises(ModelError, match=rf"sum: {kind} \(op 0\): its output's scale is .*its inputs' 1;"):
        require_openable(read_tflite(at))


@pytest.mark.parametrize(
    "open_it",
    [
        lambda data: LiteRtReference(data, read_tflite(data)),
        lambda data: TflmHost(data, read_tflite(data)),
        lambda data: run_tflite(data, (np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32))),
    ],
)
def test_nobody_here_opens_it(open_it):
    """Every runtime inside our own process refuses the model in words."""
    with pytest.raises(ModelError, match="TensorFlow Lite aborts on a ratio so small"):
        open_it(sum_model("ADD", 1e-8))


def test_compress_names_a_dead_layer():
    """A network whose last ReLU is 0 on all calibration data ends in an error with the layer's name."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 2))
    left = layers.Conv2D(4, 3, padding="same", activation="relu", name="left")(image)
    right = layers.Conv2D(4, 3, padding="same", bias_initializer=keras.initializers.Constant(-1e3), name="right")(image)
    dead = layers.ReLU(name="dead")(layers.Add(name="both")([left, right]))
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.Flatten()(dead)))
    x = np.random.default_rng(0).normal(0, 1, (16, 8, 8, 2)).astype(np.float32)
    with pytest.raises(ModelError, match=r"(both|dead): ADD \(op \d\): its output's scale is .*") as caught:
        compress(model, parse_recipe('[[step]]\npass = "quantize"\n', "plain"), Data(calibration=x))
    assert "0 for every input" in (caught.value.hint or "")
