"""One limit, as a budget writes it.

    limit  = ("<=" | ">=") amount [unit]        "<= 64 KB"    ">= 0.95"     absolute
           | ("<=" | ">=") sign amount unit     "<= +512 B"   ">= -0.005"   against the baseline's number
           | ("<=" | ">=") sign amount "%"      "<= +3 %"                   against the baseline's number, in percent of it

The sign makes a limit relative. An amount is digits, `_` between them if you like, and a decimal point.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from edgecompress.errors import UserError
from edgecompress.gate.facts import UNITS, Fact, Kind


class Against(Enum):
    """What a limit's amount refers to."""

    NOTHING = "absolute"
    CHANGE = "a change of the baseline's number"
    PERCENT = "a change in percent of the baseline's number"


@dataclass(frozen=True)
class Limit:
    """One limit of one fact.

    Attributes:
        amount: signed where it is relative; in `unit`, or in percent.
        unit: what the profile must count in: B, us, instructions, uJ; empty for shares and percent.
        text: as it was written.
    """

    fact: Fact
    against: Against
    amount: Fraction
    unit: str
    text: str

    def bound(self, base: Fraction) -> Fraction:
        """The number that the profile's is held to.

        Args:
            base: the baseline's number; of no account to an absolute limit.
        """
        match self.against:
            case Against.NOTHING:
                return self.amount
            case Against.CHANGE:
                return base + self.amount
            case Against.PERCENT:
                return base * (1 + self.amount / 100)


_LIMIT = re.compile(
    r"(?P<operator>[<>=!]+)\s*(?P<sign>[+-]?)\s*(?P<number>[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?)(?:\s*(?P<unit>%|[A-Za-z][A-Za-z ]*))?"
)
_LONGEST = 100


def parse_limit(fact: Fact, value: object, where: str) -> Limit:
    """Read one limit.

    Args:
        where: file and key, for messages.

    Raises:
        UserError: it is no limit, or one that makes no sense for this fact.
    """
    example = _example(fact)
    if not isinstance(value, str):
        raise UserError(
            f"{where}: a limit is a text such as {example}; {value!r} came", hint="put it in quotes, with <= or >= and its unit"
        )
    parts = _LIMIT.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    if parts is None:
        raise UserError(f"{where}: {value[:_LONGEST]!r} is no limit", hint=f"write it like {example}")
    operator = ">=" if fact.at_least else "<="
    if parts["operator"] != operator:
        raise UserError(f"{where}: {fact.key} is limited with {operator}; {value!r} came", hint=f"write it like {example}")
    against, unit, factor = _meaning(fact, parts["sign"], " ".join((parts["unit"] or "").split()), where, value)
    amount = Fraction(parts["number"].replace("_", "")) * factor
    return Limit(fact, against, -amount if parts["sign"] == "-" else amount, unit, value.strip())


def _meaning(fact: Fact, sign: str, unit: str, where: str, value: str) -> tuple[Against, str, int]:
    if unit == "%":
        return _percent(fact, sign, where, value)
    units = UNITS[fact.kind]
    if unit not in units:
        close = [name for name in units if name.lower() == unit.lower()] or difflib.get_close_matches(unit, units, n=1)
        came = f"unit {unit!r} came" if unit else "none came"
        raise UserError(
            f"{where}: {value!r}: {fact.key} is given in {fact.kind.value}; {came}",
            hint=f"did you mean {close[0]}?" if unit and close else f"write it like {_example(fact)}",
        )
    base, factor = units[unit]
    return (Against.CHANGE if sign else Against.NOTHING), base, factor


def _percent(fact: Fact, sign: str, where: str, value: str) -> tuple[Against, str, int]:
    if fact.kind is Kind.SHARE:
        raise UserError(
            f"{where}: {value!r}: {fact.key} is a fraction, and percent of it would be ambiguous",
            hint='write ">= 0.95", or ">= -0.01" for one point below the baseline',
        )
    if not sign:
        raise UserError(
            f"{where}: {value!r}: a percentage is against the baseline and needs its sign", hint='write it like "<= +3 %" or "<= -10 %"'
        )
    return Against.PERCENT, "", 1


def _example(fact: Fact) -> str:
    return {
        Kind.BYTES: '"<= 64 KB" or "<= +2 %"',
        Kind.LATENCY: '"<= 1.5 M instructions", "<= 20 ms" or "<= +3 %"',
        Kind.ENERGY: '"<= 150 uJ" or "<= +3 %"',
        Kind.SHARE: '">= 0.95" or ">= -0.005"',
    }[fact.kind]
