"""Post-training quantization beyond the converter's own: calibrators, equalization, adaptive rounding, bias correction, 16 bits."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.evaluate import run_tflite
from edgecompress.compress.int8.adaround import annealing, make_grid
from edgecompress.compress.int8.equalize import equalize, input_ranges, output_ranges
from edgecompress.compress.int8.step import convert_quantized, quantize
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import UnsupportedOpError
from edgecompress.keras_graph.prepare import prepare_network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.weighted import is_weighted, kernel_of
from edgecompress.recipe import QuantizeSettings

IMAGE = (8, 8, 3)


@pytest.fixture(scope="module")
def converter():
    with Converter() as running:
        yield running


@pytest.fixture(scope="module")
def data():
    """Normal pixels, one of them far out."""
    inputs = np.random.default_rng(0).normal(0, 1, (48, *IMAGE)).astype(np.float32)
    inputs[7, 3, 3, 1] = 60.0
    return Data(calibration=inputs)


@pytest.fixture(scope="module")
def model():
    """Convolutions of every kind with normalization between them, a residual sum and a dense head; channels of very unequal size."""
    keras.utils.set_random_seed(0)
    source = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(12, 3, padding="same", name="stem")(source)
    x = skip = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.ReLU(name="wide_relu")(layers.Conv2D(12, 1, name="wide")(x))
    x = layers.ReLU(name="depth_relu")(layers.DepthwiseConv2D(3, padding="same", name="depth")(x))
    x = layers.Conv2D(12, 1, name="point")(x)
    x = layers.Add(name="sum")([x, skip])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(8, 3, activation="relu", groups=2, name="grouped")(x))
    net = keras.Model(source, layers.Dense(5, name="head")(x), name="net")
    rng = np.random.default_rng(1)
    net.get_layer("norm").set_weights([rng.uniform(0.1, 4, 12), rng.normal(0, 1, 12), rng.normal(0, 1, 12), rng.uniform(0.5, 2, 12)])
    return net


def outputs_of(net, inputs):
    return np.asarray(net(inputs))


def settings(**options):
    return QuantizeSettings(batch_size=16, **options)


@pytest.mark.parametrize("calibrator", ["moving_average", "percentile", "entropy", "mse"])
def test_each_calibrator_gives_integers_only(calibrator, model, data, converter):
    """Full int8; the input's range, and so its scale, is smaller than the outlier's, which the extremes would have to hold."""
    chosen = settings(calibrator=calibrator, percentile=99.9)
    aware, note = quantize(model, chosen, data)
    graph = read_tflite(convert_quantized(aware, chosen, data, converter))
    assert {tensor.dtype.value for tensor in graph.tensors} <= {"int8", "int32"}
    assert note.ranges == calibrator
    span = float(data.calibration.max() - data.calibration.min())
    assert 255 * graph.tensor(graph.inputs[0]).quantization.scales[0] < 0.99 * span


def test_ranges_come_from_the_float_model(model, data):
    """Min-max ranges are the extremes that the float layers reach on the calibration data."""
    aware, _ = quantize(model, settings(bias_correction="empirical"), data)
    low, high, seen = np.asarray(aware.get_layer("wide_relu_range").ranges)[0]
    values = keras.Model(model.input, model.get_layer("wide_relu").output)(data.calibration)
    assert (low, high, seen) == (0, pytest.approx(float(np.max(values)), rel=1e-4), 1)


def test_equalization_changes_no_output(model, data):
    """After it the network computes the same within 1e-5 of its largest output, and neighbours use equal ranges."""
    network = prepare_network(model)
    expected = outputs_of(build_model(network), data.calibration)
    note = equalize(network)
    np.testing.assert_allclose(outputs_of(build_model(network), data.calibration), expected, atol=1e-5 * np.abs(expected).max())
    assert [(pair.first, pair.second) for pair in note.pairs] == [("wide", "depth"), ("depth", "point"), ("grouped", "head")]
    assert note.left == ("stem",)
    by_name = {operator.name: operator for operator in network.operators()}
    for pair in note.pairs:
        np.testing.assert_allclose(output_ranges(by_name[pair.first]), input_ranges(by_name[pair.second]), rtol=0.01)


def test_equalization_by_hand():
    """Ranges 8 and 2 meet at 4: s = sqrt(8 * 2) / 2 = 2."""
    source = keras.Input((1,))
    first, second = layers.Dense(1, activation="relu"), layers.Dense(1)
    net = keras.Model(source, second(first(source)))
    first.set_weights([np.array([[8.0]]), np.array([6.0])])
    second.set_weights([np.array([[2.0]]), np.array([0.5])])
    network = prepare_network(net)
    (pair,) = equalize(network).pairs
    assert (pair.smallest, pair.largest) == (2, 2)
    weights = [[float(w.item()) for w in operator.weights] for operator in network.operators() if is_weighted(operator)]
    assert weights == [[4, 3], [4, 0.5]]


def test_relu6_stands_between_layers_unless_it_may_go():
    """Left alone by default; replaced, named and equalized across when asked."""
    source = keras.Input((3,))
    net = keras.Model(source, layers.Dense(2)(layers.ReLU(6.0, name="six")(layers.Dense(4, name="first")(source))))
    assert equalize(prepare_network(net)).pairs == ()
    network = prepare_network(net)
    note = equalize(network, replace_relu6=True)
    assert note.replaced == ("six",) and len(note.pairs) == 1
    inputs = np.random.default_rng(0).normal(0, 0.5, (9, 3)).astype(np.float32)
    np.testing.assert_allclose(outputs_of(build_model(network), inputs), outputs_of(net, inputs), atol=1e-5)


def int8_columns(graph):
    """{layer: [N, C] integers} of convolutions and dense layers, output channels last."""
    found = {}
    for op in graph.ops:
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            tensor = graph.op_inputs(op)[1]
            array = np.asarray(tensor.data).reshape(tensor.shape).astype(int)
            columns = array.reshape(-1, array.shape[-1]) if op.kind == "DEPTHWISE_CONV_2D" else array.reshape(array.shape[0], -1).T
            found[graph.op_outputs(op)[0].name.removesuffix("_relu")] = columns
    return found


@pytest.mark.parametrize("scales", ["channel", "tensor"])
def test_chosen_integers_are_those_of_the_file(scales, model, data, converter):
    """Adaptive rounding moves some weights, never for the worse, and the .tflite holds exactly the integers that it chose."""
    chosen = settings(rounding="adaptive", rounding_steps=120, samples=32, scales=scales)
    aware, note = quantize(model, chosen, data)
    assert all(layer.error <= layer.nearest_error and not layer.skipped for layer in note.rounded)
    assert sum(layer.changed for layer in note.rounded) > 0
    stored = int8_columns(read_tflite(convert_quantized(aware, chosen, data, converter)))
    assert len(stored) == len(note.rounded) == 6
    for name, columns in stored.items():
        kernel = np.asarray(aware.get_layer(name).effective_kernel).reshape(-1, columns.shape[1])
        largest = np.abs(kernel).max() if scales == "tensor" else np.abs(kernel).max(axis=0)
        whole = np.round(kernel / (largest / 127))
        np.testing.assert_allclose(kernel / (largest / 127), whole, atol=1e-3)
        np.testing.assert_array_equal(columns, whole)


def test_adaptive_rounding_beats_the_nearest():
    """On a layer whose weights all round down, the output's error falls to less than a fifth, although each weight's own error grows."""
    source = keras.Input((16,))
    net = keras.Model(source, layers.Dense(2, name="head")(source))
    net.get_layer("head").set_weights([planted_kernel(), np.zeros(2)])
    inputs = Data(calibration=np.random.default_rng(0).uniform(1, 2, (64, 16)).astype(np.float32))
    _, note = quantize(net, settings(rounding="adaptive", rounding_steps=300), inputs)
    (layer,) = note.rounded
    assert layer.changed >= 8 and layer.error < layer.nearest_error / 5


def planted_kernel():
    """[16, 2] all weights at 10.4 steps of the scale but one at 127."""
    kernel = np.full((16, 2), 10.4 / 127, np.float32)
    kernel[0] = 1.0
    return kernel


def test_rounding_holds_the_largest_weight_and_zeros():
    """The largest weight of each channel and zeros do not choose; the others have their floor and what is left."""
    source = keras.Input((3,))
    net = keras.Model(source, layers.Dense(2, name="head")(source))
    operator = next(operator for operator in prepare_network(net).operators() if is_weighted(operator))
    kernel = np.array([[127.0, 0.0], [-3.25, 63.5], [0.5, -31.75]], np.float32)
    grid = make_grid(operator, kernel, per_tensor=False)
    np.testing.assert_array_equal(grid.held, [[True, True], [False, True], [False, False]])
    np.testing.assert_allclose(grid.nearest, [[127, 0], [-3, 127], [1, -63]])
    np.testing.assert_allclose(grid.whole(np.zeros((3, 2), bool)), [[127, 0], [-4, 127], [0, -64]])
    assert kernel_of(operator).shape == kernel.shape


def test_annealing_by_hand():
    """No penalty for a fifth of the steps; then beta falls from 20 through 11 to 2."""
    assert annealing(19, 100) == (20.0, 0.0)
    assert annealing(20, 100)[0] == pytest.approx(20) and annealing(60, 100)[0] == pytest.approx(11)
    assert annealing(100, 100)[0] == pytest.approx(2)


def test_bias_correction_takes_out_a_planted_shift(data):
    """Weights that all round down shift a layer's mean output; after correction float and int8 means agree."""
    source = keras.Input((16,))
    net = keras.Model(source, layers.Dense(2, name="head")(source))
    net.get_layer("head").set_weights([planted_kernel(), np.array([0.0, 0.3])])
    inputs = np.random.default_rng(0).uniform(1, 2, (64, 16)).astype(np.float32)
    plain, _ = quantize(net, settings(calibrator="percentile", percentile=100.0), Data(calibration=inputs))
    corrected, note = quantize(
        net, settings(calibrator="percentile", percentile=100.0, bias_correction="empirical"), Data(calibration=inputs)
    )
    expected = outputs_of(net, inputs).mean(axis=0)
    shift = expected - outputs_of(plain, inputs).mean(axis=0)
    left = expected - outputs_of(corrected, inputs).mean(axis=0)
    assert shift.min() > 0.05 and np.abs(left).max() < 0.1 * shift.min()
    assert note.corrected[0].layer == "head" and note.corrected[0].largest == pytest.approx(shift.max(), rel=0.2)


@pytest.mark.parametrize("mode", ["int8_float_io", "int16x8"])
def test_everything_together_stays_near_the_float_model(mode, model, data, converter):
    """Equalization, MSE ranges, rounding and correction in one step give a file whose outputs follow the float model's."""
    chosen = settings(mode=mode, equalize="relu", calibrator="mse", rounding="adaptive", rounding_steps=20, bias_correction="empirical")
    aware, note = quantize(model, chosen, data)
    model_bytes = convert_quantized(aware, chosen, data, converter)
    inputs = data.calibration[:6]
    expected = outputs_of(model, inputs)
    assert np.abs(run_tflite(model_bytes, inputs) - expected).max() < 0.2 * np.abs(expected).max()
    assert note.equalized is not None and len(note.rounded) == len(note.corrected) == 6


def test_a_float_layer_is_named(data):
    """Where this step places the ranges, a layer without an int8 form is an error before any work."""
    source = keras.Input(IMAGE)
    net = keras.Model(source, layers.ELU(name="culprit")(layers.Conv2D(4, 3)(source)))
    with pytest.raises(UnsupportedOpError, match="culprit"):
        quantize(net, settings(calibrator="mse"), data)
