"""A machine that answers: what the native device believes, and what it refuses, whatever comes over the link."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from toy_firmware import SAMPLE, toy_model

from edgecompress.conditions import judge
from edgecompress.device import CoreClass, open_native, parse_core
from edgecompress.device.remote import Finished
from edgecompress.device.runner_json import MAX_ANSWER_BYTES
from edgecompress.errors import DeviceError, LinkError, MismatchError, UserError

INFO = toy_model().info
OUTPUT = bytes(range(16))
HEAD = {"schema": 1, "name": "toy", "sha256": INFO.sha256, "process": "runner", "machine": "aarch64", "kernel": "6.1.0"}
ANSWERS = {
    "info": HEAD
    | {"verb": "info", "engine": "aot", "arena_bytes": 64, "step_count": 2, "input_bytes": [16], "output_bytes": [16]}
    | {"cores": [{"core": 0, "max_khz": 1_800_000}, {"core": 7, "max_khz": None}]},
    "run": HEAD | {"verb": "run", "output_crc32": [zlib.crc32(OUTPUT)]},
    "measure": HEAD
    | {"verb": "measure", "core": 7, "core_max_khz": 2_800_000, "khz_before": 2_800_000, "khz_after": 2_000_000}
    | {"clock_overhead_ns": 52, "first_ns": 9000, "summary_ns": {"min": 4000, "p50": 4000, "p90": 5000, "p99": 5000}}
    | {"warmup_runs": 5, "stride": 3, "outputs_crc32": zlib.crc32(OUTPUT), "wall_ns": 200_000, "cpu_ns": 150_000}
    | {"rss_before_kb": 100, "rss_after_kb": 108, "peak_rss_kb": 500}
    | {"zones_before": [{"zone": 0, "type": "cpu", "millicelsius": 30_500}, {"zone": 1, "type": "off", "millicelsius": -40_000}]}
    | {"zones_after": [{"zone": n, "type": "cpu", "millicelsius": 40_000 + n} for n in range(2)]}
    | {"step_runs": 10, "steps_ns": [3000, 1000], "samples_ns": [4000] * 5 + [5000] * 5},
}


def document(answer):
    """The answer as the program writes it, its check sum at the end."""
    text = json.dumps(answer).encode()[:-1]
    return text + b',"crc32":%d}\n' % zlib.crc32(text)


class ScriptedRemote:
    """A machine that says what it is told to, whatever program was pushed."""

    name = "scripted"
    folder = "/nowhere"

    def __init__(self, **answers):
        self.answers = {verb: Finished(0, document(answer), b"") for verb, answer in ANSWERS.items()} | answers
        self.files = {"out0.bin": OUTPUT}
        self.commands = []
        self.closed = 0

    def push(self, source, name, *, executable=False):
        self.files[name] = source.read_bytes()

    def run(self, command, *, timeout_s):
        self.commands.append((list(command), timeout_s))
        return self.answers[command[1]]

    def pull(self, name):
        return self.files[name]

    def close(self):
        self.closed += 1

    def __exit__(self, kind, error, trace):
        self.close()


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(b"a program")
    return path


def answer(verb, **changes):
    return {verb: Finished(0, document(ANSWERS[verb] | changes), b"")}


def test_a_run_travels_as_files(program):
    """Inputs are pushed, the program is started without a shell's words, outputs are pulled."""
    remote = ScriptedRemote()
    with open_native(remote, program, INFO) as device:
        assert device.run([SAMPLE]) == [OUTPUT]
    assert remote.files["runner"] == b"a program"
    assert remote.files["in0.bin"] == SAMPLE
    assert [command for command, _ in remote.commands] == [["./runner", "info"], ["./runner", "run", "in0.bin", "-o", "out0.bin"]]
    assert remote.closed == 1


def test_a_measurement_becomes_microseconds_and_conditions(program):
    """Nanoseconds and KiB of the document, as the profile has them; what speaks against the numbers is seen."""
    remote = ScriptedRemote()
    with open_native(remote, program, INFO, core=CoreClass.FAST, min_seconds=2, warmup_seconds=0.25) as device:
        seen = device.measure([SAMPLE], runs=10, warmup=4)
    command, timeout_s = remote.commands[-1]
    options = ["--core", "fast", "--runs", "10", "--min-ms", "2000", "--warmup", "4", "--warmup-ms", "250"]
    assert command == ["./runner", "measure", *options, "in0.bin"]
    assert timeout_s > 2.25
    assert seen.samples == (4.0,) * 5 + (5.0,) * 5
    assert (seen.first, seen.ops) == (9.0, (3.0, 1.0))
    assert (seen.peak_rss_bytes, seen.model_ram_bytes) == (512_000, 8192)
    conditions = seen.conditions
    assert (conditions.cores, conditions.core_max_khz) == ((7,), 2_800_000)
    assert (conditions.cpu_over_wall, conditions.drift) == (0.75, 1.25)
    # A sensor that is off says nothing; two sensors of one name are told apart.
    assert conditions.celsius_before == {"cpu": 30.5}
    assert conditions.celsius_after == {"cpu 0": 40.0, "cpu 1": 40.001}
    assert seen.environment["timed_runs"] == "one of 3"
    assert len(judge(conditions).reasons) == 3


def test_what_a_phone_hides_is_unknown(program):
    """Facts that cannot be read are null there and None here, never zero."""
    hidden = dict.fromkeys(("core", "core_max_khz", "khz_before", "khz_after", "rss_before_kb", "rss_after_kb", "peak_rss_kb", "process"))
    remote = ScriptedRemote(**answer("measure", **hidden, zones_before=[], zones_after=[], stride=1))
    with open_native(remote, program, INFO, core=CoreClass.ANY) as device:
        seen = device.measure([SAMPLE], runs=1, warmup=0)
    assert (seen.peak_rss_bytes, seen.model_ram_bytes) == (None, None)
    conditions = seen.conditions
    assert (conditions.cores, conditions.core_max_khz, conditions.khz_before, conditions.celsius_before) == (None, None, None, None)
    assert "timed_runs" not in seen.environment


@pytest.mark.parametrize(
    ("stdout", "words"),
    [
        (b"", "is not JSON: nothing came"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"<html>captive portal</html>", "is not JSON: '<html>"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "is no JSON object"),
        (document(ANSWERS["measure"])[:-40], "is not JSON"),
        (json.dumps(ANSWERS["measure"]).encode(), "its CRC-32 is wrong"),
        (document(ANSWERS["measure"]).replace(b"4000", b"4100"), "its CRC-32 is wrong"),
        (b'{"schema": 2}', "has schema 2; expected 1"),
        (b"9" * 5000, "is not JSON"),
        (b" " * (MAX_ANSWER_BYTES + 1), "expected at most 4,194,304"),
        (document(ANSWERS["info"]), "verb"),
    ],
)
def test_what_is_no_answer_is_a_link_error(program, stdout, words):
    """Nothing, noise, half a document, another one: one sentence with the device's name, and what to do."""
    remote = ScriptedRemote(measure=Finished(0, stdout, b""))
    with open_native(remote, program, INFO) as device, pytest.raises(LinkError, match="toy on scripted: the runner's answer") as caught:
        device.measure([SAMPLE], runs=1, warmup=0)
    assert words in caught.value.message and "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples_ns": [4000] * 9}, "9 runs came, fewer than the 10"),
        ({"samples_ns": []}, "samples_ns"),
        ({"samples_ns": [4000] * 100_001, "wall_ns": 10**12}, "samples_ns"),
        ({"samples_ns": [4000.5] * 10}, "samples_ns"),
        ({"samples_ns": ["4000"] * 10}, "samples_ns"),
        ({"samples_ns": [-1] * 10}, "samples_ns"),
        ({"samples_ns": [2**63] * 10}, "samples_ns"),
        ({"samples_ns": [4_000_000] * 10}, "took longer than all of them together"),
        ({"steps_ns": [1]}, "1 steps came; the model has 2"),
        ({"stride": 0}, "stride"),
        ({"core": 5000}, "core"),
        ({"peak_rss_kb": 2**50}, "peak_rss_kb"),
        ({"khz_before": 0}, "khz_before"),
        ({"surprise": 1}, "surprise"),
        ({"kernel": "x" * 1000}, "kernel"),
        ({"zones_after": [{"zone": 0, "type": 7, "millicelsius": 1}]}, "zones_after"),
        ({"sha256": "0" * 64}, "the model with sha256 000000000000"),
    ],
)
def test_a_document_that_cannot_be_true_is_a_link_error(program, changes, words):
    """Every field is held to its type and bounds, and to what was asked for."""
    remote = ScriptedRemote(**answer("measure", **changes))
    with open_native(remote, program, INFO) as device, pytest.raises(LinkError) as caught:
        device.measure([SAMPLE], runs=10, warmup=0)
    assert words in caught.value.message and "\n" not in caught.value.message


def test_a_damaged_document_is_never_another_number(program):
    """400 documents with bytes changed, lost, doubled or swapped: the same measurement as without, or a LinkError."""
    rng = np.random.default_rng(5)
    whole = document(ANSWERS["measure"])
    remote = ScriptedRemote()
    with open_native(remote, program, INFO) as device:
        expected = device.measure([SAMPLE], runs=10, warmup=0)
        for _ in range(400):
            damaged = bytearray(whole)
            for _ in range(rng.integers(1, 4)):
                at, kind = rng.integers(len(damaged)), rng.integers(4)
                if kind == 0:
                    damaged[at] = rng.integers(256)
                elif kind == 1:
                    del damaged[at : at + rng.integers(1, 9)]
                elif kind == 2:
                    damaged[at:at] = damaged[at : at + 7]
                else:
                    damaged[at] = ord(str(rng.integers(10)))
            remote.answers["measure"] = Finished(0, bytes(damaged), b"")
            try:
                assert device.measure([SAMPLE], runs=10, warmup=0) == expected
            except LinkError as error:
                assert "\n" not in error.message and len(error.message) < 400


@pytest.mark.parametrize("data", [OUTPUT[:-1], OUTPUT + b"x", b"", OUTPUT[:-1] + b"\xff"])
def test_an_output_that_did_not_come_whole_is_a_link_error(program, data):
    """Cut, longer, or with one byte changed."""
    remote = ScriptedRemote()
    remote.files["out0.bin"] = data
    with open_native(remote, program, INFO) as device, pytest.raises(LinkError, match=r"output 0 (has 16 bytes|was damaged)"):
        device.run([SAMPLE])


def test_a_run_that_speaks_of_other_outputs_is_a_link_error(program):
    """The program's list of check sums has one entry an output."""
    remote = ScriptedRemote(**answer("run", output_crc32=[1, 2]))
    with open_native(remote, program, INFO) as device, pytest.raises(LinkError, match=r"2 output\(s\), not of 1"):
        device.run([SAMPLE])


@pytest.mark.parametrize(
    ("code", "stderr", "words", "hint"),
    [
        (3, b"in0.bin: cannot be read: No such file\nusage", "could not read an input or write an output: in0.bin", "free some space"),
        (4, b"toy: the model's status is -1", "the model failed: toy: the model's status is -1", ""),
        (5, b"--core: no such core", "may not use such a core now", "choose another core"),
        (126, b"not executable: 32-bit ELF file", "cannot be executed there: not executable", "another architecture"),
        (127, b"", "cannot be found or executed there", "another architecture"),
        (132, b"", "ended by signal 4 (illegal instruction)", "without tuning"),
        (139, b"", "ended by signal 11 (segmentation fault)", "measure again"),
        (99, b"\xff\xfe" * 500, "ended with exit code 99", ""),
    ],
)
def test_a_program_that_fails_is_a_device_error(program, code, stderr, words, hint):
    """What it says first, what its exit code means, and a next step."""
    remote = ScriptedRemote(measure=Finished(code, b"", stderr))
    with open_native(remote, program, INFO) as device, pytest.raises(DeviceError) as caught:
        device.measure([SAMPLE], runs=1, warmup=0)
    assert not isinstance(caught.value, LinkError)
    assert words in caught.value.message and len(caught.value.message) < 400
    assert hint in caught.value.hint and caught.value.hint


@pytest.mark.parametrize("changes", [{"sha256": "1" * 64}, {"arena_bytes": 65}, {"output_bytes": [15]}, {"engine": "tflm"}])
def test_another_model_is_found_when_the_device_is_opened(program, changes):
    """The program is asked what it holds before anything else, and the machine is let go."""
    remote = ScriptedRemote(**answer("info", **changes))
    with pytest.raises(LinkError):
        open_native(remote, program, INFO)
    assert remote.closed == 1


def test_timed_runs_that_compute_something_else_are_a_mismatch(program):
    """Fast and wrong is no measurement."""
    remote = ScriptedRemote(**answer("measure", outputs_crc32=1))
    with open_native(remote, program, INFO) as device, pytest.raises(MismatchError, match="other bytes than a single run"):
        device.measure([SAMPLE], runs=1, warmup=0)


def test_an_emulated_machine_is_not_timed(program):
    """A user-mode emulator gives right bytes, but its time is nobody's."""
    remote = ScriptedRemote(**answer("measure", process="qemu-aarch64-st"))
    with open_native(remote, program, INFO) as device, pytest.raises(DeviceError, match=r"emulated \(qemu-aarch64-st\)"):
        device.measure([SAMPLE], runs=1, warmup=0)


def test_cores_are_classes_or_numbers():
    """`fast`, `slow`, `any` or a number; anything else is refused with the choices."""
    assert [parse_core(text) for text in ("fast", "any", "0", "7")] == [CoreClass.FAST, CoreClass.ANY, 0, 7]
    for text in ("", "big", "-1", "1024", "٣", "1" * 100):
        with pytest.raises(UserError, match="there is no core"):
            parse_core(text)


@pytest.mark.parametrize("options", [{"min_seconds": -1}, {"warmup_seconds": 1e9}, {"min_seconds": float("nan")}, {"core": 1024}])
def test_times_and_cores_that_make_no_sense_are_refused(program, options):
    """Before anything is started."""
    remote = ScriptedRemote()
    with pytest.raises(UserError):
        open_native(remote, program, INFO, **options)
    assert (remote.commands, remote.closed) == ([], 1)


def test_the_limits_are_those_of_the_program():
    """Numbers that stand in C and in Python are the same."""
    from edgecompress.device.native import MAX_CORES, MAX_RUNS, MAX_SECONDS

    folder = Path(__file__).parents[2] / "firmware" / "runner"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.h")))
    for name, value in (("EC_MAX_SAMPLES", f"{MAX_RUNS}u"), ("EC_MAX_CORES", f"{MAX_CORES}"), ("EC_MAX_MS", f"{MAX_SECONDS * 1000:.0f}u")):
        assert f"#define {name} {value}\n" in text
