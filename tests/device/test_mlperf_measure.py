"""`measure serial: --protocol mlperf-tiny`: firmware that is not ours becomes a profile, and a time that cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic_mlperf_device import SyntheticMlperfDevice

from edgecompress.cli.measure import command
from edgecompress.errors import DataError, DeviceError, LinkError
from edgecompress.pipeline.mlperf import check_times, measure_mlperf


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
        measure_mlperf(device.url, target="serial:", input_bytes=5000, runs=1, warmup=0)


def test_a_model_that_is_not_the_benchmarks_needs_a_size() -> None:
    """The size of an unknown model's input is asked for, not guessed."""
    with SyntheticMlperfDevice(model="mine") as device, pytest.raises(DataError, match="'mine'"):
        measure_mlperf(device.url, target="serial:", input_bytes=None, runs=1, warmup=0)


def test_a_time_that_did_not_pass_is_refused() -> None:
    """An inference that ends, by the device's word, ten seconds after it was asked for the time is a LinkError."""
    with SyntheticMlperfDevice(lie=10_000_000) as device, pytest.raises(LinkError, match="out of order"):
        measure_mlperf(device.url, target="serial:", input_bytes=None, runs=1, warmup=0)


@pytest.mark.parametrize(
    ("times", "measured"), [((5, 4, 900, 901), 100.0), ((1, 2, 50_000, 50_001), 40_000.0), ((1, 2, 3000, 90_000), 100.0)]
)
def test_times_are_held_against_order_and_the_hosts_clock(times: tuple[int, ...], measured: float) -> None:
    """Falling times, an inference longer than its wait, and a session longer than ours are refused; times that fit pass."""
    check_times("port", (1, 2, 3000, 3001), 2000.0, came_us=3000.0, passed_us=4000.0)
    with pytest.raises(LinkError):
        check_times("port", times, measured, came_us=3000.0, passed_us=4000.0)
