"""The benchmarks start, and their tables hold what was measured."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sample_models import tiny_classifier

import edgecompress
from edgecompress.artifact import Streaming
from edgecompress.convert import read_tflite
from edgecompress.profile import Latency, Memory, Parity, Profile, ProfiledModel, read_profile, write_profile
from edgecompress.target import Optimize

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 180


def test_engines_compares_a_model(tmp_path):
    """The quick form prints one row on an M4, with the numbers of a profile of the same model."""
    model = tmp_path / "toy.tflite"
    model.write_bytes(tiny_classifier())
    command = [sys.executable, str(ROOT / "benchmarks" / "engines.py"), str(model), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    _, row = done.stdout.splitlines()
    profile = edgecompress.measure("cortex-m4", model, runs=1, warmup=0, parity_inputs=0)
    memory = profile.memory
    sizes = [f"{count:,}" for count in (memory.code_bytes, memory.model_bytes, memory.arena_bytes, memory.stack_bytes)]
    per_mac = f"{profile.latency.p50 / profile.model.macs:.2f}"
    assert row.split() == ["toy", "cortex-m4", "aot", f"{profile.latency.p50:,.0f}", per_mac, *sizes, "-"]


def test_engines_says_what_is_wrong(tmp_path):
    """A model that is not there is one sentence and a hint."""
    command = [sys.executable, str(ROOT / "benchmarks" / "engines.py"), str(tmp_path / "none.tflite"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "hint: " in done.stderr


def test_host_compares_a_model(tmp_path):
    """The quick form prints one row: three times, two ratios that follow from them, the same bytes, and the conditions."""
    model = tmp_path / "toy.tflite"
    model.write_bytes(tiny_classifier())
    command = [sys.executable, str(ROOT / "benchmarks" / "host.py"), str(model), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    _, row, conditions, *_ = done.stdout.splitlines()
    name, aot, reference, xnnpack, *_ = row.split()
    assert name == "toy"
    # With one round the best is the median, and the ratio that of the two numbers.
    ratios = re.findall(r"(\d+\.\d\d) \(", row)
    for other, ratio in zip((reference, xnnpack), ratios, strict=True):
        assert abs(float(aot) / float(other) - float(ratio)) < 0.02 + 0.1 / float(other)
    assert row.endswith("1  same bytes")
    assert "native build, core had for" in conditions


def test_host_says_what_is_wrong(tmp_path):
    """Without a model it says where it looked; a model that is not there is one sentence and a hint."""
    program = str(ROOT / "benchmarks" / "host.py")
    environment = {name: value for name, value in os.environ.items() if name != "EDGECOMPRESS_DATA"}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert "no model is named, and there is none in $EDGECOMPRESS_DATA/models" in done.stderr
    command = [sys.executable, program, str(tmp_path / "none.tflite"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "hint: " in done.stderr


@pytest.mark.skipif(shutil.which("qemu-aarch64-static") is None, reason="needs qemu-aarch64-static: apt install qemu-user-static")
def test_aarch64_counts_instructions(tmp_path):
    """A row a core, the reference's bytes, and the same count when asked again; dot products take fewer instructions than NEON alone."""
    model = tmp_path / "toy.tflite"
    model.write_bytes(tiny_classifier())
    command = [sys.executable, str(ROOT / "benchmarks" / "aarch64.py"), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    _, *rows = (line.split() for line in done.stdout.splitlines())
    assert [(row[0], row[2], row[-1]) for row in rows] == [("toy", "cortex-a53", "same"), ("toy", "cortex-a76", "same")]
    neon, sdot = (int(row[3].replace(",", "")) for row in rows)
    assert read_tflite(model.read_bytes(), name="toy").macs / 16 < sdot < neon
    again = subprocess.run([*command, "--cores", "cortex-a76"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert again.stdout.splitlines()[1].split() == rows[1]


def test_cortex_m_measures_a_model_and_its_peer(tmp_path):
    """A row with the profile's numbers, rows of other engines' beside it (never divided across units), and what is missing said loudly."""
    model, profiles = tmp_path / "toy.tflite", tmp_path / "profiles"
    model.write_bytes(tiny_classifier())
    command = [sys.executable, str(ROOT / "benchmarks" / "cortex_m.py"), "--quick", "--models", str(model)]
    done = subprocess.run([*command, "--output", str(profiles)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    _, row = done.stdout.splitlines()
    profile = read_profile(profiles / "toy-m4.json")
    memory = profile.memory
    shown = [f"{profile.latency.p50:,.0f}", *(f"{count:,}" for count in (memory.code_bytes, memory.arena_bytes, memory.arena_bound_bytes))]
    assert profile.target == "cortex-m4" and profile.parity.mismatched_bytes == 0
    assert row.split()[:2] == ["toy", "m4"] and set(shown) < set(row.split()) and row.endswith("  ok")

    smaller = [*command, "--stream", "rows", "--optimize", "size", "--output", str(profiles)]
    done = subprocess.run(smaller, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout.splitlines()[1].split()[:2] == ["toy", "m4-rows-size"], done.stderr
    assert read_profile(profiles / "toy-m4-rows-size.json").memory.arena_bytes < memory.arena_bytes

    half = profile.latency.model_copy(update={"p50": profile.latency.p50 / 2})
    (tmp_path / "theirs").mkdir()
    write_profile(profile.model_copy(update={"latency": half, "engine": "another generator 2.1"}), tmp_path / "theirs" / "peer.json")
    timed = profile.latency.model_copy(update={"unit": "us"})
    write_profile(profile.model_copy(update={"latency": timed, "engine": "timed"}), tmp_path / "theirs" / "timed.json")
    (tmp_path / "theirs" / "damaged.json").write_text("{")
    command += [str(tmp_path / "none.tflite"), "--peer", str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    _, _, peer, by_clock, missing, last = done.stdout.splitlines()
    assert "peer: another generator 2.1" in peer and " 2.00 / 1.00 / 1.00 " in peer
    assert "peer: timed" in by_clock and " us " in by_clock and " - / 1.00 / 1.00 " in by_clock
    assert "damaged.json: is not JSON" in done.stderr
    assert "none.tflite: NOT MEASURED" in missing and last.startswith("1 of 2 models")


def test_cortex_m_fails_where_bytes_differ(monkeypatch, capsys):
    """A row whose bytes are not the reference's says FAIL, and the exit code is 1."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    cortex_m = importlib.import_module("cortex_m")
    graph = read_tflite(tiny_classifier(), name="toy")
    wrong = Profile(
        target="cortex-m4",
        model=ProfiledModel(name="toy", sha256=graph.sha256, macs=graph.macs, parameters=graph.parameters),
        engine="aot",
        toolchain="zig",
        latency=Latency(unit="instructions", min=1, p50=1, p90=1, p99=1, first=1, runs=1),
        memory=Memory(),
        parity=Parity(reference="numpy", inputs=1, mismatched_bytes=1, largest_difference=1),
    )
    monkeypatch.setattr(cortex_m, "measured", lambda path, core, options: cortex_m.Row(core, core, graph, wrong))
    assert cortex_m.print_table([__file__], ["m4"], cortex_m.Options("zig", Streaming.NONE, Optimize.SPEED), None, []) == 1
    printed = capsys.readouterr()
    assert "  FAIL" in printed.out and "toy on m4" in printed.err


@pytest.mark.parametrize("options", [(), ("--int16",)], ids=["int8", "int16"])
def test_kernels_prints_costs(options):
    """The quick form has a row a shape, with what portable kernels and an M4's own take of each multiply-accumulate."""
    command = [sys.executable, str(ROOT / "benchmarks" / "kernels.py"), "--quick", "--markdown", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    assert head == "| layer | m4 portable | m4 dsp |"
    assert [row.split(" | ")[0] for row in rows[:3]] == ["| conv 3x3, 4 -> 4, 4x4", "| depthwise 3x3, 8, 4x4", "| dense, 16 -> 8"]
    for row in rows[:3]:
        portable, own = (float(cell) for cell in re.findall(r"\d+\.\d\d", row))
        assert 0.5 < own < portable < 50


def test_compare_many_prints_time_and_size_of_every_form():
    """Generated profiles go through every form of the command, which prints something for each."""
    command = [sys.executable, str(ROOT / "benchmarks" / "compare_many.py"), "--profiles", "12", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    head, _, *rows = done.stdout.splitlines()
    assert head.startswith("12 profiles of 30 ops") and not done.stderr.startswith("Traceback")
    assert [re.split(r"  +", row)[0] for row in rows][:5] == ["table", "markdown", "csv", "json", "--ops, csv"]
    assert all(int(row.split()[-1].replace(",", "")) > 1000 for row in rows)
