"""How deep the stack of one inference can get, told from the linked code: no more than this, on any input.

    bound(f) = max(own bytes of f, max over its calls of (bytes of f at the call + bound(callee)))

The bytes are those between the stack pointer on entry to `<name>_invoke` and the lowest one on any way through the code, which is what the
emulator's mark and the application's painted stack count. An interrupt's frame is not in it, as none comes in the emulator: a firmware
whose SysTick counts (firmware/boards/cortex_m/cycles.h) needs up to 104 bytes for that frame (Armv7-M Architecture Reference Manual,
B1.5.6: 8 words, 26 with the floating-point state; Armv8-M the same) and what its handler takes, once, beside the bound.

Taken as given: functions keep the procedure call standard (AAPCS32), a pointer into a constant table stays in that table, and nothing
writes over what a compiler saved on the stack.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.build.stack_code import Code, StackBoundError
from edgecompress.build.stack_walk import Frame, walk_function
from edgecompress.elf import Image


@dataclass(frozen=True)
class StackBound:
    """The bound, and the calls that reach it: (function, bytes of the stack on entry to it), the entry first."""

    bytes: int
    path: tuple[tuple[str, int], ...]


def stack_bound(image: Image, entry: str) -> StackBound:
    """The deepest stack of a call of `entry`, below its caller.

    Args:
        image: a linked firmware for a Cortex-M core.
        entry: a function's symbol.

    Raises:
        ModelError: there is no such symbol.
        StackBoundError: recursion, a call through a pointer that no constant table gives, a frame of unknown size, or code that cannot be
            followed; the message names the functions.
    """
    code = Code(image)
    start = image.symbol(entry)
    graph = _CallGraph(code)
    graph.explore(start)
    return StackBound(graph.depth(start), tuple(graph.path(start)))


class _CallGraph:
    def __init__(self, code: Code) -> None:
        self._code = code
        self._frames: dict[int, Frame] = {}
        self._depths: dict[int, int] = {}

    def explore(self, start: int) -> None:
        """Walk all that is reachable, callees before their callers.

        Raises:
            StackBoundError: a function reaches itself, or cannot be walked.
        """
        # The functions that are being called, each with the callees that are still to come.
        calling = {start: self._enter(start)}
        while calling:
            function, callees = next(reversed(calling.items()))
            if not callees:
                self._depths[function] = self._deepest(self._frames[function])
                del calling[function]
                continue
            callee = callees.pop()
            if callee in calling:
                names = [self._code.name(address) for address in calling]
                cycle = names[list(calling).index(callee) :]
                raise StackBoundError(f"{' calls '.join([*cycle, cycle[0]])}: the depth of a recursion is known only when it runs")
            if callee not in self._depths:
                calling[callee] = self._enter(callee)

    def depth(self, function: int) -> int:
        """Bytes of the function and all below it."""
        return self._depths[function]

    def path(self, start: int) -> list[tuple[str, int]]:
        """The calls that reach the greatest depth, with the depth on entry to each."""
        found = [(self._code.name(start), 0)]
        function, above = start, 0
        while True:
            frame = self._frames[function]
            if frame.bytes == self._depths[function]:
                return found
            call = min(
                (call for call in frame.calls if call.depth + self._depths[call.target] == self._depths[function]), key=lambda c: c.address
            )
            above += call.depth
            function = call.target
            found.append((self._code.name(function), above))

    def _enter(self, function: int) -> list[int]:
        frame = self._frames[function] = walk_function(self._code, function)
        return sorted({call.target for call in frame.calls}, reverse=True)

    def _deepest(self, frame: Frame) -> int:
        return max([frame.bytes, *(call.depth + self._depths[call.target] for call in frame.calls)])
