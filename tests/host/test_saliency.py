"""Saliency on Keras models, against values by hand, by plain loops, and by models that really lack the unit."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.prune.kernels import find_kernels
from edgecompress.compress.saliency.by_gradient import channels_by_gradient, layers_by_gradient
from edgecompress.compress.saliency.layer_inputs import grouped_matrix, patches_of, ungrouped_kernel
from edgecompress.compress.saliency.score import score_channels, score_layers, score_weights
from edgecompress.errors import DataError, RecipeError
from edgecompress.recipe.saliency import EXISTS_FOR, Criterion, Unit

RNG = np.random.default_rng(0)


def line() -> keras.Model:
    """One linear neuron with the weights 2 and -1, and mean squared error."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False, name="line")])
    model.set_weights([np.array([[2.0], [-1.0]], np.float32)])
    model.compile(loss="mse")
    return model


LINE_DATA = Data(train=(np.array([[1.0, 2.0], [3.0, 1.0]], np.float32), np.array([[1.0], [1.0]], np.float32)))
# Errors are 2 - 2 - 1 = -1 and 6 - 1 - 1 = 4; in batches of one dL/dw = 2 * error * x: (-2, -4) and (24, 8).
GRADIENTS = np.array([[-2.0, -4.0], [24.0, 8.0]])


def network() -> keras.Model:
    """Convolutions of most kinds, one in a nested model, with BatchNormalization and ReLU behind it."""
    keras.utils.set_random_seed(1)
    block = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(6, 3, name="conv"), layers.BatchNormalization(name="bn"), layers.ReLU()], name="block"
    )
    x = image = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    x = block(x)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(x))
    bn = model.get_layer("block").get_layer("bn")
    bn.gamma.assign(RNG.normal(size=6))
    bn.beta.assign(RNG.normal(size=6))
    bn.moving_mean.assign(RNG.normal(size=6) * 0.1)
    return model


PATHS = ("stem", "block/conv", "depthwise", "logits")
DATA = Data(
    train=(RNG.normal(size=(12, 8, 8, 2)).astype(np.float32), RNG.integers(0, 3, 12)),
    calibration=RNG.normal(size=(10, 8, 8, 2)).astype(np.float32),
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network()


def activation(model: keras.Model, tensor: keras.KerasTensor) -> np.ndarray:
    return np.asarray(keras.Model(model.inputs[0], tensor)(DATA.calibration, training=False))


def test_gradient_of_weights_by_hand():
    """Squares are summed over batches, then the root over the largest root."""
    model = line()
    (score,) = score_weights(model, find_kernels(model), Criterion.GRADIENT, LINE_DATA, batch_size=1)
    roots = np.sqrt(np.square(GRADIENTS).sum(axis=0))
    assert score[:, 0] == pytest.approx(roots / roots.max())


def test_gradient_of_neurons_and_layers_by_hand():
    """Of a neuron the L2 norm of its weights' gradients over batches, of a layer the root mean square; divided by the largest of all."""
    one, two = layers.Dense(2), layers.Dense(1)
    one.build((None, 2))
    two.build((None, 2))
    batches = [
        [np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[2.0], [0.0]])],
        [np.array([[4.0, 0.0], [0.0, 0.0]]), np.array([[0.0], [1.0]])],
    ]
    neurons = channels_by_gradient(Criterion.GRADIENT, {"one": one, "two": two}, batches)
    assert neurons["one"] == pytest.approx([1.0, 1 / 5])
    assert neurons["two"] == pytest.approx([np.sqrt(5) / 5])
    whole = layers_by_gradient(Criterion.GRADIENT, [np.zeros((1, 4)), np.zeros((1, 2))], batches)
    assert np.ravel(whole) == pytest.approx([1.0, np.sqrt(5 / 2) / np.sqrt(26 / 4)])


def test_statistics_of_layers_by_hand(model):
    """Mean, variance and entropy of a layer are those of all its weights; of gamma and of the share of zeros it is the mean over units."""
    stats = pytest.importorskip("scipy.stats")
    kernel = model.get_layer("block").get_layer("conv").kernel.numpy().ravel().astype(np.float64)
    found = {c: score_layers(model, ["block/conv"], c, DATA, batch_size=4)["block/conv"] for c in EXISTS_FOR if Unit.LAYER in EXISTS_FOR[c]}
    assert found[Criterion.MEAN] == pytest.approx(abs(kernel.mean()), rel=1e-5)
    assert found[Criterion.VARIANCE] == pytest.approx(kernel.var(), rel=1e-5)
    assert found[Criterion.WEIGHT_ENTROPY] == pytest.approx(stats.entropy(np.histogram(kernel, 16)[0], base=2), abs=0.05)
    for criterion in (Criterion.BN_SCALE, Criterion.ACTIVATION_ZEROS, Criterion.ACTIVATION_ENTROPY):
        units = score_channels(model, ["block/conv"], criterion, DATA, batch_size=4)["block/conv"]
        assert found[criterion] == pytest.approx(units.mean())


def test_taylor_by_hand():
    """Of a weight: the mean of |w g| over batches. Of a neuron: that of |sum w g|. Of a layer: the mean over its weights."""
    model = line()
    products = np.array([2.0, -1.0]) * GRADIENTS
    (score,) = score_weights(model, find_kernels(model), Criterion.TAYLOR, LINE_DATA, batch_size=1)
    assert score[:, 0] == pytest.approx(np.abs(products).mean(axis=0))
    assert score_channels(model, ["line"], Criterion.TAYLOR, LINE_DATA, batch_size=1)["line"] == pytest.approx([20.0])
    assert score_layers(model, ["line"], Criterion.TAYLOR, LINE_DATA, batch_size=1)["line"] == pytest.approx(score.mean())


def test_scoring_leaves_the_models_compilation_alone():
    """Reading gradients needs a loss, but the model's own optimizer and loss stay."""
    model = line()
    score_weights(model, find_kernels(model), Criterion.GRADIENT, LINE_DATA)
    assert model.loss == "mse"


def test_gradients_come_without_a_loss_of_the_models_own(model):
    """An uncompiled model is differentiated under the loss that its labels imply; a frozen kernel too."""
    model.get_layer("stem").trainable = False
    scores = score_weights(model, find_kernels(model), Criterion.GRADIENT, DATA, batch_size=4)
    model.get_layer("stem").trainable = True
    assert scores[0].max() > 0
    assert max(score.max() for score in scores) == 1.0


def test_magnitudes_of_filters_by_hand(model):
    """Norms over a filter, a neuron's inputs, and one depthwise kernel; of a layer the mean and the root mean square."""
    l1 = score_channels(model, PATHS, Criterion.L1, Data())
    l2 = score_channels(model, PATHS, Criterion.L2, Data())
    kernel = model.get_layer("block").get_layer("conv").kernel.numpy()
    assert l1["block/conv"] == pytest.approx(np.abs(kernel).sum(axis=(0, 1, 2)), rel=1e-6)
    assert l2["block/conv"] == pytest.approx(np.sqrt(np.square(kernel).sum(axis=(0, 1, 2))), rel=1e-6)
    assert l1["depthwise"] == pytest.approx(np.abs(model.get_layer("depthwise").kernel.numpy()).sum(axis=(0, 1))[:, 0], rel=1e-6)
    assert score_layers(model, PATHS, Criterion.L1, Data())["block/conv"] == pytest.approx(np.abs(kernel).mean(), rel=1e-6)
    assert score_layers(model, PATHS, Criterion.L2, Data())["block/conv"] == pytest.approx(np.sqrt(np.square(kernel).mean()), rel=1e-6)


def test_a_transposed_convolutions_channels_are_its_last_but_one_axis():
    """Its kernel is [..., out, in]."""
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2DTranspose(5, 2, name="up")])
    expected = np.abs(model.get_layer("up").kernel.numpy()).sum(axis=(0, 1, 3))
    assert score_channels(model, ["up"], Criterion.L1, Data())["up"] == pytest.approx(expected, rel=1e-6)


def test_activations_are_those_behind_the_nonlinearity(model):
    """Mean |a| and the share of zeros behind BatchNormalization and ReLU, over all samples of uneven batches."""
    values = activation(model, model.get_layer("depthwise").input)
    sizes = score_channels(model, PATHS, Criterion.ACTIVATION_MEAN, DATA, batch_size=4)["block/conv"]
    alive = score_channels(model, PATHS, Criterion.ACTIVATION_ZEROS, DATA, batch_size=4)["block/conv"]
    assert sizes == pytest.approx(np.abs(values).mean(axis=(0, 1, 2)), rel=1e-5)
    assert alive == pytest.approx((values != 0).mean(axis=(0, 1, 2)))
    assert 0 < alive.min() < 1
    assert score_layers(model, ["block/conv"], Criterion.ACTIVATION_MEAN, DATA)["block/conv"] == pytest.approx(sizes.mean(), rel=1e-5)


def test_activation_entropy_is_that_of_numpys_histogram(model):
    """Of each sample's mean over positions, in 32 bins between a unit's own extremes."""
    stats = pytest.importorskip("scipy.stats")
    pooled = activation(model, model.get_layer("depthwise").input).mean(axis=(1, 2))
    expected = [stats.entropy(np.histogram(column, 32)[0], base=2) for column in pooled.T]
    assert score_channels(model, ["block/conv"], Criterion.ACTIVATION_ENTROPY, DATA)["block/conv"] == pytest.approx(expected)


def test_output_entropy_is_that_of_a_model_without_the_unit(model):
    """The score of each unit is the change that zeroing it in a copy makes; so for a whole layer."""
    stats = pytest.importorskip("scipy.stats")

    def entropy(changed: keras.Model) -> float:
        logits = np.asarray(changed(DATA.calibration, training=False), np.float64)
        powers = np.exp(logits)
        return stats.entropy(powers / powers.sum(axis=1, keepdims=True), base=2, axis=1).mean()

    def without(units: list[int]) -> float:
        copy = network()
        copy.set_weights(model.get_weights())
        stem = copy.get_layer("stem")
        kernel, bias = stem.get_weights()
        kernel[..., units], bias[units] = 0, 0
        stem.set_weights([kernel, bias])
        return abs(entropy(copy) - entropy(model))

    scores = score_channels(model, PATHS, Criterion.OUTPUT_ENTROPY, DATA)["stem"]
    assert scores == pytest.approx([without([unit]) for unit in range(4)], abs=1e-6)
    assert scores.max() > 1e-4
    assert score_layers(model, ["stem"], Criterion.OUTPUT_ENTROPY, DATA)["stem"] == pytest.approx(without([0, 1, 2, 3]), abs=1e-6)


def test_output_entropy_of_a_layer_that_is_used_twice():
    """A shared layer loses the unit at both uses."""
    keras.utils.set_random_seed(2)
    x = vector = keras.Input((3,))
    shared = layers.Dense(3, name="shared")
    model = keras.Model(vector, layers.Softmax()(shared(shared(x))))
    inputs = RNG.normal(size=(4, 3)).astype(np.float32)
    scores = score_channels(model, ["shared"], Criterion.OUTPUT_ENTROPY, Data(calibration=inputs))["shared"]
    kernel = shared.kernel.numpy()
    for unit in range(3):
        mask = np.arange(3) != unit
        entropies = []
        for keep in (np.ones(3), mask):
            p = np.exp(((inputs @ kernel) * keep @ kernel) * keep)
            p /= p.sum(axis=1, keepdims=True)
            entropies.append(-(p * np.log2(p)).sum(axis=1).mean())
        assert scores[unit] == pytest.approx(abs(entropies[1] - entropies[0]), abs=1e-5)


def test_bn_scale_is_gamma(model):
    """|gamma| of the BatchNormalization behind a layer; a layer without one is named."""
    gamma = model.get_layer("block").get_layer("bn").gamma.numpy()
    assert score_channels(model, ["block/conv"], Criterion.BN_SCALE, Data())["block/conv"] == pytest.approx(np.abs(gamma))
    with pytest.raises(RecipeError, match="'stem' has no BatchNormalization"):
        score_channels(model, ["stem"], Criterion.BN_SCALE, Data())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(3), (5, 4)),
        (layers.Conv2D(6, (3, 2), strides=2, padding="same", groups=2), (7, 8, 4)),
        (layers.Conv2D(3, 3, dilation_rate=2), (8, 8, 2)),
        (layers.Conv1D(3, 3, strides=2, padding="same"), (9, 2)),
        (layers.Conv1D(3, 3, dilation_rate=2, padding="causal"), (9, 2)),
    ],
    ids=["dense", "grouped", "dilated", "line", "causal"],
)
def test_patches_times_the_kernel_are_the_output(layer, shape):
    """What `input_norm` and `output_error` call a layer's inputs gives its outputs when multiplied by its kernel."""
    x = RNG.normal(size=(2, *shape)).astype(np.float32)
    expected = np.asarray(layer(x)) - layer.bias.numpy()
    patches = np.asarray(patches_of(layer, keras.ops.convert_to_tensor(x)))
    kernel = layer.kernel.numpy()
    product = np.einsum("pgi,gio->pgo", patches, grouped_matrix(layer, kernel)).reshape(expected.shape)
    assert product == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(ungrouped_kernel(grouped_matrix(layer, kernel), kernel.shape), kernel)


def test_input_norm_of_a_network_by_hand(model):
    """|w| times the root mean square of what the dense layer reads, and of a 'same'-padded image's shifted copies."""
    kernels = find_kernels(model)
    scores = score_weights(model, kernels, Criterion.INPUT_NORM, DATA, batch_size=4)
    features = activation(model, model.get_layer("logits").input)
    expected = np.abs(model.get_layer("logits").kernel.numpy()) * np.sqrt(np.square(features).mean(axis=0))[:, None]
    assert scores[-1] == pytest.approx(expected, rel=1e-5)
    padded = np.pad(DATA.calibration, ((0, 0), (1, 1), (1, 1), (0, 0)))
    size = np.sqrt(np.square(padded[:, 0:8, 2:10, 1]).mean())
    assert scores[0][0, 2, 1] == pytest.approx(np.abs(model.get_layer("stem").kernel.numpy()[0, 2, 1]) * size, rel=1e-5)


def test_output_error_of_a_network_by_hand(model):
    """w^2 over the diagonal of the inverse second moment of what the dense layer reads, damped by a hundredth."""
    features = activation(model, model.get_layer("logits").input).astype(np.float64)
    moment = features.T @ features / len(features)
    inverse = np.linalg.inv(moment + 0.01 * np.trace(moment) / len(moment) * np.eye(len(moment)))
    expected = np.square(model.get_layer("logits").kernel.numpy()) / np.diag(inverse)[:, None]
    scores = score_weights(model, find_kernels(model), Criterion.OUTPUT_ERROR, DATA)
    assert scores[-1] == pytest.approx(expected, rel=1e-4)


def test_layers_whose_inputs_cannot_be_read_are_named():
    """Projections inside attention have no inputs in the graph."""
    x = sequence = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = keras.Model(sequence, layers.Dense(2, name="head")(x))
    data = Data(calibration=np.ones((2, 5, 8), np.float32))
    with pytest.raises(RecipeError, match="attention/query") as caught:
        score_weights(model, find_kernels(model), Criterion.INPUT_NORM, data)
    assert "exclude" in caught.value.hint
    assert score_weights(model, find_kernels(model, ("attention",)), Criterion.INPUT_NORM, data)[0].shape == (8, 2)


@pytest.mark.parametrize("criterion", list(Criterion))
def test_the_table_says_what_there_is(model, criterion):
    """What the table lists works on a network; what it lacks is a sentence that lists the rest."""
    paths = ("block/conv",) if criterion is Criterion.BN_SCALE else PATHS
    if Unit.CHANNEL in EXISTS_FOR[criterion]:
        first, again = (score_channels(model, paths, criterion, DATA, samples=8, batch_size=8) for _ in range(2))
        assert list(first) == list(paths)
        assert all(np.array_equal(first[path], again[path]) for path in paths)
        turned = score_channels(model, paths, criterion, DATA, samples=8, batch_size=8, order="high_first")
        assert all(np.array_equal(turned[path], -first[path]) for path in paths)
        assert all(np.isfinite(score) for score in score_layers(model, paths, criterion, DATA, samples=8, batch_size=8).values())
    else:
        with pytest.raises(RecipeError, match="for channels there are l1, l2"):
            score_channels(model, ("stem",), criterion, DATA)
        with pytest.raises(RecipeError, match="for layers there are l1, l2"):
            score_layers(model, PATHS, criterion, DATA)
        with pytest.raises(RecipeError, match="for neurons there are l1, l2"):
            score_channels(model, ("logits",), criterion, DATA)
    if Unit.WEIGHT not in EXISTS_FOR[criterion]:
        with pytest.raises(RecipeError, match="for weights there are l1, l2"):
            score_weights(model, find_kernels(model), criterion, DATA)


def test_missing_data_is_said(model):
    """A criterion that reads data names what it lacks."""
    with pytest.raises(DataError, match="train"):
        score_weights(model, find_kernels(model), Criterion.TAYLOR, Data())
    with pytest.raises(DataError, match="calibration"):
        score_channels(model, PATHS, Criterion.ACTIVATION_MEAN, Data())


def test_layers_without_channels_are_refused(model):
    """A pooling layer, and a name that is none."""
    with pytest.raises(RecipeError, match="'block/bn' has no neurons or channels"):
        score_channels(model, ["block/bn"], Criterion.L1, Data())
    with pytest.raises(RecipeError, match="'stm'"):
        score_channels(model, ["stm"], Criterion.L1, Data())


def test_progress_is_told(model):
    """Removing units one by one takes long, so it counts them."""
    heard = []
    score_channels(model, PATHS, Criterion.OUTPUT_ENTROPY, DATA, progress=lambda *event: heard.append(event))
    assert heard[0][1:] == (0, 4 + 6 + 6 + 3)
    assert heard[-1][1:] == (19, 19)
