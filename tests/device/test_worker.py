"""The one-file script under LiteRT and tflite-runtime, on this machine and behind a real sshd; and everything that can go wrong there.

No board has confirmed it: Arm wheels, frequencies and thermal zones of a Raspberry Pi, a core that is switched off.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from loopback_sshd import find_sshd, running_sshd
from sample_models import every_op, three_roundings, tiny_classifier, with_custom_op
from tflite_builder import run_litert

from edgecompress.artifact import Engine
from edgecompress.device import Kernels, worker
from edgecompress.device.native import CoreClass
from edgecompress.device.remote import Finished, LocalRemote
from edgecompress.device.ssh import open_ssh
from edgecompress.device.worker import environment, local_python, open_worker
from edgecompress.device.worker.answers import parse_complaint
from edgecompress.errors import DataError, DeviceError, LinkError, ModelError, ToolError, UserError
from edgecompress.numerics.lcg import lcg_inputs

SCRIPT = Path(worker.__file__).with_name("litert_worker.py")


def open_local(model: bytes | None = None, remote: LocalRemote | None = None, **choices):
    """A worker in this Python, that measures no longer than it must."""
    choices = {"python": sys.executable, "min_seconds": 0, "warmup_seconds": 0} | choices
    return open_worker(remote or LocalRemote(), tiny_classifier() if model is None else model, **choices)


def sample(device) -> list[bytes]:
    return lcg_inputs(1, [spec.bytes for spec in device.info().inputs])


RECORDED: dict[str, Finished] = {}


class ScriptedRemote(LocalRemote):
    """Answers that this computer gave to the first who asked (for two runs), except that one verb ends as the test wants."""

    def __init__(self, verb: str, change) -> None:
        super().__init__()
        self._verb, self._change = verb, change

    def run(self, command, *, timeout_s):
        verb = command[2]
        if verb not in RECORDED:
            RECORDED[verb] = super().run(command, timeout_s=timeout_s)
        return self._change(RECORDED[verb]) if verb == self._verb else RECORDED[verb]


@pytest.fixture(scope="module")
def tflite_python():
    """A Python with tflite-runtime: the one that is named, or the environment in the user's cache, which is made when it is not there."""
    try:
        return local_python(Engine.TFLITE_RUNTIME)
    except (ToolError, UserError) as e:
        pytest.skip(f"no tflite-runtime: {e.message}; {e.hint}")


def test_outputs_are_litert_s():
    """Raw bytes in, raw bytes out: what LiteRT's interpreter gives in this process for the same kernels, each family its own."""
    results = []
    for kernels in Kernels:
        with open_local(three_roundings(), kernels=kernels) as device:
            data, (spec,) = sample(device), device.info().inputs
            results.append(device.run(data))
        arrays = [np.frombuffer(data[0], np.int8).reshape(spec.shape)]
        assert results[-1] == [np.asarray(a).tobytes() for a in run_litert(three_roundings(), arrays, kernels.value)]
    assert len({outputs[0] for outputs in results}) == 3


def test_a_measurement_tells_its_conditions():
    """Samples, a first run apart, memory, and what was seen of cores, on which the process was held."""
    remote = LocalRemote()
    with open_local(remote=remote, core=CoreClass.FAST, kernels=Kernels.BUILTIN) as device:
        measured = device.measure(sample(device), runs=20, warmup=3)
    assert measured.unit == "us"
    assert len(measured.samples) == 20
    assert all(value > 0 for value in (*measured.samples, measured.first))
    assert measured.named_ops == ()
    assert measured.environment["kernels"] == "builtin"
    assert measured.environment["litert"]
    conditions = measured.conditions
    assert conditions.threads == 1
    assert 0 < conditions.cpu_over_wall < 1.5
    assert conditions.drift > 0
    if sys.platform == "linux":
        assert len(conditions.cores) == 1
        assert measured.peak_rss_bytes > 1 << 20
        assert measured.model_ram_bytes is not None
    assert not Path(remote.folder).exists()


def test_time_adds_runs():
    """A measurement takes at least its time, whatever number of runs is asked for."""
    with open_local(min_seconds=0.05) as device:
        assert len(device.measure(sample(device), runs=1, warmup=0).samples) > 10


def test_xnnpack_must_announce_itself():
    """A build that never loads XNNPACK is not called XNNPACK."""
    with open_local(remote=ScriptedRemote("measure", lambda done: Finished(0, done.stdout, b""))) as device:
        assert "no XNNPACK" in device.measure(sample(device), runs=2, warmup=0).environment["kernels"]
    with open_local() as device:
        assert device.measure(sample(device), runs=1, warmup=0).environment["kernels"] == "xnnpack"


def test_tflite_runtime_runs_the_same_model(tflite_python):
    """In an environment of its own, with numpy 1: its reference kernels give the bytes of LiteRT's."""
    results = {}
    for engine, python in ((Engine.LITERT, sys.executable), (Engine.TFLITE_RUNTIME, tflite_python)):
        with open_local(every_op(), engine=engine, python=python, kernels=Kernels.REFERENCE) as device:
            results[engine] = device.run(sample(device))
            measured = device.measure(sample(device), runs=3, warmup=0)
            assert measured.environment[engine.value]
            assert device.info().engine is engine
            assert [len(output) for output in results[engine]] == [spec.bytes for spec in device.info().outputs]
    assert results[Engine.LITERT] == results[Engine.TFLITE_RUNTIME]


def test_the_environment_is_made_once(tflite_python, monkeypatch):
    """The second time it is only named."""
    monkeypatch.setattr(environment, "run_tool", lambda *a, **k: pytest.fail("made again"))
    assert local_python(Engine.TFLITE_RUNTIME) == tflite_python
    assert local_python(Engine.LITERT) == sys.executable


def test_an_environment_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    """Without a network: a ToolError that names the way out, and no half-made environment."""

    def fail(command, **how):
        raise ToolError("no network")

    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "run_tool", fail)
    monkeypatch.setattr(environment, "_PYTHONS", (sys.version_info[:2],))
    said = []
    with pytest.raises(ToolError, match="no network") as caught:
        local_python(Engine.TFLITE_RUNTIME, progress=lambda stage, done, total: said.append(stage))
    assert "--python" in caught.value.hint
    assert "tflite-runtime 2.14.0" in said[0]
    assert [path.suffix for path in (tmp_path / "edgecompress").iterdir()] == [".lock"]


def test_pythons_without_wheels_are_refused(monkeypatch):
    """On another Python, and for a name that is no program, the error says which to name."""
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "_PYTHONS", ())
    with pytest.raises(UserError, match=r"Python 3\.8 to 3\.11") as caught:
        local_python(Engine.TFLITE_RUNTIME)
    assert environment.VARIABLE in caught.value.hint
    monkeypatch.setenv(environment.VARIABLE, "/no/such/python")
    with pytest.raises(UserError, match="no program"):
        local_python(Engine.TFLITE_RUNTIME)


def test_a_refused_model_is_a_model_error():
    """An op that the runtime lacks: its own words, in one line."""
    remote = LocalRemote()
    with pytest.raises(ModelError, match=r"refuses this model: .*custom op") as caught:
        open_local(with_custom_op(), remote)
    assert "\n" not in caught.value.message
    assert not Path(remote.folder).exists()


def test_the_wrong_python(tmp_path):
    """One that is not there, one that lacks the runtime, and two programs that are something else altogether."""
    other = tmp_path / "synthetic_python"
    other.write_text("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n")
    other.chmod(0o755)
    bare = tmp_path / "synthetic_bare_python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')  # without its packages
    bare.chmod(0o755)
    for python, message in (
        ("no-such-python", "cannot be started"),
        (bare, "cannot be loaded"),
        (other, "SyntaxError"),
        ("true", "true is no Python"),
    ):
        remote = LocalRemote()
        with pytest.raises(DeviceError, match=message) as caught:
            open_local(remote=remote, python=str(python))
        assert "--python" in caught.value.hint
        assert not Path(remote.folder).exists()


def test_a_hanging_python(tmp_path, monkeypatch):
    """A Python that never answers is ended."""
    slow = tmp_path / "synthetic_python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(worker.device, "INFO_TIMEOUT_S", 0.3)
    with pytest.raises(DeviceError, match="did not end"):
        open_local(python=str(slow))


def test_a_core_that_is_not_there():
    """Holding the process to it fails with the cores there are."""
    with open_local(core=1000) as device, pytest.raises(DeviceError, match="core 1000 cannot be used") as caught:
        device.measure(sample(device), runs=1, warmup=0)
    assert "any" in caught.value.hint


def changed(**fields):
    """A measurement's answer with other fields; None takes one away."""

    def change(done: Finished) -> Finished:
        document = {**json.loads(done.stdout), **fields}
        return Finished(0, json.dumps({k: v for k, v in document.items() if v != "absent"}).encode(), done.stderr)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda done: Finished(0, b"", b""), "nothing came"),
        (lambda done: Finished(0, b"Welcome!\n", b""), "not JSON"),
        (lambda done: Finished(0, b"[1]\n", b""), "schema None"),
        (lambda done: Finished(0, done.stdout[: len(done.stdout) // 2], b""), "not JSON"),
        (lambda done: Finished(0, b"9" * (5 << 20), b""), "at most"),
        (changed(schema=2), "schema 2"),
        (changed(samples_ns="absent"), "samples_ns"),
        (changed(samples_ns=[]), "samples_ns"),
        (changed(samples_ns=[-1, 5]), "samples_ns"),
        (changed(samples_ns=[1.5]), "samples_ns"),
        (changed(samples_ns=[5]), "fewer than"),
        (changed(samples_ns=[10**12] * 3), "longer than all of them"),
        (changed(sha256="0" * 64), "sha256 000000000000"),
        (changed(engine="tflite-runtime"), "tflite-runtime"),
        (changed(surprise=1), "surprise"),
    ],
)
def test_answers_that_make_no_sense(change, message):
    """Damaged, cut, of another schema or of another model: a LinkError, and no number."""
    with open_local(remote=ScriptedRemote("measure", change)) as device, pytest.raises(LinkError, match=message):
        device.measure(sample(device), runs=2, warmup=0)


def test_what_a_profile_prints_is_passed_over():
    """Lines that a login prints before the answer do no harm."""
    with open_local(remote=ScriptedRemote("measure", lambda done: Finished(0, b"Welcome!\n" + done.stdout, b""))) as device:
        assert device.measure(sample(device), runs=2, warmup=0).samples


def test_sizes_of_tensors_are_checked():
    """A tensor whose bytes are not its shape's is not believed."""

    def change(done: Finished) -> Finished:
        document = json.loads(done.stdout)
        document["inputs"][0]["bytes"] = 1 << 30
        return Finished(0, json.dumps(document).encode(), b"")

    with pytest.raises(LinkError, match="its shape has 64"):
        open_local(remote=ScriptedRemote("info", change))


def test_a_crash_is_named():
    """A signal in the runtime is told as one."""
    remote = ScriptedRemote("measure", lambda done: Finished(139, b"", b"Segmentation fault"))
    with open_local(remote=remote) as device, pytest.raises(DeviceError, match=r"crashed \(signal 11\)"):
        device.measure(sample(device), runs=2, warmup=0)


def test_a_lost_link_passes_through():
    """The link's own error reaches the caller, and the folder goes."""

    def lose(done: Finished) -> Finished:
        raise LinkError("the link was lost")

    remote = ScriptedRemote("measure", lose)
    with pytest.raises(LinkError, match="was lost"), open_local(remote=remote) as device:
        device.measure(sample(device), runs=2, warmup=0)
    assert not Path(remote.folder).exists()


def test_damaged_outputs_are_noticed(monkeypatch):
    """An output's bytes are compared with the CRC that the script computed."""
    with open_local() as device:
        data = sample(device)
        monkeypatch.setattr(LocalRemote, "pull", lambda self, name: b"\x00\x01\x02\x03")
        with pytest.raises(LinkError, match="CRC"):
            device.run(data)
        monkeypatch.setattr(LocalRemote, "pull", lambda self, name: b"")
        with pytest.raises(LinkError, match="4 bytes; 0 came"):
            device.run(data)


def test_inputs_and_choices_are_checked():
    """Wrong sizes, threads, runs and engines are the user's errors, told before anything travels."""
    with open_local() as device:
        with pytest.raises(DataError, match="64 bytes"):
            device.run([b"short"])
        with pytest.raises(UserError, match="0 runs"):
            device.measure(sample(device), runs=0, warmup=0)
    for choices in ({"threads": 0}, {"engine": Engine.AOT}, {"core": 5000}, {"min_seconds": -1}):
        with pytest.raises(UserError):
            open_local(**choices)


def test_complaints_are_known_ones():
    """A failure of an unknown kind is not believed to be one of ours."""
    assert parse_complaint(b'{"schema": 1, "error": {"kind": "model", "text": "x"}}').kind == "model"
    assert parse_complaint(b'{"schema": 1, "error": {"kind": "joke", "text": "x"}}') is None
    assert parse_complaint(b"") is None


def test_the_script_stands_alone():
    """Python 3.8 can read it, and it needs the standard library, numpy and a runtime only."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 8))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.skipif(find_sshd() is None, reason="no sshd here: apt-get install openssh-server openssh-client")
def test_the_whole_way_over_ssh(tmp_path):
    """Behind a real sshd: the same bytes, a measurement, the wrong Python, and nothing left behind."""
    with running_sshd(tmp_path) as sshd:
        with open_local(remote=open_ssh(sshd.address, options=sshd.options())) as device:
            outputs = device.run(sample(device))
            assert len(device.measure(sample(device), runs=5, warmup=1).samples) == 5
        with open_local() as local:
            assert outputs == local.run(sample(local))
        with pytest.raises(DeviceError, match="has no program python9") as caught:
            open_local(remote=open_ssh(sshd.address, options=sshd.options()), python="python9")
        assert "--python" in caught.value.hint
        with pytest.raises(ModelError):
            open_local(with_custom_op(), open_ssh(sshd.address, options=sshd.options()))
        assert list(sshd.folder.iterdir()) == []
