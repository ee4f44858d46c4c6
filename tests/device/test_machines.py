"""Computers, phones and boards as targets: `measure` and `run` from the model's file to the profile."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
from sample_models import every_op, tiny_classifier
from simulated_phone.sandbox import MODEL

from edgecompress.artifact import Engine
from edgecompress.errors import DataError, DeviceError, LinkError, TargetError, UserError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline import measure, run
from edgecompress.pipeline.machines import BENCHMARK_MODEL, MachineOptions, Seconds, is_machine
from edgecompress.pipeline.reference import BUILTIN_TOLERANCE, LITERT_TOLERANCE, open_reference
from edgecompress.pipeline.sources import load_model

if platform.system() != "Linux":
    pytest.skip("the runner is a Linux program: run these tests on Linux", allow_module_level=True)

QUICK = MachineOptions(min_seconds=0.05, core="any")
HERE = {"ro.product.cpu.abilist": platform.machine()}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model with every op that generated code knows."""
    path = tmp_path_factory.mktemp("model") / "every_op.tflite"
    path.write_bytes(every_op())
    return path


@pytest.fixture(scope="module")
def inputs(model) -> list[bytes]:
    graph = load_model(model).graph
    return lcg_inputs(7, [graph.tensor(i).bytes for i in graph.inputs])


@pytest.fixture(autouse=True)
def _no_program_from_outside(monkeypatch):
    monkeypatch.delenv(BENCHMARK_MODEL, raising=False)


def test_this_computer_runs_generated_code(model):
    """`local` with aot: the reference's bytes, microseconds, every step, memory, the conditions and what speaks against them."""
    profile = measure("local", model, engine=Engine.AOT, runs=20, machine=QUICK)
    assert (profile.target, profile.engine, profile.latency.unit) == ("local", "aot", "us")
    assert profile.parity is not None and profile.parity.mismatched_bytes == 0 and profile.parity.tolerance == 0
    assert profile.latency.runs >= 20
    assert len(profile.ops) > 5 and all(op.latency is not None for op in profile.ops)
    assert profile.memory.arena_bytes and profile.memory.peak_rss_bytes and profile.memory.code_bytes
    assert profile.conditions is not None and profile.conditions.threads == 1
    assert profile.validity is not None and profile.validity.valid == (not profile.validity.reasons)


def test_this_computer_runs_litert_in_a_process_of_its_own(model):
    """`local` with its usual engine: another rounding family, inside the tolerance that the profile states; memory is of that process."""
    profile = measure("local", model, runs=20, machine=QUICK)
    assert profile.engine == "litert"
    assert profile.parity is None or profile.parity.largest_difference <= profile.parity.tolerance
    assert profile.memory.peak_rss_bytes and profile.memory.arena_bytes is None


def test_the_stated_tolerance_is_of_the_kernels(model):
    """XNNPACK and the built-in kernels differ from the reference by other amounts, and the profile says how much may be."""
    for kernels, tolerance in (("xnnpack", LITERT_TOLERANCE), ("builtin", BUILTIN_TOLERANCE)):
        parity = measure("local", model, runs=1, machine=MachineOptions(kernels=kernels, core="any")).parity
        assert parity is None or parity.tolerance == tolerance


def test_one_rounding_family_gives_one_hash(model):
    """LiteRT's reference kernels and generated code round alike where no FULLY_CONNECTED is; the hash of the outputs says so."""
    aot = measure("local", model, engine=Engine.AOT, runs=1, machine=QUICK).parity
    again = measure("local", model, engine=Engine.AOT, runs=1, machine=QUICK).parity
    assert aot is not None and again is not None
    assert aot.outputs_sha256 == again.outputs_sha256


def test_a_phone_runs_generated_code(make_phone, model):
    """From the file to the profile through the real adb, against a simulated phone with this computer's processor; nothing stays."""
    phone = make_phone(properties=HERE)
    profile = measure(f"adb:{phone.serial}", model, runs=20, machine=QUICK)
    assert (profile.engine, profile.latency.unit) == ("aot", "us")
    assert profile.parity is not None and profile.parity.mismatched_bytes == 0
    assert profile.environment is not None and MODEL in profile.environment["phone"]
    assert profile.conditions is not None
    assert (profile.conditions.thermal_status, profile.conditions.battery_saver) == (0, False)
    assert phone.sandbox.files() == []


def test_an_emulated_phone_gives_bytes_but_no_time(make_phone, model, inputs):
    """Under QEMU an aarch64 phone computes the reference's bytes; its time is refused, since it is none."""
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("needs qemu-aarch64-static: apt install qemu-user-static")
    phone = make_phone()
    _, reference = open_reference(load_model(model))
    assert run(f"adb:{phone.serial}", model, inputs=inputs, machine=QUICK) == reference(inputs)
    with pytest.raises(DeviceError, match="emulated"):
        measure(f"adb:{phone.serial}", model, runs=2, machine=QUICK)
    assert phone.sandbox.files() == []


def test_real_inputs_are_compared(tmp_path):
    """`data` takes the place of generated inputs: other outputs, still the reference's; a set that does not fit is one sentence."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_classifier())
    tensor = load_model(path).graph.tensor(load_model(path).graph.inputs[0])
    np.save(tmp_path / "real.npy", np.random.default_rng(0).normal(0, 1, (5, *tensor.shape[1:])).astype(np.float32))
    real = measure("local", path, engine=Engine.AOT, runs=1, machine=QUICK, data=str(tmp_path / "real.npy"), parity_inputs=4).parity
    made = measure("local", path, engine=Engine.AOT, runs=1, machine=QUICK, parity_inputs=4).parity
    assert real is not None and made is not None
    assert (real.inputs, real.mismatched_bytes) == (4, 0)
    assert real.outputs_sha256 != made.outputs_sha256
    with pytest.raises(DataError, match="shape"):
        np.save(tmp_path / "other.npy", np.zeros((2, 3), np.float32))
        measure("local", path, engine=Engine.AOT, runs=1, machine=QUICK, data=str(tmp_path / "other.npy"))


def test_several_phones_are_listed(make_phone, model, adb_server):
    """`adb:` alone is an error that names each phone, when there are two."""
    phones = [make_phone("one"), make_phone("two")]
    for phone in phones:
        adb_server.call("connect", phone.serial)
    with pytest.raises(DeviceError) as caught:
        measure("adb:", model, machine=QUICK)
    assert all(phone.serial in f"{caught.value.message} {caught.value.hint}" for phone in phones)


@pytest.mark.parametrize(
    ("target", "engine", "options", "error", "words"),
    [
        ("adb:X", Engine.LITERT, {}, UserError, "benchmark_model, and none was named"),
        ("adb:X", Engine.TFLITE_RUNTIME, {}, TargetError, "no Python"),
        ("local", Engine.TFLM, {}, TargetError, "runs no firmware"),
        ("local", Engine.AOT, {"threads": 2}, UserError, "--threads has no effect"),
        ("local", Engine.AOT, {"kernels": "builtin"}, UserError, "--kernels has no effect"),
        ("local", Engine.LITERT, {"kernels": "gpu"}, UserError, "no kernels 'gpu'"),
        ("local", Engine.AOT, {"core": "quick"}, UserError, "no core 'quick'"),
        ("local", Engine.AOT, {"core": "999"}, (DeviceError, LinkError), "999|core"),
        ("ssh:", None, {}, UserError, "ssh"),
        ("ssh:a b@c", None, {}, UserError, "."),
    ],
)
def test_what_makes_no_sense_together_is_said(model, target, engine, options, error, words):
    """One sentence each, before anything is built or copied where that can be known."""
    with pytest.raises(error, match=words):
        measure(target, model, engine=engine, runs=1, machine=MachineOptions(min_seconds=0.05, **options))


def test_runs_are_as_many_as_asked_for(model):
    """A number of runs is taken at its word; without one, they go on for the least time."""
    assert measure("local", model, engine=Engine.AOT, runs=3, warmup=0, machine=MachineOptions(core="any")).latency.runs == 3
    assert MachineOptions().seconds(None, None) == Seconds(1.0, 0.5)
    assert MachineOptions().seconds(5, None) == Seconds(0.0, 0.0)
    assert MachineOptions(min_seconds=4).seconds(5, 2) == Seconds(4.0, 0.0)


def test_which_targets_are_machines():
    """Only these three kinds have an operating system that runs programs for us."""
    assert [is_machine(name) for name in ("local", "adb:", "adb:X", "ssh:a@b", "cortex-m4", "serial:", "localhost")] == [
        True,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
