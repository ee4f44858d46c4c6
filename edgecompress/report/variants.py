"""One model in several forms (float, int8, pruned) side by side: what each is worth, what it takes, and how fast it is on each target.

A form that was never measured on a core has an empty cell there; ratios refer to the first form that has a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgecompress.profile import Profile
from edgecompress.report.compare import Cell, Comparison, Row, format_latency, with_ratios
from edgecompress.units import format_bytes

# A ratio of instructions that is worth calling faster.
_NOTICEABLE = 0.99


@dataclass(frozen=True)
class VariantFacts:
    """One form of the model.

    Attributes:
        accuracy: a fraction; None when unknown.
        tflite_bytes, gzip_bytes: of the .tflite, as it is and compressed.
        profiles: what was measured, by target.
    """

    name: str
    accuracy: float | None
    tflite_bytes: int | None
    gzip_bytes: int | None
    profiles: Mapping[str, Profile]


def compare_variants(variants: Sequence[VariantFacts]) -> Comparison:
    """Forms as columns; facts, and latency and memory by target, as rows."""
    rows = [
        Row("accuracy", tuple(Cell("" if v.accuracy is None else f"{v.accuracy:.2%}") for v in variants)),
        _bytes_row(".tflite", [v.tflite_bytes for v in variants]),
        _bytes_row(".tflite, gzip", [v.gzip_bytes for v in variants]),
    ]
    targets = list(dict.fromkeys(target for v in variants for target in v.profiles))
    for target in targets:
        profiles = [v.profiles.get(target) for v in variants]
        rows.append(Row(f"{target} p50", with_ratios([_latency(profile) for profile in profiles])))
        rows.append(_memory_row("  flash", profiles, lambda p: p.memory.flash_bytes))
        rows.append(_memory_row("  code", profiles, lambda p: p.memory.code_bytes))
        rows.append(_memory_row("  model", profiles, lambda p: p.memory.model_bytes))
        rows.append(_memory_row("  arena", profiles, lambda p: p.memory.arena_bytes))
        rows.append(_memory_row("  stack", profiles, lambda p: p.memory.stack_bytes))
    return Comparison(tuple(v.name for v in variants), tuple(row for row in rows if row.known))


def pruning_note(dense: VariantFacts, pruned: VariantFacts) -> str:
    """What pruning bought, and what it did not, in one sentence of measured ratios."""
    smaller = (dense.gzip_bytes or 0) / (pruned.gzip_bytes or 1)
    shared = [target for target, profile in dense.profiles.items() if target in pruned.profiles and profile.latency.unit == "instructions"]
    ratios = {target: _ratio(pruned.profiles[target].latency.p50, dense.profiles[target].latency.p50) for target in shared}
    faster = {target: ratio for target, ratio in ratios.items() if ratio is not None and ratio < _NOTICEABLE}
    text = f"Pruning made the compressed file {smaller:.2f} times smaller than {dense.name}'s"
    if not faster:
        return f"{text}; it made nothing faster and no flash smaller, because these kernels multiply by zeros too."
    text = f"{text}; on {', '.join(faster)} it takes at most {max(faster.values()):.2f} times its instructions"
    return f"{text}." if len(faster) == len(ratios) else f"{text}, elsewhere the kernels multiply by zeros too."


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _latency(profile: Profile | None) -> Cell:
    if profile is None:
        return Cell("")
    latency = profile.latency
    return Cell(format_latency(latency.p50, latency.unit), latency.p50, latency.unit)


def _bytes_row(metric: str, values: Sequence[int | None]) -> Row:
    return Row(metric, with_ratios([Cell(format_bytes(value), value, "bytes") for value in values]))


def _memory_row(metric: str, profiles: Sequence[Profile | None], of: Callable[[Profile], int | None]) -> Row:
    return _bytes_row(metric, [None if profile is None else of(profile) for profile in profiles])
