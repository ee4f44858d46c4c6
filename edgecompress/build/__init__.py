"""From generated C to firmware: compile, link, and read sizes from the linked ELF."""

from edgecompress.build.firmware import build_firmware, read_firmware
from edgecompress.build.toolchain import GCC, ZIG, Toolchain, find_toolchain

__all__ = ["GCC", "ZIG", "Toolchain", "build_firmware", "find_toolchain", "read_firmware"]
