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

MOST_SPREAD = 0.01
"""Of a board, which does nothing else: (slowest - fastest) / fastest of the timed runs."""
MOST_CLOCK_ERROR = 0.02
"""A board's clock against this computer's. A crystal is off by 0.01 %, an RC oscillator by 1 % (STM32F4 datasheets, table "HSI oscillator
characteristics"); more means that the board does not run at the clock that it reports."""

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
        spread: (slowest - fastest) / fastest of the timed runs; of boards only, where nothing else runs.
        clock_over_host: a board's clock against this computer's over 2 s: 1.0 when they agree.
        clock_over_host_within: how exactly that is known: half of the round trips over the time between them.
        clock_hz_expected: what the target's file says; None when that says nothing.
        clock_hz: what the board reports.
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
    spread: _Ratio | None = None
    clock_over_host: _Ratio | None = None
    clock_over_host_within: _Ratio | None = None
    clock_hz_expected: _Count | None = None
    clock_hz: _Count | None = None


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
    reasons += _doubts_of_a_board(seen)
    return Validity(valid=not reasons, reasons=tuple(_spaced(reason) for reason in reasons))


def _doubts_of_a_board(seen: Conditions) -> list[str]:
    doubts = []
    if seen.spread is not None and seen.spread > MOST_SPREAD:
        doubts.append(f"the slowest run took {seen.spread:.1%} longer than the fastest ({MOST_SPREAD:.0%} allowed)")
    if seen.clock_over_host is not None:
        error = abs(seen.clock_over_host - 1) - (seen.clock_over_host_within or 0.0)
        if error > MOST_CLOCK_ERROR:
            doubts.append(f"the board's clock runs {seen.clock_over_host:.3f} times as fast as this computer's: its times are off by that")
    if seen.clock_hz is not None and seen.clock_hz_expected is not None and seen.clock_hz != seen.clock_hz_expected:
        doubts.append(f"the board runs at {seen.clock_hz:,} Hz, not at the {seen.clock_hz_expected:,} Hz of its target file")
    return doubts


def spread_of(samples: Sequence[float]) -> float | None:
    """(slowest - fastest) / fastest; None for fewer than two samples, or when the fastest is 0."""
    fastest = min(samples, default=0.0)
    return (max(samples) - fastest) / fastest if len(samples) > 1 and fastest > 0 else None


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
