"""Convolutions and activations exchanged for cheaper ones."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from itertools import permutations

import keras
import numpy as np
import pytest
from keras import layers
from pydantic import ValidationError

from edgecompress.compress.data import Data
from edgecompress.compress.replace.grouping import deal_channels, energy_of, order_by_group
from edgecompress.compress.replace.kernels import group, narrow, separate
from edgecompress.compress.replace.model import replace
from edgecompress.compress.replace.shuffle import shuffle_channels
from edgecompress.errors import RecipeError
from edgecompress.recipe.replace import ActivationTable, ReplaceSettings

RNG = np.random.default_rng(0)


def settings(**changes: object) -> ReplaceSettings:
    """No fine-tuning, so that outputs can be compared."""
    return ReplaceSettings(**{"epochs": 0, **changes})


def exchanged(model: keras.Model, **changes: object) -> tuple[keras.Model, object]:
    return replace(model, settings(**changes), Data())


def farthest(model: keras.Model, other: keras.Model) -> float:
    """Largest difference of two models' outputs, relative to the largest output."""
    x = RNG.normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    expected, came = (np.asarray(m(x, training=False)) for m in (model, other))
    return float(np.abs(expected - came).max() / np.abs(expected).max())


def set_kernel(model: keras.Model, name: str, kernel: np.ndarray) -> None:
    layer = model.get_layer(name)
    layer.set_weights([kernel.astype(np.float32), *layer.get_weights()[1:]])


def randomize(model: keras.Model) -> keras.Model:
    """Biases and normalizations that are not the initial zeros and ones."""
    model.set_weights([w + RNG.uniform(0.1, 0.5, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


def single(shape: tuple[int, ...], kind: type = layers.Conv2D, **config: object) -> keras.Model:
    image = keras.Input(shape)
    return randomize(keras.Model(image, kind(8, 3, name="conv", **config)(image)))


def test_separable_is_the_truncated_svd_of_each_input_channel():
    """The error is what the singular values beyond the multiplier say, and the parts multiply to the best approximation."""
    kernel = RNG.normal(size=(3, 3, 4, 6))
    for multiplier in (1, 2):
        found = separate(kernel, multiplier)
        singular = [np.linalg.svd(kernel[:, :, i].reshape(9, 6), compute_uv=False) for i in range(4)]
        tail = sum(float((s[multiplier:] ** 2).sum()) for s in singular)
        assert found.error == pytest.approx(np.sqrt(tail / (kernel**2).sum()), rel=1e-9)
        product = np.einsum("hwik,iko->hwio", found.depthwise, found.pointwise.reshape(4, multiplier, 6))
        assert np.linalg.norm(kernel - product) / np.linalg.norm(kernel) == pytest.approx(found.error, rel=1e-9)


def test_bottleneck_keeps_what_its_ranks_can_hold():
    """A kernel of channel ranks 2 and 3 is three small kernels without loss, and loses something with fewer."""
    kernel = np.einsum("ip,hwpq,qo->hwio", RNG.normal(size=(5, 2)), RNG.normal(size=(3, 3, 2, 3)), RNG.normal(size=(3, 7)))
    found = narrow(kernel, (2, 3))
    assert found.error < 1e-12
    assert found.core.shape == (3, 3, 2, 3)
    assert narrow(kernel, (2, 2)).error > 0.01


def test_groups_are_as_good_as_trying_all():
    """With 4 inputs, 4 outputs and 2 groups the search finds the best of all ways to deal, on each of ten random kernels."""
    fixed = np.array([0, 0, 1, 1])
    for seed in range(10):
        energy = np.random.default_rng(seed).gamma(0.3, size=(4, 4))
        best = max(
            energy[np.ix_(list(i[:2]), list(o[:2]))].sum() + energy[np.ix_(list(i[2:]), list(o[2:]))].sum()
            for i in permutations(range(4))
            for o in permutations(range(4))
        )
        dealt = deal_channels(energy, fixed, fixed, inputs_free=True, outputs_free=True)
        assert dealt.kept == pytest.approx(best / energy.sum(), rel=1e-9)
        assert sorted(dealt.inputs) == sorted(dealt.outputs) == [0, 0, 1, 1]


def test_a_hidden_block_structure_is_found():
    """Block-diagonal kernels whose channels were permuted on both sides lose nothing."""
    kernel = np.zeros((3, 3, 16, 24))
    for g in range(4):
        kernel[:, :, 4 * g : 4 * g + 4, 6 * g : 6 * g + 6] = RNG.normal(size=(3, 3, 4, 6))
    kernel = kernel[:, :, RNG.permutation(16)][..., RNG.permutation(24)]
    places = np.repeat(np.arange(4), 4), np.repeat(np.arange(4), 6)
    dealt = deal_channels(energy_of(kernel), *places, inputs_free=True, outputs_free=True)
    assert dealt.kept == pytest.approx(1.0)
    orders = order_by_group(dealt.inputs, places[0]), order_by_group(dealt.outputs, places[1])
    assert group(kernel, *orders, 4).error < 1e-6
    assert group(kernel, np.arange(16), np.arange(24), 4).error > 0.1


def test_what_is_not_free_stays():
    """Inputs that must keep their order keep it; the outputs then go where each has the most energy."""
    energy = np.array([[1.0, 0.0, 0.0, 5.0], [0.0, 2.0, 3.0, 0.0]])
    dealt = deal_channels(energy, np.array([0, 1]), np.array([0, 0, 1, 1]), inputs_free=False, outputs_free=True)
    assert dealt.inputs.tolist() == [0, 1]
    assert dealt.outputs.tolist() == [0, 1, 1, 0]
    assert dealt.kept == 1.0


CASES = [
    pytest.param((9, 8, 4), layers.Conv2D, {"strides": 2, "padding": "same", "activation": "relu"}, id="strided"),
    pytest.param((9, 8, 4), layers.Conv2D, {"dilation_rate": 2, "padding": "valid", "use_bias": False}, id="dilated"),
    pytest.param((12, 4), layers.Conv1D, {"padding": "same", "strides": 2}, id="sequence"),
    pytest.param((12, 4), layers.Conv1D, {"padding": "causal", "dilation_rate": 2}, id="causal"),
]


@pytest.mark.parametrize(("shape", "kind", "config"), CASES)
def test_kernels_of_the_form_are_reproduced(shape, kind, config):
    """Separable, block-diagonal and low-rank kernels give the same outputs to 1e-5, whatever strides, dilation and padding are."""
    taps = (3,) * (len(shape) - 1)
    model = single(shape, kind, **config)
    separable = np.einsum("...i,io->...io", RNG.normal(size=(*taps, 4)), RNG.normal(size=(4, 8)))
    blocks = RNG.normal(size=(*taps, 4, 8)) * np.kron(np.eye(2), np.ones((2, 4)))
    low = np.einsum("ip,...pq,qo->...io", RNG.normal(size=(4, 2)), RNG.normal(size=(*taps, 2, 4)), RNG.normal(size=(4, 8)))
    for kernel, form in ((separable, "separable"), (blocks, "grouped"), (low, "bottleneck")):
        set_kernel(model, "conv", kernel)
        changed, note = exchanged(model, convolution=form, groups=2, layers=("conv",))
        assert farthest(model, changed) < 1e-5, form
        assert note.layers[0].error < 1e-6
        assert changed.get_layer("conv").get_config()["activation"] == model.get_layer("conv").get_config()["activation"]
        assert note.layers[0].macs_before == note.macs_before
        assert note.layers[0].macs_after == note.macs_after


def test_all_singular_values_give_the_layer_back():
    """With as many filters a channel as the kernel has taps, any kernel is exact (Guo et al. 2018)."""
    image = keras.Input((6, 6, 2))
    model = keras.Model(image, layers.Conv2D(16, 3, name="conv")(image))
    changed, _ = exchanged(model, convolution="separable", multiplier=9, layers=("conv",))
    assert farthest(model, changed) < 1e-5


def chain() -> keras.Model:
    """Two convolutions with layers between that a new order of channels must pass."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, name="before")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="middle")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(name="norm_after")(x)
    x = layers.Conv2D(5, 1, name="after")(x)
    return randomize(keras.Model(image, layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("mixing", ["none", "shuffle"])
def test_a_new_order_is_taken_up_by_the_layers_around(mixing):
    """A block-diagonal kernel in disguise stays exact: makers write, and readers expect, the channels in the new order."""
    model = chain()
    kernel = RNG.normal(size=(3, 3, 8, 16)) * np.kron(np.eye(2), np.ones((4, 8)))
    set_kernel(model, "middle", kernel[:, :, RNG.permutation(8)][..., RNG.permutation(16)])
    changed, note = exchanged(model, convolution="grouped", groups=2, layers=("middle",), mixing=mixing)
    assert note.layers[0].reordered == "both"
    assert note.layers[0].error < 1e-6
    assert farthest(model, changed) < 1e-5
    assert changed.get_layer("middle").groups == 2
    _, in_order = exchanged(model, convolution="grouped", groups=2, layers=("middle",), channels="in_order")
    assert in_order.layers[0].error > 0.1


def test_an_order_that_others_would_notice_stays():
    """A value that an addition reads too keeps its order, and so does the model's output."""
    image = keras.Input((8, 8, 8))
    x = layers.Conv2D(8, 3, padding="same", name="first")(image)
    y = layers.Conv2D(8, 3, padding="same", name="second")(x)
    model = randomize(keras.Model(image, layers.Add()([x, y])))
    _, note = exchanged(model, convolution="grouped", groups=2)
    assert [layer.reordered for layer in note.layers] == ["none", "none"]


def test_groups_that_follow_groups():
    """Two grouped layers in a row agree on the order between them: blocks hidden behind one permutation stay exact in both."""
    model = chain()
    between = RNG.permutation(8)
    first = RNG.normal(size=(3, 3, 4, 8)) * np.kron(np.eye(2), np.ones((2, 4)))
    second = RNG.normal(size=(3, 3, 8, 16)) * np.kron(np.eye(2), np.ones((4, 8)))
    set_kernel(model, "before", first[..., between])
    set_kernel(model, "middle", second[:, :, between][..., RNG.permutation(16)])
    changed, note = exchanged(model, convolution="grouped", groups=2, layers=("before", "middle"))
    assert [layer.reordered for layer in note.layers] == ["outputs", "outputs"]
    assert farthest(model, changed) < 1e-5


def test_shuffle_deals_the_groups_out_in_turn():
    """Six channels in two groups, 012 345, come out as 0 3 1 4 2 5, in images, sequences and vectors."""
    for shape in ((2, 2, 6), (3, 6), (6,)):
        image = keras.Input(shape)
        model = keras.Model(image, shuffle_channels(image, 2, "shuffle"))
        x = np.broadcast_to(np.arange(6, dtype=np.float32), (1, *shape))
        assert np.asarray(model(x)).reshape(-1, 6)[0].tolist() == [0, 3, 1, 4, 2, 5]


def test_what_is_left_is_named():
    """Layers that would not get cheaper, have groups, were pruned or are excluded stay, each with its reason."""
    image = keras.Input((8, 8, 8))
    x = layers.Conv2D(8, 3, name="whole")(image)
    x = layers.Conv2D(8, 1, name="pointwise")(x)
    x = layers.Conv2D(8, 3, groups=2, name="groups")(x)
    x = layers.Conv2D(1, 3, padding="same", name="narrow")(x)
    x = layers.Conv2D(8, 3, padding="same", name="pruned")(x)
    x = layers.Conv2D(8, 3, strides=(2, 1), padding="same", name="uneven")(x)
    model = keras.Model(image, layers.Conv2D(8, 3, padding="same", name="kept")(x))
    set_kernel(model, "pruned", RNG.normal(size=(3, 3, 1, 8)) * (RNG.random((3, 3, 1, 8)) > 0.5))
    changed, note = exchanged(model, convolution="separable", exclude=("kept",))
    reasons = {left.layer: left.reason for left in note.skipped}
    assert [layer.layer for layer in note.layers] == ["whole"]
    assert note.layers[0].parts == ("whole_depthwise", "whole")
    assert set(reasons) == {"pointwise", "groups", "narrow", "pruned", "uneven", "kept"}
    for name, words in (("pointwise", "1 x 1"), ("groups", "groups"), ("narrow", "instead of"), ("pruned", "pruned"), ("uneven", "stride")):
        assert words in reasons[name]
    assert changed.count_params() < model.count_params()


def test_impossible_wishes_are_refused_by_name():
    """Unknown layers, layers that cannot take the form, and models with nothing to exchange are errors."""
    model = single((8, 8, 3))
    with pytest.raises(RecipeError, match="conf"):
        exchanged(model, convolution="separable", layers=("conf",))
    with pytest.raises(RecipeError, match="conv cannot become grouped: 4 groups do not divide its 3 inputs"):
        exchanged(model, convolution="grouped", layers=("conv",))
    with pytest.raises(RecipeError, match="nothing to exchange"):
        exchanged(model, convolution="grouped")
    with pytest.raises(ValidationError, match="nothing to replace"):
        ReplaceSettings()


def test_nested_and_shared_layers():
    """A layer in a nested model is named by its path, and a shared one is exchanged at every use."""
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same", name="conv")], name="block")
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, inner(inner(image)))
    set_kernel(inner, "conv", np.einsum("hwi,io->hwio", RNG.normal(size=(3, 3, 4)), RNG.normal(size=(4, 4))))
    changed, note = exchanged(model, convolution="separable", layers=("block",))
    assert [layer.layer for layer in note.layers] == ["block/conv"]
    assert note.layers[0].macs_before == 2 * 64 * 9 * 16
    assert farthest(model, changed) < 1e-5
    assert sum(isinstance(layer, layers.DepthwiseConv2D) for layer in changed.layers) == 1


def smooth_model() -> keras.Model:
    """silu, gelu and others in every spelling."""
    image = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="swish", name="string")(image)
    x = layers.Activation("gelu", name="layer")(x)
    x = keras.ops.silu(x)
    x = keras.ops.gelu(x, approximate=False)
    x = layers.Multiply(name="product")([x, layers.Activation("sigmoid", name="gate")(x)])
    x = layers.ELU(name="elu")(x)
    x = layers.PReLU(name="prelu")(x)
    x = layers.Conv2D(4, 1, activation=keras.layers.LeakyReLU(), name="own_layer")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(4, activation=keras.activations.softplus, name="function")(x)
    return keras.Model(image, layers.Dense(2, activation="sigmoid", name="output")(x))


def test_activations_in_every_spelling():
    """Strings, functions, layers, operations and x * sigmoid(x) become what the table says; the output keeps its own."""
    table = ActivationTable(
        silu="hard_swish", gelu="hard_swish", elu="leaky_relu", prelu="relu", leaky_relu="relu", softplus="relu6", sigmoid="hard_sigmoid"
    )
    changed, note = exchanged(smooth_model(), activations=table)
    # Keras numbers operations as it makes them.
    assert {(entry.layer.rstrip("_0123456789"), entry.after) for entry in note.activations} == {
        ("string", "hard_swish"),
        ("layer", "hard_swish"),
        ("silu", "hard_swish"),
        ("gelu", "hard_swish"),
        ("product", "hard_swish"),
        ("elu", "leaky_relu"),
        ("prelu", "relu"),
        ("own_layer", "relu"),
        ("function", "relu6"),
    }
    assert [(left.layer, left.reason) for left in note.skipped] == [("output", "its sigmoid makes an output of the model")]
    left = {layer.activation.__name__ for layer in changed.layers if hasattr(layer, "activation")}
    assert left == {"hard_silu", "leaky_relu", "relu", "relu6", "sigmoid"}
    assert not [layer for layer in changed.layers if layer.name == "gate"]


def test_the_new_activation_is_computed():
    """One silu becomes x * relu6(x + 3) / 6, and what the table leaves out or exclude names stays."""
    image = keras.Input((5,))
    x = layers.Activation("silu", name="one")(image)
    model = keras.Model(image, keras.ops.concatenate([x, layers.Activation("gelu", name="two")(image)]))
    changed, _ = exchanged(model, activations=ActivationTable(silu="hard_swish"))
    x = np.array([[-4.0, -1.0, 0.0, 1.0, 4.0]], np.float32)
    np.testing.assert_allclose(np.asarray(changed(x))[0, :5], [0.0, -1 / 3, 0.0, 2 / 3, 4.0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(changed(x))[0, 5:], np.asarray(model(x))[0, 5:], atol=1e-6)
    _, note = exchanged(model, activations=ActivationTable(silu="relu", gelu="relu"), exclude=("two",))
    assert [entry.layer for entry in note.activations] == ["one"]


def test_fine_tuning_brings_it_back():
    """The exchanged model is trained for the settings' epochs, and the original stays as it was."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 64).astype(np.int32)
    x = (rng.normal(0, 0.1, (64, 8, 8, 4)) + y[:, None, None, None]).astype(np.float32)
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4))
    features = layers.Conv2D(8, 3, activation="swish", name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(features)))
    before = [weight.copy() for weight in model.get_weights()]
    wish = ReplaceSettings(convolution="separable", activations=ActivationTable(silu="relu"), epochs=2, batch_size=16, learning_rate=0.05)
    changed, note = replace(model, wish, Data(train=(x, y)))
    assert (note.epochs, note.steps) == (2, 8)
    assert np.mean(np.asarray(changed(x)).argmax(axis=1) == y) > 0.95
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_normalizations_are_measured_anew():
    """Behind an exchanged kernel a normalization has the mean and variance of its new input, even without fine-tuning."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(image)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="norm")(x)))
    samples = RNG.normal(1.0, 3.0, (48, 8, 8, 4)).astype(np.float32)
    data = Data(train=(samples, np.zeros((48, 8), np.float32)))
    changed, note = replace(model, settings(convolution="separable", batch_size=16), data)
    inside = np.asarray(keras.Model(changed.input, changed.get_layer("conv").output)(samples))
    assert note.statistics_batches == 3
    norm = changed.get_layer("norm")
    np.testing.assert_allclose(norm.moving_mean, inside.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(norm.moving_variance, inside.var(axis=(0, 1, 2)), rtol=0.1)
    assert norm.momentum == model.get_layer("norm").momentum
