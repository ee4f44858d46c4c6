"""Recipes applied to models, end to end: Keras in, .tflite and report out."""

from __future__ import annotations

import gzip
import hashlib
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress import Data, compress, evaluate_tflite
from edgecompress.compress.evaluate import run_tflite
from edgecompress.convert import Converter, Mode, read_tflite
from edgecompress.errors import DataError, ModelError, RecipeError, UnsupportedOpError
from edgecompress.recipe import PruneSettings, QuantizeSettings, Recipe

SPARSITY = 0.7
KERNELS = ("stem", "middle", "scores")


@pytest.fixture(scope="module")
def converter():
    with Converter() as running:
        yield running


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells one of three classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 256).astype(np.int32)
    x = (rng.normal(0, 0.2, (256, 8, 8, 1)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x[:192], y[:192]), validation=(x[192:], y[192:]), calibration=x[:64])


@pytest.fixture(scope="module")
def model(data):
    """A small trained network with BatchNormalization."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, use_bias=False, name="stem"),
            layers.BatchNormalization(momentum=0.5, name="norm"),
            layers.ReLU(name="relu"),
            layers.Conv2D(8, 3, activation="relu", name="middle"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="scores"),
        ],
        name="net",
    )
    net.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(*data.train, batch_size=32, epochs=15, verbose=0)
    return net


PRUNED_QAT = Recipe(
    step=(
        PruneSettings(sparsity=SPARSITY, epochs=4, every=2, learning_rate=5e-3),
        QuantizeSettings(method="qat", epochs=2, learning_rate=1e-3),
    )
)


@pytest.fixture(scope="module")
def pruned(model, data, converter):
    return compress(model, PRUNED_QAT, data, converter=converter)


def test_without_a_recipe_it_is_post_training_int8(model, data, converter):
    """The default needs calibration data only, and gives a fully-int8 model that still classifies."""
    result = compress(model, data=Data(calibration=data.calibration), converter=converter)
    graph = read_tflite(result.model_bytes)
    assert {t.dtype.value for t in graph.tensors} <= {"int8", "int32"}
    assert evaluate_tflite(result.model_bytes, *data.validation) >= 0.95
    assert result.report["score"] is None


def test_zeros_survive_quantization_aware_training(pruned):
    """The final int8 file holds at least the share of zero weights that pruning was asked for."""
    graph = read_tflite(pruned.model_bytes)
    kernels = [t.data for op in graph.ops for t in graph.op_inputs(op)[1:2] if t is not None and t.is_constant and t.dtype.value == "int8"]
    assert len(kernels) == len(KERNELS)
    zeros, weights = sum(int((k == 0).sum()) for k in kernels), sum(k.size for k in kernels)
    assert zeros >= SPARSITY * weights
    note = pruned.report["steps"][0]["note"]
    assert (note["weights"], note["zeros"]) == (weights, -(-7 * weights // 10))
    assert {layer["layer"] for layer in note["layers"]} == set(KERNELS)


def test_the_report_tells_what_was_done(pruned):
    """Versions, seed, recipe, notes, sizes and scores, all of it JSON."""
    report = json.loads(json.dumps(pruned.report))
    assert report["sha256"] == hashlib.sha256(pruned.model_bytes).hexdigest()
    assert report["tflite_bytes"] == len(pruned.model_bytes)
    assert report["gzip_bytes"] == len(gzip.compress(pruned.model_bytes, 9, mtime=0))
    assert report["seed"] == 0
    assert [step["pass"] for step in report["steps"]] == ["prune", "quantize"]
    assert report["steps"][1]["note"]["method"] == "qat"
    assert report["score"]["metric"] == "accuracy"
    assert report["score"]["n"] == 64
    assert report["score"]["keras"] >= 0.95
    assert report["score"]["tflite"] >= 0.9
    assert {"keras", "tensorflow", "edgecompress"} <= set(report["versions"])


def test_two_runs_give_the_same_bytes(pruned, model, data, converter):
    """Training and conversion depend on the inputs and the recipe's seed, not on what happened in the process before."""
    keras.utils.set_random_seed(123)
    assert compress(model, PRUNED_QAT, data, converter=converter).model_bytes == pruned.model_bytes


def test_the_model_that_came_in_is_not_changed(model, data, converter):
    """Weights and compile settings of the caller's model stay."""
    weights, loss = [w.copy() for w in model.get_weights()], model.loss
    compress(model, Recipe(step=(PruneSettings(sparsity=0.5, epochs=0),)), data, converter=converter)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.loss is loss


def test_qat_without_epochs_measures_ranges(model, data, converter):
    """With 0 epochs the ranges come from the calibration inputs; nothing is trained."""
    result = compress(
        model, Recipe(step=(QuantizeSettings(method="qat", epochs=0),)), Data(calibration=data.calibration), converter=converter
    )
    assert evaluate_tflite(result.model_bytes, *data.validation) >= 0.95


def test_a_rescaled_input_takes_its_real_scale(data, converter):
    """Rescaling inside the model is folded away: pixels 0 to 255 go in with a scale of 1."""
    net = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.float32)
    result = compress(net, data=Data(calibration=pixels), converter=converter)
    graph = read_tflite(result.model_bytes)
    assert graph.tensor(graph.inputs[0]).scale == pytest.approx(1.0)
    assert result.report["steps"][0]["note"]["prepared"] is True


def test_a_layer_that_stays_float_is_named(data, converter):
    """Both methods refuse it by name; both accept it when it is allowed."""
    x = keras.Input((8, 8, 1))
    net = keras.Model(x, layers.Dense(3)(layers.LayerNormalization(name="norm")(layers.Flatten()(x))))
    for method in ("ptq", "qat"):
        with pytest.raises(UnsupportedOpError, match="norm"):
            compress(net, Recipe(step=(QuantizeSettings(method=method, epochs=0),)), data, converter=converter)
        allowed = Recipe(step=(QuantizeSettings(method=method, epochs=0, allow_float=("norm",)),))
        assert compress(net, allowed, data, converter=converter).model_bytes


@pytest.mark.parametrize("mode", [Mode.INT16X8, Mode.FLOAT16, Mode.DYNAMIC_RANGE])
def test_a_recipe_chooses_the_mode(mode, model, data, converter):
    """Post-training modes other than int8 keep the accuracy."""
    result = compress(model, Recipe(step=(QuantizeSettings(mode=mode.value),)), data, converter=converter)
    assert result.report["score"]["tflite"] >= 0.95


def test_what_is_missing_is_said(model, data, converter):
    """No calibration data, no training data, data of another shape, a layer that is not there, an input of unknown size."""
    with pytest.raises(DataError, match="neither calibration nor train"):
        compress(model, data=Data(validation=data.validation), converter=converter)
    with pytest.raises(DataError, match="no train"):
        compress(model, PRUNED_QAT, Data(calibration=data.calibration), converter=converter)
    with pytest.raises(DataError, match="samples of shape"):
        compress(model, data=Data(calibration=np.zeros((4, 9, 9, 1))), converter=converter)
    with pytest.raises(RecipeError, match="'steam'"):
        compress(model, Recipe(step=(PruneSettings(sparsity=0.5, exclude=("steam",)),)), data, converter=converter)
    with pytest.raises(ModelError, match=r"\(None, None, 3\)"):
        x = keras.Input((None, 3))
        compress(keras.Model(x, layers.Conv1D(2, 3)(x)), data=Data(calibration=np.zeros((4, 5, 3))), converter=converter)


def test_batches_give_what_single_runs_give(pruned, model, data, converter):
    """Outputs do not depend on how samples are grouped, whole batches or not."""
    x = data.validation[0]
    together = run_tflite(pruned.model_bytes, x[:41])
    assert np.array_equal(together, np.concatenate([run_tflite(pruned.model_bytes, x[i : i + 1]) for i in range(41)]))


def test_accuracy_counts_hits(pruned, data):
    """With labels shifted by one class the accuracy is what is left."""
    x, y = data.validation
    right = evaluate_tflite(pruned.model_bytes, x, y)
    assert evaluate_tflite(pruned.model_bytes, x, (y + 1) % 3) <= 1 - right
    with pytest.raises(DataError, match="no accuracy"):
        evaluate_tflite(pruned.model_bytes, x, np.full((64, 3), 0.5))
