"""Weights of few bits: what the .tflite holds for each method, and bits by measured sensitivity."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.grid.bits import bits
from edgecompress.compress.int8.aware import export_view, observe_ranges, quantization_aware
from edgecompress.compress.int8.layers import plain_kernels
from edgecompress.compress.prune.step import prune
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.prepare import prepare
from edgecompress.recipe import PruneSettings
from edgecompress.recipe.bits import BitsSettings, MixedBits

CLASSES = 3


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells their class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 160).astype(np.int32)
    x = (rng.normal(0, 0.3, (160, 8, 8, 2)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x[:128], y[:128]), validation=(x[128:], y[128:]), calibration=x[:48])


@pytest.fixture(scope="module")
def converter():
    """One child process for all conversions."""
    with Converter() as running:
        yield running


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 2))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Conv2D(24, 3, activation="relu", name="wide")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


@pytest.fixture(scope="module")
def small_model():
    """Two layers: quick to convert."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(24, 3, strides=2, activation="relu", name="wide"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, name="logits"),
        ]
    )


def values_of(model_bytes):
    """The distinct int8 values of each layer's weights in a .tflite."""
    return {
        tensor.name.split("/")[0]: np.unique(tensor.data).tolist()
        for tensor in read_tflite(model_bytes).tensors
        if tensor.data is not None and tensor.data.dtype == np.int8 and tensor.name.endswith("/kernel")
    }


def post_training(reduced, data, converter):
    return values_of(converter.convert(plain_kernels(prepare(reduced)), calibration=data.calibration))


def with_ranges(reduced, data, converter):
    aware = quantization_aware(reduced)
    observe_ranges(aware, [data.calibration])
    return values_of(converter.convert(export_view(aware), trained_ranges=True))


POWERS = [127, 64, 32, 16, 8, 4, 2]
METHODS = {
    "uniform, 3 bits": (BitsSettings(bits=3, epochs=0), [-127, -85, -42, 0, 42, 85, 127]),
    "uniform, 2 bits, unclipped": (BitsSettings(bits=2, clip="max", epochs=0), [-127, 0, 127]),
    "ternary": (BitsSettings(method="ternary", epochs=0), [-127, 0, 127]),
    "binary": (BitsSettings(method="binary", epochs=0), [-127, 127]),
    "powers of two": (BitsSettings(method="log", epochs=0), sorted([0, *POWERS, *(-size for size in POWERS)])),
    "log of base 4": (BitsSettings(method="log", bits=3, base=4.0, epochs=0), [-127, -32, -8, 0, 8, 32, 127]),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_tflite_holds_the_levels_of_the_method_and_no_others(name, small_model, data, converter):
    """Every layer's int8 values are levels, and the larger layer holds all of them but one at most."""
    settings, levels = METHODS[name]
    reduced, note = bits(small_model, settings, data)
    found = post_training(reduced, data, converter)
    assert set(found) == {"wide", "logits"}
    assert all(set(values) <= set(levels) for values in found.values())
    assert len(found["wide"]) >= len(levels) - 1 and {-127, 127} <= set(found["wide"])
    assert [layer.levels for layer in note.layers] == [len(found[layer.layer]) for layer in note.layers]


def test_levels_survive_training_and_ranges(model, data, converter):
    """Ternary weights that were fine-tuned are ternary after quantization-aware preparation, and their loss fell."""
    start, _ = bits(model, BitsSettings(method="ternary", epochs=0), data)
    reduced, note = bits(model, BitsSettings(method="ternary", epochs=8, learning_rate=1e-2), data)
    assert all(set(values) <= {-127, 0, 127} for values in with_ranges(reduced, data, converter).values())
    assert note.steps == 32 and note.average_bits == 2.0 and note.packed_share < 0.3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = data.validation
    assert float(loss(y, reduced(x))) < float(loss(y, start(x)))


def test_pruned_binary_weights_have_a_third_value(model, data, converter):
    """A weight that was pruned stays 0, although binary weights have no 0."""
    pruned, _ = prune(model, PruneSettings(sparsity=0.5, epochs=0, scope="layer"), data)
    reduced, note = bits(pruned, BitsSettings(method="binary", epochs=0), data)
    found = post_training(reduced, data, converter)
    assert found["wide"] == [-127, 0, 127] and found["depthwise"] == [-127, 127]
    assert {layer.layer: layer.zeros for layer in note.layers}["wide"] >= 8 * 9 * 24 // 2


def test_mixed_bits_go_where_they_cost_little(model, data):
    """Without labels, by the outputs' change: small layers keep more bits than the one that holds most weights, and the average holds."""
    _, note = bits(model, BitsSettings(mixed=MixedBits(average=3.5, samples=32), epochs=0), Data(calibration=data.calibration))
    chosen = dict(zip([layer.layer for layer in note.layers], note.bits, strict=True))
    assert min(chosen["stem"], chosen["depthwise"], chosen["logits"]) > chosen["wide"]
    assert 3.0 < note.average_bits <= 3.5
    assert [layer.bits for layer in note.sensitivity] == [(2, 3, 4, 5, 6, 7, 8)] * 4
    assert all(layer.losses[0] > 10 * layer.losses[-1] for layer in note.sensitivity)
    assert all(layer.levels <= 2 ** chosen[layer.layer] - 1 for layer in note.layers)


def test_mixed_bits_keep_to_a_budget_of_bytes(model, data):
    """By the loss on validation labels, within 900 packed bytes of 2,016 weights; the model itself is not changed."""
    before = [weight.copy() for weight in model.get_weights()]
    _, note = bits(model, BitsSettings(mixed=MixedBits(bytes=900, lowest=3, highest=5), epochs=0), data)
    assert sum(layer.packed_bytes for layer in note.layers) <= 900
    assert set(note.bits) <= {3, 4, 5}
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(RecipeError, match="above the budget of 100"):
        bits(model, BitsSettings(mixed=MixedBits(bytes=100), epochs=0), data)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "ternary", "bits": 3}, "bits has no meaning for method 'ternary'"),
        ({"base": 3.0}, "base belongs to method 'log'"),
        ({"bits": 3, "mixed": MixedBits(average=4.0)}, "bits and mixed exclude each other"),
        ({"bits": 9}, "less than or equal to 8"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    """The error says which."""
    with pytest.raises(ValueError, match=words):
        BitsSettings(**settings)


def test_settings_that_were_written_out_are_settings_again():
    """Defaults that a report spells out do not contradict the method."""
    for settings in (BitsSettings(method="ternary"), BitsSettings(mixed=MixedBits(average=4.0))):
        assert BitsSettings.model_validate(settings.model_dump(by_alias=True)) == settings


def test_one_budget_is_needed():
    """Neither none nor two."""
    for budgets in ({}, {"average": 4.0, "bytes": 100}):
        with pytest.raises(ValueError, match="one budget"):
            MixedBits(**budgets)
