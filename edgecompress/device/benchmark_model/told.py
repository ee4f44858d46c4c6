"""What benchmark_model prints: statistics of its runs, memory, delegates, and flags that it does not know.

Statistics stand in one line each, in us, twice: of the warm-up, then of the timed runs.

    INFO: count=50 first=53 curr=52 min=50 max=210 avg=53.1 std=3 p5=51 median=52 p95=60

Identical runs print `count=50 curr=52(all same)`, none `count=0`; older builds lack the percentiles; numbers may be `1.23e+06`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from edgecompress.profile import Latency

# Of one run's output, and of a line of it; what is beyond is not read.
MAX_TEXT_CHARACTERS = 4 << 20
_LINE_CHARACTERS = 2_000
_MOST_FLAGS = 100
# 1,000 s in us; and the average of numbers that are printed with six digits.
_LONGEST_US = 1e9
_ROUNDING = 1e-4

_STATISTICS = re.compile(r"(?:^|[\s:\]])count=(\d{1,12})(?=\s|$)(.*)")
_FIELD = re.compile(r"(\w+)=([-+.0-9eE]+|-?nan|-?inf)")
# Lines of the operators' report that look alike: `Timings (microseconds): count=...`, `Memory (bytes): count=0`.
_OTHER_STATISTICS = re.compile(r"\((?:microseconds|bytes)\):")
_NUMBER = r"([-+.0-9eE]+)"
_SUMMARY = re.compile(rf"[Ii]nference timings in us:.*?\bInit: {_NUMBER}")
_SUMMARY_MEAN = re.compile(rf"[Ii]nference timings in us:.*(?:Inference \(avg\)|no stats): {_NUMBER}")
_FOOTPRINT = re.compile(rf"footprint.*\(MB\):.*?init={_NUMBER}\s+overall={_NUMBER}")
_PEAK = re.compile(rf"[Pp]eak memory footprint \(MB\).*?:\s*{_NUMBER}\s*$")
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags:(.*)")


@dataclass(frozen=True)
class Statistics:
    """Of one series of runs, in us. None: not told.

    Attributes:
        count: how many runs; 0 leaves all else None.
    """

    count: int
    first: float | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    p5: float | None = None
    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True)
class ToldLatency:
    """The timed runs, with what belongs to them. `first` is the first run of all, `init_us` the time to load the model."""

    runs: Statistics
    first: float
    init_us: float | None = None

    def summary(self) -> Latency:
        """As a profile holds it. `benchmark_model` tells the median of its percentiles; p90 and p99 stay unknown."""
        runs = self.runs
        if runs.min is None:
            raise ValueError("it tells no shortest run")
        return Latency(unit="us", min=runs.min, p50=runs.median, p90=None, p99=None, first=self.first, runs=runs.count, mean=runs.mean)


@dataclass(frozen=True)
class ToldMemory:
    """Bytes: the process's largest resident size, and what loading and running the model added to it. None: not told."""

    peak_bytes: int | None
    added_bytes: int | None


class Applied(Enum):
    """How much of the model a delegate took."""

    WHOLE = "all ops"
    PART = "some of the ops"
    NONE = "no op"
    UNSAID = "not told"


def parse_statistics(line: str) -> Statistics | None:
    """The statistics in a line; None when it holds none.

    Raises:
        ValueError: it does, and they cannot be true; a sentence without a subject.
    """
    found = None if _OTHER_STATISTICS.search(line) else _STATISTICS.search(line)
    if found is None:
        return None
    count = int(found[1])
    if count == 0:
        return Statistics(0)
    fields = {name: number for name, text in _FIELD.findall(found[2]) if (number := _number(text)) is not None}
    same = fields.get("curr") if "min" not in fields else None
    statistics = Statistics(
        count,
        first=fields.get("first", same),
        min=fields.get("min", same),
        max=fields.get("max", same),
        mean=fields.get("avg", same),
        p5=fields.get("p5"),
        median=fields.get("median", same),
        p95=fields.get("p95"),
    )
    check_statistics(statistics)
    return statistics


def check_statistics(runs: Statistics) -> None:
    """Hold the numbers against each other.

    Raises:
        ValueError: they cannot be true.
    """
    numbers = [runs.first, runs.min, runs.p5, runs.median, runs.p95, runs.max, runs.mean]
    if runs.min is None or runs.max is None or runs.mean is None:
        raise ValueError(f"statistics of {runs.count:,} runs lack min, max or avg")
    if any(number is not None and not 0 <= number <= _LONGEST_US for number in numbers):
        raise ValueError("a run of less than 0 or more than 1,000 s is told")
    in_order = [number for number in (runs.min, runs.p5, runs.median, runs.p95, runs.max) if number is not None]
    slack = 1 + _ROUNDING
    if any(left > right * slack for left, right in pairwise(in_order)):
        raise ValueError("its percentiles are not in order")
    if not runs.min <= runs.mean * slack or not runs.mean <= runs.max * slack:
        raise ValueError(f"an average of {runs.mean:g} us is not between {runs.min:g} and {runs.max:g} us")


def parse_latency(text: str) -> ToldLatency:
    """The timed runs of a whole output.

    Raises:
        ValueError: it is not there, or cannot be true; a sentence without a subject.
    """
    series = [found for line in _lines(text) if (found := parse_statistics(line)) is not None]
    if len(series) < 2:
        raise ValueError(f"{len(series)} series of runs are told; expected two, of the warm-up and of the timed runs")
    warmup, runs = series[0], series[-1]
    if runs.count == 0:
        raise ValueError("no run was timed")
    first = runs.first if warmup.first is None else warmup.first
    if first is None:
        raise ValueError("its first run is not told")
    mean = _first_number(_SUMMARY_MEAN, text)
    if mean is not None and runs.mean is not None and not math.isclose(mean, runs.mean, rel_tol=0.01, abs_tol=1.0):
        raise ValueError(f"two averages are told: {mean:g} and {runs.mean:g} us")
    return ToldLatency(runs, first, _first_number(_SUMMARY, text))


def parse_memory(text: str) -> ToldMemory:
    """Memory, as far as it is told."""
    found = _first(_FOOTPRINT, text)
    return ToldMemory(megabytes(_first_number(_PEAK, text)), megabytes(_number(found[2])) if found else None)


def parse_applied(text: str, delegate: str) -> Applied:
    """How much of the model `delegate` (`GPU`, `XNNPACK`) took; what speaks against it wins."""
    name = re.escape(delegate)
    refused = (
        rf"Though {name} delegate is (?:explicitly )?applied, the model graph will not be"
        rf"|Failed to apply {name} delegate|{name} acceleration is unsupported"
    )
    if re.search(refused, text, re.IGNORECASE):
        return Applied.NONE
    found = re.search(rf"\bapplied {name} delegate, and the model graph will be (completely|partially)", text, re.IGNORECASE)
    if found is None:
        return Applied.UNSAID
    return Applied.WHOLE if found[1].lower() == "completely" else Applied.PART


def parse_unknown_flags(text: str) -> tuple[str, ...]:
    """Names of the flags that this build does not know, without dashes and values."""
    lists = [found[1] for line in _lines(text) if (found := _UNKNOWN_FLAGS.search(line)) is not None]
    words = [word for flags in lists for word in flags.split() if word.startswith("--")]
    return tuple(word.lstrip("-").partition("=")[0][:60] for word in words[:_MOST_FLAGS])


def megabytes(value: float | None) -> int | None:
    """Bytes of so many MiB, as benchmark_model counts its MB; None for what is unknown or no size."""
    return None if value is None or not 0 <= value < 1 << 20 else round(value * (1 << 20))


def _first_number(pattern: re.Pattern[str], text: str) -> float | None:
    found = _first(pattern, text)
    return None if found is None else _number(found[1])


def _first(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next((found for line in _lines(text) if (found := pattern.search(line)) is not None), None)


def _lines(text: str) -> Iterator[str]:
    """Lines short enough for any pattern."""
    return (line[:_LINE_CHARACTERS] for line in text[:MAX_TEXT_CHARACTERS].splitlines())


def _number(text: str) -> float | None:
    """A finite number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
