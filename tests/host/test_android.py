"""The folder of an Android module: every file in its place, Gradle files that follow the rules, a README whose steps exist."""

from __future__ import annotations

import hashlib
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from android_modules import AWKWARD_LABELS, all_samples, digits, golden_for, mixed, paired
from sample_models import tiny_classifier
from tflite_builder import run_litert

from edgecompress.build.android import Layout, LiteRt, build_android, describe
from edgecompress.build.android.vectors import dequantize, quantize
from edgecompress.cli.android import build_android_command
from edgecompress.convert import read_tflite
from edgecompress.convert.metadata import read_metadata
from edgecompress.errors import DataError, OutputError, UserError
from edgecompress.pipeline.android import build_android as build_module
from edgecompress.pipeline.android import read_labels
from edgecompress.pipeline.golden import golden_vectors
from edgecompress.pipeline.reference import LITERT_TOLERANCE
from edgecompress.pipeline.samples import as_raw
from edgecompress.pipeline.sources import LoadedModel

MODULE = "model/build.gradle.kts"
# https://ai.google.dev/edge/litert/android, "Supported Android versions"; of 2.3.0, what its own manifests declare.
LEAST_SDK = {"1.4.0": 26, "1.4.1": 21, "1.4.2": 21, "2.1.0": 23, "2.3.0": 24}


@pytest.fixture(params=all_samples(), ids=lambda sample: sample.model_class)
def sample(request):
    return request.param


def code_of(gradle: str) -> str:
    """A Gradle file without its comments."""
    return re.sub(r"//.*", "", gradle)


def test_the_tree_is_what_gradle_expects(sample):
    """Settings, build files, manifest, code, assets and tests lie where the Android Gradle Plugin looks."""
    package = sample.package.replace(".", "/")
    expected = {
        "settings.gradle.kts",
        "build.gradle.kts",
        "gradle.properties",
        ".gitignore",
        "README.md",
        MODULE,
        "model/consumer-rules.pro",
        "model/src/main/AndroidManifest.xml",
        f"model/src/main/kotlin/{package}/{sample.model_class}.kt",
        f"model/src/main/kotlin/{package}/Quantization.kt",
        f"model/src/test/kotlin/{package}/QuantizationTest.kt",
        f"model/src/test/resources/{package}/quantization_vectors.txt",
        f"model/src/androidTest/kotlin/{package}/ParityTest.kt",
        f"model/src/androidTest/kotlin/{package}/BenchmarkTest.kt",
        "model/src/androidTest/assets/golden/0/input_0.bin",
    }
    assert expected <= set(sample.files)
    assert len([path for path in sample.files if path.endswith(".tflite")]) == 1


def test_the_module_applies_its_plugins_and_names_its_namespace(sample):
    """A library with Kotlin, the package as namespace, an SDK to compile against."""
    gradle = code_of(sample.text(MODULE))
    assert re.search(r'plugins \{\s*id\("com\.android\.library"\)\s*id\("org\.jetbrains\.kotlin\.android"\)\s*\}', gradle)
    assert re.findall(r'namespace = "(.*)"', gradle) == [sample.package]
    assert int(re.findall(r"compileSdk = (\d+)", gradle)[0]) >= 34
    # Versions stay out: those of the app count.
    assert "version" not in gradle.split("android {")[0]


@pytest.mark.parametrize("version", LEAST_SDK)
def test_the_module_asks_for_no_older_android_than_its_runtime(version):
    """minSdk is that of the release of LiteRT, in the build file and in the README."""
    graph = digits().graph
    files = build_android(b"", graph, "com.acme.m", name="m", labels=None, golden=golden_for(graph), runtime=LiteRt(version))
    assert re.findall(r"minSdk = (\d+)", code_of(files[MODULE].decode())) == [str(LEAST_SDK[version])]
    assert f"(API {LEAST_SDK[version]})" in files["README.md"].decode()


def test_a_runtime_without_a_gpu_is_offered_none():
    """From 2.1 on the Interpreter has no delegates: no option, no dependency and no word of one is left."""
    graph = digits().graph
    files = build_android(b"", graph, "com.acme.m", name="m", labels=None, golden=golden_for(graph), runtime=LiteRt("2.1.0"))
    assert not [path for path, content in files.items() if re.search(rb"gpu|accelerator|delegate", content, re.I)]
    assert LiteRt().has_gpu
    assert "model/src/main/kotlin/com/acme/digits/GpuDelegates.kt" in digits().files


def test_the_model_stays_uncompressed_and_r8_knows_its_rules(sample):
    """noCompress names the model's ending without a dot, as Gradle wants it, and the rules file that is named exists."""
    gradle = code_of(sample.text(MODULE))
    assert re.search(r'androidResources \{\s*noCompress \+= "tflite"\s*\}', gradle)
    for rules in re.findall(r'consumerProguardFiles\("(.*)"\)', gradle):
        assert f"model/{rules}" in sample.files
    assert "-keep class org.tensorflow.lite.** { *; }" in sample.text("model/consumer-rules.pro")


def test_dependencies_are_pinned(sample):
    """Every dependency has a full version; LiteRT's is the one that was asked for; nothing dynamic."""
    gradle = code_of(sample.text(MODULE))
    dependencies = re.findall(r'(\w+)\("([\w.:-]+)"\)', gradle.split("dependencies {")[1])
    assert len(re.findall(r'\("[\w.-]+:[\w.-]+:\d[\w.]*"\)', gradle)) == len(
        re.findall(r"^    \w+\(\"", gradle.split("dependencies {")[1], re.M)
    )
    version = "2.1.0" if sample.model_class == "Model" else LiteRt().version
    assert ("implementation", f"com.google.ai.edge.litert:litert:{version}") in dependencies
    assert {name.rsplit(":", 1)[1] for _, name in dependencies if name.startswith("com.google.ai.edge.litert:")} == {version}
    graph = sample.graph
    other = build_android(b"x", graph, sample.package, name="m", labels=None, golden=golden_for(graph), runtime=LiteRt("1.4.0"))
    assert b"com.google.ai.edge.litert:litert:1.4.0" in other[MODULE]
    assert LiteRt().version.encode() not in other[MODULE]


def test_the_manifest_has_no_package(sample):
    """Since version 8 of the plugin the namespace takes its place; a package attribute is an error."""
    root = ElementTree.fromstring(sample.text("model/src/main/AndroidManifest.xml"))
    assert root.tag == "manifest"
    assert root.attrib == {}


def test_the_readme_says_which_gradle_plugins_an_app_needs(sample):
    """compileSdk 35 wants the plugin 8.6, compilerOptions of a module Kotlin 2.0; the versions that build it alone are no older."""
    readme, top = sample.text("README.md"), code_of(sample.text("build.gradle.kts"))
    for words, plugin in (
        (r"Android Gradle Plugin ([\d.]+) or later", "com.android.library"),
        (r"Kotlin ([\d.]+) or later", "org.jetbrains.kotlin.android"),
    ):
        least = re.findall(words, readme)
        tried = re.findall(rf'id\("{re.escape(plugin)}"\) version "([\d.]+)"', top)
        assert len(least) == len(tried) == 1
        assert [int(part) for part in least[0].split(".")] <= [int(part) for part in tried[0].split(".")]


def test_braces_of_gradle_files_close(sample):
    """Each Gradle file is balanced and holds no leftover of its skeleton."""
    for path in ("settings.gradle.kts", "build.gradle.kts", MODULE):
        text = code_of(sample.text(path))
        assert [text.count(mark) for mark in "{("] == [text.count(mark) for mark in "})"], path


def test_the_whole_tree_builds_by_itself(sample):
    """Settings include the module and name repositories; the plugins of the module have versions at the top."""
    settings = code_of(sample.text("settings.gradle.kts"))
    assert 'include(":model")' in settings
    assert settings.count("google()") == 2
    top = code_of(sample.text("build.gradle.kts"))
    for plugin in re.findall(r'id\("(.*)"\)', code_of(sample.text(MODULE))):
        assert re.search(rf'id\("{re.escape(plugin)}"\) version "\d+\.\d+\.\d+" apply false', top), plugin


def test_no_placeholder_is_left(sample):
    """Nothing to be filled in: no skeleton marks, no to-do, no example package."""
    for path, content in sample.files.items():
        if path.endswith((".kt", ".kts", ".md", ".xml", ".pro", ".properties")):
            text = content.decode("utf-8")
            assert not re.search(r"\{\{|\}\}|\{%|%\}|TODO|FIXME|XXX|com\.example|<your|None\b", text), path
            assert not re.search(r"[ \t]$|\n\n\n", text, re.M), path


def test_every_file_that_the_readme_names_exists(sample):
    """Paths in the README are paths of the module; its steps use the module's one name."""
    readme = sample.text("README.md")
    for path in re.findall(r"`((?:src/|consumer)[^`]*)`", readme):
        assert any(name.startswith(f"model/{path}") for name in sample.files), path
    (name,) = set(re.findall(r'project\(":([\w-]+)"\)', readme))
    assert set(re.findall(r'include\(":([\w-]+)"\)', readme)) == {name}
    assert f"cp -r model ~/MyApp/{name}" in readme
    assert f":{name}:testDebugUnitTest" in readme
    assert f"import {sample.package}.{sample.model_class}" in readme


def test_names_of_tensors_end_no_string_and_no_comment():
    """A model's own names appear as escaped strings only."""
    kotlin = paired().kotlin("Model3dNetV2")
    assert '"a\\"b\\\\\\${c}"' in kotlin
    assert kotlin.count("*/ d") == 1
    assert '"*/ d\\n"' in kotlin


def test_the_same_model_gives_the_same_files():
    """Nothing of the moment or of this machine gets in."""
    data, graph = tiny_classifier(), digits().graph
    again = build_android(data, graph, "com.acme.digits", name="digits", labels=AWKWARD_LABELS, golden=golden_for(graph))
    assert again == digits().files


def test_quantization_is_that_of_the_toolkit():
    """The vectors' arithmetic and the bytes that the toolkit feeds to every runtime are the same."""
    for sample in (digits(), mixed()):
        for index in sample.graph.inputs:
            tensor = sample.graph.tensor(index)
            if tensor.quantization is None:
                continue
            module = describe(b"", sample.graph, sample.package, name="m", labels=None, golden=golden_for(sample.graph))
            spec = module.inputs[sample.graph.inputs.index(index)]
            halves = dequantize(np.arange(-200, 200), spec) + np.float32(spec.scale / 2)
            assert quantize(halves, spec).astype(np.int8).tobytes() == as_raw(halves, tensor)


def test_the_pipeline_writes_a_module_with_the_references_vectors(tmp_path):
    """From a file to a folder: the hashes of the file and of the asset, labels from a file, outputs of the reference."""
    pytest.importorskip("tensorflow", reason="the model of this test is built with TensorFlow's schema: pip install tensorflow")
    model = tmp_path / "digits.tflite"
    model.write_bytes(tiny_classifier())
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(AWKWARD_LABELS))
    written = build_module(model, package="com.acme.digits", output=tmp_path / "out", labels=labels)
    assert set(written) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    facts = json.loads((tmp_path / "out/model/src/main/assets/digits.json").read_text())
    assert facts["labels"] == list(AWKWARD_LABELS)
    inside = (tmp_path / "out/model/src/main/assets/digits.tflite").read_bytes()
    assert facts["sha256"] == hashlib.sha256(inside).hexdigest()
    assert facts["source_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    golden = [(tmp_path / f"out/model/src/androidTest/assets/golden/{i}/output_0.bin").read_bytes() for i in range(3)]
    assert len(set(golden)) > 1
    # Probabilities of a softmax, in counts of 1/256 above -128.
    assert all(abs(int(np.frombuffer(raw, np.int8).astype(int).sum()) + 4 * 128 - 256) <= 4 for raw in golden)


def test_the_model_inside_says_what_it_is(tmp_path):
    """It carries metadata with its labels and computes the same; a model that brings metadata keeps them, and gives its labels."""
    (tmp_path / "digits.tflite").write_bytes(tiny_classifier())
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    asset = "model/src/main/assets/digits.tflite"
    build_module(tmp_path / "digits.tflite", package="com.acme.a", output=tmp_path / "a", labels=tmp_path / "labels.txt")
    inside = (tmp_path / "a" / asset).read_bytes()
    metadata = read_metadata(inside)
    assert metadata is not None
    assert metadata.outputs[0].labels == ("a", "b", "c", "d")
    sample = np.arange(64, dtype=np.int8).reshape(1, 8, 8, 1)
    assert np.array_equal(*(run_litert(data, [sample], "xnnpack")[0] for data in (inside, tiny_classifier())))
    (tmp_path / "digits.tflite").write_bytes(inside)
    build_module(tmp_path / "digits.tflite", package="com.acme.b", output=tmp_path / "b")
    assert (tmp_path / "b" / asset).read_bytes() == inside
    assert json.loads((tmp_path / "b" / asset.replace(".tflite", ".json")).read_text())["labels"] == ["a", "b", "c", "d"]


def test_litert_on_this_computer_passes_the_golden_vectors():
    """The kernels that phones use, as far as a computer has them, stay inside the tolerance that the module states."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is missing: pip install ai-edge-litert")
    data = tiny_classifier()
    golden = golden_vectors(LoadedModel(data, digits().graph), LITERT_TOLERANCE)
    for sample in golden.samples:
        (got,) = run_litert(data, [np.frombuffer(sample.inputs[0], np.int8).reshape(1, 8, 8, 1)], "xnnpack")
        difference = np.abs(got.astype(int) - np.frombuffer(sample.outputs[0], np.int8).reshape(got.shape))
        assert difference.max() <= golden.tolerance


def test_golden_vectors_tell_a_model_that_looks_from_one_that_does_not():
    """The outputs of any two vectors are farther apart than the tolerance: bytes that ignore the input fail on some vector."""
    data, graph = tiny_classifier(), digits().graph
    golden = golden_vectors(LoadedModel(data, graph), LITERT_TOLERANCE)
    module = describe(data, graph, "com.acme.digits", name="digits", labels=None, golden=golden)
    assert module.golden_spread > golden.tolerance
    assert golden == golden_vectors(LoadedModel(data, graph), LITERT_TOLERANCE)
    readme = build_android(data, graph, "com.acme.digits", name="digits", labels=None, golden=golden)["README.md"].decode()
    assert f"differ by {module.golden_spread} counts or more" in readme


def test_the_aot_layout_asks_for_the_very_bytes(tmp_path):
    """The other layout holds C in place of LiteRT, allows no difference at all, and takes no release of LiteRT."""
    model = tmp_path / "digits.tflite"
    model.write_bytes(tiny_classifier())
    written = build_module(model, package="com.acme.digits", output=tmp_path / "out", layout=Layout.AOT)
    assert {"digits.c", "digits_data.c"} <= {path.name for path in written}
    golden = (tmp_path / "out/model/src/androidTest/kotlin/com/acme/digits/Golden.kt").read_text()
    assert "const val TOLERANCE = 0.0" in golden
    assert "litert:" not in (tmp_path / "out" / MODULE).read_text()
    with pytest.raises(UserError, match="LiteRT"):
        build_module(model, package="com.acme.digits", output=tmp_path / "other", layout=Layout.AOT, litert="1.4.2")


def test_another_models_leftovers_are_not_mixed_in(tmp_path):
    """A folder that holds Kotlin files of another module is refused before anything is written; the same module is written again."""
    model = tmp_path / "digits.tflite"
    model.write_bytes(tiny_classifier())
    build_module(model, package="com.acme.digits", output=tmp_path / "out")
    build_module(model, package="com.acme.digits", output=tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match=r"DigitsModel\.kt|kotlin"):
        build_module(model, package="com.acme.other", output=tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_the_command_says_what_to_do_next(tmp_path, capsys):
    """The class, the runtime and the two lines for Gradle are printed."""
    model = tmp_path / "digits.tflite"
    model.write_bytes(tiny_classifier())
    build_android_command(model, "com.acme.digits", tmp_path / "out", None, None, "litert", "1.4.1")
    said = capsys.readouterr().out
    for part in ("com.acme.digits.DigitsModel", "litert:1.4.1", 'include(":digits-model")', 'implementation(project(":digits-model"))'):
        assert part in said


def test_the_command_needs_a_package(tmp_path):
    """Nobody else can choose it."""
    with pytest.raises(UserError, match="package"):
        build_android_command(tmp_path / "m.tflite", None, None, None, None, "litert", None)


def test_a_label_that_is_no_text_gets_no_line(tmp_path):
    """Half of a surrogate pair, which JSON can hold, goes into the sidecar as it was; the text file, which cannot hold it, is left out."""
    model, labels = tmp_path / "digits.tflite", tmp_path / "labels.json"
    model.write_bytes(tiny_classifier())
    given = ["\ud800", "b", "c", "d"]
    labels.write_text(json.dumps(given))
    for layout in Layout:
        folder = tmp_path / layout.value
        build_module(model, package="com.acme.digits", output=folder, labels=labels, layout=layout)
        assets = folder / "model/src/main/assets"
        assert json.loads((assets / "digits.json").read_text())["labels"] == given
        assert not (assets / "digits_labels.txt").exists()


def test_empty_lines_are_counted_as_labels(tmp_path):
    """Who left empty lines at the end of a file is told that they count."""
    (tmp_path / "digits.tflite").write_bytes(tiny_classifier())
    (tmp_path / "l.txt").write_bytes(b"a\n\n\n\n\n\n\n\n\n\n\n\n\n\n")
    with pytest.raises(DataError) as caught:
        build_module(tmp_path / "digits.tflite", package="com.acme.m", output=tmp_path / "out", labels=tmp_path / "l.txt")
    assert "empty line" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("l.txt", b"a\nb\n", ("a", "b")),
        ("l.txt", "\ufeffa\r\nb ü".encode(), ("a", "b ü")),
        ("l.txt", "a\u2028b\n c\n".encode(), ("a\u2028b", " c")),
        ("l.JSON", b'["x\\ny", "\\"z\\""]', ("x\ny", '"z"')),
    ],
)
def test_labels_are_read_as_they_stand(tmp_path, name, content, expected):
    """Lines or JSON, a byte order mark or not, Windows line ends or not."""
    (tmp_path / name).write_bytes(content)
    assert read_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.txt", b""),
        ("l.txt", b"\n"),
        ("l.txt", b"\xff\xfe"),
        ("l.json", b"{}"),
        ("l.json", b"[1]"),
        ("l.json", b"["),
        ("l.json", b"[" * 9999),
        ("l.json", b"[]"),
    ],
)
def test_files_without_labels_are_refused(tmp_path, name, content):
    """An empty file, no UTF-8, no array of strings: one sentence each."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        read_labels(tmp_path / name)


def test_absent_labels_are_refused(tmp_path):
    """So is a file that is not there."""
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "absent.txt")


def test_a_damaged_model_is_refused_before_anything_is_written(tmp_path):
    """Nothing is left behind by a file that is no model."""
    (tmp_path / "m.tflite").write_bytes(b"no model")
    with pytest.raises(UserError):
        build_module(tmp_path / "m.tflite", package="com.acme.m", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert read_tflite(tiny_classifier(), name="m").inputs
