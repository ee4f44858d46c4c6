"""The blocks with which the whole plan is lowest: over where chains begin and end, and over the rows of their bands.

A program is cut into segments, each a step as it is or a block of several. A segment needs what is alive beside it, its input and output
less what they share, and its scratch; the plan can be no lower than the segment that needs most. Twice the same recursion over the cuts:
first for the lowest need, then, among all cuts that need no more, for the least work (bytes that kernels read, prepare and move).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgecompress.codegen.placement import Buffer, shareable, step_needs
from edgecompress.codegen.plan import aligned, lifetimes, resolve_aliases, usable_leads
from edgecompress.codegen.program import Alias, Step
from edgecompress.codegen.stream.block import Block, bound_of, lay_out, stream_step, work_of
from edgecompress.codegen.stream.chain import Chain, find_chains
from edgecompress.codegen.stream.schedule import play_bands
from edgecompress.graph import Graph

# Longer chains keep more rows than they save.
_LONGEST_CHAIN = 24
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_ARENA_ALIGNMENT = 16


@dataclass(frozen=True, eq=False)
class Segment:
    """Steps `first` to `end` (not included) as one.

    Attributes:
        need: bytes that the plan takes at least because of it.
        work: bytes that kernels read, prepare and move.
        block: None for a step as it is.
    """

    first: int
    end: int
    need: int
    work: int
    block: Block | None = None


def best_blocks(
    graph: Graph, steps: Sequence[Step], aliases: Sequence[Alias], *, keep_input: bool, called: int | None
) -> tuple[Block, ...] | None:
    """The blocks of the lowest plan, in order; none where the plan as it is is as low.

    Args:
        called: the input whose rows are called for; None for inputs in the arena.

    Returns:
        None when `called` cannot be called for: no chain begins with it, or something else reads it.
    """
    offers = _Offers(graph, steps, aliases, keep_input, called)
    lowest = _cut(len(steps), offers.all(), lambda best, segment: max(best, segment.need))
    if lowest is None:
        return None
    limit = aligned(max(s.need for s in lowest), _ARENA_ALIGNMENT)
    cheapest = _cut(len(steps), offers.within(limit), lambda best, segment: best + segment.work)
    return tuple(
        lay_out(graph, s.block.chain, s.block.bands, s.block.rows, call_for_rows=s.block.chain.source == called)
        for s in cheapest or ()
        if s.block is not None
    )


def apply_blocks(
    graph: Graph, steps: Sequence[Step], aliases: Sequence[Alias], blocks: Sequence[Block]
) -> tuple[tuple[Step, ...], tuple[Alias, ...]]:
    """The program with its blocks as steps; names of what is only within a block are gone."""
    roots = resolve_aliases(aliases)
    streamed = list(steps)
    for block in reversed(blocks):
        streamed[block.chain.first : block.chain.end] = [stream_step(graph, block)]
    inside = {call.output for block in blocks for call in block.chain.calls[:-1]}
    inside |= {block.chain.source for block in blocks if block.calls_for_rows}
    return tuple(streamed), tuple(a for a in aliases if roots[a.output] not in inside)


Total = Callable[[int, Segment], int]


def _cut(count: int, offers: Mapping[int, Sequence[Segment]], total: Total) -> list[Segment] | None:
    """The segments from the first step to the last with the least total; of equal ones, those that begin later are blocks."""
    best: list[tuple[int, list[Segment]] | None] = [(0, [])] + [None] * count
    for end in range(1, count + 1):
        for segment in offers.get(end, ()):
            before = best[segment.first]
            if before is None:
                continue
            reached = total(before[0], segment)
            known = best[end]
            if known is None or reached < known[0]:
                best[end] = (reached, [*before[1], segment])
    found = best[count]
    return None if found is None else found[1]


class _Offers:
    """Every segment, by its end."""

    def __init__(self, graph: Graph, steps: Sequence[Step], aliases: Sequence[Alias], keep_input: bool, called: int | None) -> None:
        self._graph = graph
        self._steps = steps
        self._roots = resolve_aliases(aliases)
        self._called = called
        self._lives = lifetimes(steps, self._roots, graph, keep_input)
        self._chains = [c for c in find_chains(graph, steps, aliases) if c.end - c.first <= _LONGEST_CHAIN and self._may_stand(c)]

    def all(self) -> dict[int, list[Segment]]:
        """Single steps, and each chain in bands of one row."""
        return self._by_end(self._singles(), (self._segment(c, 1, warm_up) for c in self._chains for warm_up in (False, True)))

    def within(self, limit: int) -> dict[int, list[Segment]]:
        """What needs no more than `limit`, with as many rows to a band as that lets."""
        singles = (s for s in self._singles() if s.need <= limit)
        return self._by_end(singles, (s for c in self._chains for s in self._largest(c, limit)))

    def _largest(self, chain: Chain, limit: int) -> Iterator[Segment]:
        for rows in _ROWS:
            if rows > 1 and 2 * rows > self._graph.tensor(chain.output).shape[1]:
                return
            fitting = [s for s in (self._segment(chain, rows, warm_up) for warm_up in (False, True)) if s.need <= limit]
            if not fitting:
                return
            yield from fitting

    def _by_end(self, *segments: Iterator[Segment]) -> dict[int, list[Segment]]:
        found: dict[int, list[Segment]] = {}
        for some in segments:
            for segment in some:
                found.setdefault(segment.end, []).append(segment)
        return found

    def _may_stand(self, chain: Chain) -> bool:
        """A chain reads the input that is called for only if nobody else does."""
        if chain.source != self._called:
            return True
        life = self._lives[chain.source]
        return chain.first <= life.last < chain.end and chain.source not in {
            self._roots.get(i, i) for s in self._steps[: chain.first] for i in s.reads
        }

    def _singles(self) -> Iterator[Segment]:
        lives = {t: b for t, b in self._lives.items() if t != self._called}
        number = {tensor: k for k, tensor in enumerate(lives)}
        leads = {(number[s], number[o]): lead for (s, o), lead in usable_leads(self._steps, self._roots, lives).items()}
        scratches = [Buffer(aligned(s.scratch_bytes), n, n) for n, s in enumerate(self._steps)]
        needs = step_needs([*lives.values(), *scratches], leads)
        for n, step in enumerate(self._steps):
            if self._called not in {self._roots.get(i, i) for i in step.reads}:
                work = sum(self._graph.tensor(i).bytes for i in step.reads) + step.scratch_bytes
                yield Segment(n, n + 1, needs.get(n, 0), work)

    def _segment(self, chain: Chain, rows: int, warm_up: bool) -> Segment:
        call_for_rows = chain.source == self._called
        bands = play_bands(self._graph, chain, rows, warm_up=warm_up)
        bound = bound_of(self._graph, chain, bands, call_for_rows=call_for_rows)
        block = Block(chain, rows, bands, {}, {}, bound, bound)
        return Segment(chain.first, chain.end, self._need(block, call_for_rows), work_of(self._graph, block), block)

    def _need(self, block: Block, call_for_rows: bool) -> int:
        chain = block.chain
        beside = sum(
            b.bytes
            for t, b in self._lives.items()
            if t not in (chain.source, chain.output, self._called) and b.first < chain.first and b.last >= chain.end
        )
        source, output = self._lives[chain.source], self._lives[chain.output]
        if call_for_rows:
            return beside + output.bytes + aligned(block.bytes)
        share = 0
        if source.last < chain.end:
            share = shareable(output.bytes, [(source.bytes, aligned(stream_step(self._graph, block).overlaps[0].lead))])
        return beside + source.bytes + output.bytes - share + aligned(block.bytes)
