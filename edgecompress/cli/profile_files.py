"""Profiles from files: what can be read is used, what cannot be is named, and the names of columns differ from each other."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.stored import is_query, read_sources
from edgecompress.errors import EdgeCompressError, ModelError, UserError

if TYPE_CHECKING:
    from edgecompress.profile import Profile


@dataclass(frozen=True)
class NamedProfile:
    """A profile with the name of its column, and its file where it has one."""

    name: str
    profile: Profile
    path: Path | None = None


def read_profiles(files: Sequence[Path | str], store: Path | None = None) -> tuple[list[NamedProfile], list[EdgeCompressError]]:
    """All profiles that can be read, in order, and what is wrong with the others.

    Args:
        files: a word such as `@target=cortex-m4` stands for the profiles that this query finds in the store; a path never does.
        store: None is the user's own.

    Raises:
        UserError: a query says something that none understands, or finds nothing; or the store cannot be used.
    """
    from edgecompress.profile import read_profile

    read: list[NamedProfile] = []
    failures: list[EdgeCompressError] = []
    for name, file in zip(_column_names([Path(file) for file in files]), files, strict=True):
        if isinstance(file, str) and is_query(file):
            _add_found(file, store, read, failures)
            continue
        try:
            read.append(NamedProfile(name, read_profile(Path(file)), Path(file)))
        except ModelError as e:
            failures.append(e)
    return read, failures


def _add_found(query: str, store: Path | None, read: list[NamedProfile], failures: list[EdgeCompressError]) -> None:
    for source in read_sources([query], store):
        if source.error is not None:
            failures.append(source.error)
        else:
            read.append(NamedProfile(source.name, source.required()))


def find_baseline(word: str | None, profiles: list[NamedProfile]) -> int:
    """The column that --baseline means: a name, a number from 1, or a file; the first one without it.

    A file that is not among `profiles` is read and put before them.

    Raises:
        UserError: there is no such profile, or several; or its file is damaged.
    """
    if word is None:
        return 0
    named = [index for index, profile in enumerate(profiles) if profile.name == word]
    if not named:
        named = [index for index, profile in enumerate(profiles) if profile.path is not None and _is_same_file(profile.path, word)][:1]
    if len(named) > 1:
        raise UserError(f"--baseline {word}: {len(named)} profiles are called so", hint=f"write its number, 1 to {len(profiles)}")
    if named:
        return named[0]
    if word.isascii() and word.isdigit() and len(word) < 10 and not Path(word).is_file():
        return _numbered(int(word), len(profiles))
    if not Path(word).exists():
        raise _no_baseline(word, profiles)
    read, failures = read_profiles([Path(word)])
    if failures:
        raise failures[0]
    profiles[:0] = read
    return 0


def tell_failures(failures: Sequence[EdgeCompressError]) -> None:
    """Name each file that could not be read on stderr."""
    from edgecompress.cli.text import paint, printable

    for failure in failures:
        click.echo(f"{paint('error:', '1;31')} {printable(failure.message)}", err=True)


def raise_failures(failures: Sequence[EdgeCompressError], shown: int) -> None:
    """Name each file that could not be read on stderr, and fail with the last.

    Args:
        shown: how many others there are.

    Raises:
        EdgeCompressError: one could not be read.
    """
    if not failures:
        return
    tell_failures(failures[:-1])
    rest = f"; the other {shown} are shown" if shown > 1 else "; the other one is shown" if shown else ""
    raise ModelError(f"{failures[-1].message}{rest}", hint=failures[-1].hint)


def _numbered(number: int, count: int) -> int:
    if not 1 <= number <= count:
        raise UserError(f"--baseline {number}: there are {count} profiles", hint=f"write a number from 1 to {count}, a name or a file")
    return number - 1


def _no_baseline(word: str, profiles: Sequence[NamedProfile]) -> UserError:
    names = [profile.name for profile in profiles]
    close = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"write a column's name, a number from 1 to {len(names)}, or a file"
    return UserError(f"--baseline {word}: no profile is called so, and there is no such file", hint=hint)


def _is_same_file(path: Path, word: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(word)


def _column_names(paths: Sequence[Path]) -> list[str]:
    """File names without .json; whole paths where two of them are called alike; numbered where even these are equal."""
    stems = Counter(path.stem for path in paths)
    names = [str(path) if stems[path.stem] > 1 else path.stem for path in paths]
    total, seen, unique = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if total[name] > 1 else name)
    return unique
