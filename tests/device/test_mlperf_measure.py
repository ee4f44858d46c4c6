"""`measure serial: --protocol mlperf-tiny`: firmware that is not ours becomes a profile, and a time that cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic_mlperf_device import SyntheticMlperfDevice

from edgecompress.cli import main
from edgecompress.cli.measure import command
from edgecompress.device import MlperfDevice, open_mlperf
from edgecompress.device.mlperf_times import TimedRun, problem_of
from edgecompress.errors import DataError, DeviceError, LinkError, TargetError
from edgecompress.pipeline import measure
from edgecompress.pipeline.firmware import SerialPort
from edgecompress.pipeline.mlperf import measure_mlperf
from edgecompress.protocol import SerialProtocol
from edgecompress.resources import resource_dir


def test_firmware_of_somebody_else_is_measured(tmp_path: Path) -> None:
    """The command completes against a minimal device; the profile holds its microseconds, and null where the protocol says nothing."""
    output = tmp_path / "profile.json"
    with SyntheticMlperfDevice() as device:
        words = ["serial:", "--port", device.url, "--protocol", "mlperf-tiny", "--runs", "3", "--warmup", "1", "-o", str(output)]
        CliRunner().invoke(command, words, catch_exceptions=False)
        assert len(device.loaded) == 490
    profile = json.loads(output.read_text(encoding="utf-8"))
    assert (profile["engine"], profile["parity"], profile["model"]["name"]) == (None, None, "kws01")
    assert (profile["latency"]["unit"], profile["latency"]["runs"]) == ("us", 3)
    assert profile["latency"]["min"] >= 1000
    assert profile["environment"]["vendor"] == "elsewhere"


def test_a_sample_that_is_too_large_is_named() -> None:
    """A device that complains without the protocol's e- is quoted, before any byte travels."""
    with SyntheticMlperfDevice(model="mine") as device, pytest.raises(DeviceError, match="exceeds maximum of 4096"):
        measure_mlperf(SerialPort(device.url, 115200, None), input_bytes=5000, runs=1, warmup=0)


def test_a_model_that_is_not_the_benchmarks_needs_a_size() -> None:
    """The size of an unknown model's input is asked for, not guessed."""
    with SyntheticMlperfDevice(model="mine") as device, pytest.raises(DataError, match="'mine'"):
        measure_mlperf(SerialPort(device.url, 115200, None), input_bytes=None, runs=1, warmup=0)


def test_a_time_that_did_not_pass_is_refused() -> None:
    """An inference that ends, by the device's word, ten seconds after it was asked for the time is a LinkError."""
    with SyntheticMlperfDevice(lie=10_000_000) as device, pytest.raises(LinkError, match="out of order"):
        measure_mlperf(SerialPort(device.url, 115200, None), input_bytes=None, runs=1, warmup=0)


@pytest.mark.parametrize(
    ("times", "measured", "problem"),
    [
        ((5, 4, 900, 901), 100, "out of order"),
        ((1, 2, 3000, 3001), 2999, "out of order"),
        ((1, 2, 50_000, 50_001), 40_000, "for its inference"),
        ((1, 2, 3000, 90_000), 100, "for all of it"),
    ],
)
def test_times_are_held_against_order_and_the_hosts_clock(times: tuple[int, int, int, int], measured: int, problem: str) -> None:
    """Falling times, an inference longer than its bounds or its wait, and a session longer than ours are refused; times that fit pass."""
    assert problem_of(TimedRun((1, 2), 2000, (3000, 3001), came_us=3000.0, passed_us=4000.0)) is None
    found = problem_of(TimedRun(times[:2], measured, times[2:], came_us=3000.0, passed_us=4000.0))
    assert found is not None and problem in found


@pytest.mark.parametrize("option", ["--engine=aot", "--data=x.npy", "--parity-inputs=1", "--toolchain=gcc"])
def test_options_that_the_protocol_cannot_serve_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one sentence with exit code 2, before a port is opened."""
    assert main(["measure", "serial:", "--port", "socket://127.0.0.1:9", "--protocol", "mlperf-tiny", option]) == 2
    said = capsys.readouterr().err
    assert f"{option.partition('=')[0]} has no effect here: mlperf-tiny tells times only" in said


def test_the_rate_is_that_of_the_target_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board whose target file says 9600 baud is spoken to at 9600 baud, and the profile has the target's name and limits."""
    opened: list[int] = []

    def open_slowly(url: str, *, baud: int, recording: object) -> MlperfDevice:
        opened.append(baud)
        return open_mlperf(url, baud=baud)

    monkeypatch.setattr("edgecompress.device.open_mlperf", open_slowly)
    text = (resource_dir("targets") / "nucleo-l4r5zi.toml").read_text(encoding="utf-8")
    file = tmp_path / "slow.toml"
    file.write_text(text.replace('"nucleo-l4r5zi"', '"slow"', 1).replace("baud = 115200", "baud = 9600"), encoding="utf-8")
    with SyntheticMlperfDevice() as device:
        profile = measure(str(file), port=device.url, protocol=SerialProtocol.MLPERF_TINY, runs=1, warmup=0)
    assert opened == [9600]
    assert (profile.target, profile.limits is not None) == ("slow", True)


@pytest.mark.parametrize("target", ["cortex-m4", "local"])
def test_a_target_without_a_port_does_not_speak_it(target: str) -> None:
    """An emulated core and this computer are no boards on a port."""
    with pytest.raises(TargetError, match="spoken by a board on a port"):
        measure(target, protocol=SerialProtocol.MLPERF_TINY)
