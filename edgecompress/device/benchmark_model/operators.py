"""benchmark_model's table of operators, as CSV or as the table that older builds print.

    node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
    Fully Connected (NC, QS8), 0.01, 0.02, 0.015, 30.1%, 30.1%, 0, 1, Delegate/Fully Connected (NC, QS8):0

Neither kind nor name escapes its commas, so a row is found by the numbers between them; newer builds leave `start` out. There are several
tables: of initialization and of the runs, in order and by time, of the graph and of a delegate's inside. Wanted are the runs, in order;
a delegate's node is replaced by its inside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from edgecompress.profile import TimedOp

MAX_FILE_BYTES = 16 << 20
_MOST_OPS = 65_536
_LONGEST_LINE = 4_000
_NAME_CHARACTERS = 300

_NUM = r"(?:[-+]?[0-9][-+.0-9eE]*|-?nan|-?inf)"
_CSV_ROW = re.compile(
    rf"(?P<kind>\S.*?), (?:{_NUM}, )?{_NUM}, (?P<ms>{_NUM}), {_NUM}%, {_NUM}%, {_NUM}, (?P<calls>\d{{1,9}}), (?P<name>.*)"
)
_TABLE_ROW = re.compile(
    rf"\s*(?P<kind>\S.*?)\t *(?:{_NUM}\t *)?{_NUM}\t *(?P<ms>{_NUM})\t *{_NUM}%\t *{_NUM}%\t *{_NUM}\t *(?P<calls>\d{{1,9}})\t(?P<name>.*)"
)
_INITIALIZATION = "Profiling Info for Benchmark Initialization"
_RUNS = "Profiling Info for Regular Benchmark Runs"
_INSIDE = "Delegate internal"
_IN_ORDER = re.compile(r"=== Run Order ===")
_OTHER_TABLE = re.compile(r"=== .+ ===|Number of nodes executed|Timings \(microseconds\)")
_SUBGRAPH = re.compile(r"Subgraph \(index: ")


class _Part(Enum):
    """Whose table is being read. Initialization and subgraphs beside the first are left out."""

    GRAPH = "graph"
    INSIDE = "inside"
    OTHER = "other"


@dataclass
class _Tables:
    graph: list[TimedOp] = field(default_factory=list)
    inside: list[TimedOp] = field(default_factory=list)


def parse_operators(text: str) -> tuple[TimedOp, ...]:
    """The ops of one inference in order, in us; none when the text holds no table."""
    tables = _Tables()
    part, in_order = _Part.GRAPH, False
    for line in text[:MAX_FILE_BYTES].splitlines():
        turned = _turn(line)
        if turned is not None:
            part = turned
        if turned is not None or _OTHER_TABLE.search(line):
            in_order = _IN_ORDER.search(line) is not None
        elif in_order and part is not _Part.OTHER and len(line) <= _LONGEST_LINE:
            ops = tables.graph if part is _Part.GRAPH else tables.inside
            op = _row(line)
            if op is not None and len(ops) < _MOST_OPS:
                ops.append(op)
    return tuple(_with_inside(tables.graph, tables.inside))


def _turn(line: str) -> _Part | None:
    """The part that a heading opens; None for any other line."""
    if _INITIALIZATION in line or _SUBGRAPH.search(line):
        return _Part.OTHER
    if _RUNS in line or "Primary graph" in line:
        return _Part.GRAPH
    return _Part.INSIDE if _INSIDE in line else None


def _row(line: str) -> TimedOp | None:
    found = _CSV_ROW.fullmatch(line.strip()) or _TABLE_ROW.fullmatch(line.rstrip())
    if found is None:
        return None
    try:
        # The average of one call; an op of a loop is called several times.
        latency = float(found["ms"]) * 1000 * max(int(found["calls"]), 1)
    except ValueError:
        return None
    if not (math.isfinite(latency) and latency >= 0):
        return None
    return TimedOp(_words(found["name"]), _words(found["kind"]), round(latency, 3))


def _with_inside(graph: Sequence[TimedOp], inside: Sequence[TimedOp]) -> list[TimedOp]:
    delegates = [index for index, op in enumerate(graph) if "delegate" in op.kind.lower()]
    if not delegates or not inside:
        return list(graph)
    # What is inside of several delegate nodes stands in one table: it takes the place of the first.
    rest = [op for index, op in enumerate(graph) if index > delegates[0] and index not in delegates]
    return [*graph[: delegates[0]], *inside, *rest]


def _words(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:_NAME_CHARACTERS]
