"""From a device's ticks to what a profile says: instructions of an emulated core, or microseconds of a clock that was read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from edgecompress.target import QemuLink


@dataclass(frozen=True)
class TickUnit:
    """`unit` per tick.

    Attributes:
        whole: the truth is an integer, so that the nearest one is taken.
        of_empty_call: what a call of the firmware's empty function is worth: its one instruction, or nothing that matters.
    """

    unit: Literal["instructions", "us"]
    per_tick: Fraction
    whole: bool = False
    of_empty_call: float = 0.0

    def value(self, ticks: int) -> float:
        """`ticks` in this unit."""
        exact = ticks * self.per_tick
        return float(round(exact)) if self.whole else float(exact)

    def net(self, ticks: int, overhead: int) -> float:
        """`ticks` of a call, without what reading the counter costs; `overhead` are the ticks of an empty call.

        Both are made whole first, so that equal runs give equal numbers.
        """
        return max(0.0, self.value(ticks) - self.value(overhead) + self.of_empty_call)


def microseconds(ticks_hz: int) -> TickUnit:
    """Ticks of a real counter."""
    return TickUnit("us", Fraction(1_000_000, ticks_hz))


def qemu_instructions(link: QemuLink) -> TickUnit:
    """Ticks of a counter in QEMU: one instruction takes 2**icount_shift nanoseconds.

    Exact as long as half an instruction is more than the one tick by which two readings can be off: counter_hz * 2**icount_shift > 2e9.
    """
    return TickUnit("instructions", Fraction(1_000_000_000, link.counter_hz * 2**link.icount_shift), whole=True, of_empty_call=1.0)
