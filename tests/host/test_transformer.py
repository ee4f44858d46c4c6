"""Attention heads and feed-forward units that are removed, against the same model with their weights set to zero."""

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
from edgecompress.compress.training.train import copy_model
from edgecompress.compress.transformer.importance import choose_kept, score_by_size
from edgecompress.compress.transformer.step import transformer
from edgecompress.errors import DataError, RecipeError
from edgecompress.recipe.transformer import TransformerSettings

STEPS, FEATURES, CLASSES = 6, 8, 3


def settings(**asked: object) -> TransformerSettings:
    return TransformerSettings(**{"epochs": 0, **asked})


def randomize(model: keras.Model) -> keras.Model:
    """Biases too, so that a wrong slice of one is seen."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape).astype(w.dtype) if w.dtype == np.float32 else w for w in model.get_weights()])
    return model


def encoder() -> keras.Model:
    """Self-attention and a feed-forward block with residuals and LayerNormalization, then a classifier."""
    x = sequence = keras.Input((STEPS, FEATURES))
    attended = layers.MultiHeadAttention(4, 3, dropout=0.1, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(x + attended)
    y = layers.Dense(16, "gelu", name="up")(x)
    y = layers.Dense(FEATURES, name="down")(layers.Dropout(0.1)(y))
    x = layers.GlobalAveragePooling1D()(x + y)
    x = layers.Dense(12, "relu", name="hidden")(x)
    return randomize(keras.Model(sequence, layers.Dense(CLASSES, name="logits")(x)))


def crossed(**how: object) -> keras.Model:
    """Attention from one sequence to another with keys of their own."""
    query, value, key = keras.Input((STEPS, FEATURES)), keras.Input((4, 5)), keras.Input((4, 7))
    y = layers.MultiHeadAttention(4, 3, name="attention", **how)(query, value, key=key)
    return randomize(keras.Model([query, value, key], y))


def samples(model: keras.Model, count: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(count, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]


def assert_equal(first: keras.Model, second: keras.Model) -> None:
    inputs = samples(first)
    expected, got = (np.asarray(model(inputs if len(inputs) > 1 else inputs[0])) for model in (first, second))
    assert abs(got - expected).max() <= 1e-5 * abs(expected).max()


def mask_heads(model: keras.Model, name: str, removed: tuple[int, ...]) -> keras.Model:
    masked = copy_model(model)
    kernel = masked.get_layer(name)._output_dense.kernel
    kernel.assign(np.where(np.isin(np.arange(kernel.shape[0]), removed)[:, None, None], 0, kernel))
    return masked


def test_fewer_heads_equal_the_masked_model():
    """The heads with the smallest L1 norm of their output projection go, and nothing else changes."""
    model = encoder()
    before = model.get_weights()
    kernel = model.get_layer("attention")._output_dense.kernel.numpy()
    out, note = transformer(model, settings(heads=0.5), Data())
    (layer,) = note.layers
    assert (layer.layer, layer.part, layer.before, layer.after) == ("attention", "heads", 4, 2)
    assert layer.removed == tuple(sorted(int(h) for h in np.argsort(np.abs(kernel).sum(axis=(1, 2)))[:2]))
    assert out.get_layer("attention").num_heads == 2
    assert_equal(mask_heads(model, "attention", layer.removed), out)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert out.count_params() < model.count_params()


def test_attention_macs_by_hand():
    """Four projections, scores and weighted values, for 4 heads and then 2."""
    _, note = transformer(encoder(), settings(heads=0.5), Data())
    one_head = STEPS * FEATURES * 3 * 4 + STEPS * STEPS * (3 + 3)
    assert (note.layers[0].macs_before, note.layers[0].macs_after) == (4 * one_head, 2 * one_head)


@pytest.mark.parametrize(
    "how",
    [{}, {"use_bias": False}, {"value_dim": 5}, {"output_shape": 6}, {"value_dim": 2, "use_bias": False, "attention_axes": (1,)}],
    ids=str,
)
def test_cross_attention_of_every_form_equals_the_masked_model(how):
    """Other sizes of query, key, value and output, without bias, and on given axes."""
    model = crossed(**how)
    out, note = transformer(model, settings(heads=0.7), Data())
    (layer,) = note.layers
    assert layer.after == 3
    assert out.output_shape == model.output_shape
    assert_equal(mask_heads(model, "attention", layer.removed), out)


def test_masks_and_shared_layers_stay():
    """A causal mask is kept, and an attention layer that is used twice is cut once."""
    x = sequence = keras.Input((STEPS, FEATURES))
    shared = layers.MultiHeadAttention(4, 3, name="attention")
    x = shared(x, x, use_causal_mask=True)
    x = shared(x, x)
    model = randomize(keras.Model(sequence, x))
    out, note = transformer(model, settings(heads=0.25), Data())
    assert len(note.layers) == 1
    assert_equal(mask_heads(model, "attention", note.layers[0].removed), out)


def test_narrower_feed_forward_equals_the_masked_model():
    """Units with the smallest output weights go, through GELU and dropout; the classifier on vectors stays."""
    model = encoder()
    out, note = transformer(model, settings(width=0.3, multiple_of=4), Data())
    (layer,) = note.layers
    assert (layer.layer, layer.part, layer.before, layer.after) == ("up", "width", 16, 8)
    assert (layer.macs_before, layer.macs_after) == (2 * STEPS * FEATURES * 16, 2 * STEPS * FEATURES * 8)
    masked = copy_model(model)
    kernel = masked.get_layer("down").kernel
    kernel.assign(np.where(np.isin(np.arange(16), layer.removed)[:, None], 0, kernel))
    assert_equal(masked, out)
    assert out.get_layer("hidden").units == 12


def test_says_which_layers_stay_float():
    """LayerNormalization has no int8 form, and the note names it."""
    _, note = transformer(encoder(), settings(heads=0.5), Data())
    assert note.float_layers == ("norm (LayerNormalization)",)
    assert asdict(note)["layers"][0]["part"] == "heads"


def test_names_what_it_leaves_alone():
    """Attention written with keras.ops, scores that are read, single heads, shared and excluded layers: all have a reason."""
    x = sequence = keras.Input((STEPS, FEATURES))
    q, k, v = (layers.Dense(FEATURES, name=name)(x) for name in ("q", "k", "v"))
    scores = keras.ops.softmax(keras.ops.matmul(q, keras.ops.transpose(k, (0, 2, 1))))
    x = keras.ops.matmul(scores, v)
    x, seen = layers.MultiHeadAttention(2, 3, name="read")(x, x, return_attention_scores=True)
    x = layers.MultiHeadAttention(1, 3, name="single")(x, x)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, FEATURES), name="einsum")(x)
    x = layers.MultiHeadAttention(2, 3, name="kept")(x, x)
    x = layers.MultiHeadAttention(2, 3, name="cut")(x, x)
    twice = layers.Dense(FEATURES, "relu", name="twice")
    x = twice(twice(x))
    x = layers.Dense(8, "softmax", name="mixing")(x)
    model = keras.Model(sequence, [layers.Dense(4, name="last")(x), seen])
    out, note = transformer(model, settings(heads=0.5, exclude=("kept",)), Data())
    assert [layer.layer for layer in note.layers] == ["cut"]
    reasons = {entry.layer: entry.reason for entry in note.skipped}
    assert {"read", "single", "einsum", "kept"} <= set(reasons)
    assert [name for name, reason in reasons.items() if "keras.ops" in reason] == [
        operation.name for operation in model.operations if type(operation).__name__ == "Matmul"
    ][1:]
    assert out.get_layer("kept").num_heads == 2
    with pytest.raises(RecipeError, match="no attention layer or feed-forward block") as caught:
        transformer(model, settings(width=0.5), Data())
    assert "several times" in caught.value.hint or "rather than" in caught.value.hint


def test_global_scope_takes_heads_where_they_matter_least():
    """Layers compete with scores divided by their norm; each keeps at least one index."""
    scores = [np.array([10.0, 10.0, 10.0, 10.0]), np.array([1.0, 0.01, 0.01, 0.01])]
    assert choose_kept(scores, 5 / 8, multiple_of=1, together=True) == [[0, 1, 2, 3], [0]]
    assert choose_kept(scores, 0.5, multiple_of=1, together=False) == [[0, 1], [0, 1]]
    assert choose_kept([np.arange(3.0), np.full(3, 1e9)], 0.3, multiple_of=2, together=False) == [[1, 2], [0, 1]]
    assert score_by_size([np.array([[[1, -2]], [[3, 0]]])])[0].tolist() == [3.0, 3.0]


def test_taylor_is_the_loss_derivative_of_a_factor_on_each_head():
    """Scaling a head's output weights by 1 +- e changes the loss as the score says; the head of the least change goes."""
    model = encoder()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = samples(model, 16)[0]
    y = (np.arange(16) % CLASSES).astype(np.int32)
    kernel = model.get_layer("attention")._output_dense.kernel
    start = kernel.numpy()

    def loss(head: int, factor: float) -> float:
        scaled = start.copy()
        scaled[head] *= factor
        kernel.assign(scaled)
        return float(model.compute_loss(y=y, y_pred=model(x)))

    slopes = [abs(loss(h, 1.01) - loss(h, 0.99)) for h in range(4)]
    kernel.assign(start)
    _, note = transformer(model, settings(heads=0.75, saliency="taylor"), Data(train=(x, y)))
    assert note.layers[0].removed == (int(np.argmin(slopes)),)
    with pytest.raises(DataError):
        transformer(model, settings(heads=0.75, saliency="taylor"), Data())


def test_trains_what_is_left():
    """Fine-tuning runs on the smaller model, nested models opened."""
    inner = encoder()
    x = sequence = keras.Input((STEPS, FEATURES))
    model = keras.Model(sequence, inner(x))
    data = Data(train=(samples(inner, 16)[0], (np.arange(16) % CLASSES).astype(np.int32)))
    out, note = transformer(model, settings(heads=0.5, width=0.5, epochs=1, batch_size=8), data)
    assert (note.epochs, note.steps) == (1, 2)
    assert {layer.part for layer in note.layers} == {"heads", "width"}
    assert out.get_layer("up").units == 8


def test_settings_that_remove_nothing_are_refused():
    """A step without a share is a mistake."""
    with pytest.raises(ValidationError, match="removes nothing"):
        TransformerSettings()
