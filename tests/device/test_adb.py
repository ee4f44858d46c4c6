"""Phones behind adb: the real adb program against a simulated phone, from connecting to cleaning up; and adb's texts as errors."""

from __future__ import annotations

import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from simulated_phone.programs import EXIT_CODE, TEXT, tiny_program

from edgecompress.device.adb import Patience, Phone, list_phones, open_adb, phone_facts
from edgecompress.device.adb.complaints import explain, explain_start
from edgecompress.device.adb.facts import parse_facts
from edgecompress.device.adb.phones import parse_devices
from edgecompress.device.adb.program import MOST_OUTPUT_BYTES, Adb, find_adb
from edgecompress.device.adb.shell import plain_script, program_script, read_sentinel
from edgecompress.device.remote import Finished
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, OutputError, TargetError, ToolError, UserError

# Enough for a machine that is busy, and short where a test waits for it.
PATIENCE = Patience(call_s=20.0, connect_s=5.0, transfer_s=20.0, kill_after_s=0.5)
WORDS = ["", "two words", "it's", '"$HOME"', "a;b", "*", "\\n", "новый\nline", "-n", "`id`"]


def wait_for(condition, *, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


# The whole path


@pytest.mark.parametrize("size", [0, 1, 65_537, 1_000_003])
def test_files_come_back_as_they_went(phone, tmp_path, size):
    """Connect, push, run, pull, close: the bytes are right, progress reaches the size, and nothing stays on the phone."""
    data = random.Random(size).randbytes(size)
    source = tmp_path / "in.bin"
    source.write_bytes(data)
    told = []
    with open_adb(phone.serial, progress=lambda *words: told.append(words), patience=PATIENCE) as remote:
        assert remote.name == f"adb:{phone.serial}"
        assert phone.sandbox.files() == [Path(remote.folder).name]
        remote.push(source, "in.bin")
        finished = remote.run(["sh", "-c", "cp in.bin out.bin; echo out; echo err >&2; exit 7"], timeout_s=10)
        assert (finished.exit_code, finished.stdout, finished.stderr) == (7, b"out\n", b"err\n")
        assert remote.pull("out.bin") == data
    assert remote.left_behind is None
    assert phone.sandbox.files() == []
    assert {done for stage, done, total in told if total == size} >= {0, size}


def test_words_arrive_as_they_are(phone):
    """Nothing in a word means something to the shells in between, and output is kept to its last byte."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        finished = remote.run(["printf", "%s|", *WORDS], timeout_s=10)
        assert finished.stdout.decode() == "".join(f"{word}|" for word in WORDS)
        assert remote.run(["printf", ""], timeout_s=10).stdout == b""
        assert remote.run(["printf", r"a\r\n\n"], timeout_s=10).stdout == b"a\r\n\n"
        assert remote.run(["sh", "-c", "kill -9 $$"], timeout_s=10).exit_code == 137


def test_a_program_that_takes_too_long_is_ended_there(phone):
    """The limit holds on the phone itself, also for a program that ignores the polite signal."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        for command in (["sleep", "60"], ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]):
            with pytest.raises(DeviceError, match=r"did not end within 0\.3 s"):
                remote.run(command, timeout_s=0.3)
        wait_for(lambda: phone.sandbox.left_running() == [])


def test_programs_that_cannot_start_are_explained(phone, tmp_path):
    """A missing program, one without the executable bit, and one of another word size: an error each, with what to do."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        (tmp_path / "plain").write_bytes(b"#!/bin/sh\n")
        remote.push(tmp_path / "plain", "plain")
        for command, words in (("./missing", "finds no program"), ("./plain", "permission denied"), ("nosuch", "finds no program")):
            with pytest.raises(DeviceError, match=words) as caught:
                remote.run([command], timeout_s=5)
            assert caught.value.hint
        with pytest.raises(DeviceError, match="there is no file missing"):
            remote.pull("missing")
        with pytest.raises(UserError, match="cannot be read"):
            remote.push(tmp_path / "missing", "missing")
        assert remote.run(["sh", "-c", "exit 127"], timeout_s=5).exit_code == 127


@pytest.mark.parametrize(("processor", "emulator"), [("aarch64", "qemu-aarch64-static"), ("arm", "qemu-arm-static"), ("x86_64", "sh")])
def test_executables_run(phone, tmp_path, processor, emulator):
    """A static executable is copied and started; its output and its exit code come back."""
    if shutil.which(emulator) is None:
        pytest.skip(f"needs {emulator}: apt-get install qemu-user-static (.ci/packages.txt, group phone)")
    if processor == "x86_64" and platform.machine() != processor:
        pytest.skip("needs a computer with an x86-64 processor")
    (tmp_path / "hello").write_bytes(tiny_program(processor))
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        remote.push(tmp_path / "hello", "hello", executable=True)
        assert remote.run(["./hello"], timeout_s=30) == Finished(EXIT_CODE, TEXT, b"")


def test_a_32_bit_program_on_a_64_bit_phone(make_phone, tmp_path):
    """A phone whose processor lacks 32-bit programs says so in an error."""
    elf = bytearray(64)
    elf[:5], elf[18:20] = b"\x7fELF\x01", b"\x28\x00"
    (tmp_path / "old").write_bytes(elf)
    phone = make_phone(properties={"ro.product.cpu.abilist": "arm64-v8a"})
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        remote.push(tmp_path / "old", "old", executable=True)
        with pytest.raises(DeviceError, match="no support for 32-bit programs"):
            remote.run(["./old"], timeout_s=5)


def test_facts_of_a_phone(phone):
    """What the simulated phone's properties, battery and cores say reaches the facts."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        facts = phone_facts(remote)
    assert (facts.model, facts.android, facts.sdk) == ("Sim Phone 1", "14", 34)
    assert facts.abis == ("arm64-v8a", "armeabi-v7a")
    assert facts.soc == "Nobody SIM76"
    assert facts.core_max_khz == (1_800_000, 1_800_000, 2_400_000, None)
    assert (facts.battery_saver, facts.thermal_status, facts.battery_percent) == (False, 0, 81)
    assert (facts.battery_celsius, facts.charging) == (27.3, True)
    assert facts.title == "edgecompress Sim Phone 1, Android 14, Nobody SIM76"


# Which phone


def test_one_phone_needs_no_name(adb_server, phone, make_phone, monkeypatch):
    """None is an error, one is taken, of several none is: their serials and models are listed. $ANDROID_SERIAL names one."""
    with pytest.raises(DeviceError, match="no phone is connected"):
        open_adb(patience=PATIENCE)
    adb_server.call("connect", phone.serial)
    assert list_phones(patience=PATIENCE) == (
        Phone(phone.serial, "device", "Sim Phone 1", "sim_phone", "sim", list_phones(patience=PATIENCE)[0].transport),
    )
    with open_adb(patience=PATIENCE) as remote:
        assert remote.name == f"adb:{phone.serial}"
    second = make_phone("second", properties={"ro.product.model": "Other"})
    adb_server.call("connect", second.serial)
    with pytest.raises(DeviceError) as caught:
        open_adb(patience=PATIENCE)
    for words in ("2 phones", f"{phone.serial} (Sim Phone 1)", f"{second.serial} (Other)"):
        assert words in caught.value.message
    monkeypatch.setenv("ANDROID_SERIAL", second.serial)
    with open_adb(patience=PATIENCE) as remote:
        assert remote.name == f"adb:{second.serial}"


def test_a_serial_that_is_not_there(adb_server, phone):
    """The error lists what adb sees; a serial that looks like an option never reaches adb."""
    with pytest.raises(DeviceError, match="adb:0123ABC is not connected; adb sees no phone at all"):
        open_adb("0123ABC", patience=PATIENCE)
    adb_server.call("connect", phone.serial)
    with pytest.raises(DeviceError, match=r"adb:0123ABC is not connected; adb sees 127\.0\.0\.1:\d+ \(Sim Phone 1\)"):
        open_adb("0123ABC", patience=PATIENCE)
    for bad in ("-e", "a\nb", " "):
        with pytest.raises(TargetError, match="can be no phone's serial number"):
            open_adb(bad, patience=PATIENCE)


@pytest.mark.parametrize(
    ("address", "words"), [("127.0.0.1:1", "connection refused"), ("nosuch.invalid:5555", "no computer of that name is known")]
)
def test_addresses_where_nothing_answers(adb_server, address, words):
    """adb's exit code says that it connected; its text is believed instead."""
    with pytest.raises(DeviceError, match=words) as caught:
        open_adb(address, patience=PATIENCE)
    assert "Wireless debugging" in caught.value.hint
    assert list_phones(patience=PATIENCE) == ()


def test_an_old_phone_is_refused(make_phone):
    """Without separated outputs no number can be read: the phone is refused before anything runs there."""
    with pytest.raises(DeviceError, match="cannot keep a program's outputs apart"):
        open_adb(make_phone(features=("cmd",)).serial, patience=PATIENCE)


# What stays behind


INTERRUPTED = textwrap.dedent("""
    import sys
    from edgecompress.device.adb import open_adb
    with open_adb(sys.argv[1]) as remote:
        print(remote.folder, flush=True)
        remote.run(["sh", "-c", "echo > started; sleep 300"], timeout_s=300)
""")


@pytest.mark.parametrize(("sent", "swept"), [(signal.SIGINT, False), (signal.SIGKILL, True)])
def test_an_interrupted_run_leaves_nothing(phone, sent, swept):
    """Ctrl-C ends the program on the phone and removes the folder; after a kill the next opening does both."""
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, phone.serial], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        folder = Path(child.stdout.readline().strip()).name
        wait_for(lambda: (phone.sandbox.temporary / folder / "started").exists())
        child.send_signal(sent)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert ("KeyboardInterrupt" in said) is not swept
    assert (phone.sandbox.files() != []) is swept
    if swept:
        with open_adb(phone.serial, patience=PATIENCE):
            assert folder not in phone.sandbox.files()
    assert phone.sandbox.files() == []
    wait_for(lambda: phone.sandbox.left_running() == [])


def test_other_folders_are_left_alone(phone):
    """Only folders of this computer's ended runs are swept: neither another computer's, nor an open one's, nor a user's file."""
    own = phone.sandbox.temporary
    with open_adb(phone.serial, patience=PATIENCE) as first:
        name = Path(first.folder).name
        computer, pid = name.split("-")[1:3]
        kept = [f"edgecompress-00000000-{pid}-0123abcd", f"edgecompress-{computer}-1-0123abcd", f"edgecompress-{computer}-notes", "mine"]
        for folder in [*kept, f"edgecompress-{computer}-{pid}-0123abcd", f"edgecompress-{computer}-9999999999-0123abcd"]:
            (own / folder).mkdir()
        with open_adb(phone.serial, patience=PATIENCE) as second:
            assert phone.sandbox.files() == sorted([*kept, name, Path(second.folder).name])
    assert phone.sandbox.files() == sorted(kept)


def test_a_folder_that_cannot_be_swept(phone):
    """An old folder that the phone does not give up is said, and stops nobody."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        computer = Path(remote.folder).name.split("-")[1]
    old = f"edgecompress-{computer}-9999999999-0123abcd"
    (phone.sandbox.temporary / old).mkdir()
    phone.sandbox.refuse("rm")
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        assert remote.run(["echo", "works"], timeout_s=10).stdout == b"works\n"
    assert remote.left_behind is not None and remote.folder in remote.left_behind
    assert old in phone.sandbox.files()


# The program


def test_adb_is_found_where_the_page_says(tmp_path, monkeypatch):
    """$EDGECOMPRESS_ADB, then PATH, then the SDK; a wrong variable and none at all are errors with what to do."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("named", "bin/adb", "sdk/platform-tools/adb"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("EDGECOMPRESS_ADB", str(tmp_path / "named"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    assert find_adb() == str(tmp_path / "named")
    monkeypatch.setenv("EDGECOMPRESS_ADB", str(tmp_path / "nothing"))
    with pytest.raises(ToolError, match="which is no program"):
        find_adb()
    monkeypatch.delenv("EDGECOMPRESS_ADB")
    assert find_adb() == str(tmp_path / "bin" / "adb")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_adb() == str(tmp_path / "sdk" / "platform-tools" / "adb")
    monkeypatch.delenv("ANDROID_HOME")
    with pytest.raises(ToolError, match="adb is not installed") as caught:
        find_adb()
    assert "EDGECOMPRESS_ADB" in caught.value.hint


def test_a_server_that_is_something_else(adb_server, monkeypatch):
    """Another program on adb's port, silent or not, is named as adb's server and not as a phone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(silent.getsockname()[1]))
        with pytest.raises(ToolError, match=r"adb's server gave no answer within 0\.5 s") as caught:
            list_phones(patience=Patience(call_s=0.5))
    assert "ANDROID_ADB_SERVER_PORT" in caught.value.hint
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "x")
    with pytest.raises(ToolError, match="is no port number"):
        list_phones()


def fake_adb(folder: Path, script: str) -> Adb:
    program = folder / "adb"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Adb(str(program), "S", Patience(call_s=5))


def test_calls_are_bounded(tmp_path):
    """An adb that never ends, or never stops printing, is ended and reported."""
    with pytest.raises(LinkError, match=r"gave no answer within 0\.2 s"):
        fake_adb(tmp_path, "exec sleep 60").call("shell", timeout_s=0.2)
    with pytest.raises(DeviceError, match=f"printed more than {MOST_OUTPUT_BYTES >> 20} MiB"):
        fake_adb(tmp_path, "exec cat /dev/zero").call("shell", timeout_s=60)
    with pytest.raises(ToolError, match="cannot be started"):
        Adb(str(tmp_path / "nothing")).call("devices")


# Texts


UNAUTHORIZED = "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\nTry 'adb kill-server' if that seems wrong.\n"
MISMATCH = "adb server version (40) doesn't match this client (41); killing...\nADB server didn't ACK\n* failed to start daemon\n"
NO_SPACE = "adb: error: failed to copy 'a' to '/data/local/tmp/a': remote write failed: No space left on device\n"
CUT_PUSH = "a: 1 file pushed, 0 skipped. 819.6 MB/s (300000 bytes in 0.000s)\nadb: error: failed to read copy response: EOF\n"
NO_DAEMON = "error: cannot connect to daemon at tcp:5037: Connection refused"


@pytest.mark.parametrize(
    ("text", "kind", "words", "hint"),
    [
        (UNAUTHORIZED, DeviceError, "has not allowed this computer", "Allow USB debugging"),
        ("failed to authenticate to 192.0.2.7:5555", DeviceError, "has not allowed this computer", "Allow USB debugging"),
        ("error: device still authorizing", DeviceError, "still asking", "Allow USB debugging"),
        ("device no permissions (user in plugdev group; are your udev rules wrong?)", DeviceError, "may not open", "udev"),
        ("error: insufficient permissions for device", DeviceError, "may not open", "udev"),
        ("error: device offline", LinkError, "is offline", "cable"),
        ("adb: device 'P1' not found", LinkError, "is not connected", "adb devices -l"),
        ("adb: no devices/emulators found", DeviceError, "no phone is connected", "USB debugging"),
        ("error: more than one device/emulator", DeviceError, "several phones", "adb:SERIAL"),
        (NO_SPACE, DeviceError, "no space left", "/data/local/tmp"),
        (CUT_PUSH, LinkError, "went away in the middle of copying", "cable"),
        ("error: closed", LinkError, "went away in the middle", "cable"),
        ("error: protocol fault (couldn't read status): Connection reset by peer", LinkError, "went away in the middle", "cable"),
        ("adb: error: cannot write '/tmp/x': No space left on device", OutputError, "on this computer: No space left", "TMPDIR"),
        ("adb: error: failed to copy 'a' to 'b': remote couldn't create file: Permission denied", DeviceError, "does not let", "another"),
        ("mkdir: '/data/local/tmp/x': Read-only file system", DeviceError, "does not let", "another"),
        (MISMATCH, ToolError, "two versions of adb", "EDGECOMPRESS_ADB"),
        (NO_DAEMON, ToolError, "server cannot be started", "kill-server"),
        ('adb: $ANDROID_ADB_SERVER_PORT must be a positive number less than 65535: got "x"', ToolError, "no port number", "unset it"),
        ("* failed to start daemon", ToolError, "server cannot be started", "ANDROID_ADB_SERVER_PORT"),
        ("failed to connect to '192.0.2.7:5555': Connection refused", DeviceError, "refused", "adb tcpip 5555"),
        ("failed to connect to '192.0.2.7:5555': No route to host", DeviceError, "not reached", "same network"),
        ("failed to connect to 192.0.2.7:5555", DeviceError, "does not answer at that address", "Wireless debugging"),
        ("failed to resolve host: 'x': Name or service not known", DeviceError, "no computer of that name", "address"),
        ("something \x1b[31mnew", DeviceError, r"failed: something \?\[31mnew", "reconnect"),
        ("", LinkError, "went away in the middle", "reconnect"),
    ],
)
def test_texts_of_adb_become_one_sentence_and_a_next_step(text, kind, words, hint):
    """Each known text of adb gives its own kind of error, sentence and hint; an unknown one is repeated, made harmless."""
    error = explain(text, phone="adb:P1", doing="copying a")
    assert type(error) is kind
    with pytest.raises(EdgeCompressError, match=words):
        raise error
    assert hint in error.hint
    assert "\n" not in error.message and error.message.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/system/bin/sh: ./p: inaccessible or not found", "finds no program ./p"),
        ("timeout: exec ./p: No such file or directory", "finds no program ./p"),
        ("/system/bin/sh: ./p: can't execute: Permission denied", "does not let ./p be executed"),
        ("/system/bin/sh: ./p: not executable: 32-bit ELF file", "no support for 32-bit programs"),
        ("timeout: exec ./p: Exec format error", "built for another processor"),
        ("/system/bin/sh: timeout: inaccessible or not found", "has no program called timeout"),
        ('CANNOT LINK EXECUTABLE "./p": library "libc++_shared.so" not found: needed by main', r'library "libc\+\+_shared.so" not found'),
    ],
)
def test_texts_of_a_phones_shell_become_errors(text, words):
    """Why a program did not start, by the last line it left; a program's own words are no such reason."""
    error = explain_start(f"some line\n{text}\n", phone="adb:P1", program="./p")
    assert isinstance(error, DeviceError) and error.hint
    with pytest.raises(DeviceError, match=words):
        raise error
    assert explain_start("model: wrong magic", phone="adb:P1", program="./p") is None


def test_lists_of_phones_are_read():
    """Every state of `adb devices -l`, udev's sentence included; headings and noise are left out."""
    text = (
        "* daemon not running; starting now at tcp:5037\n* daemon started successfully\nList of devices attached\n"
        "39071FDJH  device usb:1-4 product:husky model:Pixel_8_Pro device:husky transport_id:2\n"
        "ABC123  no permissions (user in plugdev group; are your udev rules wrong?); see [http://x/y] usb:1-5 transport_id:3\n"
        "192.0.2.7:5555  offline transport_id:9\nDEF\tunauthorized\n\nnot a phone at all, is it\n"
    )
    phones = parse_devices(text)
    assert [phone.serial for phone in phones] == ["39071FDJH", "ABC123", "192.0.2.7:5555", "DEF"]
    assert phones[0] == Phone("39071FDJH", "device", "Pixel 8 Pro", "husky", "husky", "2")
    assert phones[1].state.startswith("no permissions")
    assert [phone.state for phone in phones[2:]] == ["offline", "unauthorized"]


@pytest.mark.parametrize(
    ("state", "words"),
    [("unauthorized", "not allowed"), ("no permissions; x", "may not open"), ("recovery", "in recovery, not in Android")],
)
def test_phones_that_take_no_commands_are_refused(tmp_path, monkeypatch, state, words):
    """The state in adb's list decides, before anything is sent there."""
    fake_adb(tmp_path, f"printf 'List of devices attached\\nP1\\t{state}\\n'")
    monkeypatch.setenv("EDGECOMPRESS_ADB", str(tmp_path / "adb"))
    for serial in (None, "P1"):
        with pytest.raises(DeviceError, match=words) as caught:
            open_adb(serial)
        assert caught.value.hint


def test_a_sentinel_must_be_the_last_line():
    """Only the token of this very command, at the very end, with a number, counts as its end."""
    script = program_script("/data/local/tmp/x", ["./p"], timeout_s=1.5, kill_after_s=5)
    assert "cd /data/local/tmp/x" in script.text and "exec timeout -k 5 1.5 ./p" in script.text
    token = script.token.encode()
    assert read_sentinel(b"out\n\n" + token + b"=7\n", script).stdout == b"out\n"
    assert read_sentinel(b"\n" + token + b"=7\n", script).exit_code == 7
    assert read_sentinel(b"\n" + token + b"=gone\n", script).exit_code is None
    other = plain_script("true").token.encode()
    for cut in (b"", b"out\n", b"\n" + token + b"=7", b"\n" + token + b"=\n", b"\n" + token + b"=7\nmore", b"\n" + other + b"=0\n"):
        assert read_sentinel(cut, script) is None


def test_facts_that_a_phone_hides_are_none():
    """Nonsense and silence give None, never a number that was not read."""
    facts = parse_facts("")
    assert (facts.model, facts.sdk, facts.soc, facts.battery_saver, facts.charging, facts.core_max_khz) == (None,) * 5 + ((),)
    assert facts.title == "a phone"
    text = (
        "[sdk]\nthirty\n[thermal]\nThermal Status: 99\n[saver]\nnull\n[cores]\ncpu0 x\ncpu1 99\n[battery]\n  level: 400\n[model]\n\x1b[1mX"
    )
    facts = parse_facts(text)
    assert (facts.sdk, facts.thermal_status, facts.battery_saver, facts.battery_percent) == (None,) * 4
    assert (facts.core_max_khz, facts.model) == ((None, 99), "[1mX")
