"""The serial code against a simulated device that is silent, lies, drops or restarts: every failure is one clear error in bounded time."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace

import pytest
from simulated_device import Faults, SimulatedDevice

from edgecompress.device import SerialDevice, open_mlperf, open_serial
from edgecompress.errors import DataError, DeviceError, LinkError

DATA = bytes(i * 7 % 256 for i in range(500))
PLUS_ONE = bytes((b + 1) % 256 for b in DATA)
TIMEOUT_S = 0.2


@pytest.fixture(autouse=True)
def _no_pause_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial sleeps 0.3 s after it closes a socket; the server here needs no rest."""
    from serial.urlhandler import protocol_socket

    monkeypatch.setattr(protocol_socket, "time", SimpleNamespace(sleep=lambda _: None))


def connect(device: SimulatedDevice) -> SerialDevice:
    return open_serial(device.url, baud=115200, timeout_s=TIMEOUT_S, clock_check_s=0)


def once(number: int, change: Callable[[bytes], bytes]) -> Callable[[int, bytes], bytes]:
    """A fault that happens to one command or answer only."""
    return lambda at, data: change(data) if at == number else data


def test_outputs_come_back() -> None:
    """500 bytes go out in three chunks and come back computed; the model is the one that the device names."""
    with SimulatedDevice() as device, connect(device) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]
        assert serial.info().name == "plus_one"
        assert serial.info().inputs[0].bytes == 500


def test_inputs_travel_once() -> None:
    """The device keeps copies of its inputs, so the same inputs are not loaded again."""
    with SimulatedDevice() as device, connect(device) as serial:
        serial.run([DATA])
        loads = sum(b"load" in command for command in device.commands)
        serial.measure([DATA], runs=3, warmup=1)
        assert sum(b"load" in command for command in device.commands) == loads == 3


def test_measurement_is_in_microseconds_without_the_overhead() -> None:
    """Ticks become microseconds of the device's counter, less an empty call; cycles where the counter is the core's."""
    with SimulatedDevice(ticks=1000, overhead=40, clock_hz=1_000_000) as device, connect(device) as serial:
        measured = serial.measure([DATA], runs=3, warmup=1)
    assert measured.unit == "us"
    assert measured.samples == (960.0, 960.0, 960.0)
    assert measured.ops == tuple(float(i) for i in range(20))
    assert (measured.cycles, measured.clock_hz, measured.stack_bytes) == (960, 1_000_000, 120)


def test_the_devices_clock_is_compared_with_ours() -> None:
    """A counter that runs 10 % fast is found out, up to what the round trips leave open; equal runs have no spread."""
    with SimulatedDevice(clock_error=0.1) as device, open_serial(device.url, baud=115200, timeout_s=5, clock_check_s=0.5) as serial:
        seen = serial.measure([DATA], runs=3, warmup=0).conditions
    assert seen is not None
    assert seen.spread == 0.0
    assert seen.clock_over_host is not None and seen.clock_over_host_within is not None
    assert abs(seen.clock_over_host - 1.1) <= 1.2 * seen.clock_over_host_within + 1e-5


def test_emulated_time_is_no_latency() -> None:
    """A device without a clock (an emulator on a socket) cannot be measured in microseconds."""
    with SimulatedDevice(clock_hz=0) as device, connect(device) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]
        with pytest.raises(DeviceError, match="emulator"):
            serial.measure([DATA], runs=1, warmup=0)


@pytest.mark.parametrize("number", [1, 2, *range(5, 16)])
def test_a_damaged_answer_is_asked_for_again(number: int) -> None:
    """Whichever answer arrives damaged, lost or doubled, the outputs are right."""
    for change in (lambda a: a.replace(b"ok", b"oh"), lambda _: b"", lambda a: a + a):
        with SimulatedDevice(faults=Faults(tamper=once(number, change))) as device, connect(device) as serial:
            assert serial.run([DATA]) == [PLUS_ONE]


def test_a_lost_result_is_not_waited_for() -> None:
    """When the result of an inference is lost but its m-ready arrives, it is asked for again at once, not after an inference's timeout."""

    def lose(_: int, answer: bytes) -> bytes:
        head, running, tail = answer.partition(b"running")
        if not running or lost:
            return answer
        lost.append(True)
        return head + running + tail.splitlines(keepends=True)[0] + b"m-ready\r\n"

    lost: list[bool] = []
    start = time.monotonic()
    with SimulatedDevice(faults=Faults(tamper=lose)) as device, open_serial(device.url, baud=115200, timeout_s=20) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]
    assert lost
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("seed", range(6))
def test_a_noisy_line_gives_the_right_bytes_or_an_error(seed: int) -> None:
    """One byte in 500 is damaged, lost or doubled, both ways: outputs are right or a DeviceError is raised, never wrong."""
    rng = random.Random(seed)

    def noise(_: int, data: bytes) -> bytes:
        noisy = bytearray()
        for byte in data:
            kind = rng.random()
            if kind < 0.0007:
                noisy.append(rng.randrange(256))
            elif kind < 0.0014:
                noisy += bytes([byte, byte])
            elif kind < 0.002:
                continue
            else:
                noisy.append(byte)
        return bytes(noisy)

    with SimulatedDevice(faults=Faults(tamper=noise, damage=noise)) as device, suppress(DeviceError), connect(device) as serial:
        for _ in range(3):
            data = rng.randbytes(500)
            assert serial.run([data]) == [bytes((b + 1) % 256 for b in data)]


@pytest.mark.parametrize("number", [1, 2, *range(5, 16)])
def test_a_damaged_command_is_sent_again(number: int) -> None:
    """Whichever command arrives damaged at the device, the outputs are right."""
    with SimulatedDevice(faults=Faults(damage=once(number, lambda c: c[:-1] + b"x"))) as device, connect(device) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]


def test_half_a_command_of_somebody_else_does_no_harm() -> None:
    """A device that waits for the rest of an old command is brought back."""
    with SimulatedDevice(faults=Faults(half_a_command=b"db 00ff")) as device, connect(device) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]


def test_commands_of_somebody_else_that_finish_late_do_no_harm() -> None:
    """A dozen old commands end among our greetings; their m-readys are not taken for the ends of ours."""
    with (
        SimulatedDevice(faults=Faults(half_a_command=b"old%" * 12, delay_s=0.01)) as device,
        open_serial(device.url, baud=115200, timeout_s=5) as serial,
    ):
        assert serial.run([DATA]) == [PLUS_ONE]


def test_a_slow_device_is_waited_for() -> None:
    """Answers that take their time, within the timeout, are no error."""
    with SimulatedDevice(faults=Faults(delay_s=0.03)) as device, connect(device) as serial:
        assert serial.run([DATA]) == [PLUS_ONE]


def test_silence_is_named() -> None:
    """A device that says nothing is a DeviceError that says what was sent, within the timeout."""
    start = time.monotonic()
    with SimulatedDevice(faults=Faults(silent=True)) as device, pytest.raises(DeviceError, match="nothing came back"):
        connect(device)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("babble", [b"hello\r\n> ", b"\xff\xfe\x00\x81\n", b"login: "])
def test_another_language_is_quoted(babble: bytes) -> None:
    """A device that talks something else is a DeviceError that quotes it."""
    with SimulatedDevice(faults=Faults(babble=babble)) as device, pytest.raises(DeviceError, match="something else"):
        connect(device)


def test_a_foreign_firmware_is_recognized() -> None:
    """Firmware of MLPerf Tiny without our frames is named as such."""
    with SimulatedDevice(faults=Faults(only_mlperf=True)) as device, pytest.raises(DeviceError, match="MLPerf Tiny"):
        connect(device)


def test_an_endless_line_ends() -> None:
    """A device that sends megabytes without a line end is an error, not a full memory."""
    with SimulatedDevice(faults=Faults(babble=b"x" * 700_000)) as device, pytest.raises((LinkError, DeviceError)):
        open_serial(device.url, baud=115200, timeout_s=3)


@pytest.mark.parametrize("command", [8, 9, 10])
def test_a_drop_in_the_middle_of_a_load(command: int) -> None:
    """A link that drops while an input is loaded is a LinkError."""
    with (
        SimulatedDevice(faults=Faults(drop_at=command)) as device,
        connect(device) as serial,
        pytest.raises(LinkError, match="dropped"),
    ):
        serial.run([DATA])


def test_a_restart_in_the_middle_of_a_load() -> None:
    """A device that boots in the middle of the work is a LinkError that says so."""
    with (
        SimulatedDevice(faults=Faults(restart_at=8)) as device,
        connect(device) as serial,
        pytest.raises(LinkError, match="restarted"),
    ):
        serial.run([DATA])


def test_a_link_that_stays_bad_is_given_up() -> None:
    """When every answer from some point on is damaged, the error says what was sent and what came."""

    def damage(at: int, answer: bytes) -> bytes:
        return answer.replace(b"ok", b"oh") if at > 6 else answer

    with SimulatedDevice(faults=Faults(tamper=damage)) as device, connect(device) as serial, pytest.raises(LinkError, match="last sent"):
        serial.run([DATA])


def test_a_fault_is_reported_with_its_address() -> None:
    """A core that stopped in a fault is a DeviceError with the program counter."""
    fault = b"\r\ne-[Fault 3 pc=00001234 lr=00000000 status=00000400 address=00000000]\r\nm-ready\r\n"
    with (
        SimulatedDevice(faults=Faults(tamper=lambda at, answer: fault if at > 8 else answer)) as device,
        connect(device) as serial,
        pytest.raises(DeviceError, match="pc=00001234"),
    ):
        serial.run([DATA])


def test_inputs_are_checked_before_they_travel() -> None:
    """An input of the wrong size is a DataError, and nothing is sent."""
    with SimulatedDevice() as device, connect(device) as serial:
        before = len(device.commands)
        with pytest.raises(DataError, match="500 bytes"):
            serial.run([DATA[:-1]])
        assert len(device.commands) == before


def test_an_absent_port_is_named() -> None:
    """A port that does not exist, or a socket where nobody listens, is a DeviceError with its name."""
    with pytest.raises(DeviceError, match="no serial port /dev/ttyNONE"):
        open_serial("/dev/ttyNONE", baud=115200)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_serial(f"socket://127.0.0.1:{port}", baud=115200)


@pytest.mark.parametrize("url", ["/etc/hostname", "/tmp", "nonsense://x", "socket://", "socket://127.0.0.1:99999999", ""])
def test_what_is_no_port_is_refused(url: str) -> None:
    """A file, a folder or a malformed URL is a DeviceError."""
    with pytest.raises(DeviceError):
        open_serial(url, baud=115200)


@pytest.mark.parametrize("url", ["socket://localhost", "socket://:4000", "socket://localhost:port"])
def test_a_socket_without_host_or_port_says_how_one_is_written(url: str) -> None:
    """The error shows the form of the URL, not what a library stumbled over."""
    with pytest.raises(DeviceError, match="names no host and port") as caught:
        open_serial(url, baud=115200)
    assert "socket://localhost:4000" in caught.value.hint


def test_a_busy_port_is_named() -> None:
    """A port that another program holds is a DeviceError that says so."""
    import serial

    main, terminal = os.openpty()
    name = os.ttyname(terminal)
    try:
        with serial.Serial(name, exclusive=True), pytest.raises(DeviceError, match="in use"):
            open_serial(name, baud=115200)
    finally:
        os.close(main)
        os.close(terminal)


def test_mlperf_firmware_is_measured() -> None:
    """Firmware that speaks only MLPerf Tiny is driven: name, profile, load, infer, results."""
    with SimulatedDevice(size=100, faults=Faults(only_mlperf=True)) as device, open_mlperf(device.url, baud=115200) as dut:
        assert dut.name == "somebody"
        assert dut.profile().model == "ic01"
        assert dut.timestamp() == 1234
        dut.load(DATA[:100])
        run = dut.infer(4, 2)
        assert (run.microseconds, run.results) == (1000, (0.125, -0.0, 0.875))
        measured = dut.measure(DATA[:100], runs=3, warmup=2)
    assert (measured.unit, measured.samples) == ("us", (250.0, 250.0, 250.0))


def test_mlperf_complaints_are_passed_on() -> None:
    """What the device complains of is the error's message, and the link stays usable."""
    with SimulatedDevice(size=100, faults=Faults(only_mlperf=True)) as device, open_mlperf(device.url, baud=115200) as dut:
        with pytest.raises(DeviceError, match="exceeds maximum of 100"):
            dut.load(DATA)
        with pytest.raises(DeviceError, match="Unknown command: results"):
            dut.results()
        assert dut.profile().firmware == "firmware 7"


def test_mlperf_silence_is_named() -> None:
    """No answer to `name` is a DeviceError within the timeout."""
    with SimulatedDevice(faults=Faults(silent=True)) as device, pytest.raises(DeviceError, match="nothing came back"):
        open_mlperf(device.url, baud=115200, timeout_s=TIMEOUT_S)
