"""One function's stack: every way through it, how deep the stack pointer gets, and what it calls from which depth.

Each instruction is visited once for each depth that it is reached with, so a loop that pushes is noticed, and a return is held to the
depth at which the function was entered. A jump whose target is computed, and which stays in its function, is taken to reach what no other
way reaches, at the depth of the jump.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edgecompress.build.stack_code import Code, StackBoundError
from edgecompress.build.stack_state import ReturnAddress, State, Value, Word, apply
from edgecompress.build.thumb import (
    LR,
    PC,
    AddRegister,
    Branch,
    Call,
    CallRegister,
    IfThen,
    Instruction,
    JumpBy,
    JumpRegister,
    Load,
    LoadConstant,
    LoadMany,
    TableJump,
    Trap,
    Unknown,
)

# Depths with which one instruction may be reached; shared endings of a function come with two.
_MOST_DEPTHS = 4
_MOST_VISITS = 400_000
_NOPS = (0xBF00, 0x46C0, 0x0000)
_UNKNOWN_JUMP = "jumps through a pointer that is known only when it runs"


@dataclass(frozen=True)
class CallSite:
    """A call, or a jump at the end that is one: from `address`, with the caller's own bytes below its entry."""

    address: int
    target: int
    depth: int


@dataclass
class Frame:
    """What a function takes of the stack itself, and its calls."""

    bytes: int = 0
    calls: set[CallSite] = field(default_factory=set)


def walk_function(code: Code, start: int) -> Frame:
    """Follow every way through the function at `start`.

    Raises:
        StackBoundError: naming the instruction that cannot be followed.
    """
    return _Walk(code, start).run()


# Where it goes on, and with what.
_Way = tuple[int, State]


class _Walk:
    def __init__(self, code: Code, start: int) -> None:
        self._code = code
        self._start = start
        self._frame = Frame()
        self._states: dict[int, dict[int, State]] = {}
        self._waiting: list[_Way] = []
        self._computed: list[_Way] = []
        # A jump whose target nothing is known of: it stays in the function only where something is left there to reach.
        self._pointer_jump: int | None = None
        self._block_ends: dict[int, int] = {}

    def run(self) -> Frame:
        self._arrive(self._start, State.at_entry())
        self._drain()
        found = False
        while self._computed and (address := self._unreached()) is not None:
            found = True
            self._arrive(address, self._after_computed_jumps())
            self._drain()
        if self._pointer_jump is not None and not found:
            raise StackBoundError(f"{self._code.name(self._pointer_jump)}: {_UNKNOWN_JUMP}")
        return self._frame

    def _drain(self) -> None:
        visits = 0
        while self._waiting:
            visits += 1
            if visits > _MOST_VISITS:
                raise StackBoundError(f"{self._code.name(self._start)}: has too many ways through it to follow")
            address, state = self._waiting.pop()
            for way in self._step(address, state.copy()):
                self._arrive(*way)

    def _arrive(self, address: int, state: State) -> None:
        """Go on at an address, unless nothing new is known there."""
        depth = state.depth
        at_depth = self._states.setdefault(address, {})
        known = at_depth.get(depth)
        if known is not None:
            joined = known.joined(state)
            if joined == known:
                return
            state = joined
        elif len(at_depth) == _MOST_DEPTHS:
            raise StackBoundError(f"{self._code.name(address)}: is reached with ever other stack pointers; does a loop push or pop?")
        at_depth[depth] = state
        self._frame.bytes = max(self._frame.bytes, depth)
        self._waiting.append((address, state))

    def _step(self, address: int, state: State) -> list[_Way]:
        """The ways on from one instruction, or from an IT block as a whole."""
        try:
            instruction = self._code.instruction(address)
            if isinstance(instruction.action, IfThen):
                return self._conditional_block(address + 2, instruction.action, state)
            return list(self._execute(instruction, address, state))
        except StackBoundError as e:
            named = e.message.startswith(self._code.name(address))
            raise e if named else StackBoundError(f"{self._code.name(address)}: {e.message}") from e

    def _conditional_block(self, address: int, block: IfThen, state: State) -> list[_Way]:
        """Both outcomes of the condition through the instructions that depend on it."""
        inside: list[tuple[bool, State]] = [(True, state.copy()), (False, state)]
        left: list[_Way] = []
        for when in block.when:
            instruction = self._code.instruction(address)
            following = address + instruction.bytes
            on: list[tuple[bool, State]] = []
            for holds, current in inside:
                if holds != when:
                    on.append((holds, current))
                    continue
                for target, after in self._execute(instruction, address, current):
                    if target == following:
                        on += [(True, after), (False, after.copy())] if instruction.compares else [(holds, after)]
                    else:
                        left.append((target, after))
            self._block_ends[address] = following
            inside, address = on, following
        return left + [(address, current) for _, current in inside]

    def _execute(self, instruction: Instruction, address: int, state: State) -> Iterator[_Way]:
        following = address + instruction.bytes
        match instruction.action:
            case Branch(target, conditional, sets_link):
                if sets_link:
                    state.registers[LR] = None
                if conditional:
                    yield following, state.copy()
                yield from self._jump(address, target, state)
            case Call(target) if self._is_far_jump(target):
                state.registers[LR] = None
                yield target, state
            case Call(target):
                yield from self._call(address, [target], following, state)
            case CallRegister(register):
                yield from self._call(address, self._callees(state.registers[register]), following, state)
            case JumpRegister(register):
                yield from self._jump_to(address, state.registers[register], state)
            case JumpBy():
                self._computed.append((address, state))
            case TableJump(base, entry_bytes):
                yield from self._table_jump(address, base, entry_bytes, state)
            case Trap():
                return
            case Unknown() | IfThen():  # an IT block in another one is none
                raise StackBoundError("is an instruction that is not known here")
            case action:
                apply(action, state, self._code)
                # Below the stack pointer at entry plus nothing: what lies above belongs to the caller.
                if state.depth < 0:
                    raise StackBoundError("takes more from the stack than was put there")
                if self._writes_pc(action):
                    value, state.registers[PC] = state.registers[PC], None
                    yield from self._jump_to(address, value, state)
                else:
                    yield following, state

    def _is_far_jump(self, target: int) -> bool:
        """Whether a BL stays in its function: in functions longer than a branch reaches (2 KB, Armv6-M ARM, A6.7.10) gcc jumps so."""
        first, end = self._code.extent(self._start)
        return first < target < end and target not in self._code.functions

    @staticmethod
    def _writes_pc(action: object) -> bool:
        match action:
            case Load(to) | LoadConstant(to) | AddRegister(to):
                return to == PC
            case LoadMany(registers):
                return PC in registers
            case _:
                return False

    def _jump(self, address: int, target: int, state: State) -> Iterator[_Way]:
        """To a known address: another function's beginning is a call that returns to our caller, all else is part of this one."""
        if target != self._start and target in self._code.functions:
            self._frame.calls.add(CallSite(address, target, state.depth))
        else:
            yield target, state

    def _jump_to(self, address: int, value: Value | None, state: State) -> Iterator[_Way]:
        if isinstance(value, ReturnAddress):
            if state.depth:
                raise StackBoundError(f"returns with the stack pointer {state.depth} bytes below where it was")
            return
        targets = self._targets(value)
        if targets:
            for target in targets:
                yield from self._jump(address, target, state.copy())
        elif value is None and isinstance(state.registers[LR], ReturnAddress) and state.depth == 0:
            raise StackBoundError(_UNKNOWN_JUMP)
        else:
            self._pointer_jump = address if value is None else self._pointer_jump
            self._computed.append((address, state))

    def _targets(self, value: Value | None) -> list[int]:
        """Functions, and places in this one, that a word may be the address of."""
        if not isinstance(value, Word):
            return []
        words = {word for word, _ in value.values} | {word for home in value.loaded for word in self._code.words(home)}
        first, end = self._code.extent(self._start)
        return sorted({word & ~1 for word in words if word & ~1 in self._code.functions or first <= word & ~1 < end})

    def _callees(self, value: Value | None) -> list[int]:
        """Functions that a pointer may point to.

        Raises:
            StackBoundError: that is not known.
        """
        found = [target for target in self._targets(value) if target in self._code.functions]
        if not found or (isinstance(value, Word) and value.inside):
            raise StackBoundError("calls through a pointer that is known only when it runs")
        return found

    def _call(self, address: int, targets: Sequence[int], following: int, state: State) -> Iterator[_Way]:
        self._frame.calls |= {CallSite(address, target, state.depth) for target in targets}
        if not self._code.is_data(following):
            yield following, state.after_call()
        else:
            # Either it never returns, or it returns behind a table that follows the call.
            self._computed.append((address, state.after_call()))

    def _table_jump(self, address: int, base: int, entry_bytes: int, state: State) -> Iterator[_Way]:
        pointer = state.registers[base]
        table = address + 4 if base == PC else pointer.single if isinstance(pointer, Word) else None
        if table is None:
            self._computed.append((address, state))
            return
        for target in self._table_targets(table, address + 4, entry_bytes):
            yield target, state.copy()

    def _table_targets(self, table: int, origin: int, entry_bytes: int) -> set[int]:
        """Where the entries lead: the table ends where the compiler's mark says so, and not behind the code that it leads to."""
        mark = self._code.next_mark(table) if self._code.is_data(table) else None
        end = self._code.extent(self._start)[1] if mark is None else mark
        targets: set[int] = set()
        at = table
        while at + entry_bytes <= min([end, *(target for target in targets if target > table)]):
            low, high = self._code.byte(at), self._code.byte(at + 1) if entry_bytes == 2 else 0
            if low is None or high is None:
                break
            targets.add(origin + 2 * (high << 8 | low))
            at += entry_bytes
        # Behind the last entry there may be a byte of padding.
        return {target for target in targets if not self._code.is_data(target) and not table <= target < at}

    def _unreached(self) -> int | None:
        """The first instruction of the function that no way has reached."""
        address, end = self._code.extent(self._computed[0][0])
        while address < end:
            if self._code.is_data(address):
                mark = self._code.next_mark(address)
                if mark is None:
                    return None
                address = mark
            elif address in self._states or address in self._block_ends or self._is_nop(address):
                address += self._code.instruction(address).bytes
            else:
                return address
        return None

    def _is_nop(self, address: int) -> bool:
        low, high = self._code.byte(address), self._code.byte(address + 1)
        return low is not None and high is not None and high << 8 | low in _NOPS

    def _after_computed_jumps(self) -> State:
        """What holds after any of the jumps.

        Raises:
            StackBoundError: they leave different stack pointers.
        """
        (address, state), *others = self._computed
        for _, other in others:
            if other.depth != state.depth:
                raise StackBoundError(f"{self._code.name(address)}: computed jumps with different stack pointers")
            state = state.joined(other)
        return state.copy()
