"""Quantization-aware training: where ranges stand, what training keeps, and that the .tflite computes what Keras computed."""

import gzip

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs Keras and TensorFlow: pip install tensorflow keras")

from keras import layers, ops  # noqa: E402

from edgecompress.compress.int8.aware import (  # noqa: E402
    Grid,
    export_view,
    float_layers,
    needs_calibration,
    observe_ranges,
    quantization_aware,
)
from edgecompress.compress.int8.fake_quant import FakeQuant, fake_quant_kernel  # noqa: E402
from edgecompress.convert import Converter, Mode, read_tflite  # noqa: E402
from edgecompress.errors import ModelError, UnsupportedOpError  # noqa: E402

IMAGE = (8, 8, 3)
SAMPLES = 48


@pytest.fixture(scope="module")
def converter():
    """One child process for all conversions: starting it costs an import of TensorFlow."""
    with Converter() as running:
        yield running


def conv(x, filters=8, size=3, **options):
    return layers.Conv2D(filters, size, **{"padding": "same", **options})(x)


def normal_data(shape, seed=0, scale=1.0, offset=0.0):
    return (np.random.default_rng(seed).normal(0, 1, (SAMPLES, *shape)) * scale + offset).astype("float32")


def ranged(model, data):
    """A quantization-aware model that has seen the data."""
    aware = quantization_aware(model)
    observe_ranges(aware, [data[i : i + 16] for i in range(0, SAMPLES, 16)])
    return aware


def run_int8(model_bytes, data):
    """(integers [n, ...], scale, zero point) from LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=model_bytes, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    outputs = []
    for sample in data:
        quantized = np.clip(np.round(sample / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], quantized[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"])[0].astype(int))
    return np.stack(outputs), *result["quantization"]


def steps_apart(aware, model_bytes, data):
    """Differences between the .tflite and the fake-quant model, in steps of the output's scale."""
    integers, scale, zero_point = run_int8(model_bytes, data)
    expected = np.clip(np.round(np.asarray(aware(data)) / scale) + zero_point, -128, 127)
    return np.abs(integers - expected)


def ranges_of(aware):
    return [layer.name for layer in aware.layers if isinstance(layer, FakeQuant)]


def between(middle):
    """The layer under test between two convolutions."""
    return lambda x: conv(middle(conv(x)))


# What stands between two convolutions, and the operators of the .tflite between theirs.
ROWS = {
    "relu": (layers.ReLU(), []),
    "relu6": (layers.ReLU(6.0), []),
    "activation relu6": (layers.Activation("relu6"), []),
    "relu operation": (ops.relu, []),
    "relu capped at 1": (layers.ReLU(1.0), []),
    "leaky relu": (layers.LeakyReLU(), ["LEAKY_RELU"]),
    "relu with a slope": (layers.ReLU(negative_slope=0.2), ["LEAKY_RELU"]),
    "prelu": (layers.PReLU(shared_axes=[1, 2]), ["PRELU"]),
    "hard swish": (layers.Activation("hard_swish"), ["HARD_SWISH"]),
    "gelu": (layers.Activation("gelu"), ["GELU"]),
    "swish": (layers.Activation("swish"), ["LOGISTIC", "MUL"]),
    "sigmoid": (layers.Activation("sigmoid"), ["LOGISTIC"]),
    "tanh": (ops.tanh, ["TANH"]),
    "hard sigmoid": (layers.Activation("hard_sigmoid"), []),
    "add and relu": (lambda x: layers.ReLU()(layers.Add()([x, conv(x)])), ["CONV_2D", "ADD"]),
    "operator +": (lambda x: x + conv(x), ["CONV_2D", "ADD"]),
    "add of three": (lambda x: layers.Add()([x, conv(x), conv(x)]), ["CONV_2D", "ADD", "CONV_2D", "ADD"]),
    "subtract": (lambda x: layers.Subtract()([x, conv(x)]), ["CONV_2D", "SUB"]),
    "squeeze and excite": (
        lambda x: layers.Multiply()([x, conv(layers.GlobalAveragePooling2D(keepdims=True)(x), size=1, activation="hard_sigmoid")]),
        ["MEAN", "CONV_2D", "MUL"],
    ),
    "max pooling": (layers.MaxPooling2D(2), ["MAX_POOL_2D"]),
    "average pooling": (layers.AveragePooling2D(2), ["AVERAGE_POOL_2D"]),
    "zero padding": (layers.ZeroPadding2D(1), ["PAD"]),
    "concatenate": (lambda x: layers.Concatenate()([layers.ReLU()(conv(x)), conv(x)]), ["CONV_2D", "CONV_2D", "CONCATENATION"]),
    "concatenate with a skip": (lambda x: layers.Concatenate()([x, conv(layers.ReLU()(x))]), ["RELU", "CONV_2D", "CONCATENATION"]),
    "concatenate with a pool": (
        lambda x: layers.Concatenate()([layers.MaxPooling2D(2)(x), conv(x, strides=2)]),
        ["CONV_2D", "MAX_POOL_2D", "CONCATENATION"],
    ),
    "concatenate with a sigmoid": (
        lambda x: layers.Concatenate()([layers.Activation("sigmoid")(conv(x)), x]),
        ["CONV_2D", "LOGISTIC", "QUANTIZE", "CONCATENATION"],
    ),
    "bilinear upsampling": (layers.UpSampling2D(2, interpolation="bilinear"), ["RESIZE_BILINEAR"]),
    "nearest upsampling": (layers.UpSampling2D(2), ["RESIZE_NEAREST_NEIGHBOR"]),
    "transposed convolution": (layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"), ["TRANSPOSE_CONV"]),
    "separable convolution": (layers.SeparableConv2D(8, 3, activation="relu"), ["DEPTHWISE_CONV_2D", "CONV_2D"]),
    "normalization before relu": (
        lambda x: layers.ReLU()(layers.BatchNormalization()(layers.Add()([x, conv(x)]))),
        ["CONV_2D", "ADD", "DEPTHWISE_CONV_2D"],
    ),
    "dropout": (layers.Dropout(0.5), []),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_kind_of_layer_converts_to_integers_only(name, converter):
    """The .tflite has the expected operators, no float among them, and is at most 2 steps from the fake-quant model."""
    middle, expected = ROWS[name]
    keras.utils.set_random_seed(1)
    source = keras.Input(IMAGE)
    model = keras.Model(source, between(middle)(source))
    data = normal_data(IMAGE)
    aware = ranged(model, data)
    model_bytes = converter.convert(export_view(aware), trained_ranges=True)
    kinds = [op.kind for op in read_tflite(model_bytes).ops]
    assert sorted(kinds) == sorted(["CONV_2D", *expected, "CONV_2D"])
    assert steps_apart(aware, model_bytes, data[:8]).max() <= 2


HEADS = {
    "rescaled image, flatten, dense, softmax": (
        lambda x: layers.Dense(4, activation="softmax")(
            layers.Flatten()(conv(layers.Rescaling(1 / 127.5, offset=-1)(x), activation="relu"))
        ),
        IMAGE,
        ["PADV2", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"],
    ),
    "global average pooling": (
        lambda x: layers.Dense(4)(layers.GlobalAveragePooling2D()(conv(x, activation="relu"))),
        IMAGE,
        ["CONV_2D", "MEAN", "FULLY_CONNECTED"],
    ),
    "causal, dilated sequence": (
        lambda x: layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.Conv1D(8, 3, padding="causal", dilation_rate=2)(x))),
        (16, 4),
        ["PAD", "RESHAPE", "CONV_2D", "RESHAPE", "MEAN", "FULLY_CONNECTED"],
    ),
    "dense layers": (
        lambda x: layers.Dense(4)(layers.BatchNormalization()(layers.Dense(8, activation="relu")(x))),
        (12,),
        ["FULLY_CONNECTED", "FULLY_CONNECTED"],
    ),
    "unrolled recurrence": (
        lambda x: layers.Dense(4)(layers.GRU(6, unroll=True)(layers.LSTM(6, unroll=True, return_sequences=True)(x))),
        (3, 4),
        None,
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_whole_models_convert_to_integers_only(name, converter):
    """Inputs, heads and sequence models: the expected operators, and the fake-quant model's outputs."""
    body, shape, expected = HEADS[name]
    keras.utils.set_random_seed(2)
    source = keras.Input(shape)
    data = normal_data(shape, scale=60, offset=100) if name.startswith("rescaled") else normal_data(shape)
    aware = ranged(keras.Model(source, body(source)), data)
    model_bytes = converter.convert(export_view(aware), trained_ranges=True)
    assert needs_calibration(aware) == []
    if expected is not None:
        assert [op.kind for op in read_tflite(model_bytes).ops] == expected
    # A softmax turns one step of a logit into several of its own.
    assert steps_apart(aware, model_bytes, data[:8]).max() <= (8 if "softmax" in name else 2)


def test_attention_takes_its_inner_ranges_from_calibration(converter):
    """Trained ranges around attention and calibrated ones inside it make one integer model."""
    keras.utils.set_random_seed(3)
    source = keras.Input((6, 8))
    x = layers.Dense(8)(source)
    model = keras.Model(source, layers.Dense(4)(x + layers.MultiHeadAttention(2, 4, name="attention")(x, x)))
    data = normal_data((6, 8))
    aware = ranged(model, data)
    assert needs_calibration(aware) == ["attention"]
    model_bytes = converter.convert(export_view(aware), trained_ranges=True, calibration=data)
    assert steps_apart(aware, model_bytes, data[:8]).max() <= 4


def digits_model():
    """Convolution + BN, depthwise, a residual add, global pooling, dense: 14,000 parameters."""
    source = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(layers.Conv2D(24, 3, padding="same", use_bias=False)(source))
    skip = x = layers.ReLU()(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False, name="pointwise")(x))
    x = layers.ReLU()(layers.Add()([x, skip]))
    x = layers.BatchNormalization()(layers.Conv2D(48, 3, strides=2, padding="same", use_bias=False, name="wide")(x))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x)))
    return keras.Model(source, layers.Dense(10, name="logits")(x))


def compiled(model, rate):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def digits():
    """(train images, labels, test images, labels) of scikit-learn's digits, 0 to 1."""
    sklearn = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn: pip install scikit-learn")
    images, labels = sklearn.load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return images[:1300], labels[:1300], images[1300:], labels[1300:]


@pytest.fixture(scope="module")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = compiled(digits_model(), 5e-3)
    model.fit(digits[0], digits[1], batch_size=32, epochs=8, verbose=0)
    model.fit(digits[0], digits[1], batch_size=128, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def aware_digits(trained, digits):
    aware = compiled(quantization_aware(trained), 5e-4)
    aware.fit(digits[0], digits[1], batch_size=32, epochs=3, verbose=0)
    return aware


def test_digits_survive_training_and_conversion(trained, aware_digits, digits, converter):
    """Accuracy within one point of float; logits at most 2 steps from Keras; the same class on 99.8 % of 497 images."""
    _, _, images, labels = digits
    float_accuracy = trained.evaluate(images, labels, verbose=0)[1]
    model_bytes = converter.convert(export_view(aware_digits), trained_ranges=True)
    integers, scale, zero_point = run_int8(model_bytes, images)
    expected = np.round(aware_digits.predict(images, verbose=0) / scale) + zero_point
    assert np.abs(integers - expected).max() <= 2
    assert np.mean(integers.argmax(axis=1) == expected.argmax(axis=1)) >= 0.998
    assert np.mean(integers.argmax(axis=1) == labels) >= float_accuracy - 0.01


def test_converter_takes_the_trained_integers(aware_digits, converter):
    """The int8 kernels of the .tflite are those that training rounded to."""
    graph = read_tflite(converter.convert(export_view(aware_digits), trained_ranges=True))
    op = next(op for op in graph.ops if op.kind == "FULLY_CONNECTED")
    weights = graph.op_inputs(op)[1]
    kernel = aware_digits.get_layer("logits").effective_kernel.numpy()
    rounded = np.round(kernel / (np.abs(kernel).max(axis=0) / 127)).T
    np.testing.assert_array_equal(np.asarray(weights.data).reshape(rounded.shape), rounded)


def test_zeros_stay_zero(trained, digits, converter):
    """Weights pruned before stay exactly zero through an optimizer with momentum and decay, and are zeros in the .tflite."""
    model = keras.models.clone_model(trained)
    model.set_weights(trained.get_weights())
    layer = model.get_layer("wide")
    kernel = layer.get_weights()[0]
    kept = np.abs(kernel) > np.quantile(np.abs(kernel), 0.8)
    layer.set_weights([kernel * kept])
    aware = quantization_aware(model)
    aware.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    aware.fit(digits[0][:320], digits[1][:320], batch_size=32, epochs=1, verbose=0)
    after = aware.get_layer("wide").effective_kernel.numpy()
    assert np.all(after[~kept] == 0)
    assert not np.array_equal(after[kept], (kernel * kept)[kept])
    view = export_view(aware)
    np.testing.assert_array_equal(view.get_layer("wide").get_weights()[0] == 0, ~kept)
    sparse, dense = (len(gzip.compress(converter.convert(m, trained_ranges=True))) for m in (view, export_view(ranged(trained, digits[0]))))
    assert sparse < dense


def test_keep_zeros_can_be_turned_off():
    """Without keep_zeros a zero weight may move."""
    source = keras.Input((4,))
    model = keras.Model(source, layers.Dense(3, kernel_initializer="identity")(source))
    for keep, moved in ((True, False), (False, True)):
        aware = quantization_aware(model, keep_zeros=keep)
        aware.compile("sgd", "mse")
        aware.fit(np.ones((8, 4)), np.full((8, 3), 3.0), verbose=0)
        kernel = np.asarray(aware.layers[2].effective_kernel)
        assert bool(np.any(kernel[np.eye(4, 3) == 0])) is moved


def test_folded_rescaling_does_not_make_the_optimizer_drown_the_weights(digits):
    """A kernel made tiny by a folded 1/255 is kept at its usual size in training, so Adam's first steps do not destroy it."""
    source = keras.Input((8, 8, 1))
    x = layers.Rescaling(1 / 255)(source)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu", name="first")(x))
    model = compiled(keras.Model(source, layers.Dense(10)(x)), 1e-3)
    aware = compiled(quantization_aware(model), 1e-3)
    before = np.asarray(aware.get_layer("first").effective_kernel)
    aware.fit(digits[0][:64] * 255, digits[1][:64], batch_size=32, verbose=0)
    after = np.asarray(aware.get_layer("first").effective_kernel)
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max()


def test_constraints_on_unfolded_weights_are_dropped():
    """A norm limit set for the kernel before folding does not clip the folded one."""
    source = keras.Input((4,))
    model = keras.Model(source, layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(1e-3), kernel_regularizer="l2")(source))
    aware = quantization_aware(model)
    aware.compile(keras.optimizers.SGD(1e-6), "mse")
    aware.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    np.testing.assert_allclose(aware.layers[2].effective_kernel, model.layers[1].kernel, atol=1e-4)
    assert aware.losses == []


def test_saved_model_goes_on_training(aware_digits, digits, tmp_path):
    """A quantization-aware model survives saving: the loaded one gives the same outputs and exports."""
    path = tmp_path / "aware.keras"
    aware_digits.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.predict(digits[2][:8], verbose=0), aware_digits.predict(digits[2][:8], verbose=0))
    export_view(loaded)


def test_first_batch_sets_the_range_and_zero_is_inside():
    """The range starts from the first batch, includes 0 even when no value is near it, and moves slowly after."""
    layer = FakeQuant()
    layer(np.array([2.0, 6.0], "float32"), training=True)
    np.testing.assert_allclose(layer.ranges[0], [0, 6, 1])
    layer(np.array([-1.0, 7.0], "float32"), training=True)
    np.testing.assert_allclose(layer.ranges[0], [-0.01, 6.01, 1], rtol=1e-5)
    layer(np.array([100.0], "float32"), training=False)
    np.testing.assert_allclose(layer.ranges[0], [-0.01, 6.01, 1], rtol=1e-5)


def test_shared_range_holds_every_slot():
    """Tensors that share a range are rounded on the smallest range that holds them all."""
    layer = FakeQuant(slots=2)
    layer(np.array([-1.0, 1.0], "float32"), slot=0, training=True)
    layer(np.array([0.0, 9.0], "float32"), slot=1, training=True)
    assert float(np.max(layer(np.array([20.0], "float32")))) == pytest.approx(9, abs=0.05)
    assert float(np.min(layer(np.array([-20.0], "float32")))) == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("shape", [(4, 6), (3, 3, 2, 5), (3, 4, 6)])
def test_kernel_is_rounded_per_output_channel(shape):
    """At most 255 values a channel, symmetric, and zeros stay zero."""
    kernel = np.random.default_rng(0).normal(0, 1, shape).astype("float32") * np.logspace(-3, 1, shape[-1]).astype("float32")
    kernel[0] = 0
    rounded = np.asarray(fake_quant_kernel(kernel))
    step = np.abs(kernel).reshape(-1, shape[-1]).max(axis=0) / 127
    np.testing.assert_allclose(rounded / step, np.round(kernel / step), atol=1e-3)
    assert np.all(rounded[0] == 0)


def test_ranges_stand_where_the_table_says():
    """After the ReLU only; on both sides of an add; none after pooling or flattening; none after a final softmax."""
    source = keras.Input(IMAGE, name="image")
    x = layers.ReLU(name="relu")(conv(source, name="conv"))
    x = layers.Add(name="add")([x, conv(x, name="branch")])
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    model = keras.Model(source, layers.Dense(3, activation="softmax", name="head")(x))
    assert ranges_of(quantization_aware(model)) == ["image_range", "relu_range", "branch_range", "add_range", "head_range"]


FLOATS = {
    "LayerNormalization": (lambda x: layers.LayerNormalization(name="culprit")(x), "BatchNormalization"),
    "ELU": (lambda x: layers.ELU(name="culprit")(x), 'activations = { elu = "leaky_relu" }'),
    "Activation": (lambda x: layers.Activation("selu", name="culprit")(x), 'activations = { selu = "leaky_relu" }'),
    "LSTM": (lambda x: layers.LSTM(3, name="culprit")(x), "unroll=True"),
    "Lambda": (lambda x: layers.Lambda(lambda y: y * 2, name="culprit")(x), "keras.ops"),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_layer_that_would_stay_float_is_named_with_a_way_out(kind):
    """The error has the layer's name and class and says what to do; allow_float lifts it, by name or for all."""
    body, way_out = FLOATS[kind]
    source = keras.Input((6, 4))
    model = keras.Model(source, layers.Dense(2)(body(layers.Dense(4)(source))))
    with pytest.raises(UnsupportedOpError, match=rf"culprit \({kind}\)") as caught:
        quantization_aware(model)
    assert way_out in caught.value.hint and "--allow-float culprit" in caught.value.hint
    assert [layer.name for layer in float_layers(model)] == ["culprit"]
    for allowed in (["culprit"], ["*"]):
        quantization_aware(model, allow_float=allowed)


class Doubled(layers.Layer):
    """A custom layer as users write them."""

    def call(self, inputs):
        return inputs * 2


def test_custom_layer_is_named():
    """An unknown layer is not guessed at."""
    source = keras.Input((4,))
    with pytest.raises(UnsupportedOpError, match=r"mine \(Doubled\)"):
        quantization_aware(keras.Model(source, Doubled(name="mine")(source)))


def test_range_that_saw_no_data_is_named():
    """Exporting before training says which layer has no range and what to do."""
    source = keras.Input((4,), name="sensor")
    aware = quantization_aware(keras.Model(source, layers.Dense(3)(source)))
    with pytest.raises(ModelError, match="sensor") as caught:
        export_view(aware)
    assert "fit" in caught.value.hint


def test_quantizing_twice_is_refused():
    """A quantization-aware model is not made quantization-aware again."""
    source = keras.Input((4,))
    with pytest.raises(ModelError, match="already"):
        quantization_aware(quantization_aware(keras.Model(source, layers.Dense(3)(source))))


def test_export_of_a_plain_model_is_refused():
    """A model without ranges has nothing to export."""
    source = keras.Input((4,))
    with pytest.raises(ModelError, match="no trained ranges"):
        export_view(keras.Model(source, layers.Dense(3)(source)))


def settings_for(**options):
    from edgecompress.recipe import QuantizeSettings

    return QuantizeSettings(method="qat", epochs=1, batch_size=16, **options)


def residual_model():
    """Convolution, depthwise, a residual sum, pooling and dense."""
    source = keras.Input(IMAGE)
    x = skip = conv(source, activation="relu", name="stem")
    x = conv(layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x), size=1, name="point")
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, skip]))
    return keras.Model(source, layers.Dense(4, name="head")(x))


@pytest.mark.parametrize(("mode", "scales"), [("int8", "tensor"), ("int16x8", "channel"), ("int16x8", "tensor")])
def test_other_integers_train_and_run_alike_everywhere(mode, scales, converter):
    """One scale a kernel, and 16-bit activations: the file runs in LiteRT and TFLM and gives the fake-quant model's outputs."""
    from edgecompress.compress.data import Data
    from edgecompress.compress.evaluate import run_tflite
    from edgecompress.compress.int8.step import convert_quantized, quantize

    keras.utils.set_random_seed(4)
    inputs = normal_data(IMAGE)
    data = Data(train=(inputs, np.arange(SAMPLES) % 4))
    chosen = settings_for(mode=mode, scales=scales)
    aware, _ = quantize(residual_model(), chosen, data)
    model_bytes = convert_quantized(aware, chosen, data, converter)
    graph = read_tflite(model_bytes)
    wide = mode == "int16x8"
    assert {tensor.dtype.value for tensor in graph.tensors} <= ({"int16", "int8", "int64", "int32"} if wide else {"int8", "int32"})
    kernels = [graph.op_inputs(op)[1] for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert [len(kernel.quantization.scales) for kernel in kernels] == [1 if scales == "tensor" else 8] * 3
    expected, outputs = np.asarray(aware(inputs[:6])), run_tflite(model_bytes, inputs[:6])
    step = float(graph.tensor(graph.outputs[0]).quantization.scales[0])
    assert np.abs(outputs - expected).max() <= (8 if wide else 2.01) * step
    if scales == "tensor":
        whole = np.asarray(kernels[0].data).reshape(8, -1).T
        kernel = np.asarray(aware.get_layer("stem").effective_kernel).reshape(-1, 8)
        np.testing.assert_array_equal(whole, np.round(kernel / (np.abs(kernel).max() / 127)))
    np.testing.assert_allclose(run_micro(model_bytes, inputs[0]), outputs[0], atol=2.01 * step)


def test_curves_of_16_bits_have_the_scale_of_their_kernels(converter):
    """Sigmoid and softmax on trained 16-bit ranges run, and give the fake-quant model's outputs."""
    from edgecompress.compress.evaluate import run_tflite

    keras.utils.set_random_seed(5)
    source = keras.Input(IMAGE)
    x = layers.GlobalAveragePooling2D()(layers.Activation("swish")(conv(source)))
    aware = quantization_aware(keras.Model(source, layers.Dense(4, activation="softmax")(x)), grid=Grid(activation_bits=16))
    inputs = normal_data(IMAGE)
    observe_ranges(aware, [inputs])
    model_bytes = converter.convert(export_view(aware), Mode.INT16X8, trained_ranges=True)
    np.testing.assert_allclose(run_tflite(model_bytes, inputs[:6]), aware(inputs[:6]), atol=1e-3)


def run_micro(model_bytes, sample):
    """Real outputs of TFLM's host interpreter for one sample."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro", reason="needs pip install tflite-micro").runtime
    graph = read_tflite(model_bytes)
    source, result = (graph.tensor(index) for index in (graph.inputs[0], graph.outputs[0]))
    limits = np.iinfo(source.dtype.value)
    counts = np.round(sample[np.newaxis] / source.quantization.scales[0]) + source.quantization.zero_points[0]
    interpreter = runtime.Interpreter.from_bytes(model_bytes)
    interpreter.set_input(np.clip(counts, limits.min, limits.max).astype(source.dtype.value), 0)
    interpreter.invoke()
    return (interpreter.get_output(0)[0].astype(float) - result.quantization.zero_points[0]) * result.quantization.scales[0]


def test_concatenation_of_trained_16_bit_ranges_is_named():
    """What TensorFlow's converter refuses is refused before training, with the layer's name."""
    source = keras.Input(IMAGE)
    model = keras.Model(source, layers.Concatenate(name="join")([conv(source), conv(source)]))
    with pytest.raises(UnsupportedOpError, match="join"):
        quantization_aware(model, grid=Grid(activation_bits=16))


INT8_LAYERS = [
    ((9, 3), layers.Conv1D(4, 3)),
    ((9, 3), layers.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    ((9, 4), layers.Conv1D(4, 3, groups=2, strides=2)),
    ((9, 3), layers.DepthwiseConv1D(3)),
    ((9, 3), layers.Conv1DTranspose(4, 3, strides=2)),
    ((7, 6, 3), layers.Conv2D(4, 3)),
    ((7, 6, 4), layers.Conv2D(4, 3, groups=2)),
    ((7, 6, 3), layers.DepthwiseConv2D(3)),
    ((7, 6, 3), layers.Conv2DTranspose(4, 3, strides=2)),
    ((5,), layers.Dense(4)),
]


@pytest.mark.parametrize(("shape", "layer"), INT8_LAYERS, ids=lambda value: value.name if isinstance(value, keras.Layer) else "")
def test_every_kind_of_layer_computes_on_its_int8_kernel(shape, layer):
    """A quantization-aware layer gives what a plain layer gives whose kernel is the rounded one, and not what the float kernel gives."""
    from edgecompress.compress.int8.fake_quant import INT8_KINDS

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(0, 1, (2, *shape)).astype(np.float32)
    plain = type(layer).from_config(layer.get_config())
    expected = np.asarray(plain(x))
    rounded = INT8_KINDS[type(layer)].from_config(layer.get_config())
    rounded.build((None, *shape))
    rounded.set_weights(plain.get_weights())
    plain.set_weights([np.asarray(rounded.int8_kernel), *plain.get_weights()[1:]])
    outputs = np.asarray(rounded(x))
    assert outputs == pytest.approx(np.asarray(plain(x)), abs=1e-5)
    assert np.abs(outputs - expected).max() > 1e-4
