"""Channels that can only go together: a cut model equals the masked one, on every topology."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers, ops

from edgecompress.keras_graph.groups import Groups, cut_masked, find_groups, made_groups, makers, mask, spare_one
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.residual import drop_block, find_blocks
from edgecompress.keras_graph.walk import read_network

TOLERANCE = 1e-5


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Weights in general position: no bias, mean or beta is 0, no gamma 1."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "variance")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "mean", "bias", "alpha")):
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return model


def masked_and_cut(model: keras.Model, share: float = 0.5, seed: int = 0) -> tuple[keras.Model, keras.Model, Groups]:
    network = read_network(model)
    groups = find_groups(network)
    rng = np.random.default_rng(seed)
    going = spare_one(groups.channels, [root for root in groups.roots if rng.random() < share])
    cut_masked(groups, going)
    small = build_model(network)
    network = read_network(model)
    groups = find_groups(network)
    mask(groups, going)
    return build_model(network), small, groups


def assert_same(left: keras.Model, right: keras.Model, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    inputs = []
    for tensor in left.inputs:
        shape = (2, *tensor.shape[1:])
        inputs.append(rng.integers(0, 10, shape) if "int" in str(tensor.dtype) else rng.normal(0, 1, shape).astype(np.float32))
    for one, other in zip(*(keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0])) for model in (left, right)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE * float(np.abs(one).max()))


def head(x):
    return layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))


def conv(x, filters: int, size: int = 3, **config):
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, **config)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def residual(x):
    x = conv(x, 8)
    return head(layers.ReLU()(layers.Add()([x, conv(conv(x, 12), 8)])))


def depthwise(x):
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(conv(x, 6))
    return head(conv(layers.BatchNormalization(scale=False)(x), 8, 1))


def grouped(x):
    x = layers.Conv2D(12, 3, groups=2, padding="same")(conv(x, 8))
    return head(layers.ReLU()(layers.Conv2D(16, 3, groups=8, padding="same")(layers.Conv2D(16, 1)(x))))


def concatenated(x):
    a, b = conv(x, 6), conv(x, 4)
    y = layers.Concatenate()([a, b])
    return head(layers.Add()([conv(y, 10), y]))


def u_net(x):
    a = conv(x, 6)
    b = conv(layers.MaxPooling2D()(a), 10)
    up = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(b)
    y = layers.Concatenate()([a, up, layers.UpSampling2D()(b)])
    return layers.Conv2D(2, 1, activation="sigmoid")(conv(y, 7))


def squeeze_and_excite(x):
    x = conv(x, 8)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return head(conv(layers.Multiply()([x, gate]), 6))


def flattened(x):
    x = layers.ZeroPadding2D(1)(layers.AveragePooling2D(2, padding="same")(conv(x, 6)))
    x = layers.Dense(20, activation="relu")(layers.Flatten()(layers.Cropping2D(1)(x)))
    return layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(x))


def reshaped(x):
    x = layers.Flatten()(layers.Conv2D(3, 3)(x))
    x = layers.Reshape((4, 4, 6))(layers.Dense(4 * 4 * 6)(x))
    return head(layers.Resizing(8, 8)(layers.PReLU()(conv(x, 5))))


def shuffled(x):
    x = layers.Reshape((8, 8, 2, 6))(conv(x, 12))
    x = layers.Reshape((8, 8, 12))(layers.Permute((1, 2, 4, 3))(x))
    return head(layers.Conv2D(8, 3, groups=2)(x))


def shared(x):
    one = layers.Conv2D(8, 3, padding="same", activation="relu")
    return head(layers.Subtract()([one(one(conv(x, 8))), conv(x, 8)]))


def nested(x):
    inner = keras.Sequential([keras.Input((8, 8, 6)), layers.Conv2D(8, 3, padding="same"), layers.LeakyReLU()], name="inner")
    outer = keras.Sequential([keras.Input((8, 8, 6)), inner, layers.SeparableConv2D(6, 3, depth_multiplier=2)], name="outer")
    return head(conv(outer(conv(x, 6)), 4))


def by_operations(x):
    y = conv(x, 8)
    z = ops.relu6(y + 0.0) * ops.mean(y, axis=(1, 2), keepdims=True) + ops.maximum(conv(x, 8), y)
    z = ops.transpose(ops.reshape(z, (-1, 64, 8)), (0, 2, 1))
    z = ops.concatenate([z, z * 2.0], axis=-1)[:, :, 3:]
    return layers.Dense(3)(ops.max(z, axis=2))


def valid_with_constants(x):
    """Sigmoid of a masked channel is 0.5, which valid and 1x1 convolutions take into their bias."""
    x = layers.Conv2D(6, 3, activation="sigmoid")(x)
    x = layers.Conv2D(6, 3, use_bias=False)(layers.MaxPooling2D(padding="same", strides=1)(x))
    return head(layers.Conv2D(5, 1, activation="softplus")(layers.BatchNormalization()(x)))


def one_dimensional(x):
    x = layers.Reshape((64, 3))(x)
    x = layers.Conv1D(8, 5, padding="causal")(x)
    x = layers.SeparableConv1D(6, 3, activation="relu")(layers.DepthwiseConv1D(3)(layers.MaxPooling1D()(x)))
    return layers.Dense(3)(layers.GlobalMaxPooling1D()(layers.Conv1DTranspose(5, 3)(x)))


TOPOLOGIES: tuple[Callable, ...] = (
    residual, depthwise, grouped, concatenated, u_net, squeeze_and_excite, flattened, reshaped, shuffled, shared, nested, by_operations,
    valid_with_constants, one_dimensional,
)  # fmt: skip


def build(topology: Callable) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    return randomize(keras.Model(image, topology(image)))


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda topology: topology.__name__)
def test_cut_equals_masked(topology):
    """Half of all groups cut out: smaller weights, the outputs of the masked model, and no layer of a topology wholly pinned."""
    model = build(topology)
    masked, small, groups = masked_and_cut(model)
    assert_same(masked, small)
    assert small.count_params() < 0.8 * model.count_params()
    wholly_pinned = [op.name for op, ids in makers(groups.channels).items() if set(ids.tolist()) <= set(groups.pinned)]
    assert len(wholly_pinned) == 1  # the last layer


def random_model(seed: int) -> keras.Model:
    """A random chain of everything, with a second path to add to or concatenate."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((8, 8, 3))
    x = old = conv(x, 8)
    for _ in range(6):
        match rng.integers(8):
            case 0:
                x, old = conv(x, int(rng.integers(3, 12))), x
            case 1:
                x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
            case 2 if x.shape == old.shape:
                x = layers.Add()([x, old])
            case 3 if x.shape[:3] == old.shape[:3]:
                x = layers.Concatenate()([old, x])
            case 4:
                x = layers.Conv2D(2 * x.shape[-1], 1, groups=x.shape[-1])(x)
            case 5:
                x = layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="hard_sigmoid")(x)])
            case 6:
                x = layers.Activation(str(rng.choice(["tanh", "sigmoid", "swish", "softplus"])))(x)
            case _:
                x, old = layers.SeparableConv2D(6, 3, padding="same")(x), x
    return randomize(keras.Model(image, [head(x), layers.Flatten()(old)]), seed)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed):
    """Whatever the topology is, what the groups allow to go is exact."""
    masked, small, _ = masked_and_cut(random_model(seed), seed=seed)
    assert_same(masked, small, seed)


def test_masked_activations_are_zero():
    """A masked channel is zero behind its convolution, BatchNormalization and activation."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = conv(image, 6)
    model = randomize(keras.Model(image, head(x)))
    network = read_network(model)
    groups = find_groups(network)
    mask(groups, groups.roots[:2])
    masked = build_model(network)
    inside = keras.Model(masked.inputs, masked.layers[3].output)
    activation = np.asarray(inside([np.random.default_rng(0).normal(0, 1, (2, 8, 8, 3)).astype(np.float32)]))
    assert not activation[..., :2].any() and activation[..., 2:].any()


def layer_norm(x):
    return head(layers.LayerNormalization()(layers.Conv2D(6, 3, name="before")(x)))


def channel_slice(x):
    return head(layers.Conv2D(6, 3, name="before")(x)[..., :4])


def padded_sigmoid(x):
    return head(conv(layers.Conv2D(6, 3, activation="sigmoid", name="before")(x), 4))


def attention(x):
    y = layers.Reshape((36, 6))(layers.Conv2D(6, 3, name="before")(x))
    return layers.Dense(3)(layers.Flatten()(layers.MultiHeadAttention(2, 4, name="attention")(y, y)))


@pytest.mark.parametrize(
    ("topology", "words"),
    [(layer_norm, "LayerNormalization"), (channel_slice, "GetItem"), (padded_sigmoid, "0.5 everywhere"), (attention, "attention")],
    ids=["layer_norm", "slice", "padded_sigmoid", "attention"],
)
def test_what_is_not_understood_stays(topology, words):
    """Channels that reach such a layer are pinned, with a reason that names it."""
    network = read_network(build(topology))
    groups = find_groups(network)
    before = next(operator for operator in network.operators() if operator.name == "before")
    assert {words in groups.pinned.get(int(root), "") for root in groups.made_by(before)} == {True}


def test_every_group_has_a_reason_or_may_go():
    """No group is lost between the two lists."""
    groups = find_groups(read_network(build(squeeze_and_excite)))
    assert made_groups(groups.channels) <= set(groups.roots) | set(groups.pinned)
    assert not set(groups.roots) & set(groups.pinned)


def test_a_dropped_block_is_a_branch_of_zeros():
    """Without its branch the addition gives the skip; identity and projection are told apart."""

    def net(x):
        x = conv(x, 8)
        x = layers.Add(name="same")([x, conv(conv(x, 6), 8)])
        return head(layers.Add(name="wider")([layers.Conv2D(4, 1, name="shortcut")(x), conv(conv(x, 6), 4)]))

    model = build(net)
    network = read_network(model)
    blocks = find_blocks(network)
    assert [(block.name, block.path) for block in blocks] == [("same", "identity"), ("wider", "projection")]
    zeroed = read_network(model)
    for block in find_blocks(zeroed):
        last = next(call.operator for call in reversed(block.calls) if call.operator.kind is layers.BatchNormalization)
        last.weights = [np.zeros_like(last.weights[0]), np.zeros_like(last.weights[1]), *last.weights[2:]]
    for block in blocks:
        drop_block(network, block)
    small = build_model(network)
    assert_same(build_model(zeroed), small)
    assert {layer.name for layer in small.layers} >= {"shortcut", "logits"} and len(small.layers) == 7


def test_a_published_network():
    """Inverted residuals with gates shrink to what masking gives; only the output's channels are pinned."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=5, alpha=0.5)
    masked, small, groups = masked_and_cut(model)
    assert_same(masked, small)
    assert small.count_params() < 0.4 * model.count_params() and len(groups.pinned) < 40
