"""What `generate` writes, as its reader uses it: a folder that a plain compiler takes, with two models, called from C and from C++."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompress import generate
from edgecompress.convert import read_tflite
from edgecompress.numerics.reference import run_reference
from edgecompress.resources import resource_dir
from tests.conv_families import depthwise
from tests.op_cases import OpCases
from tests.sample_models import tiny_classifier

COMPILE_TIMEOUT_S = 120
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wcast-qual", "-Wmissing-prototypes", "-Werror")

# Every byte of every input counts up from its index; outputs are printed in hex, a line each.
APPLICATION = """\
#include <stdio.h>
#include "first.h"
#include "second.h"

#ifdef __cplusplus
#define ALIGNED alignas(16)
#else
#define ALIGNED _Alignas(16)
#endif

ALIGNED static unsigned char arena_1[FIRST_ARENA_BYTES];
ALIGNED static unsigned char arena_2[SECOND_ARENA_BYTES];

static void fill(void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)to)[i] = (unsigned char)i;
}

static void print(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        printf("%02x", ((const unsigned char *)from)[i]);
    printf("\\n");
}

int main(void)
{
    if (first_init(arena_1, sizeof arena_1) != 0 || second_init(arena_2, sizeof arena_2) != 0)
        return 1;
    fill(first_input(arena_1, 0), FIRST_INPUT_0_BYTES);
    fill(second_input(arena_2, 0), SECOND_INPUT_0_BYTES);
    if (first_invoke(arena_1) != 0 || second_invoke(arena_2) != 0)
        return 2;
    print(first_output(arena_1, 0), FIRST_OUTPUT_0_BYTES);
    print(second_output(arena_2, 0), SECOND_OUTPUT_0_BYTES);
    return 0;
}
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
    return done.stdout


def compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


def expected(data: bytes) -> str:
    """The oracle's first output for the application's input."""
    graph = read_tflite(data, name="model")
    tensor = graph.tensor(graph.inputs[0])
    values = np.arange(tensor.bytes, dtype=np.int64).astype(np.uint8).view(np.int8).reshape(tensor.shape)
    return run_reference(graph, [values])[graph.outputs[0]].tobytes().hex()


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    """A classifier, and a depthwise convolution: models that share some kernels and not others."""
    return {"first": tiny_classifier(), "second": OpCases(5).grow(depthwise, 1).build()[0]}


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory) -> Path:
    """Both models generated into one folder, one after the other."""
    work = tmp_path_factory.mktemp("generated")
    for name, data in models.items():
        (work / f"{name}.tflite").write_bytes(data)
        generate(work / f"{name}.tflite", output=work / "src")
    (work / "app.c").write_text(APPLICATION, encoding="utf-8")
    shutil.copy(work / "app.c", work / "app.cc")
    return work


def compile_folder(folder: Path, to: Path, *command: str) -> list[str]:
    """The objects of everything that was generated: the includes that the documentation names, and no others."""
    to.mkdir()
    source = folder / "src"
    objects = []
    for path in sorted([*source.glob("*.c"), *(source / "edgecompress" / "kernels").glob("*.c")]):
        objects.append(str(to / f"{path.stem}.o"))
        run(*command, "-std=c11", *WARNINGS, f"-I{source}", f"-I{source / 'edgecompress' / 'include'}", "-c", str(path), "-o", objects[-1])
    return objects


@pytest.mark.parametrize(("name", "application"), [("gcc", "app.c"), ("g++", "app.cc")])
def test_two_models_in_one_program(folder, models, name, application, tmp_path):
    """The folder compiles by itself without a warning, links into a program in C or C++, and both models give the oracle's bytes."""
    objects = compile_folder(folder, tmp_path / "objects", compiler("gcc"), "-O1")
    program = tmp_path / "program"
    run(compiler(name), f"-I{folder / 'src'}", str(folder / application), *objects, "-o", str(program))
    assert run(str(program)).split() == [expected(data) for data in models.values()]


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_the_folder_compiles_for_a_core(folder, core, tmp_path):
    """The compiler of another firmware project takes it as it is, kernels with DSP loops included."""
    compile_folder(folder, tmp_path / "objects", compiler("arm-none-eabi-gcc"), f"-mcpu={core}", "-mthumb", "-Os")


def test_the_folder_holds_no_header_that_nothing_includes(folder):
    """Kernels for other instruction sets stay away, but for their contracts in ec_kernels.h."""
    headers = {path.name: path.read_text() for path in (folder / "src" / "edgecompress" / "include").glob("*.h")}
    texts = [*headers.values(), *(path.read_text() for path in (folder / "src").rglob("*.c"))]
    unused = [name for name in headers if name != "ec_memory.h" and not any(f'#include "{name}"' in text for text in texts)]
    assert not unused
    assert not {"ec_dsp_quad.h", "ec_model.h", "ec_port.h"} & headers.keys()


def test_headers_are_c_plus_plus_too(folder, tmp_path):
    """Every header of the folder, and every header that another one could hold, can be included first and alone from C++."""
    include = resource_dir("firmware") / "include"
    everything = [path for path in include.glob("*.h") if path.name not in ("ec_dot_dsp.h", "ec_port.h")]
    headers = sorted([*everything, *(folder / "src").glob("*.h")])
    assert len(headers) > 25
    for header in headers:
        source = tmp_path / f"{header.stem}.cc"
        source.write_text(f'#include "{header.name}"\n', encoding="utf-8")
        includes = (f"-I{header.parent}", f"-I{include}")
        run(compiler("g++"), "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", *includes, str(source))
