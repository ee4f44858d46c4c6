"""The aot layout of an Android module: its tree, and its native engine run for real, by emulated phones' processors and by a Java machine.

The native engine is called by a stand-in of the Java machine's function table (tests/android_jni/fake_jvm.c) and by the machine itself
(Cases.java). Both print a line for each case, and both must print what this file expects.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from android_modules import AWKWARD_LABELS
from sample_models import every_op, tiny_classifier

from edgecompress.artifact import Engine
from edgecompress.build.android import Golden, GoldenSample, describe
from edgecompress.build.android.aot import aot_files
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.errors import ModelError
from edgecompress.numerics.reference import run_reference
from edgecompress.tools import find_zig

JNI = Path(__file__).resolve().parents[1] / "android_jni"
CPP = "model/src/main/cpp"
# What the CMake file asks for, with warnings as errors; the tests hold the two together.
FLAGS = ("-std=c11", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden")
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,-z,max-page-size=16384")
# Processor by Android's name for it: zig's target (the runner's, so that zig builds their C library once), the emulator, and its core.
MACHINES = {
    "arm64-v8a": (("aarch64-linux-musl", "-mcpu=generic"), "qemu-aarch64-static", "cortex-a76"),
    "armeabi-v7a": (("arm-linux-musleabihf", "-mcpu=generic+v7a+neon+vfp3"), "qemu-arm-static", "cortex-a15"),
}


@cache
def digits() -> tuple[dict[str, bytes], GoldenSample, int]:
    """The module of a small classifier, its golden vector, and its arena's bytes."""
    data = tiny_classifier()
    graph = read_tflite(data, name="digits")
    sample = np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    values = run_reference(graph, [sample])
    golden = GoldenSample((sample.tobytes(),), (np.ascontiguousarray(values[graph.outputs[0]]).tobytes(),))
    module = describe(data, graph, "com.acme.digits", name="digits", labels=AWKWARD_LABELS, golden=Golden((golden,), "numpy", 0))
    generated = generate_aot(graph)
    return aot_files(module, generated), golden, generated.info.arena_bytes


def text(path: str) -> str:
    return digits()[0][path].decode("utf-8")


def expected_lines() -> list[str]:
    """What each case must come to, with the golden output in its place."""
    _, golden, _ = digits()
    right = golden.outputs[0].hex()
    size, count = len(golden.inputs[0]), len(golden.outputs[0])
    wrong = {
        "small arena": "the arena is no direct buffer, or too small",
        "heap arena": "the arena is no direct buffer, or too small",
        "null arena": "the arena is no direct buffer, or too small",
        "no inputs": "0 inputs were given; the model has 1",
        "null inputs": "0 inputs were given; the model has 1",
        "two inputs": "2 inputs were given; the model has 1",
        "null input": f"number 0 of the inputs has 0 bytes; expected {size}",
        "short input": f"number 0 of the inputs has {size - 1} bytes; expected {size}",
        "long input": f"number 0 of the inputs has {size + 1} bytes; expected {size}",
        "short output": f"number 0 of the outputs has {count - 1} bytes; expected {count}",
        "long output": f"number 0 of the outputs has {count + 1} bytes; expected {count}",
        "null outputs": "0 outputs were given; the model has 1",
    }
    lines = [f"golden {right}"] + [f"shifted {right}"] * 16
    lines += [f"{name} IllegalArgumentException: {message}" for name, message in wrong.items()]
    return [*lines, f"golden after all {right}"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The C files of the module, on disk."""
    return write_sources(digits()[0], tmp_path_factory.mktemp("aot"))


def write_sources(files: dict[str, bytes], folder: Path) -> Path:
    """A module below `folder`; where its C files are."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder / CPP


@cache
def java_home() -> Path:
    """Where a Java development kit is: its headers and its compiler."""
    javac = shutil.which("javac")
    if javac is None:
        pytest.skip("needs a Java development kit for its jni.h: apt install openjdk-17-jdk-headless")
    return Path(javac).resolve().parents[1]


def compile_c(sources: Path, target: tuple[str, ...], output: Path, *extra: str) -> None:
    """Compile the module's C, warnings as errors, with zig."""
    zig = find_zig()
    headers = java_home() / "include"
    files = [*sorted(map(str, sources.glob("**/*.c"))), *extra]
    command = [str(zig.program), "cc", "-target", *target, *FLAGS, *LINK_FLAGS]
    command += [f"-I{sources}/edgecompress/include", "-isystem", str(headers), "-isystem", str(headers / "linux")]
    done = subprocess.run(
        [*command, *files, "-o", str(output)], capture_output=True, text=True, timeout=800, env={**os.environ, **zig.environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]


def lines_of(command: list[str]) -> list[str]:
    done = subprocess.run(command, input=digits()[1].inputs[0], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode("utf-8").splitlines()


# zig builds a C library for each processor once; on a busy machine that takes minutes.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("abi", MACHINES)
def test_the_native_engine_runs_on_a_phones_processor(abi, sources, tmp_path):
    """Compiled for it and emulated, the engine gives the golden bytes at every alignment, and refuses whatever is wrong."""
    target, emulator, core = MACHINES[abi]
    if shutil.which(emulator) is None:
        pytest.skip(f"needs {emulator}: apt install qemu-user-static")
    compile_c(sources, target, tmp_path / "cases", str(JNI / "fake_jvm.c"), "-iquote", str(sources), "-static")
    assert lines_of([emulator, "-cpu", core, str(tmp_path / "cases")]) == expected_lines()


def test_the_native_engine_runs_in_a_java_machine(sources, tmp_path):
    """Loaded by a real one, the same library does the same through arrays and buffers of its own."""
    home = java_home()
    compile_c(sources, ("x86_64-linux-gnu.2.17",), tmp_path / "libdigits.so", "-shared", "-fPIC")
    java = [str(path) for path in sorted(JNI.glob("*.java"))]
    subprocess.run([str(home / "bin/javac"), "-d", str(tmp_path), *java], check=True, timeout=120)
    arena, count = digits()[2], len(digits()[1].outputs[0])
    machine = [str(home / "bin/java"), "-Xcheck:jni", "-Xshare:auto", "-cp", str(tmp_path), "com.acme.digits.Cases"]
    assert lines_of([*machine, str(tmp_path / "libdigits.so"), str(arena), str(count)]) == expected_lines()


def test_the_library_shows_one_symbol_and_fits_large_pages(sources, tmp_path):
    """JNI_OnLoad is all that others can link to, and every segment to load is aligned to 16 KB."""
    from elftools.elf.elffile import ELFFile

    compile_c(sources, ("aarch64-linux-gnu.2.28",), tmp_path / "lib.so", "-shared", "-fPIC")
    with (tmp_path / "lib.so").open("rb") as file:
        elf = ELFFile(file)
        symbols = [s for s in elf.get_section_by_name(".dynsym").iter_symbols() if s["st_shndx"] != "SHN_UNDEF" and s.name]
        assert [s.name for s in symbols] == ["JNI_OnLoad"]
        assert {segment["p_align"] for segment in elf.iter_segments("PT_LOAD")} == {16384}


def test_a_model_may_be_called_like_a_system_header(tmp_path):
    """No folder of generated headers is searched for <...>, so a model called string or jni compiles like any other."""
    graph = read_tflite(tiny_classifier(), name="digits")
    for name in ("string", "jni"):
        module = describe(b"", graph, f"com.acme.{name}", name=name, labels=None, golden=Golden((digits()[1],), "numpy", 0))
        files = aot_files(module, generate_aot(graph, name=name))
        cpp = write_sources(files, tmp_path / name)
        compile_c(cpp, ("x86_64-linux-gnu.2.17",), tmp_path / f"{name}.so", "-shared", "-fPIC")
        assert files[f"{CPP}/CMakeLists.txt"].count(b"target_include_directories") == 1
        assert f"target_include_directories(com_acme_{name} PRIVATE edgecompress/include)".encode() in files[f"{CPP}/CMakeLists.txt"]


def test_cmake_lists_every_source_and_its_flags():
    """Each C file of the module is compiled, none twice, and the flags are those that the other tests compile with."""
    cmake = text(f"{CPP}/CMakeLists.txt")
    listed = re.findall(r"^    (\S+\.c)$", cmake, re.M)
    assert sorted(listed) == sorted(path.removeprefix(f"{CPP}/") for path in digits()[0] if path.endswith(".c"))
    assert "add_library(com_acme_digits SHARED" in cmake
    for flag in ("-O3", "-ffunction-sections", *LINK_FLAGS):
        assert flag in cmake
    assert "C_STANDARD 11" in cmake and "C_VISIBILITY_PRESET hidden" in cmake


def test_gradle_builds_the_library_for_phones_and_emulators():
    """The module names its CMake file, which exists, and the processors; it depends on nothing at run time."""
    gradle = re.sub(r"//.*", "", text("model/build.gradle.kts"))
    assert re.findall(r'path = file\("(.*)"\)', gradle) == ["src/main/cpp/CMakeLists.txt"]
    assert 'abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")' in gradle
    assert not re.search(r"^\s*(implementation|api|compileOnly|runtimeOnly)\(", gradle, re.M)
    assert re.findall(r'namespace = "(.*)"', gradle) == ["com.acme.digits"]
    assert [gradle.count(mark) for mark in "{("] == [gradle.count(mark) for mark in "})"]


def test_kotlin_c_and_r8_name_the_same_things():
    """Library, class and arena are called alike on every side."""
    kotlin = text("model/src/main/kotlin/com/acme/digits/NativeEngine.kt")
    c = text(f"{CPP}/jni/native_engine.c")
    assert 'System.loadLibrary("com_acme_digits")' in kotlin
    assert f"ARENA_BYTES = {digits()[2]}\n" in kotlin
    assert re.search(rf"#define DIGITS_ARENA_BYTES {digits()[2]}\n#define DIGITS_ARENA_ALIGNMENT 16\n", text(f"{CPP}/digits.h"))
    assert 'FindClass(env, "com/acme/digits/NativeEngine")' in c
    assert "private external fun invoke(arena: ByteBuffer, inputs: Array<ByteArray>, outputs: Array<ByteArray>)" in kotlin
    assert "-keep class com.acme.digits.NativeEngine {" in text("model/consumer-rules.pro")


def test_there_is_no_model_file_and_no_runtime():
    """The weights are in the library: no .tflite travels along, and nothing speaks of LiteRT."""
    files = digits()[0]
    assert not [path for path in files if path.endswith(".tflite")]
    assert not [path for path, content in files.items() if not path.endswith(".bin") and b"tensorflow.lite" in content]


def test_nothing_is_left_of_the_skeletons():
    """No placeholder, no blank at a line's end, in any text file."""
    for path, content in digits()[0].items():
        if not path.endswith(".bin"):
            written = content.decode("utf-8")
            assert not re.search(r"\{\{|\}\}$|\{%|%\}|TODO|com\.example", written, re.M) or path.endswith((".c", ".h")), path
            assert not re.search(r"\{\{ |\{%|TODO", written), path
            assert not re.search(r"[ \t]$", written, re.M), path


def test_every_file_that_the_readme_names_exists():
    """Paths in the README are paths of the module."""
    readme = text("README.md")
    paths = re.findall(r"`((?:src/|consumer)[^`]*)`", readme)
    assert len(paths) >= 6
    for path in paths:
        assert any(name.startswith(f"model/{path}") for name in digits()[0]), path
    for name in ('include(":digits-model")', 'project(":digits-model")', "import com.acme.digits.DigitsModel"):
        assert name in readme


def test_several_tensors_find_their_way(tmp_path):
    """A model with two outputs lists both sizes in the native engine, in the model's order."""
    data = every_op()
    graph = read_tflite(data, name="many")
    sizes = [graph.tensor(index).bytes for index in (*graph.inputs, *graph.outputs)]
    golden = Golden((GoldenSample((bytes(sizes[0]),), tuple(map(bytes, sizes[1:]))),), "none", 0)
    module = describe(data, graph, "com.acme.many", name="many", labels=None, golden=golden)
    c = aot_files(module, generate_aot(graph))[f"{CPP}/jni/native_engine.c"].decode()
    assert re.search(r"output_bytes\[\] = \{\n    MANY_OUTPUT_0_BYTES,\n    MANY_OUTPUT_1_BYTES,\n\};", c)


def test_c_of_another_model_is_refused():
    """The C must have been generated from the very model that the module is about, by the aot engine."""
    data = tiny_classifier()
    graph = read_tflite(data, name="digits")
    module = describe(data, graph, "com.acme.digits", name="digits", labels=None, golden=Golden((digits()[1],), "numpy", 0))
    generated = generate_aot(graph)
    for info in (replace(generated.info, sha256="0" * 64), replace(generated.info, engine=Engine.TFLM)):
        with pytest.raises(ModelError, match="expected aot for"):
            aot_files(module, replace(generated, info=info))
