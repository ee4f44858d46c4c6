"""A device as data: one TOML file in targets/ (or anywhere) says what it is, and where each fact comes from.

`load_target("cortex-m4")` finds a name among the shipped files; a path to a .toml file works as well.
"""

from __future__ import annotations

import tomllib
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgecompress.errors import TargetError
from edgecompress.instrument import Instrument
from edgecompress.resources import resource_dir
from edgecompress.validation import first_problem, reason


class Core(Enum):
    """Processor cores that the build knows how to compile for."""

    CORTEX_M0 = "cortex-m0"
    CORTEX_M0PLUS = "cortex-m0plus"
    CORTEX_M3 = "cortex-m3"
    CORTEX_M4 = "cortex-m4"
    CORTEX_M7 = "cortex-m7"
    CORTEX_M33 = "cortex-m33"
    CORTEX_M55 = "cortex-m55"


class Fpu(Enum):
    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"


class Simd(Enum):
    """NONE, the DSP extension's 16-bit pairs, or Helium (MVE)."""

    NONE = "none"
    THUMB2 = "thumb2"
    DSP = "dsp"
    MVE = "mve"


class KernelSet(Enum):
    """Which kernels a core runs: plain C11, or those for an instruction set. What a set lacks is taken from the next simpler one.

    WIDE is for application processors: vectors of x86-64 or 64-bit Arm, chosen when the program runs, and plain C elsewhere.
    """

    PORTABLE = "portable"
    THUMB1 = "thumb1"
    THUMB2 = "thumb2"
    DSP = "dsp"
    MVE = "mve"
    WIDE = "wide"


class Optimize(Enum):
    """What generated C should be best in: instructions, or flash and arena (docs/kernels.md, packed weights)."""

    SPEED = "speed"
    SIZE = "size"


_KERNELS = {Simd.NONE: KernelSet.THUMB2, Simd.DSP: KernelSet.DSP, Simd.MVE: KernelSet.MVE}

# What each core can have, from the technical reference manual of each.
_POSSIBLE: dict[Core, tuple[frozenset[Fpu], frozenset[Simd]]] = {
    Core.CORTEX_M0: (frozenset({Fpu.NONE}), frozenset({Simd.NONE})),
    Core.CORTEX_M0PLUS: (frozenset({Fpu.NONE}), frozenset({Simd.NONE})),
    Core.CORTEX_M3: (frozenset({Fpu.NONE}), frozenset({Simd.NONE})),
    Core.CORTEX_M4: (frozenset({Fpu.NONE, Fpu.SINGLE}), frozenset({Simd.DSP})),
    Core.CORTEX_M7: (frozenset(Fpu), frozenset({Simd.DSP})),
    Core.CORTEX_M33: (frozenset({Fpu.NONE, Fpu.SINGLE}), frozenset({Simd.NONE, Simd.DSP})),
    Core.CORTEX_M55: (frozenset({Fpu.NONE, Fpu.DOUBLE}), frozenset({Simd.DSP, Simd.MVE})),
}


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Address = Annotated[int, Field(ge=0, lt=2**32)]
Size = Annotated[int, Field(gt=0, le=2**32)]


class MemoryRegion(_Facts):
    """One region of the memory map. `use` says what the linker script puts there."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    use: Literal["flash", "ram", "other"]
    origin: Address
    bytes: Size


class EmulatorLink(_Facts):
    """The in-process emulator: there is no wire. `cpu` is the model that it runs (it has none for M0+, which is an M0 to software)."""

    kind: Literal["emulator"]
    cpu: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


class QemuLink(_Facts):
    """A QEMU machine started by us, reached through its UART.

    `counter_hz` is the rate of the counter that the board's cycle counter reads, and `icount_shift` QEMU's -icount: one instruction
    takes 2**icount_shift nanoseconds, so instructions = ticks * 1e9 / counter_hz / 2**icount_shift. `reported_hz` is what the firmware
    takes that rate for, where QEMU's differs: its machines lack the clock controller that a board asks. Equal to counter_hz when None.
    """

    kind: Literal["qemu"]
    machine: str
    icount_shift: Annotated[int, Field(ge=0, le=10)]
    counter_hz: Annotated[int, Field(gt=0)]
    reported_hz: Annotated[int, Field(gt=0)] | None = None


class SerialLink(_Facts):
    """A real board on a serial port."""

    kind: Literal["serial"]
    baud: Annotated[int, Field(gt=0)]


class Clock(_Facts):
    """Core clock in hertz; None when the device has no meaningful one (an emulator)."""

    hz: Annotated[int, Field(gt=0)] | None = None


class Uf2File(_Facts):
    """The firmware as a file for a boot loader that shows itself as a USB drive. `family` is the id by which it knows its own files."""

    format: Literal["uf2"]
    family: Annotated[int, Field(ge=0, lt=2**32)]


class FlashMethod(Enum):
    """What writes firmware to a board: pyocd through a debug probe, a copy to the boot loader's USB drive, OpenOCD, or dfu-util."""

    PYOCD = "pyocd"
    UF2 = "uf2"
    OPENOCD = "openocd"
    DFU = "dfu"


UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
"""Vendor and product, in hex."""


class FlashWays(_Facts):
    """How firmware gets onto a board. `method` is the usual way; the facts of other ways may stand beside its own.

    Attributes:
        target: pyocd: what it calls the part.
        pack: pyocd: what `pyocd pack install` takes, where the part is not built in.
        drive: uf2: the Board-ID in the INFO_UF2.TXT of the boot loader's drive.
        config: openocd: the board's file below its scripts folder.
        usb: dfu: the boot loader's USB id.
    """

    method: FlashMethod
    target: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] | None = None
    pack: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = None
    drive: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    config: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]+\.cfg$")] | None = None
    usb: UsbId | None = None

    @model_validator(mode="after")
    def _check(self) -> FlashWays:
        if self.fact(self.method) is None:
            raise ValueError(f"method {self.method.value!r} needs {FACT_OF_METHOD[self.method]}")
        return self

    def fact(self, method: FlashMethod) -> str | None:
        """What `method` has to know of the board, or None: then the board is not flashed that way."""
        facts = {FlashMethod.PYOCD: self.target, FlashMethod.UF2: self.drive, FlashMethod.OPENOCD: self.config, FlashMethod.DFU: self.usb}
        return facts[method]


FACT_OF_METHOD = {FlashMethod.PYOCD: "target", FlashMethod.UF2: "drive", FlashMethod.OPENOCD: "config", FlashMethod.DFU: "usb"}


class Usb(_Facts):
    """The USB ids under which a board's serial port can appear."""

    serial: Annotated[tuple[UsbId, ...], Field(min_length=1)]


class EnergyMeter(_Facts):
    """An instrument that is wired to a board; of one desk, so no shipped target has it.

    Attributes:
        volts: of the board's supply; a PPK2 has to know it.
        input: the instrument's digital input that the board's energy pin is wired to.
        source: a PPK2 feeds the board; else it is an ampere meter in the board's supply.
    """

    instrument: Instrument
    volts: Annotated[float, Field(ge=0.8, le=5.0)] | None = None
    input: Annotated[int, Field(ge=0, le=7)] = 0
    source: bool = False


Setting = Annotated[int, Field(ge=0, lt=2**32)] | Annotated[str, Field(pattern=r"^[A-Z]$")]
"""What a board's C asks of a target: a number, or the letter of a GPIO port."""


class Target(_Facts):
    """One device.

    Attributes:
        board: the folder below firmware/boards that starts this device.
        real_part: False for an emulated core that no vendor sells.
        settings: what the board's C wants to know (clock dividers, pins): `pll_n = 180` becomes the macro EC_BOARD_PLL_N.
        image: a second file of the firmware that a build leaves beside firmware.elf, for boards that are flashed by copying it.
        flash: how firmware gets onto it; None where that is not known.
        usb: by what its serial port is recognized.
        energy: the instrument that measures its current.
        stack_bytes: reserved at the lowest addresses of the RAM region, so that an overflow faults instead of eating data.
        sources: where each fact comes from: a document with revision and table, or a measurement.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str
    board: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    real_part: bool
    core: Core
    fpu: Fpu
    simd: Simd
    memory: Annotated[tuple[MemoryRegion, ...], Field(min_length=1)]
    stack_bytes: Annotated[int, Field(ge=512, le=2**20, multiple_of=16)] = 4096
    clock: Clock = Clock()
    link: Annotated[EmulatorLink | QemuLink | SerialLink, Field(discriminator="kind")]
    settings: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Setting] = {}
    image: Uf2File | None = None
    flash: FlashWays | None = None
    usb: Usb | None = None
    energy: EnergyMeter | None = None
    sources: dict[str, str]

    @model_validator(mode="after")
    def _check(self) -> Target:
        for use in ("flash", "ram"):
            if sum(region.use == use for region in self.memory) != 1:
                raise ValueError(f"memory needs exactly one region with use = {use!r}")
        ordered = sorted(self.memory, key=lambda region: region.origin)
        for low, high in pairwise(ordered):
            if low.origin + low.bytes > high.origin:
                raise ValueError(f"memory regions {low.name} and {high.name} overlap")
        if ordered[-1].origin + ordered[-1].bytes > 2**32:
            raise ValueError(f"memory region {ordered[-1].name} ends beyond 4 GB")
        for word, value, possible in (("fpu", self.fpu, _POSSIBLE[self.core][0]), ("simd", self.simd, _POSSIBLE[self.core][1])):
            if value not in possible:
                choices = " or ".join(sorted(repr(choice.value) for choice in possible))
                raise ValueError(f"{self.core.value} with {word} = {value.value!r} does not exist; expected {choices}")
        optional = {"settings": bool(self.settings), "image": self.image, "flash": self.flash, "usb": self.usb, "energy": self.energy}
        wanted = {"core", "fpu", "simd", "memory", "clock", "link"} | {word for word, given in optional.items() if given}
        if self.flash is not None and self.flash.drive is not None and self.image is None:
            raise ValueError("flash by a drive needs [image] with format = 'uf2'")
        missing = wanted - self.sources.keys()
        if missing:
            raise ValueError(f"sources lacks an entry for {', '.join(sorted(missing))}")
        return self

    def region(self, use: Literal["flash", "ram"]) -> MemoryRegion:
        """The region that holds code (`flash`) or data (`ram`)."""
        return next(region for region in self.memory if region.use == use)

    @property
    def kernels(self) -> KernelSet:
        """The fastest kernels that the core runs."""
        thumb1 = self.core in (Core.CORTEX_M0, Core.CORTEX_M0PLUS)
        return KernelSet.THUMB1 if thumb1 else _KERNELS[self.simd]

    @property
    def flash_bytes(self) -> int:
        return self.region("flash").bytes

    @property
    def ram_bytes(self) -> int:
        return self.region("ram").bytes


def load_target(name: str) -> Target:
    """The target called `name`, or the one in the .toml file that `name` is the path of.

    Raises:
        TargetError: no such target, or its file breaks the schema.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = resource_dir("targets") / f"{name}.toml"
        if not path.is_file():
            known = ", ".join(target_names())
            raise TargetError(f"there is no target called {name!r}", hint=f"choose one of {known}, or give the path of a .toml file")
    return read_target(path)


def target_names() -> list[str]:
    """Names of the shipped targets, sorted."""
    return sorted(path.stem for path in resource_dir("targets").glob("*.toml"))


def all_targets() -> tuple[Target, ...]:
    """The shipped targets, sorted by name.

    Raises:
        TargetError: one of their files breaks the schema.

    Example:
        >>> "cortex-m4" in [target.name for target in edgecompress.targets()]
        True
    """
    return tuple(load_target(name) for name in target_names())


def read_target(path: Path) -> Target:
    """The target in one TOML file.

    Raises:
        TargetError: with the field and what was expected.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise TargetError(f"{path}: cannot be read: {reason(e)}", hint="give the path of a target's TOML file") from e
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise TargetError(f"{path}: is not TOML: {e}", hint="see targets/cortex-m4.toml for an example") from e
    try:
        target = Target.model_validate(facts)
    except ValidationError as e:
        raise TargetError(f"{path}: {first_problem(e)}", hint="see targets/cortex-m4.toml for an example") from e
    if target.name != path.stem:
        raise TargetError(f"{path}: name is {target.name!r} but the file is called {path.name}", hint=f"rename it to {target.name}.toml")
    return target
