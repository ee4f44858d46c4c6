"""Generated models on the host: several at once, compiled into one program with sanitizers, fed through a pipe.

The program is a separate process, so that a fault in generated code is a failed test and not the end of pytest. Each model has an arena
of exactly the planned bytes, filled with a pattern before every inference: a step that reaches outside it, or reads what nobody wrote, is
seen; bytes of the arena that the plan gives to nobody are poisoned. All kernels are compiled once in a test session.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.artifact import GeneratedModel, TensorSpec
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.graph import DType
from edgecompress.resources import resource_dir
from edgecompress.target import KernelSet

FIRMWARE = resource_dir("firmware")

WARNINGS = (
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"),
    *("-Wcast-align", "-Wundef", "-Wvla", "-Wstrict-prototypes"),
)
# The DSP loops of ec_dot_dsp.h, with their instructions in plain C.
DSP_IN_C = ("-D__ARM_FEATURE_SIMD32=1", "-D__ARM_FEATURE_UNALIGNED=1", f"-I{Path(__file__).parent / 'acle'}")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
RUN_TIMEOUT_S = 120

_NUMPY = {DType.INT8: np.int8, DType.UINT8: np.uint8, DType.INT16: np.int16, DType.INT32: np.int32, DType.BOOL: np.bool_}


@dataclass(frozen=True)
class HostCompiler:
    """A C compiler, and its flags for tests; `emulator` starts its programs where they are another machine's."""

    command: tuple[str, ...]
    flags: tuple[str, ...]
    emulator: tuple[str, ...] = ()


@cache
def host_compiler() -> HostCompiler:
    """gcc or clang with sanitizers, else zig's clang without the address sanitizer; the test is skipped when there is none."""
    for name in ("gcc", "clang", "cc"):
        path = shutil.which(name)
        if path is not None:
            return HostCompiler((path,), ("-O1", "-g", *WARNINGS, *SANITIZERS))
    try:
        import ziglang  # noqa: F401
    except ImportError:
        pytest.skip("needs a C compiler for this machine: install gcc, or ziglang from PyPI")
    return HostCompiler((sys.executable, "-m", "ziglang", "cc"), ("-O1", "-g", *WARNINGS, "-fsanitize=undefined"))


@dataclass(frozen=True)
class HostProgram:
    """A compiled program that holds several models, addressed by their position."""

    executable: Path
    models: tuple[GeneratedModel, ...]
    emulator: tuple[str, ...] = ()

    def run(self, model: int, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs of one inference, in the shapes and types of the model's outputs."""
        (result,) = self.run_all([(model, inputs)])
        return result

    def run_all(self, jobs: Sequence[tuple[int, Sequence[NDArray[Any]]]]) -> list[list[NDArray[Any]]]:
        """One inference after the other, in one process."""
        request = b"".join(self._request(model, inputs) for model, inputs in jobs)
        command = [*self.emulator, str(self.executable)]
        done = subprocess.run(command, input=request, capture_output=True, timeout=RUN_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise AssertionError(f"the generated program failed with {done.returncode}:\n{done.stderr.decode(errors='replace')[-3000:]}")
        reply, results = memoryview(done.stdout), []
        for model, _ in jobs:
            outputs = []
            for spec in self.models[model].info.outputs:
                outputs.append(np.frombuffer(reply[: spec.bytes], _NUMPY[spec.dtype]).reshape(spec.shape))
                reply = reply[spec.bytes :]
            results.append(outputs)
        assert len(reply) == 0, f"{len(reply)} bytes too many came back"
        return results

    def _request(self, model: int, inputs: Sequence[NDArray[Any]]) -> bytes:
        specs = self.models[model].info.inputs
        return bytes([model & 255, model >> 8]) + b"".join(_raw(v, s) for v, s in zip(inputs, specs, strict=True))


def _raw(value: NDArray[Any], spec: TensorSpec) -> bytes:
    assert value.nbytes == spec.bytes, f"{spec.name}: expected {spec.bytes} bytes, came {value.nbytes}"
    return np.ascontiguousarray(value).tobytes()


def compile_models(
    models: Sequence[GeneratedModel], folder: Path, *, kernel_flags: tuple[str, ...] = (), compiler: HostCompiler | None = None
) -> HostProgram:
    """One program of all `models` in `folder`, by this machine's compiler unless another is given. Their names must differ; warnings are
    errors."""
    compiler = compiler or host_compiler()
    folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        for name, text in model.files.items():
            assert not (folder / name).exists(), f"two models write {name}"
            (folder / name).write_text(text, encoding="utf-8")
    (folder / "main.c").write_text(_main_source(models), encoding="utf-8")
    kernels = sorted({kernel for model in models for kernel in model.kernels})
    sources = [folder / "main.c", *sorted(folder / name for model in models for name in model.files if name.endswith(".c"))]
    executable = folder / "models"
    # Generated sources hold megabytes of numbers, no loops: they need no optimizer.
    objects = [str(_kernel_object(k, kernel_flags, compiler)) for k in kernels]
    compile_c([*map(str, sources), *objects, f"-I{folder}", "-O0", "-o", str(executable)], compiler)
    return HostProgram(executable, tuple(models), compiler.emulator)


def compile_tflites(
    files: Sequence[bytes],
    folder: Path,
    *,
    keep_input: bool = False,
    kernel_flags: tuple[str, ...] = (),
    kernels: KernelSet = KernelSet.PORTABLE,
    compiler: HostCompiler | None = None,
) -> HostProgram:
    """Read, generate and compile .tflite files; they are named m0, m1, ..."""
    models = [generate_aot(read_tflite(data, name=f"m{n}"), keep_input=keep_input, kernels=kernels) for n, data in enumerate(files)]
    return compile_models(models, folder, kernel_flags=kernel_flags, compiler=compiler)


@cache
def _object_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edgecompress-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _kernel_object(kernel: str, flags: tuple[str, ...], compiler: HostCompiler) -> Path:
    """A kernel compiled with every warning and sanitizer; once a session."""
    target = _object_folder() / f"{len(list(_object_folder().iterdir()))}_{Path(kernel).stem}.o"
    compile_c([*flags, "-c", str(FIRMWARE / kernel), "-o", str(target)], compiler)
    return target


def compile_c(arguments: Sequence[str], compiler: HostCompiler) -> None:
    """Run a compiler with its flags; the headers of the kernels are found."""
    command = [*compiler.command, *compiler.flags, f"-I{FIRMWARE / 'include'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\nfailed:\n{done.stderr[-4000:]}")


def _main_source(models: Sequence[GeneratedModel]) -> str:
    callbacks = "\n".join(_rows_function(m) for m in models if m.info.calls_for_rows)
    includes = "\n".join(f'#include "{m.info.name}.h"' for m in models)
    rows = "\n".join(_table_row(m) for m in models)
    holes = "\n".join(f"static const hole {m.info.name}_holes[] = {{ {_holes(m)} }};" for m in models)
    return f"""\
// Reads a model's number (two bytes) and its inputs, writes its outputs, until the end of its input.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ec_model.h"
{includes}
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

typedef struct {{
    size_t begin, end;
}} hole;

{holes}

typedef struct {{
    uint8_t *bytes;
    int next_row, asked_rows;
}} called_input;

{callbacks}

typedef struct {{
    size_t arena_bytes;
    const hole *holes; /* the last one is empty */
    called_input *called; /* input 0 if its rows are called for, or NULL */
    int steps, inputs, outputs;
    size_t input_bytes[1024], output_bytes[1024];
    int (*init)(void *, size_t);
    void *(*input)(void *, int);
    const void *(*output)(void *, int);
    int (*invoke)(void *);
    int (*step)(void *, int);
}} model;

static const model models[] = {{
{rows}
}};

static void *place_of(const model *m, void *arena, int input)
{{
    void *const place = m->input(arena, input);
    if (m->called == NULL || input > 0)
        return place;
    if (place != NULL)
        abort();
    return m->called->bytes;
}}

static void infer(const model *m, int stepwise)
{{
    const size_t bytes = m->arena_bytes > 0 ? m->arena_bytes : 16;
    uint8_t *arena = aligned_alloc(16, bytes);
    if (arena == NULL)
        abort();
    memset(arena, 0xa5, bytes);
    if (m->arena_bytes > 0 && (m->init(arena, m->arena_bytes - 1) != EC_ERROR_ARENA || m->init(arena + 1, bytes) != EC_ERROR_ARENA))
        abort();
    if (m->init(NULL, bytes) != EC_ERROR_ARENA || m->init(arena, m->arena_bytes) != EC_OK)
        abort();
    if (m->input(arena, m->inputs) != NULL || m->input(arena, -1) != NULL || m->output(arena, m->outputs) != NULL)
        abort();
    for (int i = 0; i < m->inputs; i++)
        if (fread(place_of(m, arena, i), 1, m->input_bytes[i], stdin) != m->input_bytes[i])
            abort();
    if (m->called != NULL)
        m->called->next_row = 0;
    for (const hole *h = m->holes; h->end > 0; h++)
        ASAN_POISON_MEMORY_REGION(arena + h->begin, h->end - h->begin);
    if (stepwise) {{
        for (int i = 0; i < m->steps; i++)
            if (m->step(arena, i) != EC_OK)
                abort();
        if (m->step(arena, m->steps) != EC_ERROR_INDEX || m->step(arena, -1) != EC_ERROR_INDEX)
            abort();
    }} else if (m->invoke(arena) != EC_OK) {{
        abort();
    }}
    if (m->called != NULL && m->called->next_row != m->called->asked_rows)
        abort();
    for (int i = 0; i < m->outputs; i++)
        fwrite(m->output(arena, i), 1, m->output_bytes[i], stdout);
    free(arena);
}}

int main(void)
{{
    uint8_t head[2];
    for (int n = 0; fread(head, 1, 2, stdin) == 2; n++)
        infer(&models[head[0] + 256 * head[1]], n % 2);
    return 0;
}}
"""


def _rows_function(m: GeneratedModel) -> str:
    """An application's part: rows of the first input, which must be asked for in order, each once, and go into the arena."""
    name, stream, spec = m.info.name, m.info.stream, m.info.inputs[0]
    assert stream is not None
    row_bytes = spec.bytes // spec.shape[1]
    return f"""\
static uint8_t {name}_bytes[{spec.bytes}];
static called_input {name}_called = {{ {name}_bytes, 0, {stream.asked_rows} }};

int {name}_input_rows(void *arena, int first_row, int rows, int8_t *to)
{{
    uint8_t *const begin = arena, *const place = (uint8_t *)to;
    if (first_row != {name}_called.next_row || rows < 1 || place < begin || place + rows * {row_bytes} > begin + {name.upper()}_ARENA_BYTES)
        abort();
    memcpy(to, {name}_bytes + first_row * {row_bytes}, (size_t)(rows * {row_bytes}));
    {name}_called.next_row += rows;
    return EC_OK;
}}
"""


def _holes(m: GeneratedModel) -> str:
    """Stretches of the arena that no buffer ever takes."""
    found, end = [], 0
    for buffer in sorted(m.info.plan, key=lambda b: b.offset):
        if buffer.offset > end:
            found.append(f"{{ {end}, {buffer.offset} }}, ")
        end = max(end, buffer.offset + buffer.bytes)
    if m.info.arena_bytes > end:
        found.append(f"{{ {end}, {m.info.arena_bytes} }}, ")
    return "".join(found) + "{ 0, 0 }"


def _table_row(m: GeneratedModel) -> str:
    name, upper, info = m.info.name, m.info.name.upper(), m.info
    inputs = ", ".join(f"{upper}_INPUT_{n}_BYTES" for n in range(len(info.inputs))) or "0"
    outputs = ", ".join(f"{upper}_OUTPUT_{n}_BYTES" for n in range(len(info.outputs))) or "0"
    counts = f"{upper}_STEP_COUNT, {upper}_INPUT_COUNT, {upper}_OUTPUT_COUNT"
    called = f"&{name}_called" if info.calls_for_rows else "NULL"
    functions = ", ".join(f"{name}_{f}" for f in ("init", "input", "output", "invoke", "step"))
    return f"    {{ {upper}_ARENA_BYTES, {name}_holes, {called}, {counts}, {{ {inputs} }}, {{ {outputs} }},\n      {functions} }},"
