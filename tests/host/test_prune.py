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
from edgecompress.compress.grid.cluster import cluster
from edgecompress.compress.grid.layers import describe_codebooks
from edgecompress.compress.int8.fake_quant import Int8Dense
from edgecompress.compress.int8.step import convert_quantized, quantize
from edgecompress.compress.prune.kernels import find_kernels
from edgecompress.compress.prune.masks import Masks
from edgecompress.compress.prune.sparsity import choose_kept
from edgecompress.compress.prune.step import PruningCallback, measure_sparsity, prune
from edgecompress.compress.score import score_model, score_outputs
from edgecompress.compress.training.objective import Task, find_objective, find_task, gives_probabilities
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import DataError, ModelError, RecipeError
from edgecompress.recipe import ClusterSettings, PruneSettings, QuantizeSettings
from edgecompress.recipe.prune import NewHead
from edgecompress.recipe.saliency import Criterion

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
    """Class numbers that the outputs lack, and labels that only Keras can judge, are one sentence under a loss of the model's own, too."""
    model = tiny_model()
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data.train
    with pytest.raises(DataError, match="labels run from 7 to 9; the model tells 3 classes apart"):
        prune(model, PruneSettings(sparsity=0.5, epochs=1), Data(train=(x, y + 7)))
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


# l1, random, input_norm and movement train in tests of their own.
TRAINED_HERE = (Criterion.L2, Criterion.GRADIENT, Criterion.TAYLOR, Criterion.OUTPUT_ERROR)


@pytest.mark.parametrize("criterion", TRAINED_HERE)
def test_every_saliency_of_weights_prunes_exactly(data, criterion):
    """While training, each reaches the sparsity to the weight."""
    settings = PruneSettings(saliency=criterion, sparsity=0.6, epochs=1, batch_size=16, every=2, saliency_samples=32)
    pruned, note = prune(tiny_model(), settings, data)
    assert note.zeros == all_zeros(pruned) == -(-6 * note.weights // 10)
    assert note.saliency == criterion.value


def test_saliencies_choose_differently(data):
    """At once, those that read data leave other weights than the magnitude does, and turning the order prunes the large ones."""
    model = tiny_model()

    def kept(**settings):
        pruned, _ = prune(model, PruneSettings(sparsity=0.5, epochs=0, **settings), data)
        return np.concatenate([k.variable.numpy().ravel() != 0 for k in find_kernels(pruned)])

    by_size = kept()
    for criterion in ("gradient", "taylor", "random", "input_norm", "output_error"):
        assert not np.array_equal(kept(saliency=criterion), by_size), criterion
    assert np.array_equal(kept(order="high_first", scope="layer"), ~kept(scope="layer"))
    assert np.array_equal(kept(saliency="random", seed=3), kept(saliency="random", seed=3))


def test_an_input_that_never_speaks_is_pruned_first(data):
    """The largest weights go when they multiply zeros only: what a magnitude cannot see."""
    model = tiny_model()
    hidden = model.get_layer("hidden")
    kernel = hidden.kernel.numpy()
    kernel[:16] = 9.0
    hidden.kernel.assign(kernel)
    x = data.train[0].copy()
    x[:, :2] = 0.0
    for criterion in ("input_norm", "output_error"):
        settings = PruneSettings(saliency=criterion, sparsity=0.25, scope="layer", epochs=0)
        pruned, _ = prune(model, settings, Data(calibration=x))
        assert (pruned.get_layer("hidden").kernel.numpy() == 0).sum(axis=1).tolist() == [8] * 16 + [0] * 48


def watched(settings: PruneSettings, data: Data) -> list[int]:
    """Zeros before the first step and after each one."""
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(all_zeros(self.model))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(all_zeros(self.model))

    model = tiny_model()
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data.train, batch_size=16, epochs=1, verbose=0, callbacks=[PruningCallback(settings), Watch()])
    return seen


def test_one_shot_prunes_once_before_training(data):
    """All zeros are there before the first step, and no more come."""
    assert watched(PruneSettings(sparsity=0.75, schedule="one_shot"), data) == [402] * 9


def test_iterative_prunes_a_part_and_fine_tunes_in_between(data):
    """Two rounds to 3/4 in 8 steps: half of the 536 weights before the first step, three quarters after the fourth."""
    assert watched(PruneSettings(sparsity=0.75, schedule="iterative", rounds=2), data) == [268] * 4 + [402] * 5


def test_a_threshold_prunes_what_is_below_it():
    """An absolute threshold, from either end, and one that shrinks with the square root of a layer's size."""
    model = tiny_model()
    before = [np.abs(k.variable.numpy()) for k in find_kernels(model)]
    _, note = prune(model, PruneSettings(threshold=0.1, epochs=0), Data())
    assert [layer.zeros for layer in note.layers] == [int((size < 0.1).sum()) for size in before]
    _, note = prune(model, PruneSettings(threshold=1.0, threshold_scaling="layer_size", epochs=0), Data())
    assert [layer.zeros for layer in note.layers] == [int((size < 1 / np.sqrt(size.size)).sum()) for size in before]
    _, note = prune(model, PruneSettings(threshold=0.1, order="high_first", epochs=0), Data())
    assert [layer.zeros for layer in note.layers] == [int((size > 0.1).sum()) for size in before]
    _, note = prune(model, PruneSettings(threshold=99.0, epochs=0), Data())
    assert [layer.weights - layer.zeros for layer in note.layers] == [1, 1]


def test_a_threshold_from_above_falls_to_its_goal():
    """With high_first and a schedule, nothing goes at first, less than asked for halfway, and no weight comes back."""
    model = tiny_model()
    kernels = find_kernels(model)
    masks = Masks(kernels, PruneSettings(threshold=0.1, order="high_first"))
    scores = [-np.abs(kernel.variable.numpy()).astype(np.float64) for kernel in kernels]
    zeros = []
    for share in (0.0, 0.5, 1.0, 0.0):
        masks.choose(share, scores)
        masks.apply()
        zeros.append(all_zeros(model))
    assert zeros == [0, *(sum(int((score < -limit).sum()) for score in scores) for limit in (0.2, 0.1)), zeros[2]]


def test_zeros_of_an_earlier_step_stay(data):
    """A second pruning by another saliency goes on from the first one's masks."""
    first, _ = prune(tiny_model(), PruneSettings(sparsity=0.5, epochs=0), Data())
    second, note = prune(first, PruneSettings(saliency="random", sparsity=0.7, epochs=1, batch_size=16), data)
    for a, b in zip(find_kernels(first), find_kernels(second), strict=True):
        assert (b.variable.numpy()[a.variable.numpy() == 0] == 0).all()
    assert note.zeros == -(-7 * note.weights // 10)


def test_include_prunes_nothing_else_and_refuses_depthwise():
    """Only the named layers lose weights; a depthwise kernel that is named is refused, and otherwise listed as left alone."""
    _, note = prune(small_model(), PruneSettings(sparsity=0.5, epochs=0, include=("block",)), Data())
    assert [layer.layer for layer in note.layers] == ["block/conv"]
    assert note.left_alone == ()
    with pytest.raises(RecipeError, match="'depthwise', a depthwise kernel"):
        prune(small_model(), PruneSettings(sparsity=0.5, epochs=0, include=("stem", "depthwise")), Data())
    _, note = prune(small_model(), PruneSettings(pattern="2:4", epochs=0), Data())
    assert [layer.layer for layer in note.left_alone] == ["depthwise", "separable"]


def test_a_pattern_leaves_alone_what_has_no_inputs_in_a_row():
    """Recurrent kernels and projections of attention are named with the reason."""
    x = sequence = keras.Input((5, 8))
    x = layers.LSTM(4, name="memory")(x)
    model = keras.Model(sequence, layers.Dense(4, name="head")(x))
    _, note = prune(model, PruneSettings(pattern="2:4", epochs=0), Data())
    assert [layer.layer for layer in note.layers] == ["head"]
    assert [layer.layer for layer in note.left_alone] == ["memory/lstm_cell"]
    with pytest.raises(RecipeError, match="pattern fits no layer"):
        prune(model, PruneSettings(pattern="2:4", epochs=0, include=("memory",)), Data())


def test_a_pattern_is_reached_step_by_step(data):
    """2:4 while training: one zero of four halfway, two at the end, never a third."""
    pruned, note = prune(tiny_model(), PruneSettings(pattern="2:4", epochs=1, batch_size=16, every=1), data)
    kernel = pruned.get_layer("hidden").kernel.numpy()
    assert (np.count_nonzero(kernel.reshape(16, 4, 8), axis=1) == 2).all()
    assert note.zeros == note.weights // 2


@pytest.fixture(scope="module")
def patterned() -> keras.Model:
    """BatchNormalization to fold, a grouped, a strided and a transposed convolution, and a dense layer behind a Flatten."""
    keras.utils.set_random_seed(3)
    x = image = keras.Input((8, 8, 8))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="strided")(x)
    x = layers.Conv2DTranspose(8, 2, strides=2, activation="relu", name="up")(x)
    x = layers.Conv2D(6, 1, activation="relu", name="six")(x)
    model = keras.Model(image, layers.Dense(5, name="scores")(layers.Flatten()(x)))
    model.get_layer("norm").set_weights([np.linspace(-2, 2, 8), np.ones(8), np.zeros(8), np.ones(8)])
    return model


@pytest.fixture(scope="module")
def converter():
    with Converter() as running:
        yield running


@pytest.mark.parametrize(("method", "pattern", "kept", "of"), [("ptq", "2:4", 2, 4), ("qat", "1:4", 1, 4)])
def test_groups_hold_in_the_int8_file(patterned, converter, method, pattern, kept, of):
    """N:M along the last axis of every OHWI filter and every fully connected row of the .tflite, except the depthwise one."""
    rng = np.random.default_rng(0)
    data = Data(train=(rng.normal(size=(32, 8, 8, 8)).astype(np.float32), rng.integers(0, 5, 32)))
    pruned, _ = prune(patterned, PruneSettings(pattern=pattern, epochs=0), data)
    settings = QuantizeSettings(method=method, epochs=1)
    graph = read_tflite(convert_quantized(quantize(pruned, settings, data)[0], settings, data, converter))
    seen = []
    for op in graph.ops:
        weights = [t.data for t in graph.op_inputs(op) if t is not None and t.is_constant and t.dtype.value == "int8" and t.data.ndim > 1]
        if weights and op.kind != "DEPTHWISE_CONV_2D":
            rows = weights[0].reshape(-1, weights[0].shape[-1])
            padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % of))).reshape(-1, of)
            assert np.count_nonzero(padded, axis=1).max() <= kept, op.kind
            assert np.count_nonzero(padded) >= 0.8 * kept * len(padded), op.kind
            seen.append(op.kind)
    assert sorted(seen) == ["CONV_2D", "CONV_2D", "CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"]


@pytest.mark.parametrize(("pattern", "axes"), [("1x4", (1, 4)), ("4x1", (4, 1))])
def test_blocks_are_zero_or_whole(patterned, pattern, axes):
    """Blocks of neighbouring outputs and inputs go together, in a convolution and in a dense layer, up to the sparsity."""
    pruned, note = prune(patterned, PruneSettings(sparsity=0.5, pattern=pattern, epochs=0), Data())
    outputs, inputs = axes
    for name in ("stem", "strided"):
        rows = np.moveaxis(pruned.get_layer(name).kernel.numpy(), (-1, -2), (0, -1)).reshape(8, 9, 8)
        counts = np.count_nonzero(rows.reshape(8 // outputs, outputs, 9, 8 // inputs, inputs), axis=(1, 4))
        assert set(np.unique(counts)) == {0, 4}
    assert note.weights / 2 <= note.zeros < note.weights / 2 + 4
    assert note.pattern == pattern


def test_a_new_task_gets_a_head_of_its_own(data):
    """The named layer starts anew with the new number of classes and keeps all its weights; the rest is pruned on the new labels."""
    x, y = data.train
    new = Data(train=(x, (y == 2).astype(np.int32)), validation=(data.validation[0], (data.validation[1] == 2).astype(np.int32)))
    model = tiny_model()
    before = [w.copy() for w in model.get_weights()]
    settings = PruneSettings(
        saliency="movement",
        sparsity=0.5,
        begin=0.2,
        new_head=NewHead(layer="logits", units=2),
        epochs=12,
        batch_size=16,
        learning_rate=0.02,
    )
    keras.utils.set_random_seed(0)
    pruned, note = prune(model, settings, new)
    assert pruned.output_shape == (None, 2)
    assert [(layer.layer, layer.zeros) for layer in note.layers] == [("hidden", 256)]
    assert note.new_head == "logits"
    assert np.count_nonzero(pruned.get_layer("logits").kernel.numpy()) == 16
    assert score_model(pruned, new).value >= 0.8
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_masks_of_a_new_task_follow_its_labels(data):
    """The same start and settings, other labels: other weights are left."""
    x, y = data.train
    settings = PruneSettings(
        saliency="movement", sparsity=0.5, new_head=NewHead(layer="logits"), epochs=2, batch_size=16, learning_rate=0.02
    )
    masks = []
    for labels in (y, 2 - y):
        keras.utils.set_random_seed(0)
        pruned, _ = prune(tiny_model(), settings, Data(train=(x, labels)))
        masks.append(pruned.get_layer("hidden").kernel.numpy() != 0)
    assert not np.array_equal(masks[0], masks[1])


def test_a_head_that_is_none_is_named():
    """A pooling layer or a layer of a nested model cannot be the new head."""
    for name in ("block/conv", "depthwise", "nothing"):
        with pytest.raises(RecipeError, match=f"new_head names '{name}'"):
            prune(small_model(), PruneSettings(sparsity=0.5, new_head=NewHead(layer=name)), Data())


def test_a_callback_of_its_own_needs_data_to_read(data):
    """A saliency that reads data says how to give it."""
    model = tiny_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(RecipeError, match="'taylor' reads training samples") as caught:
        model.fit(*data.train, verbose=0, callbacks=[PruningCallback(PruneSettings(saliency=Criterion.TAYLOR, sparsity=0.5))])
    assert "data=" in caught.value.hint


def test_data_is_read_at_most_ten_times(data):
    """Masks follow the last reading in between."""
    heard = []
    model = tiny_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = PruneSettings(saliency="input_norm", sparsity=0.8, every=1, end=1.0, saliency_samples=16, batch_size=16)
    callback = PruningCallback(settings, data=data, progress=lambda stage, done, total: heard.append((stage, done)))
    model.fit(*data.train, batch_size=4, epochs=1, verbose=0, callbacks=[callback])
    assert heard.count(("read layer inputs", 0)) <= 10
    assert all_zeros(model) == -(-8 * 536 // 10)


def on_levels(levels: list[int]) -> keras.Model:
    """A dense layer on a codebook, behind a plain one."""
    keras.utils.set_random_seed(0)
    coded = Int8Dense(4, levels=len(levels), name="coded")
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, name="plain"), coded])
    coded.kernel_levels.assign(levels)
    coded.kernel_log_scales.assign(np.log2(np.abs(coded.kernel.numpy()).max(axis=0) / 127))
    return model


def test_codebooks_with_a_zero_are_pruned():
    """A weight that goes is at level 0 of a ternary layer; a binary layer can have none, and is named as left alone."""
    pruned, note = prune(on_levels([-127, 0, 127]), PruneSettings(sparsity=0.5, scope="layer", epochs=0), Data())
    coded = pruned.get_layer("coded")
    assert [layer.zeros for layer in note.layers] == [32, 16]
    assert (np.asarray(coded.int8_kernel)[coded.kernel.numpy() == 0] == 0).all()
    _, note = prune(on_levels([-127, 127]), PruneSettings(sparsity=0.5, epochs=0), Data())
    assert [layer.layer for layer in note.layers] == ["plain"]
    assert [layer.layer for layer in note.left_alone] == ["coded"] and "no 0" in note.left_alone[0].reason
    with pytest.raises(RecipeError, match="no layer to prune") as caught:
        prune(on_levels([-127, 127]), PruneSettings(sparsity=0.5, epochs=0, exclude=("plain",)), Data())
    assert caught.value.hint.startswith("coded: its codebook")


def test_clusters_without_a_zero_get_one(data):
    """Clustered first and pruned then: the level nearest to 0 becomes 0, there are no more levels than before, and training keeps both."""
    model = tiny_model()
    clustered, _ = cluster(model, ClusterSettings(clusters=4, epochs=0), Data())
    assert not any((layer.kernel_levels.numpy() == 0).any() for layer in clustered.layers if hasattr(layer, "kernel_levels"))
    pruned, note = prune(clustered, PruneSettings(sparsity=0.6, scope="layer", epochs=1, every=1, batch_size=16), data)
    assert note.zeros == sum(-(-6 * layer.weights // 10) for layer in note.layers) and not note.left_alone
    for codebook in describe_codebooks(pruned, {}):
        assert codebook.levels <= 4 and codebook.zeros >= 0.6 * codebook.weights


def test_a_head_on_a_codebook_is_refused(data):
    """Fresh weights have no codebook: the head would give nothing."""
    with pytest.raises(RecipeError, match="'coded', whose weights are on a codebook"):
        prune(on_levels([-127, 0, 127]), PruneSettings(sparsity=0.5, new_head=NewHead(layer="coded")), data)
