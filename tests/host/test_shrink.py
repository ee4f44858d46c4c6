"""Channels and blocks removed to a budget, and removal for other passes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers
from pydantic import ValidationError

from edgecompress.compress.data import Data
from edgecompress.compress.shrink.choose import choose_kept, rank
from edgecompress.compress.shrink.costs import mac_costs, parameter_costs
from edgecompress.compress.shrink.families import find_families
from edgecompress.compress.shrink.remove import mask_channels, remove_channels, remove_dead_channels
from edgecompress.compress.shrink.step import shrink
from edgecompress.convert import Converter, Mode, read_tflite
from edgecompress.errors import DataError, RecipeError
from edgecompress.keras_graph.cost import network_macs, network_parameters
from edgecompress.keras_graph.groups import cut_masked, find_groups, makers
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe.saliency import Criterion
from edgecompress.recipe.shrink import ShrinkSettings

CLASSES = 3


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells their class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 96).astype(np.int32)
    x = (rng.normal(0, 0.1, (96, 8, 8, 3)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x[:64], y[:64]), validation=(x[64:], y[64:]))


def conv(x, filters: int, name: str, **config):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name, **config)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def residual_model() -> keras.Model:
    """Two residual blocks, the second with a projection, in the manner of ResNet8; random BatchNormalization."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(conv(image, 8, "stem"))
    y = conv(layers.ReLU()(conv(x, 8, "a1")), 8, "a2")
    x = layers.ReLU()(layers.Add(name="a")([x, y]))
    y = conv(layers.ReLU()(conv(x, 16, "b1", strides=2)), 16, "b2")
    x = layers.ReLU()(layers.Add(name="b")([layers.Conv2D(16, 1, strides=2, name="shortcut")(x), y]))
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.GlobalAveragePooling2D()(x)))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def without_training(**settings) -> ShrinkSettings:
    return ShrinkSettings(**{"epochs": 0, "minimum": 2, "multiple_of": 2, **settings})


def largest_difference(left: keras.Model, right: keras.Model, shape=(4, 8, 8, 3)) -> float:
    """As a share of the largest output."""
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    one, other = np.asarray(left(x)), np.asarray(right(x))
    return float(np.abs(one - other).max() / np.abs(one).max())


@pytest.mark.parametrize("ranking", ["layer", "global", "saving"])
@pytest.mark.parametrize("goal", ["macs", "parameters"])
def test_budget_is_kept_in_multiples(ranking, goal, data):
    """The network that is left costs at most the budget and nearly all of it, with even channel counts in every layer."""
    model = residual_model()
    small, note = shrink(model, without_training(**{goal: 0.5}, ranking=ranking), data)
    used = note.macs / note.macs_before if goal == "macs" else note.parameters / note.parameters_before
    assert 0.35 < used <= 0.5
    assert note.macs == network_macs(read_network(small)) and note.parameters == network_parameters(read_network(small))
    assert note.layers and all(layer.after % 2 == 0 and 0 < layer.after < layer.before for layer in note.layers)
    assert note.steps == 0 and note.objective.startswith("none")


def test_amount_is_a_share_of_the_channels(data):
    """Half of the channels: every family loses half under `layer` ranking."""
    _, note = shrink(residual_model(), without_training(amount=0.5), data)
    assert {layer.layer: layer.after for layer in note.layers} == {
        "stem": 4, "a1": 4, "a2": 4, "b1": 8, "b2": 8, "shortcut": 8,
    }  # fmt: skip


def test_internal_scope_and_exclude(data):
    """Under `internal` only channels that no addition pairs go; an excluded layer keeps its own."""
    _, note = shrink(residual_model(), without_training(amount=0.5, scope="internal"), data)
    assert [layer.layer for layer in note.layers] == ["a1", "b1"]
    _, note = shrink(residual_model(), without_training(amount=0.5, scope="internal", exclude=("a1",)), data)
    assert [layer.layer for layer in note.layers] == ["b1"]


def test_the_smallest_filters_go(data):
    """Under L1 the filters that were scaled down are the ones removed."""
    model = residual_model()
    kernel = model.get_layer("b1").kernel
    weights = keras.ops.convert_to_numpy(kernel).copy()
    weights[..., [1, 5, 6, 11, 12, 13, 14, 15]] *= 0.01
    kernel.assign(weights)
    small, _ = shrink(model, without_training(amount=0.5, scope="internal", exclude=("a1",)), data)
    np.testing.assert_array_equal(small.get_layer("b1").kernel, weights[..., [0, 2, 3, 4, 7, 8, 9, 10]])


def test_random_channels_follow_the_seed(data):
    """One seed removes the same channels again, another seed others."""
    model = residual_model()
    first, again, other = (
        shrink(model, without_training(amount=0.5, saliency=Criterion.RANDOM, seed=seed), data)[0].get_layer("a1").kernel.numpy()
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_costs_equal_the_built_network():
    """MACs and parameters for a choice of groups are those of the network that is then cut, grouped and separable ones too."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, groups=2)(image)
    x = layers.SeparableConv2D(6, 3, depth_multiplier=2)(layers.DepthwiseConv2D(3)(layers.Conv2D(8, 1)(x)))
    x = layers.Conv2DTranspose(6, 2)(x)
    x = layers.Dense(8)(layers.Flatten()(layers.Conv2D(16, 1, groups=8)(layers.Conv2D(16, 1)(x))))
    network = read_network(keras.Model(image, layers.Dense(2)(x)))
    groups = find_groups(network)
    macs, parameters = mac_costs(groups.channels), parameter_costs(groups.channels)
    kept = macs.everything()
    assert macs.total(kept) == network_macs(network) and parameters.total(kept) == network_parameters(network)
    going = set(groups.roots[::3])
    kept[list(going)] = False
    cut_masked(groups, going)
    small = read_network(build_model(network))
    assert round(macs.total(kept)) == network_macs(small) and round(parameters.total(kept)) == network_parameters(small)


def test_saving_prefers_what_costs_most():
    """Of two families with equal scores the one whose channels cost more is cut first."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="large")(image)
    x = layers.Conv2D(8, 3, strides=3, name="small")(x)
    network = read_network(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    groups = find_groups(network)
    families = find_families(groups, set(groups.roots), multiple_of=1, minimum=1, most=0.9)
    costs = mac_costs(groups.channels)
    ranked = rank(families, dict.fromkeys(groups.roots, 1.0), costs, ranking="saving", normalize="mean")
    kept = choose_kept(ranked, costs, 0.8 * costs.total(costs.everything()), "saving")
    assert kept is not None
    left = {operator.name: int(kept[ids].sum()) for operator, ids in makers(groups.channels).items()}
    assert left["large"] < 8 and left["small"] == 8


def test_rounds_and_fine_tuning(data):
    """Two rounds train in between and at the end, and reach the same budget; the model that came in is untouched."""
    keras.utils.set_random_seed(0)
    dense = [layers.Dense(16, "relu"), layers.Dense(16, "relu"), layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.AveragePooling2D(4), layers.Flatten(), *dense])
    before = model.get_weights()
    settings = ShrinkSettings(macs=0.5, rounds=2, epochs=1, batch_size=32, minimum=2, multiple_of=2)
    small, note = shrink(model, settings, data)
    assert note.macs <= 0.5 * note.macs_before and (note.epochs, note.steps) == (2, 4)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    json.dumps(asdict(note))
    assert np.isfinite(np.asarray(small(data.train[0][:2]))).all()


def test_refit_comes_nearer_to_the_model(data):
    """Solving the readers anew leaves a smaller error on the inputs than cutting alone."""
    model = residual_model()
    x = data.train[0]
    errors = []
    for refit in ("none", "least_squares"):
        small, _ = shrink(model, without_training(amount=0.5, refit=refit), data)
        errors.append(float(np.square(np.asarray(model(x)) - np.asarray(small(x))).mean()))
    assert errors[1] < 0.3 * errors[0]


def test_refit_of_one_layer_is_exact_where_it_can_be(data):
    """Channels that are copies of others are no loss: the layer behind takes the copies' weights over."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    model = keras.Model(image, layers.Flatten()(layers.Conv2D(4, 3, padding="same", name="second")(x)))
    kernel = model.get_layer("first").get_weights()[0]
    kernel[..., 4:] = kernel[..., :4] * 0.5
    model.get_layer("first").kernel.assign(kernel)
    small, note = shrink(model, without_training(amount=0.5, refit="least_squares"), data)
    assert note.layers[0].after == 4
    x = data.train[0]
    np.testing.assert_allclose(small(x), model(x), atol=0.02 * float(np.abs(np.asarray(model(x))).max()))


def test_a_dense_layer_over_places(data):
    """Behind a Permute a Dense layer sums over places and not over channels: those it reads stay, and others go."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, strides=3, activation="relu", name="first")(image)
    x = layers.Conv2D(6, 1, activation="relu", name="second")(x)
    x = layers.Permute((2, 1))(layers.Reshape((4, 6))(x))
    x = layers.Dense(5, activation="relu", name="places")(x)
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.Flatten()(x)))
    small, note = shrink(model, without_training(amount=0.5), data)
    assert [(changed.layer, changed.after) for changed in note.layers if changed.after < changed.before] == [("first", 4)]
    assert small.get_layer("second").kernel.shape[-1] == 6


def test_refit_behind_a_layer_that_died(data):
    """Inputs that never change tell nothing: the kernel is cut, and no weight becomes NaN."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer="zeros", name="dead")(image)
    model = keras.Model(image, layers.Flatten()(layers.Conv2D(4, 3, name="second")(x)))
    small, _ = shrink(model, without_training(amount=0.5, refit="least_squares"), data)
    assert small.get_layer("second").kernel.shape[2] == 4
    assert all(np.isfinite(weights).all() for weights in small.get_weights())
    np.testing.assert_allclose(small(data.train[0]), model(data.train[0]), atol=1e-6)


def test_refit_leaves_pruned_kernels_alone(data):
    """A layer whose weights an earlier step zeroed is cut and not solved anew, so that what is left of its zeros stays."""
    model = residual_model()
    kernel = model.get_layer("a2").kernel
    kernel.assign(np.where(np.random.default_rng(0).random(kernel.shape) < 0.5, 0, kernel.numpy()))
    plain, refit = (shrink(model, without_training(amount=0.5, scope="internal", refit=how), data)[0] for how in ("none", "least_squares"))
    assert np.array_equal(plain.get_layer("a2").kernel.numpy(), refit.get_layer("a2").kernel.numpy())
    assert not np.allclose(plain.get_layer("b2").kernel.numpy(), refit.get_layer("b2").kernel.numpy())


def test_block_of_least_effect_goes(data):
    """The block whose branch is nearly zero is dropped and the note says what is left on its skip."""
    model = residual_model()
    model.get_layer("a2_bn").gamma.assign(np.full(8, 1e-3, np.float32))
    small, note = shrink(model, without_training(remove="blocks", amount=0.5), data)
    (gone,) = note.blocks
    assert (gone.block, gone.skip) == ("a", "identity") and gone.effect < 0.01 and "a1" in gone.layers
    assert largest_difference(model, small) < 0.05
    with pytest.raises(DataError):
        shrink(model, without_training(remove="blocks", amount=0.5), Data())


@pytest.mark.parametrize("excluded", ["a", "a1"])
def test_an_excluded_layer_keeps_its_block(excluded, data):
    """The block of least effect stays when its addition or a layer of its branch is excluded; another goes."""
    model = residual_model()
    model.get_layer("a2_bn").gamma.assign(np.full(8, 1e-3, np.float32))
    _, note = shrink(model, without_training(remove="blocks", amount=0.5, exclude=(excluded,)), data)
    (gone,) = note.blocks
    assert gone.block != "a" and excluded not in gone.layers


def test_removed_channels_equal_masked_ones():
    """`remove_channels` gives what `mask_channels` gives, by paths into nested models, and names what stays."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((8, 8, 6)), layers.Conv2D(8, 3, padding="same", name="conv"), layers.ReLU()], name="inner")
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(inner(layers.Conv2D(6, 3, padding="same", name="conv")(image)))
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    wanted = {"inner/conv": [0, 3], "conv": list(range(6)), "logits": [1]}
    masked, _ = mask_channels(model, wanted)
    small, removal = remove_channels(model, wanted)
    assert largest_difference(masked, small) < 1e-5
    assert {layer.layer: (layer.before, layer.after) for layer in removal.layers} == {"conv": (6, 1), "inner/conv": (8, 6)}
    reasons = {kept.layer: (kept.channels, kept.reason) for kept in removal.kept}
    assert reasons["logits"][0] == (1,) and "output" in reasons["logits"][1] and reasons["conv"][0] == (0,)
    with pytest.raises(RecipeError, match="0 to 5"):
        remove_channels(model, {"conv": [6]})
    with pytest.raises(RecipeError, match="lacks"):
        remove_channels(model, {"konv": [0]})


def dying_model(padding: str) -> keras.Model:
    """Channel 2 of the first layer is 0.7 everywhere, 3 is 0, and nobody reads 4."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(5, 3, padding=padding, name="second")(layers.MaxPooling2D()(x))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))
    kernel, bias = (np.array(weight) for weight in model.get_layer("first").get_weights())
    kernel[..., [2, 3]] = 0
    bias[[2, 3]] = 0.7, -0.2
    model.get_layer("first").set_weights([kernel, bias])
    kernel, bias = (np.array(weight) for weight in model.get_layer("second").get_weights())
    kernel[:, :, 4] = 0
    model.get_layer("second").set_weights([kernel, bias])
    return model


def test_dead_channels_go_where_that_is_exact():
    """A constant channel is folded through pooling and a valid convolution; beyond a border of zeros it stays and is named."""
    model = dying_model("valid")
    small, removal = remove_dead_channels(model)
    assert [(layer.layer, layer.after) for layer in removal.layers] == [("first", 3)] and not removal.kept
    assert largest_difference(model, small) < 1e-5
    model = dying_model("same")
    small, removal = remove_dead_channels(model)
    assert [(layer.layer, layer.after) for layer in removal.layers] == [("first", 4)]
    (kept,) = removal.kept
    assert (kept.layer, kept.channels) == ("first", (2,)) and "0.7" in kept.reason and "second" in kept.reason
    assert largest_difference(model, small) < 1e-5


def test_dead_channels_go_with_their_numbers(data):
    """The pass takes dead channels first and folds what they hold, beside others that are masked; beyond a border they stay, named."""
    settings = {"ranking": "global", "normalize": "none", "multiple_of": 1, "minimum": 1, "exclude": ("second",)}
    model = dying_model("valid")
    small, note = shrink(model, without_training(amount=0.33, **settings), data)
    assert [(layer.layer, layer.after) for layer in note.layers] == [("first", 4)]
    assert largest_difference(model, small) < 1e-5
    norms = np.abs(model.get_layer("first").kernel.numpy()).sum(axis=(0, 1, 2))
    third = min((0, 1, 4, 5), key=lambda channel: norms[channel])
    small, _ = shrink(model, without_training(amount=0.5, **settings), data)
    assert largest_difference(mask_channels(model, {"first": [third]})[0], small) < 1e-5
    model = dying_model("same")
    small, note = shrink(model, without_training(amount=0.2, **settings), data)
    (kept,) = [kept for kept in note.kept if kept.layer == "first"]
    assert kept.channels == (2,) and "0.7" in kept.reason and largest_difference(model, small) < 1e-5


def test_masked_channels_are_dead_channels():
    """What another pass zeroed through BatchNormalization and a residual addition is found and removed."""
    masked, _ = mask_channels(residual_model(), {"stem": [1, 2], "b1": [0, 7]})
    small, removal = remove_dead_channels(masked)
    assert {layer.layer: layer.after for layer in removal.layers} == {"stem": 6, "a2": 6, "b1": 14}
    assert largest_difference(masked, small) < 1e-5


def test_unreachable_budgets_and_wrong_settings(data):
    """A budget below what may be cut, an unknown layer, and settings without or with two goals are refused."""
    with pytest.raises(RecipeError, match="cannot be reached"):
        shrink(residual_model(), without_training(macs=0.1, most=0.5), data)
    with pytest.raises(RecipeError, match="exclude"):
        shrink(residual_model(), without_training(macs=0.5, exclude=("stm",)), data)
    with pytest.raises(RecipeError, match="cannot be reached"):
        shrink(residual_model(), without_training(macs=0.01, remove="blocks"), data)
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(2)])
    with pytest.raises(RecipeError, match="no residual block"):
        shrink(plain, without_training(amount=0.5, remove="blocks"), data)
    for wrong in ({}, {"macs": 0.5, "amount": 0.5}, {"macs": 0.0}, {"macs": 0.5, "saliency": "movement"}):
        with pytest.raises(ValidationError):
            ShrinkSettings(**wrong)
    assert ShrinkSettings(macs=0.5, saliency="taylor").saliency is Criterion.TAYLOR


def test_a_model_that_holds_all_its_channels(data):
    """Where no channel may go, the hint names what keeps them: settings if there are some, and the layers' own reasons otherwise."""
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.GlobalAveragePooling2D()(shared(shared(image)))))
    with pytest.raises(RecipeError, match="no channel of this model may go") as caught:
        shrink(model, ShrinkSettings(macs=0.5), data)
    assert caught.value.hint == "leave the step out; shared: it is an input of the model; logits: it is an output of the model"
    with pytest.raises(RecipeError, match="no channel of this model may go") as caught:
        shrink(model, ShrinkSettings(macs=0.5, exclude=("shared",)), data)
    assert caught.value.hint == "shorten `exclude`"


def test_saliency_that_reads_data(data):
    """Taylor terms, compared across layers as they are, choose channels too."""
    _, note = shrink(residual_model(), without_training(macs=0.6, saliency="taylor", normalize="none", ranking="saving"), data)
    assert note.macs <= 0.6 * note.macs_before


def test_a_shrunk_model_converts_to_int8(data):
    """The .tflite is int8 throughout and has the channels that are left."""
    small, _ = shrink(residual_model(), without_training(amount=0.5), data)
    with Converter() as converter:
        graph = read_tflite(converter.convert(small, Mode.INT8, calibration=data.train[0][:8]))
    shapes = {tensor.shape for tensor in graph.tensors}
    assert (8, 3, 3, 4) in shapes and (16, 3, 3, 8) not in shapes
    assert {tensor.dtype.value for tensor in graph.tensors} <= {"int8", "int32"}
