"""C++ on a core, for what links TensorFlow Lite Micro: arm-none-eabi-g++ beside arm-none-eabi-gcc, and newlib.

C++ is compiled hosted, because TFLM's headers want the whole standard library's, but linked without a start-up file: ours runs the
constructors (firmware/boards/cortex_m/startup.c), and firmware/boards/cortex_m/newlib.c answers what newlib asks of a system. There are no
exceptions, no type information, no locks around static variables and no heap.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.toolchain import Compiler, Toolchain
from edgecompress.errors import ToolError, UserError
from edgecompress.target import Target
from edgecompress.tools import run_tool

CPP_PROGRAM = "arm-none-eabi-g++"
_OF_C = ("-std=c11", "-ffreestanding")
_OF_CPP = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-use-cxa-atexit")
# newlib's small variant, and what it calls in turn.
LIBRARIES = ("-lm", "-lc_nano", "-lgcc")


def require_cpp(toolchain: Toolchain) -> None:
    """Refuse a toolchain without C++ for cores.

    Raises:
        UserError: it is not gcc.
    """
    if toolchain is not Toolchain.GCC:
        raise UserError(
            f"TensorFlow Lite Micro cannot be linked with the toolchain {toolchain.value}, which has no C++ library for cores",
            hint="use --toolchain gcc: apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
        )


def locate_cpp(compiler: Compiler) -> tuple[str, ...]:
    """The words that start the C++ compiler beside a C compiler.

    Raises:
        ToolError: it, or its standard library, is not installed; the hint says how to get it.
    """
    program = shutil.which(CPP_PROGRAM)
    if program is None:
        raise ToolError(f"{CPP_PROGRAM} is not on PATH", hint="install it with: apt install gcc-arm-none-eabi")
    # A name without a folder means that the compiler knows no such file.
    found = run_tool((program, "-print-file-name=libstdc++.a"), cwd=Path.cwd(), environment=compiler.environment).strip()
    if not Path(found).is_absolute():
        raise ToolError(f"{program} has no C++ standard library", hint="install it with: apt install libstdc++-arm-none-eabi-newlib")
    return (program,)


def cpp_flags(compiler: Compiler, target: Target, speed: Speed) -> tuple[str, ...]:
    """All flags of one compilation of C++ but its files and include folders."""
    return tuple(flag for flag in compile_flags(compiler.kind, target, speed) if flag not in _OF_C) + _OF_CPP
