"""The table of finished rows, in Markdown.

The difference to the row `float` is paired: d_i = (row right on image i) - (float right on image i) is -1, 0 or 1; the 95 % interval of its
mean is mean(d) +- 1.96 * std(d) / sqrt(n), the normal approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from technique_jobs.rows import FLOAT, INT8, Goal, Row
from technique_jobs.store import Result, Store

_NORMAL_95 = 1.96
_POINTS = 100.0
_HEADS = (
    *("row", "accuracy %", "against float, points", "unheard speaker %", "parameters", "MACs", ".tflite B", "gzip B", "of int8's"),
    *("model B", "code B", "arena B", "M4 instructions", "of int8's", "CPU min", "goal"),
)
_NONE = "-"


@dataclass(frozen=True)
class Difference:
    """A paired difference of two accuracies, and half of its 95 % interval, both in points."""

    mean: float
    half: float


def paired_difference(hits: NDArray[np.bool_], base: NDArray[np.bool_]) -> Difference:
    """How much better `hits` is than `base` on the same images."""
    d = hits.astype(np.float64) - base.astype(np.float64)
    return Difference(_POINTS * float(d.mean()), _POINTS * _NORMAL_95 * float(d.std()) / math.sqrt(len(d)))


def render(rows: Sequence[Row], store: Store) -> str:
    """Finished rows as a table; those that are not finished are named below it."""
    found = {row.name: (row, result) for row in rows if (result := store.read(row)) is not None}
    results = {name: result for name, (_, result) in found.items()}
    lines = [_line(_HEADS), _line(["---"] + ["---:"] * (len(_HEADS) - 2) + ["---"])]
    base = store.hits(found[FLOAT][0]) if FLOAT in found else None
    for row, result in found.values():
        difference = None if base is None or row.name == FLOAT else paired_difference(store.hits(row), base)
        lines.append(_line(_cells(result, difference, results)))
    missing = [row.name for row in rows if row.name not in found]
    notes = [f"{name}: no firmware: {result.cost.refusal}" for name, result in results.items() if result.cost.refusal]
    notes += [f"{name}: DIFFERENT BYTES on the core" for name, result in results.items() if result.cost.same_bytes is False]
    if missing:
        notes.append("not finished: " + "; ".join(missing))
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def missed(goal: Goal, result: Result, difference: Difference | None, results: dict[str, Result]) -> list[str]:
    """Which limits of a goal a row breaks, in words; empty when it keeps all of them that can be judged."""
    broken = []
    plain, floating, other = results.get(INT8), results.get(FLOAT), results.get(goal.above or "")
    cost = result.cost
    if goal.drop is not None and difference is not None and difference.mean < -goal.drop:
        broken.append(f"{-difference.mean:.2f} points below float, limit {goal.drop:g}")
    if goal.gzip_of_int8 and plain and cost.gzip_bytes > goal.gzip_of_int8 * plain.cost.gzip_bytes:
        broken.append(f"gzip above {goal.gzip_of_int8:.0%} of int8's")
    if goal.instructions_of_int8 and plain and (_share(cost.instructions, plain.cost.instructions) or math.inf) > goal.instructions_of_int8:
        broken.append(f"instructions above {goal.instructions_of_int8:.0%} of int8's")
    if goal.smaller_than_float and floating and cost.gzip_bytes * goal.smaller_than_float > floating.cost.gzip_bytes:
        broken.append(f"only {floating.cost.gzip_bytes / cost.gzip_bytes:.1f} times smaller than float32, aim {goal.smaller_than_float:g}")
    if other is not None and result.outcome.accuracy <= other.outcome.accuracy:
        broken.append(f"no better than {goal.above!r}")
    return broken


def _cells(result: Result, difference: Difference | None, results: dict[str, Result]) -> list[str]:
    outcome, cost, row = result.outcome, result.cost, result.row
    plain = results.get(INT8)
    broken = missed(row.goal, result, difference, results)
    return [
        row.name,
        f"{_POINTS * outcome.accuracy:.2f}",
        _NONE if difference is None else f"{difference.mean:+.2f} ± {difference.half:.2f}",
        _NONE if outcome.unheard is None else f"{_POINTS * outcome.unheard:.1f}",
        *map(_count, (cost.parameters, cost.macs, cost.tflite_bytes, cost.gzip_bytes)),
        _percent(_share(cost.gzip_bytes, plain.cost.gzip_bytes if plain else None)),
        *map(_count, (cost.model_bytes, cost.code_bytes, cost.arena_bytes, cost.instructions)),
        _percent(_share(cost.instructions, plain.cost.instructions if plain else None)),
        f"{outcome.cpu_seconds / 60:.1f}",
        _NONE if row.goal == Goal() else "; ".join(broken) or "met",
    ]


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{share:.0%}"


def _count(count: int | None) -> str:
    return _NONE if count is None else f"{count:,}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
