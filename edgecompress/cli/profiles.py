"""`edgecompress profiles`: a collection of profiles in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.stored import one_line, open_store, read_document, store_option
from edgecompress.errors import EdgeCompressError, ModelError, UserError

if TYPE_CHECKING:
    from edgecompress.store import ProfileStore, StoredProfile

_query_help = "Which profiles: target=cortex-m4,model=resnet*,engine=aot,tag=nightly,since=7d,until=2026-11-25 (docs/profiles.md)."


@click.group(short_help="Keep profiles in one file: add, list, show, rm.", no_args_is_help=True)
def command() -> None:
    """Keep profiles in one SQLite file, and find them by model, target, engine, date and tag.

    \b
    edgecompress measure cortex-m4 model.tflite -o m4.json
    edgecompress profiles add m4.json --tag nightly
    edgecompress profiles list --query target=cortex-m4,since=7d
    edgecompress profiles show 1a2b3c4d5e6f > old.json
    """


@command.command("add", short_help="Keep profiles.")
@click.argument("files", metavar="PROFILE.json...", nargs=-1, required=True)
@click.option("--tag", "tags", metavar="WORD", multiple=True, help="A word to find them by; may be given again.")
@store_option
def add(files: tuple[str, ...], tags: tuple[str, ...], store: Path | None) -> None:
    """Keep profiles; `-` is standard input. A profile that is known already is not kept twice.

    A damaged file is named and does not stop the others; the exit code is then 2.
    """
    from edgecompress.profile import parse_profile

    _check_tags(tags)
    documents: list[tuple[str, str]] = []
    failures: list[EdgeCompressError] = []
    for name in files:
        try:
            text = read_document(name)
            source = "standard input" if name == "-" else name
            parse_profile(text, source)
        except ModelError as e:
            failures.append(e)
        else:
            documents.append((name, text))
    if documents:
        for (name, _), added in zip(documents, open_store(store).add(documents, tags=tags), strict=True):
            click.echo(f"{added.id}  {one_line(name)}{'  (known already)' if added.known else ''}")
    _raise_failures(failures, len(files))


@command.command("list", short_help="What is kept, as a table or JSON.")
@click.option("--query", metavar="QUERY", default="", help=_query_help)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@store_option
def list_(query: str, form: str, store: Path | None) -> None:
    """List profiles by id, date, target, model, engine and tags."""
    opened = open_store(store)
    found = _find(opened, query, is_named=store is not None)
    if form == "json":
        click.echo(json.dumps([{"id": profile.id, **asdict(profile)} for profile in found], indent=1))
    elif found:
        _show_table(found)
    else:
        click.echo(f"{opened.path}: no profile{' is found by that query' if query.strip() else ' is kept yet'}", err=True)


@command.command("show", short_help="One profile as JSON.")
@click.argument("identity", metavar="ID")
@store_option
def show(identity: str, store: Path | None) -> None:
    """Print a profile as it was added, to be piped into a file. The first 4 digits of ID do where no other begins so."""
    text = open_store(store).text(identity)
    click.echo(text, nl=not text.endswith("\n"))


@command.command("rm", short_help="Forget profiles.")
@click.argument("identities", metavar="[ID...]", nargs=-1)
@click.option("--query", metavar="QUERY", help=_query_help)
@click.option("--yes", is_flag=True, help="With --query: forget them; without it they are only listed.")
@store_option
def remove(identities: tuple[str, ...], query: str | None, yes: bool, store: Path | None) -> None:
    """Forget profiles by whole ids, or all that --query finds, with --yes."""
    opened = open_store(store)
    if (query is None) == (not identities):
        raise UserError("rm takes ids, or a --query, and not both", hint="edgecompress profiles list shows ids")
    if query is None:
        count = opened.remove(identities)
    elif not query.strip():
        raise UserError("an empty query would forget every profile", hint="to forget all of them, remove the file, or write model=*")
    else:
        count = _remove_found(opened, query, yes=yes)
    click.echo(f"{_count(count)} removed", err=True)


def _count(profiles: int) -> str:
    return "1 profile" if profiles == 1 else f"{profiles} profiles"


def _remove_found(store: ProfileStore, query: str, *, yes: bool) -> int:
    found = store.find(query)
    if found and not yes:
        _show_table(found)
        raise UserError(f"{_count(len(found))} would be removed, and nothing was", hint="say --yes to remove them")
    return store.remove_found(query)


def _find(store: ProfileStore, query: str, *, is_named: bool) -> Sequence[StoredProfile]:
    from edgecompress.store import parse_query

    parsed = parse_query(query)
    # The user's own store is made by the first `add`; one that was named and is missing is a mistake.
    return store.find(parsed) if is_named or store.path.exists() else ()


def _check_tags(tags: Sequence[str]) -> None:
    for tag in tags:
        if not tag.strip() or "," in tag or not tag.isprintable():
            raise UserError(f"--tag {tag!r} is no word to search for", hint="leave out commas and control characters")


def _raise_failures(failures: Sequence[EdgeCompressError], count: int) -> None:
    """Name each file that could not be added, and fail with the last."""
    if not failures:
        return
    for failure in failures[:-1]:
        click.echo(f"error: {one_line(failure.message)}", err=True)
    rest = f"; the other {count - len(failures)} were added" if len(failures) < count else ""
    raise ModelError(f"{failures[-1].message}{rest}", hint=failures[-1].hint)


def _show_table(found: Sequence[StoredProfile]) -> None:
    from rich import box
    from rich.table import Table

    from edgecompress.cli.console import stdout_console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    for name in ("measured", "target", "model", "engine", "tags"):
        table.add_column(name, overflow="fold")
    for profile in found:
        day = (profile.measured_at or "").removesuffix("+00:00").replace("T", " ")
        words = (day, profile.target, profile.model, profile.engine or "", ", ".join(profile.tags))
        table.add_row(profile.id, *(one_line(word) for word in words))
    stdout_console().print(table)
