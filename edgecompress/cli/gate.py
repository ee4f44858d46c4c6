"""`edgecompress gate`: profiles held to a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.outputs import check_outputs
from edgecompress.cli.stored import one_line, read_sources, store_option
from edgecompress.errors import BudgetError, UserError

if TYPE_CHECKING:
    from edgecompress.gate import State, Verdict

_STDOUT = "-"


@click.command(short_help="Hold profiles to limits; exit 3 when one is broken.")
@click.argument("budget", metavar="BUDGET.toml", type=click.Path(path_type=Path))
@click.argument("profiles", metavar="PROFILE.json...", nargs=-1, required=True)
@click.option("--against", metavar="BASELINE.json", multiple=True, help="What relative limits refer to; may be given again.")
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write JUnit XML, one test case a limit.")
@click.option("--markdown", metavar="FILE", help="Write a Markdown summary; - prints it in place of the usual lines.")
@store_option
def command(
    budget: Path, profiles: tuple[str, ...], against: tuple[str, ...], junit: Path | None, markdown: str | None, store: Path | None
) -> None:
    """Hold profiles to the limits in BUDGET.toml.

    \b
    flash = "<= 64 KB"
    latency = ["<= 1.2 M instructions", "<= +3 %"]
    accuracy = ">= 0.95"
    parity = true

    A signed amount is against the baseline of the same target, model and engine. @QUERY means profiles of the store, for example
    @target=cortex-m4,tag=release. Exit code 3 when a limit is broken; otherwise 2 when one cannot be checked. All of it: docs/gate.md.
    """
    from edgecompress.files import write_text
    from edgecompress.gate.budget import read_budget
    from edgecompress.gate.judge import Verdict, judge, unreadable
    from edgecompress.gate.junit import junit_text
    from edgecompress.gate.markdown import markdown_text

    results = [path for path in (junit, None if markdown in (None, _STDOUT) else Path(str(markdown))) if path is not None]
    check_outputs([budget, *map(Path, profiles), *map(Path, against), *([store] if store is not None else [])], results)
    rules = read_budget(budget)
    baselines = [source.required() for source in read_sources(against, store)]
    judgements = [
        unreadable(source.name, source.error.message)
        if source.error is not None
        else judge(rules, source.name, source.required(), baselines)
        for source in read_sources(profiles, store)
    ]
    verdict = Verdict(tuple(judgements))
    if junit is not None:
        write_text(junit, junit_text(verdict))
    if markdown is not None and markdown != _STDOUT:
        write_text(Path(markdown), markdown_text(verdict))
    click.echo(markdown_text(verdict) if markdown == _STDOUT else _lines(verdict), nl=False)
    _require_held(verdict)


def _lines(verdict: Verdict) -> str:
    from edgecompress.gate.markdown import summary_line

    lines: list[str] = []
    for judgement in verdict.judgements:
        lines.append(": ".join(one_line(part) for part in (judgement.name, judgement.title) if part))
        for finding in judgement.findings:
            told = ", ".join(part for part in (finding.measured, finding.reason) if part)
            lines.append(f"  {finding.state.value:<8} {one_line(f'{finding.key} {finding.limit}: {told}')}")
        lines.extend(f"  doubt    {one_line(doubt)}" for doubt in judgement.doubts)
    lines.append(summary_line(verdict))
    return "".join(f"{line}\n" for line in lines)


def _require_held(verdict: Verdict) -> None:
    """Raises BudgetError: a limit is broken. UserError: none is, and one cannot be checked."""
    from edgecompress.gate.judge import State

    if verdict.count(State.BROKEN):
        hint = "edgecompress compare BASELINE.json PROFILE.json shows what changed"
        raise BudgetError(_told(verdict, State.BROKEN), hint=hint)
    if verdict.count(State.UNKNOWN):
        hint = "what cannot be checked is not taken for held: give what it needs, or take the limit out of the budget"
        raise UserError(_told(verdict, State.UNKNOWN), hint=hint)


def _told(verdict: Verdict, state: State) -> str:
    found = verdict.found(state)
    judgement, finding = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    which = one_line(f"{judgement.name}: {finding.key} {finding.limit}: {finding.reason}")
    return f"{len(found)} of {verdict.limits} limits {'is' if len(found) == 1 else 'are'} {state.value}: {which}{more}"
