"""Generated C on 64-bit Arm: instructions of one inference with NEON and with dot products, counted by an emulator. Never time.

    EDGECOMPRESS_DATA=... python benchmarks/aarch64.py      $EDGECOMPRESS_DATA/models/*.tflite on both cores
    python benchmarks/aarch64.py digits.tflite --portable   this one, and its portable kernels too: the compiler's own vectors

The program is the same for all cores and asks the one it runs on what it can do. qemu-aarch64 logs every instruction (a minute a model);
a run of two inferences less a run of one is what one takes, whatever the start of the program costs. The input outlives the first (as with
`--keep-input`). How many cycles a real core makes of that is not known here. The outputs are compared with the reference kernels; the exit
code is 1 where any byte differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgecompress import generate
from edgecompress.artifact import ModelInfo
from edgecompress.build.linux import Machine, compile_flags
from edgecompress.build.toolchain import ZIG, locate
from edgecompress.codegen import generate_aot
from edgecompress.errors import DeviceError, EdgeCompressError, ToolError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.reference import check_parity
from edgecompress.pipeline.sources import LoadedModel, load_model
from edgecompress.target import KernelSet
from edgecompress.tools import run_tool

EMULATOR = "qemu-aarch64-static"
# Cores as qemu names them, the first without dot products.
CORES = ("cortex-a53", "cortex-a76")
COLUMNS = ("model", "kernels", "core", "instructions", "per MAC", "MACs", "bytes")
MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include "{name}.h"

static _Alignas({alignment}) unsigned char arena[{arena_bytes}];

static int move(int out)
{{
    static const size_t in_bytes[] = {{{in_bytes}}}, out_bytes[] = {{{out_bytes}}};
    for (int i = 0; i < (out ? {outputs} : {inputs}); i++) {{
        size_t n = out ? out_bytes[i] : in_bytes[i];
        size_t done = out ? fwrite({name}_output(arena, i), 1, n, stdout) : fread({name}_input(arena, i), 1, n, stdin);
        if (done != n) {{
            return 1;
        }}
    }}
    return 0;
}}

int main(int argc, char **argv)
{{
    if (argc != 2 || {name}_init(arena, sizeof arena) != 0 || move(0) != 0) {{
        return 1;
    }}
    for (int runs = atoi(argv[1]); runs > 0; runs--) {{
        {name}_invoke(arena);
    }}
    return move(1);
}}
"""


@dataclass(frozen=True)
class Program:
    """A model for any 64-bit Arm; stdin takes the inputs, stdout gets the outputs, the argument is the number of inferences."""

    executable: Path
    info: ModelInfo

    def run(self, core: str, inputs: Sequence[bytes]) -> list[bytes]:
        """The outputs of one inference."""
        done = subprocess.run([EMULATOR, "-cpu", core, str(self.executable), "1"], input=b"".join(inputs), capture_output=True, timeout=300)
        if done.returncode:
            raise DeviceError(f"the program ended with {done.returncode} on {core}", hint=f"read: {done.stderr[-200:]!r}")
        outputs, at = [], 0
        for spec in self.info.outputs:
            outputs.append(done.stdout[at : at + spec.bytes])
            at += spec.bytes
        return outputs

    def count(self, core: str, inputs: Sequence[bytes]) -> int:
        """Instructions of one inference: of the second, on the same input as the first."""
        once, twice = (self._logged(core, inputs, runs) for runs in (1, 2))
        return twice - once

    def _logged(self, core: str, inputs: Sequence[bytes], runs: int) -> int:
        """Lines of qemu's log when each block of translated code is one instruction and none is chained to the next."""
        command = [EMULATOR, "-cpu", core, "-singlestep", "-d", "exec,nochain", str(self.executable), str(runs)]
        with tempfile.TemporaryFile() as stdin:
            stdin.write(b"".join(inputs))
            stdin.seek(0)
            with subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
                assert process.stderr is not None
                lines = 0
                while block := process.stderr.read(1 << 20):
                    lines += block.count(b"\n")
        if process.returncode:
            raise DeviceError(f"the program ended with {process.returncode} on {core}", hint="run it without the log to see why")
        return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="int8 .tflite files; those of $EDGECOMPRESS_DATA/models by default")
    parser.add_argument("--cores", nargs="+", choices=CORES, default=list(CORES))
    parser.add_argument("--portable", action="store_true", help="the portable kernels as well")
    arguments = parser.parse_args()
    models = arguments.models or _data_models()
    if not models:
        parser.error("no model is named, and there is none in $EDGECOMPRESS_DATA/models")
    same = True
    try:
        if shutil.which(EMULATOR) is None:
            raise ToolError(f"{EMULATOR} is not on PATH", hint="apt install qemu-user-static")
        print("  ".join(_padded(COLUMNS)))
        for path in models:
            model = load_model(path)
            for kernels in [KernelSet.WIDE, *[KernelSet.PORTABLE] * arguments.portable]:
                same &= _measure(model, path, kernels, arguments.cores)
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0 if same else 1


def _measure(model: LoadedModel, path: Path, kernels: KernelSet, cores: Sequence[str]) -> bool:
    """Print a row for each core; whether all bytes are the reference's."""
    macs = model.graph.macs
    same = True
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        program = build(model, path, kernels, Path(folder))
        inputs = lcg_inputs(1, [spec.bytes for spec in program.info.inputs])
        for core in cores:
            parity = check_parity(partial(program.run, core), model, [inputs])
            equal = parity is not None and parity.mismatched_bytes == 0
            count = program.count(core, inputs)
            per_mac = f"{count / macs:.3f}" if macs else "-"
            row = (program.info.name, kernels.value, core, f"{count:,}", per_mac, f"{macs:,}", "same" if equal else "DIFFER")
            print("  ".join(_padded(row)), flush=True)
            same &= equal
    return same


def build(model: LoadedModel, path: Path, kernels: KernelSet, folder: Path) -> Program:
    """Generate, compile and link one model as its users would, and a main around it."""
    info = generate_aot(model.graph, kernels=kernels, keep_input=True).info
    generate(path, output=folder / "model", kernels=kernels, name=info.name, keep_input=True)
    main_c = folder / "main.c"
    main_c.write_text(
        MAIN.format(
            name=info.name,
            alignment=16,
            arena_bytes=max(info.arena_bytes, 1),
            inputs=len(info.inputs),
            outputs=len(info.outputs),
            in_bytes=", ".join(str(spec.bytes) for spec in info.inputs),
            out_bytes=", ".join(str(spec.bytes) for spec in info.outputs),
        ),
        encoding="utf-8",
    )
    compiler = locate(ZIG)
    sources = sorted((folder / "model").rglob("*.c"))
    includes = [f"-I{folder / 'model'}", f"-I{folder / 'model' / 'edgecompress' / 'include'}"]
    executable = folder / "program"
    run_tool(
        [
            *compiler.command,
            *compile_flags(Machine.AARCH64),
            "-O3",
            "-static",
            *includes,
            *map(str, [main_c, *sources]),
            "-o",
            str(executable),
        ],
        cwd=folder,
        environment=compiler.environment,
    )
    return Program(executable, info)


def _padded(row: Sequence[str]) -> list[str]:
    widths = (22, 9, 11, 13, 8, 12, 0)
    return [text.rjust(width) if 3 <= n <= 5 else text.ljust(width) for n, (text, width) in enumerate(zip(row, widths, strict=True))]


def _data_models() -> list[Path]:
    folder = os.environ.get("EDGECOMPRESS_DATA")
    return sorted((Path(folder) / "models").glob("*.tflite")) if folder else []


if __name__ == "__main__":
    raise SystemExit(main())
