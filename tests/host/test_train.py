"""Fine-tuning: what every pass gets from `fit`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.stream import Stream
from edgecompress.compress.training.keep_zeros import zero_masks
from edgecompress.compress.training.objective import find_objective
from edgecompress.compress.training.train import fit
from edgecompress.errors import DataError
from edgecompress.progress import silent
from edgecompress.recipe import DistillLoss, Training

CLASSES = 3


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells their class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 96).astype(np.int32)
    x = (rng.normal(0, 0.1, (96, 6, 6, 1)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x, y))


def small_model(seed: int = 0) -> keras.Model:
    """A convolution with its normalization in a nested Sequential, and a Dense."""
    keras.utils.set_random_seed(seed)
    inner = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn")], name="block")
    image = keras.Input((6, 6, 1))
    x = layers.Flatten()(layers.ReLU()(inner(image)))
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def train(model: keras.Model, data: Data, *, epochs: int = 2, distill: DistillLoss | None = None, **more):
    settings = Training(epochs=epochs, batch_size=32, learning_rate=1e-2, distill=distill)
    return fit(model, data, objective_of=model, training=settings, stage="train", progress=silent, **more)


def test_zeros_of_kernels_and_dead_channels_stay_zero(data):
    """Single zero weights, a channel of zeros with its zero bias, and a normalization that was switched off stay as they are."""
    model = small_model()
    conv, bn, dense = model.get_layer("block").get_layer("conv"), model.get_layer("block").get_layer("bn"), model.get_layer("logits")
    kernel = conv.kernel.numpy()
    kernel[..., 1] = 0
    kernel[0, 0, 0, 2] = 0
    conv.kernel.assign(kernel)
    bn.gamma.assign([1, 0, 1, 1])
    weights = dense.kernel.numpy()
    weights[::2] = 0
    dense.kernel.assign(weights)
    train(model, data)
    assert not conv.kernel.numpy()[..., 1].any()
    assert conv.kernel.numpy()[0, 0, 0, 2] == 0
    assert conv.bias.numpy()[1] == 0
    assert bn.gamma.numpy()[1] == 0
    assert bn.beta.numpy()[1] == 0
    assert not dense.kernel.numpy()[::2].any()
    moved = dense.kernel.numpy() != weights
    assert moved[3::4].all()


def test_variables_that_start_as_zeros_only_are_free():
    """A zero initialised kernel or gamma is no pruned one: nothing of it is masked."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, kernel_initializer="zeros"), layers.BatchNormalization(gamma_initializer="zeros")]
    )
    assert zero_masks(model) == []


def test_the_model_keeps_its_loss_for_the_steps_after(data):
    """After a training the model is compiled with the loss that it was trained with."""
    model = small_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss)
    assert train(model, data, epochs=1).objective == "the model's own loss"
    assert model.loss is loss


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy(from_logits=True)])
def test_class_numbers_that_a_model_lacks_are_named(loss):
    """A model that was saved with its loss says which classes it tells apart, as one without a loss does."""
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    model.compile(loss=loss)
    with pytest.raises(DataError, match="labels run from 3 to 5; the model tells 3 classes apart"):
        find_objective(model, Data(train=(np.zeros((3, 5), np.float32), np.array([3, 4, 5]))))


def test_loss_terms_are_added(data):
    """A term that punishes every output moves the outputs to zero, and is part of the loss that is reported."""
    plain, punished = small_model(), small_model()
    without = train(plain, data)
    term = lambda x, y, y_pred: 100.0 * tf.reduce_mean(tf.square(y_pred))  # noqa: E731
    with_term = train(punished, data, loss_terms=[term])
    x = data.train[0]
    assert np.abs(punished.predict(x, verbose=0)).mean() < 0.5 * np.abs(plain.predict(x, verbose=0)).mean()
    assert with_term.loss > without.loss


def test_one_seed_gives_one_set_of_weights(data):
    """Two trainings with a teacher from one seed end in the same bits."""
    teacher = small_model(7)

    def weights() -> list[np.ndarray]:
        model = small_model(1)
        keras.utils.set_random_seed(3)
        train(model, data, distill=DistillLoss(), original=teacher)
        return model.get_weights()

    for first, second in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(first, second)


class Batches(keras.utils.PyDataset):
    """One batch with sample weights: Keras would shuffle several."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.x, self.y, np.linspace(0, 1, len(self.y), dtype=np.float32)


def test_streams_with_sample_weights_train_with_a_teacher(data):
    """A PyDataset and a tf.data.Dataset of (x, y, weights) give the same weights, teacher included."""
    x, y = data.train
    teacher, trained = small_model(7), []
    dataset = tf.data.Dataset.from_tensor_slices(Batches(x, y)[0]).batch(len(y))
    for source in (Batches(x, y), dataset):
        model = small_model(1)
        train(model, Data(train=Stream(source, 1), validation=(x, y)), epochs=2, distill=DistillLoss(weight=1.0), original=teacher)
        trained.append(model.get_weights())
    for first, second in zip(*trained, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-7)


_TWO_REPLICAS = """
import numpy as np, keras, sys
import tensorflow as tf
devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from test_train import small_model, train
from edgecompress.compress.data import Data
from edgecompress.recipe import DistillLoss
from edgecompress.recipe.teacher import FeaturePair

def dense_model(width):
    # No BatchNormalization: each replica would normalize by its own half of the batch.
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(width, "relu", name="hidden")
    return keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), hidden, keras.layers.Dense(3, name="logits")])

rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 6, 6, 1)).astype("float32"), rng.integers(0, 3, 64).astype("int32")
distill = DistillLoss(features=(FeaturePair(student="hidden", teacher="hidden"),))
term = lambda x, y, y_pred: tf.reduce_mean(tf.square(y_pred))

def trained(strategy):
    with strategy.scope():
        teacher, model = dense_model(6), dense_model(4)
        kernel = model.layers[1].kernel.numpy()
        kernel[:4] = 0
        model.layers[1].kernel.assign(kernel)
        keras.utils.set_random_seed(0)
        result = train(model, Data(train=(x, y)), distill=distill, original=teacher, loss_terms=[term])
        assert not model.layers[1].kernel.numpy()[:4].any()
        return result.loss, model.get_weights()

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
one, two = trained(tf.distribute.get_strategy()), trained(mirrored)
assert abs(one[0] - two[0]) < 1e-4 * one[0], (one[0], two[0])
for a, b in zip(one[1], two[1]):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
with mirrored.scope():
    train(small_model(), Data(train=(x, y)), epochs=1, distill=DistillLoss(), original=small_model(7))
print("alike")
"""


def test_two_replicas_train_as_one():
    """Under a MirroredStrategy on two logical CPUs a distilled training with features, a term and kept zeros gives one device's weights."""
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(folder.parents[1])])}
    done = subprocess.run([sys.executable, "-c", _TWO_REPLICAS], capture_output=True, text=True, timeout=240, env=environment)
    assert done.stdout.strip().endswith("alike"), done.stderr[-2000:]
