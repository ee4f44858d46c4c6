"""Profiles held to a budget.

A limit is held, broken, or unknown. Unknown is what cannot be checked: a fact that the profile lacks, another unit, no baseline that
matches. It is never taken for held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

from edgecompress.gate.budget import PARITY, Budget, is_relative, read_budget
from edgecompress.gate.facts import shown_amount, shown_percent
from edgecompress.gate.growth import cause
from edgecompress.gate.limits import Against, Limit
from edgecompress.profile import Profile


class State(Enum):
    """What came of one limit."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One limit of one profile.

    Attributes:
        key: of the fact.
        limit: as the budget writes it.
        measured: the profile's number with its unit; empty when unknown.
        reason: broken: by how much, and what grew most. Unknown: why it cannot be checked. Held: what is left.
    """

    key: str
    limit: str
    state: State
    measured: str
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All limits of one profile. `doubts` speak against its numbers; a profile that could not be read has `title` only."""

    name: str
    title: str
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What came of all profiles."""

    judgements: tuple[Judgement, ...]

    def count(self, state: State) -> int:
        return sum(finding.state is state for finding in self._findings())

    def found(self, state: State) -> tuple[tuple[Judgement, Finding], ...]:
        """Each limit of that state, with its profile."""
        return tuple((one, finding) for one in self.judgements for finding in one.findings if finding.state is state)

    @property
    def limits(self) -> int:
        return sum(1 for _ in self._findings())

    def _findings(self) -> Iterator[Finding]:
        return (finding for one in self.judgements for finding in one.findings)


def gate(budget: Budget | Path, profiles: Sequence[tuple[str, Profile]], *, against: Sequence[Profile] = ()) -> Verdict:
    """Hold profiles to a budget.

    Args:
        budget: or the path of its TOML file.
        profiles: (name to show, profile).
        against: baselines; each profile is held against the one of its target, model and engine.

    Raises:
        UserError: the budget's file is wrong.

    Example:
        >>> profile = edgecompress.measure("cortex-m4", Path("digits.tflite"))
        >>> written = Path("budget.toml").write_text('flash = "<= 1 MB"')
        >>> verdict = edgecompress.gate(Path("budget.toml"), [("m4", profile)])
        >>> [(finding.key, finding.state.value) for finding in verdict.judgements[0].findings]
        [('flash', 'held')]
    """
    rules = read_budget(budget) if isinstance(budget, Path) else budget
    return Verdict(tuple(judge(rules, name, profile, against) for name, profile in profiles))


def judge(budget: Budget, name: str, profile: Profile, against: Sequence[Profile]) -> Judgement:
    """Hold one profile to a budget."""
    limits = budget.limits(profile.target)
    baseline, why_none = _baseline(profile, against)
    findings = [_check(limit, profile, baseline, why_none) for limit in limits]
    if budget.wants_parity(profile.target):
        findings.append(_check_parity(profile))
    if not findings:
        findings = [Finding("budget", "any", State.UNKNOWN, "", f"it has no limit for the target {profile.target}")]
    if baseline is None and against and not is_relative(limits):
        # Nothing needs it, and still it was given for a purpose.
        findings.append(Finding("baseline", "one that matches", State.UNKNOWN, "", why_none))
    doubts = () if profile.validity is None else tuple(profile.validity.reasons)
    return Judgement(name, _title(profile), tuple(findings), doubts)


def unreadable(name: str, message: str) -> Judgement:
    """What stands for a profile that cannot be read."""
    return Judgement(name, "", (Finding("profile", "readable", State.UNKNOWN, "", message),))


def _title(profile: Profile) -> str:
    engine = f" ({profile.engine})" if profile.engine else ""
    return f"{profile.model.name} on {profile.target}{engine}"


def _baseline(profile: Profile, against: Sequence[Profile]) -> tuple[Profile | None, str]:
    """The baseline of the same target, model and engine; or why there is none."""
    if not against:
        return None, "it is against a baseline, and none was given; name one with --against"
    matching = [other for other in against if _identity(other) == _identity(profile)]
    if len(matching) == 1:
        return matching[0], ""
    if matching:
        return None, f"{len(matching)} baselines are of {_title(profile)}; give one"
    if len(against) == 1:
        return None, f"the baseline is of {_title(against[0])}, and the profile of {_title(profile)}"
    return None, f"none of {len(against)} baselines is of {_title(profile)}"


def _identity(profile: Profile) -> tuple[str, str, str | None]:
    return profile.target, profile.model.name, profile.engine


def _check(limit: Limit, profile: Profile, baseline: Profile | None, why_none: str) -> Finding:
    fact = limit.fact
    value, unit = fact.value(profile), fact.unit(profile)
    if value is None:
        return Finding(fact.key, limit.text, State.UNKNOWN, "", f"the profile has no such number: {fact.lacks}")
    measured = shown_amount(value, unit)
    obstacle = _other_unit(limit, unit) or _no_base(limit, profile, baseline, why_none)
    if obstacle:
        return Finding(fact.key, limit.text, State.UNKNOWN, measured, obstacle)
    base = fact.value(baseline) if baseline is not None else None
    bound = limit.bound(base or Fraction(0))
    excess = bound - value if fact.at_least else value - bound
    words = _bound_words(limit, bound, base, unit)
    if excess <= 0:
        return Finding(fact.key, limit.text, State.HELD, measured, words)
    reason = f"{words}: {'below' if fact.at_least else 'over'} by {shown_amount(excess, unit)}{_percent(excess, bound)}"
    blame = cause(fact, profile, baseline)
    return Finding(fact.key, limit.text, State.BROKEN, measured, f"{reason}; {blame}" if blame else reason)


def _other_unit(limit: Limit, unit: str) -> str:
    if limit.against is Against.PERCENT or limit.unit == unit:
        return ""
    return f"the limit is in {limit.unit} and the profile in {unit}; a table [target.NAME] can hold another limit"


def _no_base(limit: Limit, profile: Profile, baseline: Profile | None, why_none: str) -> str:
    """Why there is nothing to compare with; empty where there is, or where none is needed."""
    if limit.against is Against.NOTHING:
        return ""
    if baseline is None:
        return why_none
    fact = limit.fact
    if fact.value(baseline) is None:
        return f"the baseline has no such number: {fact.lacks}"
    if fact.unit(baseline) != fact.unit(profile):
        return f"the baseline is in {fact.unit(baseline)} and the profile in {fact.unit(profile)}"
    if fact.key == "accuracy" and _test_of(baseline) != _test_of(profile):
        return "the accuracies are of different sets, measures or numbers of samples"
    return ""


def _test_of(profile: Profile) -> tuple[str, str, int] | None:
    accuracy = profile.accuracy
    return None if accuracy is None else (accuracy.metric, accuracy.set, accuracy.n)


def _bound_words(limit: Limit, bound: Fraction, base: Fraction | None, unit: str) -> str:
    words = f"{'at least' if limit.fact.at_least else 'at most'} {shown_amount(bound, unit)}"
    return words if limit.against is Against.NOTHING or base is None else f"{words}, the baseline being {shown_amount(base, unit)}"


def _percent(excess: Fraction, bound: Fraction) -> str:
    return f" ({shown_percent(excess / abs(bound))})" if bound else ""


def _check_parity(profile: Profile) -> Finding:
    parity = profile.parity
    if parity is None or parity.inputs == 0:
        return Finding(PARITY, "true", State.UNKNOWN, "", "its outputs were compared with no reference; see measure --parity-inputs")
    against = f"{parity.reference}, {parity.inputs} inputs"
    if parity.largest_difference <= parity.tolerance:
        measured = "same bytes" if parity.mismatched_bytes == 0 else f"within {parity.tolerance}"
        return Finding(PARITY, "true", State.HELD, measured, f"against {against}")
    measured = f"{parity.mismatched_bytes:,} bytes differ"
    reason = (
        f"against {against}: by up to {parity.largest_difference}, {parity.tolerance} allowed; edgecompress verify says where it starts"
    )
    return Finding(PARITY, "true", State.BROKEN, measured, reason)
