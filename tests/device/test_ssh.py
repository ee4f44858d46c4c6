"""A board behind ssh, which is this machine behind a real sshd: the whole way, each refusal, and nothing left behind.

No real board has confirmed it: other servers (dropbear), busybox's `timeout`, Wi-Fi that breaks.
"""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
import synthetic_faulty_ssh
from loopback_sshd import find_sshd, running_sshd
from stand_ins import write_program

from edgecompress.device.ssh import open_ssh, remote
from edgecompress.device.ssh.address import Address, parse_address
from edgecompress.device.ssh.complaints import connection_error, starting_error, writing_error
from edgecompress.errors import DeviceError, LinkError, TargetError, ToolError

needs_sshd = pytest.mark.skipif(find_sshd() is None, reason="no sshd here: apt-get install openssh-server openssh-client")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """One server for the module."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def processes_with(word: str) -> list[str]:
    """Command lines that hold `word`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and "pytest" not in line:
            found.append(line)
    return found


@needs_sshd
def test_the_whole_way(sshd, tmp_path):
    """Files arrive whole and executable, words arrive as they are, results come back, and the folder is gone afterwards."""
    source = tmp_path / "show.sh"
    source.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\necho told >&2\nprintf "\\0\\377" > made\nexit 7\n')
    with open_ssh(sshd.address, options=sshd.options()) as board:
        assert board.name == f"ssh:{sshd.address}"
        board.push(source, "show.sh", executable=True)
        assert stat.S_IMODE(Path(board.folder, "show.sh").stat().st_mode) == 0o755
        assert stat.S_IMODE(Path(board.folder).stat().st_mode) == 0o700
        done = board.run(["./show.sh", "it's", "$HOME; `id`", "", 'a "b" \\'], timeout_s=20)
        assert (done.exit_code, done.stdout, done.stderr) == (7, b'<it\'s>\n<$HOME; `id`>\n<>\n<a "b" \\>\n', b"told\n")
        assert board.pull("made") == b"\0\xff"
        assert board.pull("show.sh") == source.read_bytes()
    board.close()
    assert list(sshd.folder.iterdir()) == []


@needs_sshd
@pytest.mark.parametrize("code", [124, 126, 127, 137, 255])
def test_exit_codes_are_the_programs_own(sshd, code):
    """Codes that ssh, a shell or `timeout` use for themselves are told apart from a program's."""
    with open_ssh(sshd.address, options=sshd.options()) as board:
        assert board.run(["sh", "-c", f"exit {code}"], timeout_s=20).exit_code == code


@needs_sshd
def test_failures_there_are_sentences(sshd):
    """A hanging program, one that is missing, one that may not be run or is none, and a file that is not there."""
    with open_ssh(sshd.address, options=sshd.options()) as board:
        with pytest.raises(DeviceError, match=r"sleep did not end within 1 s"):
            board.run(["sleep", "4711"], timeout_s=1)
        assert processes_with("sleep 4711") == []
        with pytest.raises(DeviceError, match="has no program nonesuch"):
            board.run(["nonesuch"], timeout_s=20)
        Path(board.folder, "noise").write_bytes(b"\x7fELF" + bytes(100))
        with pytest.raises(DeviceError, match="does not let noise be executed"):
            Path(board.folder, "noise").chmod(0o644)
            board.run(["./noise"], timeout_s=20)
        with pytest.raises(DeviceError, match="cannot be read back"):
            board.pull("nothing")
        with pytest.raises(DeviceError, match="no plain file name"):
            board.pull("../etc/passwd")
    assert list(sshd.folder.iterdir()) == []


@needs_sshd
@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        ({"key": "stranger"}, "refused this user or key", "ssh-copy-id"),
        ({"hosts": "no_hosts"}, "host key is not known", "log in once"),
        ({"hosts": "wrong_hosts"}, "another host key", "ssh-keygen -R"),
    ],
)
def test_refusals_say_what_to_do(sshd, choice, message, hint):
    """A key that the board does not know, and a board that we do not know or know otherwise."""
    with pytest.raises(DeviceError, match=message) as caught:
        open_ssh(sshd.address, options=sshd.options(**choice))
    assert hint in caught.value.hint
    assert list(sshd.folder.iterdir()) == []


@needs_sshd
def test_a_lost_link_is_no_result(sshd):
    """When the connection ends in the middle of a run, that is a LinkError, and the program over there ends by its own limit."""
    with open_ssh(sshd.address, options=sshd.options()) as board:
        threading.Timer(1.0, lambda: os.kill(board._link._master.pid, signal.SIGKILL)).start()
        with pytest.raises(LinkError):
            board.run(["sleep", "3.75"], timeout_s=4)
    deadline = time.monotonic() + 20
    while processes_with("sleep 3.75") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_with("sleep 3.75") == []
    for left in sshd.folder.iterdir():  # nobody was there to remove it
        subprocess.run(["rm", "-r", str(left)], check=True)


@needs_sshd
def test_close_ends_what_still_runs(sshd):
    """A run that Ctrl-C interrupts here goes on there until the board is closed, which ends it and removes the folder."""
    board = open_ssh(sshd.address, options=sshd.options())
    call = board._link.call

    def interrupted(script, **how):
        how["timeout_s"] = 3.0  # A busy machine needs more than a second for the connection.
        return call(script, **how)

    board._link.call = interrupted
    with pytest.raises(LinkError, match="no answer"):
        board.run(["sleep", "4712"], timeout_s=60)
    board._link.call = call
    assert processes_with("sleep 4712") != []
    board.close()
    assert processes_with("sleep 4712") == []
    assert list(sshd.folder.iterdir()) == []


@needs_sshd
def test_a_damaged_file_is_noticed(sshd, tmp_path, monkeypatch):
    """What arrives with another SHA-256 is an error of the link."""
    (tmp_path / "file").write_bytes(b"whole")
    monkeypatch.setattr("edgecompress.device.ssh.remote._sha256", lambda path: "0" * 64)
    with open_ssh(sshd.address, options=sshd.options()) as board, pytest.raises(LinkError, match="arrived damaged"):
        board.push(tmp_path / "file", "file")


@needs_sshd
def test_seeded_faults_give_the_right_bytes_or_an_error(sshd, tmp_path, monkeypatch):
    """Calls that lose, cut or damage what they carry: the right bytes where none of it happened, else a clear error, never wrong bytes."""
    faulty = write_program(tmp_path / "ssh", Path(synthetic_faulty_ssh.__file__).read_text(encoding="utf-8"))
    faults = tmp_path / "faults"
    faults.write_text("")
    monkeypatch.setenv("EDGECOMPRESS_SSH", str(faulty))
    monkeypatch.setenv("SYNTHETIC_FAULTS", str(faults))
    rng = random.Random(5)
    with open_ssh(sshd.address, options=sshd.options()) as board:
        for _ in range(10):
            data = rng.randbytes(1001)
            (tmp_path / "in").write_bytes(data)
            # Only what is sent can be damaged: a program's own output carries no checksum here, its documents do.
            kinds = [rng.choice(["none", "cut", "lost", "silent", *more]) for more in (["damaged"], [], [])]
            faults.write_text(" ".join(kinds))
            try:
                board.push(tmp_path / "in", "in")
                done = board.run(["cp", "in", "out"], timeout_s=20)
                assert (done.exit_code, done.stdout) == (0, b"")
                assert board.pull("out") == data
            except LinkError as e:
                assert e.hint
                assert set(kinds) != {"none"}
            else:
                # An exit code of ssh's own that comes after our closing line does no harm.
                assert set(kinds) <= {"none", "silent"}
        faults.write_text("")
    assert list(sshd.folder.iterdir()) == []


@needs_sshd
def test_a_link_lost_while_sending(sshd, tmp_path):
    """A file that is on its way when the connection ends is an error of the link, and no file."""
    with open_ssh(sshd.address, options=sshd.options()) as board:
        pipe = tmp_path / "endless"
        os.mkfifo(pipe)
        keeper = os.open(pipe, os.O_RDWR)  # nobody writes: the file never ends
        threading.Timer(0.5, lambda: os.kill(board._link._master.pid, signal.SIGKILL)).start()
        try:
            with pipe.open("rb") as stream, pytest.raises(LinkError):
                remote._shell(board._link, f"cat > {board.folder}/endless", stdin_of=stream, timeout_s=20)
        finally:
            os.close(keeper)


@needs_sshd
def test_nobody_listens(sshd):
    """A closed port is one sentence."""
    with pytest.raises(DeviceError, match="takes no ssh connections"):
        open_ssh("nobody@127.0.0.1:1", options=sshd.options())


def test_ssh_may_be_missing(monkeypatch):
    """Without the ssh program, the next step is to install it."""
    monkeypatch.setenv("EDGECOMPRESS_SSH", "no-such-ssh")
    with pytest.raises(ToolError, match="no-such-ssh") as caught:
        open_ssh("pi@raspberrypi")
    assert "openssh-client" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("pi@raspberrypi", Address("raspberrypi", "pi")),
        ("board", Address("board")),
        ("pi@192.0.2.7:2222", Address("192.0.2.7", "pi", 2222)),
        ("pi@[2001:db8::7]:22", Address("2001:db8::7", "pi", 22)),
    ],
)
def test_addresses(text, address):
    """With and without user and port, IPv6 in brackets."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "-oProxyCommand=touch x", "pi@-x", "pi@", "a b", "pi@host:0", "pi@host:70000", "pi@host:x", "a@b@c"])
def test_what_is_no_address(text):
    """Nothing that ssh could take for an option or that names no host."""
    with pytest.raises(TargetError, match="USER@HOST"):
        parse_address(text)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ssh: Could not resolve hostname x: Name or service not known", "no machine of the name"),
        ("ssh: connect to host x port 22: No route to host", "no way to"),
        ("ssh: connect to host x port 22: Connection timed out", "does not answer"),
        ("kex_exchange_identification: read: Connection reset by peer", "hung up"),
        ("/etc/ssh/ssh_config line 3: Bad configuration option: foo", "its own configuration"),
        ("", "ssh said nothing"),
    ],
)
def test_what_ssh_says_when_there_is_no_connection(said, message):
    """Each text is one sentence and a next step."""
    error = connection_error("ssh:x", "x", said)
    assert message in error.message
    assert error.hint


def test_what_a_board_says():
    """A full disk, a quota, and what has no pattern; control characters do not reach the terminal."""
    assert "no space left" in writing_error("ssh:x", "model", "sh: 1: write error: No space left on device").message
    assert "quota" in writing_error("ssh:x", "model", "cat: Disk quota exceeded").message
    assert "\x1b" not in writing_error("ssh:x", "model", "odd \x1b[31m text").message
    assert "another processor" in starting_error("ssh:x", "p", 126, "timeout: can't execute './p': Exec format error").message
    assert "by hand" in starting_error("ssh:x", "p", 126, "timeout: odd").hint
