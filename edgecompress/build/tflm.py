"""A user's build of TensorFlow Lite Micro: is it a tree that firmware for a target could be linked with?

Looked for are upstream's library, the headers that the generated sources include, and what the library's objects say of their core and
their calling convention (Addenda to the ABI for the Arm Architecture, IHI 0045, build attributes). The files are the user's: nothing in
them is believed before it is checked, and of the library only the index of symbols and the first object are read.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgecompress.errors import UserError
from edgecompress.target import Core, Fpu, Target

LIBRARY = "libtensorflow-microlite.a"
TFLM_VARIABLE = "EDGECOMPRESS_TFLM_DIR"
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
# Build attributes: Tag_CPU_arch, Tag_FP_arch (0: none), Tag_ABI_HardFP_use (1: single precision only), and Tag_ABI_VFP_args (1: arguments
# in FPU registers). Texts are tags 4, 5 and the odd ones above 32.
_CPU_ARCH, _FP_ARCH, _HARD_FP, _VFP_ARGS, _TEXTS, _COMPATIBILITY = 6, 10, 27, 28, (4, 5), 32
# A registration of its own only where CMSIS-NN's kernels are; elsewhere a header makes it another name of the ordinary one.
_OF_CMSIS_NN = b"_ZN6tflite21Register_CONV_2D_INT8Ev"
# A build type of upstream's without TF_LITE_STATIC_MEMORY.
_UNLIKE_CORES = "no_tf_lite_static_memory"

# Values of Tag_CPU_arch that each core executes, its own first: Armv6-M 11, 12; Armv7-M 10; Armv7E-M 13; Armv8-M 16 (base), 17 (main);
# Armv8.1-M 21.
_ARCHITECTURES: dict[Core, tuple[int, ...]] = {
    Core.CORTEX_M0: (12, 11),
    Core.CORTEX_M0PLUS: (12, 11),
    Core.CORTEX_M3: (10, 12, 11),
    Core.CORTEX_M4: (13, 10, 12, 11),
    Core.CORTEX_M7: (13, 10, 12, 11),
    Core.CORTEX_M33: (17, 10, 16, 12, 11),
    Core.CORTEX_M55: (21, 17, 13, 10, 16, 12, 11),
}
_NO_ARCHITECTURE = -1


@dataclass(frozen=True)
class TflmTree:
    """What a compiler and a linker need of it.

    Attributes:
        root: of the checkout; no path in it reaches what is built.
        cmsis_nn: whether the library has CMSIS-NN's kernels, so that registrations for int8 alone are functions of their own.
    """

    root: Path
    library: Path
    includes: tuple[Path, ...]
    cmsis_nn: bool

    @property
    def defines(self) -> tuple[str, ...]:
        """How the headers must be read to be those of the library. A program that strips messages goes with a library that has them."""
        common = ("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DNDEBUG")
        return (*common, "-DCMSIS_NN") if self.cmsis_nn else common

    @property
    def description(self) -> str:
        """For reports: `TensorFlow Lite Micro with CMSIS-NN`."""
        return f"TensorFlow Lite Micro with {'CMSIS-NN' if self.cmsis_nn else 'reference kernels'}"


def tflm_folder(named: Path | None) -> Path:
    """The folder that was named, or else the one in EDGECOMPRESS_TFLM_DIR.

    Raises:
        UserError: there is neither.
    """
    known = named or os.environ.get(TFLM_VARIABLE)
    if not known:
        raise UserError(
            "the engine tflm links TensorFlow Lite Micro, and no folder of it was named",
            hint=f"add --tflm-dir DIR, or set {TFLM_VARIABLE}; docs/tflm.md says how to get one",
        )
    return Path(known)


def find_tflm(folder: Path, target: Target) -> TflmTree:
    """The library and the include folders in a tree of TensorFlow Lite Micro, checked for a target.

    Of several libraries the one that was built for the target's own architecture is taken.

    Args:
        folder: a checkout in which upstream's Makefile has run, where the libraries are gen/*/lib/libtensorflow-microlite.a; or one of
            these gen/*, which settles which.

    Raises:
        UserError: a header or the library is missing, there is no library for the target's core and float ABI, or several.
    """
    folder = folder.absolute()
    one = folder / "lib" / LIBRARY
    root, libraries = (folder.parent.parent, [one]) if one.is_file() else (folder, sorted(folder.glob(f"gen/*/lib/{LIBRARY}")))
    for header in _HEADERS:
        if not (root / header).is_file():
            raise UserError(f"{root}: expected a tree of TensorFlow Lite Micro, but {header} is missing", hint=_HINT)
    if not libraries:
        raise UserError(f"{root}: holds no gen/*/lib/{LIBRARY}", hint=_HINT)
    looked = [_look(library, target) for library in libraries]
    fitting = [library for library in looked if isinstance(library, _Library)]
    if not fitting:
        hint = f"build the library for {target.core.value}: docs/tflm.md has upstream's call for each core"
        raise UserError(f"{libraries[0]}: {looked[0]}", hint=hint)
    ranked = _ARCHITECTURES[target.core]
    best = min(ranked.index(library.architecture) for library in fitting)
    closest = [library for library in fitting if ranked.index(library.architecture) == best]
    if len(closest) > 1:
        names = [library.path.parent.parent.name for library in closest]
        raise UserError(
            f"{root}: several libraries fit {target.name}: {', '.join(names)}",
            hint=f"name one of them: --tflm-dir {root / 'gen' / names[0]}",
        )
    return TflmTree(root, closest[0].path, tuple(root / include for include in _INCLUDES), closest[0].cmsis_nn)


@dataclass(frozen=True)
class _Library:
    """A library that fits."""

    path: Path
    architecture: int
    cmsis_nn: bool


def _look(library: Path, target: Target) -> _Library | str:
    """The library, or why it does not fit the target."""
    try:
        with library.open("rb") as file:
            cmsis_nn, data = _read_archive(file)
        attributes = _object_attributes(data)
    except (_DamagedError, struct.error, IndexError, ValueError) as e:
        return f"is no archive of 32-bit Arm objects: {e}"
    except OSError as e:
        return f"cannot be read: {e.strerror}"
    if _UNLIKE_CORES in library.parent.parent.name:
        return f"was built with BUILD_TYPE={_UNLIKE_CORES}, whose tensors have another layout than the headers say"
    architecture = attributes.get(_CPU_ARCH, _NO_ARCHITECTURE)
    if architecture not in _ARCHITECTURES[target.core]:
        return f"was built for an architecture (Tag_CPU_arch {architecture}) that {target.core.value} does not execute"
    hard = target.fpu is not Fpu.NONE
    if (attributes.get(_VFP_ARGS, 0) == 1) != hard:
        return f"has the other float ABI; {target.name} expects {'hard' if hard else 'soft'}"
    if attributes.get(_FP_ARCH, 0) and target.fpu is Fpu.SINGLE and attributes.get(_HARD_FP, 0) != 1:
        return f"uses a double-precision FPU; {target.name} has a single-precision one"
    return _Library(library, architecture, cmsis_nn)


class _DamagedError(Exception):
    """A sentence about what does not fit in the file."""


def _read_archive(file: BinaryIO) -> tuple[bool, bytes]:
    """Whether the archive's index of symbols knows CMSIS-NN's registrations, and the first object."""
    if file.read(8) != b"!<arch>\n":
        raise _DamagedError("it does not begin as an archive")
    cmsis_nn = False
    while len(header := file.read(_MEMBER.size)) == _MEMBER.size:
        name, size = _MEMBER.unpack(header)[0].rstrip(), int(_MEMBER.unpack(header)[5])
        if not 0 <= size <= _MAX_MEMBER_BYTES:
            raise _DamagedError(f"a member has {size} bytes")
        data = file.read(size + size % 2)
        if name == b"/":
            cmsis_nn = _OF_CMSIS_NN in data
        if data[:4] == b"\x7fELF":
            return cmsis_nn, data
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
