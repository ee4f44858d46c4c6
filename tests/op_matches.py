"""The same random ops in TFLM, in numpy and as generated C: compile once, then compare family by family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.convert import read_tflite
from edgecompress.graph import Graph, Op
from edgecompress.numerics.reference import run_reference
from tests.aot_host import HostProgram, compile_tflites
from tests.op_cases import Family, OpCases
from tests.tflite_builder import run_tflm


@dataclass(frozen=True)
class _Model:
    data: bytes
    inputs: list[NDArray[Any]]


class FamilyMatches:
    """Models of some families, compiled into one host program."""

    def __init__(self, families: Sequence[Family], folder: Path, *, seed: int, count: int) -> None:
        self._models = {f.__name__: _Model(*OpCases(seed).grow(f, count).build()) for f in families}
        self._positions = {name: n for n, name in enumerate(self._models)}
        self._program: HostProgram = compile_tflites([m.data for m in self._models.values()], folder)

    def check(self, family: Family) -> None:
        """Generated C and numpy must give TFLM's bytes for every output of this family's model."""
        model = self._models[family.__name__]
        expected = run_tflm(model.data, model.inputs)
        compare_outputs(model.data, expected, self._program.run(self._positions[family.__name__], model.inputs), "generated C")
        compare_outputs(model.data, expected, reference_outputs(model.data, model.inputs), "numpy")


def check_numpy(family: Family, *, seed: int, count: int) -> None:
    """Numpy must give TFLM's bytes: no compiler, so that many more cases take no time."""
    data, inputs = OpCases(seed).grow(family, count).build()
    compare_outputs(data, run_tflm(data, inputs), reference_outputs(data, inputs), "numpy")


def reference_outputs(data: bytes, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The graph's outputs by `run_reference`."""
    graph = read_tflite(data)
    values = run_reference(graph, inputs)
    return [values[i] for i in graph.outputs]


def compare_outputs(data: bytes, expected: Sequence[NDArray[Any]], came: Sequence[NDArray[Any]], what: str) -> None:
    """Fail with the first op whose output differs, its options and quantization."""
    graph = read_tflite(data)
    assert len(expected) == len(came) == len(graph.outputs)
    for index, ours, theirs in zip(graph.outputs, came, expected, strict=True):
        assert ours.dtype == theirs.dtype
        different = np.flatnonzero(ours.reshape(-1) != theirs.reshape(-1))
        if different.size:
            first = int(different[0])
            pair = f"element {first} is {ours.reshape(-1)[first]}, TFLM has {theirs.reshape(-1)[first]}"
            raise AssertionError(f"{what}: {different.size} of {ours.size} elements differ, {pair}\n{_describe(graph, index)}")


def _describe(graph: Graph, output: int) -> str:
    op = _producer(graph, output)
    tensors = "\n".join(
        f"  t{i} {t.dtype.value} {t.shape} {t.quantization}" for i in (*op.inputs, *op.outputs) if i >= 0 and (t := graph.tensor(i))
    )
    return f"{op.kind} {op.options}\n{tensors}"


def _producer(graph: Graph, output: int) -> Op:
    return next(op for op in graph.ops if output in op.outputs)
