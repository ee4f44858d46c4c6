"""Which steps may stand in one block: neighbours that all go by rows, with one tensor that comes in and one that goes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgecompress.codegen.plan import resolve_aliases
from edgecompress.codegen.program import Alias, Step
from edgecompress.codegen.stream.rows import RowCall, row_call
from edgecompress.graph import Graph


@dataclass(frozen=True, eq=False)
class Chain:
    """Steps `first` to `end` (not included) of a program.

    Attributes:
        source: the tensor that comes in, by the index that owns the bytes.
        output: the tensor that goes out; what lies between is nobody else's.
        roots: the owner of each other name.
    """

    first: int
    end: int
    calls: tuple[RowCall, ...]
    source: int
    output: int
    roots: Mapping[int, int]

    def owner(self, tensor: int) -> int:
        """The tensor that owns these bytes."""
        return self.roots.get(tensor, tensor)


def find_chains(graph: Graph, steps: Sequence[Step], aliases: Sequence[Alias]) -> Iterator[Chain]:
    """Every chain of two steps or more."""
    roots = resolve_aliases(aliases)
    calls = [row_call(graph, step) if _names_alike(graph, step, roots) else None for step in steps]
    readers = _readers(graph, steps, roots)
    for first in range(len(steps)):
        taken: list[RowCall] = []
        for position in range(first, len(steps)):
            call = calls[position]
            if call is None:
                break
            taken.append(call)
            chain = _closed(taken, first, readers, roots)
            if chain is not None and len(taken) > 1 and graph.tensor(chain.output).shape[1] > 1:
                yield chain


def _names_alike(graph: Graph, step: Step, roots: Mapping[int, int]) -> bool:
    """Whether the names that a step reads have the shape of the tensor that owns the bytes."""
    return all(graph.tensor(i).shape == graph.tensor(roots.get(i, i)).shape for i in step.reads)


def _readers(graph: Graph, steps: Sequence[Step], roots: Mapping[int, int]) -> dict[int, list[int]]:
    """The steps that read each tensor, by owner; the model's outputs are read behind the last one."""
    readers: dict[int, list[int]] = {}
    for n, step in enumerate(steps):
        for tensor in {roots.get(i, i) for i in step.reads}:
            readers.setdefault(tensor, []).append(n)
    for tensor in graph.outputs:
        readers.setdefault(roots.get(tensor, tensor), []).append(len(steps))
    return readers


def _closed(calls: Sequence[RowCall], first: int, readers: Mapping[int, list[int]], roots: Mapping[int, int]) -> Chain | None:
    """The chain of these calls, if one tensor comes in and only the last one's output goes out."""
    end = first + len(calls)
    written = [call.output for call in calls]
    coming = {roots.get(i, i) for call in calls for i in call.reaches} - set(written)
    used_inside = all(readers.get(i) and first <= min(readers[i]) and max(readers[i]) < end for i in written[:-1])
    if len(coming) != 1 or not used_inside:
        return None
    return Chain(first, end, tuple(calls), coming.pop(), written[-1], roots)
