"""The fake-quant model that compress leaves can be loaded again and gives what it gave."""

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.int8.aware import quantization_aware
from edgecompress.compress.predict import predict_outputs
from edgecompress.errors import ModelError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A fake-quant model with pruned weights in every kind of layer that keeps zeros, and its outputs."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.Flatten()(x)
    model = keras.Model(image, layers.Dense(5, name="dense")(x))
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            layer.set_weights([np.where(np.abs(weights[0]) < 0.05, 0, weights[0]), *weights[1:]])
    aware = quantization_aware(model)
    data = np.random.default_rng(1).normal(size=(16, 8, 8, 3)).astype(np.float32)
    aware.compile("sgd", "mse")
    aware.fit(data, np.zeros((16, 5), np.float32), epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("saved") / "fake_quant.keras"
    aware.save(path)
    return path, data, aware.predict(data, verbose=0)


def test_a_saved_model_gives_the_same_outputs(saved):
    """Masks and ranges survive the file."""
    path, data, expected = saved
    outputs = predict_outputs(path, [[sample[None]] for sample in data])
    np.testing.assert_allclose(np.concatenate([row[0] for row in outputs]), expected, atol=1e-6)


def test_inputs_of_another_model_are_refused(saved):
    """A Keras model that is not the .tflite's is named as such."""
    with pytest.raises(ModelError, match="takes inputs of shape"):
        predict_outputs(saved[0], [[np.zeros((1, 4, 4, 3), np.float32)]])
