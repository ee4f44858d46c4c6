"""Proof that a block computes what the steps would, found by playing its bands on the bytes of the arena.

Each byte of the arena has a tag: which row of which tensor it belongs to, or none. A call must find every row that it reads whole; what it
writes spoils what lay there. What is wrong here is a bug of this package, never of the user's model.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecompress.codegen.program import ArenaPlan
from edgecompress.codegen.stream.actions import Bring, Compute, Keep, Restore, actions, window_place
from edgecompress.codegen.stream.block import StreamStep, Window
from edgecompress.codegen.stream.rows import row_bytes
from edgecompress.codegen.stream.schedule import Band
from edgecompress.graph import Graph

_SPOILT = -1
_ROW_BITS = 32


def block_problems(step: StreamStep, plan: ArenaPlan, scratch: int, graph: Graph) -> Iterator[str]:
    """What is wrong with a block, one sentence each; nothing for a sound one.

    Args:
        scratch: where the block's scratch begins in the arena.
    """
    yield from _Player(step, plan, scratch, graph).play()


class _Player:
    def __init__(self, step: StreamStep, plan: ArenaPlan, scratch: int, graph: Graph) -> None:
        self._block = step.block
        self._plan = plan
        self._scratch = scratch
        self._end = scratch + step.scratch_bytes
        self._graph = graph
        self._tags = np.full(plan.arena_bytes, _SPOILT, np.int64)

    def play(self) -> Iterator[str]:
        chain = self._block.chain
        if not self._block.calls_for_rows:
            self._write(chain.source, range(self._graph.tensor(chain.source).shape[1]), self._plan.offsets[chain.source])
        for number, band in enumerate(self._block.bands):
            for problem in self._band(band):
                yield f"band {number}: {problem}"
        output = range(self._graph.tensor(chain.output).shape[1])
        if not self._holds(chain.output, output, self._plan.offsets[chain.output]):
            yield f"t{chain.output} is not whole after the last band"

    def _band(self, band: Band) -> Iterator[str]:
        for action in actions(self._block, band):
            match action:
                case Restore(window, rows):
                    yield from self._move(window, rows, self._kept(window), self._window(window, band, rows.start))
                case Keep(window, rows):
                    yield from self._move(window, rows, self._window(window, band, rows.start), self._kept(window))
                case Bring(window, rows):
                    yield from self._put(window.tensor, rows, self._window(window, band, rows.start))
                case Compute(call):
                    yield from self._compute(band, call)

    def _move(self, window: Window, rows: range, source: int, to: int) -> Iterator[str]:
        if not self._holds(window.tensor, rows, source):
            yield f"rows {rows.start} to {rows.stop} of t{window.tensor} are not where they are moved from"
        yield from self._put(window.tensor, rows, to)

    def _compute(self, band: Band, number: int) -> Iterator[str]:
        call = self._block.chain.calls[number]
        rows = band.tensors[call.output].new
        to = self._place(band, call.output, rows.start)
        out = range(to, to + len(rows) * row_bytes(self._graph.tensor(call.output)))
        at = self._block.scratch_offsets.get(number, 0) + self._scratch
        work = range(at, at + call.step.scratch_bytes)
        if work and (work.stop > self._end or _meet(work, out)):
            yield f"the scratch of call {number} overlaps its output, or is outside the block's"
        for tensor, read in band.reads[number].items():
            place = self._place(band, tensor, read.start)
            bytes_read = range(place, place + len(read) * row_bytes(self._graph.tensor(tensor)))
            if not self._holds(tensor, read, place):
                yield f"call {number} reads rows {read.start} to {read.stop} of t{tensor}, which are not whole"
            if _meet(bytes_read, out) or _meet(bytes_read, work):
                yield f"call {number} writes over rows {read.start} to {read.stop} of t{tensor}, which it reads"
        self._tags[work.start : work.stop] = _SPOILT
        yield from self._put(call.output, rows, to)

    def _put(self, tensor: int, rows: range, to: int) -> Iterator[str]:
        end = to + len(rows) * row_bytes(self._graph.tensor(tensor))
        if tensor != self._block.chain.output and not (self._scratch <= to and end <= self._end):
            yield f"rows {rows.start} to {rows.stop} of t{tensor} are written outside the block's scratch"
        self._write(tensor, rows, to)

    def _write(self, tensor: int, rows: range, to: int) -> None:
        expected = self._tags_of(tensor, rows)
        self._tags[to : to + len(expected)] = expected

    def _holds(self, tensor: int, rows: range, at: int) -> bool:
        expected = self._tags_of(tensor, rows)
        return np.array_equal(self._tags[at : at + len(expected)], expected)

    def _tags_of(self, tensor: int, rows: range) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        tags = (tensor << _ROW_BITS) + np.arange(rows.start, rows.stop, dtype=np.int64)
        return np.repeat(tags, row_bytes(self._graph.tensor(tensor)))

    def _place(self, band: Band, tensor: int, row: int) -> int:
        window = self._block.windows.get(tensor)
        if window is None:
            return self._plan.offsets[tensor] + row * row_bytes(self._graph.tensor(tensor))
        return self._window(window, band, row)

    def _window(self, window: Window, band: Band, row: int) -> int:
        return self._scratch + window.offset + window_place(window, band, row)

    def _kept(self, window: Window) -> int:
        return self._scratch + (window.offset if window.kept_offset is None else window.kept_offset)


def _meet(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop
