"""Names, strings and facts of an Android module: whatever a model is called, what comes out is legal and says the same."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest
from android_modules import AWKWARD_LABELS, digits, floats, golden_for, made_up, mixed, paired
from graphs import tensor

from edgecompress.build.android import LiteRt, build_android, describe
from edgecompress.build.android.kotlin import kotlin_float, kotlin_string
from edgecompress.build.android.names import KEYWORDS, check_package, module_names
from edgecompress.build.android.vectors import dequantize, quantize
from edgecompress.errors import DataError, ModelError, UserError
from edgecompress.graph import DType


@pytest.mark.parametrize(
    ("name", "model_class", "asset", "module"),
    [
        ("digits", "DigitsModel", "digits", "digits-model"),
        ("3d-net v2", "Model3dNetV2", "model_3d_net_v2", "model-3d-net-v2"),
        ("größe", "GrosseModel", "grosse", "grosse-model"),
        ("class", "ClassModel", "class", "class-model"),
        ("model", "Model", "model", "model"),
        ("my_model", "MyModel", "my_model", "my-model"),
        ("Kws Small.tflite", "KwsSmallModel", "kws_small", "kws-small-model"),
        ("模型", "Model", "model", "model"),
        ("", "Model", "model", "model"),
        ("../../etc/passwd", "EtcPasswdModel", "etc_passwd", "etc-passwd-model"),
    ],
)
def test_any_name_becomes_legal_ones(name, model_class, asset, module):
    """A class, an asset and a Gradle module come from whatever the model is called."""
    names = module_names("com.acme.digits", name)
    assert (names.model_class, names.asset, names.gradle_module) == (model_class, asset, module)


def test_long_names_are_cut():
    """No file name gets longer than file systems take."""
    names = module_names("com.acme.digits", "x" * 1000)
    assert len(names.asset) <= 64
    assert len(f"{names.model_class}.kt") < 255


@pytest.mark.parametrize("package", ["com.acme.digits", "a.b", "Com.Acme_2.x9", "c" * 111 + "." + "d" * 111])
def test_legal_packages_pass(package):
    """What Java, Kotlin and Android take is taken as it is."""
    assert check_package(package) == package


@pytest.mark.parametrize(
    "package",
    ["", "digits", "com..digits", ".com.acme", "com.acme.", "com.1st", "com.my-app", "com.acme.größe", "com.a b", "com._x", "com/acme"]
    + [f"com.{word}" for word in ("class", "fun", "when", "true", "null", "typealias", "native", "in", "object")]
    + ["java.util", "kotlin.x", "androidx.foo", "c" * 112 + "." + "d" * 112, "com.acme\n", "com.acme;x"],
)
def test_illegal_packages_are_refused_with_a_next_step(package):
    """What one of the three refuses is an error of one sentence with an example."""
    with pytest.raises(UserError) as refused:
        check_package(package)
    assert "com.acme.digits" in refused.value.hint


def test_keywords_of_both_languages_are_known():
    """Words that only one of the languages reserves are refused as well."""
    assert {"package", "synchronized", "goto", "fun", "val", "typeof", "is"} <= KEYWORDS
    assert "data" not in KEYWORDS


@pytest.mark.parametrize("text", [*AWKWARD_LABELS, "", "a\tb\r\x00\x7f", "\u0085 ü"])
def test_a_kotlin_string_holds_its_text(text):
    """Quotes, dollars, backslashes, controls and other scripts survive; the literal is ASCII on one line."""
    literal = kotlin_string(text)
    assert literal.isascii()
    assert literal.isprintable()
    python = literal.replace("\\$", "$")
    assert ast.literal_eval(python).encode("utf-16", "surrogatepass").decode("utf-16") == text


@pytest.mark.parametrize("value", [1 / 256, 0.1, 1e-20, 3.4e38, 1.0, 123456.789])
def test_a_kotlin_float_reads_back(value):
    """The literal is the very float32."""
    literal = kotlin_float(value)
    assert literal.endswith("f")
    assert np.float32(literal[:-1]) == np.float32(value)


def test_no_infinite_scale_is_written():
    """A scale that Kotlin could not say is an error, not a broken file."""
    with pytest.raises(ModelError):
        kotlin_float(float("inf"))


def test_the_sidecar_holds_the_facts_and_every_label():
    """Name, hash, sizes, tensors and labels are there, whatever the labels hold."""
    sample = digits()
    raw = sample.files["model/src/main/assets/digits.json"]
    facts = json.loads(raw)
    assert raw.isascii()
    assert facts["labels"] == list(AWKWARD_LABELS)
    assert (facts["name"], facts["sha256"], facts["macs"]) == ("digits", sample.graph.sha256, sample.graph.macs)
    assert facts["bytes"] == len(sample.files["model/src/main/assets/digits.tflite"])
    tensor_in = sample.graph.tensor(sample.graph.inputs[0])
    expected = {"name": tensor_in.name, "shape": [1, 8, 8, 1], "dtype": "int8", "scale": tensor_in.scale, "zero_point": 3}
    assert facts["inputs"] == [expected]


def test_labels_that_fit_on_lines_come_as_text_as_well():
    """The text file has one label a line; it is left out when a line cannot hold one, and where there is no class."""
    data, graph = b"x", made_up([tensor(0, (1, 4))], [tensor(1, (1, 2), 1 / 256, -128)], b"x")
    path = "model/src/main/assets/m_labels.txt"

    def files(labels):
        return build_android(data, graph, "com.acme.m", name="m", labels=labels, golden=golden_for(graph))

    assert files(["ü $", '"b"'])[path].decode() == 'ü $\n"b"\n'
    assert files(None)[path] == b"0\n1\n"
    assert path not in files(["a", "b\u2028c"])
    assert path not in files(["a", ""])
    assert not [name for name in mixed().files if name.endswith("_labels.txt")]


def test_only_softmaxes_and_labelled_outputs_are_classifiers():
    """`classify` is there for a softmax's quantization or given labels, and nowhere else."""
    assert "fun classify(input: FloatArray)" in digits().kotlin("DigitsModel")
    assert "fun classify(inputs: List<FloatArray>)" in paired().kotlin("Model3dNetV2")
    assert "classify" not in mixed().kotlin("ClassModel")
    assert "classify" not in floats().kotlin("Model")
    graph = floats().graph
    labelled = build_android(b"floats", graph, "com.acme.m", name="m", labels=["no", "yes"], golden=golden_for(graph))
    assert b"fun classify" in labelled["model/src/main/kotlin/com/acme/m/MModel.kt"]


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"], [], ["a", "b" * 5000]])
def test_labels_of_another_number_are_refused(labels):
    """Labels fit the classes or are an error; so is a novel in one."""
    graph = made_up([tensor(0, (1, 4))], [tensor(1, (1, 2), 1 / 256, -128)], b"x")
    with pytest.raises(DataError):
        describe(b"x", graph, "com.acme.m", name="m", labels=labels, golden=golden_for(graph))


def test_labels_for_no_classifier_are_refused():
    """Labels need one output [1, classes]."""
    graph = mixed().graph
    with pytest.raises(DataError, match=r"\[1, classes\]"):
        describe(b"mixed", graph, "com.acme.m", name="m", labels=["a"], golden=golden_for(graph))


@pytest.mark.parametrize("dtype", [DType.INT64, DType.BOOL, DType.FLOAT16, DType.OTHER])
def test_types_that_the_wrapper_lacks_are_named(dtype):
    """An input of a type that TensorSpec.kt lacks is refused with the types that it has."""
    graph = made_up([tensor(0, (1, 4), None, dtype=dtype)], [tensor(1, (1, 2))], b"x")
    with pytest.raises(ModelError, match="float32"):
        describe(b"x", graph, "com.acme.m", name="m", labels=None, golden=golden_for(graph))


def test_golden_vectors_of_another_model_are_refused():
    """A vector whose sizes are not the model's would fail on a phone only: it fails here."""
    graph = floats().graph
    with pytest.raises(DataError, match="golden vector 0"):
        describe(b"floats", graph, "com.acme.m", name="m", labels=None, golden=golden_for(mixed().graph))


@pytest.mark.parametrize("version", ["1.4.0", "1.4.2", "1.12.0", "2.1.0", "2.3.1"])
def test_releases_with_an_interpreter_are_taken(version):
    """Any 1.x from 1.4.0 on and any 2.x from 2.1.0 on may be asked for."""
    assert LiteRt(version).version == version


@pytest.mark.parametrize("version", ["2.0.3", "3.0.0", "1.3.0", "latest", "1.4", "1.4.0'); evil('", "+", ""])
def test_other_releases_are_refused(version):
    """2.0 has no Interpreter, older ones lack 16 KB pages, later ones are unknown, and nothing else is a version."""
    with pytest.raises(UserError, match="LiteRT"):
        LiteRt(version)


def test_the_vectors_hold_ties_and_ends():
    """Halves go to the even count, what lies beyond saturates, and NaN becomes the zero point."""
    spec = describe(
        b"x",
        made_up([tensor(0, (1,), 0.5, -3)], [tensor(1, (1,))], b"x"),
        "a.b",
        name="m",
        labels=None,
        golden=golden_for(made_up([tensor(0, (1,), 0.5, -3)], [tensor(1, (1,))], b"x")),
    ).inputs[0]
    reals = np.array([0.25, 0.75, -0.25, -0.75, 1e30, -1e30, np.inf, -np.inf, np.nan, -0.0], np.float32)
    assert quantize(reals, spec).tolist() == [-3, -1, -3, -5, 127, -128, 127, -128, -3, -3]
    assert dequantize(np.array([-3, 127]), spec).tolist() == [0.0, 65.0]
