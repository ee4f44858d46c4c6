"""What a limit can be about: one table, from the key in a budget to the number in a profile.

Numbers are exact fractions of what the document says: 0.97 is 97/100, so that a limit of 0.97 is held by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from edgecompress.profile import Memory, Profile


class Kind(Enum):
    """Of a number; the value says which units a budget may write, for messages."""

    BYTES = "B, KB, MB, KiB or MiB"
    LATENCY = "us, ms, s, instructions, k instructions or M instructions"
    ENERGY = "uJ or mJ"
    SHARE = "no unit: a fraction such as 0.95"


UNITS: Mapping[Kind, Mapping[str, tuple[str, int]]] = {
    Kind.BYTES: {"B": ("B", 1), "KB": ("B", 1000), "MB": ("B", 1000_000), "KiB": ("B", 1024), "MiB": ("B", 1024 * 1024)},
    Kind.LATENCY: {
        "us": ("us", 1),
        "ms": ("us", 1000),
        "s": ("us", 1000_000),
        "instructions": ("instructions", 1),
        "k instructions": ("instructions", 1000),
        "M instructions": ("instructions", 1000_000),
    },
    Kind.ENERGY: {"uJ": ("uJ", 1), "mJ": ("uJ", 1000)},
    Kind.SHARE: {"": ("", 1)},
}
"""Units of a budget: the unit of the profile that each is counted in, and how many of it one is. 1 KB is 1,000 bytes, as in all tables."""


_MOST_PERCENT = Fraction(10**18)
"""What is shown of a share; the quotient of two numbers of a profile can exceed what a float holds."""


@dataclass(frozen=True)
class Fact:
    """One number of a profile.

    Attributes:
        key: in a budget.
        at_least: a limit is from below.
        lacks: what the profile does not have when the number is unknown, and what may help.
    """

    key: str
    kind: Kind
    of: Callable[[Profile], float | None]
    lacks: str
    at_least: bool = False

    def value(self, profile: Profile) -> Fraction | None:
        """The number in the profile's unit; None when unknown."""
        number = self.of(profile)
        # The shortest decimal that reads back as this float is what stands in the document.
        return None if number is None else Fraction(str(number))

    def unit(self, profile: Profile) -> str:
        """What the profile counts it in."""
        match self.kind:
            case Kind.LATENCY:
                return profile.latency.unit
            case Kind.BYTES:
                return "B"
            case Kind.ENERGY:
                return "uJ"
            case Kind.SHARE:
                return ""


def _memory(key: str, of: Callable[[Memory], int | None], lacks: str) -> Fact:
    return Fact(key, Kind.BYTES, lambda profile: of(profile.memory), lacks)


def ram_parts(memory: Memory) -> Mapping[str, int | None]:
    """What `ram` is the sum of, in bytes."""
    return {"arena": memory.arena_bytes, "static_ram": memory.static_ram_bytes, "stack": memory.stack_bytes}


def flash_parts(memory: Memory) -> Mapping[str, int | None]:
    """What `flash` is the sum of, in bytes."""
    return {"code": memory.code_bytes, "model": memory.model_bytes, "harness": memory.harness_bytes}


def _ram(memory: Memory) -> int | None:
    parts = [part for part in ram_parts(memory).values() if part is not None]
    return sum(parts) if len(parts) == len(ram_parts(memory)) else None


_NO_SIZES = "no firmware was linked for it"

_FACTS = (
    _memory("flash", lambda memory: memory.flash_bytes, _NO_SIZES),
    _memory("code", lambda memory: memory.code_bytes, _NO_SIZES),
    _memory("model", lambda memory: memory.model_bytes, _NO_SIZES),
    _memory("harness", lambda memory: memory.harness_bytes, _NO_SIZES),
    _memory("ram", _ram, "it takes all of arena_bytes, static_ram_bytes and stack_bytes"),
    _memory("arena", lambda memory: memory.arena_bytes, "the engine tells no arena"),
    _memory("static_ram", lambda memory: memory.static_ram_bytes, _NO_SIZES),
    _memory("stack", lambda memory: memory.stack_bytes, "the device cannot tell it; stack_bound is told from the linked code"),
    _memory("stack_bound", lambda memory: memory.stack_bound_bytes, "it is told for generated C only"),
    _memory("peak_rss", lambda memory: memory.peak_rss_bytes, "it is told for phones and computers only"),
    _memory("model_ram", lambda memory: memory.model_ram_bytes, "it is told for phones and computers only"),
    Fact("latency", Kind.LATENCY, lambda profile: profile.latency.p50, "its program told no median; latency_mean may be there"),
    Fact("latency_p99", Kind.LATENCY, lambda profile: profile.latency.p99, "its program told no 99th percentile"),
    Fact("latency_mean", Kind.LATENCY, lambda profile: profile.latency.mean, "a mean stands only where single times are not known"),
    Fact("energy", Kind.ENERGY, lambda profile: profile.energy_uj, "no energy was measured; see measure --energy"),
    Fact(
        "accuracy",
        Kind.SHARE,
        lambda profile: None if profile.accuracy is None else profile.accuracy.value,
        "no accuracy was measured",
        at_least=True,
    ),
)

FACTS: Mapping[str, Fact] = {fact.key: fact for fact in _FACTS}
"""By key, in the order in which they are shown."""


def shown_amount(value: Fraction, unit: str) -> str:
    """A number with its unit: `36,500 B`, `10.5 us`, `0.9512`; exact up to six decimals."""
    if value.denominator == 1:
        digits = f"{value.numerator:,}"
    else:
        digits = f"{float(value):,.6f}".rstrip("0").rstrip(".")
        if digits in ("0", "-0"):
            digits = f"{float(value):.2g}"
    return f"{digits} {unit}".rstrip()


def shown_percent(share: Fraction) -> str:
    """`12.3 %`; what would be 0.0 with one decimal has two digits, `0.0042 %`."""
    percent = float(min(100 * share, _MOST_PERCENT))
    return f"{percent:,.1f} %" if percent == 0 or abs(percent) >= 0.1 else f"{percent:.2g} %"
