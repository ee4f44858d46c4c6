"""A chain with its rows in places: a scratch buffer of the program that holds windows, kept rows and the kernels' own scratch.

    window   the rows of one tensor that a band holds, from the first call that needs them to the last: carried ones in front, new ones
             behind
    kept     what a window hands to the next band, while others use its bytes

A window that nobody else would use meanwhile stays where it is, and its last rows move to its front (`kept_offset` is None).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgecompress.codegen.placement import Buffer, lower_bound, place_buffers
from edgecompress.codegen.plan import aligned
from edgecompress.codegen.program import Overlap, Step
from edgecompress.codegen.stream.chain import Chain
from edgecompress.codegen.stream.rows import row_bytes
from edgecompress.codegen.stream.schedule import Band
from edgecompress.graph import Graph


@dataclass(frozen=True)
class Window:
    """Where rows of a tensor lie in the block's scratch.

    Attributes:
        rows, kept_rows: the most that a band holds, and hands on.
        first, last: calls between which the window is in use; call -1 brings rows in.
        kept_offset: of the kept rows; None where they move to the window's front instead.
    """

    tensor: int
    row_bytes: int
    rows: int
    kept_rows: int
    first: int
    last: int
    offset: int = 0
    kept_offset: int | None = None

    @property
    def bytes(self) -> int:
        """Of the rows."""
        return self.rows * self.row_bytes

    @property
    def kept_bytes(self) -> int:
        """Of the kept rows."""
        return self.kept_rows * self.row_bytes


@dataclass(frozen=True, eq=False)
class Block:
    """A chain, split and placed.

    Attributes:
        rows: of the output in one band.
        windows: by tensor; the source has one where rows of the input are called for.
        scratch_offsets: of each call's own scratch, within the block's.
        bytes: of the block's scratch.
        bound: no layout of these windows takes less.
    """

    chain: Chain
    rows: int
    bands: tuple[Band, ...]
    windows: Mapping[int, Window]
    scratch_offsets: Mapping[int, int]
    bytes: int
    bound: int

    @property
    def calls_for_rows(self) -> bool:
        """Whether the application is asked for rows of the source."""
        return self.chain.source in self.windows


@dataclass(frozen=True)
class StreamStep(Step):
    """A block as one step of a program: its scratch holds the block's windows, and its function is generated."""

    block: Block = field(kw_only=True)

    @property
    def calls(self) -> tuple[Step, ...]:
        """The kernel calls for whole images."""
        return tuple(call.step for call in self.block.chain.calls)


def bound_of(graph: Graph, chain: Chain, bands: Sequence[Band], *, call_for_rows: bool) -> int:
    """What no layout of the chain's windows can be below; quick, for a search."""
    windows = _windows(graph, chain, bands, call_for_rows)
    return _bound(chain, windows, _pinned(chain, windows))


def lay_out(graph: Graph, chain: Chain, bands: tuple[Band, ...], rows: int, *, call_for_rows: bool) -> Block:
    """Give every window its place."""
    windows = _windows(graph, chain, bands, call_for_rows)
    pinned = _pinned(chain, windows)
    buffers = _buffers(chain, windows, pinned)
    placement = place_buffers(buffers, {})
    offsets = placement.offsets
    of_window = offsets[: len(windows)]
    keepers = [w for w in windows if w.kept_rows and w.tensor not in pinned]
    kept = dict(zip((w.tensor for w in keepers), offsets[len(windows) : len(windows) + len(keepers)], strict=True))
    scratches = [k for k, call in enumerate(chain.calls) if call.step.scratch_bytes]
    placed = {
        w.tensor: Window(w.tensor, w.row_bytes, w.rows, w.kept_rows, w.first, w.last, offset, kept.get(w.tensor))
        for w, offset in zip(windows, of_window, strict=True)
    }
    scratch_offsets = dict(zip(scratches, offsets[len(windows) + len(keepers) :], strict=True))
    return Block(chain, rows, bands, placed, scratch_offsets, placement.height, placement.bound)


def stream_step(graph: Graph, block: Block) -> StreamStep:
    """The block as a step. Its input may be overwritten by its output where no band will read it again."""
    chain = block.chain
    source = () if block.calls_for_rows else (chain.source,)
    overlaps = () if block.calls_for_rows else (Overlap(chain.source, chain.output, _lead(graph, block)),)
    main = chain.calls[-1].step
    return StreamStep(
        ops=tuple(call.step.ops[0] for call in chain.calls),
        function=main.function,
        kernel=main.kernel,
        arguments=(),
        reads=source,
        writes=(chain.output,),
        scratch_bytes=block.bytes,
        overlaps=overlaps,
        block=block,
    )


def asked_rows(block: Block) -> int:
    """Rows of the source that are called for in all bands together."""
    return block.bands[-1].tensors[block.chain.source].new.stop


def work_of(graph: Graph, block: Block) -> int:
    """Bytes that the calls of all bands read, bytes of scratch that they prepare, and bytes of rows that are kept."""
    chain, work = block.chain, 0
    for band in block.bands:
        for call, reads in zip(chain.calls, band.reads, strict=True):
            work += sum(len(rows) * row_bytes(graph.tensor(tensor)) for tensor, rows in reads.items())
            work += call.step.scratch_bytes if reads else 0
        work += sum(len(rows.kept) * row_bytes(graph.tensor(tensor)) for tensor, rows in band.tensors.items() if tensor != chain.source)
    return work


def _lead(graph: Graph, block: Block) -> int:
    """How far the source must lie ahead: a band's output must not reach a row that it, or a later band, has yet to read."""
    chain = block.chain
    source, output = graph.tensor(chain.source), graph.tensor(chain.output)
    last_reads = chain.source in {chain.owner(i) for i in chain.calls[-1].reaches}
    lead = -source.bytes
    for band in block.bands:
        written = band.tensors[chain.output].new.stop * row_bytes(output)
        rows = band.tensors[chain.source]
        unread = rows.carried.start if last_reads else rows.kept_from
        if unread < source.shape[1]:
            lead = max(lead, written - unread * row_bytes(source))
    return lead


def _windows(graph: Graph, chain: Chain, bands: Sequence[Band], call_for_rows: bool) -> list[Window]:
    """A window for each tensor between source and output; their places are still to come."""
    writers = {call.output: k for k, call in enumerate(chain.calls)} | {chain.source: -1}
    readers: dict[int, int] = {}
    for k, call in enumerate(chain.calls):
        for name in call.reaches:
            readers[chain.owner(name)] = k
    found = []
    for tensor, last in readers.items():
        if tensor == chain.source and not call_for_rows:
            continue
        rows = max(len(band.tensors[tensor].held) for band in bands)
        kept = max((len(band.tensors[tensor].kept) for band in bands[:-1]), default=0)
        found.append(Window(tensor, row_bytes(graph.tensor(tensor)), rows, kept, writers[tensor], last))
    return found


def _buffers(chain: Chain, windows: Sequence[Window], pinned: frozenset[int]) -> list[Buffer]:
    """Windows, kept rows, scratch; time is the calls of a band."""
    end = len(chain.calls)
    found = [Buffer(aligned(w.bytes), *((-1, end) if w.tensor in pinned else (w.first, w.last))) for w in windows]
    found += [Buffer(aligned(w.kept_bytes), -1, end) for w in windows if w.kept_rows and w.tensor not in pinned]
    found += [Buffer(aligned(c.step.scratch_bytes), k, k) for k, c in enumerate(chain.calls) if c.step.scratch_bytes]
    return found


def _bound(chain: Chain, windows: Sequence[Window], pinned: frozenset[int]) -> int:
    return lower_bound(_buffers(chain, windows, pinned), {})


def _pinned(chain: Chain, windows: Sequence[Window]) -> frozenset[int]:
    """The windows that stay where they are: those that cost nothing that way, because a move within is cheaper than two."""
    pinned: frozenset[int] = frozenset()
    best = _bound(chain, windows, pinned)
    for window in windows:
        if window.kept_rows:
            more = pinned | {window.tensor}
            bound = _bound(chain, windows, more)
            if bound <= best:
                pinned, best = more, bound
    return pinned
