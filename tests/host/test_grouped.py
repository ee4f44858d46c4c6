"""Grouped convolutions in training: the mathematics of Keras' own, and nothing of it in a file."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edgecompress.compress import Data, compress
from edgecompress.compress.int8.fake_quant import Int8Conv1D, Int8Conv2D
from edgecompress.compress.training.grouped import groups_apart
from edgecompress.convert import read_tflite
from edgecompress.recipe import parse_recipe

CONVOLUTIONS = {
    "1x1": ((5, 5, 6), lambda: layers.Conv2D(8, 1, groups=2)),
    "strided": ((9, 8, 6), lambda: layers.Conv2D(9, 3, strides=2, padding="same", groups=3, activation="relu")),
    "dilated": ((9, 8, 4), lambda: layers.Conv2D(4, 3, dilation_rate=2, groups=4)),
    "causal": ((12, 6), lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, groups=2)),
    "int8": ((5, 5, 6), lambda: Int8Conv2D(4, 3, groups=2)),
    "int8 causal": ((12, 6), lambda: Int8Conv1D(4, 3, padding="causal", groups=2)),
    "one group": ((5, 5, 6), lambda: layers.Conv2D(8, 3)),
}
TRAIN = "epochs = 1\nbatch_size = 16\nlearning_rate = 1e-2\n"


def outputs_and_gradients(layer, x):
    """The layer's outputs, and the gradients of a sum over them with respect to its inputs and weights; traced as a training step is."""
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.sin(y))
        return y, tape.gradient(loss, [x, *variables])

    y, gradients = run(tf.constant(x))
    return [np.asarray(y), *map(np.asarray, gradients)], run.get_concrete_function(tf.constant(x)).graph


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_apart_is_the_same(name):
    """Outputs and all gradients are those of Keras' own grouped convolution to 1e-5 of the largest, without a part that XLA compiles."""
    shape, make = CONVOLUTIONS[name]
    keras.utils.set_random_seed(0)
    layer = make()
    layer.build((None, *shape))
    x = np.random.default_rng(0).normal(0, 1, (3, *shape)).astype(np.float32)
    expected, _ = outputs_and_gradients(layer, x)
    with groups_apart():
        got, graph = outputs_and_gradients(layer, x)
    for have, want in zip(got, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert not any("_XlaMustCompile" in operation.node_def.attr for operation in graph.get_operations())


def test_nothing_stays_behind():
    """After the block, Keras has its own convolution again, also when the block failed."""
    from keras.src.backend.tensorflow import nn

    own = nn.conv
    with pytest.raises(RuntimeError), groups_apart():
        assert nn.conv is not own
        raise RuntimeError
    assert nn.conv is own


def test_files_hold_grouped_convolutions():
    """A network that was exchanged for groups, fine-tuned and trained quantization-aware has one CONV_2D a layer in its .tflite."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="second")(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))
    rng = np.random.default_rng(0)
    images, labels = rng.normal(0, 1, (32, 8, 8, 4)).astype(np.float32), rng.integers(0, 3, 32)
    recipe = f'[[step]]\npass = "replace"\nconvolution = "grouped"\ngroups = 2\n{TRAIN}[[step]]\npass = "quantize"\nmethod = "qat"\n{TRAIN}'
    done = compress(model, parse_recipe(recipe, "groups"), Data((images, labels), (images, labels), images))
    graph = read_tflite(done.model_bytes, name="model")
    convolutions = [op for op in graph.ops if op.kind == "CONV_2D"]
    assert [graph.tensor(op.inputs[1]).shape[-1] for op in convolutions] == [2, 4]
    assert {op.kind for op in graph.ops} <= {"CONV_2D", "MEAN", "FULLY_CONNECTED"}
