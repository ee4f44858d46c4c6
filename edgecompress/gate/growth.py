"""What made a number grow: the section or op that gained most on the baseline, or, without one, the largest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import accumulate

from edgecompress.gate.facts import Fact, Kind, flash_parts, ram_parts, shown_amount, shown_percent
from edgecompress.profile import PlanEntry, Profile


def cause(fact: Fact, profile: Profile, baseline: Profile | None) -> str:
    """The part that is to blame, as a phrase; empty where the profile does not tell parts.

    Args:
        baseline: of the same target and model, or None.
    """
    unit = fact.unit(profile)
    parts = _parts(fact, profile)
    before = _parts(fact, baseline) if baseline is not None and fact.unit(baseline) == unit else {}
    if not parts:
        return ""
    largest = max(parts, key=lambda part: parts[part])
    is_largest = f"{largest} is largest, {shown_amount(parts[largest], unit)}"
    if not before:
        return is_largest
    name = max(parts, key=lambda part: parts[part] - before.get(part, Fraction(0)))
    grown = parts[name] - before.get(name, Fraction(0))
    if grown <= 0:
        return f"no part of it grew; {is_largest}"
    if name not in before:
        return f"{name} is new, {shown_amount(parts[name], unit)}"
    return f"{name} grew most, by {shown_amount(grown, unit)}{_share(grown, before[name])}"


def _share(part: Fraction, whole: Fraction) -> str:
    return f" ({shown_percent(part / whole)})" if whole else ""


def _parts(fact: Fact, profile: Profile) -> Mapping[str, Fraction]:
    if fact.kind is Kind.LATENCY:
        return _ops(profile)
    match fact.key:
        case "flash":
            return _known(flash_parts(profile.memory))
        case "ram":
            return _known(ram_parts(profile.memory))
        case "arena":
            return _peak(profile.plan or ())
    return {}


def _known(parts: Mapping[str, int | None]) -> Mapping[str, Fraction]:
    return {name: Fraction(part) for name, part in parts.items() if part is not None}


def _ops(profile: Profile) -> Mapping[str, Fraction]:
    """Latency by op. A name that several ops have is told apart by counting, in order."""
    named: dict[str, Fraction] = {}
    seen: Counter[str] = Counter()
    for op in profile.ops:
        if op.latency is None:
            continue
        seen[op.name] += 1
        number = f" #{seen[op.name]}" if seen[op.name] > 1 else ""
        named[f"op {op.name}{number} ({op.kind})"] = Fraction(str(op.latency))
    return named


def _peak(plan: tuple[PlanEntry, ...]) -> Mapping[str, Fraction]:
    """The tensors that live in the step where most bytes do."""
    if not plan:
        return {}
    step = _fullest_step(plan)
    return {f"tensor {entry.tensor} at step {step}": Fraction(entry.bytes) for entry in plan if entry.first_op <= step <= entry.last_op}


def _fullest_step(plan: tuple[PlanEntry, ...]) -> int:
    """The first step at which most bytes live."""
    changes: Counter[int] = Counter()
    for entry in plan:
        changes[entry.first_op] += entry.bytes
        changes[entry.last_op + 1] -= entry.bytes
    steps = sorted(changes)
    alive = list(accumulate(changes[step] for step in steps))
    return steps[alive.index(max(alive))]
