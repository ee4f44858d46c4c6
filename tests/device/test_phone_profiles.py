"""Profiles of a simulated phone that fails: each is right, or there is one clear error, and the phone is left as it was."""

from __future__ import annotations

import collections
import dataclasses
import platform
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from simulated_phone import SimulatedPhone
from simulated_phone.faults import random_fault
from toy_firmware import SAMPLE, toy_model, toy_output

from edgecompress.build import build_runner, find_machine
from edgecompress.device import native
from edgecompress.device.adb import Patience, open_adb
from edgecompress.device.native import CoreClass, open_native
from edgecompress.errors import EdgeCompressError
from edgecompress.profile import summarize

if platform.system() != "Linux":
    pytest.skip("the runner is a Linux program: run these tests on Linux", allow_module_level=True)

RUNS, FIRST_SEED, THREADS = 200, 1000, 6
TIMED = 3
HASTY = Patience(call_s=1.5, connect_s=3.0, transfer_s=1.5, kill_after_s=0.2)
PATIENCE = Patience(call_s=20.0, connect_s=5.0, transfer_s=20.0, kill_after_s=0.5)


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    """A hanging shell costs seconds here; on a real phone an inference may take minutes."""
    for name in ("INFO_TIMEOUT_S", "RUN_TIMEOUT_S", "MEASURE_EXTRA_TIMEOUT_S"):
        monkeypatch.setattr(native, name, 3.0)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """The toy model as a program for this computer's processor, which the simulated phone has as well."""
    return build_runner(toy_model(), find_machine(platform.machine()), output=tmp_path_factory.mktemp("runner") / "out")


def right_profile(phone: SimulatedPhone, runner, patience: Patience) -> str | None:
    """Connect, push, run, parse, pull, clean: the outputs and every field of the measurement are compared; what stayed on the phone."""
    remote = open_adb(phone.serial, patience=patience)
    with open_native(remote, runner.executable, runner.info, core=CoreClass.ANY, min_seconds=0, warmup_seconds=0) as device:
        assert device.run([SAMPLE]) == [toy_output(SAMPLE)]
        measured = device.measure([SAMPLE], runs=TIMED, warmup=1)
    latency = summarize(measured)
    assert (latency.unit, latency.runs, len(measured.ops)) == ("us", TIMED, 2)
    assert 0 <= latency.min <= latency.p50 <= latency.p90 <= latency.p99 < 1e6
    assert measured.peak_rss_bytes and measured.conditions is not None
    return remote.left_behind


def test_a_profile_from_a_phone(phone, runner):
    """Without a fault: right, and nothing stays."""
    assert right_profile(phone, runner, PATIENCE) is None
    assert phone.sandbox.files() == []


def one_run(phone: SimulatedPhone, runner, seed: int) -> tuple[str, str]:
    """A run with a fault drawn from its seed; which fault, and how it ended."""
    fault = random_fault(random.Random(seed), most_bytes=runner.executable.stat().st_size)
    if fault is not None and fault.kind.name.startswith("PULL"):
        fault = dataclasses.replace(fault, after_bytes=fault.after_bytes % len(SAMPLE))
    phone.faults.set(*([] if fault is None else [fault]))
    left: str | None = None
    try:
        left = right_profile(phone, runner, HASTY)
        outcome = "right"
    except EdgeCompressError as error:
        assert error.message and error.hint, f"seed {seed}: {error!r}"
        outcome, left = type(error).__name__, "still on the phone" if "still on the phone" in error.hint else None
    met = fault is not None and fault.kind in phone.faults.met
    if left is None:
        assert phone.sandbox.files() == [], f"seed {seed}: {fault} left {phone.sandbox.files()}"
    phone.faults.set()
    phone.plug_in()
    if left is not None:
        with open_adb(phone.serial, patience=PATIENCE) as remote:
            assert phone.sandbox.files() == [Path(remote.folder).name], f"seed {seed}: {fault} was not swept"
    assert phone.sandbox.files() == [], f"seed {seed}: {fault}"
    assert phone.sandbox.left_running() == [], f"seed {seed}: {fault} left a program running"
    return (fault.kind.value if met and fault is not None else "no fault met", f"{outcome}, swept later" if left else outcome)


def test_random_faults_give_right_profiles_or_clear_errors(make_phone, runner, record_property):
    """Of 200 seeded runs each gives a right profile or a clear error, never a wrong number, and the phone is empty afterwards."""
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    lock = threading.Lock()
    phones = [make_phone(f"phone{number}", properties={"ro.product.cpu.abilist": platform.machine()}) for number in range(THREADS)]

    def worker(number: int) -> None:
        for seed in range(FIRST_SEED + number, FIRST_SEED + RUNS, THREADS):
            ended = one_run(phones[number], runner, seed)
            with lock:
                outcomes[ended] += 1

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(worker, range(THREADS)))
    assert sum(outcomes.values()) == RUNS
    for fault in sorted({fault for fault, _ in outcomes}):
        counts = ", ".join(f"{count} x {outcome}" for (name, outcome), count in sorted(outcomes.items()) if name == fault)
        record_property("result", f"profiles, {RUNS} random runs against a simulated phone: {fault}: {counts}")
