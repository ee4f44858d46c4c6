"""A simulated phone that fails: each fault is repaired or one clear error, no wrong byte comes back, and nothing stays on the phone."""

from __future__ import annotations

import collections
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from simulated_phone import Fault, FaultKind, SimulatedPhone
from simulated_phone.faults import random_fault

from edgecompress.device.adb import AdbRemote, Patience, open_adb
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError

PATIENCE = Patience(call_s=10.0, connect_s=3.0, transfer_s=10.0, kill_after_s=0.2)
HASTY = Patience(call_s=1.2, connect_s=3.0, transfer_s=1.2, bytes_per_s=10**7, kill_after_s=0.2)
RUN_LIMIT_S = 3.0
SIZE = 200_000
SCRIPT = "tr '\\000-\\377' '\\001-\\377\\000' < in.bin > out.bin; wc -c < out.bin; echo done >&2; exit {code}"
# Shells of one run, in order; the sweep and a repeated copy add to them.
MAKE, CHECK_COPY, RUN, DESCRIBE, REMOVE = range(5)


def plus_one(data: bytes) -> bytes:
    return data.translate(bytes((n + 1) % 256 for n in range(256)))


def work(remote: AdbRemote, source: Path, data: bytes, *, code: int = 3) -> None:
    """Copy a file there, let a program add one to each byte, and fetch the result: all of it is compared."""
    remote.push(source, "in.bin")
    finished = remote.run(["sh", "-c", SCRIPT.format(code=code)], timeout_s=RUN_LIMIT_S)
    assert (finished.exit_code, finished.stderr) == (code, b"done\n")
    assert finished.stdout.strip() == str(len(data)).encode()
    assert remote.pull("out.bin") == plus_one(data)


def whole_run(phone: SimulatedPhone, source: Path, *, patience: Patience, serial: str | None = None) -> str | None:
    """One run from opening to closing; what it could not remove."""
    with open_adb(serial or phone.serial, patience=patience) as remote:
        work(remote, source, source.read_bytes())
    return remote.left_behind


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.bin"
    path.write_bytes(random.Random(0).randbytes(SIZE))
    return path


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.PUSH_CORRUPT, after_bytes=150_000),
        Fault(FaultKind.PUSH_TRUNCATE, after_bytes=150_000),
        Fault(FaultKind.LOSE_EXIT, at=RUN),
        Fault(FaultKind.SHELL_DROP, at=REMOVE),
        Fault(FaultKind.LOSE_TAIL, at=REMOVE),
    ],
    ids=lambda fault: fault.kind.name,
)
def test_faults_that_are_repaired(phone, source, fault):
    """A damaged copy is sent again, a lost exit code stands in the output as well, and cleaning up is tried twice."""
    phone.faults.set(fault)
    assert whole_run(phone, source, patience=PATIENCE) is None
    assert phone.faults.met == [fault.kind]
    assert phone.sandbox.files() == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(FaultKind.PUSH_CORRUPT, after_bytes=9, times=2), LinkError, r"in\.bin \(200,000 bytes\) arrived damaged 2 times"),
        (Fault(FaultKind.PUSH_TRUNCATE, after_bytes=9, times=2), LinkError, "arrived damaged 2 times"),
        (Fault(FaultKind.PUSH_DROP, after_bytes=70_000), LinkError, r"went away in the middle of copying in\.bin"),
        (Fault(FaultKind.PUSH_HANG, after_bytes=70_000), LinkError, "`adb push` gave no answer within"),
        (Fault(FaultKind.NO_SPACE, after_bytes=70_000), DeviceError, "no space left"),
        (Fault(FaultKind.SHELL_DROP, at=MAKE), LinkError, "the link was lost before making a folder ended"),
        (Fault(FaultKind.SHELL_DROP, at=RUN), LinkError, "the link was lost before sh ended"),
        (Fault(FaultKind.LOSE_TAIL, at=RUN), LinkError, "the link was lost before sh ended"),
        (Fault(FaultKind.LOSE_TAIL, at=CHECK_COPY), LinkError, "the link was lost before checking a copy ended"),
        (Fault(FaultKind.SHELL_HANG, at=RUN), LinkError, "`adb shell` gave no answer within"),
        (Fault(FaultKind.SHELL_HANG, at=DESCRIBE), LinkError, "`adb shell` gave no answer within"),
        (Fault(FaultKind.PULL_CORRUPT, after_bytes=9), LinkError, r"out\.bin came back damaged"),
        (Fault(FaultKind.PULL_DROP), LinkError, r"went away in the middle of reading out\.bin"),
        (Fault(FaultKind.PULL_DROP, after_bytes=70_000), LinkError, r"went away in the middle of reading out\.bin"),
        (Fault(FaultKind.PULL_HANG, after_bytes=70_000), LinkError, "`adb pull` gave no answer within"),
        (Fault(FaultKind.DROP_LINK, at=4), LinkError, "went away in the middle|is offline|link was lost"),
    ],
    ids=lambda value: f"{value.kind.name}-{value.at}" if isinstance(value, Fault) else "",
)
def test_faults_that_end_a_run(phone, source, fault, kind, words):
    """Each ends in its own error with a next step; the folder and the program are gone all the same."""
    hang = fault.kind.name.endswith("HANG")
    phone.faults.set(fault)
    with pytest.raises(kind, match=words) as caught:
        whole_run(phone, source, patience=HASTY if hang else PATIENCE)
    assert phone.faults.met[0] is fault.kind
    assert caught.value.hint and "still on the phone" not in caught.value.hint
    assert phone.sandbox.files() == []
    assert phone.sandbox.left_running() == []


def test_how_far_a_copy_is(phone, tmp_path):
    """While a large file is on its way, the listener hears how far it has come."""
    size = 16_000_000
    (tmp_path / "large").write_bytes(bytes(size))
    phone.faults.set(Fault(FaultKind.PUSH_SLOW))
    told = []
    with open_adb(phone.serial, progress=lambda *words: told.append(words), patience=PATIENCE) as remote:
        remote.push(tmp_path / "large", "large")
    assert {stage for stage, _, _ in told} == {f"copying large to {remote.name}"}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, size)
    assert any(0 < there < size for there in done)


def test_a_phone_that_is_gone_for_good(phone, source):
    """What could not be removed is said with the error; the next run there removes it, and the program as well."""
    with pytest.raises(LinkError) as caught, open_adb(phone.serial, patience=PATIENCE) as remote:
        remote.push(source, "in.bin")
        phone.faults.set(Fault(FaultKind.UNPLUG))
        remote.run(["sleep", "60"], timeout_s=60)
    assert f"{remote.folder} is still on the phone" in caught.value.hint
    assert remote.left_behind is not None and remote.left_behind in caught.value.hint
    assert phone.sandbox.files() == [Path(remote.folder).name]
    phone.plug_in()
    assert whole_run(phone, source, patience=PATIENCE) is None
    assert phone.sandbox.files() == []


def test_unplugged_before_it_is_closed(phone, source):
    """A result that was complete is not lost with the link: closing never raises, and says what stayed."""
    with open_adb(phone.serial, patience=PATIENCE) as remote:
        work(remote, source, source.read_bytes())
        phone.unplug()
    assert remote.left_behind is not None and remote.folder in remote.left_behind
    remote.close()


def test_a_phone_that_nobody_allowed(adb_server, phone):
    """The question on its screen is the next step."""
    phone.faults.set(Fault(FaultKind.UNAUTHORIZED))
    with pytest.raises(DeviceError, match="has not allowed this computer") as caught:
        open_adb(phone.serial, patience=PATIENCE)
    assert "Allow USB debugging" in caught.value.hint
    with pytest.raises(DeviceError, match="has not allowed this computer"):
        open_adb(patience=PATIENCE)


def test_a_phone_that_does_not_answer(phone):
    """Silence at the address ends in bounded time."""
    phone.faults.set(Fault(FaultKind.OFFLINE))
    with pytest.raises(EdgeCompressError, match=r"gave no answer|does not answer|is offline") as caught:
        open_adb(phone.serial, patience=HASTY)
    assert caught.value.hint


def test_a_dead_connection_is_made_again(adb_server, phone, source):
    """adb says `already connected` to a phone that is offline: it is disconnected, connected, and works."""
    adb_server.call("connect", phone.serial)
    phone.faults.set(Fault(FaultKind.OFFLINE))
    phone.drop_links()
    while phone.ignored == 0:
        time.sleep(0.02)
    phone.faults.set()
    assert "already connected" in adb_server.call("connect", phone.serial)
    assert whole_run(phone, source, patience=PATIENCE) is None


# Many runs with one random fault each

RUNS = 200
THREADS = 6


def one_random_run(phone: SimulatedPhone, seed: int, source: Path, tally: Callable[[str, str], None]) -> None:
    """A run whose fault is drawn from its seed: everything that `work` compares is right, or an error of ours says why not."""
    rng = random.Random(seed)
    data = rng.randbytes(rng.choice((1, 1000, 70_000, 150_000)))
    source.write_bytes(data)
    fault = random_fault(rng, most_bytes=len(data))
    phone.faults.set(*([] if fault is None else [fault]))
    left: str | None = None
    try:
        with open_adb(phone.serial, patience=HASTY) as remote:
            work(remote, source, data, code=seed % 120)
        outcome, left = "right", remote.left_behind
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
    tally(fault.kind.value if met else "no fault met", f"{outcome}, swept later" if left else outcome)


def test_random_faults_give_right_results_or_clear_errors(make_phone, tmp_path, record_property):
    """Of 200 seeded runs each gives right bytes or a clear error, and the phone is empty afterwards."""
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    lock = threading.Lock()
    phones = [make_phone(f"phone{number}") for number in range(THREADS)]

    def tally(fault: str, outcome: str) -> None:
        with lock:
            outcomes[fault, outcome] += 1

    def worker(number: int) -> None:
        for seed in range(number, RUNS, THREADS):
            one_random_run(phones[number], seed, tmp_path / f"in{number}.bin", tally)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(worker, range(THREADS)))
    assert sum(outcomes.values()) == RUNS
    for fault in sorted({fault for fault, _ in outcomes}):
        counts = ", ".join(f"{count} x {outcome}" for (name, outcome), count in sorted(outcomes.items()) if name == fault)
        record_property("result", f"adb, {RUNS} random runs against a simulated phone: {fault}: {counts}")
