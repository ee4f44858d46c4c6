"""RP2040, RP2350, nRF51 and nRF52840 on the emulated core: registers that answer as the data sheets say.

A chip's registers are a dictionary, and `read` and `write` add what the hardware adds: a selected clock, a locked PLL, a UART's bytes. What
a real chip would not forgive is noted as a complaint. Numbers are those of the data sheets named at each chip.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection

import unicorn
from unicorn import arm_const

from edgecompress.elf import Image
from edgecompress.target import Target

DEVICES, SYSTEM = 0x40000000, 0xE0000000
DEMCR, DWT_CTRL, CYCCNT, SYST_CVR, ICSR = 0xE000EDFC, 0xE0001000, 0xE0001004, 0xE000E018, 0xE000ED04
IDLE_READS = 200
PAGE = 0x1000
TIMEOUT_US = 60_000_000


class Simulation:
    """A firmware on a chip, from its vector table on.

    Args:
        vectors: where the table is.
        dead: names of what never becomes ready.

    Attributes:
        sent: what the UART sent.
        complaints: what the chip would not forgive, as sentences.
        cycles: a clock that each access to a register moves on.
    """

    def __init__(self, image: Image, target: Target, *, vectors: int, dead: Collection[str] = (), has_dwt: bool = True) -> None:
        self.target, self.dead, self.has_dwt = target, frozenset(dead), has_dwt
        self.registers: dict[int, int] = {}
        self.complaints: list[str] = []
        self.sent = bytearray()
        self.pending: deque[int] = deque()
        self.cycles = self._idle = 0
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        model = "CORTEX_M0" if target.core.value.startswith("cortex-m0") else target.core.value.upper().replace("-", "_")
        self.engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{model}"))
        for region in target.memory:
            self.engine.mem_map(region.origin, -(-region.bytes // PAGE) * PAGE)
        self.engine.mmio_map(DEVICES, 0x20000000, self._read_device, None, self._write_device, None)
        self.engine.mmio_map(SYSTEM, 0x100000, self._read_system, None, self._write_system, None)
        for segment in image.segments:
            self.engine.mem_write(segment.load_address, segment.data)
        stack, self._at = struct.unpack("<II", self.engine.mem_read(vectors, 8))
        self.engine.reg_write(arm_const.UC_ARM_REG_SP, stack)

    def say(self, data: bytes) -> str:
        """What the firmware answers to `data`, until it waits for more."""
        before = len(self.sent)
        self.pending.extend(data)
        self._idle = 0
        self.engine.emu_start(self._at | 1, 0xFFFFFFFE, timeout=TIMEOUT_US)
        self._at = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
        return self.sent[before:].decode("ascii", "replace")

    def read(self, address: int) -> int:
        """A device's register as the core reads it."""
        return self.registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """The core writes a device's register."""
        self.registers[address] = value

    def received(self) -> bool:
        """Whether a byte can be read from the UART; the firmware that asks in vain again and again waits for us."""
        self._idle = 0 if self.pending else self._idle + 1
        if self._idle > IDLE_READS:
            self.engine.emu_stop()
        return bool(self.pending)

    def send(self, byte: int) -> None:
        """The UART sends."""
        self.sent.append(byte & 0xFF)
        self._idle = 0

    def complain(self, sentence: str) -> None:
        """Note what the chip would not forgive."""
        self.complaints.append(sentence)

    def _read_device(self, engine: unicorn.Uc, offset: int, size: int, data: object) -> int:
        self.cycles += 7
        return self.read(DEVICES + offset)

    def _write_device(self, engine: unicorn.Uc, offset: int, size: int, value: int, data: object) -> None:
        self.cycles += 7
        self.write(DEVICES + offset, value)

    def _read_system(self, engine: unicorn.Uc, offset: int, size: int, data: object) -> int:
        address = SYSTEM + offset
        self.cycles += 7
        if address == CYCCNT:
            counts = self.has_dwt and self.registers.get(DEMCR, 0) >> 24 & 1 and self.registers.get(DWT_CTRL, 0) & 1
            return self.cycles & 0xFFFFFFFF if counts else 0
        return -self.cycles & 0xFFFFFF if address == SYST_CVR else self.registers.get(address, 0)

    def _write_system(self, engine: unicorn.Uc, offset: int, size: int, value: int, data: object) -> None:
        if SYSTEM + offset != ICSR:
            self.registers[SYSTEM + offset] = value


class Rp(Simulation):
    """RP2040 (datasheet 2.14 to 2.19, 4.2) or RP2350 (7.5, 8.1 to 8.6, 9.11, 12.1) with a crystal of 12 MHz.

    `dead` may name "crystal", "reference", "pll" and "switch".
    """

    XOSC_HZ = 12_000_000

    def __init__(self, image: Image, target: Target, *, vectors: int, dead: Collection[str] = (), has_dwt: bool = True) -> None:
        self.is_rp2350 = target.board == "rp2350"
        new = self.is_rp2350
        self.clocks, self.resets = (0x40010000, 0x40020000) if new else (0x40008000, 0x4000C000)
        self.io, self.pads = (0x40028000, 0x40038000) if new else (0x40014000, 0x4001C000)
        self.xosc, self.pll, self.uart = (0x40048000, 0x40050000, 0x40070000) if new else (0x40024000, 0x40028000, 0x40034000)
        bits = (6, 9, 14, 26) if new else (5, 8, 12, 22)
        self.reset_bits = dict(zip((self.io, self.pads, self.pll, self.uart), bits, strict=True))
        self.most_hz = 150_000_000 if new else 133_000_000
        super().__init__(image, target, vectors=vectors, dead=dead, has_dwt=has_dwt)
        self.registers |= {
            self.resets: 0x1FFFFFFF if new else 0x01FFFFFF,
            self.clocks + 0x34: 5 << 16 if new else 1 << 8,  # as the boot ROM of an RP2350 A3 leaves it: 8.3.1
            self.clocks + 0x3C: 0x41 if new else 0,
            self.clocks + 0x40: 1 << 16 if new else 1 << 8,
            self.pll: 1,
            self.pll + 4: 0x2D,
            self.pll + 12: 0x77000,
        }

    def core_hz(self) -> int | None:
        """The core's clock as the registers stand; None for the ring oscillator, whose frequency nobody knows."""
        point = 16 if self.is_rp2350 else 8
        ref = self.XOSC_HZ * 2**point // self.registers[self.clocks + 0x34] if self.registers.get(self.clocks + 0x30, 0) & 3 == 2 else None
        control = self.registers[self.clocks + 0x3C]
        source = self.pll_hz() if control & 0xE1 == 1 else None if control & 1 else ref
        return None if source is None else source * 2**point // self.registers[self.clocks + 0x40]

    def pll_hz(self) -> int:
        """What the system PLL gives; 0 when it gives nothing."""
        power, dividers = self.registers[self.pll + 4], self.registers[self.pll + 12]
        if power & 0x29 or not self.read(self.pll) >> 31:
            return 0
        return self.XOSC_HZ * self.registers.get(self.pll + 8, 0) // (dividers >> 16 & 7) // (dividers >> 12 & 7)

    def baud(self) -> float:
        """The rate that the UART's divisor makes of its clock."""
        assert self.registers.get(self.clocks + 0x48) == 1 << 11, "clk_peri is off, or is not clk_sys"
        divisor = self.registers[self.uart + 0x24] + self.registers[self.uart + 0x28] / 64
        return (self.core_hz() or 0) / 16 / divisor

    def read(self, address: int) -> int:
        now = self.registers.get(address, 0)
        if address == self.resets + 8:
            return ~self.registers[self.resets] & 0x1FFFFFFF
        if address == self.xosc + 4:
            return 1 << 31 if self.registers.get(self.xosc) == 0xFABAA0 and "crystal" not in self.dead else 0
        if address == self.clocks + 0x38:
            return 1 if "reference" in self.dead else 1 << (self.registers.get(self.clocks + 0x30, 0) & 3)
        if address == self.clocks + 0x44:
            return 1 if "switch" in self.dead else 1 << (self.registers[self.clocks + 0x3C] & 1)
        if address == self.pll:
            locked = not self.registers[self.pll + 4] & 0x21 and self._is_released(self.pll) and "pll" not in self.dead
            return now | locked << 31
        if address == self.uart + 0x18:
            return 0 if self.received() else 1 << 4
        if address == self.uart:
            return self.pending.popleft()
        return now

    def write(self, address: int, value: int) -> None:
        block = address & ~0x3FFF
        if block in self.reset_bits and not self._is_released(block):
            self.complain(f"{address:#x} is written while it is in reset")
        before = self.registers.get(address, 0)
        self.registers[address] = value
        if address == self.clocks + 0x30 and value & 3 == 2 and not self.read(self.xosc + 4):
            self.complain("the crystal is selected before it is stable")
        elif address == self.clocks + 0x3C:
            self._check_core_clock(before, value)
        elif block == self.pll and self.registers[self.clocks + 0x3C] & 0xE1 == 1:
            self.complain("the PLL is changed while the core runs on it")
        elif address == self.uart:
            self._check_sending()
            self.send(value)

    def _is_released(self, block: int) -> bool:
        return not self.registers[self.resets] >> self.reset_bits[block] & 1

    def _check_core_clock(self, before: int, value: int) -> None:
        if before & 1 and value & 1 and (before ^ value) & 0xE0:
            self.complain("clk_sys changes its auxiliary source while it runs on it")
        if value & 1 and value >> 5 & 7 == 0 and not 0 < self.pll_hz() <= self.most_hz:
            self.complain(f"clk_sys is given {self.pll_hz()} Hz")

    def _check_sending(self) -> None:
        if self.registers.get(self.uart + 0x30) != 0x301 or self.registers.get(self.uart + 0x2C) != 0x70:
            self.complain("a byte is sent while the UART is off, or has no 8 bits")
        for pin in (self.target.settings["tx_pin"], self.target.settings["rx_pin"]):
            assert isinstance(pin, int)
            pad = self.registers.get(self.pads + 4 * pin + 4, 0x116 if self.is_rp2350 else 0x56)
            if self.registers.get(self.io + 8 * pin + 4) != 2 or pad >> 8 or not pad >> 6 & 1 or pad >> 7 & 1:
                self.complain(f"GPIO{pin} is not the UART's, or its pad is off ({pad:#x})")


class Ssi:
    """The RP2040's flash interface (datasheet 4.10) with a W25Q16JV behind it, as far as a second boot stage uses them.

    Attributes:
        quad_enabled: the chip's bit QE, as kept over power cycles.
        commands: what the chip was told, one tuple of bytes each.
    """

    BASE = 0x18000000

    def __init__(self, engine: unicorn.Uc, *, quad_enabled: bool) -> None:
        self.quad_enabled, self.write_enabled, self.stays_in_read_mode, self.busy_reads = quad_enabled, False, False, 0
        self.status_1 = 0x1C  # block protection: to be left as it is
        self.registers: dict[int, int] = {}
        self.commands: list[tuple[int, ...]] = []
        self._out: list[int] = []
        self._back: deque[int] = deque()
        engine.mmio_map(self.BASE, PAGE, self._read, None, self._write, None)

    def _read(self, engine: unicorn.Uc, offset: int, size: int, data: object) -> int:
        if offset == 0x28:
            self._carry_out()
            return 1 << 2
        if offset == 0x24:
            return len(self._back)
        if offset == 0x60:
            return self._back.popleft() if self._back else 0
        return self.registers.get(offset, 0)

    def _write(self, engine: unicorn.Uc, offset: int, size: int, value: int, data: object) -> None:
        if offset == 0x60:
            assert self.registers.get(0x08) == 1, "a frame is sent while the SSI is off"
            self._out.append(value)
            return
        assert offset == 0x08 or not self.registers.get(0x08), f"register {offset:#x} is written while the SSI is on"
        self.registers[offset] = value

    def _carry_out(self) -> None:
        """One transaction: from chip select to its end."""
        if not self._out:
            return
        frames, self._out = tuple(self._out), []
        self.commands.append(frames)
        if self.registers[0] == 7 << 16:
            self._back.extend(self._serial(frames))
        else:
            assert self.registers[0] == 2 << 21 | 31 << 16 | 3 << 8
            assert self.registers[0xF4] == 4 << 11 | 2 << 8 | 8 << 2 | 1
            assert frames == (0xEB, 0xA0)
            assert self.quad_enabled
            self.stays_in_read_mode = True
            self._back.append(0x12345678)

    def _serial(self, frames: tuple[int, ...]) -> list[int]:
        if frames[0] == 0x05:
            self.busy_reads -= self.busy_reads > 0
            return [0xFF, self.status_1 | (self.busy_reads > 0)]
        if frames[0] == 0x35:
            return [0xFF, 0x40 | self.quad_enabled << 1]
        if frames[0] == 0x06:
            self.write_enabled = True
        else:
            assert self.write_enabled
            assert frames == (0x01, self.status_1, 0x42)
            self.quad_enabled, self.write_enabled, self.busy_reads = True, False, 3
        return [0xFF] * len(frames)


class Nrf(Simulation):
    """nRF51822 or nRF52840: CLOCK, UART, GPIO; in the nRF51 also TIMER0, TIMER1 and a PPI channel between them.

    `dead` may name "crystal" and "ppi". `skip` moves the timers on, as time does during an inference. A number in `wraps_in` makes the
    fine timer wrap that many ticks after the next time that the coarse one is read.
    """

    UART, FINE, COARSE, PPI = 0x40002000, 0x40008000, 0x40009000, 0x4001F000

    def __init__(self, image: Image, target: Target, *, dead: Collection[str] = (), has_dwt: bool = True) -> None:
        super().__init__(image, target, vectors=target.region("flash").origin, dead=dead, has_dwt=has_dwt)
        self.coarse = 0
        self.wraps_in: int | None = None
        self._seen = 0

    def skip(self, ticks: int) -> None:
        """Time passes."""
        self.cycles += ticks
        self._count_matches()

    def read(self, address: int) -> int:
        if address == 0x40000100:
            return int(self.registers.get(0x40000000) == 1 and "crystal" not in self.dead)
        if address == self.UART + 0x108:
            return int(self.received())
        if address == self.UART + 0x11C:
            return 1
        if address == self.UART + 0x518:
            return self.pending.popleft()
        return self.registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        if self.wraps_in is not None and self.COARSE + 0x40 <= address < self.COARSE + 0x50:
            self.cycles = ((self.cycles >> 32) + 1 << 32) - self.wraps_in
            self.wraps_in = None
        self._count_matches()
        self.registers[address] = value
        for timer in (self.FINE, self.COARSE):
            if timer + 0x40 <= address < timer + 0x50:
                now = self.cycles & 0xFFFFFFFF if timer == self.FINE else self.coarse & 0xFFFF
                self.registers[timer + 0x540 + address - timer - 0x40] = now
        if address == self.COARSE + 0xC:
            self.coarse = 0
        elif address == self.UART + 0x51C:
            self._check_sending()
            self.send(value)

    def _count_matches(self) -> None:
        """Each time that the fine timer passed what it is compared with since the last look is an event for the coarse one."""
        wired = (self.registers.get(self.PPI + 0x510), self.registers.get(self.PPI + 0x514)) == (self.FINE + 0x140, self.COARSE + 8)
        if wired and self.registers.get(self.PPI + 0x504) == 1 and "ppi" not in self.dead:
            match = self.registers.get(self.FINE + 0x540, 0)
            self.coarse += ((self.cycles - match) >> 32) - ((self._seen - match) >> 32)
        self._seen = self.cycles

    def _check_sending(self) -> None:
        tx, rx = self.target.settings["tx_pin"], self.target.settings["rx_pin"]
        assert isinstance(tx, int)
        assert isinstance(rx, int)
        uart = {at: self.registers.get(self.UART + at, 0) for at in (0x500, 0x50C, 0x514, 0x524, 0x000, 0x008)}
        if uart != {0x500: 4, 0x50C: tx, 0x514: rx, 0x524: 0x01D7E000, 0x000: 1, 0x008: 1}:
            self.complain(f"a byte is sent while the UART is {uart}")
        if self.registers.get(0x50000700 + 4 * tx, 0) & 1 != 1 or self.registers.get(0x50000700 + 4 * rx, 0) & 3 != 0:
            self.complain("a pin of the UART has the wrong direction")
