"""Every C file of firmware/ compiles without a warning, those that no model in the tests happens to use included."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.glue import render_board
from edgecompress.build.toolchain import Toolchain, locate
from edgecompress.target import load_target, target_names

FIRMWARE = Path(__file__).parents[2] / "firmware"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wundef", "-Wvla", "-Wstrict-prototypes")
# The emulator calls the model itself; every other board runs the serial application.
FOLDERS = {
    "cortex-m0plus": ("kernels", "boards/cortex_m", "boards/emulator"),
    "qemu-mps2-an386": ("kernels", "boards/cortex_m", "app", "boards/mps2"),
    "qemu-mps3-an547": ("kernels", "boards/cortex_m", "app", "boards/mps3-an547"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_firmware_compiles_without_a_warning(name, tmp_path):
    """Kernels, start-up, application and the target's board, for its core, with more warnings than the build turns on."""
    sources = sorted(path for folder in FOLDERS[name] for path in (FIRMWARE / folder).rglob("*.c"))
    assert len(sources) > 20
    _compile(name, FOLDERS[name], sources, tmp_path)


@pytest.mark.parametrize("name", target_names())
def test_every_targets_board_compiles_without_a_warning(name, tmp_path):
    """The board's C with this target's settings: its pins, dividers and switches choose other lines than its neighbour's."""
    board = f"boards/{load_target(name).board}"
    _compile(name, ("boards/cortex_m", board), sorted((FIRMWARE / board).glob("*.c")), tmp_path)


def _compile(name: str, folders: Sequence[str], sources: Sequence[Path], tmp_path: Path) -> None:
    target = load_target(name)
    (tmp_path / "ec_board.h").write_text(render_board(target), encoding="utf-8")
    compiler = locate(Toolchain.ZIG)
    includes = [f"-I{tmp_path}", *(f"-I{FIRMWARE / folder}" for folder in ("include", *folders))]
    flags = compile_flags(Toolchain.ZIG, target, Speed.KERNEL)
    # Given several files, zig compiles them side by side and joins the objects.
    command = [*compiler.command, *flags, *WARNINGS, "-c", *includes, *map(str, sources)]
    environment = {**os.environ, **compiler.environment}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
