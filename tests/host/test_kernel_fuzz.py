"""The fuzzer of kernels tells which case failed, and how to run it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from edgecompress.target import KernelSet
from tests import kernel_fuzz
from tests.kernel_fuzz import Batch, Case, cases_of

ROOT = Path(__file__).parents[2]
CASES = cases_of("edge_add", 3, 0, 4)


def test_a_run_prints_seed_and_minutes() -> None:
    """Two cases on the host: no failures, the calls of each kernel, exit code 0."""
    command = [sys.executable, "-m", "tests.fuzz_kernels", "--family", "edge_add", "--where", "host", "--count", "2", "--seed", "5"]
    done = subprocess.run([*command, "--jobs", "1"], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == "fuzz kernels: seed 5, cases 0 to 1 of 1 families"
    assert last.startswith("fuzz kernels: seed 5, ") and last.endswith(" minutes, 0 failures; cases: host 2")
    assert "  ec_add_s8 " in done.stdout


def test_a_case_is_the_same_alone() -> None:
    """Whatever stands around it: its inputs and outputs are those that it has in a model of its own."""
    together, alone = Batch(CASES), Batch(CASES[2:3])
    assert together.inputs[4].tobytes() == alone.inputs[0].tobytes()
    assert together.expected[2].tobytes() == alone.expected[0].tobytes()


def test_a_wrong_byte_names_its_case(tmp_path: Path) -> None:
    """Of four cases the one whose output is not as expected, as it is written into FOUND."""
    batch = Batch(CASES)
    batch.expected[2] = batch.expected[2] ^ 1
    (failure,) = batch.on_host(KernelSet.PORTABLE, tmp_path)
    assert failure.case == CASES[2] and str(failure).startswith('Case("edge_add", 3, 2) on the host, portable kernels: ')


def test_a_program_that_ends_is_halved_down_to_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program that holds the case ends; what is reported is that case alone."""
    culprit = Batch(CASES[1:2]).graph.tensor(0).shape
    compile_models = kernel_fuzz.compile_models

    def ends(*arguments: object, **more: object) -> NoReturn:
        raise AssertionError("stack-overflow")

    def watched(models: list, folder: Path) -> object:
        holds = any(spec.shape == culprit for model in models for spec in model.info.inputs)
        return ends() if holds else compile_models(models, folder)

    monkeypatch.setattr(kernel_fuzz, "compile_models", watched)
    (failure,) = Batch(CASES).on_host(KernelSet.PORTABLE, tmp_path)
    assert failure.case == Case("edge_add", 3, 1) and "stack-overflow" in failure.problem
