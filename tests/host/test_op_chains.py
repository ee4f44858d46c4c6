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


def test_constants_may_be_inputs_of_any_op(tmp_path: Path) -> None:
    """Constants, renamed constants, one tensor given twice, and constants that are not int8 come out as in TFLM."""
    c = OpCases(0)
    q = {"scale": 0.05, "zero_point": 3}
    four = c.constant(c.data((4,)), "int8", **q)
    renamed = c.builder.tensor((2, 2), "int8", **q)
    c.builder.op("RESHAPE", [four, c.constant([2, 2])], [renamed], new_shape=[2, 2])
    c.builder.op("ADD", [c.input((2, 2), **q), renamed], [c.output((2, 2), **q)])
    c.builder.op("RELU", [four], [c.output((4,), scale=0.07)])
    c.builder.op("MUL", [four, four], [c.output((4,), scale=0.07)])
    twice = c.input((3, 2), **q)
    c.builder.op("ADD", [twice, twice], [c.output((3, 2), scale=0.07)])
    c.builder.op("CONCATENATION", [twice, twice], [c.output((6, 2), **q)], axis=0)
    c.builder.op("CONCATENATION", [c.input((1, 2), "int32"), c.constant([[5, 6]])], [c.output((2, 2), "int32")], axis=0)
    c.builder.op("TRANSPOSE", [c.constant([[5, 6]], "int16"), c.constant([1, 0])], [c.output((2, 1), "int16")])
    data, inputs = c.build()
    expected = run_tflm(data, inputs)
    compare_outputs(data, expected, reference_outputs(data, inputs), "numpy")
    compare_outputs(data, expected, compile_tflites([data], tmp_path).run(0, inputs), "generated C")
