"""`edgecompress compare`: profiles side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.outputs import check_outputs
from edgecompress.cli.profile_files import find_baseline, raise_failures, read_profiles, tell_failures
from edgecompress.cli.stored import store_option
from edgecompress.errors import EdgeCompressError, UserError

if TYPE_CHECKING:
    from edgecompress.profile import Profile


_TYPED = "edgecompress.compare.typed"


class _Recorded(click.Command):
    """A command that remembers what was typed, for the page that it writes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_TYPED] = shlex.join([*ctx.command_path.split(), *args])
        return super().parse_args(ctx, args)


@click.command(cls=_Recorded, short_help="Profiles side by side, with ratios.")
@click.argument("profiles", metavar="PROFILE.json...", nargs=-1)
@click.option("--baseline", metavar="NAME|NUMBER|FILE", help="What ratios refer to: a column's name or number, or a file. [default: 1]")
@click.option("--ops", is_flag=True, help="Compare layer by layer, the largest changes first.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "json"]),
    default="table",
    show_default=True,
    help="table: for people. markdown: for a pull request. csv: raw numbers, one line a profile. json: all of it (docs/compare.md).",
)
@click.option(
    "--html", metavar="FILE", type=click.Path(path_type=Path), help="Write a page with charts that opens offline (docs/report.md)."
)
@click.option("--history", metavar="REPORT.json", multiple=True, type=click.Path(path_type=Path), help="What compress left, for --html.")
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    profiles: tuple[str, ...],
    baseline: str | None,
    ops: bool,
    form: str,
    html: Path | None,
    history: tuple[Path, ...],
    store: Path | None,
) -> None:
    """Print profiles side by side, with ratios against the first, or against --baseline.

    Numbers of different units (instructions, microseconds) are neither divided nor ranked; what a profile does not know is an empty cell.
    @QUERY stands for the profiles that it finds in the store, for example @target=cortex-m4,since=7d (docs/profiles.md).
    The best of each fact is marked with an asterisk. A damaged file is named and does not stop the others; the exit code is then 2.
    """
    if history and html is None:
        raise UserError("--history was given without --html: what compress did is shown by the page only", hint="add --html report.html")
    if html is not None:
        read = [*map(Path, profiles), *history, *(Path(each) for each in (baseline, store) if each is not None)]
        check_outputs(read, [html])
    named, failures = read_profiles(profiles, store)
    if named or not failures:
        try:
            base = find_baseline(baseline, named)
            columns = [(each.name, each.profile) for each in named]
            if html is not None:
                _write_page(columns, base, html, history, ctx.meta[_TYPED])
            (_print_ops if ops else _print_facts)(columns, base, form)
        except EdgeCompressError:
            tell_failures(failures)
            raise
    raise_failures(failures, len(named))


def _write_page(profiles: Sequence[tuple[str, Profile]], baseline: int, path: Path, history: Sequence[Path], typed: str) -> None:
    from edgecompress.report.html import read_history, write_html

    histories = [(str(each), read_history(each)) for each in history]
    write_html(profiles, path, baseline=baseline, commands=[typed], histories=histories)


def _print_facts(profiles: Sequence[tuple[str, Profile]], baseline: int, form: str) -> None:
    from edgecompress.report.compare import compare, show

    comparison = compare(profiles, baseline=baseline)
    if form == "table":
        from edgecompress.cli.console import stdout_console

        show(comparison, stdout_console())
        return
    from edgecompress.report.compare.documents import csv_text, json_text, markdown_text

    if form == "csv":
        click.echo(csv_text(profiles), nl=False)
    else:
        click.echo(json_text(comparison) if form == "json" else markdown_text(comparison), nl=False)


def _print_ops(profiles: Sequence[tuple[str, Profile]], baseline: int, form: str) -> None:
    from edgecompress.report.compare.op_pictures import op_csv, op_json, op_markdown, show_ops
    from edgecompress.report.compare.ops import compare_ops

    comparison = compare_ops(profiles, baseline=baseline)
    if form == "table":
        from edgecompress.cli.console import stdout_console

        show_ops(comparison, stdout_console())
    else:
        write = {"csv": op_csv, "json": op_json, "markdown": op_markdown}[form]
        click.echo(write(comparison), nl=False)
