"""Students by width and depth, and the pass that puts one in a model's place."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.replace.model import replace
from edgecompress.compress.student.families import ds_cnn, mobilenet_v1, mobilenet_v2, resnet8, shufflenet
from edgecompress.compress.student.step import student
from edgecompress.convert import Converter, Mode
from edgecompress.errors import ModelError
from edgecompress.keras_graph.cost import network_macs
from edgecompress.keras_graph.prepare import prepare
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe.replace import ReplaceSettings, StudentSettings

FAMILIES = (mobilenet_v1, mobilenet_v2, shufflenet, ds_cnn, resnet8)


def macs(model: keras.Model) -> int:
    return network_macs(read_network(model))


def test_parameters_are_those_of_the_papers():
    """At full size: MobileNetV1 and V2 count what keras.applications counts, and cost what their papers say."""
    first, second = mobilenet_v1((224, 224, 3), 1000), mobilenet_v2((224, 224, 3), 1000)
    assert first.count_params() == 4_253_864
    assert second.count_params() == 3_538_984
    assert macs(first) == pytest.approx(569e6, rel=0.005)
    assert macs(second) == pytest.approx(300e6, rel=0.01)
    # Table 1 counts the 3x3 stem, the units and the dense layer of the network with 4 groups as 133 million.
    assert macs(shufflenet((224, 224, 3), 1000)) == pytest.approx(137e6, rel=0.08)


def test_the_tiny_benchmarks_networks():
    """MLPerf Tiny's own: multiply-accumulates of keyword spotting, image classification and visual wake words."""
    assert macs(ds_cnn((49, 10, 1), 12)) == 2_656_768
    assert macs(resnet8((32, 32, 3), 10)) == 12_501_632
    assert macs(mobilenet_v1((96, 96, 3), 2, width=0.25)) == 7_489_664


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_width_and_depth_change_the_cost(family):
    """Half the width is smaller, twice the depth larger where a stage repeats; the shape of the outputs stays."""
    plain, narrow, deep = (family((16, 16, 3), 5, width=w, depth=d) for w, d in ((0.5, 0.25), (0.25, 0.25), (0.5, 0.5)))
    assert narrow.count_params() < plain.count_params()
    assert deep.count_params() > plain.count_params() or family is resnet8
    assert {model.output_shape for model in (plain, narrow, deep)} == {(None, 5)}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@pytest.mark.parametrize("shape", [(8, 8, 1), (49, 10, 1), (96, 3)], ids=["digits", "spectrogram", "sequence"])
def test_small_and_odd_inputs(family, shape):
    """Digits, spectrograms and sequences keep at least three places along their longer axis."""
    model = family(shape, 4, width=0.25, depth=0.25)
    assert np.isfinite(np.asarray(model(np.ones((1, *shape), np.float32)))).all()
    assert max(model.get_layer("pool").input.shape[1:-1]) >= 3


def test_inputs_without_a_channel_axis_are_refused():
    """A vector is no feature map."""
    with pytest.raises(ModelError, match="channels"):
        mobilenet_v1((10,), 2)


def teacher() -> keras.Model:
    """A model with its own input scale, names that collide with a student's, and a softmax."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 16, name="stem")(image)
    x = layers.Conv2D(4, 3, name="conv")(x)
    return keras.Model(image, layers.Dense(3, activation="softmax", name="probabilities")(layers.Flatten()(x)), name="digits")


def bright(samples: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Images from 0 to 48 whose mean brightness tells their class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, samples).astype(np.int32)
    return (rng.normal(0, 1, (samples, 8, 8, 1)) + 16 * y[:, None, None, None]).astype(np.float32), y


def test_a_student_takes_the_models_place():
    """It has the model's name, input, input scale and last activation, trains from the original, and leaves the model alone."""
    model, (x, y) = teacher(), bright()
    before = [weight.copy() for weight in model.get_weights()]
    settings = StudentSettings(family="ds_cnn", width=0.25, depth=0.25, epochs=6, batch_size=16, learning_rate=0.02, distill=None)
    small, note = student(model, settings, Data(train=(x, y)))
    assert (small.name, small.inputs[0].name, small.output_names) == (model.name, model.inputs[0].name, model.output_names)
    assert (note.input_scale, note.last_activation, note.steps) == ("stem", "softmax", 36)
    assert note.parameters_after == small.count_params()
    outputs = np.asarray(small(x, training=False))
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-5)
    assert np.mean(outputs.argmax(axis=1) == y) > 0.9
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_student_keeps_structures_and_logits():
    """Inputs in a dict stay in a dict, and a model that gave logits gets a student that does."""
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model({"image": image}, layers.Dense(3, name="scores")(layers.Flatten()(image)))
    small, note = student(model, StudentSettings(family="resnet8", epochs=0), Data())
    assert note.last_activation is None
    assert np.asarray(small({"image": np.ones((1, 8, 8, 1), np.float32)})).shape == (1, 3)


def test_models_that_no_student_fits_are_refused():
    """Feature maps at the output, and several outputs, are named."""
    image = keras.Input((8, 8, 1))
    with pytest.raises(ModelError, match="expected one of each"):
        student(keras.Model(image, [layers.Flatten()(image), image]), StudentSettings(family="ds_cnn"), Data())
    with pytest.raises(ModelError, match="one vector"):
        student(keras.Model(image, layers.Conv2D(2, 3)(image)), StudentSettings(family="ds_cnn"), Data())


def test_shuffles_and_groups_run_as_int8_c(tmp_path: Path):
    """ShuffleNet for images and sequences, and a shuffled grouped layer, convert to int8; generated C has TFLite Micro's bytes."""
    pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")
    from tests.aot_host import compile_tflites
    from tests.tflite_builder import run_tflm

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="conv1")(image)
    dense = keras.Model(image, layers.Conv2D(8, 3, name="conv2")(x))
    shuffled, _ = replace(dense, ReplaceSettings(convolution="grouped", layers=("conv2",), mixing="shuffle", epochs=0), Data())
    students = [shufflenet((12, 10, 1), 3, width=0.1, depth=0.25), shufflenet((40, 2), 3, width=0.05, depth=0.25, groups=2)]
    files = []
    with Converter() as converter:
        for model in (shuffled, *students):
            samples = rng.normal(size=(8, *model.input_shape[1:])).astype(np.float32)
            files.append(converter.convert(prepare(model), Mode.INT8, calibration=samples))
    program = compile_tflites(files, tmp_path)
    for n, data in enumerate(files):
        inputs = [rng.integers(-128, 128, spec.shape, dtype=np.int8) for spec in program.models[n].info.inputs]
        for came, expected in zip(program.run(n, inputs), run_tflm(data, inputs), strict=True):
            np.testing.assert_array_equal(came, expected)
            assert len(np.unique(came)) > 1
