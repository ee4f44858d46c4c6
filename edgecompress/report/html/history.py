"""What compression did to a model, step by step, out of the report.json that `compress` leaves (schema 2). The file is untrusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecompress.errors import ModelError
from edgecompress.report.html.bounds import MOST_HISTORIES, MOST_SETTINGS, MOST_STEPS, NAME_LENGTH
from edgecompress.report.html.figure import note, section, table
from edgecompress.report.html.markup import Markup, clipped, tag
from edgecompress.report.html.subjects import Subject, numbers_of
from edgecompress.report.html.words import fraction
from edgecompress.units import format_bytes, format_count
from edgecompress.validation import first_problem, reason

LARGEST_REPORT_BYTES = 8 << 20
_HINT = "report.json is written by edgecompress compress"
_Count = Annotated[int, Field(ge=0)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Score(_Read):
    """On the validation data."""

    metric: str
    value: float


class Footprint(_Read):
    """The model converted, before or after a step; None is not known."""

    parameters: _Count | None = None
    macs: _Count | None = None
    weights: _Count | None = None
    zeros: _Count | None = None
    tflite_bytes: _Count | None = None
    gzip_bytes: _Count | None = None
    tflite: Score | None = None


class HistoryStep(BaseModel):
    """One pass with its settings."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str = Field(alias="pass")
    before: Footprint
    after: Footprint
    seconds: float | None = None


class History(_Read):
    """The steps of one compression, and the hash of the .tflite that came out."""

    schema_version: Literal[2] = Field(alias="schema")
    sha256: str
    steps: Annotated[tuple[HistoryStep, ...], Field(min_length=1)]


def read_history(path: Path) -> History:
    """Read a report.json.

    Raises:
        ModelError: it is missing, too large, no JSON, of another schema, or breaks it; the message names the field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_REPORT_BYTES + 1)
        if len(data) > LARGEST_REPORT_BYTES:
            raise ModelError(f"{path}: a report of at most {LARGEST_REPORT_BYTES:,} B was expected; it is larger", hint=_HINT)
        return History.model_validate(json.loads(data.decode("utf-8")))
    except (OSError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: cannot be read: {reason(e)}", hint=_HINT) from e
    except ValidationError as e:
        raise ModelError(f"{path}: {first_problem(e)}", hint=_HINT) from e
    except (ValueError, RecursionError) as e:
        raise ModelError(f"{path}: is not JSON: {e}", hint=_HINT) from e


def history_section(histories: Sequence[tuple[str, History]], subjects: Sequence[Subject]) -> Markup | None:
    """A table for each compression, with the profiles of the model that it gave; None without any."""
    if not histories:
        return None
    left = len(histories) - MOST_HISTORIES
    words = note(f"{left} more compressions are left out.") if left > 0 else None
    return section("history", "How each model was compressed", *(_history(*pair, subjects) for pair in histories[:MOST_HISTORIES]), words)


def _history(name: str, history: History, subjects: Sequence[Subject]) -> Markup:
    measured = [s for s in subjects if s.profile.model.sha256 == history.sha256]
    steps = history.steps[:MOST_STEPS]
    rows = [_row("before", steps[0].before, None), *(_row(step.name, step.after, step.seconds) for step in steps)]
    heads = ("step", "parameters", "MACs", "zeros", ".tflite", "gzip", "score", "seconds")
    title = clipped(name, NAME_LENGTH)
    words = f"Measured as {numbers_of(measured)}." if measured else "No profile here is of this model."
    words += f" {len(history.steps) - MOST_STEPS} more steps are left out." if len(history.steps) > MOST_STEPS else ""
    settings = tag("details", tag("summary", "Settings of each step"), *(_settings(step) for step in steps))
    return tag("div", tag("h3", title), note(words), _known_columns(f"Steps of {title}", heads, rows), settings)


def _known_columns(label: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """The table without the columns of which no step knows anything."""
    known = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    return table(label, [heads[at] for at in known], [[row[at] for at in known] for row in rows])


def _row(name: str, facts: Footprint, seconds: float | None) -> tuple[str, ...]:
    zeros = f"{100 * facts.zeros / facts.weights:.1f} %" if facts.zeros is not None and facts.weights else ""
    score = "" if facts.tflite is None else f"{fraction(facts.tflite.value)} {clipped(facts.tflite.metric, 40)}"
    taken = "" if seconds is None else f"{seconds:,.1f}"
    sizes = (format_bytes(facts.tflite_bytes), format_bytes(facts.gzip_bytes))
    return (clipped(name, NAME_LENGTH), format_count(facts.parameters), format_count(facts.macs), zeros, *sizes, score, taken)


def _settings(step: HistoryStep) -> Markup:
    words = ", ".join(_plain((step.model_extra or {}).items()))
    return tag("p", tag("strong", clipped(step.name, NAME_LENGTH)), " ", words)


def _plain(settings: Iterable[tuple[str, Any]]) -> list[str]:
    """Settings that are one value: `epochs = 8`."""
    simple = [(key, value) for key, value in settings if isinstance(value, str | int | float)]
    return [f"{clipped(key, 60)} = {clipped(str(value), 80)}" for key, value in simple[:MOST_SETTINGS]]
