"""A budget: a TOML file that says which limits profiles are held to.

flash = "<= 64 KB"
latency = ["<= 1.2 M instructions", "<= +3 %"]
accuracy = [">= 0.95", ">= -0.005"]
parity = true

[target.local]
latency = "<= 40 us"        # instead of the one above, on this target
flash = []                  # none, on this target
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecompress.errors import UserError
from edgecompress.gate.facts import FACTS
from edgecompress.gate.limits import Against, Limit, parse_limit
from edgecompress.validation import reason

PARITY = "parity"
_TARGET = "target"
_KEYS = (*FACTS, PARITY, _TARGET)
_LARGEST_BYTES = 1 << 20
_HINT = "docs/gate.md shows budgets"


@dataclass(frozen=True)
class Section:
    """Limits by key, in order; a key without limits lifts those of the general section. `parity` is None where it is not mentioned."""

    limits: Mapping[str, tuple[Limit, ...]]
    parity: bool | None


@dataclass(frozen=True)
class Budget:
    """What holds for every profile, and what replaces it on single targets."""

    general: Section
    targets: Mapping[str, Section]

    def limits(self, target: str) -> tuple[Limit, ...]:
        """The limits for a profile of this target, in the order of `FACTS`."""
        merged = {**self.general.limits, **self._own(target).limits}
        return tuple(limit for key in FACTS for limit in merged.get(key, ()))

    def wants_parity(self, target: str) -> bool:
        own = self._own(target).parity
        return bool(self.general.parity if own is None else own)

    def _own(self, target: str) -> Section:
        return self.targets.get(target, Section({}, None))


def read_budget(path: Path) -> Budget:
    """Read a budget.

    Raises:
        UserError: the file is missing or no TOML, a key is unknown, a value is no limit, or there is none at all.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: cannot be read: {reason(e)}", hint=_HINT) from e
    if len(data) > _LARGEST_BYTES:
        raise UserError(f"{path}: is larger than {_LARGEST_BYTES >> 20} MiB, and so no budget", hint=_HINT)
    return parse_budget(text, str(path))


def parse_budget(text: str, source: str) -> Budget:
    """The budget that a TOML text says.

    Args:
        source: where it came from, for messages.

    Raises:
        UserError: as `read_budget`.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as e:
        raise UserError(f"{source}: is not TOML: {e}", hint=_HINT) from e
    tables = document.pop(_TARGET, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UserError(f"{source}: target: expected tables such as [target.cortex-m4]", hint=_HINT)
    general = _section(document, source, lifts=False)
    budget = Budget(general, {name: _section(table, f"{source}: target.{name}", lifts=True) for name, table in tables.items()})
    if not any(_holds_something(section) for section in (general, *budget.targets.values())):
        raise UserError(f"{source}: holds no limit", hint='write one, for example flash = "<= 64 KB"')
    return budget


def is_relative(limits: Iterable[Limit]) -> bool:
    """Whether one of them needs a baseline."""
    return any(limit.against is not Against.NOTHING for limit in limits)


def _holds_something(section: Section) -> bool:
    return bool(section.parity) or any(section.limits.values())


def _section(table: Mapping[str, Any], source: str, *, lifts: bool) -> Section:
    parity: bool | None = None
    limits: dict[str, tuple[Limit, ...]] = {}
    for key, value in table.items():
        where = f"{source}: {key}"
        if key == PARITY:
            parity = _parity(value, where)
        elif key in FACTS:
            limits[key] = _limits(key, value, where, lifts=lifts)
        else:
            raise UserError(f"{source}: there is no limit {key!r}", hint=_nearest(key, allow_target=not lifts))
    return Section(limits, parity)


def _limits(key: str, value: object, where: str, *, lifts: bool) -> tuple[Limit, ...]:
    values = value if isinstance(value, list) else [value]
    if not values and not lifts:
        raise UserError(f"{where}: the list holds no limit", hint="leave the key out")
    return tuple(parse_limit(FACTS[key], one, where) for one in values)


def _parity(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{where}: expected true or false; {value!r} came", hint="parity = true wants the reference's bytes")
    return value


def _nearest(key: str, *, allow_target: bool) -> str:
    keys = _KEYS if allow_target else _KEYS[:-1]
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"limits are {', '.join(keys)}"
