"""Projects that `generate --layout` writes: compiled and run where a compiler is enough, else held to their ecosystem's rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sample_models import Net, every_op, tiny_classifier
from tflite_builder import ModelBuilder

from edgecompress import generate
from edgecompress.artifact import Engine
from edgecompress.build.layouts import ProjectLayout
from edgecompress.build.layouts.project import library_name
from edgecompress.cli.generate import command
from edgecompress.device.interpreters import tflm_available

TIMEOUT_S = 120
STRICT = "-O1 -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wmissing-prototypes -Werror"
ARDUINO_H = """\
#include <stdio.h>
#include <stdlib.h>
struct Port {
    void begin(long) {}
    void print(const char *text) { printf("%s", text); }
    void println(const char *text) { printf("%s\\n", text); }
    void println(int number) { printf("%d\\n", number); }
};
static Port Serial;
static void delay(unsigned long) { exit(0); }
"""

needs_wheel = pytest.mark.skipif(not tflm_available(), reason="needs TFLM's host interpreter: pip install tflite-micro")


def run(*arguments: str | Path, cwd: Path | None = None) -> str:
    """A command's output; it must succeed."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=cwd)
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    return done.stdout


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}: install it")
    return path


def int16_model() -> bytes:
    """Two inputs and two outputs, one of each int16."""
    b = ModelBuilder()
    x, wide = b.tensor((1, 6), "int8", scale=0.05), b.tensor((1, 6), "int16", scale=0.001)
    y, narrow = b.tensor((1, 6), "int16", scale=0.001), b.tensor((1, 6), "int8", scale=0.05)
    b.op("QUANTIZE", [x], [y])
    b.op("QUANTIZE", [wide], [narrow])
    b.inputs(x, wide)
    b.outputs(y, narrow)
    return b.build()


def float_model() -> bytes:
    """A float32 dense layer without a bias."""
    b = ModelBuilder()
    x, y = b.tensor((1, 6), "float32"), b.tensor((1, 3), "float32")
    weights = b.tensor((3, 6), "float32", data=np.linspace(-1, 1, 18).reshape(3, 6))
    b.op("FULLY_CONNECTED", [x, weights, -1], [y], keep_num_dims=True)
    b.inputs(x)
    b.outputs(y)
    return b.build()


def two_inputs() -> bytes:
    net = Net()
    x, y = net.activation((1, 4)), net.activation((1, 4))
    return net.build([x, y], [net.layer("ADD", [x, y], (1, 4)), net.layer("SUB", [x, y], (1, 4))])


def project(to: Path, data: bytes, layout: ProjectLayout, *, name: str = "net", engine: Engine = Engine.AOT) -> Path:
    (to / "model.tflite").write_bytes(data)
    folder = to / layout.value
    generate(to / "model.tflite", engine=engine, output=folder, name=name, layout=layout)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MODELS = [
    ("string", every_op),
    ("main", two_inputs),
    ("int", int16_model),
    ("test", tiny_classifier),
    ("model", tiny_classifier),
]


@pytest.mark.parametrize(("name", "model"), MODELS, ids=[name for name, _ in MODELS])
def test_plain_compiles_and_passes(name, model, tmp_path):
    """`make test` compiles without a warning and passes, whatever word of C or make the model is called."""
    tool("make")
    folder = project(tmp_path, model(), ProjectLayout.PLAIN, name=name)
    output = run("make", "-s", "-C", folder, "test", f"CC={tool('gcc')}", f"CFLAGS={STRICT}")
    assert output.strip() == f"golden vector of {name}: pass"


def change_first_output_byte(folder: Path) -> None:
    golden = next(folder.rglob("ec_golden.c"))
    text = golden.read_text(encoding="utf-8")
    changed = re.sub(r"(output_0\[\] = \{[^\n]*\n\s*0x)(..)", lambda m: f"{m[1]}{int(m[2], 16) ^ 1:02x}", text)
    assert changed != text
    golden.write_text(changed, encoding="utf-8")


def test_a_changed_golden_byte_fails(tmp_path):
    """One wrong byte is one differing element, a program that fails and a `make` that fails."""
    tool("make")
    folder = project(tmp_path, int16_model(), ProjectLayout.PLAIN)
    change_first_output_byte(folder)
    command_line = ["make", "-s", "-C", str(folder), "test", f"CC={tool('gcc')}"]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode != 0
    assert done.stdout.strip() == "golden vector of net: FAIL, 1 elements differ"


def test_cmake_builds_a_library_and_a_test(tmp_path):
    """CMake configures it under a name that CMake reserves, ctest passes, and fails when a golden byte is changed."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.CMAKE, name="test")
    configure = (tool("cmake"), "-S", folder, "-B", tmp_path / "b", f"-DCMAKE_C_COMPILER={tool('gcc')}", f"-DCMAKE_C_FLAGS={STRICT}")
    run(*configure)
    run("cmake", "--build", tmp_path / "b")
    run(tool("ctest"), "--test-dir", tmp_path / "b")
    change_first_output_byte(folder)
    run("cmake", "--build", tmp_path / "b")
    assert subprocess.run(["ctest", "--test-dir", str(tmp_path / "b")], capture_output=True, timeout=TIMEOUT_S, check=False).returncode


def test_a_cmake_project_takes_the_library(tmp_path):
    """`add_subdirectory` gives another project the target, the include folder and no test of ours."""
    project(tmp_path, tiny_classifier(), ProjectLayout.CMAKE, name="string")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(app C)\nadd_subdirectory(cmake)\nadd_executable(app app.c)\n"
        "target_link_libraries(app PRIVATE string_model)\n",
        encoding="utf-8",
    )
    source = '#include <string.h>\n#include "model/string.h"\nint main(void) { return STRING_STEP_COUNT ? (int)strlen("") : 1; }\n'
    (tmp_path / "app.c").write_text(source, encoding="utf-8")
    run(tool("cmake"), "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_C_COMPILER={tool('gcc')}")
    run("cmake", "--build", tmp_path / "b")
    run(tmp_path / "b" / "app")
    assert not (tmp_path / "b" / "cmake" / "golden_test").exists()


def compile_tree(sources: list[Path], includes: list[Path], to: Path) -> list[str]:
    """C as C, the rest as C++, with the library's root as the only include folder."""
    objects = []
    for path in sources:
        objects.append(str(to / f"{path.stem}_{len(objects)}.o"))
        tools = (tool("gcc"), "-std=c11") if path.suffix == ".c" else (tool("g++"), "-std=c++17", "-x", "c++")
        run(*tools, "-Wall", "-Wextra", "-Werror", *(f"-I{folder}" for folder in includes), "-c", path, "-o", objects[-1])
    return objects


def test_arduino_compiles_and_passes(tmp_path):
    """Sources compile with src/ as the only include folder, the sketch as C++ after <Arduino.h>, and the golden vector passes."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.ARDUINO, name="string")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / "Arduino.h").write_text(ARDUINO_H, encoding="utf-8")
    # What the IDE makes of a sketch: the core's header goes first.
    sketch = (folder / "examples/GoldenVector/GoldenVector.ino").read_text(encoding="utf-8")
    main = "int main()\n{\n    setup();\n    for (;;)\n        loop();\n}\n"
    (tmp_path / "sketch.cpp").write_text(f"#include <Arduino.h>\n{sketch}{main}", encoding="utf-8")
    sources = sorted(path for path in (folder / "src").rglob("*") if path.suffix in {".c", ".cpp"})
    objects = compile_tree([*sources, tmp_path / "sketch.cpp"], [folder / "src", stubs], tmp_path)
    run("g++", *objects, "-o", tmp_path / "program")
    assert run(tmp_path / "program").strip() == "golden vector of string: pass"


@pytest.mark.parametrize("engine", [Engine.AOT, pytest.param(Engine.TFLM, marks=needs_wheel)])
def test_arduino_keeps_to_the_library_specification(engine, tmp_path):
    """library.properties has every required field and a legal name; the sketch's folder has its name; no source has an unknown ending."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.ARDUINO, name="a" * 63, engine=engine)
    lines = (folder / "library.properties").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"} <= set(fields)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", fields["name"]) and re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] == "Data Processing"
    assert (folder / "src" / fields["includes"]).is_file()
    assert fields.get("depends") == ("Arduino_TensorFlowLite" if engine is Engine.TFLM else None)
    assert {path.suffix for path in (folder / "src").rglob("*") if path.is_file()} <= {".c", ".cpp", ".h"}
    (sketch,) = folder.rglob("*.ino")
    assert sketch.stem == sketch.parent.name and sketch.parent.parent == folder / "examples"


def test_platformio_native_compiles_and_passes(tmp_path):
    """The native environment's main and library compile with the library's src/ as the include folder, and pass."""
    folder = project(tmp_path, two_inputs(), ProjectLayout.PLATFORMIO, name="string")
    library = folder / "lib" / "string_model"
    sources = sorted(path for path in (library / "src").rglob("*") if path.suffix == ".c")
    objects = compile_tree([*sources, folder / "src" / "main.cpp"], [library / "src"], tmp_path)
    run("g++", *objects, "-o", tmp_path / "program")
    assert run(tmp_path / "program").strip() == "golden vector of string: pass"


@pytest.mark.parametrize("engine", [Engine.AOT, pytest.param(Engine.TFLM, marks=needs_wheel)])
def test_platformio_keeps_to_its_rules(engine, tmp_path):
    """Every environment has a platform, boards have a framework, and the library's manifest has the required fields."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.PLATFORMIO, engine=engine)
    config = ConfigParser()
    config.read(folder / "platformio.ini", encoding="utf-8")
    environments = [section for section in config.sections() if section.startswith("env:")]
    assert f"env:{config['platformio']['default_envs']}" in environments
    assert all("platform" in config[section] for section in environments)
    assert config["env:nano33ble"]["framework"] == "arduino" and ("env:native" in environments) is (engine is Engine.AOT)
    assert ("lib_deps" in config["env:nano33ble"]) is (engine is Engine.TFLM)
    manifest = json.loads((folder / "lib/net_model/library.json").read_text(encoding="utf-8"))
    assert {"name", "version"} <= set(manifest) and (folder / "lib/net_model/src" / manifest["headers"]).is_file()


@pytest.mark.parametrize("engine", [Engine.AOT, pytest.param(Engine.TFLM, marks=needs_wheel)])
def test_zephyr_names_every_source_and_symbol(engine, tmp_path):
    """find_package comes before project, every source is given to `app`, and prj.conf asks for TFLM only where it is needed."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.ZEPHYR, name="app", engine=engine)
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    assert text.index("cmake_minimum_required") < text.index("find_package(Zephyr REQUIRED") < text.index("project(app_model)")
    listed = set(re.findall(r"^    (\S+\.(?:c|cc))$", text, re.MULTILINE))
    assert listed == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in {".c", ".cc"}}
    lines = (folder / "prj.conf").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"CONFIG_[A-Z0-9_]+=(y|\d+)", line) for line in lines)
    cpp = {"CONFIG_CPP=y", "CONFIG_STD_CPP17=y", "CONFIG_REQUIRES_FULL_LIBCPP=y", "CONFIG_TENSORFLOW_LITE_MICRO=y"}
    assert cpp & set(lines) == (cpp if engine is Engine.TFLM else set())
    sample = (folder / "sample.yaml").read_text(encoding="utf-8")
    assert re.search(r"^sample:\n  name: app_model$", sample, re.MULTILINE) and re.search(r"^tests:\n  sample\.", sample, re.MULTILINE)
    assert ("    - tflite-micro\n" in sample) is (engine is Engine.TFLM)


@pytest.mark.parametrize("engine", [Engine.AOT, pytest.param(Engine.TFLM, marks=needs_wheel)])
def test_esp_idf_registers_every_source(engine, tmp_path):
    """The component registers each source once, main requires it by its folder's name, and TFLM is a dependency of its manifest."""
    folder = project(tmp_path, tiny_classifier(), ProjectLayout.ESP_IDF, name="log", engine=engine)
    component = folder / "components" / "log_model"
    registration = (component / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = re.findall(r'^        "(\S+)"$', registration, re.MULTILINE)
    found = sorted(path.relative_to(component).as_posix() for path in component.rglob("*") if path.suffix in {".c", ".cc"})
    assert sorted(listed) == found and registration.count("idf_component_register(") == 1
    main = (folder / "main" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert 'SRCS "main.c"' in main and f"PRIV_REQUIRES {component.name})" in main
    assert "void app_main(void)" in (folder / "main" / "main.c").read_text(encoding="utf-8")
    root = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    assert root.index("cmake_minimum_required") < root.index("tools/cmake/project.cmake") < root.index("project(")
    manifest = component / "idf_component.yml"
    assert manifest.exists() is (engine is Engine.TFLM)
    if manifest.exists():
        assert re.search(r"^dependencies:\n  espressif/esp-tflite-micro: ", manifest.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("layout", [ProjectLayout.ZEPHYR, ProjectLayout.ESP_IDF], ids=lambda layout: layout.value)
def test_device_mains_compile(layout, tmp_path):
    """The C of a Zephyr or ESP-IDF project compiles with the include folders that its build gives it."""
    folder = project(tmp_path, tiny_classifier(), layout, name="string")
    includes = sorted((folder / "components").glob("*"))
    assert compile_tree(sorted(folder.rglob("*.c")), includes, tmp_path)


@needs_wheel
def test_floats_are_compared_within_a_tolerance(tmp_path):
    """A float model's check takes neighbours of the reference's floats and refuses others and NaN."""
    folder = project(tmp_path, float_model(), ProjectLayout.PLAIN, engine=Engine.TFLM)
    program = """\
#include <math.h>
#include "model/ec_golden.c"
static float in[64], out[64];
static float factor = 1;
int net_init(void *a, size_t n) { (void)a; (void)n; return 0; }
void *net_input(void *a, int i) { (void)a; (void)i; return in; }
const void *net_output(void *a, int i) { (void)a; (void)i; return out; }
int net_invoke(void *a)
{
    (void)a;
    memcpy(out, output_0, sizeof output_0);
    for (size_t i = 0; i < sizeof output_0 / sizeof(float); i++)
        out[i] = (out[i] + 0.0f) * factor;
    return 0;
}
int main(void)
{
    if (ec_golden_differences() != 0)
        return 1;
    factor = 1.000001f;
    if (ec_golden_differences() != 0)
        return 2;
    factor = 1.01f;
    if (ec_golden_differences() == 0)
        return 3;
    factor = NAN;
    return ec_golden_differences() == 0 ? 4 : 0;
}
"""
    (folder / "check.c").write_text(program, encoding="utf-8")
    run(tool("gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror", folder / "check.c", "-o", tmp_path / "check")
    run(tmp_path / "check")


def test_the_same_model_gives_the_same_project(tmp_path):
    """Projects repeat to the byte, and name nothing of the machine that wrote them."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    for layout in ProjectLayout:
        first, second = (tree(project(tmp_path / place, tiny_classifier(), layout)) for place in ("a", "b"))
        assert first == second
        assert not [name for name, text in first.items() if str(tmp_path).encode() in text]


def test_without_a_layout_the_output_is_flat(tmp_path):
    """`generate` alone writes no project: no main, no golden vector, kernels in their own folders."""
    (tmp_path / "net.tflite").write_bytes(tiny_classifier())
    generate(tmp_path / "net.tflite", output=tmp_path / "src")
    names = set(tree(tmp_path / "src"))
    assert {"net.h", "net.c", "edgecompress/include/ec_kernels.h"} <= names
    assert not [name for name in names if "golden" in name or "main" in name or name.endswith(".md")]


def test_the_command_knows_every_layout(tmp_path):
    """The command offers exactly the layouts there are."""
    (option,) = [parameter for parameter in command.params if parameter.name == "layout"]
    assert list(option.type.choices) == [layout.value for layout in ProjectLayout]
    (tmp_path / "net.tflite").write_bytes(tiny_classifier())
    done = CliRunner().invoke(command, [str(tmp_path / "net.tflite"), "--layout", "plain", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0 and "Makefile" in done.output


def test_library_names_are_never_a_tools_own_word():
    """A target or component never has a bare word as its name, and never more than 63 characters."""
    assert [library_name(name) for name in ("test", "log")] == ["test_model", "log_model"]
    assert len(library_name("a" * 63)) == 63
