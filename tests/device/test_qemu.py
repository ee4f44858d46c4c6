"""Our firmware in QEMU, through its UART: right bytes, counts that repeat and equal the emulator's, and MLPerf Tiny's commands on a
pseudo-terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_firmware import SAMPLE, TOUCHED_BYTES, toy_model, toy_output

from edgecompress.artifact import Firmware
from edgecompress.build import build_firmware
from edgecompress.device import open_emulator, open_mlperf, open_qemu, open_serial
from edgecompress.device.qemu import Machine, start_on_pty, start_on_socket
from edgecompress.device.session_log import Recording
from edgecompress.errors import DeviceError, LinkError, TargetError, ToolError
from edgecompress.target import load_target

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="needs qemu-system-arm: apt-get install qemu-system-arm (.ci/packages.txt, group serial)",
)

AN386, AN500, AN547 = "qemu-mps2-an386", "qemu-mps2-an500", "qemu-mps3-an547"
EMULATED = {AN386: "cortex-m4", AN500: "cortex-m7"}
BENCH = "ic01"
"""A toy under the name of a benchmark whose data are pixels."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """Builds a toy for a target, each only once."""
    built: dict[tuple[str, str, str], Firmware] = {}

    def build(target: str, *, name: str = "toy", breakage: str = "") -> Firmware:
        key = (target, name, breakage)
        if key not in built:
            toy = toy_model(name=name, before_step_1=breakage)
            built[key] = build_firmware(toy, load_target(target), output=tmp_path_factory.mktemp("toy") / "out")
        return built[key]

    return build


@pytest.fixture
def terminal(build):
    """A running machine whose UART is a pseudo-terminal, with the toy that is called like a benchmark."""
    machine = start_on_pty(build(AN386, name=BENCH).elf, load_target(AN386).link)
    yield machine
    machine.stop()


@pytest.mark.parametrize("target", [AN386, AN500, AN547])
def test_outputs_and_counts(build, target):
    """On each machine the bytes are the model's, the counts of two sessions are equal, and steps and memory are reported."""
    measured = []
    for _ in range(2):
        with open_qemu(build(target), load_target(target)) as device:
            for data in (SAMPLE, bytes(16), bytes(range(16))):
                assert device.run([data]) == [toy_output(data)]
            assert device.info().step_count == 2
            measured.append(device.measure([SAMPLE], runs=3, warmup=1))
    first, second = measured
    assert first.unit == "instructions"
    assert first.samples == second.samples == (first.first,) * 3
    assert first.ops == second.ops
    assert len(first.ops) == 2
    assert 0 < sum(first.ops) < 1.2 * first.first
    assert first.arena_touched_bytes == TOUCHED_BYTES
    assert 0 < first.stack_bytes < 200
    assert first.environment["qemu_machine"] == load_target(target).link.machine


@pytest.mark.parametrize("target", [AN386, AN500])
def test_counts_equal_the_emulators(build, target):
    """QEMU and the emulator count the same instructions of the same core, in all and per step."""
    with open_qemu(build(target), load_target(target)) as device:
        qemu = device.measure([SAMPLE], runs=1, warmup=0)
    core = EMULATED[target]
    with open_emulator(build(core), load_target(core)) as device:
        emulated = device.measure([SAMPLE], runs=1, warmup=0)
    assert qemu.samples == emulated.samples
    assert qemu.ops == emulated.ops
    assert qemu.stack_bytes == emulated.stack_bytes


def test_a_fault_is_reported(build):
    """Firmware that reads where nothing is stops in a fault, and the error has its address."""
    firmware = build(AN386, breakage="*(volatile uint32_t *)0xE0200000u = 1;")
    with open_qemu(firmware, load_target(AN386)) as device, pytest.raises(DeviceError, match=r"fault: exception 3 pc=0000[0-9a-f]{4}"):
        device.run([SAMPLE])


def test_the_process_ends_with_the_device(build):
    """Whatever ends the block, Ctrl-C too, QEMU is gone after it."""
    firmware = build(AN386)
    with pytest.raises(KeyboardInterrupt), open_qemu(firmware, load_target(AN386)) as device:
        process = device._machine._process
        raise KeyboardInterrupt
    assert process.returncode is not None


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, of util-linux")
def test_the_process_ends_with_ours(build):
    """When the process that started QEMU is killed outright, QEMU ends too: nothing is left to spin."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edgecompress.device.qemu import start_on_socket\n"
        "from edgecompress.target import load_target\n"
        f"print(start_on_socket(Path(sys.argv[1]), load_target({AN386!r}).link)._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(build(AN386).elf)], stdout=subprocess.PIPE, text=True) as ours:
        pid = int(ours.stdout.readline())
        os.kill(pid, 0)
        ours.kill()
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("QEMU outlived the process that started it")


def test_a_machine_that_dies_is_explained(build):
    """When QEMU is killed in the middle, the error is about QEMU and names its command."""
    with open_qemu(build(AN386), load_target(AN386)) as device:
        os.kill(device._machine._process.pid, signal.SIGKILL)
        with pytest.raises(ToolError, match="qemu-system-arm stopped") as caught:
            device.run([SAMPLE])
    assert "-M mps2-an386" in caught.value.hint


def test_a_firmware_that_is_no_firmware(tmp_path, build):
    """A file that QEMU cannot load is a ToolError with QEMU's words."""
    broken = tmp_path / "firmware.elf"
    broken.write_bytes(b"")
    firmware = Firmware(broken, AN386, build(AN386).info, build(AN386).sizes, "none")
    with pytest.raises((ToolError, DeviceError)):
        open_qemu(firmware, load_target(AN386))


def test_a_target_without_qemu_is_refused(build):
    """A target that is no QEMU machine is a TargetError."""
    with pytest.raises(TargetError, match="no QEMU machine"):
        open_qemu(build(AN386), load_target("cortex-m4"))


def test_missing_qemu_names_the_package(build, monkeypatch):
    """Without QEMU on the path, the error names the Debian package."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="not installed") as caught:
        open_qemu(build(AN386), load_target(AN386))
    assert "apt-get install qemu-system-arm" in caught.value.hint


def test_an_unknown_machine_is_explained(build):
    """A machine that QEMU lacks is a ToolError with QEMU's words, whichever way its UART was asked for."""
    link = load_target(AN386).link.model_copy(update={"machine": "no-such-board"})
    with pytest.raises(ToolError, match="unsupported machine"):
        start_on_pty(build(AN386).elf, link)
    machine = start_on_socket(build(AN386).elf, link)
    assert "unsupported machine" in (machine.last_words(5) or "")
    machine.stop()


def test_mlperf_tiny_on_a_terminal(terminal: Machine):
    """The sequence of MLPerf Tiny's runner: name, profile, db load, infer, results; pixels arrive minus 128."""
    pixels = bytes(i * 11 % 256 for i in range(16))
    stored = bytes(pixel ^ 0x80 for pixel in pixels)
    with open_mlperf(terminal.url, baud=115200, timeout_s=10) as dut:
        assert dut.name == "edgecompress"
        assert dut.profile().model == BENCH
        with pytest.raises(DeviceError, match="expected 16"):
            dut.infer(1, 0)
        dut.load(pixels)
        run = dut.infer(4, 2)
        q = np.frombuffer(toy_output(stored), np.int8).astype(np.float32)
        assert run.results == tuple(float(f"{value:.3f}") for value in (q + 3) * np.float32(0.5))
        assert dut.results() == run.results
        # 4 runs of about 300 instructions of 0.128 us
        assert 100 < run.microseconds < 200
        assert dut.timestamp() > run.microseconds
        with pytest.raises(DeviceError, match="exceeds maximum of 16"):
            dut.load(bytes(17))
        dut.load(bytes(64))  # float32: zeros, which are the zero point
        printed = dut._command("db print")
    assert printed.lines == ("m-buffer-fd-fd-fd-fd-fd-fd-fd-fd",) * 2


def test_both_protocols_share_a_port(terminal: Machine):
    """Our frames and MLPerf Tiny's commands take turns on one port, and garbage between them does no harm."""
    import serial

    with open_mlperf(terminal.url, baud=115200, timeout_s=10) as dut:
        assert dut.profile().model == BENCH
    for garbage in (b"db 00f", b"\x00\xff\x1b[A" * 50, b"ec 01 0004 info 00000000%", b"%%%%", b"x" * 2000, b"ec 01"):
        with serial.Serial(terminal.url, timeout=1) as port:
            port.write(garbage)
        with open_serial(terminal.url, baud=115200, timeout_s=10) as device:
            assert device.run([SAMPLE]) == [toy_output(SAMPLE)]


def test_a_session_with_firmware_is_replayed(terminal: Machine, tmp_path: Path):
    """What real firmware said on a pseudo-terminal, in both protocols, is played back without it: the same outputs and results."""
    ours, mlperf = tmp_path / "ours", tmp_path / "mlperf"
    pixels = bytes(value ^ 0x80 for value in SAMPLE)
    heard = []
    for url in (terminal.url, None):
        recording = [Recording(path) if url else None for path in (ours, mlperf)]
        with open_serial(url or f"replay:{ours}", baud=115200, timeout_s=10, recording=recording[0]) as device:
            outputs = device.run([SAMPLE])
        with open_mlperf(url or f"replay:{mlperf}", baud=115200, timeout_s=10, recording=recording[1]) as dut:
            dut.load(pixels)
            heard.append((outputs, dut.infer(3, 1)))
        terminal.stop()
    assert heard[0] == heard[1]
    assert heard[0][0] == [toy_output(SAMPLE)]


def test_emulated_time_is_not_sold_as_latency(terminal: Machine):
    """QEMU behind an ordinary port is recognized, and not measured in microseconds."""
    with open_serial(terminal.url, baud=115200, timeout_s=10) as device, pytest.raises(DeviceError, match="emulator"):
        device.measure([SAMPLE], runs=1, warmup=0)


def test_a_terminal_that_vanishes(terminal: Machine):
    """When the other end of the port goes away, the error is a LinkError."""
    with open_serial(terminal.url, baud=115200, timeout_s=10) as device:
        terminal.stop()
        with pytest.raises((LinkError, DeviceError)):
            device.run([SAMPLE])


def test_no_process_is_left(build):
    """After all this no QEMU of ours runs."""
    elf = str(build(AN386).elf)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if elf in line and "qemu-system-arm" in line]
