"""What the runner reads of a machine: a made-up /sys and /proc of a phone with small and large cores, sanitizers on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import zlib
from pathlib import Path

import pytest
from aot_host import WARNINGS, host_compiler
from toy_firmware import SAMPLE, toy_model, toy_output

from edgecompress.build.glue import render_app_model
from edgecompress.device.runner_json import InfoAnswer, MeasureAnswer, RunAnswer, parse_answer

if platform.system() != "Linux":
    pytest.skip("the runner is a Linux program: run these tests on Linux", allow_module_level=True)

FIRMWARE = Path(__file__).parents[2] / "firmware"
# No machine of the tests has these; the kernel refuses to hold a process to them, as to a core that sleeps.
ASLEEP = (900, 901)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The toy's runner, which looks for /sys and /proc in the folder it runs in."""
    folder = tmp_path_factory.mktemp("runner")
    model = toy_model()
    for name, text in {**model.files, "app_model.c": render_app_model(model.info, "test")}.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = [*sorted(folder.glob("*.c")), *sorted((FIRMWARE / "runner").glob("*.c"))]
    compiler = host_compiler()
    roots = ('-DEC_SYSFS="sys"', '-DEC_PROCFS="proc"', "-D_GNU_SOURCE")
    command = [*compiler.command, *compiler.flags, *roots, f"-I{FIRMWARE / 'include'}", *map(str, sources), "-o", str(folder / "runner")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert set(WARNINGS) <= set(compiler.flags)
    return folder / "runner"


@pytest.fixture
def machine(program, tmp_path):
    """An empty machine: write its facts, then start the program on it."""
    return Machine(program, tmp_path)


class Machine:
    """A folder with files that a kernel would show."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        (folder / "in").write_bytes(SAMPLE)

    def fact(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def core(self, number, max_khz, now_khz=None):
        self.fact(f"sys/devices/system/cpu/cpu{number}/cpufreq/cpuinfo_max_freq", f"{max_khz}\n")
        if now_khz is not None:
            self.fact(f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq", f"{now_khz}\n")

    def start(self, *words):
        command = [str(self.program), *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, timeout=60, check=False)

    def measure(self, *words):
        done = self.start("measure", "--runs", "12", "--min-ms", "0", "--warmup", "1", "--warmup-ms", "0", *words, "in")
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        return parse_answer(MeasureAnswer, done.stdout)


def two_cores():
    """Two cores that this process may use, the lower number first."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("needs two cores that this process may use: run it with a wider affinity (taskset)")
    return allowed[0], allowed[-1]


def test_classes_are_chosen_by_frequency(machine):
    """The fastest and the slowest core that is awake; their frequency, now and at most, is that of this core."""
    small, large = two_cores()
    machine.fact("sys/devices/system/cpu/possible", f"{small},{large},{ASLEEP[0]}-{ASLEEP[1]}\n")
    machine.core(small, 1_800_000, 1_200_000)
    machine.core(large, 2_800_000, 2_700_000)
    machine.core(ASLEEP[0], 3_000_000)
    machine.core(ASLEEP[1], 900_000)
    fast = machine.measure("--core", "fast")
    assert (fast.core, fast.core_max_khz, fast.khz_before, fast.khz_after) == (large, 2_800_000, 2_700_000, 2_700_000)
    slow = machine.measure("--core", "slow")
    assert (slow.core, slow.core_max_khz, slow.khz_before) == (small, 1_800_000, 1_200_000)
    named = machine.measure("--core", str(small))
    assert (named.core, named.core_max_khz) == (small, 1_800_000)
    loose = machine.measure("--core", "any")
    assert (loose.core, loose.core_max_khz, loose.khz_before) == (None, None, None)


def test_the_other_way_round(machine):
    """Numbers do not decide: where the low number is the large core, `fast` is the low one."""
    large, small = two_cores()
    machine.fact("sys/devices/system/cpu/possible", f"{large},{small}")
    machine.core(large, 2_800_000)
    machine.core(small, 1_800_000)
    assert machine.measure("--core", "fast").core == large
    assert machine.measure("--core", "slow").core == small


def test_equal_and_unknown_cores_go_by_number(machine):
    """Of equal cores the highest is taken; one of unknown frequency is neither fast nor slow while another is known."""
    low, high = two_cores()
    machine.fact("sys/devices/system/cpu/possible", f"{low},{high}")
    assert machine.measure("--core", "fast").core == machine.measure("--core", "slow").core == high
    machine.core(low, 1_000_000)
    assert machine.measure("--core", "fast").core == machine.measure("--core", "slow").core == low


def test_a_core_that_sleeps_is_not_taken_for_another(machine):
    """A class falls back to what is awake, a number does not."""
    machine.fact("sys/devices/system/cpu/possible", f"{ASLEEP[0]}-{ASLEEP[1]}")
    for wanted in ("fast", "slow", str(ASLEEP[0])):
        done = machine.start("measure", "--core", wanted, "in")
        assert (done.returncode, done.stdout) == (5, b"")
        assert b"no such core may be used now" in done.stderr


@pytest.mark.parametrize("text", [None, "", "garbage", "-5", "9-3", "99999999999999999999-", "4096-5000"])
def test_a_list_of_cores_that_says_nothing_is_replaced(machine, text):
    """Then the cores that this process may use are listed."""
    if text is not None:
        machine.fact("sys/devices/system/cpu/possible", text)
    answer = parse_answer(InfoAnswer, machine.start("info").stdout)
    assert [core.core for core in answer.cores] == sorted(os.sched_getaffinity(0))
    assert {core.max_khz for core in answer.cores} == {None}


def test_an_endless_list_of_cores_ends(machine):
    """No more than the program has room for, and none twice beyond it."""
    machine.fact("sys/devices/system/cpu/possible", "0-999999999999,0-1023,5")
    answer = parse_answer(InfoAnswer, machine.start("info").stdout)
    assert [core.core for core in answer.cores] == list(range(1024))


def test_zones_are_read_with_their_gaps(machine):
    """Zones by number; one without a type has an empty one, one that says nothing is left out, odd letters become question marks."""
    for number, type_name, temperature in (
        (0, "cpu-0\n", "30500\n"),
        (2, None, "41000"),
        (3, "battery", "n/a"),
        (4, "odd", "31abc"),
        (5, 'say "hi"\\\x01 ä\n'.encode(), "-40000"),
        (6, "far", "99999999999999"),
        (255, "x" * 500, "25000"),
    ):
        if type_name is not None:
            machine.fact(f"sys/class/thermal/thermal_zone{number}/type", type_name)
        machine.fact(f"sys/class/thermal/thermal_zone{number}/temp", temperature)
    zones = machine.measure("--core", "any").zones_after
    assert [(zone.zone, zone.millicelsius) for zone in zones] == [(0, 30_500), (2, 41_000), (5, -40_000), (255, 25_000)]
    assert [zone.type for zone in zones] == ["cpu-0", "", 'say "hi"\\? ??', "x" * 63]


def test_memory_is_read_where_it_is_told(machine):
    """The exact count before the estimate, the process by its name, and null for what is hidden."""
    hidden = machine.measure("--core", "any")
    assert (hidden.rss_before_kb, hidden.rss_after_kb, hidden.peak_rss_kb, hidden.process) == (None, None, None, None)
    machine.fact("proc/self/status", "Name:\trunner\nVmHWM:\t    512 kB\nVmRSS:\t    400 kB\n")
    told = machine.measure("--core", "any")
    assert (told.rss_before_kb, told.peak_rss_kb) == (400, 512)
    machine.fact("proc/self/smaps_rollup", "00400000-7fff [rollup]\nRss:                 396 kB\n")
    machine.fact("proc/self/comm", "qemu-aarch64-st\n")
    exact = machine.measure("--core", "any")
    assert (exact.rss_before_kb, exact.process) == (396, "qemu-aarch64-st")
    machine.fact("proc/self/smaps_rollup", "Rss: none\n")
    assert machine.measure("--core", "any").rss_before_kb == 400


def test_the_toy_runs_under_sanitizers(machine):
    """The bytes are the toy's, their check sum is zlib's, and the document's own as well."""
    done = machine.start("run", "in", "-o", "out")
    assert (machine.folder / "out").read_bytes() == toy_output(SAMPLE)
    assert parse_answer(RunAnswer, done.stdout).output_crc32 == (zlib.crc32(toy_output(SAMPLE)),)
    text, _, rest = done.stdout.rpartition(b',"crc32":')
    assert json.loads(done.stdout)["crc32"] == zlib.crc32(text) == int(rest.rstrip(b"}\n"))
