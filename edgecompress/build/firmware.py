"""From generated sources to a linked firmware.

generated + kernels + glue + start-up + board (+ application) --compile--> objects --link--> model alone (its size), firmware.elf

The tflm engine's sources are C++, and TensorFlow Lite Micro's library is linked with them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edgecompress.artifact import Engine, Firmware, GeneratedModel
from edgecompress.build.boot2 import render_boot2, seal_boot2
from edgecompress.build.cortex_m import Speed, compile_flags, core_flags, link_flags, runtime_library
from edgecompress.build.cpp import LIBRARIES, cpp_flags, locate_cpp, require_cpp
from edgecompress.build.glue import (
    MANIFEST_SCHEMA,
    Manifest,
    parse_manifest,
    render_app_model,
    render_app_rows,
    render_board,
    render_linker_script,
    render_manifest,
)
from edgecompress.build.sizes import check_fits, check_ram, check_stack, measure_sizes, model_code_bytes
from edgecompress.build.stack import stack_bound
from edgecompress.build.stack_code import StackBoundError
from edgecompress.build.tflm import TflmTree
from edgecompress.build.toolchain import ZIG, Compiler, Toolchain, locate
from edgecompress.build.uf2 import to_uf2
from edgecompress.elf import Image, read_elf
from edgecompress.errors import ModelError, TargetError, ToolError, UserError
from edgecompress.files import publish, replacing, working_in, write_text
from edgecompress.resources import resource_dir
from edgecompress.target import EmulatorLink, Target
from edgecompress.tools import run_tool

_ENTRY_POINTS = ("init", "input", "output", "invoke", "step")


def build_firmware(
    generated: GeneratedModel, target: Target, *, toolchain: Toolchain = ZIG, output: Path, tflm: TflmTree | None = None
) -> Firmware:
    """Compile and link a generated model for a target.

    Args:
        tflm: TensorFlow Lite Micro, which the tflm engine needs.
        output: a folder; `firmware.elf`, `firmware.map`, `link.ld`, `generated/` and, where the target asks for it, `firmware.uf2` are
            written there, the ELF last.

    Raises:
        UserError: the model's engine cannot be linked here.
        TargetError: the target's board is not there.
        BudgetError: the firmware does not fit the target.
        ToolError: the compiler is missing, or failed.
        OutputError: the folder cannot be written.
    """
    compiler = _compiler(generated.info.engine, toolchain, tflm)
    check_ram(generated.info, target)
    with working_in(output) as work:
        build = _Build(generated, target, compiler, work, tflm)
        firmware = build.run()
        _publish(work, output, ["firmware.uf2"] if target.image is not None else [])
    return replace(firmware, elf=output / "firmware.elf")


def read_firmware(path: Path) -> Firmware:
    """Read back a firmware.elf: it holds all that is needed to run and measure it.

    Raises:
        ModelError: the file is missing, no ELF file, damaged, or was not built by `build_firmware`.
    """
    image = read_elf(path)
    if image.manifest is None:
        raise ModelError(f"{path}: has no manifest", hint="give a firmware.elf that edgecompress build wrote")
    try:
        manifest = parse_manifest(image.manifest)
    except ModelError as e:
        raise ModelError(f"{path}: {e.message}", hint=e.hint) from e
    sizes = measure_sizes(image, manifest.code_bytes)
    return Firmware(path, manifest.target, manifest.model, sizes, manifest.toolchain, manifest.stack_bound_bytes)


def _compiler(engine: Engine, toolchain: Toolchain, tflm: TflmTree | None) -> Compiler:
    """The compiler for an engine's sources.

    Raises:
        UserError: the engine's library is missing, or this toolchain has no C++.
        ToolError: the compiler is not installed.
    """
    if engine is Engine.TFLM:
        if tflm is None:
            raise UserError(
                "the engine tflm links TensorFlow Lite Micro, and no folder of it was named",
                hint="add --tflm-dir DIR, or set EDGECOMPRESS_TFLM_DIR; docs/tflm.md says how to get one",
            )
        require_cpp(toolchain)
    return locate(toolchain)


@dataclass(frozen=True)
class _Source:
    """One file to compile. Its object is named after `path`, so two files must not share a stem and a folder's name."""

    path: Path
    speed: Speed

    @property
    def object_name(self) -> str:
        return f"{self.path.parent.name}_{self.path.stem}.o"


class _Build:
    """One build, in a folder of its own."""

    def __init__(self, generated: GeneratedModel, target: Target, compiler: Compiler, work: Path, tflm: TflmTree | None) -> None:
        self.generated = generated
        self.target = target
        self.compiler = compiler
        self.work = work
        self.tflm = tflm
        self.cpp = () if tflm is None else locate_cpp(compiler)
        self.version = compiler.version if tflm is None else f"{compiler.version}, {tflm.description}"
        self.firmware_dir = resource_dir("firmware")
        self.skeleton = (self.firmware_dir / "boards" / "cortex_m" / "link.ld.in").read_text(encoding="utf-8")

    def run(self) -> Firmware:
        info = self.generated.info
        self._write_generated()
        # The model's own objects, then the rest: both are linked, the first ones also alone.
        model = [_Source(self.work / "generated" / name, Speed.SMALL) for name in self.generated.files if name.endswith((".c", ".cc"))]
        model += [_Source(self.firmware_dir / kernel, Speed.KERNEL) for kernel in self.generated.kernels]
        shared = [_Source(self.firmware_dir / "boards" / "cortex_m" / "memory.c", Speed.RUNTIME)]
        if info.calls_for_rows:
            shared.append(_Source(self.work / "generated" / "app_rows.c", Speed.SMALL))
        if self.tflm is not None:
            shared.append(_Source(self.firmware_dir / "boards" / "cortex_m" / "newlib.c", Speed.SMALL))
        objects = self._compile(model + shared + self._harness())
        alone = self._link_model(objects[: len(model) + len(shared)])
        code_bytes = model_code_bytes(alone)
        bound, problem = self._stack_bound(alone)
        manifest = Manifest(MANIFEST_SCHEMA, self.target.name, self.version, code_bytes, info, bound)
        write_text(self.work / "generated" / "manifest.s", render_manifest(manifest))
        objects += [self._assemble("generated/manifest.s"), *self._boot2()]
        image = self._link_firmware(objects, code_bytes)
        sizes = measure_sizes(image, code_bytes)
        check_fits(image, sizes, info, self.target)
        if self.target.image is not None:
            with replacing(self.work / "firmware.uf2") as path:
                path.write_bytes(to_uf2(image, self.target.image.family))
        return Firmware(self.work / "firmware.elf", self.target.name, info, sizes, self.version, bound, problem)

    def _stack_bound(self, alone: Image) -> tuple[int | None, str]:
        """The bound of one inference, or why there is none: a firmware without one is a firmware.

        Raises:
            BudgetError: it is more than the target reserves.
        """
        try:
            bound = stack_bound(alone, f"{self.generated.info.name}_invoke")
        except StackBoundError as e:
            return None, e.message
        check_stack(bound, self.target)
        return bound.bytes, ""

    def _write_generated(self) -> None:
        for name, text in self.generated.files.items():
            write_text(self.work / "generated" / name, text)
        if self.generated.info.calls_for_rows:
            write_text(self.work / "generated" / "app_rows.c", render_app_rows(self.generated.info))
        write_text(self.work / "generated" / "app_model.c", render_app_model(self.generated.info, self.target.name))
        write_text(self.work / "generated" / "ec_board.h", render_board(self.target))

    def _harness(self) -> list[_Source]:
        """Start-up, the board, the table, and the application where the board does not play it."""
        board = self.firmware_dir / "boards" / self.target.board
        if not board.is_dir():
            raise TargetError(f"{self.target.name}: board {self.target.board!r} is no folder of {board.parent}", hint="see firmware/boards")
        folders = [board] if isinstance(self.target.link, EmulatorLink) else [board, self.firmware_dir / "app"]
        files = [self.work / "generated" / "app_model.c", self.firmware_dir / "boards" / "cortex_m" / "startup.c"]
        files += [path for folder in folders for path in sorted(folder.glob("*.c"))]
        return [_Source(path, Speed.SMALL) for path in files]

    def _boot2(self) -> list[str]:
        """The object of the board's second boot stage, where it has one: linked alone first, because a checksum covers the result."""
        board = self.firmware_dir / "boards" / self.target.board
        if not (board / "boot2.S").is_file():
            return []
        self._link([self._assemble(str(board / "boot2.S"))], ["-Wl,-e,boot2"], board / "boot2.ld", "boot2.elf")
        code = b"".join(segment.data for segment in read_elf(self.work / "boot2.elf").segments)
        write_text(self.work / "generated" / "boot2.s", render_boot2(seal_boot2(code)))
        return [self._assemble("generated/boot2.s")]

    def _assemble(self, source: str) -> str:
        """Assemble one file; returns the object's name in the work folder."""
        to = f"{Path(source).parent.name}_{Path(source).stem}.o"
        self._tool([*self.compiler.command, *core_flags(self.compiler.kind, self.target), "-c", source, "-o", to])
        return to

    def _compile(self, sources: Sequence[_Source]) -> list[str]:
        """Compile each source; returns the objects' names in the work folder, in order."""
        (self.work / "objects").mkdir(exist_ok=True)
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            return list(pool.map(self._compile_one, sources))

    def _compile_one(self, source: _Source) -> str:
        to = f"objects/{source.object_name}"
        includes = [self.work / "generated", self.firmware_dir / "include", self.firmware_dir / "boards" / self.target.board]
        # No path of this machine reaches the output.
        places = {self.compiler.folder: "compiler", self.firmware_dir: "firmware", self.work: "."}
        if self.tflm is not None and source.path.suffix == ".cc":
            command = [*self.cpp, *cpp_flags(self.compiler, self.target, source.speed), *self.tflm.defines]
            command += [f"-isystem{folder}" for folder in self.tflm.includes]
            places[self.tflm.root] = "tflm"
        else:
            command = [*self.compiler.command, *compile_flags(self.compiler.kind, self.target, source.speed)]
        command += [f"-I{folder}" for folder in includes]
        command += [f"-ffile-prefix-map={folder}={name}" for folder, name in places.items()]
        self._tool([*command, "-c", str(source.path), "-o", to])
        return to

    def _link_model(self, objects: Sequence[str]) -> Image:
        """Link the model's functions and nothing else."""
        name = self.generated.info.name
        wanted = [f"{name}_{entry}" for entry in _ENTRY_POINTS if entry != "step" or self.generated.info.steps]
        entries = [f"-Wl,-e,{name}_invoke", *(f"-Wl,-u,{function}" for function in wanted)]
        script = self.firmware_dir / "boards" / "cortex_m" / "model.ld"
        self._link(objects, entries, script, "model.elf")
        return read_elf(self.work / "model.elf")

    def _link_firmware(self, objects: Sequence[str], code_bytes: int) -> Image:
        """Link everything into firmware.elf, with a map.

        Raises:
            BudgetError: it does not fit.
            ToolError: the linker failed for another reason.
        """
        script = self.work / "link.ld"
        write_text(script, render_linker_script(self.skeleton, self.target))
        try:
            listing = self._link(objects, ["-Wl,-e,Reset_Handler", "-Wl,--print-map"], script, "firmware.elf")
        except ToolError:
            write_text(script, render_linker_script(self.skeleton, self.target, roomy=True))
            self._link(objects, ["-Wl,-e,Reset_Handler"], script, "firmware.elf")
            image = read_elf(self.work / "firmware.elf")
            check_fits(image, measure_sizes(image, code_bytes), self.generated.info, self.target)
            raise
        # The only paths of this machine in it are the compiler's.
        for folder in (*self.compiler.environment.values(), str(self.compiler.folder)):
            listing = listing.replace(folder, "compiler")
        if self.tflm is not None:
            listing = listing.replace(str(self.tflm.root), "tflm")
        write_text(self.work / "firmware.map", listing)
        return read_elf(self.work / "firmware.elf")

    def _link(self, objects: Sequence[str], entries: Sequence[str], script: Path, name: str) -> str:
        command = [*self.compiler.command, *link_flags(self.compiler.kind, self.target), *entries, "-T", str(script), *objects, "-o", name]
        if self.tflm is not None:
            return self._tool([*command, str(self.tflm.library), *LIBRARIES])
        try:
            return self._tool(command)
        except ToolError as e:
            if "undefined symbol" not in e.message and "undefined reference" not in e.message:
                raise
            # Few models need it on larger cores, and zig builds it on first use: 5 to 20 s for each core.
            return self._tool([*command, *runtime_library(self.compiler.kind)])

    def _tool(self, command: Sequence[str]) -> str:
        return run_tool(command, cwd=self.work, environment=self.compiler.environment)


def _publish(work: Path, output: Path, extra: Sequence[str]) -> None:
    """Move the results into place, the ELF last."""
    generated = sorted(path.relative_to(work) for path in (work / "generated").rglob("*") if not path.is_dir())
    publish(work, output, [*generated, *map(Path, ["link.ld", "firmware.map", *extra, "firmware.elf"])])
