"""The graph rewrite: a prepared model computes what the original computed, in the layers that int8 runtimes like."""

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs Keras and TensorFlow: pip install tensorflow keras")

from keras import layers, ops  # noqa: E402

from edgecompress.errors import ModelError  # noqa: E402
from edgecompress.keras_graph.prepare import prepare, prepare_noted  # noqa: E402
from edgecompress.keras_graph.walk import read_network  # noqa: E402

IMAGE = (10, 12, 3)
# Float32 rounding of a few layers, as a share of the largest output.
TOLERANCE = 1e-5


def shake(model, seed=0):
    """Give every weight a random value, so that a wrong fold cannot hide behind a fresh layer's zeros and ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        positive = any(word in weight.path for word in ("variance", "gamma"))
        weight.assign(rng.uniform(0.3, 1.7, weight.shape) if positive else rng.normal(0, 0.4, weight.shape))
    return model


def difference(model, prepared, seed=1, scale=1.0):
    """Largest difference of any output, as a share of the largest output."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(0.5, scale, (2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    given = keras.tree.pack_sequence_as((getattr(model, "_functional", None) or model)._inputs_struct, arrays)
    pairs = zip(keras.tree.flatten(model(given)), keras.tree.flatten(prepared(given)), strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(a))) for a, b in pairs)


def kinds(model):
    return [type(operation).__name__ for operation in model.operations]


def model_of(body, shape=IMAGE):
    source = keras.Input(shape)
    return shake(keras.Model(source, body(source)))


def conv(x, filters=4, size=3, **options):
    return layers.Conv2D(filters, size, **{"padding": "same", **options})(x)


def norm(x, **options):
    return layers.BatchNormalization(**options)(x)


BODIES = {
    "conv_bn": lambda x: norm(conv(x, use_bias=False)),
    "conv_bn_without_gamma": lambda x: norm(conv(x), scale=False, center=False),
    "depthwise_multiplier_bn": lambda x: norm(layers.DepthwiseConv2D(3, depth_multiplier=2)(x)),
    "transposed_bn": lambda x: norm(layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)),
    "grouped_bn": lambda x: norm(layers.Conv2D(8, 3, groups=2)(conv(x))),
    "bn_before_grouped": lambda x: layers.Conv2D(8, 3, groups=2)(norm(conv(x, activation="relu"))),
    "bn_before_valid_conv": lambda x: conv(norm(x), padding="valid"),
    "bn_before_depthwise": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(norm(x)),
    "bn_before_same_conv": lambda x: conv(norm(x)),
    "bn_before_strided_same_conv": lambda x: conv(norm(x), strides=2),
    "bn_pool_conv": lambda x: conv(layers.MaxPooling2D(2)(norm(conv(x, activation="relu"))), size=1),
    "bn_gap_dense": lambda x: layers.Dense(5)(layers.GlobalAveragePooling2D()(norm(conv(x, activation="relu")))),
    "bn_flatten_dense": lambda x: layers.Dense(5)(layers.Flatten()(norm(conv(x, activation="relu")))),
    "bn_after_add": lambda x: conv(layers.ReLU()(norm(layers.Add()([conv(x), conv(x)])))),
    "dense_bn": lambda x: layers.Dense(3)(norm(layers.Dense(6, activation="relu")(layers.Flatten()(x)))),
    "bn_on_features": lambda x: layers.Dense(3)(layers.ReLU()(norm(layers.ReLU()(layers.Dense(6)(layers.Flatten()(x)))))),
    "rescaling_same": lambda x: conv(layers.Rescaling(1 / 127.5, offset=-1)(x)),
    "rescaling_strided": lambda x: conv(layers.Rescaling(2.0, offset=3.0)(x), strides=2),
    "rescaling_zero_padding": lambda x: conv(layers.ZeroPadding2D(((0, 1), (2, 1)))(layers.Rescaling(2.0, offset=3.0)(x)), padding="valid"),
    "rescaling_per_channel": lambda x: conv(layers.Rescaling([1.0, 2.0, 3.0], offset=[0.5, 0.0, 0.1])(x)),
    "normalization": lambda x: conv(layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x), padding="valid"),
    "constants": lambda x: conv(1.5 - layers.Rescaling(3.0)(x) * 0.5 / 2.0 + 0.25),
    "negative": lambda x: conv(-conv(x, activation="relu")),
    "squeeze_excite": lambda x: conv(layers.Multiply()([y := conv(x), ops.relu6(conv(y, size=1) + 3.0) * (1 / 6)]), size=1),
    "hard_sigmoid": lambda x: conv(conv(x, activation="hard_sigmoid")),
    "separable": lambda x: layers.SeparableConv2D(6, 3, strides=2, padding="same", activation="relu", depth_multiplier=2)(x),
    "dense_softmax": lambda x: layers.Dense(4, activation="softmax")(layers.Flatten()(x)),
    "layer_as_activation": lambda x: layers.Conv2D(4, 3, activation=layers.ReLU(max_value=2.0))(x),
    "function_as_activation": lambda x: layers.Conv2D(4, 3, activation=keras.activations.relu6)(x),
    "average_of_three": lambda x: conv(layers.Average()([conv(x), conv(x), conv(x)])),
    "add_of_three": lambda x: layers.Add()([conv(x), conv(x), layers.GlobalAveragePooling2D(keepdims=True)(conv(x))]),
    "square": lambda x: ops.square(conv(x)),
    "upsampling": lambda x: layers.UpSampling2D((2, 3))(conv(x)),
    "slices": lambda x: ops.concatenate(ops.split(conv(x), 2, axis=-1)[::-1], axis=-1)[:, 1:5],
    "dropout": lambda x: layers.GaussianNoise(0.1)(layers.Dropout(0.5)(layers.SpatialDropout2D(0.5)(conv(x)))),
}


@pytest.mark.parametrize("name", BODIES)
def test_prepared_model_equals_the_original(name):
    """Every fold and split leaves the outputs where they were, within float32 rounding."""
    model = model_of(BODIES[name])
    prepared = prepare(model)
    assert difference(model, prepared) < TOLERANCE
    leftovers = {
        "BatchNormalization",
        "Normalization",
        "Rescaling",
        "Dropout",
        "SeparableConv2D",
        "Average",
        "SpatialDropout2D",
        "GaussianNoise",
    }
    assert leftovers.isdisjoint(kinds(prepared))


SEQUENCES = {
    "causal": lambda x: norm(layers.Conv1D(5, 3, padding="causal", dilation_rate=2)(x)),
    "bn_before_causal": lambda x: layers.Conv1D(5, 3, padding="causal")(layers.Rescaling(2.0, offset=1.0)(x)),
    "separable": lambda x: norm(layers.SeparableConv1D(5, 3, padding="same", dilation_rate=2, activation="relu")(x)),
    "depthwise": lambda x: norm(layers.DepthwiseConv1D(3, depth_multiplier=2)(x)),
    "transposed": lambda x: norm(layers.Conv1DTranspose(5, 3, strides=2)(x)),
    "upsampling": lambda x: layers.UpSampling1D(3)(x),
    "repeat_vector": lambda x: layers.RepeatVector(3)(layers.GlobalMaxPooling1D()(x)),
    "time_distributed": lambda x: layers.TimeDistributed(layers.Dense(4, activation="relu"))(x),
    "bn_after_relu": lambda x: layers.ReLU()(norm(layers.ReLU()(x))),
    "lstm": lambda x: layers.LSTM(5, unroll=True)(x),
    "lstm_sequence": lambda x: layers.LSTM(5, unroll=True, return_sequences=True, go_backwards=True, use_bias=False)(x),
    "gru": lambda x: layers.GRU(5, unroll=True, return_sequences=True)(x),
    "gru_reset_before": lambda x: layers.GRU(5, unroll=True, reset_after=False)(x),
    "simple_rnn": lambda x: layers.SimpleRNN(5, unroll=True)(x),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_prepared_sequence_model_equals_the_original(name):
    """The same promise for one spatial axis."""
    model = model_of(SEQUENCES[name], shape=(12, 4))
    prepared = prepare(model)
    assert difference(model, prepared) < TOLERANCE
    assert {"LSTM", "GRU", "SimpleRNN", "BatchNormalization", "UpSampling1D", "TimeDistributed"}.isdisjoint(kinds(prepared))


def test_original_is_left_alone():
    """Preparing a model changes neither its weights nor its graph."""
    model = model_of(BODIES["conv_bn"])
    before = [weight.copy() for weight in model.get_weights()]
    names = kinds(model)
    prepare(model)
    assert kinds(model) == names
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_prepare_is_idempotent():
    """A prepared model is prepared already: same layers, same outputs."""
    prepared = prepare(model_of(BODIES["squeeze_excite"]))
    again = prepare(prepared)
    assert kinds(again) == kinds(prepared)
    assert difference(prepared, again) < TOLERANCE


def test_nested_models_are_opened_and_names_stay_unique():
    """Sequential in functional in Sequential becomes one flat graph whose layers can be named."""
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(name="b")], name="inner")
    source = keras.Input((8, 8, 4))
    middle = keras.Model(source, layers.ReLU(name="c_out")(inner(layers.Conv2D(4, 1, name="c")(source))), name="middle")
    model = shake(keras.Sequential([keras.Input((8, 8, 4)), middle, layers.Flatten(), layers.Dense(3, name="head")]))
    prepared = prepare(model)
    assert not any(isinstance(layer, keras.Model) for layer in prepared.layers)
    assert {"c", "inner_c", "head"} <= {layer.name for layer in prepared.layers}
    assert difference(model, prepared) < TOLERANCE


def test_operations_of_one_name_stay_apart():
    """A layer called `add` in one nested model and the operation `add` of `x + x` in another keep their outputs in one graph."""
    keras.backend.clear_session()
    left, right, source = keras.Input((6,)), keras.Input((6,)), keras.Input((6,))
    doubled = layers.Dense(6, name="plain")(left) + left
    named = layers.Add(name=doubled._keras_history.operation.name)([layers.Dense(6, name="other")(right), right])
    members = [keras.Model(right, named, name="second"), keras.Model(left, doubled, name="first")]
    model = shake(keras.Model(source, layers.Concatenate()([member(source) for member in members])))
    assert difference(model, prepare(model)) < TOLERANCE


def test_model_called_twice_shares_its_weights():
    """A siamese network stays siamese: each of its layers appears once, called twice."""
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(5, name="tower"), layers.BatchNormalization()])
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    model = shake(keras.Model([left, right], layers.Subtract()([tower(left), tower(right)])))
    prepared = prepare(model)
    assert kinds(prepared).count("Dense") == 1
    assert "BatchNormalization" not in kinds(prepared)
    assert difference(model, prepared) < TOLERANCE


def test_shared_layer_under_two_normalizations_is_not_folded():
    """A convolution used twice with different normalizations keeps its weights; the normalizations become depthwise convolutions."""
    source = keras.Input(IMAGE)
    shared = layers.Conv2D(3, 3, padding="same")
    model = shake(keras.Model(source, norm(shared(norm(shared(source))))))
    prepared = prepare_noted(model)
    assert kinds(prepared.model).count("DepthwiseConv2D") == 2
    assert len(prepared.notes) == 2 and "batch_normalization" in prepared.notes[0]
    assert difference(model, prepared.model) < TOLERANCE


def test_value_with_two_readers_is_not_folded():
    """A normalization folds back only when nobody else reads the value before it."""
    model = model_of(lambda x: layers.Add()([y := conv(x), layers.ReLU()(norm(y))]))
    assert difference(model, prepare(model)) < TOLERANCE


def test_value_that_is_an_output_is_not_folded():
    """A value that the model also gives out keeps its meaning."""
    source = keras.Input(IMAGE)
    x = conv(source)
    model = shake(keras.Model(source, [x, norm(x)]))
    assert difference(model, prepare(model)) < TOLERANCE


def test_dict_inputs_and_outputs_keep_their_keys():
    """A model that takes and gives dicts still does, under the same keys."""
    inputs = {"image": keras.Input(IMAGE, name="image"), "sensor": keras.Input((4,), name="sensor")}
    pooled = layers.GlobalAveragePooling2D()(norm(conv(inputs["image"])))
    outputs = {
        "kind": layers.Dense(3, activation="softmax")(pooled),
        "level": layers.Dense(1)(layers.Concatenate()([pooled, inputs["sensor"]])),
    }
    model = shake(keras.Model(inputs, outputs))
    prepared = prepare(model)
    given = {"image": np.ones((1, *IMAGE), "float32"), "sensor": np.ones((1, 4), "float32")}
    assert set(prepared(given)) == {"kind", "level"}
    assert difference(model, prepared) < TOLERANCE


def test_output_names_survive_the_splitting_of_activations():
    """Losses that are given by output name still find their output."""
    source = keras.Input((4,))
    model = keras.Model(source, [layers.Dense(2, activation="softmax", name="kind")(source), layers.Dense(1, name="level")(source)])
    assert prepare(model).output_names == ["kind", "level"]


def test_uint8_input_that_is_only_rescaled_becomes_float():
    """A camera model with uint8 pixels takes the same values as floats, so that the rescaling folds."""
    source = keras.Input(IMAGE, dtype="uint8")
    model = shake(keras.Model(source, conv(layers.Rescaling(1 / 255)(source))))
    prepared = prepare(model)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *IMAGE)).astype("uint8")
    np.testing.assert_allclose(prepared(pixels.astype("float32")), model(pixels), rtol=1e-4, atol=1e-5)
    assert "Rescaling" not in kinds(prepared)


def test_mixed_precision_becomes_float32():
    """A model trained in mixed precision is rebuilt to compute in float32."""
    source = keras.Input(IMAGE)
    model = keras.Model(source, layers.Conv2D(4, 3, dtype="mixed_bfloat16")(source))
    assert prepare(model).layers[-1].compute_dtype == "float32"


def test_fixed_batch_becomes_free():
    """A batch size in the input does not survive: the .tflite has batch 1."""
    source = keras.Input(batch_shape=(8, *IMAGE))
    assert prepare(keras.Model(source, conv(source))).input_shape == (None, *IMAGE)


def test_equal_biases_are_made_to_differ():
    """TensorFlow's converter scales a bias of equal entries wrongly, so one entry moves by one float32 step."""
    model = model_of(lambda x: conv(x))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, np.full_like(bias, 0.5)])
    changed = prepare(model).layers[-1].get_weights()[1]
    assert changed[0] == np.nextafter(np.float32(0.5), np.float32(0)) and np.all(changed[1:] == 0.5)


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: keras.Model(source := keras.Input((None, None, 3), name="picture"), conv(source)), ("unknown shapes", "picture")),
        (lambda: _Subclassed(name="mine"), ("mine", "subclassed")),
        (lambda: keras.Sequential([layers.Dense(3)], name="unbuilt"), ("unbuilt", "no input shape")),
        (
            lambda: keras.Model(
                source := keras.Input((3, 8, 8)), layers.ZeroPadding2D(1, data_format="channels_first", name="first")(source)
            ),
            ("first", "channels_first"),
        ),
    ],
    ids=["unknown size", "subclassed", "unbuilt", "channels first"],
)
def test_model_that_cannot_be_read_is_a_clear_error(make, words):
    """The error names the layer or input and says what to do."""
    with pytest.raises(ModelError) as caught:
        prepare(make())
    assert all(word in caught.value.message for word in words)
    assert caught.value.hint


def test_custom_layer_without_config_is_named():
    """A custom layer that cannot be made again is named with the method it lacks."""

    class Scale(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="my_scale")
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor()

    source = keras.Input((4,))
    with pytest.raises(ModelError, match="my_scale") as caught:
        prepare(keras.Model(source, Scale(lambda: 2)(source)))
    assert "get_config" in caught.value.hint


def test_network_lists_operator_nodes_and_shared_calls():
    """`a + b` and a layer called twice appear as calls in execution order."""
    source = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    network = read_network(keras.Model(source, shared(shared(source)) + source))
    assert [call.operator.kind.__name__ for call in network.calls] == ["Dense", "Dense", "Add"]
    assert network.calls[0].operator is network.calls[1].operator


APPLICATIONS = {
    "MobileNet": lambda: keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, weights=None, classifier_activation=None),
    "MobileNetV2": lambda: keras.applications.MobileNetV2(input_shape=(32, 32, 3), alpha=0.35, weights=None, classifier_activation=None),
    "MobileNetV3Small": lambda: keras.applications.MobileNetV3Small(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, minimalistic=False, classifier_activation=None
    ),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_published_architectures_are_folded_completely(name):
    """No normalization is left in these models of keras.applications, and their outputs stay."""
    model = APPLICATIONS[name]()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "normalization" in weight.path or "bn" in weight.path.lower():
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
    prepared = prepare_noted(model)
    assert prepared.notes == ()
    assert "BatchNormalization" not in kinds(prepared.model)
    assert difference(model, prepared.model, scale=50) < TOLERANCE
