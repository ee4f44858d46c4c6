"""What a core's registers hold at one instruction of a function, as far as it can be told without running it.

Three things are told apart: the stack pointer and what was made of it, the address that the function returns to, and words that stand in
the firmware itself (constants, and entries of constant tables). All else is unknown, which is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecompress.build.stack_code import Code, StackBoundError
from edgecompress.build.thumb import (
    LR,
    SP,
    Action,
    AddConstant,
    AddRegister,
    ClearLow,
    Copy,
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
    Write,
)

_WORD = 0xFFFFFFFF
# More values than that in one place are not told apart.
_MOST_VALUES = 8


@dataclass(frozen=True, slots=True)
class StackPointer:
    """The stack pointer at the function's entry, less `depth` bytes; aligned downwards it may be less, and `depth` is the most."""

    depth: int


@dataclass(frozen=True, slots=True)
class ShiftedStackPointer:
    """A stack pointer without its lowest `bits` bits, on the way to being aligned."""

    depth: int
    bits: int


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the caller goes on, or a little behind it (a table that lies there is skipped)."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word out of the firmware.

    Attributes:
        values: one of these, each with the beginning of the function or object that it points into, or None for a number.
        inside: or a pointer somewhere into one of these.
        loaded: or a word out of one of these objects.
    """

    values: frozenset[tuple[int, int | None]] = frozenset()
    inside: frozenset[int] = frozenset()
    loaded: frozenset[int] = frozenset()

    @property
    def single(self) -> int | None:
        """The value, where there is but one."""
        if len(self.values) != 1 or self.inside or self.loaded:
            return None
        return next(iter(self.values))[0]


Value = StackPointer | ShiftedStackPointer | ReturnAddress | Word


def join(a: Value | None, b: Value | None) -> Value | None:
    """What is known of a register that holds `a` on one way here and `b` on another."""
    if a == b:
        return a
    if not isinstance(a, Word) or not isinstance(b, Word):
        return None
    inside = a.inside | b.inside
    values = frozenset((value, home) for value, home in a.values | b.values if home not in inside)
    homes = [home for _, home in values]
    repeated = {home for home in homes if homes.count(home) > 1}
    if None in repeated or len(values) > _MOST_VALUES:
        return None  # a counter
    inside |= {home for home in repeated if home is not None}
    return Word(frozenset((value, home) for value, home in values if home not in repeated), inside, a.loaded | b.loaded)


@dataclass
class State:
    """Registers and words on the stack, the latter by how many bytes they lie below the stack pointer at entry."""

    registers: list[Value | None]
    slots: dict[int, Value]

    @staticmethod
    def at_entry() -> State:
        registers: list[Value | None] = [None] * 16
        registers[SP], registers[LR] = StackPointer(0), ReturnAddress()
        return State(registers, {})

    @property
    def depth(self) -> int:
        """Bytes that the stack pointer is below its value at entry.

        Raises:
            StackBoundError: that is unknown.
        """
        pointer = self.registers[SP]
        if not isinstance(pointer, StackPointer):
            raise StackBoundError("the stack pointer moves by an amount that is known only when it runs")
        return pointer.depth

    def copy(self) -> State:
        return State(self.registers.copy(), self.slots.copy())

    def joined(self, other: State) -> State:
        """What both have in common."""
        registers = [join(a, b) for a, b in zip(self.registers, other.registers, strict=True)]
        slots = {at: value for at, a in self.slots.items() if (value := join(a, other.slots.get(at))) is not None}
        return State(registers, slots)

    def after_call(self) -> State:
        """Of the core's registers, r0 to r3, r12 and LR are the callee's (AAPCS32, 6.1.1); the words on the stack are the caller's."""
        state = self.copy()
        for register in (0, 1, 2, 3, 12, LR):
            state.registers[register] = None
        state.forget_below()
        return state

    def forget_below(self) -> None:
        """What lies below the stack pointer is lost."""
        depth = self.depth
        self.slots = {at: value for at, value in self.slots.items() if at <= depth}


def apply(action: Action, state: State, code: Code) -> None:
    """Change `state` as an instruction does that is no branch.

    Raises:
        StackBoundError: where the stack pointer goes is unknown.
    """
    registers = state.registers
    before = state.depth
    match action:
        case Write(written):
            for register in written:
                registers[register] = None
        case SetConstant(to, value):
            registers[to] = _number(value)
        case SetAddress(to, value):
            registers[to] = _constant(value, code)
        case SetTop(to, value):
            low = _single(registers[to])
            registers[to] = None if low is None else _constant(value << 16 | low & 0xFFFF, code)
        case Copy(to, source):
            registers[to] = registers[source]
        case AddConstant(to, source, value):
            registers[to] = _moved(registers[source], value)
        case AddRegister():
            registers[action.to] = _sum(action, registers, code)
        case ShiftLeft(to, source, bits):
            registers[to] = _shifted_left(registers[source], bits)
        case ShiftRight(to, source, bits):
            registers[to] = _shifted_right(registers[source], bits)
        case Negate(to, source):
            number = _single(registers[source])
            registers[to] = None if number is None else _number(-number)
        case ClearLow(to, source, bits):
            registers[to] = _aligned(registers[source], bits)
        case LoadConstant(to, address):
            word = code.word(address)
            registers[to] = None if word is None else _constant(word, code)
        case Load() | LoadMany():
            _load(action, state, code)
        case Store() | StoreMany():
            _store(action, state, code)
        case _:
            raise AssertionError(action)
    if state.depth < before:
        state.forget_below()


def _number(value: int) -> Word:
    return Word(frozenset({(value & _WORD, None)}))


def _constant(value: int, code: Code) -> Word:
    value &= _WORD
    return Word(frozenset({(value, code.home(value))}))


def _single(value: Value | None) -> int | None:
    return value.single if isinstance(value, Word) else None


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _moved(value: Value | None, by: int) -> Value | None:
    match value:
        case StackPointer(depth):
            return StackPointer(depth - _signed(by & _WORD))
        case Word() if not value.loaded:
            return Word(frozenset(((number + by) & _WORD, home) for number, home in value.values), value.inside)
        case ReturnAddress():
            return value
        case _:
            return value if by == 0 else None


def _sum(action: AddRegister, registers: list[Value | None], code: Code) -> Value | None:
    a, b = registers[action.a], registers[action.b]
    number = _single(b)
    if number is not None and action.shift < 32:
        amount = number << action.shift
        return _moved(a, -amount if action.subtract else amount)
    if not action.subtract and (number := _single(a)) is not None and isinstance(b, StackPointer) and action.shift == 0:
        return _moved(b, number)
    if isinstance(a, ReturnAddress):
        return a
    pointers = [a] if action.subtract or action.shift else [a, b]
    homes = frozenset[int]().union(*(_entered(pointer, code) for pointer in pointers if isinstance(pointer, Word) and not pointer.loaded))
    return Word(inside=homes) if homes else None


def _shifted_left(value: Value | None, bits: int) -> Value | None:
    if isinstance(value, ShiftedStackPointer):
        return _aligned(StackPointer(value.depth), bits) if bits == value.bits else None
    number = _single(value)
    return None if number is None else _number(number << bits)


def _shifted_right(value: Value | None, bits: int) -> Value | None:
    if isinstance(value, StackPointer):
        return ShiftedStackPointer(value.depth, bits)
    if isinstance(value, ReturnAddress):
        return value  # its Thumb bit is cleared like that
    number = _single(value)
    return None if number is None else _number(number >> bits)


def _aligned(value: Value | None, bits: int) -> Value | None:
    """The stack pointer is a multiple of 4 at all times, and of 8 where functions are called (AAPCS32, 6.2.1)."""
    if not isinstance(value, StackPointer):
        return None
    known = 8 if value.depth % 8 == 0 else 4
    return StackPointer(value.depth + max((1 << bits) - known, 0))


def _load(action: Load | LoadMany, state: State, code: Code) -> None:
    base = state.registers[action.base]
    registers = (action.to,) if isinstance(action, Load) else action.registers
    if isinstance(action, Load) and action.index is not None:
        values = [_entry([base, state.registers[action.index]], code)]
    else:
        values = [_loaded(base, action.offset + 4 * n, state, code) for n in range(len(registers))]
    if action.step:
        state.registers[action.base] = _moved(_accessed(base, action.offset, code), action.step)
    for register, value in zip(registers, values, strict=True):
        state.registers[register] = value


def _loaded(base: Value | None, offset: int, state: State, code: Code) -> Value | None:
    if isinstance(base, StackPointer):
        return state.slots.get(base.depth - offset)
    if not isinstance(base, Word):
        return None
    words = [code.word((value + offset) & _WORD) for value, _ in base.values]
    values = frozenset((word, code.home(word)) for word in words if word is not None)
    return Word(values, loaded=base.inside | _pointed_at(base.loaded, code)) if None not in words else None


def _entry(pointers: Sequence[Value | None], code: Code) -> Value | None:
    """A word of the objects that a sum of `pointers` may point into: one of them is a pointer, another a number."""
    homes = frozenset[int]()
    for pointer in pointers:
        if isinstance(pointer, Word):
            homes |= _entered(pointer, code) | _pointed_at(pointer.loaded, code)
    return Word(loaded=homes) if homes else None


def _entered(pointer: Word, code: Code) -> frozenset[int]:
    """The objects that are indexed from this pointer. A constant inside an object may belong to the next one, from before its beginning."""
    return pointer.inside | {home for value, home in pointer.values if home is not None and (value == home or home in code.functions)}


def _pointed_at(homes: frozenset[int], code: Code) -> frozenset[int]:
    return frozenset(target for home in homes for word in code.words(home) if (target := code.home(word)) is not None)


def _accessed(base: Value | None, offset: int, code: Code) -> Value | None:
    """The base of an access belongs to the object that is accessed, although it may lie before it."""
    if not isinstance(base, Word):
        return base
    return Word(
        frozenset((value, None if home is None else code.home((value + offset) & _WORD)) for value, home in base.values),
        base.inside,
        base.loaded,
    )


def _store(action: Store | StoreMany, state: State, code: Code) -> None:
    base = state.registers[action.base]
    sources = (action.source,) if isinstance(action, Store) else action.registers
    values = [state.registers[source] for source in sources]
    if action.step:
        state.registers[action.base] = _moved(base, action.step)
    if not isinstance(base, StackPointer):
        return
    if isinstance(action, Store) and action.index is not None:
        # An array on the stack: it ends before what the compiler keeps there, but perhaps not before other variables.
        state.slots = {at: value for at, value in state.slots.items() if not isinstance(value, Word)}
        return
    for n, value in enumerate(values):
        at = base.depth - action.offset - 4 * n
        if value is None:
            state.slots.pop(at, None)
        else:
            state.slots[at] = value
