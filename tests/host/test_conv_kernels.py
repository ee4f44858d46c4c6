"""Convolutions and dense layers: TensorFlow Lite Micro, numpy and generated C, with plain and with DSP loops, give the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompress.convert import read_tflite
from edgecompress.numerics.reference import run_reference
from tests.aot_host import DSP_IN_C, compile_tflites
from tests.conv_families import conv2d, depthwise, depthwise_without_bias, fully_connected, transpose_conv
from tests.op_cases import Family, OpCases
from tests.tflite_builder import run_tflm

pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")

FAMILIES = [(conv2d, 160), (depthwise, 160), (transpose_conv, 80), (fully_connected, 120)]


@pytest.mark.parametrize(("family", "count"), FAMILIES, ids=[f.__name__ for f, _ in FAMILIES])
def test_same_bytes_everywhere(family: Family, count: int, tmp_path: Path) -> None:
    """Random shapes, strides, paddings, dilations, groups and scales: not one byte differs between the three."""
    built = [OpCases(seed).grow(family, count // 4).build() for seed in range(4)]
    jobs = [(n, values) for n, (_, values) in enumerate(built)]
    files = [data for data, _ in built]
    plain = compile_tflites(files, tmp_path / "plain").run_all(jobs)
    dsp = compile_tflites(files, tmp_path / "dsp", kernel_flags=DSP_IN_C).run_all(jobs)
    for n, (data, values) in enumerate(built):
        graph = read_tflite(data, name=f"m{n}")
        oracle = run_reference(graph, values)
        for op, truth, ours, ours_dsp in zip(graph.ops, run_tflm(data, values), plain[n], dsp[n], strict=True):
            what = f"model {n}, op {op.index}: {op.options}, {[graph.tensor(i) for i in (*op.inputs, *op.outputs) if i >= 0]}"
            np.testing.assert_array_equal(oracle[op.outputs[0]], truth, f"numpy, {what}")
            np.testing.assert_array_equal(ours, truth, f"generated C, {what}")
            np.testing.assert_array_equal(ours_dsp, truth, f"generated C with DSP loops, {what}")


def test_depthwise_without_bias(tmp_path: Path) -> None:
    """Numpy and generated C agree; TensorFlow Lite Micro cannot be asked: it reads address 0 when the bias is given as -1."""
    data, values = OpCases(9).grow(depthwise_without_bias, 40).build()
    graph = read_tflite(data, name="m0")
    oracle = run_reference(graph, values)
    for flags in ((), DSP_IN_C):
        ours = compile_tflites([data], tmp_path / str(len(flags)), kernel_flags=flags).run(0, values)
        for op, got in zip(graph.ops, ours, strict=True):
            np.testing.assert_array_equal(got, oracle[op.outputs[0]], f"op {op.index}: {op.options}")
