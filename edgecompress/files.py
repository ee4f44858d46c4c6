"""Results on disk, never half-written: each file is written beside its final name, then renamed over it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecompress.errors import OutputError

_ELSEWHERE = "choose a folder that you may write to with -o"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block ends well, and vanishes otherwise.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or a folder, device or pipe is in the file's place.
    """
    # A rename would put a file in the place of /dev/null, for whoever may write there.
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise OutputError(f"{path}: cannot be written: it is {what}", hint="name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written: {e.strerror}", hint=_ELSEWHERE) from e
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are ordinary ones.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written: {e.strerror or e}", hint="free some space, or choose another folder with -o") from e
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Whether files can be made in `folder`, or the folder itself; nothing is left on disk either way.

    Raises:
        OutputError: they cannot.
    """
    try:
        existing = folder.absolute()
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written: {e.strerror}", hint=_ELSEWHERE) from e


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`, so on the same disk, that vanishes when the block ends, however it ends.

    `folder` and its parents are made; when the block fails, those of them that were made here and are empty vanish again.

    Raises:
        OutputError: the folder cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".edgecompress-", dir=folder)).resolve()
        except OSError as e:
            raise OutputError(f"{folder}: cannot be written: {e.strerror}", hint=_ELSEWHERE) from e
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except BaseException:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files all move into `folder` when the block ends well, and none of them otherwise.

    Raises:
        OutputError: the folder cannot be written.
    """
    with working_in(folder) as work:
        try:
            yield work
        except OutputError as e:
            # The temporary place means nothing to who reads the message.
            raise OutputError(e.message.replace(str(work), str(folder)), hint=e.hint) from e
        publish(work, folder, sorted(path.relative_to(work) for path in work.rglob("*") if not path.is_dir()))


def publish(work: Path, folder: Path, names: Sequence[Path]) -> None:
    """Move the files `names` from `work` to the same places in `folder`, each by a rename, in this order.

    Raises:
        OutputError: a folder is in a file's place, or the other way round.
    """
    for name in names:
        if (folder / name).is_dir():
            raise OutputError(f"{folder / name}: cannot be written: it is a folder", hint=_ELSEWHERE)
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).replace(folder / name)
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written: {e.strerror}", hint=_ELSEWHERE) from e


def write_bytes(path: Path, data: bytes) -> None:
    """Write `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `path` whole or not at all, in UTF-8 with Unix line ends."""
    write_bytes(path, text.encode("utf-8"))
