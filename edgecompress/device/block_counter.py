"""Exact instruction counts from the emulator, at nearly its full speed.

A small C function is called once per executed block (100 million instructions a second); without it, the same is done in Python
(10 million). Attaching C to unicorn needs two names that are private to its Python package, which is why pyproject.toml pins its version.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgecompress.errors import EdgeCompressError
from edgecompress.tools import cache_dir, find_zig, run_tool

if TYPE_CHECKING:
    from unicorn import Uc


class BlockCounter(Protocol):
    """A counter that is attached to one emulator."""

    @property
    def method(self) -> str:
        """How it counts, for reports."""
        ...

    @property
    def instructions(self) -> int:
        """Instructions that were executed since it was attached."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether the allowance was used up, which stops the core."""
        ...

    def allow(self, instructions: int) -> None:
        """Let the core execute this many from now on."""
        ...

    def take_unaligned(self) -> int | None:
        """The unaligned address that stopped the core, once; None when there was none."""
        ...


def attach_counter(engine: Uc, code: bytes, code_address: int, *, check_alignment: bool, native: bool = True) -> BlockCounter:
    """Count the instructions that `engine` executes.

    Args:
        code: all code, as loaded at `code_address`.
        check_alignment: stop at the first LDM, LDRD or the like at an address that is not a multiple of 4.
        native: False counts in Python, where alignment is not checked.
    """
    reason = "asked for"
    if native:
        try:
            return _NativeCounter(engine, code, code_address, check_alignment, _load_library())
        except (EdgeCompressError, OSError, AttributeError) as e:
            reason = str(e).splitlines()[0]
    return _PythonCounter(engine, code, code_address, reason)


def _load_library() -> ctypes.CDLL:
    """The compiled hook: built on first use, then taken from the user's cache.

    Raises:
        ToolError, OutputError, OSError: it cannot be built or loaded.
    """
    source = files("edgecompress.device").joinpath("block_hook.c").read_text(encoding="utf-8")
    key = hashlib.sha256(f"{source}{sys.platform}{platform.machine()}".encode()).hexdigest()[:16]
    library = cache_dir() / f"block_hook-{key}.so"
    if not library.is_file():
        _build_library(source, library)
    return ctypes.CDLL(str(library))


def _build_library(source: str, library: Path) -> None:
    zig = find_zig()
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        (Path(folder) / "block_hook.c").write_text(source, encoding="utf-8")
        flags = ("-shared", "-fPIC", "-O2", "-g0", "-nostdlib", "-fno-sanitize=undefined", "-fno-stack-protector")
        run_tool((str(zig.program), "cc", *flags, "block_hook.c", "-o", "block_hook.so"), cwd=Path(folder), environment=zig.environment)
        # Two processes may build at once: the rename makes either one's result whole.
        (Path(folder) / "block_hook.so").replace(library)


class _State(ctypes.Structure):
    """`counter` of block_hook.c."""

    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("limit", ctypes.c_uint64),
        ("outside", ctypes.c_uint64),
        ("code", ctypes.c_void_p),
        ("known", ctypes.c_void_p),
        ("code_address", ctypes.c_uint32),
        ("code_bytes", ctypes.c_uint32),
        ("unaligned_address", ctypes.c_uint32),
        ("unaligned", ctypes.c_uint32),
        ("conditional", ctypes.c_uint32),
        ("pc_register", ctypes.c_int),
        ("status_register", ctypes.c_int),
        ("stop", ctypes.c_void_p),
        ("read_register", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p),
    )


class _NativeCounter:
    method = "native block hook"

    def __init__(self, engine: Uc, code: bytes, code_address: int, check_alignment: bool, library: ctypes.CDLL) -> None:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
        from unicorn.arm_const import UC_ARM_REG_PC, UC_ARM_REG_XPSR
        from unicorn.unicorn_py3.unicorn import uclib

        # The engine keeps bare pointers: these must live as long as it does.
        self._code = ctypes.create_string_buffer(code, len(code))
        self._known = (ctypes.c_uint32 * (len(code) // 2 + 1))()
        self._library = library
        self._state = _State(
            code=ctypes.addressof(self._code),
            known=ctypes.addressof(self._known),
            code_address=code_address,
            code_bytes=len(code),
            pc_register=UC_ARM_REG_PC,
            status_register=UC_ARM_REG_XPSR,
            stop=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
            read_register=ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value,
            write_register=ctypes.cast(uclib.uc_reg_write, ctypes.c_void_p).value,
        )
        engine.edgecompress_counter = self
        hooks = [(UC_HOOK_BLOCK, library.ec_count_block)]
        if check_alignment:
            hooks.append((UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, library.ec_check_alignment))
        for kind, function in hooks:
            handle = ctypes.c_size_t()
            callback = ctypes.cast(function, ctypes.c_void_p)
            everywhere = (ctypes.c_uint64(1), ctypes.c_uint64(0))
            status = uclib.uc_hook_add(engine._uch, ctypes.byref(handle), kind, callback, ctypes.byref(self._state), *everywhere)
            if status != 0:
                raise OSError(f"the emulator refused the counting hook (error {status})")

    @property
    def instructions(self) -> int:
        return int(self._state.instructions)

    @property
    def exhausted(self) -> bool:
        return int(self._state.instructions) >= int(self._state.limit)

    def allow(self, instructions: int) -> None:
        self._state.limit = self._state.instructions + instructions

    def take_unaligned(self) -> int | None:
        found = bool(self._state.unaligned)
        self._state.unaligned = 0
        return int(self._state.unaligned_address) if found else None


class _PythonCounter:
    def __init__(self, engine: Uc, code: bytes, code_address: int, reason: str) -> None:
        from unicorn import UC_HOOK_BLOCK

        self.method = f"Python block hook ({reason})"
        self._code = code
        self._code_address = code_address
        self._known: dict[tuple[int, int], int] = {}
        self._instructions = self._limit = 0
        engine.hook_add(UC_HOOK_BLOCK, self._count)

    def _count(self, engine: Uc, address: int, size: int, user: object) -> None:
        key = (address, size)
        count = self._known.get(key)
        if count is None:
            at = address - self._code_address
            count = self._known[key] = _count_instructions(self._code[at : at + size])
        self._instructions += count
        if self._instructions >= self._limit:
            engine.emu_stop()

    @property
    def instructions(self) -> int:
        return self._instructions

    @property
    def exhausted(self) -> bool:
        return self._instructions >= self._limit

    def allow(self, instructions: int) -> None:
        self._limit = self._instructions + instructions

    def take_unaligned(self) -> int | None:
        return None


def _count_instructions(code: bytes) -> int:
    at = count = 0
    while at + 1 < len(code):
        at += 4 if code[at + 1] >> 3 >= 29 else 2
        count += 1
    return count
