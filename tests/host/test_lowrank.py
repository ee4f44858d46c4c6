"""Low rank on Keras models: every split exact at full rank, chosen as asked, trained and converted."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from dataclasses import asdict

import keras
import numpy as np
import pytest
from keras import layers
from pydantic import ValidationError

from edgecompress.compress.data import Data
from edgecompress.compress.int8.aware import quantization_aware
from edgecompress.compress.lowrank.methods import Method
from edgecompress.compress.lowrank.sites import find_sites
from edgecompress.compress.lowrank.step import factorize_layer, lowrank
from edgecompress.convert import Converter, Mode, read_tflite
from edgecompress.errors import DataError, RecipeError
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe.lowrank import LowRankSettings

CLASSES = 3


def settings(**asked: object) -> LowRankSettings:
    return LowRankSettings(**{"epochs": 0, **asked})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 64).astype(np.int32)
    x = (rng.normal(0, 0.3, (64, 12, 12, 4)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x, y), validation=(x, y), calibration=x[:32])


def convolutional() -> keras.Model:
    """A convolution with its normalization, one used twice, one inside a nested model, and layers to leave alone."""
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((12, 12, 16)), layers.Conv2D(16, 3, padding="same", name="conv")], name="block")
    twice = layers.Conv2D(16, 3, padding="same", activation="relu", name="twice")
    x = image = keras.Input((12, 12, 4))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = twice(twice(inner(x)))
    x = layers.Conv2D(16, 3, groups=4, name="grouped")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.SeparableConv2D(16, 3, name="separable")(x)
    x = layers.Conv2DTranspose(8, 3, name="transposed")(x)
    x = layers.Dense(32, "relu", name="hidden")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def assert_exact(layer: keras.Layer, shape: tuple[int, ...], method: Method, ranks: tuple[int, ...], parts: int) -> None:
    """The layer at these ranks gives the layer's own outputs."""
    image = keras.Input(shape)
    model = keras.Model(image, layer(image))
    if layer.use_bias:
        layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
    network = read_network(model)
    (site,), _ = find_sites(network, model, ())
    names = factorize_layer(network, site, method, ranks)
    assert len(names) == parts
    assert names[-1] == layer.name
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    expected = np.asarray(model(x))
    got = build_model(network)
    assert got.output_shape == model.output_shape
    assert abs(np.asarray(got(x)) - expected).max() <= 1e-5 * max(1.0, abs(expected).max())


WINDOWS = [
    {"padding": "same"},
    {"padding": "valid"},
    {"padding": "same", "strides": 2},
    {"padding": "valid", "strides": (2, 1)},
    {"padding": "same", "dilation_rate": 2},
    {"padding": "valid", "dilation_rate": (1, 2), "use_bias": False},
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize(("method", "ranks", "parts"), [(Method.SPATIAL, (12,), 2), (Method.CHANNEL, (5,), 2), (Method.TUCKER, (4, 5), 3)])
def test_full_rank_equals_the_convolution(method, ranks, parts, window):
    """Padding, strides and dilation go to the right part: at full rank nothing changes."""
    assert_exact(layers.Conv2D(5, 3, activation="tanh", name="conv", **window), (9, 11, 4), method, ranks, parts)


@pytest.mark.parametrize("window", [WINDOWS[0], WINDOWS[1], WINDOWS[2], WINDOWS[4]], ids=str)
def test_cp_of_a_kernel_of_that_rank_equals_the_convolution(window):
    """A kernel that is one outer product is CP of rank 1, exactly, also strided and dilated."""
    layer = layers.Conv2D(5, (3, 2), name="conv", **window)
    layer.build((None, 9, 11, 4))
    rng = np.random.default_rng(0)
    layer.kernel.assign(np.einsum("h,w,i,o->hwio", *(rng.normal(size=n) for n in (3, 2, 4, 5))))
    assert_exact(layer, (9, 11, 4), Method.CP, (1,), 3 if "strides" in window else 4)


@pytest.mark.parametrize(
    ("window", "method", "ranks", "parts"),
    [
        ({"padding": "causal", "dilation_rate": 2}, Method.CHANNEL, (5,), 2),
        ({"padding": "causal"}, Method.TUCKER, (4, 5), 3),
        ({"padding": "same", "strides": 2}, Method.TUCKER, (4, 5), 3),
        ({"padding": "valid", "strides": 3}, Method.CHANNEL, (5,), 2),
    ],
)
def test_full_rank_equals_the_convolution_in_one_dimension(window, method, ranks, parts):
    """Conv1D splits as Conv2D does, causal padding included."""
    assert_exact(layers.Conv1D(5, 3, name="conv", **window), (16, 4), method, ranks, parts)


def test_cp_in_one_dimension():
    """Conv1D becomes 1, a depthwise one, 1."""
    layer = layers.Conv1D(5, 3, padding="same", strides=2, name="conv")
    layer.build((None, 16, 4))
    rng = np.random.default_rng(0)
    layer.kernel.assign(np.einsum("h,i,o->hio", *(rng.normal(size=n) for n in (3, 4, 5))))
    assert_exact(layer, (16, 4), Method.CP, (1,), 3)


def test_full_rank_equals_dense_and_pointwise_layers():
    """SVD of a Dense layer on sequences, and of a strided 1x1 convolution."""
    assert_exact(layers.Dense(6, "relu", name="dense"), (3, 4), Method.SVD, (4,), 2)
    assert_exact(layers.Conv2D(6, 1, strides=2, name="point"), (9, 8, 4), Method.SVD, (4,), 2)


def test_names_what_it_splits_and_what_not():
    """Shared layers stay shared, nested ones are opened, and every layer that stays is named with its reason."""
    model = convolutional()
    before = model.get_weights()
    out, note = lowrank(model, settings(ratio=0.6, exclude=("block",)), Data())
    assert {layer.layer for layer in note.layers} == {"stem", "twice", "hidden"}
    reasons = {entry.layer: entry.reason for entry in note.skipped}
    assert set(reasons) == {"conv", "grouped", "depthwise", "separable", "transposed", "logits"}
    assert reasons["conv"] == "excluded"
    assert reasons["grouped"].startswith("grouped")
    assert reasons["logits"] == "no rank saves multiply-accumulates"
    twice = next(layer for layer in note.layers if layer.layer == "twice")
    assert twice.macs_before == 2 * 144 * 9 * 16 * 16
    assert twice.macs_after <= 0.6 * twice.macs_before
    names = [layer.name for layer in out.layers]
    assert names.count("twice") == 1
    assert len(out.get_layer("twice")._inbound_nodes) == 2
    assert {"twice_reduce", "norm", "hidden_reduce"} <= set(names)
    assert out.get_layer("stem").use_bias is False
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert asdict(note)["macs_after"] < note.macs_before


def test_auto_loses_no_more_than_each_method_alone():
    """At the same share of the multiply-accumulates, the split that auto takes has the least loss."""
    model = convolutional()
    lost = {}
    for method in ("auto", "spatial", "channel", "tucker"):
        _, note = lowrank(model, settings(method=method, ratio=0.5), Data())
        lost[method] = {layer.layer: layer.lost for layer in note.layers}
    for layer, least in lost.pop("auto").items():
        assert least <= min(found.get(layer, 1.0) for found in lost.values())


def test_energy_bounds_the_error_of_every_kernel():
    """A kernel that keeps 95 % of its energy is within sqrt(0.05) of the old one; a layer where that saves nothing stays."""
    _, note = lowrank(low_rank_dense(), settings(energy=0.95), Data())
    assert [layer.layer for layer in note.layers] == ["low"]
    assert note.layers[0].ranks == (4,)
    assert note.layers[0].error <= np.sqrt(0.05)
    assert "keeps 0.95 of its energy" in next(entry.reason for entry in note.skipped if entry.layer == "full")


def low_rank_dense() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = vector = keras.Input((32,))
    x = layers.Dense(32, "relu", name="low")(x)
    x = layers.Dense(32, "relu", name="full")(x)
    model = keras.Model(vector, layers.Dense(CLASSES, name="logits")(x))
    rng = np.random.default_rng(0)
    model.get_layer("low").kernel.assign(rng.normal(size=(32, 4)) @ rng.normal(size=(4, 32)) + 0.01 * rng.normal(size=(32, 32)))
    return model


@pytest.mark.parametrize("unit", ["macs", "parameters"])
def test_budget_is_met_and_spent_on_what_loses_least(unit):
    """The whole model ends within its budget; the layer of low rank is split before the others."""
    model = low_rank_dense()
    _, note = lowrank(model, settings(budget=0.7, budget_of=unit), Data())
    before, after = (note.macs_before, note.macs_after) if unit == "macs" else (note.parameters_before, note.parameters_after)
    assert after <= 0.7 * before
    assert [layer.layer for layer in note.layers] == ["low"]
    with pytest.raises(RecipeError, match=f"budget of 0.01 of the {unit} is out of reach"):
        lowrank(model, settings(budget=0.01, budget_of=unit), Data())


def test_pruned_and_unknown_layers_are_refused():
    """Zeros that a mask made are not filled again; a name that no layer has is an error."""
    model = low_rank_dense()
    kernel = model.get_layer("low").kernel.numpy()
    kernel[:, ::4] = 0
    model.get_layer("low").kernel.assign(kernel)
    _, note = lowrank(model, settings(energy=0.9), Data())
    assert next(entry.reason for entry in note.skipped if entry.layer == "low").startswith("pruned")
    with pytest.raises(RecipeError, match="'lov'"):
        lowrank(model, settings(energy=0.9, exclude=("lov",)), Data())


def test_layers_on_a_grid_are_left_alone():
    """What quantization or a codebook has chosen stays as it is, by name."""
    model = quantization_aware(low_rank_dense())
    _, note = lowrank(model, settings(ratio=0.5), Data())
    assert not note.layers
    assert [entry.layer for entry in note.skipped] == ["low", "full", "logits"]
    assert all("int8 grid" in entry.reason for entry in note.skipped)


def test_responses_change_outputs_less_than_kernels_do(data):
    """Weighed on data, the same ranks lose less of what the layers give; without data it is an error."""
    model = convolutional()
    x = data.calibration
    rng = np.random.default_rng(0)
    mixed = (x @ (rng.normal(size=(4, 1)) @ rng.normal(size=(1, 4)))).astype(np.float32)
    expected = np.asarray(model(mixed))
    errors = {}
    for criterion in ("kernel", "responses"):
        asked = settings(method="channel", ratio=0.5, criterion=criterion)
        out, note = lowrank(model, asked, Data(calibration=mixed))
        assert {layer.method for layer in note.layers} <= {"channel", "svd"}
        errors[criterion] = float(np.linalg.norm(np.asarray(out(mixed)) - expected))
    assert errors["responses"] < 0.7 * errors["kernel"]
    with pytest.raises(DataError, match="calibration"):
        lowrank(model, settings(ratio=0.5, criterion="responses"), Data())


def test_trains_and_converts_to_the_macs_that_the_note_promises(data):
    """Two epochs run; the int8 file has as many multiply-accumulates as the note says, layer by layer smaller."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((12, 12, 4))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False, name="a")(x)))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="b")(x)
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.GlobalAveragePooling2D()(x)))
    seen: list[str] = []
    asked = settings(ratio=0.5, epochs=2, batch_size=16)
    out, note = lowrank(model, asked, data, progress=lambda stage, done, total: seen.append(stage))
    assert (note.steps, note.epochs) == (8, 2)
    assert {"lowrank: factorize", "lowrank"} <= set(seen)
    with Converter() as converter:
        graph = read_tflite(converter.convert(out, Mode.INT8, calibration=data.calibration))
    assert graph.macs == note.macs_after
    assert graph.macs < 0.6 * note.macs_before


def test_cp_shows_its_progress():
    """CP says which layer it is at and how far."""
    seen: list[tuple[str, int, int | None]] = []
    _, note = lowrank(convolutional(), settings(method="cp", energy=0.2), Data(), progress=lambda *said: seen.append(said))
    assert any(stage == "lowrank: CP of twice" and done == total for stage, done, total in seen)
    assert {layer.method for layer in note.layers} >= {"cp"}


@pytest.mark.parametrize("asked", [{}, {"energy": 0.9, "ratio": 0.5}, {"energy": 0.9, "criterion": "responses", "method": "tucker"}])
def test_settings_that_contradict_themselves_are_refused(asked):
    """One goal, and a criterion that the method has."""
    with pytest.raises(ValidationError):
        LowRankSettings(**asked)
