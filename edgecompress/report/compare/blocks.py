"""Equal runs of two sequences, the longest first, then, on both sides of it, the longest ones that are left (Ratcliff and Obershelp).

The blocks are those of Python's difflib, which walks through every pair of equal elements for every block: cubic work in Python where a few
kinds alternate. Here one matrix holds the length of the run that ends at each pair, and a block is the first maximum in a part of it: one
maximum for each block and each gap between two, so at most `2 * n + 1` of them for n elements, over at most n**3 / 3 numbers of two bytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Block(NamedTuple):
    """`first[left : left + size] == second[right : right + size]`."""

    left: int
    right: int
    size: int


def matching_blocks(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[Block]:
    """Blocks in order; the last one has the size 0 and stands at both ends.

    Args:
        first: up to 32,767 elements, as `second`: lengths of runs are int16. Memory is six bytes a pair.
    """
    if not first or not second:
        return [Block(len(first), len(second), 0)]
    import numpy as np

    runs = _runs(first, second)
    finder = Finder(runs, np.empty(runs.size, np.int16))
    blocks: list[Block] = []
    parts = [(0, len(first), 0, len(second))]
    while parts:
        top, bottom, left, right = parts.pop()
        block = finder.longest(top, bottom, left, right)
        if block.size:
            blocks.append(block)
            before = (top, block.left, left, block.right)
            after = (block.left + block.size, bottom, block.right + block.size, right)
            parts += [part for part in (before, after) if part[0] < part[1] and part[2] < part[3]]
    return [*sorted(blocks), Block(len(first), len(second), 0)]


class Finder:
    """The longest run in parts of one matrix; `room` is where a part is copied to."""

    def __init__(self, runs: NDArray[np.int16], room: NDArray[np.int16]) -> None:
        import numpy as np

        self._runs, self._room = runs, room
        rows, columns = runs.shape
        # A run that begins before the part counts from the part's edge on.
        self._edge = np.minimum(np.arange(1, rows + 1, dtype=np.int16)[:, None], np.arange(1, columns + 1, dtype=np.int16))

    def longest(self, top: int, bottom: int, left: int, right: int) -> Block:
        """The longest run within rows and columns; of equal ones the first by row, then by column."""
        import numpy as np

        rows, columns = bottom - top, right - left
        part = self._room[: rows * columns].reshape(rows, columns)
        np.minimum(self._runs[top:bottom, left:right], self._edge[:rows, :columns], out=part)
        row, column = divmod(int(part.argmax()), columns)
        size = int(part[row, column])
        return Block(top + row + 1 - size, left + column + 1 - size, size)


def _runs(first: Sequence[Hashable], second: Sequence[Hashable]) -> NDArray[np.int16]:
    """[len(first), len(second)]: how many elements before and at a pair are equal, one after another."""
    import numpy as np

    codes: dict[Hashable, int] = {}
    left, right = (np.array([codes.setdefault(key, len(codes)) for key in keys]) for keys in (first, second))
    runs: NDArray[np.int16] = (left[:, None] == right[None, :]).astype(np.int16)
    for row in range(1, len(first)):
        runs[row, 1:] *= runs[row - 1, :-1] + 1
    return runs
