"""Keras models to .tflite, in a child process."""

from __future__ import annotations

import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.evaluate import run_tflite
from edgecompress.convert import Converter, Mode, convert, read_tflite
from edgecompress.convert.float_ops import float_ops
from edgecompress.convert.names import layer_of
from edgecompress.convert.reasons import explain_failure
from edgecompress.errors import DataError, ModelError, ToolError, UnsupportedOpError
from edgecompress.graph import DType


@pytest.fixture(scope="module")
def converter():
    """One child for all tests: starting it imports TensorFlow."""
    with Converter() as running:
        yield running


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(0, 1, (50, 8, 8, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def image_model():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(6, 3, name="conv"), layers.BatchNormalization(), layers.ReLU()], name="block"
    )
    x = image = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem", bias_initializer="random_normal")(x)
    x = inner(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(image, layers.Dense(3, name="scores", bias_initializer="random_normal")(x), name="net")


@pytest.fixture(scope="module")
def expected(image_model, images):
    return np.asarray(image_model.predict(images, verbose=0))


ENDS = {
    Mode.INT8: (DType.INT8, 0.05),
    Mode.INT8_FLOAT_IO: (DType.FLOAT32, 0.05),
    Mode.INT16X8: (DType.INT16, 0.03),
    Mode.DYNAMIC_RANGE: (DType.FLOAT32, 0.03),
    Mode.FLOAT16: (DType.FLOAT32, 0.003),
    Mode.FLOAT32: (DType.FLOAT32, 1e-5),
}
"""Type of inputs and outputs, and how far outputs may be from Keras, as a share of their range."""


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_computes_what_keras_does(mode, converter, image_model, images, expected):
    """Each mode has the ends it promises, runs in LiteRT, and stays within its rounding of the Keras model."""
    data = converter.convert(image_model, mode, calibration=images)
    graph = read_tflite(data)
    dtype, share = ENDS[mode]
    assert {graph.tensor(i).dtype for i in (*graph.inputs, *graph.outputs)} == {dtype}
    assert all(graph.tensor(i).shape[0] == 1 for i in (*graph.inputs, *graph.outputs))
    assert np.abs(run_tflite(data, images) - expected).max() <= share * np.ptp(expected)


def test_full_int8_has_no_float_and_no_shape_ops(converter, image_model, images):
    """The batch is fixed, so nothing computes shapes, and every op is int8."""
    graph = read_tflite(converter.convert(image_model, Mode.INT8, calibration=images))
    assert [op.kind for op in graph.ops] == ["CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert not list(float_ops(graph))


def test_tensors_are_named_after_layers(converter, image_model, images):
    """Activations bear their layer's path, also inside nested models; kernels and biases follow it."""
    graph = read_tflite(converter.convert(image_model, Mode.INT8, calibration=images))
    assert [graph.tensor(op.outputs[0]).name for op in graph.ops] == ["stem", "block/conv", "flat", "scores"]
    assert [graph.tensor(i).name for i in graph.inputs] == ["image"]
    assert [graph.tensor(i).name for i in graph.ops[0].inputs] == ["image", "stem/kernel", "stem/bias"]
    assert len({t.name for t in graph.tensors}) == len(graph.tensors)


def test_the_same_model_gives_the_same_bytes(converter, image_model, images, tmp_path, monkeypatch):
    """Converting again in the same child makes no difference, nor in a fresh one started where a keras.py lies in wait."""
    first = converter.convert(image_model, Mode.INT8, calibration=images)
    assert converter.convert(image_model, Mode.INT8, calibration=images) == first
    (tmp_path / "keras.py").write_text("raise SystemExit('this is not Keras')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert convert(image_model, Mode.INT8, calibration=images) == first


def test_ends_stand_in_the_models_order(converter):
    """Inputs and outputs keep the Keras model's order, whatever their names, and calibration follows it."""
    z, a = keras.Input((5,), name="z"), keras.Input((3,), name="a")
    second = layers.Dense(4, name="p")(a)
    model = keras.Model([z, a], [layers.Dense(2, name="q")(z), second])
    rng = np.random.default_rng(1)
    samples = (rng.normal(0, 1, (20, 5)), rng.normal(0, 9, (20, 3)))
    graph = read_tflite(converter.convert(model, Mode.INT8, calibration=samples))
    assert [graph.tensor(i).name for i in graph.inputs] == ["z", "a"]
    assert [graph.tensor(i).shape[1] for i in graph.outputs] == [2, 4]
    assert graph.tensor(graph.inputs[1]).scale > 4 * graph.tensor(graph.inputs[0]).scale


def test_trained_ranges_need_no_calibration(converter):
    """A model with fake-quant on its activations brings its ranges along."""
    import tensorflow as tf

    class Range(layers.Layer):
        def call(self, x):
            return tf.quantization.fake_quant_with_min_max_args(x, -4.0, 4.0)

    x = keras.Input((6,))
    model = keras.Model(x, Range()(layers.Dense(3, name="dense")(Range()(x))))
    graph = read_tflite(converter.convert(model, Mode.INT8, trained_ranges=True))
    assert graph.tensor(graph.inputs[0]).scale == pytest.approx(8 / 255, rel=1e-3)
    with pytest.raises(DataError, match="calibration data"):
        converter.convert(model, Mode.INT8)


def test_a_layer_that_stays_float_is_named(converter):
    """LayerNormalization has a float op in int8 models: an error with its name, unless it is allowed."""
    x = keras.Input((8,))
    model = keras.Model(x, layers.Dense(3)(layers.LayerNormalization(name="norm")(layers.Dense(8)(x))))
    samples = np.random.default_rng(0).normal(0, 1, (20, 8))
    with pytest.raises(UnsupportedOpError, match=r"norm \(NEG\)") as caught:
        converter.convert(model, Mode.INT8, calibration=samples)
    assert "norm" in caught.value.hint
    (page,) = re.findall(r"docs/\w+\.md", caught.value.hint)
    assert "LayerNormalization" in (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    for allowed in ("norm", "*"):
        assert list(float_ops(read_tflite(converter.convert(model, Mode.INT8, calibration=samples, allow_float=[allowed]))))


def test_an_op_that_tflite_lacks_is_named(converter):
    """The TensorFlow op and the Keras layer are in one sentence."""
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2)(keras.ops.erfinv(layers.Dense(4, "tanh")(x))), name="odd")
    with pytest.raises(UnsupportedOpError, match=r"TFLite has no op for TensorFlow's Erfinv in layer erfinv"):
        converter.convert(model, Mode.FLOAT32)


def test_a_crash_is_an_error_and_the_next_model_works(converter, image_model):
    """The converter segfaults on a rolled LSTM; the error says so, and the child is replaced."""
    x = keras.Input((10, 4))
    rolled = keras.Model(x, layers.Dense(3)(layers.LSTM(8, name="memory")(x)), name="rolled")
    with pytest.raises(ToolError, match=r"rolled: TensorFlow's converter crashed \(SIG") as caught:
        converter.convert(rolled, Mode.INT8, calibration=np.ones((5, 10, 4)))
    assert "build memory with unroll=True" in caught.value.hint
    assert converter.convert(image_model, Mode.FLOAT32)


def test_a_converter_that_hangs_is_given_up(image_model):
    """After the timeout the child is ended and the error names it."""
    with Converter(timeout_s=0.001) as hasty, pytest.raises(ToolError, match=r"no answer within 0.001 s"):
        hasty.convert(image_model, Mode.FLOAT32)


def test_unknown_sizes_are_an_error_with_the_input(converter):
    """An axis of unknown size, or no input shape at all, is refused before anything is started."""
    x = keras.Input((None, None, 3), name="any_size")
    with pytest.raises(ModelError, match=r"input 'any_size' is \(None, None, None, 3\)"):
        converter.convert(keras.Model(x, layers.Conv2D(2, 3)(x)), Mode.FLOAT32)
    with pytest.raises(ModelError, match="no known input shape"):
        converter.convert(keras.Sequential([layers.Dense(2)]), Mode.FLOAT32)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((5, 8, 8, 1)), "takes samples of shape"),
        (np.zeros((0, 8, 8, 2)), "holds no samples"),
        (np.full((5, 8, 8, 2), np.nan), "NaN"),
        ((np.zeros((5, 8, 8, 2)), np.zeros(5)), r"has 1 input \(image\); 2 arrays came"),
    ],
)
def test_bad_calibration_data_is_refused(samples, words, converter, image_model):
    """Shape, emptiness and NaN are checked before the conversion."""
    with pytest.raises(DataError, match=words):
        converter.convert(image_model, Mode.INT8, calibration=samples)


def test_importing_convert_is_light():
    """Reading a .tflite must not cost an import of TensorFlow."""
    code = "import sys, edgecompress.convert, edgecompress.compress; print('keras' in sys.modules, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("re_lu/re_lu_1/Relu;conv/conv_1/convolution;", "conv"),
        ("block/conv/block/conv_1/convolution", "block/conv"),
        ("conv_1/conv_1_1/convolution", "conv_1"),
        ("arith.constant7", None),
    ],
)
def test_layers_are_found_in_fused_names(name, layer):
    """The last part of a fused name tells the layer; conv_1 is not conv."""
    assert layer_of(name, ["block/conv", "conv_1", "re_lu", "block", "conv"]) == layer


def test_an_unknown_failure_keeps_its_reason():
    """Whatever else the converter says arrives in one line, without the layer being made up."""
    error = explain_failure("net", "ConverterError", "<unknown>:0: error: loc(x): something odd\nmore", ["conv"])
    assert isinstance(error, ToolError)
    assert "something odd" in error.message
    assert "conv" not in error.message.replace("converter", "")


def test_a_failure_says_the_sentence_and_not_the_place():
    """MLIR puts a long place before what failed; the layer is named, and the sentence is kept."""
    place = 'loc(fused[callsite(fused["AddV2:", "slopes/slopes_1/add@__inference_serve_1"])' + ", callsite(...)" * 100 + "])"
    message = f"<unknown>:0: error: {place}: 'tfl.prelu' op failed to verify that its operands have the same type\nmore"
    error = explain_failure("net", "ConverterError", message, ["slopes"])
    assert error.message == (
        "net: the converter failed in layer slopes: ConverterError: 'tfl.prelu' op failed to verify that its operands have the same type"
    )
