"""Generated Kotlin through the Kotlin compiler, and its tests on a JVM.

Android's, androidx.test's and LiteRT's classes are signatures written by hand (tests/android_stubs): this shows that the code compiles
against the API as we know it and that its logic holds; it shows nothing about a device. The interpreter there plays golden vectors back.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from android_modules import AWKWARD_LABELS, Sample, all_samples, compiled_c, digits, floats, mixed

from edgecompress.tools import find_zig

STUBS = Path(__file__).parents[1] / "android_stubs"
JAVA = Path("/usr/share/java")
LIBRARIES = {"junit4.jar": "junit4", "hamcrest-core.jar": "junit4", "com.android.json.jar": "libandroid-json-java"}
TIMEOUT_S = 280
# One compilation of a few small files: start-up counts more than the best machine code.
QUICK_JVM = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]


# What the generated tests do not print: the labels as an app gets them, and the GPU.
PROBES = """
package probe

import androidx.test.platform.app.InstrumentationRegistry
import com.acme.digits.Accelerator
import com.acme.digits.DigitsModel
import com.acme.digits.EngineOptions
import org.junit.Test

private val context = InstrumentationRegistry.getInstrumentation().targetContext

class LabelsProbe {
    @Test
    fun labels() = DigitsModel.create(context).use { model ->
        for (label in model.labels) println("label " + label.toByteArray(Charsets.UTF_16BE).joinToString("") { "%02x".format(it) })
    }
}

class GpuProbe {
    @Test
    fun gpu() = DigitsModel.create(context, EngineOptions(accelerator = Accelerator.GPU)).use { println("gpu opened") }
}
"""


@dataclass(frozen=True)
class Compiled:
    """Compiled stubs and samples."""

    class_path: str
    folders: dict[str, Path]

    def run(
        self, sample: Sample, *properties: str, tests: Sequence[str] | None = None, without: str = "", options: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """The sample's tests on a JVM of their own; `without` names a folder of classes to leave out."""
        source = self.folders[sample.model_class] / "model/src"
        types = {
            "inputTypes": ",".join(sample.graph.tensor(index).dtype.name for index in sample.graph.inputs),
            "outputTypes": ",".join(sample.graph.tensor(index).dtype.name for index in sample.graph.outputs),
            "assets": source / "main/assets",
            "testAssets": source / "androidTest/assets",
        }
        paths = [path for path in self.class_path.split(os.pathsep) if not without or not path.endswith(without)]
        command = [
            "java",
            *QUICK_JVM,
            *options,
            *(f"-Dstub.{key}={value}" for key, value in types.items()),
            *(f"-Dstub.{p}" for p in properties),
        ]
        command += ["-cp", os.pathsep.join([*paths, str(source / "test/resources")]), "org.junit.runner.JUnitCore"]
        return subprocess.run([*command, *(tests or sample.model_tests)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def kotlin_jars() -> list[Path]:
    """The compiler and its library, out of the Jupyter kernel's wheel."""
    package = importlib.util.find_spec("run_kotlin_kernel")
    if package is None or package.origin is None:
        pytest.skip("the Kotlin compiler is missing: pip install kotlin-jupyter-kernel (80 MB)")
    jars = Path(package.origin).parent / "jars"
    found = [
        jar
        for pattern in ("kotlin-jupyter-kernel-*-all.jar", "kotlin-stdlib-*.jar", "kotlin-script-runtime-*.jar", "annotations-*.jar")
        for jar in jars.glob(pattern)
    ]
    assert len(found) == 4, f"{jars} holds other files than this test knows"
    return found


def require_java() -> None:
    for program in ("java", "javac"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt install default-jdk-headless")
    for jar, package in LIBRARIES.items():
        if not (JAVA / jar).exists():
            pytest.skip(f"{jar} is missing: apt install {package}")


def readme_snippet(sample: Sample) -> str:
    """The README's example, as a function of its own package."""
    (snippet,) = re.findall(r"^   ```kotlin\n(   import .*?)   ```", sample.text("README.md"), re.M | re.S)
    lines = [line.removeprefix("   ") for line in snippet.splitlines()]
    imports = [line for line in lines if line.startswith("import ")]
    body = [f"    {line}" for line in lines if line not in imports]
    name = sample.model_class.lower()
    return "\n".join([f"package readme.{name}", "", *imports, "", "fun use(context: android.content.Context) {", *body, "}", ""])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Compiled:
    """All samples, their tests and the READMEs' examples, by one run of the compiler; warnings are errors."""
    require_java()
    compiler, standard, *rest = kotlin_jars()
    work = tmp_path_factory.mktemp("kotlin")
    samples = [*all_samples(), compiled_c()]
    folders = {sample.model_class: sample.write(work / sample.model_class) for sample in samples}
    libraries = [*(JAVA / jar for jar in LIBRARIES), standard]
    stubs, gpu, classes = work / "stubs", work / "gpu", work / "classes"
    javac(sorted(path for path in STUBS.rglob("*.java")), stubs, libraries)
    # The GPU's classes are apart: an app need not have them.
    (stubs / "org/tensorflow/lite/gpu").rename(make(gpu / "org/tensorflow/lite") / "gpu")
    sources = [path for folder in folders.values() for path in folder.rglob("*.kt")]
    for sample in samples:
        path = make(work / "readme") / f"{sample.model_class}.kt"
        path.write_text(readme_snippet(sample), encoding="utf-8")
        sources.append(path)
    (work / "readme/Probes.kt").write_text(PROBES, encoding="utf-8")
    sources.append(work / "readme/Probes.kt")
    class_path = os.pathsep.join(map(str, [stubs, gpu, *libraries]))
    flags = ["-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "11", "-language-version", "2.1", "-d", str(classes), "-cp", class_path]
    command = [
        "java",
        *QUICK_JVM,
        "-cp",
        os.pathsep.join(map(str, [compiler, standard, *rest])),
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
    ]
    done = subprocess.run([*command, *flags, *map(str, sources)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return Compiled(os.pathsep.join([str(classes), class_path]), folders)


def make(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def javac(sources: Sequence[Path], output: Path, libraries: Sequence[Path]) -> None:
    command = [
        "javac",
        "-J-XX:TieredStopAtLevel=1",
        "--release",
        "11",
        "-proc:none",
        "-d",
        str(output),
        "-cp",
        os.pathsep.join(map(str, libraries)),
    ]
    done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sample", all_samples(), ids=lambda sample: sample.model_class)
def test_the_modules_own_tests_pass(compiled, sample):
    """Quantization gives NumPy's numbers; wrapper, parity and benchmark tests do what they say, on every shape and type of model."""
    done = compiled.run(sample)
    assert done.returncode == 0, done.stdout
    assert re.search(r"OK \(\d+ tests\)", done.stdout)
    assert f"I/{sample.model_class}: us: min " in done.stdout


def test_parity_fails_beyond_its_tolerance(compiled):
    """16 counts off pass, 17 do not."""
    tests = ["com.acme.digits.ParityTest"]
    assert compiled.run(digits(), "off=16", tests=tests).returncode == 0
    failed = compiled.run(digits(), "off=17", tests=tests)
    assert failed.returncode == 1
    assert "off by 17.0, allowed 16.0" in failed.stdout


def test_quantization_tests_notice_other_rounding(compiled):
    """A single wrong vector fails: the test reads what it is given."""
    path = compiled.folders["ClassModel"] / "model/src/test/resources/com/acme/mixed/quantization_vectors.txt"
    right = path.read_text()
    lines = right.splitlines()
    kind, place, real, count, back = lines[300].split()
    lines[300] = f"{kind} {place} {real} {int(count) + 1} {back}"
    path.write_text("\n".join(lines) + "\n")
    try:
        done = compiled.run(mixed(), tests=["com.acme.mixed.QuantizationTest"])
    finally:
        path.write_text(right)
    assert done.returncode == 1
    assert "realsBecomeTheCountsOfNumPy" in done.stdout


def test_a_compressed_asset_is_read_all_the_same(compiled):
    """An app whose build compresses the model pays with memory, not with a crash."""
    assert compiled.run(digits(), "compressed=true", tests=["com.acme.digits.ParityTest"]).returncode == 0


def test_a_damaged_model_is_refused_on_the_device(compiled):
    """One flipped bit: create says which file, which hash came and which was expected."""
    path = compiled.folders["Model"] / "model/src/main/assets/model.tflite"
    right = path.read_bytes()
    path.write_bytes(bytes([right[0] ^ 1]) + right[1:])
    try:
        done = compiled.run(floats(), tests=["net.example.ParityTest"])
    finally:
        path.write_bytes(right)
    assert done.returncode == 1
    assert re.search(r"model\.tflite is not the model that this class was made for: its SHA-256 is [0-9a-f]{64}", done.stdout)


def test_other_sizes_than_the_classs_are_refused(compiled):
    """A runtime that reports larger tensors than the class was made for stops create."""
    done = compiled.run(mixed(), "moreBytes=1", tests=["com.acme.mixed.ParityTest"])
    assert done.returncode == 1
    assert "IllegalStateException: class.tflite: input_0 is INT8 with 7 bytes; expected INT8 with 6" in done.stdout


def test_labels_survive_to_the_app(compiled):
    """Quotes, dollars, line breaks and emoji come out of the sidecar by Android's own JSON reader as they went in."""
    done = compiled.run(digits(), tests=["probe.LabelsProbe"])
    got = [bytes.fromhex(line).decode("utf-16-be") for line in re.findall(r"label ([0-9a-f]+)", done.stdout)]
    assert got == list(AWKWARD_LABELS), done.stdout


@pytest.mark.parametrize(
    ("properties", "without", "said"),
    [
        (("gpu=true",), "", "gpu opened"),
        ((), "", "IllegalStateException: LiteRT does not support this device's GPU"),
        ((), "gpu", "IllegalStateException: Accelerator.GPU needs two more dependencies in the app"),
    ],
)
def test_the_gpu_is_used_or_refused_by_name(compiled, properties, without, said):
    """With its classes and a device for it: opened, and closed with the model. Otherwise an error that says what is missing."""
    done = compiled.run(digits(), *properties, tests=["probe.GpuProbe"], without=without)
    assert said in done.stdout
    assert ("GPU delegate closed" in done.stdout) == (said == "gpu opened")


def build_native(module: Path, library: Path) -> None:
    """The module's C as a library for this computer, as its CMakeLists.txt has it."""
    home = Path(shutil.which("javac") or "").resolve().parents[1]
    if not (home / "include/jni.h").exists():
        pytest.skip(f"{home} has no jni.h: apt install default-jdk-headless")
    zig, cpp = find_zig(), module / "src/main/cpp"
    headers = [cpp, cpp / "edgecompress/include", home / "include", home / "include/linux"]
    command = [str(zig.program), "cc", "-std=c11", "-O1", "-shared", "-fPIC", *(f"-I{folder}" for folder in headers)]
    sources = map(str, sorted(cpp.rglob("*.c")))
    environment = {**os.environ, **zig.environment}
    done = subprocess.run(
        [*command, *sources, "-o", str(library)], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_aot_layouts_own_tests_pass_on_its_real_c(compiled, tmp_path):
    """Kotlin, JNI and the generated C together give the reference's bytes on this computer, every one of them."""
    build_native(compiled.folders["CompiledModel"] / "model", tmp_path / "libcom_acme_compiled.so")
    done = compiled.run(compiled_c(), options=["-Xcheck:jni", f"-Djava.library.path={tmp_path}"])
    assert done.returncode == 0, done.stdout
    assert re.search(r"OK \(\d+ tests\)", done.stdout)
    assert "WARNING" not in done.stdout + done.stderr


def test_an_app_without_its_native_library_is_told_so(compiled, tmp_path):
    """A device that no library was built for is an error that names the library and where to change that."""
    done = compiled.run(compiled_c(), tests=["com.acme.compiled.ParityTest"], options=[f"-Djava.library.path={tmp_path}"])
    assert done.returncode == 1
    assert "IllegalStateException: libcom_acme_compiled.so is not in the app for this device" in done.stdout


def test_an_app_without_the_gpus_classes_runs(compiled):
    """Nothing of the CPU's path touches them."""
    done = compiled.run(digits(), tests=["com.acme.digits.ParityTest"], without="gpu")
    assert done.returncode == 0, done.stdout
