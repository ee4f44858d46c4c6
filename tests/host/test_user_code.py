"""Data functions, losses and metrics that fail: whatever the user's code raises, it is one sentence that says where."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edgecompress.compress import Data, compress, load_data, load_keras
from edgecompress.compress.data import as_data, fit_data
from edgecompress.compress.saliency.gradients import batch_gradients
from edgecompress.compress.score import score_model, score_of
from edgecompress.compress.sensitivity import measure_sensitivity
from edgecompress.compress.training import user_code
from edgecompress.compress.training.train import fit
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import silent
from edgecompress.recipe import Training

X, Y = np.arange(24, dtype=np.float32).reshape(12, 2) / 24, np.arange(12) % 3


def dense_model(name: str = "dense", layer: str = "scores") -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((2,), name="pair"), layers.Dense(4, "relu", name=layer), layers.Dense(3, name="logits")], name=name
    )


class Batches(keras.utils.PyDataset):
    """Three batches that a function of their number gives."""

    def __init__(self, give) -> None:
        super().__init__()
        self._give = give

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index):
        return self._give(index)


class Endless(Batches):
    num_batches = None


class Unfinished(keras.utils.PyDataset):
    def __getitem__(self, index):
        return X, Y


def broken(index=0):
    raise OSError("no such image 7.png")


def broken_later(index):
    return broken() if index else (X[:4], Y[:4])


def broken_dataset():
    def batches():
        broken()
        yield X, Y

    return tf.data.Dataset.from_generator(batches, output_signature=(tf.TensorSpec((None, 2)), tf.TensorSpec((None,), tf.int64)))


@pytest.mark.parametrize(
    ("part", "source", "words"),
    [
        ("train", broken_dataset(), "train: reading its batches failed: OSError: no such image 7.png"),
        ("validation", broken_dataset(), "validation: reading its batches failed: OSError: no such image 7.png"),
        ("calibration", broken_dataset(), "calibration: reading its batches failed: OSError: no such image 7.png"),
        ("train", Batches(broken), "train: reading its batches failed: OSError: no such image 7.png"),
        ("validation", Batches(broken_later), "validation: reading its batches failed: OSError: no such image 7.png"),
        ("calibration", Batches(broken), "calibration: reading its batches failed: OSError: no such image 7.png"),
        ("train", Batches(lambda index: None), r"train: expected batches \(x, y\)"),
        ("validation", Batches(lambda index: X if index else (X, Y)), r"validation: expected batches \(x, y\)"),
        ("calibration", Endless(broken), "calibration: the PyDataset never ends"),
        ("train", Unfinished(), "train: reading its batches failed: NotImplementedError"),
    ],
)
def test_batches_that_fail(part, source, words):
    """A Dataset or a PyDataset that raises, never ends or gives no pairs is named with its part and its reason."""
    with pytest.raises(DataError, match=words) as caught:
        as_data({part: source}, "data.py:load")
    assert caught.value.hint


def test_labels_that_the_model_cannot_take():
    """Words as labels in batches, and as many arrays of labels as there are no outputs; one array in a tuple is the array."""
    words = tf.data.Dataset.from_tensor_slices((X, np.array(["a"] * 12))).batch(4)
    with pytest.raises(DataError, match="train y: expected numbers"):
        fit_data(as_data({"train": words}, "here"), dense_model())
    with pytest.raises(DataError, match="2 arrays of labels came; the model has 1 output"):
        fit_data(as_data({"train": (X, (Y, Y))}, "here"), dense_model())
    assert np.array_equal(fit_data(as_data({"train": ((X,), (Y,))}, "here"), dense_model()).train[1], Y)


def test_sample_weights_beside_arrays_name_the_way():
    """(x, y, weights) is no pair, and the hint says in which form weights come."""
    with pytest.raises(DataError, match="came 3 values") as caught:
        as_data({"train": (X, Y, np.ones(12))}, "here")
    assert "weights" in caught.value.hint


def test_a_batch_that_fails_while_training():
    """A PyDataset that raises in the middle of an epoch."""
    data = as_data({"train": Batches(broken_later)}, "here")
    model = dense_model()
    with pytest.raises(DataError, match="no such image 7"):
        fit(model, data, objective_of=model, training=Training(epochs=1), stage="train", progress=silent)


def lacks_an_attribute(y, outputs):
    return outputs.numpy_()


def breaks_a_promise(y, outputs):
    assert len(y.shape) == 3, "labels must be 3-D"
    return outputs


@pytest.mark.parametrize(("loss", "words"), [(lacks_an_attribute, "AttributeError: .*numpy_"), (breaks_a_promise, "labels must be 3-D")])
def test_a_loss_that_fails(loss, words):
    """Whatever a loss of the user's raises, in training and in a criterion that reads gradients."""
    model, data = dense_model(), Data(train=(X, Y), loss=loss)
    with pytest.raises(DataError, match=words) as caught:
        fit(model, data, objective_of=model, training=Training(epochs=1), stage="train", progress=silent)
    assert caught.value.hint == "the loss is the data function's loss"
    with pytest.raises(DataError, match=words):
        list(batch_gradients(model, model.trainable_variables, data, samples=4, batch_size=4, progress=silent))


def test_a_bug_of_ours_in_training_keeps_its_traceback():
    """What this package itself raises by mistake is no fault of the user's data."""
    with pytest.raises(DataError, match="AttributeError"), user_code.loss_errors_named("train", "inferred"):
        lacks_an_attribute(Y, Y)
    with pytest.raises(AttributeError), user_code.loss_errors_named("train", "inferred"):
        load_keras(None)


def metric_of_tensors(labels, outputs):
    return float(outputs.numpy().mean())


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("no_such_metric", "metric is 'no_such_metric', which Keras does not know"),
        (metric_of_tensors, "the metric 'metric_of_tensors' failed on the validation data: AttributeError"),
        (lambda labels, outputs: tf.reshape(outputs, (7, 7)), "failed on the validation data: InvalidArgumentError"),
        (lambda labels, outputs: np.nan, "is nan on the validation data"),
        (lambda labels, outputs: np.inf, "is inf on the validation data"),
    ],
)
def test_a_metric_that_fails(metric, words):
    """A metric that Keras does not know, one that raises, and one that gives no number that JSON could hold."""
    with pytest.raises(DataError, match=words) as caught:
        score_model(dense_model(), Data(validation=(X, Y), metric=metric))
    assert caught.value.hint


def test_accuracy_by_name_and_metrics_by_class():
    """`accuracy` means what it means in compile, for class numbers and one-hot labels; a metric's class is made into one."""
    outputs = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    labels = np.array([0, 1, 1, 1])
    for metric in ("accuracy", "acc", None, keras.metrics.SparseCategoricalAccuracy):
        assert score_of(outputs, Data(validation=(outputs, labels), metric=metric), probabilities=True).value == 0.5
    one_hot = np.eye(3)[labels]
    assert score_of(outputs, Data(validation=(outputs, one_hot), metric="accuracy"), probabilities=True).value == 0.5


def test_the_function_that_was_meant(tmp_path):
    """A wrong name's hint is the nearest function, or a few of them; an error's message of several lines keeps its first."""
    names = [f"make_{number}" for number in range(20)]
    lines = [*(f"def {name}(): pass" for name in names), "def load(): raise ValueError('the disk\\nis full')"]
    (tmp_path / "data.py").write_text("\n".join(lines), encoding="utf-8")
    for wanted, hint in (("laod", "did you mean 'load'?"), ("zzz", "and 13 more")):
        with pytest.raises(DataError) as caught:
            load_data(f"{tmp_path}/data.py:{wanted}")
        assert caught.value.hint.endswith(hint)
    with pytest.raises(DataError, match=r"line 21, in load: ValueError: the disk$"):
        load_data(f"{tmp_path}/data.py:load")


@pytest.mark.parametrize("what", ["kernel", "bias"])
def test_weights_that_are_no_numbers(what):
    """A model that diverged is refused with its layer, inside a nested model too, before any work."""
    inner = dense_model("inner")
    variable = getattr(inner.get_layer("scores"), what)
    values = variable.numpy()
    values.flat[0] = np.nan if what == "kernel" else np.inf
    variable.assign(values)
    outer = keras.Sequential([keras.Input((2,)), inner])
    for work in (compress, measure_sensitivity):
        with pytest.raises(ModelError, match=f"layer 'inner/scores': its {what} holds NaN or infinite values"):
            work(outer, data=Data(validation=(X, Y), calibration=X))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (dense_model(layer="größe 1"), "layer 'größe 1'"),
        (dense_model("mein modell"), "model 'mein modell'"),
        (dense_model("_m"), "model '_m'"),
    ],
)
def test_names_that_tensorflow_refuses(model, words):
    """Names with spaces or letters beyond ASCII, which models trained on another backend may have."""
    with pytest.raises(ModelError, match=f"{words}: TensorFlow computes no layer or model of this name") as caught:
        compress(model, data=Data(calibration=X))
    assert caught.value.hint
