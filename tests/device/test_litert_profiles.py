"""From the model's file to the profile, where LiteRT runs elsewhere: behind a real sshd, and in a synthetic benchmark_model."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest
import synthetic_benchmark_model as synthetic
from loopback_sshd import find_sshd, running_sshd
from rich.console import Console
from sample_models import three_roundings
from stand_ins import write_program

from edgecompress.artifact import Engine
from edgecompress.device.ssh.address import parse_address
from edgecompress.device.ssh.program import SshLink
from edgecompress.errors import DeviceError
from edgecompress.pipeline import measure
from edgecompress.pipeline.machines import MachineOptions
from edgecompress.profile import read_profile, write_profile
from edgecompress.report.compare import compare, show


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model whose outputs differ by family of kernels."""
    path = tmp_path_factory.mktemp("model") / "three.tflite"
    path.write_bytes(three_roundings())
    return path


@pytest.fixture
def program(tmp_path) -> Path:
    """The synthetic benchmark_model as a program."""
    return write_program(tmp_path / "synthetic_benchmark_model", Path(synthetic.__file__).read_text(encoding="utf-8"))


def shown(*profiles) -> str:
    stream = io.StringIO()
    show(compare([(profile.engine or "", profile) for profile in profiles]), Console(file=stream, width=200))
    return stream.getvalue()


@pytest.mark.skipif(find_sshd() is None, reason="no sshd here: apt-get install openssh-server openssh-client")
def test_a_board_behind_ssh(model, tmp_path, monkeypatch):
    """Two engines on one board: both profiles are of that board, and reference kernels give the reference's bytes."""
    with running_sshd(tmp_path) as sshd:
        ssh = tmp_path / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec ssh {shlex.join(sshd.options())} "$@"\n')
        ssh.chmod(0o755)
        monkeypatch.setenv("EDGECOMPRESS_SSH", str(ssh))
        options = MachineOptions(kernels="reference", python=sys.executable, min_seconds=0)
        litert = measure(f"ssh:{sshd.address}", model, runs=3, parity_inputs=1, machine=options)
        aot = measure(f"ssh:{sshd.address}", model, engine=Engine.AOT, runs=3, parity_inputs=1, machine=MachineOptions(min_seconds=0))
        assert list(sshd.folder.iterdir()) == []
    assert (litert.target, litert.engine, aot.engine) == (f"ssh:{sshd.address}", "litert", "aot")
    assert litert.parity.mismatched_bytes == aot.parity.mismatched_bytes == 0
    assert litert.memory.model_ram_bytes is not None
    assert "latency p99" in shown(litert, aot)


@pytest.mark.parametrize("style", [synthetic.NEW, synthetic.OLD])
def test_a_profile_of_benchmark_model(model, program, tmp_path, monkeypatch, style):
    """What the program tells becomes a valid document, with nulls for the rest, and stands in a comparison."""
    monkeypatch.setenv("SYNTHETIC_BENCHMARK_MODEL", json.dumps({"style": style}))
    options = MachineOptions(benchmark_model=program, kernels="builtin", core="any", min_seconds=0)
    profile = measure("local", model, runs=10, parity_inputs=1, machine=options)
    write_profile(profile, tmp_path / "profile.json")
    assert read_profile(tmp_path / "profile.json") == profile
    assert profile.latency.p50 == (53 if style == synthetic.NEW else None)
    assert (profile.latency.p99, profile.latency.min) == (None, 50)
    assert [op.kind for op in profile.ops] == [kind for kind, *_ in synthetic.ROWS]
    assert profile.memory.peak_rss_bytes == 7_864_320
    assert profile.parity is None or profile.parity.largest_difference <= profile.parity.tolerance
    text = shown(profile)
    assert "68.8 us" in text
    assert "None" not in text


def test_no_profile_of_a_gpu_that_did_nothing(model, program, monkeypatch):
    """Where the GPU took no op there is an error, and no profile."""
    monkeypatch.setenv("SYNTHETIC_BENCHMARK_MODEL", json.dumps({"delegate": "none"}))
    with pytest.raises(DeviceError, match="GPU did not take the model"):
        measure("local", model, runs=10, machine=MachineOptions(benchmark_model=program, kernels="gpu", core="any", min_seconds=0))


@pytest.mark.skipif(find_sshd() is None, reason="no sshd here: apt-get install openssh-server openssh-client")
def test_the_master_ends_with_its_link(tmp_path):
    """No ssh process stays when a link is closed, and closing twice is one closing."""
    with running_sshd(tmp_path) as sshd:
        link = SshLink(parse_address(sshd.address), sshd.options())
        master = link._master
        link.close()
        link.close()
        assert master.poll() is not None
