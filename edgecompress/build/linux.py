"""From generated sources to one static program for Linux or Android: the model with the runner around it (firmware/runner).

generated + kernels + table --compile--> objects --link--> the model alone (its size)
                 + runner   --compile--> objects --link--> runner, stripped

zig brings musl for each machine, so the program needs nothing on the device: no libc, no linker, no permission but to be executed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgecompress.artifact import Engine, GeneratedModel, MemorySizes, ModelInfo
from edgecompress.build.glue import render_app_model
from edgecompress.build.program_sizes import read_program_sections
from edgecompress.build.toolchain import ZIG, Compiler, locate
from edgecompress.errors import UserError
from edgecompress.files import publish, working_in, write_text
from edgecompress.resources import resource_dir
from edgecompress.tools import run_tool

RUNNER = "runner"
_ENTRY_POINTS = ("init", "input", "output", "invoke", "step")


class Machine(Enum):
    """Machines that a runner is built for, each by the oldest core that it starts on.

    AARCH64 is Armv8-A with NEON (every 64-bit phone and Raspberry Pi), ARMV7 Armv7-A with NEON and hard float, X86_64 x86-64-v2 (SSE4.2,
    from 2009 on), RISCV64 the RV64GC of Linux distributions.
    """

    AARCH64 = "aarch64"
    ARMV7 = "armv7"
    X86_64 = "x86_64"
    RISCV64 = "riscv64"


class Tune(Enum):
    """PORTABLE starts on every core of its machine; NATIVE may use whatever this computer's core has, and may start nowhere else."""

    PORTABLE = "portable"
    NATIVE = "native"


# Measured, us of one inference (autoencoder / ResNet8 / DS-CNN) on an AMD EPYC of 2022, zig 0.17.1, -O3; zig's -O2 gives the same code:
#   x86_64 (SSE2)   72.6 / 3,750 / 1,270     widening int8 takes several instructions
#   x86_64_v2       25.9 / 1,707 /   830
#   x86_64_v3       16.1 / 1,352 /   820     AVX2
#   native          13.5 / 1,358 /   796     AVX-512
_CORE = {
    Machine.AARCH64: ("-target", "aarch64-linux-musl", "-mcpu=generic"),
    Machine.ARMV7: ("-target", "arm-linux-musleabihf", "-mcpu=generic+v7a+neon+vfp3"),
    Machine.X86_64: ("-target", "x86_64-linux-musl", "-mcpu=x86_64_v2"),
    Machine.RISCV64: ("-target", "riscv64-linux-musl", "-mcpu=baseline_rv64"),
}
# How uname calls the machines that run them. 64-bit Arm and Intel cores are not asked whether they run 32-bit programs.
_UNAME = {
    "aarch64": Machine.AARCH64,
    "arm64": Machine.AARCH64,
    "armv7l": Machine.ARMV7,
    "armv8l": Machine.ARMV7,
    "x86_64": Machine.X86_64,
    "AMD64": Machine.X86_64,
    "riscv64": Machine.RISCV64,
}
_COMPILE = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-g0",
    "-ffunction-sections",
    "-fdata-sections",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fno-common",
    "-ffp-contract=off",
    "-fno-sanitize=undefined",
)
_KERNEL = ("-O3",)
_SMALL = ("-Os",)
_LINK = ("-static", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none")


@dataclass(frozen=True)
class Runner:
    """A program that holds one model, for one machine. `sizes.harness_bytes` is the runner with its C library."""

    executable: Path
    machine: Machine
    info: ModelInfo
    sizes: MemorySizes
    toolchain: str


def find_machine(name: str) -> Machine:
    """The machine that calls itself `name` (`uname -m`), or an Android ABI such as arm64-v8a.

    Raises:
        UserError: nothing is built for it.
    """
    abis = {"arm64-v8a": Machine.AARCH64, "armeabi-v7a": Machine.ARMV7}
    machine = _UNAME.get(name) or abis.get(name)
    if machine is None:
        known = ", ".join(machine.value for machine in Machine)
        raise UserError(f"no runner is built for the machine {name!r:.40}", hint=f"measure on one of: {known}")
    return machine


def compile_flags(machine: Machine, tune: Tune = Tune.PORTABLE) -> tuple[str, ...]:
    """The flags of one compilation but its optimization, files and include folders."""
    return _core_flags(machine, tune) + _COMPILE


def _core_flags(machine: Machine, tune: Tune) -> tuple[str, ...]:
    target, triple, portable = _CORE[machine]
    return (target, triple, "-mcpu=native" if tune is Tune.NATIVE else portable)


def build_runner(generated: GeneratedModel, machine: Machine, *, tune: Tune = Tune.PORTABLE, output: Path) -> Runner:
    """Compile and link a generated model with the runner.

    Args:
        output: a folder; `runner` and `generated/` are written there, the program last.

    Raises:
        UserError: the model's engine is not aot, or NATIVE was asked for another machine than this one.
        ToolError: the compiler is missing, or failed.
        OutputError: the folder cannot be written.
    """
    if generated.info.engine is not Engine.AOT:
        engine = generated.info.engine.value
        raise UserError(f"the engine {engine} is not built for {machine.value}", hint="choose --engine aot, or measure with LiteRT")
    if tune is Tune.NATIVE and _UNAME.get(platform.machine()) is not machine:
        raise UserError(
            f"this computer is {platform.machine()}; a runner for {machine.value} cannot be tuned to it", hint="build a portable one"
        )
    with working_in(output) as work:
        build = _Build(generated, machine, tune, locate(ZIG), work)
        sizes = build.run()
        names = sorted(path.relative_to(work) for path in (work / "generated").rglob("*") if not path.is_dir())
        publish(work, output, [*names, Path(RUNNER)])
    return Runner(output / RUNNER, machine, generated.info, sizes, build.compiler.version)


class _Build:
    """One build, in a folder of its own."""

    def __init__(self, generated: GeneratedModel, machine: Machine, tune: Tune, compiler: Compiler, work: Path) -> None:
        self.generated = generated
        self.machine = machine
        self.tune = tune
        self.compiler = compiler
        self.work = work
        self.firmware_dir = resource_dir("firmware")

    def run(self) -> MemorySizes:
        info = self.generated.info
        for name, text in self.generated.files.items():
            write_text(self.work / "generated" / name, text)
        write_text(self.work / "generated" / "app_model.c", render_app_model(info, self.machine.value))
        model = [(self.work / "generated" / name, _SMALL) for name in self.generated.files if name.endswith(".c")]
        model += [(self.firmware_dir / kernel, _KERNEL) for kernel in self.generated.kernels]
        rest = [(self.work / "generated" / "app_model.c", _SMALL)]
        rest += [(path, _SMALL) for path in sorted((self.firmware_dir / RUNNER).glob("*.c"))]
        (self.work / "objects").mkdir()
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            objects = list(pool.map(self._compile, *zip(*model + rest, strict=True)))
        self._link([*_LINK, *objects], RUNNER)
        (self.work / RUNNER).chmod(0o755)
        return self._sizes(objects[: len(model)])

    def _compile(self, source: Path, speed: Sequence[str]) -> str:
        """No -I of the generated folder: a model may be called string, and its header is found from its own folder."""
        to = f"objects/{source.parent.name}_{source.stem}.o"
        command = [*self.compiler.command, *compile_flags(self.machine, self.tune), *speed, f"-I{self.firmware_dir / 'include'}"]
        # No path of this machine reaches the output. The work folder is named only where it matters: without it zig finds the object of a
        # kernel that it has compiled before in its cache.
        places = {self.compiler.folder: "compiler", self.firmware_dir: "firmware"}
        places |= {self.work: "."} if source.is_relative_to(self.work) else {}
        command += [f"-ffile-prefix-map={folder}={name}" for folder, name in places.items()]
        self._tool([*command, "-c", str(source), "-o", to])
        return to

    def _sizes(self, model_objects: Sequence[str]) -> MemorySizes:
        """From the program, and from a link of nothing but the model's functions."""
        name = self.generated.info.name
        wanted = [f"-Wl,-u,{name}_{entry}" for entry in _ENTRY_POINTS if entry != "step" or self.generated.info.steps]
        self._link([*_LINK, "-nostartfiles", f"-Wl,-e,{name}_invoke", *wanted, *model_objects], "model")
        alone = read_program_sections(self.work / "model")
        whole = read_program_sections(self.work / RUNNER)
        model_bytes = whole.of(".ec_model")
        code_bytes = alone.stored_bytes - alone.of(".ec_model")
        return MemorySizes(
            code_bytes=code_bytes,
            model_bytes=model_bytes,
            harness_bytes=whole.stored_bytes - model_bytes - code_bytes,
            arena_bytes=self.generated.info.arena_bytes,
            static_ram_bytes=whole.of(".data") + whole.of(".bss") - max(self.generated.info.arena_bytes, 1),
        )

    def _link(self, arguments: Sequence[str], name: str) -> None:
        self._tool([*self.compiler.command, *_core_flags(self.machine, self.tune), *arguments, "-o", name])

    def _tool(self, command: Sequence[str]) -> str:
        return run_tool(command, cwd=self.work, environment=self.compiler.environment)
