"""The profiles of one page, numbered from 1: the number is their name in every chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from edgecompress.profile import Profile
from edgecompress.report.html.bounds import LABEL_LENGTH, MOST_NAMED, NAME_LENGTH
from edgecompress.report.html.markup import clipped, visible


class Fit(Enum):
    """Whether a model fits what its target has."""

    FITS = "fits"
    TOO_LARGE = "does not fit"
    UNKNOWN = "not known"


class Agreement(Enum):
    """Outputs on the device against the reference."""

    SAME = "same bytes"
    WITHIN = "within tolerance"
    DIFFERENT = "different bytes"
    UNKNOWN = "not compared"


@dataclass(frozen=True)
class Subject:
    """One profile on the page.

    Attributes:
        number: from 1, in the order given.
        name: as the caller calls it, its control characters made visible, bounded.
    """

    number: int
    name: str
    profile: Profile

    @property
    def label(self) -> str:
        """The name as charts have room for it."""
        return clipped(self.name, LABEL_LENGTH)

    @property
    def latency(self) -> float | None:
        """One inference in `unit`: p50, or the mean where a program tells no more."""
        latency = self.profile.latency
        return latency.mean if latency.p50 is None else latency.p50

    @property
    def unit(self) -> str:
        return self.profile.latency.unit

    @property
    def stack_bytes(self) -> int | None:
        """The most that an inference takes: the proven bound, or what was seen."""
        memory = self.profile.memory
        return memory.stack_bytes if memory.stack_bound_bytes is None else memory.stack_bound_bytes

    @property
    def ram_bytes(self) -> int | None:
        """Arena, static RAM and stack together; None when the arena or the static RAM is unknown."""
        memory = self.profile.memory
        if memory.arena_bytes is None or memory.static_ram_bytes is None:
            return None
        return memory.arena_bytes + memory.static_ram_bytes + (self.stack_bytes or 0)

    @property
    def flash_limit(self) -> int | None:
        limits = self.profile.limits
        return None if limits is None else limits.flash_bytes

    @property
    def ram_limit(self) -> int | None:
        limits = self.profile.limits
        return None if limits is None else limits.ram_bytes

    @property
    def excess(self) -> tuple[tuple[str, int], ...]:
        """By how many bytes it is too large: ("flash", 1_024) and ("RAM", 16); empty when it fits or nothing is known."""
        pairs = (
            ("flash", self.profile.memory.flash_bytes, self.flash_limit),
            ("RAM", self.ram_bytes, self.ram_limit),
        )
        return tuple((what, used - limit) for what, used, limit in pairs if used is not None and limit is not None and used > limit)

    @property
    def fit(self) -> Fit:
        if self.excess:
            return Fit.TOO_LARGE
        known = None not in (self.profile.memory.flash_bytes, self.flash_limit, self.ram_bytes, self.ram_limit)
        return Fit.FITS if known else Fit.UNKNOWN

    @property
    def agreement(self) -> Agreement:
        parity = self.profile.parity
        if parity is None or parity.inputs == 0:
            return Agreement.UNKNOWN
        if parity.mismatched_bytes == 0:
            return Agreement.SAME
        return Agreement.WITHIN if parity.largest_difference <= parity.tolerance else Agreement.DIFFERENT


def number_profiles(profiles: Sequence[tuple[str, Profile]]) -> tuple[Subject, ...]:
    """The profiles as subjects, numbered in their order."""
    return tuple(Subject(number, clipped(visible(name), NAME_LENGTH), profile) for number, (name, profile) in enumerate(profiles, 1))


def numbers_of(subjects: Iterable[Subject]) -> str:
    """Their numbers, runs of them drawn together: `1 to 4, 7`; after many runs, how many more there are."""
    runs: list[list[int]] = []
    for number in sorted(subject.number for subject in subjects):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ", ".join(_run(first, last) for first, last in runs[:MOST_NAMED])
    left = sum(last - first + 1 for first, last in runs[MOST_NAMED:])
    return f"{shown} and {left} more" if left else shown


def named(subjects: Sequence[Subject]) -> str:
    """`profile 5`, `profiles 1 to 4, 6`."""
    return f"profile{'' if len(subjects) == 1 else 's'} {numbers_of(subjects)}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 profile`, `7 profiles`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}, {last}" if last == first + 1 else f"{first} to {last}"
