"""A verdict as Markdown, for the summary page of a CI run: the verdict, then a table of limits a profile, broken ones first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgecompress.gate.judge import Finding, Judgement, State, Verdict

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&!@$])")
_ORDER = (State.BROKEN, State.UNKNOWN, State.HELD)
_WORDS = {State.BROKEN: "**broken**", State.UNKNOWN: "**unknown**", State.HELD: "held"}


def summary_line(verdict: Verdict) -> str:
    """`5 limits: 3 held, 1 broken, 1 unknown`."""
    counts = [f"{verdict.count(state)} {state.value}" for state in State if verdict.count(state)]
    return f"{verdict.limits} limit{'' if verdict.limits == 1 else 's'}: {', '.join(counts)}"


def markdown_text(verdict: Verdict) -> str:
    """The whole page, with a line end."""
    lines = [f"## {_headline(verdict)}", "", summary_line(verdict), ""]
    for judgement in verdict.judgements:
        lines += [*_table(judgement), ""]
    return "\n".join(lines).rstrip() + "\n"


def _headline(verdict: Verdict) -> str:
    if verdict.count(State.BROKEN):
        return "Over budget"
    return "The budget cannot be checked" if verdict.count(State.UNKNOWN) else "Within budget"


def _table(judgement: Judgement) -> Iterator[str]:
    yield f"### {_cell(judgement.title or judgement.name)}"
    yield ""
    yield "| | limit | measured | |"
    yield "|---|---|---:|---|"
    for finding in sorted(judgement.findings, key=lambda finding: _ORDER.index(finding.state)):
        yield _row(finding)
    for doubt in judgement.doubts:
        yield ""
        yield f"Speaks against these numbers: {_cell(doubt)}"


def _row(finding: Finding) -> str:
    limit = _cell(f"{finding.key} {finding.limit}")
    return f"| {_WORDS[finding.state]} | {limit} | {_cell(finding.measured)} | {_cell(finding.reason)} |"


def _cell(text: str) -> str:
    """`text` as it is, whatever Markdown or a terminal would make of it, on one line."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _SPECIAL.sub(r"\\\1", plain)
