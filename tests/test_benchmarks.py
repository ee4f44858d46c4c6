"""The benchmarks start, and their tables hold what was measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from sample_models import tiny_classifier

import edgecompress

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
