"""The benchmarks start, and their tables hold what was measured."""

from __future__ import annotations

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
