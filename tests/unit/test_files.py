"""Results on disk are whole or absent."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecompress.errors import OutputError
from edgecompress.files import check_writable, replacing, staging, working_in, write_bytes, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    """Missing folders are made, and no temporary file stays."""
    path = tmp_path / "a" / "b" / "model.tflite"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["model.tflite"]


def test_text_has_unix_line_ends_in_utf8(tmp_path):
    """Text is the same on every system."""
    write_text(tmp_path / "a.c", "é\n")
    assert (tmp_path / "a.c").read_bytes() == b"\xc3\xa9\n"


def test_a_file_has_ordinary_permissions(tmp_path):
    """A result can be read as the umask says, unlike the private temporary file it was."""
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_failed_block_leaves_the_old_file(tmp_path):
    """Whatever goes wrong while writing, the file that was there stays, and nothing else does."""
    path = tmp_path / "profile.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["profile.json"]


def test_a_file_in_the_folders_place_is_an_output_error(tmp_path):
    """A path below a file cannot be written, and the error names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/a: cannot be written") as caught:
        write_bytes(tmp_path / "file" / "a", b"")
    assert caught.value.hint


def test_a_folder_in_the_files_place_is_an_output_error(tmp_path):
    """A folder is not replaced by a file, and no temporary file stays."""
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(tmp_path / "out", b"")
    assert names(tmp_path) == ["out"]


def test_a_pipe_in_the_files_place_stays_one(tmp_path):
    """A device or pipe, such as /dev/null, is not replaced by a file, whoever asks for it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OutputError, match="no regular file"):
            write_bytes(tmp_path / name, b"")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert names(tmp_path) == ["link", "pipe"]


@pytest.fixture
def nobody() -> Iterator[None]:
    """Not root: root may write anywhere, so it becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_an_output_error(nobody):
    """The error names the file that could not be written."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o500)
        with pytest.raises(OutputError, match=r"a: cannot be written: Permission denied"):
            write_bytes(folder / "a", b"")
        folder.chmod(0o700)


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path):
    """When the bytes do not fit, the error is expected, and neither half a file nor a temporary one is left."""
    code = (
        "import sys, pathlib\n"
        "from edgecompress.errors import OutputError\n"
        "from edgecompress.files import write_bytes\n"
        "try:\n"
        "    write_bytes(pathlib.Path(sys.argv[1]), bytes(100_000))\n"
        "except OutputError as e:\n"
        "    print(e.message)\n"
    )

    def limit() -> None:
        # A file size limit stands in for the full disk; without its signal the write fails with an error, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "big")], preexec_fn=limit, capture_output=True, text=True, check=True, timeout=60
    )
    assert "big: cannot be written: File too large" in done.stdout
    assert names(tmp_path) == []


def test_a_folder_is_probed_without_being_made(tmp_path):
    """Whether results can be written is known before they exist, and asking leaves nothing."""
    check_writable(tmp_path / "a" / "b")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: cannot be written"):
        check_writable(tmp_path / "file")


def test_staged_files_appear_together(tmp_path):
    """Files move into the folder when all are written, and beside what was there."""
    out = tmp_path / "a" / "out"
    out.mkdir(parents=True)
    (out / "old").write_text("old")
    with staging(out) as folder:
        write_text(folder / "one.c", "1")
        write_text(folder / "deep" / "two.c", "2")
        assert not (out / "one.c").exists()
    assert names(out) == ["deep", "old", "one.c"]
    assert (out / "deep" / "two.c").read_text() == "2"


def test_nothing_of_a_failed_stage_stays(tmp_path):
    """When one of several files cannot be written, none of them appears, nor a folder that was made for them."""
    with pytest.raises(KeyboardInterrupt), staging(tmp_path / "a" / "out") as folder:
        write_text(folder / "one.c", "1")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_staged_file_that_cannot_be_written_is_named_by_its_final_place(tmp_path):
    """The error does not speak of the temporary folder."""
    out = tmp_path / "out"
    with pytest.raises(OutputError) as caught, staging(out) as folder:
        (folder / "one").write_text("in the way")
        write_text(folder / "one" / "two.c", "2")
    assert caught.value.message.startswith(f"{out / 'one' / 'two.c'}: cannot be written")
    assert names(tmp_path) == []


def test_a_folder_in_the_way_of_a_staged_file_stops_all_of_them(tmp_path):
    """What cannot be replaced is found before the first file moves."""
    (tmp_path / "two").mkdir()
    with pytest.raises(OutputError, match="two: cannot be written: it is a folder"), staging(tmp_path) as folder:
        write_text(folder / "one", "1")
        write_text(folder / "two", "2")
    assert names(tmp_path) == ["two"]


def test_work_goes_on_in_a_folder_whose_parent_is_read_only(nobody):
    """Only the output folder itself has to be writable, as a mounted disk is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        out = Path(name) / "out"
        out.mkdir()
        Path(name).chmod(0o500)
        with working_in(out) as work:
            write_text(work / "a", "a")
        assert names(out) == []
        Path(name).chmod(0o700)
