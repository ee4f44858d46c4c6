"""The runner: a model as a program for Linux gives the reference kernels' bytes, times itself, and says no in one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import zlib
from functools import cache
from pathlib import Path

import pytest
from sample_models import every_op, tiny_classifier
from toy_firmware import SAMPLE, toy_model, toy_output

from edgecompress.artifact import Engine, GeneratedModel
from edgecompress.build import Machine, Tune, build_runner, find_machine
from edgecompress.build.toolchain import ZIG, locate
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import CoreClass, open_native
from edgecompress.device.native import MAX_RUNS
from edgecompress.device.remote import LocalRemote
from edgecompress.errors import DataError, DeviceError, UserError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.reference import open_reference
from edgecompress.pipeline.sources import LoadedModel
from edgecompress.profile import nearest_rank

if platform.system() != "Linux":
    pytest.skip("the runner is a Linux program: run these tests on Linux", allow_module_level=True)

FIRMWARE = Path(__file__).parents[2] / "firmware"
HERE = find_machine(platform.machine())
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wundef", "-Wvla", "-Wstrict-prototypes", "-Wcast-align")
# qemu's default 64-bit core once computed wrongly; a named one does not.
EMULATORS = {
    Machine.AARCH64: ("qemu-aarch64-static", "-cpu", "cortex-a76"),
    Machine.ARMV7: ("qemu-arm-static", "-cpu", "cortex-a7"),
    Machine.RISCV64: ("qemu-riscv64-static",),
}
SHORT = {"min_seconds": 0.05, "warmup_seconds": 0.02}


@cache
def every_op_model() -> LoadedModel:
    data = every_op()
    return LoadedModel(data, read_tflite(data, name="every_op"))


def model_inputs(generated: GeneratedModel) -> list[bytes]:
    return lcg_inputs(1, [spec.bytes for spec in generated.info.inputs])


def emulator(machine: Machine) -> tuple[str, ...]:
    prefix = EMULATORS[machine]
    if shutil.which(prefix[0]) is None:
        pytest.skip(f"needs {prefix[0]}: apt install qemu-user-static")
    return prefix


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy as a program for this machine."""
    return build_runner(toy_model(), HERE, output=tmp_path_factory.mktemp("toy") / "out")


@pytest.fixture
def open_toy(toy):
    """Opens the toy on this machine."""
    return lambda **options: open_native(LocalRemote(), toy.executable, toy.info, **(SHORT | options))


@pytest.fixture
def start(toy, tmp_path):
    """Starts the toy by hand, in a folder with a good input file `in`, one that is too short, and one that is too long."""
    for name, data in (("in", SAMPLE), ("short", SAMPLE[:-1]), ("long", SAMPLE + b"x")):
        (tmp_path / name).write_bytes(data)

    def run(*words, stdout=subprocess.PIPE):
        command = [str(toy.executable), *words]
        return subprocess.run(command, cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    return run


def test_every_kernel_gives_the_reference_bytes(tmp_path):
    """A model with every op, optimized for speed on this machine, gives what the reference kernels give."""
    model = every_op_model()
    generated = generate_aot(model.graph)
    _, reference = open_reference(model)
    built = build_runner(generated, HERE, output=tmp_path / "out")
    with open_native(LocalRemote(), built.executable, built.info) as device:
        for seed in (1, 2, 3):
            inputs = lcg_inputs(seed, [spec.bytes for spec in generated.info.inputs])
            assert device.run(inputs) == reference(inputs)


@pytest.mark.parametrize("machine", EMULATORS)
def test_programs_for_phones_give_the_reference_bytes(machine, tmp_path):
    """The same for 64-bit and 32-bit Arm and for RISC-V, under a user-mode emulator, whose time is never taken for a measurement."""
    prefix = emulator(machine)
    model = every_op_model()
    generated = generate_aot(model.graph)
    _, reference = open_reference(model)
    built = build_runner(generated, machine, output=tmp_path / "out")
    with open_native(LocalRemote(prefix=prefix), built.executable, built.info, **SHORT) as device:
        inputs = model_inputs(generated)
        assert device.run(inputs) == reference(inputs)
        with pytest.raises(DeviceError, match="the machine is emulated"):
            device.measure(inputs, runs=1, warmup=0)


def test_a_measurement_says_all_it_saw(open_toy, toy):
    """At least as many samples as runs, one number a step, the first run apart, memory, and the conditions around them."""
    with open_toy(core=CoreClass.ANY) as device:
        assert device.info().sha256 == toy.info.sha256
        seen = device.measure([SAMPLE], runs=50, warmup=3)
    assert seen.unit == "us"
    assert 50 <= len(seen.samples) <= MAX_RUNS
    assert len(seen.ops) == 2
    assert seen.first > 0
    assert seen.peak_rss_bytes > seen.model_ram_bytes >= 0
    assert seen.environment["machine"] == platform.machine()
    conditions = seen.conditions
    assert conditions.threads == 1
    assert conditions.cores is None
    assert conditions.drift > 0
    assert 0 < conditions.cpu_over_wall < 1.1
    # Android's own facts are not the runner's to know.
    assert conditions.thermal_status is None and conditions.battery_saver is None


def test_the_model_is_held_to_the_core_that_was_asked_for(open_toy):
    """A number is that core, a class some core of the machine, and a core that is not there an error with a next step."""
    allowed = os.sched_getaffinity(0)
    for core in (max(allowed), CoreClass.FAST, CoreClass.SLOW):
        with open_toy(core=core) as device:
            (pinned,) = device.measure([SAMPLE], runs=1, warmup=0).conditions.cores
        assert pinned == core if isinstance(core, int) else 0 <= pinned < os.cpu_count()
    with open_toy(core=1023) as device, pytest.raises(DeviceError, match="may not use such a core now") as caught:
        device.measure([SAMPLE], runs=1, warmup=0)
    assert "choose another core" in caught.value.hint


def test_both_the_count_and_the_time_are_reached(start):
    """Runs go on until there are as many as wanted and as much time has passed, warm-up likewise."""
    seen = json.loads(start("measure", "--runs", "7", "--min-ms", "60", "--warmup", "5", "--warmup-ms", "0", "in").stdout)
    assert seen["wall_ns"] >= 60e6
    assert len(seen["samples_ns"]) >= 7
    assert seen["warmup_runs"] == 5
    seen = json.loads(start("measure", "--runs", "70", "--min-ms", "0", "--warmup", "0", "--warmup-ms", "0", "in").stdout)
    assert len(seen["samples_ns"]) == 70
    assert (seen["warmup_runs"], seen["stride"], seen["step_runs"]) == (0, 1, 70)


def test_a_short_model_is_sampled_evenly(start):
    """A model of nanoseconds makes more runs than are kept: every second, fourth, ... counts, over the whole time."""
    for words in (("--runs", "10"), ("--runs", "100000")):
        done = start("measure", *words, "--min-ms", "600", "--warmup", "0", "--warmup-ms", "0", "in")
        seen = json.loads(done.stdout)
        assert seen["stride"] in (2, 4, 8, 16, 32, 64, 128)
        assert MAX_RUNS / 2 <= len(seen["samples_ns"]) <= MAX_RUNS
        assert len(seen["samples_ns"]) >= int(words[1])
        assert seen["wall_ns"] >= 600e6
        assert sum(seen["samples_ns"]) < seen["wall_ns"]


def test_percentiles_are_those_of_the_samples(tmp_path):
    """The program's summary is nearest-rank over what it lists, for a model whose times lie apart."""
    uneven = "static int n; n = (n * 5 + 3) % 16; for (volatile int i = 0; i < n * 2000; i++) { }"
    build_runner(toy_model(before_step_1=uneven), HERE, output=tmp_path)
    (tmp_path / "in").write_bytes(SAMPLE)
    for runs in (1, 2, 7, 15, 101):
        command = ["./runner", "measure", "--runs", str(runs), "--min-ms", "0", "--warmup-ms", "0", "in"]
        seen = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True).stdout)
        samples = seen["samples_ns"]
        assert len(samples) == runs
        expected = {f"p{percent}": nearest_rank(samples, percent) for percent in (50, 90, 99)}
        assert seen["summary_ns"] == {"min": min(samples), **expected}


def test_inputs_are_restored_before_every_run(start):
    """The toy overwrites its input; the last of many runs still gives the bytes of the first."""
    for words in (("--runs", "50"), ("--runs", "1", "--warmup", "0"), ("--runs", "1", "--warmup", "9")):
        done = start("measure", *words, "--min-ms", "0", "--warmup-ms", "0", "in")
        assert json.loads(done.stdout)["outputs_crc32"] == zlib.crc32(toy_output(SAMPLE))


def test_it_runs_by_hand(start, tmp_path):
    """Raw files in, raw files out, and the inputs of a measurement stay what they are although the model overwrites them."""
    done = start("run", "in", "-o", "out")
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "out").read_bytes() == toy_output(SAMPLE)
    assert json.loads(start("info").stdout)["cores"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no verb was given: expected info, run or measure"),
        (("fly",), "fly: expected info, run or measure"),
        (("info", "more"), "0 argument(s) after info"),
        (("run", "in"), "1 output(s); 0 came"),
        (("run", "-o", "out"), "1 input(s); 0 came"),
        (("run", "in", "in", "-o", "out"), "1 input(s); 2 came"),
        (("measure",), "1 input(s); 0 came"),
        (("measure", "--runs"), "--runs: expected 1 to 100000"),
        (("measure", "--runs", "0", "in"), "--runs: expected 1 to 100000"),
        (("measure", "--runs", "100001", "in"), "--runs: expected 1 to 100000"),
        (("measure", "--runs", "99999999999999999999999", "in"), "--runs: expected 1 to 100000"),
        (("measure", "--runs", "-5", "in"), "--runs: expected 1 to 100000"),
        (("measure", "--min-ms", "1e3", "in"), "--min-ms: expected 0 to 3600000"),
        (("measure", "--core", "huge", "in"), "--core: if not fast, slow or any: expected 0 to 1023"),
        (("measure", "--core", "", "in"), "--core: if not fast, slow or any: expected 0 to 1023"),
        (("measure", "--colour", "red", "in"), "--colour: no such option"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(start, words, sentence):
    """Exit code 2, nothing on stdout, and on stderr what is wrong before the usage."""
    done = start(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr.splitlines()[0]
    assert "usage: runner info" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "none", "-o", "out"), "none: cannot be read: No such file"),
        (("run", "short", "-o", "out"), "short: input 0 has 16 bytes; this file has more or fewer"),
        (("measure", "long"), "long: input 0 has 16 bytes; this file has more or fewer"),
        (("run", "in", "-o", "no/such/folder"), "no/such/folder: cannot be written: No such file"),
        (("run", "in", "-o", "/dev/full"), "/dev/full: cannot be written: No space left"),
    ],
)
def test_a_wrong_file_is_one_sentence(start, words, sentence):
    """Exit code 3, and the file by its name."""
    done = start(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert sentence in done.stderr


def test_an_answer_that_is_not_taken_is_noticed(start):
    """A full disk behind stdout is exit code 7, not half a document with exit code 0."""
    with Path("/dev/full").open("w") as full:
        assert start("info", stdout=full).returncode == 7


def test_inputs_are_checked_before_they_travel(open_toy):
    """An input of the wrong size, and more runs than are kept, are refused here."""
    with open_toy() as device:
        with pytest.raises(DataError, match="16 bytes; 3 came"):
            device.run([b"abc"])
        with pytest.raises(UserError, match="at most 100,000"):
            device.measure([SAMPLE], runs=MAX_RUNS + 1, warmup=0)


def test_a_model_that_fails_is_a_device_error(tmp_path):
    """A status that is no EC_OK, and a signal, are told apart; a processor that lacks an instruction gets a hint of its own."""
    refuses = build_runner(toy_model(before_step_1="return EC_ERROR_INVOKE;"), HERE, output=tmp_path / "refuses")
    with (
        open_native(LocalRemote(), refuses.executable, refuses.info, **SHORT) as device,
        pytest.raises(DeviceError, match=r"the model failed: toy: the model's status is -3"),
    ):
        device.measure([SAMPLE], runs=1, warmup=0)
    traps = build_runner(toy_model(before_step_1="__builtin_trap();"), HERE, output=tmp_path / "traps")
    with open_native(LocalRemote(), traps.executable, traps.info) as device, pytest.raises(DeviceError, match="by signal") as caught:
        device.run([SAMPLE])
    assert "illegal instruction" not in caught.value.message or "without tuning" in caught.value.hint


def test_the_program_is_static_stripped_and_weighed(toy):
    """Nothing is needed on the device; the sizes are those that another ELF reader finds."""
    from elftools.elf.elffile import ELFFile

    with toy.executable.open("rb") as stream:
        elf = ELFFile(stream)
        kinds = {segment["p_type"] for segment in elf.iter_segments()}
        held = {section.name: section["sh_size"] for section in elf.iter_sections() if section["sh_flags"] & 2}
        stored = sum(s["sh_size"] for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_type"] != "SHT_NOBITS")
        names = {section.name for section in elf.iter_sections()}
    assert "PT_INTERP" not in kinds and "PT_DYNAMIC" not in kinds
    assert ".symtab" not in names and ".debug_info" not in names
    sizes = toy.sizes
    assert sizes.model_bytes == held[".ec_model"] == 16
    assert sizes.flash_bytes == stored
    assert 0 < sizes.code_bytes < sizes.harness_bytes
    assert sizes.arena_bytes == 64
    assert 0 < sizes.static_ram_bytes < 150_000
    assert toy.executable.stat().st_size < 120_000


def test_the_same_model_gives_the_same_program_anywhere(toy, tmp_path):
    """Two builds in different folders are equal, and hold no path of this machine."""
    data = toy.executable.read_bytes()
    assert data == build_runner(toy_model(), HERE, output=tmp_path / "mit Leerzeichen und Ümläut").executable.read_bytes()
    for path in (str(tmp_path), str(Path.home()), str(FIRMWARE.parent), ".edgecompress-"):
        assert path.encode() not in data


@pytest.mark.parametrize("name", ["string", "main"])
def test_a_model_may_be_called_like_a_file_of_ours_or_of_the_library(name, tmp_path):
    """Generated files are found from their own folder and hide nobody else's."""
    built = build_runner(toy_model(name=name), HERE, output=tmp_path / "out")
    with open_native(LocalRemote(), built.executable, built.info) as device:
        assert device.run([SAMPLE]) == [toy_output(SAMPLE)]


def test_what_cannot_be_built_is_said_before_anything_is_compiled(tmp_path):
    """Another engine, and a program tuned to a core that is not this computer's."""
    model = toy_model()
    tflm = GeneratedModel(dataclasses.replace(model.info, engine=Engine.TFLM), model.files, model.kernels)
    with pytest.raises(UserError, match="engine tflm is not built for aarch64"):
        build_runner(tflm, Machine.AARCH64, output=tmp_path)
    foreign = Machine.RISCV64 if HERE is not Machine.RISCV64 else Machine.AARCH64
    with pytest.raises(UserError, match="cannot be tuned"):
        build_runner(model, foreign, tune=Tune.NATIVE, output=tmp_path)
    with pytest.raises(UserError, match="no runner is built for the machine 'm68k'"):
        find_machine("m68k")
    assert [find_machine(name) for name in ("arm64-v8a", "armv7l")] == [Machine.AARCH64, Machine.ARMV7]


@pytest.mark.parametrize("machine", list(Machine))
def test_the_runner_compiles_without_a_warning(machine, tmp_path):
    """Its C, with more warnings than the build turns on."""
    from edgecompress.build.linux import compile_flags

    sources = sorted((FIRMWARE / "runner").glob("*.c"))
    assert len(sources) > 6
    compiler = locate(ZIG)
    command = [*compiler.command, *compile_flags(machine), *WARNINGS, f"-I{FIRMWARE / 'include'}", "-c", *map(str, sources)]
    environment = {**os.environ, **compiler.environment}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_the_manual_writes_a_program(tmp_path, monkeypatch):
    """What docs/runner.md tells to type makes a program for a phone, where the next line looks for it."""
    manual = (FIRMWARE.parent / "docs" / "runner.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", manual, re.S)
    (tmp_path / "model.tflite").write_bytes(tiny_classifier())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/runner.md", "exec"), {})
    assert (tmp_path / "out" / "runner").read_bytes()[:4] == b"\x7fELF"
    assert "adb push out/runner " in manual
