"""Where the numbers come from: the environment of each profile, and the commands that give them again."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.report.html.bounds import (
    COMMAND_LENGTH,
    MOST_COMMANDS,
    MOST_ENVIRONMENTS,
    MOST_FACTS,
    MOST_REPRODUCED,
    NAME_LENGTH,
    PAGE_COMMAND_LENGTH,
)
from edgecompress.report.html.figure import note, section, table
from edgecompress.report.html.markup import Markup, clipped, tag, visible
from edgecompress.report.html.subjects import Subject, named, numbers_of


def environment_section(subjects: Sequence[Subject]) -> Markup | None:
    """A table for each environment, profiles of the same one together; None where none is known."""
    groups: dict[tuple[tuple[str, str], ...], list[Subject]] = {}
    for subject in subjects:
        if subject.profile.environment:
            groups.setdefault(tuple(sorted(subject.profile.environment.items())), []).append(subject)
    if not groups:
        return None
    shown, left = list(groups.items())[:MOST_ENVIRONMENTS], list(groups.items())[MOST_ENVIRONMENTS:]
    missing = [s for _, group in left for s in group]
    words = note(f"Left out of this page, which holds {MOST_ENVIRONMENTS} environments: {numbers_of(missing)}.") if missing else None
    return section("environment", "Environment", *(_environment(facts, group) for facts, group in shown), words)


def commands_section(subjects: Sequence[Subject], commands: Sequence[str]) -> Markup | None:
    """The commands of each profile, then those of the page itself; None where none is known."""
    known = [s for s in subjects if s.profile.commands]
    if not known and not commands:
        return None
    left = known[MOST_REPRODUCED:]
    words = note(f"Left out of this page, which holds those of {MOST_REPRODUCED} profiles: {numbers_of(left)}.") if left else None
    blocks = [
        tag("div", tag("h3", f"{s.number} {s.name}"), _commands(s.profile.commands or (), COMMAND_LENGTH)) for s in known[:MOST_REPRODUCED]
    ]
    own = tag("div", tag("h3", "This page"), _commands(commands, PAGE_COMMAND_LENGTH)) if commands else None
    return section("reproduce", "Commands to reproduce", *blocks, words, own)


def _environment(facts: Sequence[tuple[str, str]], group: Sequence[Subject]) -> Markup:
    title = named(group).capitalize()
    rows = [(clipped(key, NAME_LENGTH), clipped(value, NAME_LENGTH)) for key, value in facts[:MOST_FACTS]]
    return tag("details", tag("summary", title), table(f"Environment of {named(group)}", ("fact", "value"), rows))


def _commands(commands: Sequence[str], length: int) -> Markup:
    lines = [visible(clipped(command, length)) for command in commands[:MOST_COMMANDS]]
    return tag("pre", tag("code", *(tag("span", line) for line in lines)), tabindex=0)
