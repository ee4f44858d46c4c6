"""Thumb instructions, as far as they move the stack pointer, branch, or say where a branch goes.

An instruction becomes an `Instruction`: its length, and an action. All that no stack analysis asks for is one action, `Write`: these
registers hold something else now. Encodings: Armv7-M Architecture Reference Manual (ARM DDI 0403E), A5.2 for the 16-bit ones; those of
32 bits, with Armv8.1-M's loops and MVE, are in `thumb_wide`.
"""

from __future__ import annotations

from dataclasses import dataclass

SP, LR, PC = 13, 14, 15


@dataclass(frozen=True, slots=True)
class Write:
    """Unknown values in these registers (none for an instruction that changes none)."""

    registers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SetConstant:
    """A number; an address takes a literal pool, ADR, or MOVW and MOVT together."""

    to: int
    value: int


@dataclass(frozen=True, slots=True)
class SetAddress:
    """ADR: `value` is near this instruction."""

    to: int
    value: int


@dataclass(frozen=True, slots=True)
class SetTop:
    """MOVT: the upper half of `to`."""

    to: int
    value: int


@dataclass(frozen=True, slots=True)
class Copy:
    to: int
    source: int


@dataclass(frozen=True, slots=True)
class AddConstant:
    to: int
    source: int
    value: int


@dataclass(frozen=True, slots=True)
class AddRegister:
    """to = a + (b << shift), or a - (b << shift)."""

    to: int
    a: int
    b: int
    shift: int = 0
    subtract: bool = False


@dataclass(frozen=True, slots=True)
class ShiftLeft:
    to: int
    source: int
    bits: int


@dataclass(frozen=True, slots=True)
class ShiftRight:
    to: int
    source: int
    bits: int


@dataclass(frozen=True, slots=True)
class Negate:
    """to = -source."""

    to: int
    source: int


@dataclass(frozen=True, slots=True)
class ClearLow:
    """to = source with its lowest `bits` bits 0."""

    to: int
    source: int
    bits: int


@dataclass(frozen=True, slots=True)
class LoadConstant:
    """A word at a fixed address, out of a literal pool."""

    to: int
    address: int


@dataclass(frozen=True, slots=True)
class Load:
    """A word at base + offset (+ the register `index`, perhaps shifted); afterwards base moves by `step`."""

    to: int
    base: int
    offset: int = 0
    index: int | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class Store:
    """As `Load`, the other way."""

    source: int
    base: int
    offset: int = 0
    index: int | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class LoadMany:
    """Words at base + offset into `registers`, in order; afterwards base moves by `step`."""

    registers: tuple[int, ...]
    base: int
    offset: int
    step: int


@dataclass(frozen=True, slots=True)
class StoreMany:
    """As `LoadMany`, the other way."""

    registers: tuple[int, ...]
    base: int
    offset: int
    step: int


@dataclass(frozen=True, slots=True)
class Branch:
    """To `target`; a conditional one may go on instead. `sets_link`: LR counts a low-overhead loop."""

    target: int
    conditional: bool
    sets_link: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    target: int


@dataclass(frozen=True, slots=True)
class CallRegister:
    register: int


@dataclass(frozen=True, slots=True)
class JumpRegister:
    """BX, or MOV to PC."""

    register: int


@dataclass(frozen=True, slots=True)
class JumpBy:
    """ADD to PC: a jump that is computed from where it is."""


@dataclass(frozen=True, slots=True)
class TableJump:
    """TBB, TBH: forward by twice the entry of the table at register `base`."""

    base: int
    entry_bytes: int


@dataclass(frozen=True, slots=True)
class IfThen:
    """IT: for each of the next instructions, whether it runs when the condition holds (else when it does not)."""

    when: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Trap:
    """UDF: nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No instruction that compilers for these cores make."""


Action = (
    Write
    | SetConstant
    | SetAddress
    | SetTop
    | Copy
    | AddConstant
    | AddRegister
    | ShiftLeft
    | ShiftRight
    | Negate
    | ClearLow
    | LoadConstant
    | Load
    | Store
    | LoadMany
    | StoreMany
    | Branch
    | Call
    | CallRegister
    | JumpRegister
    | JumpBy
    | TableJump
    | IfThen
    | Trap
    | Unknown
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """`bytes` is 2 or 4. `compares`: it may change the flags although an IT block is around it."""

    bytes: int
    action: Action
    compares: bool = False


def instruction_bytes(first: int) -> int:
    """4 when this halfword begins a 32-bit instruction, else 2 (A5.1)."""
    return 4 if first >> 11 in (0b11101, 0b11110, 0b11111) else 2


def decode_narrow(code: int, address: int) -> Instruction:
    """A 16-bit instruction at `address`."""
    return Instruction(2, _narrow(code, address), compares=_narrow_compares(code))


def sign_extended(value: int, bits: int) -> int:
    """The lowest `bits` bits as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def register_list(mask: int) -> tuple[int, ...]:
    """Register numbers of a mask, ascending."""
    return tuple(n for n in range(16) if mask >> n & 1)


def many(registers: tuple[int, ...], base: int, *, load: bool, writeback: bool, decrement: bool) -> Action:
    """LDM, STM and their like: consecutive words upwards from base, or just below it."""
    size = 4 * len(registers)
    step = (-size if decrement else size) if writeback else 0
    offset = -size if decrement else 0
    return LoadMany(registers, base, offset, step) if load else StoreMany(registers, base, offset, step)


def _narrow_compares(code: int) -> bool:
    compare_constant = code >> 11 == 0b00101
    compare_low = code & 0xFFC0 in (0x4200, 0x4280, 0x42C0)  # TST, CMP, CMN
    return compare_constant or compare_low or code & 0xFF00 == 0x4500


def _narrow(code: int, address: int) -> Action:
    top = code >> 12
    if top < 4:
        return _shift_add_move(code)
    if top == 4:
        return _literal(code, address) if code & 0x0800 else _registers(code)
    if top < 10:
        return _load_store(code)
    if top == 10:
        to, offset = (code >> 8) & 7, 4 * (code & 0xFF)
        return AddConstant(to, SP, offset) if code & 0x0800 else SetAddress(to, (address + 4 & ~3) + offset)
    if top == 11:
        return _miscellaneous(code, address)
    if top == 12:
        registers, base_register, load = register_list(code & 0xFF), (code >> 8) & 7, bool(code & 0x0800)
        return many(registers, base_register, load=load, writeback=not (load and base_register in registers), decrement=False)
    return _branch(code, address)


def _shift_add_move(code: int) -> Action:
    to, source, amount = code & 7, (code >> 3) & 7, (code >> 6) & 31
    wide_to, constant = (code >> 8) & 7, code & 0xFF
    match code >> 11:
        case 0b00000:
            return ShiftLeft(to, source, amount) if amount else Copy(to, source)
        case 0b00001:
            return ShiftRight(to, source, amount or 32)
        case 0b00011:
            value = (code >> 6) & 7
            subtract = bool(code & 0x0200)
            if code & 0x0400:
                return AddConstant(to, source, -value if subtract else value)
            return AddRegister(to, source, value, subtract=subtract)
        case 0b00100:
            return SetConstant(wide_to, constant)
        case 0b00101:
            return Write()  # CMP
        case 0b00110:
            return AddConstant(wide_to, wide_to, constant)
        case 0b00111:
            return AddConstant(wide_to, wide_to, -constant)
        case _:
            return Write((to,))  # ASR


def _literal(code: int, address: int) -> Action:
    return LoadConstant((code >> 8) & 7, (address + 4 & ~3) + 4 * (code & 0xFF))


def _registers(code: int) -> Action:
    if code & 0xFC00 == 0x4000:
        operation, to = (code >> 6) & 15, code & 7
        if operation == 9:
            return Negate(to, (code >> 3) & 7)
        return Write(() if operation in (8, 10, 11) else (to,))
    to, source = (code & 7) | (code >> 4 & 8), (code >> 3) & 15
    match (code >> 8) & 3:
        case 0:
            return JumpBy() if to == PC else AddRegister(to, to, source)
        case 1:
            return Write()  # CMP
        case 2:
            return JumpRegister(source) if to == PC else Copy(to, source)
        case _:
            return CallRegister(source) if code & 0x80 else JumpRegister(source)


def _load_store(code: int) -> Action:
    value, base, offset = code & 7, (code >> 3) & 7, (code >> 6) & 31
    match code >> 11:
        case 0b01010 | 0b01011:  # a register as offset: STR, STRH, STRB, LDRSB, LDR, LDRH, LDRB, LDRSH
            operation = (code >> 9) & 7
            if operation == 0:
                return Store(value, base, index=offset & 7)
            if operation == 4:
                return Load(value, base, index=offset & 7)
            return Write((value,) if operation >= 3 else ())
        case 0b01100:
            return Store(value, base, 4 * offset)
        case 0b01101:
            return Load(value, base, 4 * offset)
        case 0b10010:
            return Store((code >> 8) & 7, SP, 4 * (code & 0xFF))
        case 0b10011:
            return Load((code >> 8) & 7, SP, 4 * (code & 0xFF))
        case 0b01111 | 0b10001:  # LDRB, LDRH
            return Write((value,))
        case _:
            return Write()


def _miscellaneous(code: int, address: int) -> Action:
    if code & 0xFF00 == 0xB000:
        amount = 4 * (code & 0x7F)
        return AddConstant(SP, SP, -amount if code & 0x80 else amount)
    if code & 0xF500 == 0xB100:  # CBZ, CBNZ
        return Branch(address + 4 + ((code >> 3) & 0x40) + ((code >> 2) & 0x3E), conditional=True)
    if code & 0xFE00 == 0xB400:
        return many(register_list(code & 0xFF | (code & 0x100) << 6), SP, load=False, writeback=True, decrement=True)
    if code & 0xFE00 == 0xBC00:
        return many(register_list(code & 0xFF | (code & 0x100) << 7), SP, load=True, writeback=True, decrement=False)
    if code & 0xFF00 == 0xB200 or code & 0xFF00 == 0xBA00:  # SXTB and the like, REV
        return Write((code & 7,))
    if code & 0xFF00 == 0xBF00 and code & 0xF:
        return IfThen(_when(code & 0xFF))
    if code & 0xFFE0 == 0xB660 or code & 0xFF00 in (0xBE00, 0xBF00):  # CPS, BKPT, hints
        return Write()
    return Unknown()


def _when(pattern: int) -> tuple[bool, ...]:
    """A7.3.1: below the first condition's lowest bit, one bit for each further instruction, then a 1."""
    first, mask = pattern >> 4 & 1, pattern & 0xF
    count = 4 - ((mask & -mask).bit_length() - 1)
    return (True, *((mask >> (3 - n) & 1) == first for n in range(count - 1)))


def _branch(code: int, address: int) -> Action:
    condition = (code >> 8) & 15
    if code >> 12 == 14:
        return Branch(address + 4 + 2 * sign_extended(code, 11), conditional=False)
    if condition == 14:
        return Trap()
    return Write() if condition == 15 else Branch(address + 4 + 2 * sign_extended(code, 8), conditional=True)
