"""A simulated pyocd: the modules and names of it that flashing uses, with a chip that is a dictionary, and faults on request.

It is written from pyocd's documentation; that the real package has these names is another test's business.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest


class Error(RuntimeError):
    """The root of pyocd's errors."""


class TargetSupportError(Error):
    """The part is not in its list."""


class ProbeError(Error):
    """The probe fails."""


class TargetError(Error):
    """The chip fails."""


class TransferFaultError(TargetError):
    """The chip refuses an address."""


class FlashFailure(TargetError):  # noqa: N818 (pyocd's name)
    """Flash is not written."""


@dataclass
class SimulatedPyocd:
    """What is connected, what is known, and what goes wrong.

    Attributes:
        probes: serial numbers of connected probes.
        parts: what `target_override` may be.
        flash: (origin, bytes) of the part.
        locked: what the chip says of itself; then it does not open either.
        fails: an error, by the call that raises it: "list", "open", "commit" or "read".
        damage: changes what was written.
        options: what the session was opened with.
    """

    probes: tuple[str, ...] = ("066DFF1",)
    parts: tuple[str, ...] = ("stm32f411retx", "rp2040")
    flash: tuple[int, int] = (0x08000000, 512 << 10)
    locked: bool = False
    fails: dict[str, Exception] = field(default_factory=dict)
    damage: Callable[[bytes], bytes] = bytes
    options: dict[str, object] = field(default_factory=dict)
    used: str = ""
    calls: list[str] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)

    def fail(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.fails[call]

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it in pyocd's place."""
        modules = {name: ModuleType(name) for name in ("pyocd", "pyocd.core", "pyocd.core.helpers", "pyocd.core.session")}
        modules |= {name: ModuleType(name) for name in ("pyocd.core.exceptions", "pyocd.flash", "pyocd.flash.loader")}
        for name, module in modules.items():
            module.__spec__ = ModuleSpec(name, None)
            patch.setitem(sys.modules, name, module)
        for error in (Error, TargetSupportError, ProbeError, TargetError, TransferFaultError, FlashFailure):
            setattr(modules["pyocd.core.exceptions"], error.__name__, error)
        modules["pyocd.core"].exceptions = modules["pyocd.core.exceptions"]
        modules["pyocd.core.helpers"].ConnectHelper = SimpleNamespace(get_all_connected_probes=self._list)
        modules["pyocd.core.session"].Session = lambda probe, **words: _Session(self, probe, **words)
        modules["pyocd.flash.loader"].FlashLoader = _Loader

    def _list(self, *, blocking: bool) -> list[SimpleNamespace]:
        if blocking:
            raise AssertionError("nobody waits for a probe for ever")
        self.fail("list")
        return [SimpleNamespace(unique_id=probe, description="simulated probe") for probe in self.probes]


class _Session:
    def __init__(self, world: SimulatedPyocd, probe: SimpleNamespace, *, auto_open: bool, options: dict[str, object]) -> None:
        self.world = world
        self.target = self
        world.options = options
        world.used = probe.unique_id
        if options["target_override"] not in world.parts:
            raise TargetSupportError(f"Target type {options['target_override']} not recognized.")

    def open(self) -> None:
        self.world.fail("open")
        if self.world.locked:
            raise Error("no cores were discovered")

    def close(self) -> None:
        self.world.calls.append("close")

    def is_locked(self) -> bool:
        return self.world.locked

    def reset(self) -> None:
        self.world.calls.append("reset")

    def read_memory_block8(self, address: int, count: int) -> list[int]:
        self.world.fail("read")
        return [self.world.memory.get(address + i, 0xFF) for i in range(count)]


class _Loader:
    def __init__(self, session: _Session, *, progress: Callable[[float], None]) -> None:
        self.world = session.world
        self.progress = progress
        self.pieces: list[tuple[int, bytes]] = []

    def add_data(self, address: int, data: bytes) -> None:
        origin, size = self.world.flash
        if not origin <= address < origin + size:
            raise ValueError(f"no memory region defined for address {address:#010x}")
        self.pieces.append((address, data))

    def commit(self) -> None:
        for fraction in (0.0, 0.5, 1.0, 0.0, 0.5):
            self.progress(fraction)
        self.world.fail("commit")
        for address, data in self.pieces:
            self.world.memory.update(zip(range(address, address + len(data)), self.world.damage(data), strict=True))
        self.progress(1.0)
