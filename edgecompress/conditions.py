"""Under which conditions a clock was read, and whether its numbers may be believed.

Phones and computers change their frequency, get hot and run other work. What was seen of that stands beside the numbers, and `judge`
says in words what speaks against them. Unknown facts are null; most phones hide one or the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LEAST_CPU_SHARE = 0.95
"""CPU time over wall time of the timed runs: below it the model waited for its core."""
MOST_DRIFT = 1.05
"""Mean of the second half of the runs over the mean of the first: above it the device slowed down meanwhile."""

_Count = Annotated[int, Field(ge=0)]
_Ratio = Annotated[float, Field(ge=0.0)]


class Conditions(BaseModel):
    """What was seen around the timed runs.

    Attributes:
        threads: that the model ran on.
        cores: numbers of the cores that it was held to; None when it was not.
        core_max_khz: the highest frequency of those cores (cpuinfo_max_freq).
        khz_before, khz_after: their frequency before and after (scaling_cur_freq).
        cpu_over_wall: CPU time over wall time of the timed runs, all threads together.
        drift: mean of the second half of the runs over the mean of the first half.
        celsius_before, celsius_after: temperature by thermal zone.
        thermal_status: Android's, 0 (none) to 6 (shutdown).
        battery_saver: whether the phone saves power.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    threads: Annotated[int, Field(ge=1)] | None = None
    cores: tuple[_Count, ...] | None = None
    core_max_khz: _Count | None = None
    khz_before: _Count | None = None
    khz_after: _Count | None = None
    cpu_over_wall: _Ratio | None = None
    drift: _Ratio | None = None
    celsius_before: dict[str, float] | None = None
    celsius_after: dict[str, float] | None = None
    thermal_status: Annotated[int, Field(ge=0, le=6)] | None = None
    battery_saver: bool | None = None


class Validity(BaseModel):
    """`valid` is whether nothing that was seen speaks against the numbers; `reasons` says what does, a sentence each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    valid: bool
    reasons: tuple[str, ...] = ()


def judge(conditions: Conditions) -> Validity:
    """Whether numbers read under these conditions may be believed. What is unknown speaks neither way.

    Example:
        >>> judge(Conditions(cpu_over_wall=0.5)).reasons
        ('the model had its core for 50 % of the time (95 % wanted): other work ran beside it',)
    """
    seen = conditions
    reasons: list[str] = []
    if seen.cpu_over_wall is not None and seen.cpu_over_wall < LEAST_CPU_SHARE:
        share, wanted = seen.cpu_over_wall, LEAST_CPU_SHARE
        reasons.append(f"the model had its core for {share:.0%} of the time ({wanted:.0%} wanted): other work ran beside it")
    if seen.drift is not None and seen.drift > MOST_DRIFT:
        reasons.append(f"the second half of the runs took {seen.drift:.2f} times as long as the first ({MOST_DRIFT} allowed)")
    if seen.khz_before is not None and seen.khz_after is not None and seen.khz_before != seen.khz_after:
        reasons.append(f"the core's frequency changed from {seen.khz_before:,} to {seen.khz_after:,} kHz")
    if seen.thermal_status:
        reasons.append(f"the device was throttled by heat (thermal status {seen.thermal_status})")
    if seen.battery_saver:
        reasons.append("battery saver was on")
    return Validity(valid=not reasons, reasons=tuple(_spaced(reason) for reason in reasons))


def _spaced(text: str) -> str:
    """A number and its per cent sign stand apart here, as everywhere in the reports."""
    return text.replace("%", " %")


def drift_of(samples: Sequence[float]) -> float | None:
    """Mean of the second half over the mean of the first half; None for fewer than 10 samples, or when the first half is 0."""
    half = len(samples) // 2
    if half < 5:
        return None
    first, second = sum(samples[:half]) / half, sum(samples[-half:]) / half
    return second / first if first > 0 else None
