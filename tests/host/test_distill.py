"""Learning from teachers, and fusing them with the student."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from pydantic import ValidationError
from scipy.special import expit, log_softmax, rel_entr, softmax

from edgecompress.compress.data import Data
from edgecompress.compress.distill.learn import distill
from edgecompress.compress.distill.lesson import Lesson
from edgecompress.compress.distill.targets import Kind, TeacherLoss, output_kinds, to_logits
from edgecompress.compress.evaluate import evaluate_tflite
from edgecompress.compress.fusion import fuse, fuse_models
from edgecompress.compress.int8.aware import observe_ranges, quantization_aware
from edgecompress.compress.run import compress
from edgecompress.compress.training.train import fit
from edgecompress.convert import Converter, Mode
from edgecompress.errors import ModelError, RecipeError
from edgecompress.keras_graph.prepare import prepare
from edgecompress.progress import silent
from edgecompress.recipe import PruneSettings, Recipe, ShrinkSettings
from edgecompress.recipe.base import Training
from edgecompress.recipe.distill import DistillSettings, FuseSettings
from edgecompress.recipe.teacher import DistillLoss, FeaturePair

CLASSES = 3
RNG = np.random.default_rng(0)
STUDENT, FIRST, SECOND = (RNG.normal(0, 3, (5, CLASSES)).astype(np.float32) for _ in range(3))


@pytest.fixture(scope="module")
def data():
    """Vectors, the largest of whose first three numbers tells the class."""
    x = np.random.default_rng(1).normal(size=(128, 8)).astype(np.float32)
    return Data(train=(x, x[:, :CLASSES].argmax(axis=1).astype(np.int32)))


def dense_model(width: int, *, softmax_end: bool = False, seed: int = 0, name: str = "dense") -> keras.Model:
    keras.utils.set_random_seed(seed)
    hidden = layers.Dense(width, "relu", name="hidden")
    return keras.Sequential([keras.Input((8,)), hidden, layers.Dense(CLASSES, "softmax" if softmax_end else None, name="out")], name=name)


def term(kind: Kind, student, teachers, *, sample_weight=None, from_softmax: bool = False, **settings) -> float:
    """The loss term in a graph, as in training."""
    names = tuple(f"{i}.keras" for i in range(len(teachers)))
    loss = TeacherLoss(kind, DistillLoss(teacher=names, **settings), student=from_softmax, teachers=[from_softmax] * len(teachers))

    @tf.function
    def run(s, *t):
        end = (tf.nn.softmax if kind is Kind.CLASSES else tf.sigmoid) if from_softmax else tf.identity
        return loss([end(z) for z in t], end(s), sample_weight)

    return float(run(tf.constant(student), *map(tf.constant, teachers)))


def test_soft_targets_are_the_kl_divergence_at_a_temperature():
    """T^2 KL(softmax(t / T) || softmax(z / T)), averaged over the batch, equals SciPy's relative entropy."""
    expected = 9.0 * rel_entr(softmax(FIRST / 3, axis=1), softmax(STUDENT / 3, axis=1)).sum(axis=1).mean()
    assert term(Kind.CLASSES, STUDENT, [FIRST], temperature=3.0) == pytest.approx(expected, rel=1e-5)


def test_several_teachers_give_the_mean_of_their_soft_targets():
    """The target is the mixture of the teachers' probabilities by their shares, which need not add up to one."""
    q = 0.75 * softmax(FIRST / 2, axis=1) + 0.25 * softmax(SECOND / 2, axis=1)
    expected = 4.0 * rel_entr(q, softmax(STUDENT / 2, axis=1)).sum(axis=1).mean()
    assert term(Kind.CLASSES, STUDENT, [FIRST, SECOND], temperature=2.0, shares=(3.0, 1.0)) == pytest.approx(expected, rel=1e-5)


def test_squared_error_of_logits_ignores_their_shift():
    """Mean over classes of the squared difference of centred logits."""
    centred = (STUDENT - STUDENT.mean(1, keepdims=True)) - (FIRST - FIRST.mean(1, keepdims=True))
    assert term(Kind.CLASSES, STUDENT, [FIRST + 5], targets="squared") == pytest.approx((centred**2).mean(), rel=1e-5)


def test_hard_targets_are_the_class_that_the_teachers_find_likeliest():
    """Cross-entropy with the argmax of the mean of the teachers' probabilities."""
    chosen = (softmax(FIRST, axis=1) + softmax(SECOND, axis=1)).argmax(axis=1)
    expected = -log_softmax(STUDENT, axis=1)[np.arange(5), chosen].mean()
    assert term(Kind.CLASSES, STUDENT, [FIRST, SECOND], targets="hard") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("targets", ["soft", "squared", "hard"])
@pytest.mark.parametrize("kind", [Kind.CLASSES, Kind.BINARY])
def test_probabilities_teach_as_their_logits(kind, targets):
    """Models that end in softmax or sigmoid give the loss of the same models without it."""
    plain = term(kind, STUDENT, [FIRST, SECOND], targets=targets)
    assert term(kind, STUDENT, [FIRST, SECOND], targets=targets, from_softmax=True) == pytest.approx(plain, rel=1e-4)


def test_yes_or_no_outputs_are_compared_one_by_one():
    """For sigmoids the divergence is that of two-valued distributions, averaged over the outputs."""
    q, p = expit(FIRST / 2), expit(STUDENT / 2)
    expected = 4.0 * (rel_entr(q, p) + rel_entr(1 - q, 1 - p)).mean()
    assert term(Kind.BINARY, STUDENT, [FIRST], temperature=2.0) == pytest.approx(expected, rel=1e-4)


def test_values_are_learned_by_squared_error_whatever_the_targets():
    """A regression's outputs are no classes: mean squared difference to the teachers' weighted mean."""
    expected = ((STUDENT - (FIRST + SECOND) / 2) ** 2).mean()
    for targets in ("soft", "hard"):
        assert term(Kind.VALUES, STUDENT, [FIRST, SECOND], targets=targets) == pytest.approx(expected, rel=1e-5)


def test_sample_weights_weigh_the_teacher_too():
    """A sample of weight 0 teaches nothing; the sum is still divided by all samples, as Keras does."""
    weights = tf.constant([1.0, 0, 0, 0, 0])
    expected = 16.0 * rel_entr(softmax(FIRST / 4, axis=1), softmax(STUDENT / 4, axis=1)).sum(axis=1)[0] / 5
    assert term(Kind.CLASSES, STUDENT, [FIRST], sample_weight=weights) == pytest.approx(expected, rel=1e-5)


def test_logits_of_a_certain_softmax_are_finite():
    """A probability of exactly 0 or 1 has logits that can be computed with."""
    for kind in (Kind.CLASSES, Kind.BINARY):
        assert np.isfinite(to_logits(tf.constant([[0.0, 1.0]]), kind).numpy()).all()


def test_kinds_of_outputs_follow_the_loss_or_the_end_of_the_model():
    """Cross-entropies tell classes and yes-or-no apart; a loss of one's own leaves it to the softmax; other numbers are values."""
    own = lambda y, y_pred: 0.0  # noqa: E731
    logits, ends = dense_model(4), dense_model(4, softmax_end=True)
    losses = ["sparse_categorical_crossentropy", keras.losses.BinaryCrossentropy(from_logits=True), "mse", own]
    assert [output_kinds(logits, loss)[0] for loss in losses] == [Kind.CLASSES, Kind.BINARY, Kind.VALUES, Kind.VALUES]
    assert output_kinds(ends, own) == [Kind.CLASSES]


def agreement(student: keras.Model, teacher: keras.Model, x) -> float:
    ours, theirs = student.predict(x, verbose=0), teacher.predict(x, verbose=0)
    return float(rel_entr(softmax(theirs, axis=1), softmax(ours, axis=1)).sum(axis=1).mean())


def test_a_student_comes_nearer_to_its_teacher(data, tmp_path):
    """With weight 1 the divergence from the teacher, read from a file, falls to a fraction; the model that came in is unchanged."""
    teacher, student = dense_model(16, seed=1), dense_model(6)
    teacher.save(tmp_path / "teacher.keras")
    before = [w.copy() for w in student.get_weights()]
    asked = DistillLoss(teacher=str(tmp_path / "teacher.keras"), weight=1.0, temperature=1.0)
    learned, note = distill(student, DistillSettings(epochs=20, learning_rate=5e-2, distill=asked), data)
    x = data.train[0]
    assert agreement(learned, teacher, x) < 0.2 * agreement(student, teacher, x)
    assert note.steps == 80
    assert "soft targets at temperature 1" in note.objective
    assert all(np.array_equal(a, b) for a, b in zip(before, student.get_weights(), strict=True))


def test_the_loss_is_a_mixture_of_labels_and_teacher(data):
    """(1 - w) task + w T^2 KL + feature term: one batch's loss is the sum worked out from the models' own outputs."""
    teacher, student = dense_model(6, seed=1), dense_model(6)
    pair = FeaturePair(student="hidden", teacher="hidden")
    x, y = data.train
    z, t = student.predict(x, verbose=0), teacher.predict(x, verbose=0)
    task = -log_softmax(z, axis=1)[np.arange(len(y)), y].mean()
    divergence = 4.0 * rel_entr(softmax(t / 2, axis=1), softmax(z / 2, axis=1)).sum(axis=1).mean()
    hidden = [keras.Model(m.inputs, m.get_layer("hidden").output).predict(x, verbose=0) for m in (student, teacher)]
    expected = 0.7 * task + 0.3 * divergence + 0.5 * ((hidden[0] - hidden[1]) ** 2).mean()
    asked = DistillLoss(temperature=2.0, weight=0.3, features=(pair,), feature_weight=0.5)
    training = Training(epochs=1, batch_size=len(y), learning_rate=1e-9, distill=asked)
    trained = fit(student, data, objective_of=student, training=training, stage="t", progress=silent, original=teacher)
    assert trained.loss == pytest.approx(expected, rel=1e-4)


def nested(width: int, seed: int) -> keras.Model:
    """A convolution inside a nested model."""
    keras.utils.set_random_seed(seed)
    block = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(width, 3, name="conv")], name="block")
    image = keras.Input((6, 6, 1))
    return keras.Model(image, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(block(image))))


def test_features_of_nested_layers_are_learned_through_a_projection():
    """Layers of different width inside nested models: the feature loss falls, and the projection is gone afterwards."""
    x = np.random.default_rng(0).normal(size=(64, 6, 6, 1)).astype(np.float32)
    data = Data(train=(x, np.zeros(64, np.int32)))
    student, teacher = nested(3, 0), nested(5, 1)
    asked = DistillLoss(weight=0.0, features=(FeaturePair(student="block/conv", teacher="block/conv"),), feature_weight=1000.0)
    losses = []
    for epochs in (1, 20):
        learned, note = distill(student, DistillSettings(epochs=epochs, learning_rate=1e-2, distill=asked), data, original=teacher)
        losses.append(note.loss)
    assert losses[1] < 0.5 * losses[0]
    assert note.features == ("block/conv <- block/conv",)
    assert [w.shape for w in learned.get_weights()] == [w.shape for w in student.get_weights()]
    assert "call" not in vars(teacher.get_layer("block").get_layer("conv"))


class Subclassed(keras.Model):
    """A teacher whose graph Keras does not know."""

    def __init__(self):
        super().__init__()
        self.out = layers.Dense(CLASSES, "softmax", name="out")

    def call(self, inputs):
        return self.out(inputs)


def test_any_model_teaches(data):
    """A subclassed teacher that ends in softmax teaches a student with logits: its probabilities are recognized in the graph."""
    keras.utils.set_random_seed(0)
    teacher = Subclassed()
    teacher(data.train[0][:1])
    keras.utils.set_random_seed(1)
    student = keras.Sequential([keras.Input((8,)), layers.Dense(CLASSES)])
    asked = DistillSettings(epochs=20, learning_rate=5e-2, distill=DistillLoss(weight=1.0, temperature=1.0))
    learned, _ = distill(student, asked, data, original=teacher)
    x = data.train[0]
    q = teacher.predict(x, verbose=0)
    divergence = [rel_entr(q, softmax(m.predict(x, verbose=0), axis=1)).sum(axis=1).mean() for m in (student, learned)]
    assert divergence[1] < 0.05 * divergence[0]


def test_regression_and_fake_quant_learn_from_a_teacher():
    """A quantization-aware regression model learns its float original's values when the labels count for nothing."""
    x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    keras.utils.set_random_seed(0)
    original = keras.Sequential([keras.Input((8,)), layers.Dense(2, name="out")])
    original.compile(loss="mse")
    student = quantization_aware(original)
    observe_ranges(student, [x])
    student.get_layer("out").bias.assign([0.5, -0.5])
    data = Data(train=(x, np.full((64, 2), 100.0, np.float32)))
    training = Training(epochs=20, batch_size=16, learning_rate=3e-2, distill=DistillLoss(weight=1.0))
    trained = fit(student, data, objective_of=original, training=training, stage="t", progress=silent, original=original)
    assert "squared error" in trained.objective
    assert np.abs(student.predict(x, verbose=0) - original.predict(x, verbose=0)).mean() < 0.1


def test_a_distilled_step_is_traced_once(data):
    """Batches of one size do not make the teacher run in Python again."""
    calls = []

    class Counting(layers.Layer):
        def call(self, inputs):
            calls.append(1)
            return inputs

    student = dense_model(4)
    keras.utils.set_random_seed(0)
    teacher = keras.Sequential([keras.Input((8,)), Counting(), layers.Dense(CLASSES)])
    calls.clear()
    distill(student, DistillSettings(epochs=3), data, original=teacher)
    assert len(calls) <= 2


def test_what_does_not_fit_is_refused(data):
    """A teacher of another shape, features of another size, a missing layer and shares that do not match are errors with names."""
    student = dense_model(4)
    wide = keras.Sequential([keras.Input((9,)), layers.Dense(CLASSES)], name="wide")
    with pytest.raises(ModelError, match=r"wide.*inputs of shape"):
        Lesson(student, DistillLoss(), original=wide, loss="mse")
    with pytest.raises(RecipeError, match="'hiden'"):
        Lesson(student, DistillLoss(features=(FeaturePair(student="hiden", teacher="hidden"),)), original=student, loss="mse")
    with pytest.raises(ModelError, match="only the channels"):
        image = nested(3, 0)
        far = FeaturePair(student="block/conv", teacher="block")
        keras.utils.set_random_seed(0)
        pixels = keras.Input((6, 6, 1))
        pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 5, name="block")(pixels))
        Lesson(image, DistillLoss(features=(far,)), original=keras.Model(pixels, layers.Dense(CLASSES)(pooled)), loss="mse")
    with pytest.raises(ValidationError, match="2 entries for 1"):
        DistillLoss(shares=(1.0, 1.0))
    with pytest.raises(ValidationError, match="counted from 0"):
        DistillLoss(features=(FeaturePair(student="a", teacher="b", of=1),))


@pytest.mark.parametrize(
    "step", [FuseSettings(teacher="none/big.keras"), PruneSettings(sparsity=0.5, distill=DistillLoss(teacher="none/big.keras"))]
)
def test_a_missing_teacher_is_known_before_any_step(step):
    """A file that the last step would read is missed before the first one trains."""
    stages = []
    with pytest.raises(ModelError, match=r"step 2 .*none/big.keras: cannot be read"):
        compress(dense_model(4), Recipe(step=(ShrinkSettings(amount=0.5), step)), progress=lambda stage, *_: stages.append(stage))
    assert not stages


def test_fused_outputs_are_the_weighted_mean():
    """Logits of both members are averaged by share; probabilities when one member has only those."""
    x = RNG.normal(size=(20, 8)).astype(np.float32)
    first, second = dense_model(4), dense_model(6, seed=1)
    a, b = first.predict(x, verbose=0), second.predict(x, verbose=0)
    fused = fuse_models([first, second], (3.0, 1.0))
    np.testing.assert_allclose(fused.predict(x, verbose=0), 0.75 * a + 0.25 * b, rtol=1e-5, atol=1e-5)
    ends = dense_model(6, seed=1, softmax_end=True)
    mixed = fuse_models([first, ends]).predict(x, verbose=0)
    np.testing.assert_allclose(mixed, (softmax(a, axis=1) + softmax(b, axis=1)) / 2, rtol=1e-5, atol=1e-5)


def test_fused_votes_follow_the_majority_and_ties_the_mean():
    """With three members two agree or the mean of all decides, as counted by hand."""
    x = RNG.normal(0, 10, (60, 8)).astype(np.float32)
    members = [dense_model(4, seed=seed) for seed in range(3)]
    fused = fuse_models(members, method="vote").predict(x, verbose=0).argmax(axis=1)
    p = np.stack([softmax(m.predict(x, verbose=0), axis=1) for m in members])
    votes = np.eye(CLASSES)[p.argmax(axis=2)].sum(axis=0)
    expected = (votes + 1e-3 * p.mean(axis=0)).argmax(axis=1)
    near = (np.diff(np.sort(p, axis=2), axis=2)[..., -1] < 1 / 256).any(axis=0)
    np.testing.assert_array_equal(fused[~near], expected[~near])
    assert (votes.max(axis=1) == 1).any()
    assert near.mean() < 0.4


def test_a_fused_model_converts_and_weighs_as_both(data):
    """The artifact holds the parameters of both members; as int8 .tflite, votes included, it decides as the Keras model does."""
    student, teacher = dense_model(40), dense_model(80, seed=1)
    fused, note = fuse(student, FuseSettings(), data, original=teacher)
    assert note.parameters == fused.count_params() == student.count_params() + teacher.count_params()
    assert [member.name for member in note.members] == ["student", "original"]
    voting, _ = fuse(student, FuseSettings(method="vote"), data, original=teacher)
    x = data.train[0]
    with Converter() as converter:
        quantized = converter.convert(prepare(voting), Mode.INT8, calibration=x)
    assert len(quantized) > note.parameters
    decided = voting.predict(x, verbose=0).argmax(axis=1).astype(np.int32)
    assert evaluate_tflite(quantized, x, decided) > 0.9


def test_fusion_refuses_what_it_cannot_fuse():
    """A vote over one column, and members of other shapes, are errors that say so."""
    one = keras.Sequential([keras.Input((8,)), layers.Dense(1)], name="one")
    with pytest.raises(RecipeError, match="two classes"):
        fuse_models([one, one], method="vote")
    with pytest.raises(ModelError, match="outputs of shape"):
        fuse_models([dense_model(4), one])
    with pytest.raises(ValidationError, match="1 entries"):
        FuseSettings(shares=(1.0,))
