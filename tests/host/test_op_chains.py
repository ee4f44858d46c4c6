"""Ops in a row, on shared buffers and in place: generated C, numpy and TFLM agree byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aot_host import compile_tflites
from tests.op_cases import OpCases
from tests.op_chains import chain
from tests.op_matches import compare_outputs, reference_outputs
from tests.tflite_builder import run_tflm

pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")

MODELS = 40


def test_chains_of_ops_give_tflms_bytes(tmp_path: Path) -> None:
    """40 random models of one or two chains have the outputs of TFLM, in C and in numpy."""
    models = [OpCases(seed).grow(chain, 1 + seed % 2).build() for seed in range(MODELS)]
    program = compile_tflites([data for data, _ in models], tmp_path)
    results = program.run_all([(n, inputs) for n, (_, inputs) in enumerate(models)])
    for (data, inputs), came in zip(models, results, strict=True):
        expected = run_tflm(data, inputs)
        compare_outputs(data, expected, reference_outputs(data, inputs), "numpy")
        compare_outputs(data, expected, came, "generated C")
