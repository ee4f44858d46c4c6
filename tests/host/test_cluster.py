"""Clustered weights: what the .tflite holds, what training keeps, tied filters and shared layers."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.grid.cluster import cluster
from edgecompress.compress.grid.levels import kernel_on_levels, moved_levels, nearest_level
from edgecompress.compress.grid.tie import find_ties, tie_columns
from edgecompress.compress.int8.aware import export_view, observe_ranges, quantization_aware
from edgecompress.compress.int8.layers import integers_of, plain_kernels
from edgecompress.compress.prune.step import prune
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.prepare import prepare
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe import PruneSettings
from edgecompress.recipe.cluster import ClusterSettings

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
    """Every kind of kernel: plain with BatchNormalization, depthwise, transposed, separable, dense."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 2))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(12, 3, padding="same", use_bias=False, name="stem")(x)))
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x))
    x = layers.Conv2DTranspose(8, 3, strides=2, activation="relu", name="wider")(x)
    x = layers.SeparableConv2D(12, 3, activation="relu", name="separable")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def dense_model():
    """Two dense layers: quick to trace."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((8, 8, 2)), layers.Flatten(), layers.Dense(8, "relu", name="hidden"), layers.Dense(CLASSES, name="logits")]
    )


def twin_model(**second):
    """Two convolutions of one shape, one after the other."""
    keras.utils.set_random_seed(1)
    x = image = keras.Input((8, 8, 2))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="widen")(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="first")(x)
    x = layers.Conv2D(**{"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu", "name": "second", **second})(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def weights_of(model_bytes):
    """All int8 constants of a .tflite by layer, the output channels last: [N, C]."""
    found = {}
    for tensor in read_tflite(model_bytes).tensors:
        if tensor.data is not None and tensor.data.dtype == np.int8 and tensor.name.endswith("/kernel"):
            axis = tensor.quantization.axis
            found[tensor.name.split("/")[0]] = np.moveaxis(tensor.data, axis, -1).reshape(-1, tensor.shape[axis])
    return found


def post_training(clustered, data, converter):
    return converter.convert(plain_kernels(prepare(clustered)), calibration=data.calibration)


def with_ranges(clustered, data, converter):
    """The .tflite of the quantization-aware model, with ranges of the calibration data."""
    aware = quantization_aware(clustered)
    observe_ranges(aware, [data.calibration])
    return converter.convert(export_view(aware), trained_ranges=True)


def integers(clustered):
    return {
        operator.name: integers_of(operator).whole
        for operator in read_network(clustered).operators()
        if "levels" in (operator.config or {})
    }


@pytest.fixture(scope="module")
def pruned(model, data):
    return prune(model, PruneSettings(sparsity=0.5, epochs=0, scope="layer"), data)[0]


@pytest.fixture(scope="module")
def clustered_8(pruned, data):
    """(the pruned model on 8 clusters a layer, fine-tuned, its note)."""
    return cluster(pruned, ClusterSettings(clusters=8, epochs=1), data)


@pytest.fixture(scope="module")
def trained_8(clustered_8, data, converter):
    """That model after quantization-aware training, as a .tflite."""
    aware = quantization_aware(clustered_8[0])
    aware.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    aware.fit(*data.train, batch_size=32, epochs=2, verbose=0)
    return converter.convert(export_view(aware), trained_ranges=True)


def test_the_tflite_holds_the_very_integers_of_the_codebook(clustered_8, data, converter):
    """After plain conversion every layer's int8 weights are those that training used, 8 values at most."""
    clustered, note = clustered_8
    plain = weights_of(post_training(clustered, data, converter))
    assert set(plain) == {"stem", "depthwise", "wider", "separable_depthwise", "separable", "logits"}
    for name, whole in integers(clustered).items():
        assert len(np.unique(whole)) <= 8
        assert np.array_equal(np.unique(whole), np.unique(plain[name])), name
    # OHWI in the file, HWIO in Keras.
    ohwi = plain["stem"].T.reshape(12, 3, 3, 2)
    assert np.array_equal(ohwi.transpose(1, 2, 3, 0), integers(clustered)["stem"].reshape(3, 3, 2, 12))
    assert all(layer.levels <= 8 for layer in note.layers) and note.steps == 4


def test_the_codebook_survives_quantization_aware_training(trained_8):
    """Two epochs later every layer still has 8 int8 values at most."""
    kernels = weights_of(trained_8)
    assert len(kernels) == 6 and all(len(np.unique(weights)) <= 8 for weights in kernels.values())


def test_pruned_weights_stay_zero(pruned, clustered_8, trained_8):
    """Through clustering and quantization-aware training: the same weights are 0 in the file."""
    zeros = np.asarray(pruned.get_layer("stem").kernel).reshape(-1, 12) == 0
    # The file's kernel has its axes O, H, W, I.
    kernel = weights_of(trained_8)["stem"].T.reshape(12, 18).T
    assert zeros.sum() == 108
    assert np.all(kernel[zeros] == 0)
    assert clustered_8[1].layers[0].zeros >= 108


def test_each_channel_may_have_its_codebook(model, data, converter):
    """4 clusters a channel: every output channel of the .tflite holds 4 values at most, the layers more."""
    clustered, note = cluster(model, ClusterSettings(clusters=4, scope="channel", epochs=0, start="kmeans++"), data)
    for converted in (post_training(clustered, data, converter), with_ranges(clustered, data, converter)):
        kernels = weights_of(converted)
        assert max(len(np.unique(column)) for kernel in kernels.values() for column in kernel.T) == 4
        assert len(np.unique(kernels["stem"])) > 4
    assert note.layers[0].codebooks == 12


def test_weights_zeroed_later_stay_zero(data, converter):
    """Clustered, zeroed, trained quantization-aware: one of the 6 levels becomes 0, and those weights are 0 in the file."""
    clustered, _ = cluster(dense_model(), ClusterSettings(clusters=6, epochs=0), data)
    assert 0 not in integers(clustered)["hidden"]
    kernel = np.asarray(clustered.get_layer("hidden").kernel)
    zeros = np.abs(kernel) < np.median(np.abs(kernel))
    clustered.get_layer("hidden").kernel.assign(np.where(zeros, 0, kernel))
    aware = quantization_aware(clustered)
    aware.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    aware.fit(*data.train, batch_size=32, epochs=1, verbose=0)
    found = weights_of(converter.convert(export_view(aware), trained_ranges=True))["hidden"]
    assert np.all(found[zeros] == 0)
    assert len(np.unique(found)) <= 6


def test_a_saved_model_keeps_its_codebook(data, tmp_path):
    """Saved, loaded and copied, the model computes the same, on the same levels."""
    clustered, _ = cluster(dense_model(), ClusterSettings(clusters=6, epochs=1, tie_filters=0.8), data)
    clustered.save(tmp_path / "clustered.keras")
    loaded = keras.models.load_model(tmp_path / "clustered.keras")
    x = data.validation[0]
    assert np.array_equal(np.asarray(loaded(x)), np.asarray(clustered(x)))
    for name, whole in integers(clustered).items():
        assert np.array_equal(integers(loaded)[name], whole)


def test_clusters_train(data):
    """Fine-tuning lowers the loss of a clustered model, and moves levels as well as weights; fixed levels stay."""
    model = dense_model()
    start, _ = cluster(model, ClusterSettings(clusters=6, epochs=0), data)
    trained, _ = cluster(model, ClusterSettings(clusters=6, epochs=20, learning_rate=1e-2), data)
    fixed, _ = cluster(model, ClusterSettings(clusters=6, epochs=1, train_levels="fixed"), data)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = data.validation
    assert float(loss(y, trained(x))) < 0.85 * float(loss(y, start(x)))
    before, after = (np.unique(integers(clustered)["hidden"]) for clustered in (start, trained))
    assert len(after) <= 6 and not np.array_equal(before, after)
    assert np.array_equal(np.unique(integers(fixed)["hidden"]), before)


def test_gradients_are_shared_by_the_members_of_a_level():
    """By hand: d/d level is the sum over its weights; a weight gets its own; beyond 127 only what pulls it back."""
    levels = tf.constant([[-127.0, 10.0, 127.0]])
    ratios = tf.Variable([[8.0, 12.0], [-100.0, 140.0], [150.0, -150.0]])
    upstream = tf.constant([[1.0, 2.0], [4.0, 8.0], [-16.0, -32.0]])
    with tf.GradientTape() as tape:
        tape.watch(levels)
        rounded = nearest_level(ratios, levels)
        total = tf.reduce_sum(rounded * upstream)
    by_weight, by_level = tape.gradient(total, [ratios, levels])
    assert rounded.numpy().tolist() == [[10, 10], [-127, 127], [127, -127]]
    assert by_weight.numpy().tolist() == [[1, 2], [4, 8], [0, -32]]
    assert by_level.numpy().tolist() == [[4 - 32, 1 + 2, 8 - 16]]


def test_the_scale_gets_the_gradient_of_its_step():
    """By hand, s = 1: q - r for a weight inside the range, q outside; times s ln 2 for the logarithm."""
    columns = tf.constant([[8.0], [130.0]])
    log_scales = tf.Variable([0.0])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(kernel_on_levels(columns, log_scales, tf.constant([[-127.0, 10.0, 127.0]])))
    assert tape.gradient(total, log_scales).numpy() == pytest.approx([(10 - 8 + 127) * np.log(2)])


def test_a_scale_cannot_outgrow_its_channel():
    """However large the trained scale, the channel's largest weight stands on 127, where the converter finds the scale again."""
    columns = tf.constant([[0.5, -0.2], [0.1, 0.1]])
    kernel = kernel_on_levels(columns, tf.constant([5.0, 5.0]), tf.constant([[-127.0, 0.0, 100.0, 127.0]])).numpy()
    whole = np.round(kernel / np.abs(kernel).max(axis=0) * 127)
    assert np.abs(whole).max(axis=0).tolist() == [127, 127]
    assert set(whole.ravel()) <= {-127, 0, 100, 127}


def test_levels_stay_whole_and_in_order():
    """Shifts move inner levels by whole counts; 0 and the ends stay."""
    moved = moved_levels(tf.constant([[-127.0, -10.0, 0.0, 30.0, 127.0]]), tf.constant([[1.0, 0.5, 1.0, 0.01, -1.0]]))
    assert moved.numpy().tolist() == [[-127, 0, 31, 54, 127]]


def test_similar_filters_have_the_same_integers(data, converter):
    """Filters of nearly one direction share their int8 values in the .tflite, after quantization-aware training as well."""
    model = twin_model()
    layer = model.get_layer("first")
    kernel = np.asarray(layer.kernel).copy()
    noise = np.random.default_rng(0).normal(0, 0.002, kernel[..., 8:].shape)
    kernel[..., 8:] = kernel[..., :8] * 1.7 + noise
    layer.kernel.assign(kernel)
    clustered, note = cluster(model, ClusterSettings(clusters="all", tie_filters=0.1, epochs=1), data)
    tied = {layer.layer: layer.tied for layer in note.layers}
    assert tied == {"widen": 0, "first": 8, "second": 0, "logits": 0} and note.tied_filters == 8
    weights = weights_of(with_ranges(clustered, data, converter))["first"]
    assert np.array_equal(weights[:, 8:], weights[:, :8])
    assert len(np.unique(weights)) > 100


def test_ties_by_hand():
    """Directions count, not lengths; the opposite direction is far; a filter with other zeros is not tied."""
    columns = np.array([[1.0, 0.0, 2.0, -1.0, 0.0], [0.1, 1.0, 0.3, -0.1, 3.0], [0.1, 0.1, 0.2, -0.1, 0.4]])
    ties = find_ties(columns, 0.2)
    assert ties.tolist() == [0, 1, 0, 3, 1]
    tied = tie_columns(columns, ties)
    assert np.linalg.norm(tied, axis=0) == pytest.approx(np.linalg.norm(columns, axis=0))
    assert tied[:, 2] / np.linalg.norm(tied[:, 2]) == pytest.approx(tied[:, 0] / np.linalg.norm(tied[:, 0]))


def test_shared_layers_are_stored_once(data, converter):
    """Two convolutions of 2,320 weights as one layer: both are called, and the .tflite is smaller by about one kernel."""
    model = twin_model()
    clustered, note = cluster(model, ClusterSettings(clusters="all", share_layers=(("first", "second"),), epochs=0), data)
    assert (note.shared[0].layer, note.shared[0].others, note.shared[0].weights) == ("first", ("second",), 2320)
    before, after = post_training(model, data, converter), post_training(clustered, data, converter)
    assert [op.kind for op in read_tflite(after).ops] == [op.kind for op in read_tflite(before).ops]
    assert len(before) - len(after) > 2000
    assert len(before) - len(with_ranges(clustered, data, converter)) > 2000


def test_layers_that_differ_cannot_be_one(data):
    """The error names both layers and what differs."""
    model = twin_model(strides=2)
    with pytest.raises(RecipeError, match="second and first cannot be one layer: their strides is"):
        cluster(model, ClusterSettings(share_layers=(("first", "second"),), epochs=0), data)
    with pytest.raises(RecipeError, match="weights have the shapes"):
        cluster(model, ClusterSettings(share_layers=(("widen", "first"),), epochs=0), data)


def test_excluded_layers_keep_their_weights(model, data, converter):
    """Named in the note, and with all their int8 values in the file; a separable layer's two parts go together."""
    clustered, note = cluster(model, ClusterSettings(clusters=4, epochs=0, exclude=("wider", "separable")), data)
    assert {layer.layer: layer.reason for layer in note.skipped} == dict.fromkeys(["wider", "separable_depthwise", "separable"], "excluded")
    kernels = weights_of(post_training(clustered, data, converter))
    assert len(np.unique(kernels["wider"])) > 100 and len(np.unique(kernels["stem"])) == 4
    with pytest.raises(RecipeError, match="stemm"):
        cluster(model, ClusterSettings(exclude=("stemm",), epochs=0), data)


def test_sixteen_clusters_pack_into_half(model, data):
    """The note counts 4 bits a weight and one byte a level."""
    _, note = cluster(twin_model(), ClusterSettings(clusters=16, epochs=0), data)
    assert [layer.packed_bytes for layer in note.layers[:2]] == [288 // 2 + 16, 2304 // 2 + 16]
    assert note.packed_share < 0.55


def test_the_trained_model_equals_its_tflite(data, converter):
    """A clustered, quantization-aware model and its .tflite pick the same class, with outputs within 2 steps."""
    from ai_edge_litert.interpreter import Interpreter

    clustered, _ = cluster(twin_model(), ClusterSettings(clusters=16, epochs=0), data)
    aware = quantization_aware(clustered)
    observe_ranges(aware, [data.calibration])
    interpreter = Interpreter(model_content=converter.convert(export_view(aware), trained_ranges=True))
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    expected = aware.predict(data.validation[0], verbose=0)
    for sample, logits in zip(data.validation[0], expected, strict=True):
        scale, zero_point = source["quantization"]
        interpreter.set_tensor(source["index"], np.clip(np.round(sample / scale) + zero_point, -128, 127).astype(np.int8)[None])
        interpreter.invoke()
        scale, zero_point = result["quantization"]
        assert np.abs(interpreter.get_tensor(result["index"])[0] - np.round(logits / scale) - zero_point).max() <= 2
