"""The Swift package: every file in its place, nothing that a name or a label could break, and Swift that a parser reads."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from android_modules import AWKWARD_LABELS, golden_for, made_up
from graphs import tensor
from sample_models import tiny_classifier

from edgecompress.build.swift import RUNTIME, swift_package, swift_string
from edgecompress.convert import read_tflite
from edgecompress.convert.metadata import read_metadata
from edgecompress.convert.metadata_write import describe_model, remove_metadata, write_metadata
from edgecompress.errors import DataError, ModelError, OutputError
from edgecompress.graph import DType, Graph
from edgecompress.pipeline.swift import build_ios


def package(graph: Graph, name: str, labels: tuple[str, ...] | None = None) -> dict[str, bytes]:
    return swift_package(b"model", graph, name=name, labels=labels, golden=golden_for(graph))


@cache
def digits() -> dict[str, bytes]:
    """One int8 input, one softmax, awkward labels."""
    return package(read_tflite(tiny_classifier(), name="digits"), "digits", AWKWARD_LABELS)


@cache
def mixed() -> dict[str, bytes]:
    """Two inputs and two outputs of four types, with tensor names that would end a string."""
    inputs = [replace(tensor(0, (1, 3, 2), 0.1, -5), name='a"b\\(c)\n'), tensor(1, (2, 2), None, dtype=DType.FLOAT32)]
    outputs = [tensor(2, (1, 4), 1 / 3, 7, dtype=DType.UINT8), tensor(3, (5,), 2.0**-12, 0, dtype=DType.INT16)]
    return package(made_up(inputs, outputs, b"mixed"), "class")


@cache
def pairs() -> dict[str, bytes]:
    """Two inputs into a softmax, no labels given, a name that begins with a digit."""
    inputs = [tensor(0, (1, 4), 0.5, 0), tensor(1, (1, 2), None, dtype=DType.INT32)]
    return package(made_up(inputs, [tensor(2, (1, 3), 1 / 256, -128)], b"pairs"), "3d-net v2")


@cache
def floats() -> dict[str, bytes]:
    """Real numbers in and out; a name without an ASCII letter."""
    inputs, outputs = [tensor(0, (1, 4), None, dtype=DType.FLOAT32)], [tensor(1, (1, 2), None, dtype=DType.FLOAT32)]
    return package(made_up(inputs, outputs, b"floats"), "模型")


PACKAGES = {"DigitsModelKit": digits, "ClassModelKit": mixed, "Model3dNetV2Kit": pairs, "ModelKit": floats}


@pytest.fixture(params=PACKAGES)
def built(request) -> tuple[str, dict[str, str]]:
    """The Swift module's name, and the text files of a package."""
    files = {path: content for path, content in PACKAGES[request.param]().items() if not path.endswith((".bin", ".tflite"))}
    return request.param, {path: content.decode("utf-8") for path, content in files.items()}


def test_the_tree_is_what_swifts_package_manager_expects(built):
    """Manifest, sources, resources and tests lie where they are looked for, under the module's name."""
    kit, files = built
    every = PACKAGES[kit]()
    expected = {"Package.swift", f"{kit}.podspec", "README.md", f"Sources/{kit}/{kit.removesuffix('Kit')}.swift"}
    expected |= {f"Sources/{kit}/LiteRtEngine.swift", f"Tests/{kit}Tests/ParityTests.swift", f"Tests/{kit}Tests/golden/0/input_0.bin"}
    assert expected <= set(every)
    assert f'name: "{kit}"' in files["Package.swift"]
    for resource in re.findall(r'\.copy\("(Resources/.*)"\)', files["Package.swift"]):
        assert f"Sources/{kit}/{resource}" in every
    for resource in re.findall(r'\.copy\("([^/"]*)"\)', files["Package.swift"]):
        assert any(path.startswith(f"Tests/{kit}Tests/{resource}") for path in every)


def test_the_pod_names_files_that_exist(built):
    """Sources and resources of the podspec are there, and it depends on the pinned C library."""
    kit, files = built
    podspec = files[f"{kit}.podspec"]
    assert f"s.name = '{kit}'" in podspec
    assert f"s.dependency 'TensorFlowLiteC', '~> {RUNTIME}'" in podspec
    for pattern in re.findall(r"'(Sources/[^*']*)\*", podspec):
        assert any(path.startswith(pattern) for path in PACKAGES[kit]()), pattern


def test_the_readme_says_that_nobody_compiled_it(built):
    """In bold, near the top."""
    _, files = built
    assert "**Nobody has compiled this package yet.**" in "\n".join(files["README.md"].splitlines()[:10])


def test_every_file_that_the_readme_names_exists(built):
    """Paths are paths of the package, and the Podfile's line names the pod and the folder of step 1."""
    kit, files = built
    readme = files["README.md"]
    for path in re.findall(r"^\| `((?:Sources|Tests)/[^`]*)`", readme, re.M):
        assert any(name.startswith(path) for name in PACKAGES[kit]()), path
    (pod, folder) = re.findall(r"pod '(\w+)', :path => '([\w-]+)'", readme)[0]
    assert pod == kit and f"as `{folder}`" in readme
    assert f"import {kit}" in readme


def test_no_placeholder_is_left(built):
    """No skeleton marks, no blank at a line's end, no empty places in a row."""
    for path, text in built[1].items():
        assert not re.search(r"\{\{|\}\}|\{%|%\}|TODO|FIXME|None\b", text), path
        assert not re.search(r"[ \t]$|\n\n\n", text, re.M), path


def test_a_parser_reads_every_swift_file(built):
    """The grammar of tree-sitter finds no error in any of them."""
    reason = "needs a parser for Swift: pip install tree-sitter tree-sitter-swift"
    tree_sitter = pytest.importorskip("tree_sitter", reason=reason)
    swift = pytest.importorskip("tree_sitter_swift", reason=reason)
    parser = tree_sitter.Parser(tree_sitter.Language(swift.language()))
    assert parser.parse(b"func broken( {").root_node.has_error
    for path, text in built[1].items():
        if path.endswith(".swift"):
            assert not parser.parse(text.encode()).root_node.has_error, path


def test_braces_close(built):
    """Every Swift file is balanced, strings and comments apart."""
    for path, text in built[1].items():
        if path.endswith(".swift"):
            code = re.sub(r'"(?:[^"\\]|\\.)*"|//.*', "", text)
            assert [code.count(mark) for mark in "{(["] == [code.count(mark) for mark in "})]"], path
            assert code.count("#if") == code.count("#endif"), path


def test_scales_are_written_bit_for_bit():
    """A scale in Swift reads back as the model's own float32."""
    source = mixed()["Sources/ClassModelKit/ClassModel.swift"].decode()
    bits = re.findall(r"Float\(bitPattern: 0x([0-9a-f]{8})\)", source)
    scales = [struct.unpack("<f", struct.pack("<I", int(word, 16)))[0] for word in bits]
    assert scales == [np.float32(0.1), np.float32(1 / 3), np.float32(2.0**-12)]


@pytest.mark.parametrize(
    ("text", "literal"),
    [('a"b', '"a\\"b"'), ("\\(x)", '"\\\\(x)"'), ("ü\n", '"\\u{fc}\\u{a}"'), ("\U0001f600", '"\\u{1f600}"'), ("\ud800", '"\\u{fffd}"')],
)
def test_strings_end_no_string_and_interpolate_nothing(text, literal):
    """Quotes, backslashes, line ends and everything beyond ASCII are escaped."""
    assert swift_string(text) == literal


def test_labels_survive():
    """The sidecar holds every label as it was; lone surrogates, which Swift cannot read, become a replacement character."""
    sidecar = json.loads(digits()["Sources/DigitsModelKit/Resources/digits.json"])
    assert sidecar["labels"] == list(AWKWARD_LABELS)
    graph = read_tflite(tiny_classifier(), name="digits")
    other = package(graph, "digits", ("\ud800x", "b", "c", "d"))
    assert json.loads(other["Sources/DigitsModelKit/Resources/digits.json"])["labels"][0] == "\ufffdx"


def test_the_same_model_gives_the_same_files():
    """Nothing of the moment or of this machine gets in."""
    assert package(read_tflite(tiny_classifier(), name="digits"), "digits", AWKWARD_LABELS) == digits()


def test_labels_that_do_not_fit_are_refused():
    """One per class, as for Android; no word of Android or packages."""
    with pytest.raises(DataError, match="2 labels for 4 classes"):
        package(read_tflite(tiny_classifier(), name="digits"), "digits", ("a", "b"))


def test_the_pipeline_writes_a_model_with_metadata(tmp_path):
    """The resource is the model with metadata; the sidecar has its hash and that of the file it was made from."""
    model, labels = tmp_path / "digits.tflite", tmp_path / "labels.json"
    model.write_bytes(tiny_classifier())
    labels.write_text(json.dumps(AWKWARD_LABELS))
    written = build_ios(model, output=tmp_path / "out", labels=labels)
    assert set(written) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    resources = tmp_path / "out/Sources/DigitsModelKit/Resources"
    shipped = (resources / "digits.tflite").read_bytes()
    facts = json.loads((resources / "digits.json").read_text())
    assert facts["sha256"] == hashlib.sha256(shipped).hexdigest()
    assert facts["source_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert remove_metadata(shipped) == model.read_bytes()
    metadata = read_metadata(shipped)
    assert metadata.name == "digits" and len(metadata.outputs[0].labels) == 4
    assert f'sha256 = "{facts["sha256"]}"' in (tmp_path / "out/Sources/DigitsModelKit/DigitsModel.swift").read_text()


def test_metadata_of_the_models_author_stay(tmp_path):
    """A model that brings metadata is shipped as it is, and its labels are taken from there."""
    data = tiny_classifier()
    described = write_metadata(data, describe_model(read_tflite(data), name="mine", labels=["a", "b", "c", "d"]))
    model = tmp_path / "digits.tflite"
    model.write_bytes(described)
    build_ios(model, output=tmp_path / "out")
    resources = tmp_path / "out/Sources/DigitsModelKit/Resources"
    assert (resources / "digits.tflite").read_bytes() == described
    facts = json.loads((resources / "digits.json").read_text())
    assert facts["labels"] == ["a", "b", "c", "d"]
    assert facts["sha256"] == facts["source_sha256"] == hashlib.sha256(described).hexdigest()


def test_another_models_leftovers_are_not_mixed_in(tmp_path):
    """A folder with Swift files of another model is refused; the same model is written again."""
    model = tmp_path / "digits.tflite"
    model.write_bytes(tiny_classifier())
    build_ios(model, output=tmp_path / "out")
    build_ios(model, output=tmp_path / "out")
    with pytest.raises(OutputError, match="not of this package"):
        build_ios(model, output=tmp_path / "out", name="other")


def test_a_damaged_model_is_refused_before_anything_is_written(tmp_path):
    """Nothing is left behind by a file that is no model."""
    (tmp_path / "m.tflite").write_bytes(b"no model")
    with pytest.raises(ModelError):
        build_ios(tmp_path / "m.tflite", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
