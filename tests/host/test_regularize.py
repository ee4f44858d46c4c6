"""Training under a penalty that ends in zeros."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from pydantic import ValidationError
from scipy.special import expit

from edgecompress.compress.data import Data
from edgecompress.compress.regularize.gated import add_gates
from edgecompress.compress.regularize.gates import GatePenalty, final_gates, initial_log_alpha, open_probability, sample_gates
from edgecompress.compress.regularize.learn import regularize
from edgecompress.compress.regularize.proximal import group_factors, group_step, soft_threshold
from edgecompress.compress.regularize.sets import find_sets
from edgecompress.compress.training.train import copy_model
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe.regularize import RegularizeSettings

CLASSES = 2


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells their class: one channel would do."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 128).astype(np.int32)
    x = (rng.normal(0, 0.3, (128, 6, 6, 1)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x, y))


def residual_model(seed: int = 0) -> keras.Model:
    """Two convolutions with normalization whose channels meet in an addition, a depthwise one, and a grouped use of all after it."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((6, 6, 1))
    first = layers.ReLU()(layers.BatchNormalization(name="first_bn")(layers.Conv2D(6, 3, padding="same", name="first")(image)))
    second = layers.BatchNormalization(name="second_bn")(layers.Conv2D(6, 3, padding="same", name="second")(first))
    x = layers.Add()([first, second])
    x = layers.DepthwiseConv2D(3, name="depthwise", activation="relu")(x)
    x = layers.Conv2D(8, 1, activation="swish", name="point")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.GlobalAveragePooling2D()(x)))


def small_model() -> keras.Model:
    """One convolution: quick to trace."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(layers.Conv2D(8, 3, name="conv")(image)))
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.GlobalAveragePooling2D()(x)))


def accuracy(model: keras.Model, data: Data) -> float:
    x, y = data.train
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def test_soft_threshold_by_hand():
    """Weights move towards zero by t and stop there."""
    moved = soft_threshold(tf.constant([0.5, -0.5, 0.1, -0.1, 0.0]), 0.2)
    np.testing.assert_allclose(moved, [0.3, -0.3, 0, 0, 0], atol=1e-7)


def test_group_threshold_by_hand():
    """A group of two weights with norm 5 shrinks by sqrt(2) t / 5; one whose norm is below t sqrt(n) is gone, and so is an empty one."""
    factors = group_factors(tf.constant([25.0, 0.01, 0.0]), tf.constant([2.0, 4.0, 4.0]), 0.5)
    np.testing.assert_allclose(factors, [1 - 0.5 * np.sqrt(2) / 5, 0, 0], atol=1e-6)


def test_gates_follow_the_papers_formulas():
    """Equations 10 to 13 of Louizos et al., written out with NumPy and SciPy for some a and u."""
    a, u = np.array([-3.0, 0.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.7, 0.9])
    beta, gamma, zeta = 2 / 3, -0.1, 1.1
    s = expit((np.log(u) - np.log(1 - u) + a) / beta)
    np.testing.assert_allclose(sample_gates(tf.constant(a), tf.constant(u)), np.clip(s * (zeta - gamma) + gamma, 0, 1), rtol=1e-6)
    np.testing.assert_allclose(final_gates(tf.constant(a)), np.clip(expit(a) * (zeta - gamma) + gamma, 0, 1), rtol=1e-6)
    np.testing.assert_allclose(open_probability(tf.constant(a)), expit(a - beta * np.log(-gamma / zeta)), rtol=1e-6)
    assert float(open_probability(initial_log_alpha(0.1))) == pytest.approx(0.9)


def test_the_expected_number_of_open_gates_is_that_of_samples():
    """Equation 12 is the share of nonzero samples of equation 10 and 11."""
    noise = tf.constant(np.random.default_rng(0).uniform(size=200_000))
    for a in (-2.0, 0.0, 1.0):
        share = float(tf.reduce_mean(tf.cast(sample_gates(tf.constant(a, tf.float64), noise) > 0, tf.float64)))
        assert share == pytest.approx(float(open_probability(a)), abs=5e-3)


def test_sets_join_what_an_addition_joins():
    """Filters, their normalizations and the depthwise kernels behind an addition are one set a channel; outputs of the model stay."""
    model = residual_model()
    sets = find_sets(model, read_network(model))
    assert sets.count == 6 + 8
    assert set(sets.owners) == {"first", "point"}
    # first: 9 + bias, second: 54 + bias, two normalizations: 4, depthwise: 9 + bias.
    assert sets.sizes[0] == 10 + 55 + 4 + 10
    assert "output" in sets.kept["logits"]
    with pytest.raises(RecipeError, match=r"no channel .* may go: first is excluded; first_bn: .* and \d more"):
        find_sets(model, read_network(model), ("first", "point"))


def test_a_group_step_shrinks_whole_sets():
    """After one step every set's weights are its old ones times 1 - t sqrt(n) / norm, over all layers of the set."""
    model = residual_model()
    sets = find_sets(model, read_network(model))
    parts = [model.get_layer(name).kernel for name in ("first", "second")] + [model.get_layer("first_bn").gamma]
    before = [part.numpy() for part in parts]
    norm = np.sqrt(
        sum((v.numpy()[..., 0] ** 2).sum() for layer in ("first", "second") for v in [model.get_layer(layer).kernel])
        + 2
        + (model.get_layer("depthwise").kernel.numpy()[..., 0, :] ** 2).sum()
    )
    group_step(sets)(0.01)
    factor = 1 - 0.01 * np.sqrt(79) / norm
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_allclose(part.numpy()[..., 0], old[..., 0] * factor, rtol=1e-5)


def test_l1_leaves_exact_zeros(data):
    """Under l1 many weights end at exactly 0, are counted, and the model is still right."""
    sparse, note = regularize(
        small_model(), RegularizeSettings(method="l1", strength=0.6, epochs=6, batch_size=8, learning_rate=1e-2, threshold=0.0), data
    )
    kernels = [sparse.get_layer(name).kernel.numpy() for name in ("conv", "logits")]
    assert note.zeros == sum(int((kernel == 0).sum()) for kernel in kernels) > 0.2 * note.count
    assert note.count == 72 + 16
    assert accuracy(sparse, data) > 0.95


def test_l1_takes_dead_channels_out(data):
    """Channels whose filters l1 emptied go when asked: the same outputs as with their zeros, from a smaller model that knows its loss."""
    settings = RegularizeSettings(method="l1", strength=0.6, epochs=6, batch_size=8, learning_rate=1e-2, threshold=0.5)
    keras.utils.set_random_seed(1)
    kept, _ = regularize(small_model(), settings, data)
    keras.utils.set_random_seed(1)
    small, note = regularize(small_model(), settings.model_copy(update={"dead_channels": "remove"}), data)
    assert note.removed and small.count_params() < kept.count_params()
    x, _ = data.train
    expected = kept.predict(x, verbose=0)
    np.testing.assert_allclose(small.predict(x, verbose=0), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert small.loss is not None
    with pytest.raises(ValidationError, match="dead_channels is for l1 and l2"):
        RegularizeSettings(method="l0", dead_channels="remove")


def test_l2_shrinks_and_the_threshold_cuts(data):
    """l2 takes the norm down; zero is what lies below the threshold's share of the largest weight, and nothing else."""
    model = small_model()
    settings = RegularizeSettings(
        method="l2", strength=5.0, epochs=4, batch_size=8, learning_rate=1e-2, threshold=0.05, exclude=("logits",)
    )
    small, note = regularize(model, settings, data)
    old, new = (np.abs(m.get_layer("conv").kernel.numpy()) for m in (model, small))
    assert np.linalg.norm(new) < 0.6 * np.linalg.norm(old)
    assert [(layer.layer, layer.zeros) for layer in note.layers] == [("conv", int((new == 0).sum()))]
    assert note.zeros > 0
    assert new[new > 0].min() >= 0.05 * new.max()


@pytest.mark.parametrize(
    "settings",
    [
        RegularizeSettings(method="group_lasso", strength=0.6, epochs=12, batch_size=8, learning_rate=1e-2),
        RegularizeSettings(method="l0", strength=0.3, epochs=8, batch_size=8, learning_rate=1e-2, gate_speed=10.0),
    ],
    ids=["group_lasso", "l0"],
)
def test_channels_close_and_go(settings, data):
    """Some channels of a task that needs few are removed, the model that is left is smaller and still right, and the first is unchanged."""
    model = small_model()
    before = [w.copy() for w in model.get_weights()]
    smaller, note = regularize(model, settings, data)
    assert 0 < note.zeros < note.count == 8
    assert smaller.get_layer("conv").filters == 8 - note.zeros
    assert [(layer.layer, layer.after) for layer in note.removed] == [("conv", 8 - note.zeros)]
    assert accuracy(smaller, data) > 0.95
    assert smaller.loss is not None
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_gates_fold_exactly():
    """The model with half-open gates and the model they were multiplied into give the same outputs."""
    model = residual_model()
    copied = copy_model(model)
    network = read_network(copied)
    operators = list(network.operators())
    sets = find_sets(copied, network)
    gated = add_gates(network, sets, initial_closed=0.1, speed=1.0, seed=0)
    rng = np.random.default_rng(0)
    gated.gates.logits.assign(rng.normal(0, 2, sets.count))
    for name in ("first_bn", "second_bn"):
        gated.model.get_layer(name).beta.assign(rng.normal(size=6))
    assert 0 < (gated.final() == 0).sum() < sets.count
    x = rng.normal(size=(4, 6, 6, 1)).astype(np.float32)
    expected = gated.model.predict(x, verbose=0)
    gated.carry_back(operators)
    np.testing.assert_allclose(copied.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_gates_draw_a_new_sample_each_step_and_the_same_at_every_place():
    """Two calls at one clock agree; the next clock differs; inference is the deterministic gate; the penalty is the expected share."""
    model = residual_model()
    network = read_network(model)
    sets = find_sets(model, network)
    gates = add_gates(network, sets, initial_closed=0.5, speed=2.0, seed=3).gates
    ones = tf.ones((1, 8))
    place = gates.places.index(sorted(gates.places)[-1])
    first, again = gates(ones, place=place, training=True), gates(ones, place=place, training=True)
    np.testing.assert_array_equal(first, again)
    gates.clock.assign_add(1)
    assert not np.array_equal(first, gates(ones, place=place, training=True))
    np.testing.assert_allclose(gates(ones, place=place), final_gates(initial_log_alpha(0.5)) * ones, rtol=1e-6)
    assert float(GatePenalty(gates, sets.sizes, 3.0)(None, None, None)) == pytest.approx(1.5, rel=1e-5)
