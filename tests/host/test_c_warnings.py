"""Every C file of firmware/ compiles without a warning, those that no model in the tests happens to use included."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.toolchain import Toolchain, locate
from edgecompress.target import load_target

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
    compiler = locate(Toolchain.ZIG)
    includes = [f"-I{FIRMWARE / folder}" for folder in ("include", *FOLDERS[name])]
    flags = compile_flags(Toolchain.ZIG, load_target(name), Speed.KERNEL)
    # Given several files, zig compiles them side by side and joins the objects.
    command = [*compiler.command, *flags, *WARNINGS, "-c", *includes, *map(str, sources)]
    environment = {**os.environ, **compiler.environment}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
