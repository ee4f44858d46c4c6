"""The user's data function, and .keras files: what is wrong with them is said in one sentence."""

from __future__ import annotations

import os
import sys
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress import Data, load_data, load_keras
from edgecompress.compress.data import as_data, as_model_inputs, calibration_batches, fit_data, train_batches
from edgecompress.errors import DataError, ModelError

GOOD = """
import numpy as np
from beside import SIZE

def load():
    x = np.zeros((SIZE, 8, 8, 1), np.uint8)
    return {"train": (x, np.zeros(SIZE)), "calibration": x[:2]}
"""


def write_function(folder, body: str) -> str:
    """A data file with `load` made of `body`, and its FILE.py:FUNCTION."""
    path = folder / "data.py"
    path.write_text("import numpy as np\ndef load():\n" + "".join(f"    {line}\n" for line in body.splitlines()), encoding="utf-8")
    return f"{path}:load"


@pytest.fixture(scope="module")
def image_model():
    x = keras.Input((8, 8, 1), name="image")
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(x)), name="tiny")


def test_loads_a_dict_and_modules_beside_the_file(tmp_path, monkeypatch):
    """The function's dict becomes Data; its file may import its neighbours from any current folder; sys.path is left as it was."""
    (tmp_path / "beside.py").write_text("SIZE = 5\n", encoding="utf-8")
    (tmp_path / "data.py").write_text(GOOD, encoding="utf-8")
    path_before = list(sys.path)
    data = load_data(f"{tmp_path}/data.py:load")
    monkeypatch.chdir(tmp_path)
    again = load_data("data.py:load")
    assert data.train is not None
    assert again.train is not None
    assert data.train[0].shape == again.train[0].shape == (5, 8, 8, 1)
    assert data.validation is None
    assert sys.path == path_before
    sys.modules.pop("beside")


def test_returns_data_objects_too(tmp_path):
    """A function may return edgecompress.compress.Data."""
    spec = write_function(tmp_path, "from edgecompress.compress import Data\nreturn Data(calibration=np.ones((3, 4)))")
    assert load_data(spec).calibration.shape == (3, 4)


def pairs_of(x, y):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y))


X, Y = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10)


def dense_model():
    import keras

    return keras.Sequential([keras.Input((2,), name="pair"), keras.layers.Dense(10, name="logits")])


def batches_of(count=3, size=4):
    """A PyDataset that counts how often it began an epoch."""
    import keras

    class Batches(keras.utils.PyDataset):
        epochs = 0

        def __len__(self):
            return count

        def __getitem__(self, index):
            rows = slice(index * size, (index + 1) * size)
            return X[rows], Y[rows]

        def on_epoch_begin(self):
            self.epochs += 1

    return Batches()


def test_a_training_dataset_is_read_anew_each_epoch():
    """A Dataset for training stays a stream, in the model's order; for validation and calibration it is read once, last short batch too."""
    batched = pairs_of(X, Y).batch(4)
    data = fit_data(as_data({"train": batched, "validation": batched, "calibration": batched}, "here"), dense_model())
    assert data.train.batches == 3
    assert [len(x) for x, _ in data.train] == [4, 4, 2]
    assert np.array_equal(data.validation[0], X)
    assert np.array_equal(data.validation[1], Y)
    assert np.array_equal(data.calibration, X)


def test_a_dataset_that_never_ends():
    """It is refused before anything waits for its end."""
    for part in ("train", "validation", "calibration"):
        with pytest.raises(DataError, match="never ends"):
            as_data({part: pairs_of(X, Y).batch(4).repeat()}, "here")


def test_a_pydataset_trains_a_model():
    """A PyDataset is trained on batch by batch, and told of each epoch."""
    from edgecompress.compress.training.train import fit
    from edgecompress.progress import silent
    from edgecompress.recipe import Training

    source, model = batches_of(), dense_model()
    data = fit_data(as_data({"train": source}, "here"), model)
    trained = fit(model, data, objective_of=model, training=Training(epochs=2), stage="train", progress=silent)
    assert trained.steps == 6
    assert source.epochs == 2


def test_streams_of_the_wrong_shape():
    """The first batch is held against the model; batches without labels are refused."""
    import tensorflow as tf

    with pytest.raises(DataError, match=r"takes samples of shape \[2\]"):
        fit_data(as_data({"train": pairs_of(X[:, :1], Y).batch(2)}, "here"), dense_model())
    with pytest.raises(DataError, match="batches"):
        as_data({"train": tf.data.Dataset.from_tensor_slices(X).batch(2)}, "here")


@pytest.mark.parametrize("samples", [None, 5, 8])
def test_the_first_samples_come_in_order(samples):
    """Arrays and streams give the same first samples, whatever their batches."""
    model = dense_model()
    for train in ((X, Y), pairs_of(X, Y).batch(3), batches_of()):
        data = fit_data(as_data({"train": train}, "here"), model)
        parts = list(train_batches(data, model, samples=samples, batch_size=2, stage="test"))
        assert np.array_equal(np.concatenate([x for x, _ in parts]), X[:samples])
        assert np.array_equal(np.concatenate([y for _, y in parts]), Y[:samples])
        assert np.array_equal(np.concatenate(list(calibration_batches(data, model, samples=samples, stage="test"))), X[:samples])


def two_by_two() -> keras.Model:
    """Two inputs; two outputs by name, which Keras keeps in the order of their names."""
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    both = layers.Concatenate()([left, right])
    model = keras.Model([left, right], {"kind": layers.Dense(3, name="kind")(both), "box": layers.Dense(4, name="box")(both)})
    model.compile(loss={"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "box": "mse"})
    return model


def test_lists_and_names_as_keras_takes_them():
    """Inputs and labels in a list, and labels by name, are what a tuple in the model's order is; also in a Dataset."""
    import tensorflow as tf

    kinds, boxes = Y % 3, np.ones((10, 4), np.float32)
    model, named = two_by_two(), {"kind": kinds, "box": boxes}
    expected = fit_data(as_data({"train": ((X, X + 1), (boxes, kinds)), "calibration": (X, X + 1)}, "here"), model)
    batches = tf.data.Dataset.from_tensor_slices(((X, X + 1), named)).batch(3)
    for pair in (([X, X + 1], [boxes, kinds]), ([X, X + 1], named), ((X, X + 1), [boxes, kinds]), batches):
        data = fit_data(as_data({"train": pair, "validation": pair, "calibration": [X, X + 1]}, "here"), model)
        parts = list(train_batches(data, model, samples=10, batch_size=10, stage="test"))
        assert len(data.calibration) == 2
        for got, want in ((data.validation, expected.train), *((part, part) for part in parts)):
            assert [array.shape for array in keras.tree.flatten(got)] == [array.shape for array in keras.tree.flatten(want)]
        assert [array.shape[1:] for array in parts[0][1]] == [(4,), ()]
    samples = fit_data(as_data({"train": (list(X), list(Y)), "calibration": list(X)}, "here"), dense_model())
    assert np.array_equal(samples.train[0], X)
    assert np.array_equal(samples.train[1], Y)
    assert np.array_equal(samples.calibration, X)


def test_labels_by_name_train_their_output():
    """A model with outputs by name learns each from the label of that name."""
    from edgecompress.compress.training.train import fit
    from edgecompress.progress import silent
    from edgecompress.recipe import Training

    keras.utils.set_random_seed(0)
    model = two_by_two()
    data = fit_data(as_data({"train": ([X / 20, X / 20], {"kind": np.full(10, 2), "box": np.full((10, 4), 5.0)})}, "here"), model)
    fit(model, data, objective_of=model, training=Training(epochs=200, learning_rate=0.3), stage="train", progress=silent)
    given = model.predict([X / 20, X / 20], verbose=0)
    assert (given["kind"].argmax(axis=-1) == 2).all()
    np.testing.assert_allclose(given["box"], 5.0, atol=0.5)


@pytest.mark.parametrize(("labels", "words"), [({"kind": Y}, "none for 'box'"), ({"kind": Y, "box": Y, "bok": Y}, "no output 'bok'")])
def test_names_that_are_no_outputs(labels, words):
    """Labels by name that do not fit are named beside the outputs that the model has."""
    with pytest.raises(DataError, match=words) as caught:
        fit_data(as_data({"train": ([X, X], labels)}, "here"), two_by_two())
    assert caught.value.hint == "the model's outputs: box, kind"


def test_without_the_data_that_a_step_reads():
    """What is missing is named, with the step that needs it."""
    with pytest.raises(DataError, match="gradients: this step reads training data"):
        next(iter(train_batches(Data(), dense_model(), stage="gradients")))
    with pytest.raises(DataError, match="ranges: this step reads calibration data"):
        next(iter(calibration_batches(Data(), dense_model(), stage="ranges")))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("data.py", "no FILE.py:FUNCTION"),
        ("data.txt:load", "no FILE.py:FUNCTION"),
        ("nowhere.py:load", "no file nowhere.py"),
    ],
)
def test_bad_specs(spec, words, tmp_path, monkeypatch):
    """A spec that is none, or a file that is not there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        load_data(spec)


def test_a_missing_function_lists_those_there_are(tmp_path):
    """The hint names the file's functions."""
    spec = write_function(tmp_path, "return None").replace(":load", ":lod")
    with pytest.raises(DataError, match="no function 'lod'") as caught:
        load_data(spec)
    assert "load" in caught.value.hint


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('boom')", r"line 3, in load: ValueError: boom"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("return 5", "returned int"),
        ("return {}", "returned no data"),
        ("return {'training': 1}", "unknown key 'training'"),
        ("return {'train': np.zeros(3)}", "pair"),
        ("return {'train': (np.zeros((3, 2)), np.zeros(4))}", "3 inputs but 4 labels"),
        ("return {'train': (np.zeros((0, 2)), np.zeros(0))}", "train x: is empty"),
        ("return {'calibration': np.array([[1.0, 2.0], [3.0, np.nan]])}", "NaN or infinite values, first in sample 1"),
        ("return {'train': (np.zeros((3, 2)), {'a': np.zeros(3), 'b': np.zeros(2)})}", "train y: its arrays hold 2 and 3 samples"),
        ("return {'calibration': np.array(['a'])}", "expected numbers"),
        ("return {'calibration': [[1, 2], [3]]}", "is no array"),
        ("return {'train': ((np.zeros((3, 2)), np.zeros((2, 2))), np.zeros(3))}", "2 and 3 samples"),
    ],
)
def test_what_a_function_may_not_do(body, words, tmp_path):
    """Each wrong result or failure is named, with where it happened in the user's file."""
    with pytest.raises(DataError, match=words):
        load_data(write_function(tmp_path, body))


def test_a_syntax_error_names_its_line(tmp_path):
    """A file that does not compile is an error of the user's, not a traceback of ours."""
    with pytest.raises(DataError, match="line 3: SyntaxError"):
        load_data(write_function(tmp_path, "return ((1"))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((4, 8, 8), "x[..., None]"), ((8, 8, 1), "x[None]"), ((4, 1, 8, 8), "moveaxis"), ((4, 9, 9, 1), "[n, 8, 8, 1]")],
)
def test_a_wrong_shape_comes_with_the_way_out(shape, hint, image_model):
    """The message names input and shapes; the hint fits the mistake."""
    with pytest.raises(DataError, match=r"input 'image' of the model takes samples of shape \[8, 8, 1\]") as caught:
        fit_data(Data(calibration=np.zeros(shape)), image_model)
    assert hint in caught.value.hint


def test_data_takes_the_models_types_and_order(image_model):
    """uint8 images become the model's float32; several inputs, by name or in order, stand in the model's order."""
    assert fit_data(Data(calibration=np.zeros((2, 8, 8, 1), np.uint8)), image_model).calibration.dtype == np.float32
    b, a = keras.Input((3,), name="b"), keras.Input((2,), name="a", dtype="int32")
    model = keras.Model([b, a], layers.Concatenate()([b, layers.Embedding(9, 1)(a)[:, :, 0]]))
    x_b, x_a = np.ones((4, 3)), np.full((4, 2), 5.0)
    for inputs in ((x_b, x_a), {"a": x_a, "b": x_b}):
        fitted = fit_data(Data(calibration=inputs), model).calibration
        assert [(array.shape, array.dtype) for array in fitted] == [((4, 3), np.float32), ((4, 2), np.int32)]
        assert model.predict(as_model_inputs(model, fitted), verbose=0).shape == (4, 5)
    with pytest.raises(DataError, match="fractions"):
        fit_data(Data(calibration=(x_b, x_a + 0.5)), model)
    with pytest.raises(DataError, match="2 inputs"):
        fit_data(Data(calibration=x_b), model)


def test_calibration_falls_back_to_training_inputs():
    """Without calibration data the first training inputs stand in; without both there is none."""
    assert Data(train=(np.zeros((300, 2)), np.zeros(300))).calibration_inputs.shape == (256, 2)
    assert Data().calibration_inputs is None
    with pytest.raises(DataError, match="no data"):
        _ = Data().validation_inputs


# .keras files


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory, image_model):
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    image_model.compile("adam", "mse")
    image_model.save(path)
    return path


def test_loads_a_keras_file_with_its_loss(keras_file):
    """Weights and compile settings come back."""
    model = load_keras(keras_file)
    assert model.name == "tiny"
    assert model.compiled
    assert model.loss == "mse"


def test_an_unknown_loss_does_not_matter(tmp_path):
    """A model whose loss Keras does not know is loaded without it."""

    def odd_loss(y, p):
        return keras.ops.mean(p - y)

    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("adam", odd_loss)
    model.save(tmp_path / "odd.keras")
    assert not load_keras(tmp_path / "odd.keras").compiled


def make_bad_file(kind: str, folder, good):
    path = folder / "bad.keras"
    match kind:
        case "folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("hello")
        case "hdf5":
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
        case "tflite":
            path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
        case "cut":
            path.write_bytes(good.read_bytes()[:-100])
        case "flipped":
            data = bytearray(good.read_bytes())
            data[len(data) // 2] ^= 0xFF
            path.write_bytes(data)
        case "other zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("readme.txt", "no model")
        case "config":
            with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as archive:
                for name in source.namelist():
                    archive.writestr(name, b"{" if name == "config.json" else source.read(name))
        case "unknown layer":
            with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as archive:
                for name in source.namelist():
                    text = source.read(name)
                    archive.writestr(name, text.replace(b'"Flatten"', b'"Flotten"') if name == "config.json" else text)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read"),
        ("folder", "came a folder"),
        ("empty", "it is empty"),
        ("text", "is no .keras file"),
        ("hdf5", "old HDF5 format"),
        ("tflite", "is a .tflite"),
        ("cut", "is no .keras file"),
        ("flipped", "damaged"),
        ("other zip", "no Keras 3 model"),
        ("config", "Keras cannot load it"),
        ("unknown layer", "uses 'keras.layers.Flotten', which Keras does not know"),
    ],
)
def test_bad_keras_files(kind, words, tmp_path, keras_file):
    """Whatever is wrong with the file, one sentence names it and a hint says what next."""
    with pytest.raises(ModelError, match=words) as caught:
        load_keras(make_bad_file(kind, tmp_path, keras_file))
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_code_in_a_file_is_not_run(tmp_path):
    """A Lambda layer is refused, whatever it holds."""
    x = keras.Input((2,))
    keras.Model(x, layers.Lambda(lambda t: t * 2, output_shape=(2,))(x)).save(tmp_path / "code.keras")
    with pytest.raises(ModelError, match="Python code"):
        load_keras(tmp_path / "code.keras")


def test_a_layer_of_the_users_own_names_the_way(tmp_path):
    """A custom layer that is not registered is named, and the hint says where to define it."""

    class Doubling(layers.Layer):
        def call(self, x):
            return x * 2

    x = keras.Input((2,))
    keras.Model(x, Doubling()(x)).save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match="uses 'Doubling'") as caught:
        load_keras(tmp_path / "own.keras")
    assert "register_keras_serializable" in caught.value.hint


def test_a_data_file_may_define_the_models_layers(tmp_path):
    """A layer that the data file registers is found when the model is loaded after it."""
    (tmp_path / "data.py").write_text(
        "import keras\nimport numpy as np\n"
        "@keras.saving.register_keras_serializable(package='user')\n"
        "class Tripling(keras.layers.Layer):\n    def call(self, x):\n        return x * 3\n"
        "def load():\n    return {'calibration': np.ones((2, 2))}\n",
        encoding="utf-8",
    )
    load_data(f"{tmp_path}/data.py:load")
    tripling = keras.saving.get_registered_object("user>Tripling")
    x = keras.Input((2,))
    keras.Model(x, tripling()(x)).save(tmp_path / "own.keras")
    assert load_keras(tmp_path / "own.keras").predict(np.ones((1, 2)), verbose=0).tolist() == [[3.0, 3.0]]
