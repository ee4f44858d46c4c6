"""A session with a device becomes a log, and the log becomes a device: same numbers, or one sentence that names the line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from simulated_device import Faults, SimulatedDevice
from synthetic_mlperf_device import SyntheticMlperfDevice

from edgecompress.cli import main
from edgecompress.device import open_mlperf, open_serial
from edgecompress.device.session_log import Recording, read_session, replayed
from edgecompress.errors import DataError, DeviceError, LinkError, OutputError

DATA = bytes(i * 7 % 256 for i in range(500))
PLUS_ONE = bytes((b + 1) % 256 for b in DATA)


@pytest.fixture(autouse=True)
def _no_pause_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial sleeps 0.3 s after it closes a socket; the server here needs no rest."""
    from serial.urlhandler import protocol_socket

    monkeypatch.setattr(protocol_socket, "time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with our own protocol: one inference."""
    path = tmp_path_factory.mktemp("log") / "session.jsonl"
    record(path)
    return path


def record(path: Path, faults: Faults | None = None) -> None:
    with (
        SimulatedDevice(faults=faults or Faults()) as device,
        open_serial(device.url, baud=115200, timeout_s=0.4, clock_check_s=0, recording=Recording(path, "edgecompress run")) as serial,
    ):
        assert serial.run([DATA]) == [PLUS_ONE]


def replay(path: Path, data: bytes = DATA) -> list[bytes]:
    with open_serial(f"replay:{path}", baud=115200, timeout_s=0.4, clock_check_s=0) as serial:
        return serial.run([data])


def damaged(log: Path, path: Path, number: int, line: str) -> Path:
    """A copy of `log` with another line `number`, counted from 1."""
    lines = log.read_text(encoding="ascii").splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_log_plays_the_device(log: Path) -> None:
    """The outputs that came when it was recorded come again, and nothing is sent anywhere."""
    assert replay(log) == [PLUS_ONE]


def test_a_log_is_readable_text(log: Path) -> None:
    """JSON, an object a line: a header with port and command, what was sent and what came, rising times, an end."""
    header, *events = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    assert (header["session"], header["baud"], header["command"]) == (1, 115200, "edgecompress run")
    assert {"t": events[0]["t"], "sent": "%"} == events[0]
    assert any(event.get("came", "").startswith("m-ec-[") for event in events)
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    assert events[-1]["end"] is True


def test_repairs_are_played_as_they_were(tmp_path: Path) -> None:
    """A session with lost and damaged answers, whose frames went out again after a timeout, plays back to the same outputs."""
    losses = {2: b"", 6: b"m-ec-[00 0000 ok 00000000]\r\nm-ready\r\n", 8: b""}
    record(tmp_path / "log", Faults(tamper=lambda at, answer: losses.get(at, answer)))
    assert replay(tmp_path / "log") == [PLUS_ONE]


def test_measurements_are_played_with_their_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`measure --record` and `--port replay:`: both protocols give the same latencies again, compared with the recorded clock."""
    with SimulatedDevice() as ours, SyntheticMlperfDevice() as theirs:
        for url, words in ((ours.url, []), (theirs.url, ["--protocol", "mlperf-tiny"])):
            log, words = tmp_path / "log", ["measure", "serial:", *words, "--runs", "4", "--warmup", "1", "-o", str(tmp_path / "p.json")]
            assert main([*words, "--port", url, "--record", str(log)]) == 0, capsys.readouterr().err
            recorded = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
            assert main([*words, "--port", f"replay:{log}"]) == 0, capsys.readouterr().err
            played = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
            assert played["latency"] == recorded["latency"]
            if url == ours.url:
                assert played["conditions"]["clock_over_host"] == pytest.approx(recorded["conditions"]["clock_over_host"], rel=0.01)
            assert played["environment"]["port"] == f"replay:{log}"
            assert json.loads(log.read_text(encoding="ascii").splitlines()[0])["command"].startswith("edgecompress")


def test_another_command_is_named_with_its_line(log: Path) -> None:
    """Bytes that differ from what was sent are an error with the line, both texts, and the recorded command."""
    with pytest.raises(DeviceError, match=r"line \d+: when this was recorded, .* was sent; now .* is sent") as caught:
        replay(log, bytes(500))
    line = int(str(caught.value).partition("line ")[2].partition(":")[0])
    assert "load 0 0" in log.read_text(encoding="ascii").splitlines()[line - 1]
    assert "edgecompress run" in caught.value.hint


def test_more_than_was_recorded_is_named(log: Path) -> None:
    """A second inference, where one was recorded, is an error that says that the session ends."""
    with (
        open_serial(f"replay:{log}", baud=115200, clock_check_s=0) as serial,
        pytest.raises(DeviceError, match="when this was recorded, the session ends"),
    ):
        serial.run([DATA])
        serial.run([DATA])


def test_a_log_that_was_cut_anywhere_is_a_valid_beginning(log: Path, tmp_path: Path) -> None:
    """Whatever a kill leaves plays as far as it goes, and then says after which line it was cut short."""
    whole = log.read_bytes()
    cut = tmp_path / "cut"
    for length in range(whole.index(b"\n") + 1, len(whole), 331):
        cut.write_bytes(whole[:length])
        assert len(read_session(cut).events) == whole[:length].count(b"\n") - 1
        with pytest.raises(DeviceError, match=r"cut short after line \d+"):
            replay(cut)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"t": 0.1}', "expected one of sent, came, waited, dropped, end, full"),
        ('{"t": 0.1, "sent": "a", "came": "b"}', "expected one of"),
        ('{"sent": "a"}', "expected seconds as t"),
        ('{"t": -1, "sent": "a"}', "expected seconds as t"),
        ('{"t": true, "sent": "a"}', "expected seconds as t"),
        ('{"t": 1e999, "sent": "a"}', "expected seconds as t"),
        ('{"t": 1' + "0" * 400 + ', "sent": "a"}', "expected seconds as t"),
        ('{"t": 900.0, "sent": "a"}', "before the line above"),
        ('{"t": 0.0, "sent": 5}', "expected text as sent"),
        ('{"t": 0.0, "came": "\\u20ac"}', "no byte"),
        ('{"t": 0.0, "came": "€"}', "no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_damaged_log_is_named_with_its_line(log: Path, tmp_path: Path, line: str, complaint: str) -> None:
    """A line that no recording writes is a DataError with its number, before anything is played."""
    with pytest.raises(DataError, match=r"line [56]: the session log is damaged: .*" + complaint):
        replay(damaged(log, tmp_path / "log", 5, line))


def test_what_is_no_log_is_refused(tmp_path: Path, log: Path) -> None:
    """No name, a missing file, a folder, another text, an empty file, a newer version and an endless file are DataErrors."""
    with pytest.raises(DataError, match="replay: names no file"):
        open_serial("replay:", baud=115200)
    text = tmp_path / "text"
    text.write_text("hello\n", encoding="ascii")
    empty = tmp_path / "empty"
    empty.touch()
    newer = damaged(log, tmp_path / "newer", 1, '{"session": 2}')
    cases = {tmp_path / "none": "cannot be read", tmp_path: "cannot be read", text: "no session log", empty: "no session log"}
    for path, complaint in {**cases, newer: "version 2", Path("/dev/zero"): "more than 64 MB"}.items():
        with pytest.raises(DataError, match=complaint):
            replay(path)


def test_a_broken_link_is_recorded(tmp_path: Path) -> None:
    """A link that drops while it is recorded drops again at the same place, with the same words."""
    said = []
    log = tmp_path / "log"
    with SimulatedDevice(faults=Faults(drop_at=9)) as device:
        for url, recording in ((device.url, Recording(log)), (f"replay:{log}", None)):
            with (
                open_serial(url, baud=115200, clock_check_s=0, recording=recording) as serial,
                pytest.raises(LinkError, match="dropped") as caught,
            ):
                serial.run([DATA])
            said.append((str(caught.value), caught.value.hint))
    assert said[1][0].endswith(said[0][0]) and said[1][1] == said[0][1]


def test_waits_in_vain_are_told_and_not_worked_out(tmp_path: Path) -> None:
    """Bytes that a busy computer noted long after the wait for them come all the same, and silence only where the log has it."""
    path = tmp_path / "late"
    events = ({"t": 0, "sent": "a"}, {"t": 5, "came": "b"}, {"t": 5.1, "waited": True}, {"t": 5.2, "sent": "c"}, {"t": 9, "came": "d"})
    header = {"session": 1, "port": "x", "baud": 1, "started": "", "command": ""}
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *events, {"t": 9, "end": True})))
    stream = replayed(path)
    stream.write(b"a")
    assert (stream.read(1.0), stream.now()) == (b"b", 5.0)
    assert (stream.read(1.0), stream.now()) == (b"", 5.1)
    stream.write(b"c")
    assert stream.read(0.01) == b"d"
    unread = replayed(path)
    unread.write(b"a")
    unread.write(b"c")
    assert (unread.read(1.0), unread.read(1.0)) == (b"b", b"d")


def test_silence_is_played_without_waiting(tmp_path: Path) -> None:
    """An error that a silent device gave comes again, within the recorded clock's time."""
    log = tmp_path / "log"
    with SimulatedDevice(faults=Faults(silent=True)) as device, pytest.raises(DeviceError, match="nothing came back"):
        open_mlperf(device.url, baud=115200, timeout_s=0.3, recording=Recording(log))
    with pytest.raises(DeviceError, match="nothing came back"):
        open_mlperf(f"replay:{log}", baud=115200, timeout_s=0.3)


def test_a_log_does_not_grow_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log is full the session goes on; what is there says so when it is played."""
    monkeypatch.setattr("edgecompress.device.session_log.MAX_LOG_BYTES", 2 * 4096 * 6 + 1500)
    record(tmp_path / "log")
    assert "full" in json.loads((tmp_path / "log").read_text(encoding="ascii").splitlines()[-1])
    with pytest.raises(DeviceError, match="cut short"):
        replay(tmp_path / "log")


def test_a_log_that_cannot_be_written_is_said_before_the_session(log: Path, tmp_path: Path) -> None:
    """A folder in its place, and the log that is being played back, are OutputErrors; the latter stays whole."""
    before = log.read_bytes()
    with SimulatedDevice() as device:
        with pytest.raises(OutputError, match="cannot be written"):
            open_serial(device.url, baud=115200, recording=Recording(tmp_path))
        assert not device.commands
    with pytest.raises(OutputError, match="would replace"):
        open_serial(f"replay:{log}", baud=115200, recording=Recording(log))
    assert log.read_bytes() == before


@pytest.mark.parametrize("target", ["local", "cortex-m4"])
def test_only_a_board_on_a_port_is_recorded(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target without a wire refuses --record in one sentence."""
    assert main(["measure", target, "model.tflite", "--record", str(tmp_path / "log")]) == 2
    assert "a session is recorded of a board on a serial port" in capsys.readouterr().err
