"""From generated C to firmware: compile, link, and read sizes from the linked ELF."""

from edgecompress.build.firmware import build_firmware, read_firmware
from edgecompress.build.linux import Machine, Runner, Tune, build_runner, find_machine
from edgecompress.build.toolchain import GCC, ZIG, Toolchain, find_toolchain

__all__ = [
    "GCC",
    "ZIG",
    "Machine",
    "Runner",
    "Toolchain",
    "Tune",
    "build_firmware",
    "build_runner",
    "find_machine",
    "find_toolchain",
    "read_firmware",
]
