"""A user's build of TensorFlow Lite Micro: is it a tree that firmware for a target could be linked with?

Looked for are upstream's library, the headers that the generated sources include, and what the library's objects say of their core and
their calling convention (Addenda to the ABI for the Arm Architecture, IHI 0045, build attributes). The files are the user's: nothing in
them is believed before it is checked, and of the library only the first object is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgecompress.errors import UserError
from edgecompress.target import Core, Fpu, Target

LIBRARY = "libtensorflow-microlite.a"
# Where upstream's Makefile puts third parties' headers.
_DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
_INCLUDES = (".", f"{_DOWNLOADS}/flatbuffers/include", f"{_DOWNLOADS}/gemmlowp", f"{_DOWNLOADS}/ruy")
_HEADERS = (
    "tensorflow/lite/micro/micro_interpreter.h",
    "tensorflow/lite/schema/schema_generated.h",
    f"{_DOWNLOADS}/flatbuffers/include/flatbuffers/flatbuffers.h",
    f"{_DOWNLOADS}/gemmlowp/fixedpoint/fixedpoint.h",
    f"{_DOWNLOADS}/ruy/ruy/profiler/instrumentation.h",
)
_HINT = "build it with upstream's Makefile: make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic microlite"

# Far above any object of TFLM.
_MAX_MEMBER_BYTES = 16 << 20
_MEMBER = struct.Struct("16s12s6s6s8s10s2s")
_SHT_ARM_ATTRIBUTES = 0x70000003
# Build attributes: Tag_CPU_arch, and Tag_ABI_VFP_args (1: arguments in FPU registers). Texts are tags 4, 5 and the odd ones above 32.
_CPU_ARCH, _VFP_ARGS, _TEXTS, _COMPATIBILITY = 6, 28, (4, 5), 32

# Values of Tag_CPU_arch that each core executes: Armv6-M 11, 12; Armv7-M 10; Armv7E-M 13; Armv8-M 16 (base), 17 (main); Armv8.1-M 21.
_ARCHITECTURES: dict[Core, frozenset[int]] = {
    Core.CORTEX_M0: frozenset({11, 12}),
    Core.CORTEX_M0PLUS: frozenset({11, 12}),
    Core.CORTEX_M3: frozenset({10, 11, 12}),
    Core.CORTEX_M4: frozenset({10, 11, 12, 13}),
    Core.CORTEX_M7: frozenset({10, 11, 12, 13}),
    Core.CORTEX_M33: frozenset({10, 11, 12, 16, 17}),
    Core.CORTEX_M55: frozenset({10, 11, 12, 13, 16, 17, 21}),
}


@dataclass(frozen=True)
class TflmTree:
    """What a compiler and a linker need of it."""

    library: Path
    includes: tuple[Path, ...]


def find_tflm(folder: Path, target: Target) -> TflmTree:
    """The library and the include folders in a tree of TensorFlow Lite Micro, checked for a target.

    Args:
        folder: a checkout in which upstream's Makefile has run; the library is gen/*/lib/libtensorflow-microlite.a.

    Raises:
        UserError: a header or the library is missing, there is no library for the target's core and float ABI, or several.
    """
    for header in _HEADERS:
        if not (folder / header).is_file():
            raise UserError(f"{folder}: expected a tree of TensorFlow Lite Micro, but {header} is missing", hint=_HINT)
    libraries = sorted(folder.glob(f"gen/*/lib/{LIBRARY}"))
    if not libraries:
        raise UserError(f"{folder}: holds no gen/*/lib/{LIBRARY}", hint=_HINT)
    reasons = [_misfit(library, target) for library in libraries]
    fitting = [library for library, reason in zip(libraries, reasons, strict=True) if reason is None]
    if len(fitting) == 1:
        return TflmTree(fitting[0], tuple(folder / include for include in _INCLUDES))
    if fitting:
        names = ", ".join(library.parent.parent.name for library in fitting)
        raise UserError(f"{folder}: several libraries fit {target.name}: {names}", hint="keep one of them below gen/")
    raise UserError(f"{libraries[0]}: {reasons[0]}", hint=f"build the library for {target.core.value}: add TARGET_ARCH to upstream's call")


def _misfit(library: Path, target: Target) -> str | None:
    """Why a library does not fit a target; None when it does."""
    try:
        attributes = _object_attributes(_first_object(library))
    except (_DamagedError, struct.error, IndexError, ValueError) as e:
        return f"is no archive of 32-bit Arm objects: {e}"
    except OSError as e:
        return f"cannot be read: {e.strerror}"
    if attributes.get(_CPU_ARCH) not in _ARCHITECTURES[target.core]:
        return f"was built for an architecture (Tag_CPU_arch {attributes.get(_CPU_ARCH)}) that {target.core.value} does not execute"
    hard = target.fpu is not Fpu.NONE
    if (attributes.get(_VFP_ARGS, 0) == 1) != hard:
        return f"has the other float ABI; {target.name} expects {'hard' if hard else 'soft'}"
    return None


class _DamagedError(Exception):
    """A sentence about what does not fit in the file."""


def _first_object(library: Path) -> bytes:
    with library.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise _DamagedError("it does not begin as an archive")
        while len(header := file.read(_MEMBER.size)) == _MEMBER.size:
            size = int(_MEMBER.unpack(header)[5])
            if not 0 <= size <= _MAX_MEMBER_BYTES:
                raise _DamagedError(f"a member has {size} bytes")
            data = file.read(size + size % 2)
            if data[:4] == b"\x7fELF":
                return data
    raise _DamagedError("it holds no ELF object")


def _object_attributes(data: bytes) -> dict[int, int]:
    """The numbers among the build attributes of a 32-bit little-endian Arm object."""
    machine, offset = struct.unpack_from("<H", data, 18)[0], struct.unpack_from("<I", data, 32)[0]
    if data[4:6] != b"\x01\x01" or machine != 40:
        raise _DamagedError("its first object is for another machine")
    entry_bytes, count = struct.unpack_from("<2H", data, 46)
    for index in range(count):
        section = struct.unpack_from("<10I", data, offset + index * entry_bytes)
        if section[1] == _SHT_ARM_ATTRIBUTES:
            return _parse_attributes(data[section[4] : section[4] + section[5]])
    raise _DamagedError("its first object has no build attributes")


def _parse_attributes(data: bytes) -> dict[int, int]:
    """Format version, length, vendor, then the attributes of the whole file: tag 1, length, pairs."""
    if data[:1] != b"A" or data[5:11] != b"aeabi\0" or data[11] != 1:
        raise _DamagedError("its build attributes are of an unknown format")
    found: dict[int, int] = {}
    at, end = 16, 11 + struct.unpack_from("<I", data, 12)[0]
    while at < min(end, len(data)):
        tag, at = _uleb128(data, at)
        text = tag in _TEXTS or (tag > _COMPATIBILITY and tag % 2 == 1)
        if not text:
            found[tag], at = _uleb128(data, at)
        if text or tag == _COMPATIBILITY:
            at = data.index(b"\0", at) + 1
    return found


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
