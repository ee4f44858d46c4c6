"""The table of finished rows, in Markdown.

`zeros` and `packed` are of the int8 kernels: the share that is 0, and what indices into codebooks would take of int8's bytes. `of int8's`
compares with the row `int8`.

The difference to the row `float` is paired: d_i = (row right on image i) - (float right on image i) is -1, 0 or 1; the 95 % interval of its
mean is mean(d) +- 1.96 * std(d) / sqrt(n), the normal approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from technique_jobs.kernels import Kernels
from technique_jobs.rows import FLOAT, INT8, Goal, Row
from technique_jobs.store import Result, Store

_NORMAL_95 = 1.96
_POINTS = 100.0
_HEADS = (
    *("row", "accuracy %", "against float, points", "unheard speaker %", "parameters", "MACs", ".tflite B", "gzip B", "of int8's"),
    *("zeros", "packed", "model B", "code B", "arena B", "M4 instructions", "of int8's", "CPU min", "goal"),
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


@dataclass(frozen=True)
class Finished:
    """A row that is done: how it was asked for, and all that is known of it.

    Attributes:
        difference: to the row `float`; None for that row itself, and while it is not finished.
        kernels: None unless they are int8.
    """

    row: Row
    result: Result
    difference: Difference | None = None
    kernels: Kernels | None = None


def render(rows: Sequence[Row], store: Store) -> str:
    """Finished rows as a table; those that are not finished are named below it."""
    found = _finished(rows, store)
    results = {name: done.result for name, done in found.items()}
    lines = [_line(_HEADS), _line(["---"] + ["---:"] * (len(_HEADS) - 2) + ["---"])]
    lines += [_line(_cells(done, results)) for done in found.values()]
    missing = [row.name for row in rows if row.name not in found]
    notes = [f"{name}: no firmware: {result.cost.refusal}" for name, result in results.items() if result.cost.refusal]
    notes += [f"{name}: DIFFERENT BYTES on the core" for name, result in results.items() if result.cost.same_bytes is False]
    if missing:
        notes.append("not finished: " + "; ".join(missing))
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def missed(done: Finished, results: dict[str, Result]) -> list[str]:
    """Which limits of its goal a row breaks, in words; empty when it keeps all of them that can be judged."""
    broken = []
    goal, cost, difference = done.row.goal, done.result.cost, done.difference
    plain, floating, other = results.get(INT8), results.get(FLOAT), results.get(goal.above or "")
    if goal.drop is not None and difference is not None and difference.mean < -goal.drop:
        broken.append(f"{-difference.mean:.2f} points below float, limit {goal.drop:g}")
    if goal.gzip_of_int8 and plain and cost.gzip_bytes > goal.gzip_of_int8 * plain.cost.gzip_bytes:
        broken.append(f"gzip above {goal.gzip_of_int8:.0%} of int8's")
    if goal.instructions_of_int8 and plain and (_share(cost.instructions, plain.cost.instructions) or math.inf) > goal.instructions_of_int8:
        broken.append(f"instructions above {goal.instructions_of_int8:.0%} of int8's")
    if goal.packed is not None and (done.kernels is None or done.kernels.packed > goal.packed):
        broken.append(f"indices above {goal.packed:.0%} of int8's bytes")
    if goal.smaller_than_float and floating and cost.gzip_bytes * goal.smaller_than_float > floating.cost.gzip_bytes:
        broken.append(f"only {floating.cost.gzip_bytes / cost.gzip_bytes:.1f} times smaller than float32, aim {goal.smaller_than_float:g}")
    if other is not None and done.result.outcome.accuracy <= other.outcome.accuracy:
        broken.append(f"no better than {goal.above!r}")
    return broken


def _finished(rows: Sequence[Row], store: Store) -> dict[str, Finished]:
    base = next((store.hits(row) for row in rows if row.name == FLOAT and store.read(row) is not None), None)
    found = {}
    for row in rows:
        result = store.read(row)
        if result is not None:
            difference = None if base is None or row.name == FLOAT else paired_difference(store.hits(row), base)
            found[row.name] = Finished(row, result, difference, store.kernels(row))
    return found


def _cells(done: Finished, results: dict[str, Result]) -> list[str]:
    outcome, cost, difference, kernels = done.result.outcome, done.result.cost, done.difference, done.kernels
    plain = results.get(INT8)
    return [
        done.row.name,
        f"{_POINTS * outcome.accuracy:.2f}",
        _NONE if difference is None else f"{difference.mean:+.2f} ± {difference.half:.2f}",
        _NONE if outcome.unheard is None else f"{_POINTS * outcome.unheard:.1f}",
        *map(_count, (cost.parameters, cost.macs, cost.tflite_bytes, cost.gzip_bytes)),
        _percent(_share(cost.gzip_bytes, plain.cost.gzip_bytes if plain else None)),
        *((_NONE, _NONE) if kernels is None else (_percent(kernels.zeros), _percent(kernels.packed))),
        *map(_count, (cost.model_bytes, cost.code_bytes, cost.arena_bytes, cost.instructions)),
        _percent(_share(cost.instructions, plain.cost.instructions if plain else None)),
        f"{outcome.cpu_seconds / 60:.1f}",
        _NONE if done.row.goal == Goal() else "; ".join(missed(done, results)) or "met",
    ]


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{share:.0%}"


def _count(count: int | None) -> str:
    return _NONE if count is None else f"{count:,}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
