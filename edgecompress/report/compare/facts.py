"""The facts of a profile that stand side by side, in the order of their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgecompress.report.compare.cells import Better, Cell, format_latency, one_line
from edgecompress.units import format_bytes, format_count, format_gap

if TYPE_CHECKING:
    from edgecompress.profile import Profile


@dataclass(frozen=True)
class Fact:
    """One row: its name, the cell of a profile, and which number is the better one."""

    metric: str
    cell_of: Callable[[Profile], Cell]
    better: Better | None = None


def _words(metric: str, of: Callable[[Profile], str | None]) -> Fact:
    return Fact(metric, lambda profile: Cell(one_line(of(profile) or "")))


def _bytes(metric: str, of: Callable[[Profile], int | None], better: Better | None = Better.LESS) -> Fact:
    return Fact(metric, lambda profile: Cell(format_bytes(of(profile)), of(profile), "bytes"), better)


def _count(metric: str, of: Callable[[Profile], int | None], better: Better | None) -> Fact:
    return Fact(metric, lambda profile: Cell(format_count(of(profile)), of(profile), "count"), better)


def _time(metric: str, of: Callable[[Profile], float | None]) -> Fact:
    def cell(profile: Profile) -> Cell:
        unit = profile.latency.unit
        return Cell(format_latency(of(profile), unit), of(profile), unit)

    return Fact(metric, cell, Better.LESS)


def _accuracy(profile: Profile) -> Cell:
    accuracy = profile.accuracy
    if accuracy is None:
        return Cell("")
    metric, data = one_line(accuracy.metric), one_line(accuracy.set)
    # Accuracies on different sets or by different measures do not compare.
    return Cell(f"{accuracy.value:.4f} {metric} ({data}, n = {accuracy.n:,})", accuracy.value, f"{metric} on {data}")


def _energy(profile: Profile) -> Cell:
    microjoules = profile.energy_uj
    return Cell("") if microjoules is None else Cell(f"{microjoules:,.4g} uJ", microjoules, "uJ")


def _parity(profile: Profile) -> str | None:
    parity = profile.parity
    if parity is None:
        return None
    inputs = f"{parity.inputs} inputs"
    if parity.mismatched_bytes == 0:
        return f"same bytes, {inputs}"
    allowed = f" ({parity.tolerance} allowed)" if parity.tolerance else ""
    return f"{parity.mismatched_bytes:,} differ, by <= {parity.largest_difference}{allowed}, {inputs}"


def _measured(profile: Profile) -> str | None:
    """When, to the minute, in UTC where the zone is known; a text that is no date stands as it is."""
    try:
        moment = datetime.fromisoformat(profile.measured_at or "")
        shown = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return profile.measured_at
    return f"{shown:%Y-%m-%d %H:%M}{' UTC' if moment.tzinfo else ''}"


def _gap(profile: Profile) -> str | None:
    """How far the plan's peak is above what no plan can be below."""
    peak, bound = profile.memory.arena_peak_bytes, profile.memory.arena_bound_bytes
    return None if peak is None or bound is None else format_gap(peak, bound)


FACTS = (
    _words("target", lambda p: p.target),
    _words("model", lambda p: p.model.name),
    _words("engine", lambda p: p.engine),
    _words("toolchain", lambda p: p.toolchain),
    _words("measured", _measured),
    _time("latency p50", lambda p: p.latency.p50),
    _time("  mean", lambda p: p.latency.mean),
    _time("latency p99", lambda p: p.latency.p99),
    _count("cycles", lambda p: p.cycles, Better.LESS),
    Fact("energy", _energy, Better.LESS),
    _count("MACs", lambda p: p.model.macs, None),
    _count("parameters", lambda p: p.model.parameters, None),
    _bytes("flash", lambda p: p.memory.flash_bytes),
    _bytes("  code", lambda p: p.memory.code_bytes),
    _bytes("  model", lambda p: p.memory.model_bytes),
    _bytes("  harness", lambda p: p.memory.harness_bytes, None),
    _bytes("arena", lambda p: p.memory.arena_bytes),
    _bytes("  peak", lambda p: p.memory.arena_peak_bytes, None),
    _bytes("  bound", lambda p: p.memory.arena_bound_bytes, None),
    _words("  gap", _gap),
    _bytes("static RAM", lambda p: p.memory.static_ram_bytes),
    _bytes("stack", lambda p: p.memory.stack_bytes),
    _bytes("stack bound", lambda p: p.memory.stack_bound_bytes),
    _bytes("peak RSS", lambda p: p.memory.peak_rss_bytes),
    _bytes("model's RAM", lambda p: p.memory.model_ram_bytes),
    Fact("accuracy", _accuracy, Better.MORE),
    _words("parity", _parity),
    _words("  against", lambda p: p.parity.reference if p.parity else None),
    _words("  outputs", lambda p: p.parity.outputs_sha256[:12] if p.parity and p.parity.outputs_sha256 else None),
    _words("kernels", lambda p: (p.environment or {}).get("kernels")),
    _words("threads", lambda p: None if p.conditions is None or p.conditions.threads is None else str(p.conditions.threads)),
    _words("left behind", lambda p: (p.environment or {}).get("left behind")),
    _words("doubt", lambda p: "; ".join(p.validity.reasons) if p.validity else None),
    _words("tags", lambda p: ", ".join(p.tags or ())),
)
