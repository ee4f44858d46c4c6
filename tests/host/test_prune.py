"""Magnitude pruning of Keras models."""

from __future__ import annotations

import os
from itertools import pairwise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.kernels import find_kernels
from edgecompress.compress.masks import Masks
from edgecompress.compress.objective import Task, find_objective, find_task, gives_probabilities
from edgecompress.compress.prune import PruningCallback, measure_sparsity, prune
from edgecompress.compress.score import score_model, score_outputs
from edgecompress.compress.sparsity import choose_kept
from edgecompress.errors import DataError, ModelError, RecipeError
from edgecompress.recipe import PruneSettings

CLASSES = 3


@pytest.fixture(scope="module")
def data():
    """Images whose mean brightness tells their class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 160).astype(np.int32)
    x = (rng.normal(0, 0.1, (160, 8, 8, 1)) + y[:, None, None, None]).astype(np.float32)
    return Data(train=(x[:128], y[:128]), validation=(x[128:], y[128:]))


def small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(8, 3, name="conv"), layers.BatchNormalization(name="bn")], name="block")
    x = image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    x = inner(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.SeparableConv2D(6, 3, padding="same", name="separable")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def tiny_model() -> keras.Model:
    """Two dense layers: quick to trace."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, "relu", name="hidden"), layers.Dense(CLASSES, name="logits")]
    )


def all_zeros(model: keras.Model) -> int:
    return sum(int((k.variable.numpy() == 0).sum()) for k in find_kernels(model))


def test_finds_kernels_of_nested_models_and_leaves_the_rest():
    """Kernels of dense, convolution and pointwise parts are found by path; depthwise kernels, biases and BatchNormalization are not."""
    kernels = find_kernels(small_model())
    assert [(k.layer, tuple(k.variable.shape)) for k in kernels] == [
        ("stem", (3, 3, 1, 4)),
        ("block/conv", (3, 3, 4, 8)),
        ("separable", (1, 1, 8, 6)),
        ("logits", (6, CLASSES)),
    ]


def test_finds_kernels_of_attention_and_recurrent_layers():
    """Layers inside layers are found too: the projections of attention, the cell of a wrapped LSTM."""
    x = sequence = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Bidirectional(layers.LSTM(4), name="both")(x)
    kernels = find_kernels(keras.Model(sequence, x))
    assert len([k for k in kernels if k.layer.startswith("attention/")]) == 4
    assert len([k for k in kernels if k.layer.startswith("both/")]) == 4


def test_a_shared_layer_counts_once():
    """A layer that is called twice holds its weights once."""
    shared = layers.Dense(4, name="shared")
    x = vector = keras.Input((4,))
    assert len(find_kernels(keras.Model(vector, shared(shared(x))))) == 1


def test_exclude_keeps_a_whole_nested_model():
    """Excluding a nested model keeps every layer in it."""
    assert [k.layer for k in find_kernels(small_model(), ("block", "logits"))] == ["stem", "separable"]


def test_exclude_of_an_unknown_layer_names_the_near_one():
    """A typo in exclude is an error, not a layer pruned against the user's will."""
    with pytest.raises(RecipeError, match="'blok/conv'") as caught:
        find_kernels(small_model(), ("blok/conv",))
    assert "block/conv" in caught.value.hint


def test_a_model_without_kernels_is_an_error():
    """Nothing to prune is said, not passed over."""
    x = keras.Input((8, 8, 2))
    with pytest.raises(RecipeError, match="no layer to prune"):
        find_kernels(keras.Model(x, layers.DepthwiseConv2D(3)(x)))


def test_global_scope_takes_the_smallest_everywhere():
    """One threshold for all kernels: the smallest magnitudes go, wherever they are."""
    sizes = [np.arange(1, 11, dtype=np.float32), np.arange(101, 111, dtype=np.float32)]
    first, second = choose_kept(sizes, 0.4, "global")
    assert (~first).sum() == 8
    assert second.all()
    assert first[-2:].all()


def test_global_scope_lets_no_layer_vanish():
    """A layer of tiny weights keeps a tenth of its fair share."""
    sizes = [np.full(1000, 1e-9), np.linspace(1, 2, 1000)]
    first, second = choose_kept(sizes, 0.5, "global")
    assert first.sum() == 50
    assert first.sum() + second.sum() == 1000


def test_layer_scope_prunes_each_alike():
    """One threshold a kernel: each reaches the share."""
    sizes = [np.arange(10.0), np.arange(100.0, 120.0)]
    assert [int((~kept).sum()) for kept in choose_kept(sizes, 0.5, "layer")] == [5, 10]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_prune_reaches_the_sparsity_exactly(data, scope):
    """Training ends with the smallest number of zeros that reaches the share, and the note counts what is there."""
    model = small_model()
    weights = [w.copy() for w in model.get_weights()]
    pruned, note = prune(model, PruneSettings(sparsity=0.7, scope=scope, epochs=2, batch_size=16, every=3), data)
    if scope == "global":
        assert note.zeros == -(-7 * note.weights // 10)
    else:
        assert all(layer.zeros == -(-7 * layer.weights // 10) for layer in note.layers)
    assert all_zeros(pruned) == note.zeros
    assert note.steps == 16
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True)), "the model that came in has changed"


def test_prune_learns_meanwhile(data):
    """Fine-tuning trains the weights that are left: the loss falls."""
    keras.utils.set_random_seed(0)
    model = tiny_model()
    before = score_model(model, data)
    pruned, _ = prune(model, PruneSettings(sparsity=0.5, epochs=12, batch_size=16, learning_rate=0.02), data)
    after = score_model(pruned, data)
    assert before is not None
    assert after is not None
    assert after.value >= before.value + 0.2


def test_masks_hold_at_every_step(data):
    """A pruned weight is zero after every update that follows, and never comes back."""
    model = tiny_model()
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.concatenate([k.variable.numpy().ravel() == 0 for k in find_kernels(self.model)]))

    x, y = data.train
    callback = PruningCallback(PruneSettings(sparsity=0.8, every=2, end=0.5))
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[callback, Watch()])
    assert len(seen) == 16
    assert all(bool((later | ~earlier).all()) for earlier, later in pairwise(seen))
    assert seen[-1].mean() >= 0.8
    assert seen[-1].sum() == seen[7].sum()


def test_a_pruned_weight_stays_pruned_however_far_it_moved():
    """Choosing anew ignores where the optimizer has put masked weights meanwhile."""
    kernels = find_kernels(tiny_model())
    masks = Masks(kernels, PruneSettings(sparsity=0.6))
    masks.choose(0.5, [np.abs(k.variable.numpy()) for k in kernels])
    masks.apply()
    pruned = [k.variable.numpy() == 0 for k in kernels]
    for kernel, zero in zip(kernels, pruned, strict=True):
        kernel.variable.assign(kernel.variable.numpy() + 9.0 * zero)
    masks.choose(0.6, [np.abs(k.variable.numpy()) for k in kernels])
    masks.apply()
    assert all(bool((k.variable.numpy()[zero] == 0).all()) for k, zero in zip(kernels, pruned, strict=True))


def test_several_steps_in_one_execution_end_at_the_sparsity(data):
    """steps_per_execution hides steps from callbacks; a mask update among the hidden ones is made up for."""
    model = tiny_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, steps_per_execution=3)
    model.fit(*data.train, batch_size=16, epochs=2, verbose=0, callbacks=[PruningCallback(PruneSettings(sparsity=0.8, every=7, end=1.0))])
    kernels = find_kernels(model)
    assert sum(s.zeros for s in measure_sparsity(kernels)) >= 0.8 * sum(k.elements for k in kernels)


def test_no_epochs_prunes_at_once(data):
    """With 0 epochs the smallest weights go, the others keep their values, and no training data is needed."""
    model = tiny_model()
    pruned, note = prune(model, PruneSettings(sparsity=0.5, epochs=0), Data())
    assert note.zeros == -(-note.weights // 2)
    before, after = (np.concatenate([k.variable.numpy().ravel() for k in find_kernels(m)]) for m in (model, pruned))
    assert np.array_equal(before[after != 0], after[after != 0])


def test_training_without_data_says_so():
    """A recipe that trains needs a train set."""
    with pytest.raises(DataError, match="no train"):
        prune(tiny_model(), PruneSettings(sparsity=0.5), Data())


def test_labels_that_the_models_loss_refuses(data):
    """Labels that only Keras can judge, under a loss of the model's own, are still one sentence."""
    model = tiny_model()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data.train
    with pytest.raises(DataError, match="Keras cannot train on this data") as caught:
        prune(model, PruneSettings(sparsity=0.5, epochs=1), Data(train=(x, y + 7)))
    assert "valid range" in caught.value.message
    with pytest.raises(DataError, match="Keras cannot train on this data"):
        prune(model, PruneSettings(sparsity=0.5, epochs=1), Data(train=(x, np.zeros((len(x), 5, 5)))))


def test_a_fixed_batch_cannot_be_trained(data):
    """A model of batch 1 is refused with the way out."""
    model = keras.Sequential([keras.Input((8, 8, 1), batch_size=1), layers.Flatten(), layers.Dense(CLASSES)])
    with pytest.raises(ModelError, match="fixes its batch to 1"):
        prune(model, PruneSettings(sparsity=0.5, epochs=1), data)


def test_ctrl_c_leaves_training(data):
    """KeyboardInterrupt in the middle of an epoch reaches the caller."""

    def interrupt(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(tiny_model(), PruneSettings(sparsity=0.5), data, progress=interrupt)


def test_progress_counts_the_steps(data):
    """The listener hears 0, then every step up to the total."""
    heard = []
    prune(tiny_model(), PruneSettings(sparsity=0.5, epochs=2), data, progress=lambda *event: heard.append(event))
    assert heard == [("prune to 50%", done, 8) for done in range(9)]


@pytest.mark.parametrize(
    ("labels", "outputs", "task"),
    [
        (np.array([0, 2, 1]), (3,), Task.CLASSES),
        (np.array([[0.0], [2.0], [1.0]]), (3,), Task.CLASSES),
        (np.zeros((2, 4, 4), np.int64), (4, 4, 5), Task.CLASSES),
        (np.eye(3), (3,), Task.ONE_HOT),
        (np.array([[1, 1, 0], [0, 0, 0]]), (3,), Task.BINARY),
        (np.array([0, 1, 1]), (1,), Task.BINARY),
        (np.array([0.5, 1.5]), (1,), Task.REGRESSION),
        (np.full((2, 3), 0.3), (3,), Task.REGRESSION),
    ],
)
def test_labels_say_what_the_task_is(labels, outputs, task):
    """Every row of the table in `objective`."""
    assert find_task(labels, outputs) is task


@pytest.mark.parametrize(
    ("labels", "outputs", "words"),
    [
        (np.array([0, 3]), (3,), "3 classes"),
        (np.array([-1, 0]), (3,), "3 classes"),
        (np.zeros((2, 4)), (3,), "shape"),
        (np.array([0.5]), (3,), "shape"),
    ],
)
def test_labels_that_do_not_fit_are_an_error(labels, outputs, words):
    """A class that does not exist or a foreign shape is named before training starts."""
    with pytest.raises(DataError, match=words):
        find_task(labels, outputs)


def test_the_models_own_loss_comes_first():
    """A compiled model is fine-tuned with its own loss, an uncompiled one with what its labels and last layer imply."""
    model = small_model()
    labelled = Data(validation=(np.zeros((4, 1)), np.zeros(4, np.int64)))
    assert find_objective(model, labelled).loss.get_config()["from_logits"] is True
    model.compile(loss="mse")
    assert find_objective(model, labelled).loss == "mse"
    x = keras.Input((4,))
    ends = keras.Model(x, layers.Softmax()(layers.Dense(3)(x)))
    assert gives_probabilities(ends)
    assert gives_probabilities(keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")]))
    assert not gives_probabilities(model)
    assert find_objective(ends, labelled).loss.get_config()["from_logits"] is False


def test_scores_are_counted_right():
    """Accuracy of classes, one-hot labels and logits of one value; mean absolute error of a regression."""
    logits = np.array([[0.1, 2.0], [3.0, 1.0], [0.0, 1.0], [5.0, 0.0]])
    assert score_outputs(logits, np.array([1, 0, 0, 0]), probabilities=False).value == 0.75
    assert score_outputs(logits, np.eye(2)[[1, 0, 0, 0]], probabilities=False).value == 0.75
    assert score_outputs(np.array([[-1.0], [2.0]]), np.array([0, 0]), probabilities=False).value == 0.5
    assert score_outputs(np.array([[0.4], [0.6]]), np.array([0, 1]), probabilities=True).value == 1.0
    score = score_outputs(np.array([[1.0], [2.0]]), np.array([1.5, 1.5]), probabilities=False)
    assert (score.metric, score.value) == ("mean_absolute_error", 0.5)
