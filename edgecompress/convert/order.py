"""Ops stand in an order in which they can run, and every tensor has exactly one origin."""

from __future__ import annotations

from collections.abc import Iterable

from edgecompress.errors import ModelError
from edgecompress.graph import Graph

_HINT = "the file is damaged, or written by a tool with a mistake: export the model again"


def check_order(file: str, graph: Graph, variables: frozenset[int]) -> None:
    """Fail unless each tensor that is read is a constant, an input, a variable or the output of an earlier op.

    Raises:
        ModelError: an op reads what nothing made yet, two ops write one tensor, an op writes an input or a constant, inputs repeat,
            the graph has no ops, inputs or outputs, or a tensor that moves at run time has no elements.
    """
    _Order(file, graph, variables).check()


class _Order:
    def __init__(self, file: str, graph: Graph, variables: frozenset[int]) -> None:
        self._file = file
        self._graph = graph
        self._variables = variables

    def check(self) -> None:
        graph = self._graph
        for what, found in (("operators", graph.ops), ("inputs", graph.inputs), ("outputs", graph.outputs)):
            if not found:
                raise self._error(f"the graph has no {what}")
        origin = self._origins_of_inputs()
        for op in graph.ops:
            where = f"op {op.index} ({op.kind})"
            if not op.outputs:
                raise self._error(f"{where} has no outputs")
            self._check_known(where, (i for i in op.inputs if i >= 0), origin)
            for index in op.outputs:
                self._check_not_empty(index)
                if index in origin or graph.tensors[index].is_constant:
                    raise self._error(f"{where} writes {self._named(index)}, which is already {origin.get(index, 'a constant')}")
                origin[index] = f"an output of {where}"
        self._check_known("the graph", graph.outputs, origin)

    def _origins_of_inputs(self) -> dict[int, str]:
        origin: dict[int, str] = {}
        for index in self._graph.inputs:
            self._check_not_empty(index)
            if index in origin or self._graph.tensors[index].is_constant:
                raise self._error(f"the graph's input {self._named(index)} is already {origin.get(index, 'a constant')}")
            origin[index] = "an input of the graph"
        return origin

    def _check_known(self, reader: str, indices: Iterable[int], origin: dict[int, str]) -> None:
        for index in indices:
            if index not in origin and index not in self._variables and not self._graph.tensors[index].is_constant:
                raise self._error(f"{reader} reads {self._named(index)} before anything wrote it")

    def _check_not_empty(self, index: int) -> None:
        tensor = self._graph.tensors[index]
        if tensor.elements == 0:
            raise self._error(f"{self._named(index)} has no elements (shape {list(tensor.shape)})")

    def _named(self, index: int) -> str:
        return f"tensor {index} ({self._graph.tensors[index].name})"

    def _error(self, what: str) -> ModelError:
        return ModelError(f"{self._file}: {what}", hint=_HINT)
