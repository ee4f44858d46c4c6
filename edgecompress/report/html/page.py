"""The page: its sections in order, one style sheet and one script, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from edgecompress.files import write_text
from edgecompress.profile import Profile
from edgecompress.report.compare.table import check_columns
from edgecompress.report.html.arena import arena_section
from edgecompress.report.html.bars import memory_section
from edgecompress.report.html.facts_table import table_section
from edgecompress.report.html.history import History, history_section
from edgecompress.report.html.markup import Markup, joined, tag
from edgecompress.report.html.ops import op_section
from edgecompress.report.html.provenance import commands_section, environment_section
from edgecompress.report.html.scatter import accuracy_section
from edgecompress.report.html.subjects import counted, number_profiles
from edgecompress.report.html.verdict import verdict_section

Profiles = Sequence[tuple[str, Profile]]
Histories = Sequence[tuple[str, History]]


def write_html(profiles: Profiles, path: Path, *, baseline: int = 0, commands: Sequence[str] = (), histories: Histories = ()) -> None:
    """Write the report as one file that needs no other and no network.

    Args:
        profiles: (name, profile).
        baseline: the profile that ratios refer to, from 0.
        commands: that made this page.
        histories: (name, what `read_history` gave).

    Raises:
        UserError: there is no profile, or no such baseline.
        OutputError: the file cannot be written.
    """
    write_text(path, render_html(profiles, baseline=baseline, commands=commands, histories=histories))


def render_html(profiles: Profiles, *, baseline: int = 0, commands: Sequence[str] = (), histories: Histories = ()) -> str:
    """The report as text; the same arguments give the same bytes. See `write_html`."""
    check_columns(len(profiles), baseline)
    subjects = number_profiles(profiles)
    sections = {
        "verdict": ("Verdict", verdict_section(subjects, baseline)),
        "table": ("All facts", table_section(subjects, baseline)),
        "accuracy": ("Accuracy", accuracy_section(subjects)),
        "memory": ("Memory", memory_section(subjects)),
        "ops": ("Layers", op_section(subjects)),
        "arena": ("Arena", arena_section(subjects)),
        "history": ("Compression", history_section(histories, subjects)),
        "environment": ("Environment", environment_section(subjects)),
        "reproduce": ("Commands", commands_section(subjects, commands)),
    }
    there = [(ident, name, part) for ident, (name, part) in sections.items() if part is not None]
    links = tag("ul", *(tag("li", tag("a", name, href=f"#{ident}")) for ident, name, _ in there))
    models = len({s.profile.model.sha256 or s.profile.model.name for s in subjects})
    targets = len({s.profile.target for s in subjects})
    about = f"{counted(len(subjects), 'profile')}, {counted(models, 'model')}, {counted(targets, 'target')}"
    body = tag(
        "body",
        tag("a", "To the content", href="#content", class_="skip"),
        tag("header", tag("p", "edgecompress", class_="over"), tag("h1", "Profiles compared"), tag("p", about)),
        tag("nav", links, aria_label="Sections"),
        tag("main", *(part for _, _, part in there), id="content", tabindex=-1),
        tag("script", _file("page.js")),
    )
    return f"<!doctype html>\n{tag('html', _head(about), body, lang='en')}\n"


def _head(about: str) -> Markup:
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"edgecompress: {about}"),
        tag("style", style),
    )


@cache
def _file(name: str) -> Markup:
    """The style sheet or the script, which are ours."""
    return joined([Markup(files("edgecompress.report.html").joinpath(name).read_text(encoding="utf-8"))])


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
