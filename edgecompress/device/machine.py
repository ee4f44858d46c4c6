"""A Cortex-M in this process: memory, a processor, and calls of functions by address.

It knows nothing of models. unicorn is given no M-class mode: that would make every core an M33.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from edgecompress.device.block_counter import attach_counter
from edgecompress.elf import Image
from edgecompress.errors import DeviceError
from edgecompress.target import Core, EmulatorLink, Fpu, Simd, Target

if TYPE_CHECKING:
    from unicorn import Uc, UcError

# Of one call: some 20 s of a loop without end, and 100 times what the largest models that fit these targets take.
DEFAULT_LIMIT = 10_000_000_000

_PAGE = 0x1000
_SYSTEM_REGION = 0xE000E000
_CPACR = 0xE000ED88
_CPACR_FULL_ACCESS = 0x00F00000

# unicorn's numbers of the exceptions that reach an interrupt hook (QEMU's target/arm/cpu.h).
_BREAKPOINT = 7
_EXCEPTIONS = {
    1: "an undefined instruction",
    2: "an SVC instruction",
    3: "an instruction fetch that failed",
    4: "an unaligned or failed access",
    17: "a coprocessor that is not enabled",
    18: "an invalid processor state",
    19: "a stack overflow",
    20: "a lazy floating-point stacking fault",
}


class Machine:
    """One processor with its memory. After a DeviceError only `reset` makes it usable again.

    Args:
        native: False counts in Python.
        strict: stop at unaligned LDM, LDRD and the like, which a real core does and the emulator lets pass; 20 times slower.
        limit: instructions that one call may take.
    """

    def __init__(self, image: Image, target: Target, *, native: bool = True, strict: bool = False, limit: int = DEFAULT_LIMIT) -> None:
        import unicorn
        from unicorn import arm_const

        link = target.link
        if not isinstance(link, EmulatorLink):
            raise DeviceError(f"{target.name} is reached through {link.kind}, not emulated in process", hint="use its own link")
        self.image = image
        self.target = target
        self.limit = limit
        self.environment = {"emulator": f"unicorn {unicorn.__version__}", "emulated_cpu": link.cpu}
        self._error = unicorn.UcError
        self._registers = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(4)]
        self._sp, self._lr, self._pc = (getattr(arm_const, f"UC_ARM_REG_{name}") for name in ("SP", "LR", "PC"))
        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self._engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{link.cpu.upper().replace('-', '_')}"))
        self._map_memory()
        self._interrupt: int | None = None
        self._bad_access: tuple[int, int] | None = None
        self._engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self._engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)
        code_address, code = self._code()
        # Armv6-M's faults are emulated; the later cores' are not.
        check_alignment = strict and target.core not in (Core.CORTEX_M0, Core.CORTEX_M0PLUS)
        self._counter = attach_counter(self._engine, code, code_address, check_alignment=check_alignment, native=native)
        self.environment["counting"] = self._counter.method
        self._landing = 0
        self.stack_top = 0

    @property
    def instructions(self) -> int:
        """Instructions executed since the machine was made."""
        return self._counter.instructions

    def reset(self) -> tuple[int, int]:
        """Load the image, and run from reset to the board's breakpoint.

        Returns:
            Registers r0 and r1 there.

        Raises:
            DeviceError: the start-up faults, or never gets there.
        """
        for segment in self.image.segments:
            self._write(segment.load_address, segment.data)
        self.stack_top, entry = struct.unpack("<II", self.read(self.target.region("flash").origin, 8))
        self._engine.reg_write(self._sp, self.stack_top)
        self._run(entry, until=0xFFFFFFFE, doing="start-up", expect_breakpoint=True)
        if self.target.fpu is not Fpu.NONE or self.target.simd is Simd.MVE:
            (cpacr,) = struct.unpack("<I", self.read(_CPACR, 4))
            if cpacr & _CPACR_FULL_ACCESS != _CPACR_FULL_ACCESS:
                raise DeviceError(
                    f"{self.target.name}: the start-up left the FPU off (CPACR is {cpacr:#010x})", hint="a real core would fault"
                )
        self._landing = self._engine.reg_read(self._pc)
        # Calls return to that breakpoint and stop before it. Where it begins a page of the emulator it was translated as a block of its
        # own, which knows of no stop: forget it.
        self._engine.ctl_remove_cache(self._landing, self._landing + 2)
        return self._engine.reg_read(self._registers[0]), self._engine.reg_read(self._registers[1])

    def call(self, function: int, *arguments: int, doing: str) -> int:
        """Call a function, and give what it returned in r0.

        Args:
            function: its address.
            arguments: at most four words.
            doing: for error messages.

        Raises:
            DeviceError: a fault, or no return within the time-out.
        """
        for register, value in zip(self._registers, arguments, strict=False):
            self._engine.reg_write(register, value & 0xFFFFFFFF)
        self._engine.reg_write(self._sp, self.stack_top)
        self._engine.reg_write(self._lr, self._landing | 1)
        self._run(function, until=self._landing, doing=doing, expect_breakpoint=False)
        return int(self._engine.reg_read(self._registers[0]))

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory.

        Raises:
            DeviceError: there is no memory there.
        """
        try:
            return bytes(self._engine.mem_read(address, size))
        except self._error as e:
            raise DeviceError(
                f"{self.target.name}: no memory at {address:#010x} + {size}", hint="the firmware is damaged: build it again"
            ) from e

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to RAM.

        Raises:
            DeviceError: there is no RAM there.
        """
        ram = self.target.region("ram")
        if not ram.origin <= address <= ram.origin + ram.bytes - len(data):
            raise DeviceError(
                f"{self.target.name}: {address:#010x} + {len(data)} is not in {ram.name}", hint="the firmware is damaged: build it again"
            )
        self._write(address, data)

    def _write(self, address: int, data: bytes) -> None:
        try:
            self._engine.mem_write(address, data)
        except self._error as e:
            raise DeviceError(
                f"{self.target.name}: no memory at {address:#010x} + {len(data)}", hint="was the firmware built for this target?"
            ) from e

    def _map_memory(self) -> None:
        import unicorn

        rights = {
            "flash": unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC,
            "ram": unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE,
            "other": unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE,
        }
        for region in self.target.memory:
            start = region.origin & -_PAGE
            end = -(-(region.origin + region.bytes) // _PAGE) * _PAGE
            self._engine.mem_map(start, end - start, rights[region.use])
        self._engine.mem_map(_SYSTEM_REGION, _PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)

    def _code(self) -> tuple[int, bytes]:
        """Address and bytes of what can be executed."""
        flash = self.target.region("flash")
        for segment in self.image.segments:
            if segment.address == flash.origin and segment.data:
                return segment.address, segment.data
        raise DeviceError(f"{self.target.name}: the firmware has no code at {flash.origin:#010x}", hint="was it built for this target?")

    def _on_interrupt(self, engine: Uc, number: int, user: object) -> None:
        self._interrupt = number
        engine.emu_stop()

    def _on_bad_access(self, engine: Uc, access: int, address: int, size: int, value: int, user: object) -> Literal[False]:
        self._bad_access = (address, size)
        return False

    def _run(self, address: int, *, until: int, doing: str, expect_breakpoint: bool) -> None:
        self._interrupt = self._bad_access = None
        self._counter.allow(self.limit)
        try:
            self._engine.emu_start(address | 1, until)
        except self._error as e:
            raise self._fault(doing, self._describe_error(e)) from e
        unaligned = self._counter.take_unaligned()
        if unaligned is not None:
            raise self._fault(doing, f"an unaligned address, {unaligned:#010x}, in an instruction that needs an aligned one")
        if self._counter.exhausted:
            raise self._fault(doing, f"no end within {self.limit:,} instructions")
        if self._interrupt is not None and not (expect_breakpoint and self._interrupt == _BREAKPOINT):
            what = "a breakpoint" if self._interrupt == _BREAKPOINT else _EXCEPTIONS.get(self._interrupt, f"exception {self._interrupt}")
            raise self._fault(doing, what)
        if self._interrupt is None and self._engine.reg_read(self._pc) != until:
            raise self._fault(doing, "a stop for no known reason")

    def _describe_error(self, error: UcError) -> str:
        import unicorn

        kinds = {
            unicorn.UC_ERR_READ_UNMAPPED: "a read where no memory is",
            unicorn.UC_ERR_WRITE_UNMAPPED: "a write where no memory is",
            unicorn.UC_ERR_FETCH_UNMAPPED: "a jump to where no memory is",
            unicorn.UC_ERR_WRITE_PROT: "a write to read-only memory",
            unicorn.UC_ERR_READ_PROT: "a read of memory that cannot be read",
            unicorn.UC_ERR_FETCH_PROT: "a jump to memory that holds no code",
            unicorn.UC_ERR_INSN_INVALID: "an undefined instruction",
        }
        kind = kinds.get(error.errno, str(error))
        if self._bad_access is None:
            return kind
        address, size = self._bad_access
        region = self.target.region("ram")
        overflow = "; below the stack: it overflowed" if region.origin - 0x1000 <= address < region.origin else ""
        return f"{kind} ({size} bytes at {address:#010x}{overflow})"

    def _fault(self, doing: str, what: str) -> DeviceError:
        pc = self._engine.reg_read(self._pc) & ~1
        lr = self._engine.reg_read(self._lr)
        where = f"{self.image.describe(pc)} (pc {pc:#010x}, called from {self.image.describe(lr & ~1)})"
        return DeviceError(
            f"{self.target.name}: {doing} stopped at {where}: {what}",
            hint="the map file beside firmware.elf says what lies where",
        )
