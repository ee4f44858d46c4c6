"""Which profiles are meant, in one line: `target=cortex-m4,model=resnet*,since=7d`.

Keys are `model target engine tag since until id`. A pattern takes `*`, `?` and `[abc]`; a key given twice takes either; different keys must
all hold. `since` and `until` are a day or a time of ISO 8601 (UTC where it names no zone; `until` a day means to its end), or a number of
days ago (`7d`). They ask when it was measured: a profile that does not say so is not found by them.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from edgecompress.errors import UserError

KEYS = ("model", "target", "engine", "tag", "since", "until", "id")

_EXAMPLE = "write it like target=cortex-m4,model=resnet8"
_CONDITION = {
    "model": "model GLOB ?",
    "target": "target GLOB ?",
    "engine": "engine GLOB ?",
    "tag": "sha256 IN (SELECT sha256 FROM tag WHERE tag GLOB ?)",
    "since": "measured_at >= ?",
    "until": "measured_at < ?",
    "id": "sha256 GLOB ?",
}


@dataclass(frozen=True)
class Query:
    """Conditions in SQL, and the values of their question marks. `text` is as it was written."""

    text: str
    where: str
    values: tuple[str, ...]


def parse_query(text: str, now: datetime | None = None) -> Query:
    """Read one query; an empty one finds everything.

    Args:
        now: what days ago are counted from; the present when None.

    Raises:
        UserError: a key is unknown, a value is missing, or a date is none.
    """
    now = now or datetime.now(UTC)
    given: dict[str, list[str]] = {}
    for part in text.split(",") if text.strip() else ():
        key, value = _read_part(part.strip())
        given.setdefault(key, []).append(_as_sql(key, value, now))
    groups = [" OR ".join([_CONDITION[key]] * len(values)) for key, values in given.items()]
    where = " AND ".join(f"({group})" for group in groups) or "1"
    return Query(text, where, tuple(value for values in given.values() for value in values))


def utc_text(moment: datetime) -> str:
    """A moment as the store keeps it, so that texts sort as times: `2026-11-25T12:00:00+00:00`; without a zone it is taken as UTC.

    Raises:
        OverflowError: in UTC it lies before the year 1 or after 9999.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="seconds")


def id_pattern(identity: str) -> str:
    """What an id that begins so looks like to GLOB.

    Raises:
        UserError: it is no beginning of an id.
    """
    if not re.fullmatch("[0-9a-f]{4,64}", identity):
        raise UserError(f"an id is 4 to 64 digits 0-9 a-f; {identity!r} came", hint="edgecompress profiles list shows ids")
    return f"{identity}*"


def _read_part(part: str) -> tuple[str, str]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if key not in KEYS:
        close = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"keys are {', '.join(KEYS)}; {_EXAMPLE}"
        raise UserError(f"query: there is no key {key!r}", hint=hint)
    if not equals or not value:
        raise UserError(f"query: {key} has no value", hint=_EXAMPLE)
    return key, value


def _as_sql(key: str, value: str, now: datetime) -> str:
    # Lone surrogates stand for bytes of the command line that are no UTF-8; no profile holds them.
    value = value.encode("utf-8", "replace").decode("utf-8")
    match key:
        case "since":
            return utc_text(_moment(key, value, now, end_of_day=False))
        case "until":
            return utc_text(_moment(key, value, now, end_of_day=True))
        case "id":
            return id_pattern(value)
    return value


def _moment(key: str, value: str, now: datetime, *, end_of_day: bool) -> datetime:
    try:
        if ago := re.fullmatch(r"([0-9]+)d", value):
            return now - timedelta(days=int(ago[1]))
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            day = date.fromisoformat(value) + timedelta(days=int(end_of_day))
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(value)
        moment.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise UserError(f"query: {key} is no date: {value!r}", hint="write 2026-11-25, 2026-11-25T12:00, or 7d for seven days ago") from e
    return moment
