"""The 32-bit Thumb instructions; see `thumb`.

Encodings: Armv7-M Architecture Reference Manual (ARM DDI 0403E), A5.3; Armv8-M (ARM DDI 0553B), C2.3 for low-overhead loops, conditional
selects and MVE. Where a field's meaning depends on more than is looked at here, every register that it may name counts as written: that
loses a value, and never a branch or a move of the stack pointer.
"""

from __future__ import annotations

from edgecompress.build.thumb import (
    LR,
    PC,
    SP,
    Action,
    AddConstant,
    AddRegister,
    Branch,
    Call,
    ClearLow,
    Copy,
    Instruction,
    Load,
    LoadConstant,
    LoadMany,
    Negate,
    SetAddress,
    SetConstant,
    SetTop,
    ShiftLeft,
    ShiftRight,
    Store,
    StoreMany,
    TableJump,
    Trap,
    Unknown,
    Write,
    many,
    register_list,
    sign_extended,
)

_WORD = 0xFFFFFFFF


def decode_wide(first: int, second: int, address: int) -> Instruction:
    """A 32-bit instruction at `address`, from its two halfwords."""
    return Instruction(4, _wide(first, second, address), compares=_compares(first, second))


def _compares(first: int, second: int) -> bool:
    """Whether it may set the flags: the S bit where there is one, and what reads the flags from a coprocessor or a special register."""
    data_processing = first & 0xFE00 == 0xEA00 or (first & 0xFA00 == 0xF000 and not second & 0x8000) or first & 0xFF80 == 0xFA00
    from_coprocessor = first & 0xEF10 == 0xEE10 and second >> 12 == 15
    return (data_processing and bool(first & 0x10)) or from_coprocessor or first & 0xFFE0 == 0xF380


def _wide(first: int, second: int, address: int) -> Action:
    if first & 0xEC00 == 0xEC00:
        return _coprocessor(first, second)
    if first >> 11 == 0b11110:
        return _branch(first, second, address) if second & 0x8000 else _immediate(first, second, address)
    if first & 0xFE40 == 0xE800:
        return _many(first, second)
    if first & 0xFE40 == 0xE840:
        return _dual(first, second)
    if first & 0xFE00 == 0xEA00:
        return _shifted(first, second)
    if first & 0xFE00 == 0xF800:
        return _single(first, second, address)
    if first & 0xFF80 == 0xFB80:  # long multiplications and divisions: RdLo, RdHi
        return _write(second >> 12, second >> 8)
    return _write(second >> 8)


def _write(*registers: int) -> Write:
    """Of numbers in the lowest four bits; where 15 stands, no register is meant."""
    return Write(tuple(sorted({register & 15 for register in registers} - {PC})))


def _many(first: int, second: int) -> Action:
    if (first >> 7) & 3 not in (1, 2):
        return Unknown()
    down = bool(first & 0x0100)
    return many(register_list(second), first & 15, load=bool(first & 0x10), writeback=bool(first & 0x20), decrement=down)


def _dual(first: int, second: int) -> Action:
    base, load, writeback = first & 15, bool(first & 0x10), bool(first & 0x20)
    if first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000:
        return TableJump(base, 2 if second & 0x10 else 1)
    if not first & 0x0120:  # exclusive accesses, TT
        return _write(second >> 12, second >> 8, second)
    if first == 0xE97F:  # SG
        return Write()
    amount = 4 * (second & 0xFF) * (1 if first & 0x80 else -1)
    pair = (second >> 12, second >> 8 & 15)
    offset, step = (amount if first & 0x0100 else 0), (amount if writeback else 0)
    return LoadMany(pair, base, offset, step) if load else StoreMany(pair, base, offset, step)


def _shifted(first: int, second: int) -> Action:
    """Data processing with a shifted register (A5.3.11), and Armv8.1-M's selects and long shifts in its gaps."""
    operation, source = (first >> 5) & 15, first & 15
    to, other = (second >> 8) & 15, second & 15
    if second & 0x8000:  # CSEL, CSINC, CSINV, CSNEG
        return _write(to)
    amount = (second >> 10) & 0x1C | (second >> 6) & 3
    kind = (second >> 4) & 3
    if operation == 2 and first & 0x10 and (other in (13, 15) or to in (13, 15)):  # LSLL, ASRL, SQRSHR and the like
        return _write(source, source & 14, to, to | 1 if to != 15 else 15)
    if operation == 2 and source == PC:
        return _move(to, other, kind, amount)
    if to == PC:  # TST, TEQ, CMN, CMP
        return Write()
    if operation in (8, 13) and kind == 0:
        return AddRegister(to, source, other, amount, subtract=operation == 13)
    return Write((to,))


def _move(to: int, source: int, kind: int, amount: int) -> Action:
    if kind == 0:
        return ShiftLeft(to, source, amount) if amount else Copy(to, source)
    return ShiftRight(to, source, amount or 32) if kind == 1 else Write((to,))


def _immediate(first: int, second: int, address: int) -> Action:
    to, source = (second >> 8) & 15, first & 15
    twelve = (first & 0x0400) << 1 | (second >> 4) & 0x0700 | second & 0xFF
    if not first & 0x0200:
        return _modified(first, to, source, _expanded(twelve))
    match (first >> 4) & 31:
        case 0b00000:
            return SetAddress(to, (address + 4 & ~3) + twelve) if source == PC else AddConstant(to, source, twelve)
        case 0b01010:
            return SetAddress(to, (address + 4 & ~3) - twelve) if source == PC else AddConstant(to, source, -twelve)
        case 0b00100:
            return SetConstant(to, source << 12 | twelve)
        case 0b01100:
            return SetTop(to, source << 12 | twelve)
        case 0b10110 if source == PC and not second & 0x70C0:  # BFC from bit 0
            return ClearLow(to, to, (second & 31) + 1)
        case _:
            return Write((to,))


def _expanded(twelve: int) -> int:
    """ThumbExpandImm (A5.3.2)."""
    low = twelve & 0xFF
    if twelve >> 10:
        rotated, amount = 0x80 | twelve & 0x7F, twelve >> 7
        return (rotated >> amount | rotated << (32 - amount)) & _WORD
    return (low, low << 16 | low, low << 24 | low << 8, low * 0x01010101)[twelve >> 8]


def _modified(first: int, to: int, source: int, value: int) -> Action:
    operation, sets_flags = (first >> 5) & 15, bool(first & 0x10)
    if sets_flags and to == PC:  # TST, TEQ, CMN, CMP
        return Write()
    clear = _WORD & ~value if operation == 0 else value
    match operation:
        case 2 if source == PC:
            return SetConstant(to, value)
        case 3 if source == PC:
            return SetConstant(to, _WORD & ~value)
        case 0 | 1 if clear & (clear + 1) == 0:  # AND, BIC with a mask of low bits
            return ClearLow(to, source, clear.bit_length())
        case 8:
            return AddConstant(to, source, value)
        case 13:
            return AddConstant(to, source, -value)
        case 14 if value == 0:
            return Negate(to, source)
        case _:
            return Write((to,))


def _branch(first: int, second: int, address: int) -> Action:
    """Branches and miscellaneous control (A5.3.4)."""
    kind = second & 0xD000
    if kind == 0x8000:
        if (first >> 7) & 7 != 7:
            high = (first >> 10 & 1) << 19 | (second >> 11 & 1) << 18 | (second >> 13 & 1) << 17
            offset = sign_extended(high | (first & 0x3F) << 11 | second & 0x7FF, 20)
            return Branch(address + 4 + 2 * offset, conditional=True)
        return _control(first, second)
    if kind == 0xC000:
        return _loop(first, second, address)
    sign = first >> 10 & 1
    j1, j2 = second >> 13 & 1, second >> 11 & 1
    high = sign << 23 | (1 ^ j1 ^ sign) << 22 | (1 ^ j2 ^ sign) << 21
    target = address + 4 + 2 * sign_extended(high | (first & 0x3FF) << 11 | second & 0x7FF, 24)
    return Branch(target, conditional=False) if kind == 0x9000 else Call(target)


def _control(first: int, second: int) -> Action:
    if first & 0xFFE0 == 0xF380:  # MSR: 8 and 9 are MSP and PSP, in the other state with bit 7
        return Write((SP,) if second & 0x7F in (8, 9) else ())
    if first & 0xFFE0 == 0xF3E0:  # MRS
        return _write(second >> 8)
    if first & 0xFFF0 == 0xF7F0:
        return Trap()
    return Write() if first in (0xF3AF, 0xF3BF) else Unknown()  # hints, barriers, CLREX


def _loop(first: int, second: int, address: int) -> Action:
    """WLS, DLS, LE and their tail-predicated forms."""
    if first & 0xFF80 != 0xF000 or not second & 1:
        return Unknown()  # branch future, which compilers do not make
    if second & 0x2000:  # DLS, and LCTP in the place of DLS PC
        return Write() if first & 15 == PC else Write((LR,))
    offset = (second & 0x07FE) << 1 | (second & 0x0800) >> 10
    if first & 15 == PC:  # LE; the form without LR never falls through, but the loop may be left elsewhere
        return Branch(address + 4 - offset, conditional=not first & 0x20, sets_link=not first & 0x20)
    return Branch(address + 4 + offset, conditional=True, sets_link=True)


def _single(first: int, second: int, address: int) -> Action:
    """One register to or from memory (A5.3.7 to A5.3.10)."""
    base, value, load = first & 15, second >> 12, bool(first & 0x10)
    word = first & 0x0160 == 0x0040
    if base == PC:
        offset = (second & 0xFFF) * (1 if first & 0x80 else -1)
        at = (address + 4 & ~3) + offset
        return LoadConstant(value, at) if word and load else _write(value)
    offset, step, index = _addressing(first, second)
    if word:
        return Load(value, base, offset, index, step) if load else Store(value, base, offset, index, step)
    return _write(value if load else PC, base if step else PC)


def _addressing(first: int, second: int) -> tuple[int, int, int | None]:
    """Offset, step of the base, and the register that is added."""
    if first & 0x80:
        return second & 0xFFF, 0, None
    if not second & 0x0800:
        return 0, 0, second & 15
    amount = (second & 0xFF) * (1 if second & 0x0200 else -1)
    return amount if second & 0x0400 else 0, amount if second & 0x0100 else 0, None


def _coprocessor(first: int, second: int) -> Action:
    """Floating point and MVE: coprocessors 10 and 11, and 14 and 15 of an Armv8.1-M core."""
    vector, floating = second & 0x0E00 == 0x0E00, second & 0x0E00 == 0x0A00
    if first & 0xEF00 == 0xEF00:
        return Write()
    if first & 0xEE00 == 0xEC00:
        if not first & 0x01A0:  # two core registers to or from one or two of the FPU's
            return _write(second >> 12, second, first)
        return _vector_memory(first, second) if vector else _float_memory(first, second) if floating else _write(second >> 12, first)
    if floating:
        return _write(second >> 12) if second & 0x10 and first & 0x10 else Write()
    return _vector_results(first, second) if vector else _write(second >> 12, first)


def _float_memory(first: int, second: int) -> Action:
    """VPUSH, VPOP, VLDM, VSTM move their base; VLDR, VSTR do not."""
    base, writeback = first & 15, bool(first & 0x20)
    amount = 4 * (second & 0xFF) * (1 if first & 0x80 else -1)
    return AddConstant(base, base, amount) if writeback else Write()


def _vector_memory(first: int, second: int) -> Action:
    """VLDR, VSTR of vectors and of special registers, VLD2 to VST4, gathers and scatters."""
    if not first & 0x20:
        return Write()
    full = bool(second & 0x1000)
    if first & 0x1000 and full:  # U and bit 12: VLD2 to VST4, or a vector of addresses, which is no core register
        return Write() if first & 0x0100 else _write(first)
    size = (second >> 7) & 3
    amount = (second & 0x7F) * (1 if first & 0x80 else -1)
    if full or size == 3:  # a whole vector; a special register is a word
        return AddConstant(first & 15, first & 15, amount << (size if full else 2))
    return AddConstant(first & 7, first & 7, amount << (first >> 3 & 1))  # elements that are widened


def _vector_results(first: int, second: int) -> Action:
    """Vector instructions with results in core registers: sums, extrema, lanes, VIDUP, VSHLC."""
    if first & 0xEFA0 == 0xEEA0 and second & 0x0FF0 == 0x0FC0:  # VSHLC
        return _write(second)
    if first & 0x80:
        if second & 0x0140 == 0x0140:  # VMOVL, VSHLL, VSHRN: vectors only
            return Write()
        # Sums have the high word's odd register here, extrema have 13 or 15 in its place.
        high = (first >> 4 & 7) << 1 | 1
        return _write(second >> 12, second >> 12 & 14, high if high < SP else PC)
    ramp = first & 0xFF81 == 0xEE01 and second & 0x0F60 == 0x0F60  # VIDUP, VDDUP, VIWDUP, VDWDUP
    return _write(first & 14) if ramp else Write()
