"""What each band of a chain computes: `rows` rows of its output, and of everything before just the rows that these still lack.

A band asks backwards: output rows ask for rows of their inputs, of which those that an earlier band computed are kept, and only new ones
are computed. So no row is computed twice, and a tensor keeps between two bands the rows from the first that somebody will still read to the
last that was computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecompress.codegen.stream.chain import Chain
from edgecompress.graph import Graph

NOTHING = range(0)


@dataclass(frozen=True)
class TensorRows:
    """Rows of one tensor in one band: those before `new.start` came from the band before, and from `kept_from` on they stay for the next.

    Attributes:
        carried: rows of earlier bands that this band or a later one reads.
        new: rows that are computed in this band, right behind `carried`.
        kept_from: the first row that a later band reads; `new.stop` or more for none.
    """

    carried: range
    new: range
    kept_from: int

    @property
    def held(self) -> range:
        """All rows that are there in this band."""
        return range(self.carried.start, self.new.stop)

    @property
    def kept(self) -> range:
        """What the next band carries."""
        return range(min(self.kept_from, self.new.stop), self.new.stop)


@dataclass(frozen=True)
class Band:
    """One turn through the chain.

    Attributes:
        tensors: by owner: the chain's source, what lies between, and the output.
        reads: of each call the rows of each tensor that it reads, by owner; none where the call has nothing to compute in this band.
    """

    tensors: Mapping[int, TensorRows]
    reads: Sequence[Mapping[int, range]]


def play_bands(graph: Graph, chain: Chain, rows: int, *, warm_up: bool = False) -> tuple[Band, ...]:
    """The bands of a chain, `rows` rows of its output each; the last may have less.

    Args:
        warm_up: begin with a band that gives no output, only the rows that later bands would carry; then the first band with an output
            computes no more rows than those behind it, and windows can be smaller.
    """
    height = graph.tensor(chain.output).shape[1]
    before = _ask(chain, 0)
    # Where no call has to warm up, the rows of the source alone would be no work.
    first = [before] if warm_up and any(before[call.output] for call in chain.calls) else []
    asked = [_ask(chain, end) for end in (*range(rows, height, rows), height)]
    return _played(chain, _only_new(chain, [*first, *asked]))


def _ask(chain: Chain, output_end: int) -> dict[int, int]:
    """How many rows of each tensor must be there for the first `output_end` rows of the output; for none, those under the row before."""
    ends = {chain.output: output_end}
    for call in reversed(chain.calls):
        for name, reach in call.reaches.items():
            tensor = chain.owner(name)
            ends[tensor] = max(ends.get(tensor, 0), reach.end_under(ends[call.output]))
    return ends


def _only_new(chain: Chain, asked: Sequence[Mapping[int, int]]) -> list[dict[int, range]]:
    """The rows of each tensor that are new in each band."""
    done = dict.fromkeys(asked[0], 0)
    bands = []
    for ends in asked:
        bands.append({tensor: range(done[tensor], max(end, done[tensor])) for tensor, end in ends.items()})
        done = {tensor: new.stop for tensor, new in bands[-1].items()}
    return bands


def _played(chain: Chain, news: Sequence[Mapping[int, range]]) -> tuple[Band, ...]:
    """Backwards through the bands, because what is kept is what is read later."""
    bands: list[Band] = []
    later = {tensor: new.stop for tensor, new in news[-1].items()}
    for new in reversed(news):
        reads = [
            {chain.owner(i): reach.under(new[call.output]) for i, reach in call.reaches.items()} if new[call.output] else {}
            for call in chain.calls
        ]
        first = dict(later)
        for read in reads:
            for tensor, rows in read.items():
                if rows:
                    first[tensor] = min(first[tensor], rows.start)
        tensors = {
            tensor: TensorRows(range(min(first[tensor], rows.start), rows.start), rows, later[tensor]) for tensor, rows in new.items()
        }
        bands.append(Band(tensors, reads))
        later = first
    return tuple(reversed(bands))
