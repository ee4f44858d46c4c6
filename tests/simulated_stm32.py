"""An STM32 on the emulated core: registers that answer as the manuals say, for boards that no emulator models.

A peripheral is a dictionary of its registers. Rules add what hardware adds: a ready bit follows its enable bit, SWS follows SW, a UART's
data register takes and gives bytes. What a real chip would not forgive (a clock above its limit, flash read too fast, a peripheral without
its clock, RAM written before the supply is chosen) is noted as a complaint. Numbers are those of the reference manuals named at each chip.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import unicorn
from unicorn import arm_const

from edgecompress.elf import Image
from edgecompress.target import Target

Registers = dict[int, int]

DEVICES, SYSTEM = 0x40000000, 0xE0000000
DEMCR, DWT_CTRL, CYCCNT, SYST_CVR, ICSR, CCR, CCSIDR, DCISW = (
    0xE000EDFC,
    0xE0001000,
    0xE0001004,
    0xE000E018,
    0xE000ED04,
    0xE000ED14,
    0xE000ED80,
    0xE000EF60,
)
M7_CCSIDR = 0xF00FE019
"""4 ways, 128 sets, lines of 8 words: 16 KB."""
IDLE_READS = 200
PAGE = 0x1000


@dataclass(frozen=True)
class Ready:
    """`bits` of the register `at` read as 1 while all `when_bits` of `when_at` are 1."""

    name: str
    at: int
    bits: int
    when_at: int
    when_bits: int


@dataclass(frozen=True)
class Gate:
    """A peripheral's first address, and the bit that gives it its clock."""

    start: int
    enable_at: int
    bit: int


@dataclass(frozen=True)
class Clocks:
    core_hz: int
    uart_hz: int


@dataclass(frozen=True)
class Uart:
    """Addresses of a UART's registers, `on` what its first control register must hold to send and receive."""

    status: int
    receive: int
    send: int
    control: int
    on: int
    divisor: int
    gate: Gate
    divisor_scale: int = 1


@dataclass(frozen=True)
class Chip:
    """What there is to know of one part on one board.

    Attributes:
        reset: registers that are not 0 after reset.
        switch: address, mask and shift of SW, and the shift of SWS.
        clocks: core and UART clock as the registers stand.
        faults: what is wrong with them after a write to SW's register, as sentences; the second argument is what SW was before.
        supply: the register that must be written before RAM is, if any.
    """

    reset: Mapping[int, int]
    ready: tuple[Ready, ...]
    gates: tuple[Gate, ...]
    switch: tuple[int, int, int]
    clocks: Callable[[Registers], Clocks]
    faults: Callable[[Registers, int], list[str]]
    uart: Uart
    supply: int | None = None
    has_dwt: bool = True


@dataclass
class Run:
    """A firmware on a chip, from reset.

    Attributes:
        dead: names of `Ready` rules that never come true.
        writes: every write to a device, in order.
    """

    image: Image
    target: Target
    chip: Chip
    dead: frozenset[str] = frozenset()
    registers: Registers = field(default_factory=dict)
    writes: list[tuple[int, int]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    pending: deque[int] = field(default_factory=deque)
    cycles: int = 0
    idle: int = 0

    def __post_init__(self) -> None:
        self.registers |= self.chip.reset
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        model = self.target.core.value.upper().replace("-", "_")
        self.engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{model}"))
        for region in self.target.memory:
            self.engine.mem_map(region.origin, -(-region.bytes // PAGE) * PAGE)
        self.engine.mmio_map(DEVICES, 0x20000000, self._read_device, None, self._write_device, None)
        self.engine.mmio_map(SYSTEM, 0x100000, self._read_system, None, self._write_system, None)
        ram = self.target.region("ram")
        self.engine.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_ram_write, begin=ram.origin, end=ram.origin + ram.bytes - 1)
        for segment in self.image.segments:
            self.engine.mem_write(segment.load_address, segment.data)
        stack, entry = struct.unpack("<II", self.engine.mem_read(self.target.region("flash").origin, 8))
        self.engine.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._at = entry

    def say(self, text: str) -> str:
        """What the firmware answers to `text`, until it waits for more."""
        before = len(self.sent)
        self.pending.extend(text.encode("ascii"))
        self.idle = 0
        self.engine.emu_start(self._at | 1, 0xFFFFFFFE, timeout=60_000_000)
        self._at = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
        return self.sent[before:].decode("ascii", "replace")

    def word(self, name: str) -> int:
        """The word that a symbol names."""
        return int.from_bytes(self.engine.mem_read(self.image.symbol(name), 4), "little")

    def value(self, address: int) -> int:
        """A device's register as the core would read it."""
        found = self.registers.get(address, 0)
        for rule in self.chip.ready:
            if rule.at == address and rule.name not in self.dead:
                is_on = self.registers.get(rule.when_at, 0) & rule.when_bits == rule.when_bits
                found = found | rule.bits if is_on else found & ~rule.bits
        switch, mask, shift = self.chip.switch
        if address == switch and "switch" not in self.dead:
            found = (found & ~(mask << shift)) | (found & mask) << shift
        return found

    def _read_device(self, engine: unicorn.Uc, offset: int, size: int, data: object) -> int:
        address, uart = DEVICES + offset, self.chip.uart
        if address == uart.status:
            return self._uart_status()
        if address == uart.receive:
            return self.pending.popleft() if self.pending else 0
        return self.value(address)

    def _uart_status(self) -> int:
        if self.pending:
            self.idle = 0
            return 1 << 7 | 1 << 5
        self.idle += 1
        if self.idle > IDLE_READS:
            self.engine.emu_stop()
        return 1 << 7

    def _write_device(self, engine: unicorn.Uc, offset: int, size: int, value: int, data: object) -> None:
        address, uart = DEVICES + offset, self.chip.uart
        self.writes.append((address, value))
        self._check_gate(address)
        if address == uart.send:
            if self.registers.get(uart.control, 0) & uart.on != uart.on:
                self.complaints.append(f"a byte is sent while the UART is off (control is {self.registers.get(uart.control, 0):#x})")
            self.sent.append(value & 0xFF)
            self.idle = 0
            return
        before = self.registers.get(address, 0)
        self.registers[address] = value
        if address == self.chip.switch[0]:
            now = {at: self.value(at) for at in {*self.registers, *(rule.at for rule in self.chip.ready)}}
            self.complaints += self.chip.faults(now, before & self.chip.switch[1])

    def _check_gate(self, address: int) -> None:
        for gate in (*self.chip.gates, self.chip.uart.gate):
            if gate.start <= address < gate.start + 0x400 and not self.registers.get(gate.enable_at, 0) >> gate.bit & 1:
                self.complaints.append(f"{address:#x} is written while its clock is off")

    def _on_ram_write(self, engine: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        if self.chip.supply is not None and not any(at == self.chip.supply for at, _ in self.writes):
            self.complaints.append(f"RAM at {address:#x} is written before the supply is chosen")

    def _read_system(self, engine: unicorn.Uc, offset: int, size: int, data: object) -> int:
        address = SYSTEM + offset
        counts = self.chip.has_dwt and self.registers.get(DEMCR, 0) >> 24 & 1 and self.registers.get(DWT_CTRL, 0) & 1
        self.cycles += 7
        if address == CYCCNT:
            return self.cycles if counts else 0
        if address == SYST_CVR:
            return -self.cycles & 0xFFFFFF
        return M7_CCSIDR if address == CCSIDR else self.registers.get(address, 0)

    def _write_system(self, engine: unicorn.Uc, offset: int, size: int, value: int, data: object) -> None:
        self.writes.append((SYSTEM + offset, value))
        if SYSTEM + offset != ICSR:
            self.registers[SYSTEM + offset] = value


def _ppre(field_value: int) -> int:
    return 1 if field_value < 4 else 2 << (field_value - 4)


def _too_fast(name: str, hz: int, limit_hz: int) -> list[str]:
    return [f"{name} at {hz} Hz, above {limit_hz}"] if hz > limit_hz else []


def _gpio(base: int, enable_at: int, first_bit: int = 0, ports: int = 8) -> tuple[Gate, ...]:
    return tuple(Gate(base + 0x400 * n, enable_at, first_bit + n) for n in range(ports))


def _usart_v1(base: int, enable_at: int, bit: int) -> Uart:
    return Uart(base, base + 4, base + 4, base + 0xC, 1 << 13 | 1 << 3 | 1 << 2, base + 8, Gate(base, enable_at, bit))


def _usart_v2(base: int, enable_at: int, bit: int, scale: int = 1) -> Uart:
    return Uart(base + 0x1C, base + 0x24, base + 0x28, base, 1 << 3 | 1 << 2 | 1, base + 0xC, Gate(base, enable_at, bit), scale)


@dataclass(frozen=True)
class F4Limits:
    """Of one STM32F4: `wait_states[n]` is the fastest clock in MHz with n wait states at 2.7 to 3.6 V; `scale` is VOS at full speed."""

    core_mhz: int
    apb1_mhz: int
    apb2_mhz: int
    wait_states: tuple[int, ...]
    scale: int
    overdrive_above_mhz: int = 10**6


F446 = F4Limits(180, 45, 90, (30, 60, 90, 120, 150, 180), 3, 168)
"""RM0390: tables 5 and 16; PWR_CR. The clock limits of DS10693."""
F411 = F4Limits(100, 50, 100, (30, 64, 90, 100), 3)
"""RM0383: table 5; PWR_CR."""
F405 = F4Limits(168, 42, 84, (30, 60, 90, 120, 150, 168), 1)
"""RM0090: table 10; PWR_CR of the F405."""


def stm32f4(usart: int, hse_hz: int, limits: F4Limits) -> Chip:
    """An STM32F4: RCC, FLASH and PWR as RM0390 has them."""
    cr, pllcfgr, cfgr, ahb1, apb1, apb2 = (0x40023800 + at for at in (0, 4, 8, 0x30, 0x40, 0x44))
    pwr_cr, pwr_csr, acr = 0x40007000, 0x40007004, 0x40023C00
    bases = {1: (0x40011000, apb2, 4), 2: (0x40004400, apb1, 17), 6: (0x40011400, apb2, 5)}

    def clocks(r: Registers) -> Clocks:
        core, config = 16_000_000, r.get(pllcfgr, 0)
        if r.get(cfgr, 0) >> 2 & 3 == 2:
            source = hse_hz if config >> 22 & 1 else 16_000_000
            core = source // (config & 63) * (config >> 6 & 511) // (2 * ((config >> 16 & 3) + 1))
        divider = _ppre(r.get(cfgr, 0) >> (10 if bases[usart][1] == apb1 else 13) & 7)
        return Clocks(core, core // divider)

    def faults(r: Registers, before: int) -> list[str]:
        core, found = clocks(r).core_hz, []
        if r.get(cfgr, 0) & 3 != 2:
            return found
        if not r.get(cr, 0) >> 25 & 1:
            found.append("the PLL is selected before it is ready")
        if core > limits.wait_states[min(r.get(acr, 0) & 15, len(limits.wait_states) - 1)] * 1_000_000:
            found.append(f"flash with {r.get(acr, 0) & 15} wait states at {core} Hz")
        if r.get(pwr_cr, 0) >> 14 & 3 != limits.scale or not r.get(pwr_csr, 0) >> 14 & 1:
            found.append("full speed without the regulator's scale 1")
        if core > limits.overdrive_above_mhz * 1_000_000 and r.get(pwr_csr, 0) >> 16 & 3 != 3:
            found.append("full speed without over-drive")
        found += _too_fast("the core", core, limits.core_mhz * 1_000_000)
        found += _too_fast("APB1", core // _ppre(r.get(cfgr, 0) >> 10 & 7), limits.apb1_mhz * 1_000_000)
        return found + _too_fast("APB2", core // _ppre(r.get(cfgr, 0) >> 13 & 7), limits.apb2_mhz * 1_000_000)

    ready = (
        Ready("hse", cr, 1 << 17, cr, 1 << 16),
        Ready("pll", cr, 1 << 25, cr, 1 << 24),
        Ready("scale", pwr_csr, 1 << 14, cr, 1 << 24),
        Ready("overdrive", pwr_csr, 1 << 16, pwr_cr, 1 << 16),
        Ready("overdrive switch", pwr_csr, 1 << 17, pwr_cr, 1 << 17),
    )
    reset = {cr: 0x83, pllcfgr: 0x24003010, pwr_cr: {3: 0xC000, 1: 0x4000}[limits.scale]}
    gates = (*_gpio(0x40020000, ahb1), Gate(0x40007000, apb1, 28))
    return Chip(reset, ready, gates, (cfgr, 3, 2), clocks, faults, _usart_v1(*bases[usart]))


def stm32f1(hse_hz: int) -> Chip:
    """An STM32F100 with USART1: RM0041."""
    cr, cfgr, apb2 = 0x40021000, 0x40021004, 0x40021018

    def clocks(r: Registers) -> Clocks:
        config = r.get(cfgr, 0)
        source = hse_hz if config >> 16 & 1 else 4_000_000
        core = source * ((config >> 18 & 15) + 2) if config >> 2 & 3 == 2 else 8_000_000
        return Clocks(core, core)

    def faults(r: Registers, before: int) -> list[str]:
        if r.get(cfgr, 0) & 3 != 2:
            return []
        early = [] if r.get(cr, 0) >> 25 & 1 else ["the PLL is selected before it is ready"]
        return early + _too_fast("the core", clocks(r).core_hz, 24_000_000)

    ready = (Ready("hse", cr, 1 << 17, cr, 1 << 16), Ready("pll", cr, 1 << 25, cr, 1 << 24))
    uart = _usart_v1(0x40013800, apb2, 14)
    return Chip({cr: 0x83}, ready, _gpio(0x40010800, apb2, 2, 5), (cfgr, 3, 2), clocks, faults, uart)


def stm32l4(*, lpuart: bool, boosts: bool) -> Chip:
    """An STM32L4 (or, where it boosts, L4+): RM0351, RM0432."""
    cr, cfgr, pllcfgr, ahb2, apb1, apb1_2, apb2 = (0x40021000 + at for at in (0, 8, 0xC, 0x4C, 0x58, 0x5C, 0x60))
    pwr_cr2, pwr_cr5, acr = 0x40007004, 0x40007080, 0x40022000
    wait_state_mhz = 20 if boosts else 16

    def hpre(r: Registers) -> int:
        field_value = r.get(cfgr, 0) >> 4 & 15
        return 1 if field_value < 8 else 2 << (field_value - 8)

    def clocks(r: Registers) -> Clocks:
        config, core = r.get(pllcfgr, 0), 4_000_000
        if r.get(cfgr, 0) >> 2 & 3 == 3:
            assert config & 3 == 2
            core = 16_000_000 // ((config >> 4 & 15) + 1) * (config >> 8 & 127) // (2 * ((config >> 25 & 3) + 1)) // hpre(r)
        return Clocks(core, core)

    def faults(r: Registers, before: int) -> list[str]:
        if r.get(cfgr, 0) & 3 != 3:
            return []
        core, found = clocks(r).core_hz, []
        if not r.get(cr, 0) >> 25 & 1 or not r.get(pllcfgr, 0) >> 24 & 1:
            found.append("the PLL is selected before it is ready, or its output is off")
        if core > ((r.get(acr, 0) & 15) + 1) * wait_state_mhz * 1_000_000:
            found.append(f"flash with {r.get(acr, 0) & 15} wait states at {core} Hz")
        if before != 3 and core > 80_000_000:
            found.append("the step above 80 MHz is not taken with the AHB divided by 2")
        boosted = boosts and not r.get(pwr_cr5, 0) >> 8 & 1
        return found + _too_fast("the core", core, 120_000_000 if boosted else 80_000_000)

    ready = (Ready("hsi", cr, 1 << 10, cr, 1 << 8), Ready("pll", cr, 1 << 25, cr, 1 << 24))
    uart = _usart_v2(0x40008000, apb1_2, 0, 256) if lpuart else _usart_v2(0x40013800, apb2, 14)
    reset = {cr: 0x63, pllcfgr: 0x1000, acr: 0x600, pwr_cr5: 0x100}
    gates = (*_gpio(0x48000000, ahb2), Gate(pwr_cr2 & ~0x3FF, apb1, 28))
    return Chip(reset, ready, gates, (cfgr, 3, 2), clocks, faults, uart)


def stm32h7(hse_hz: int) -> Chip:
    """An STM32H743 with USART3: RM0433."""
    cr, cfgr, d1, d2, cksel, pllcfgr, div, ahb4, apb1 = (0x58024400 + at for at in (0, 0x10, 0x18, 0x1C, 0x28, 0x2C, 0x30, 0xE0, 0xE8))
    csr1, cr3, d3cr, acr = 0x58024804, 0x5802480C, 0x58024818, 0x52002000

    def clocks(r: Registers) -> Clocks:
        core = 64_000_000
        if r.get(cfgr, 0) >> 3 & 7 == 3:
            source = hse_hz if r.get(cksel, 0) & 3 == 2 else 64_000_000
            oscillator = source // (r.get(cksel, 0) >> 4 & 63) * ((r.get(div, 0) & 511) + 1)
            core = oscillator // ((r.get(div, 0) >> 9 & 127) + 1)
        return Clocks(core, core // ahb_divider(r) // _ppre(r.get(d2, 0) >> 4 & 7))

    def ahb_divider(r: Registers) -> int:
        field_value = r.get(d1, 0) & 15
        return 1 if field_value < 8 else 2 << (field_value - 8)

    def faults(r: Registers, before: int) -> list[str]:
        if r.get(cfgr, 0) & 7 != 3:
            return []
        now = clocks({**r, cfgr: 3 << 3})
        ahb, found = now.core_hz // ahb_divider(r), []
        if not r.get(cr, 0) >> 25 & 1 or not r.get(pllcfgr, 0) >> 16 & 1:
            found.append("the PLL is selected before it is ready, or its output is off")
        wanted = next(
            pair for limit, pair in ((70, (0, 0)), (140, (1, 1)), (185, (2, 1)), (210, (2, 2)), (225, (3, 2))) if ahb <= limit * 10**6
        )
        if (r.get(acr, 0) & 15, r.get(acr, 0) >> 4 & 3) < wanted:
            found.append(f"flash latency {r.get(acr, 0):#x} at {ahb} Hz")
        if r.get(d3cr, 0) >> 13 & 7 != 7:
            found.append("full speed without the regulator's scale 1")
        found += _too_fast("the core", now.core_hz, 400_000_000) + _too_fast("the AHB", ahb, 200_000_000)
        fields = (r.get(d1, 0) >> 4, r.get(d2, 0) >> 4, r.get(d2, 0) >> 8, r.get(0x58024420, 0) >> 4)
        return found + [text for at in fields for text in _too_fast("an APB", ahb // _ppre(at & 7), 100_000_000)]

    ready = (
        Ready("hse", cr, 1 << 17, cr, 1 << 16),
        Ready("pll", cr, 1 << 25, cr, 1 << 24),
        Ready("supply", csr1, 1 << 13, cr3, 1 << 1),
        Ready("scale", d3cr, 1 << 13, d3cr, 3 << 14),
    )
    reset = {cr: 1, cksel: 0x02020200, pllcfgr: 0x01FF0000, div: 0x01010280, cr3: 6, d3cr: 0x4000, acr: 0x37}
    uart = _usart_v2(0x40004800, apb1, 18)
    return Chip(reset, ready, _gpio(0x58020000, ahb4, 0, 11), (cfgr, 7, 3), clocks, faults, uart, supply=cr3)
