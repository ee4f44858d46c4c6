"""Our memory plan for TensorFlow Lite Micro: offsets of its tensors, in the form that its memory planner takes from a model's metadata.

TFLM places tensors greedily, the largest first, each at the lowest free offset, and copies where a tensor only changes its shape. Here
tensors that are one another's bytes share them, and `placement` searches for offsets. Tensors that are not placed (constants, states) are
TFLM's business, and so is scratch: it is placed around the plan.

Format: tensorflow/lite/micro/docs/memory_management.md, "Offline planned tensor allocations": int32 words, the version, the number of
subgraphs, the number of tensors, then an offset for each tensor, or -1.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecompress.codegen.placement import Buffer, height, place_buffers
from edgecompress.graph import Graph, Op

PLAN_NAME = "OfflineMemoryAllocation"

# MicroArenaBufferAlignment: sizes and offsets are multiples of it.
_ALIGNMENT = 16
_VERSION = 1
_NOT_PLACED = -1

# TFLM's kernels copy these byte by byte, or not at all where both are the same bytes.
_SAME_BYTES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
# These compute each element from those at the same place, one after the other; no kernel (reference or CMSIS-NN) reads a place again.
_IN_PLACE = frozenset({"ADD", "SUB", "MUL", "RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU"})


@dataclass(frozen=True)
class OfflinePlan:
    """Offsets by tensor index, -1 for what TFLM places itself.

    Attributes:
        peak_bytes: where the highest tensor ends.
        bound_bytes: no offsets end lower, with the same bytes shared.
        greedy_bytes: where TFLM's own placement of the same tensors ends.
    """

    offsets: tuple[int, ...]
    peak_bytes: int
    bound_bytes: int
    greedy_bytes: int

    @property
    def data(self) -> bytes:
        """The buffer that the metadata's entry PLAN_NAME points at."""
        return struct.pack(f"<3I{len(self.offsets)}i", _VERSION, 1, len(self.offsets), *self.offsets)


def plan_offline(graph: Graph) -> OfflinePlan:
    """Place the tensors of a graph for TensorFlow Lite Micro, which runs it op by op."""
    lives = _lifetimes(graph)
    # What is shared stays longer in one place; that is not always better.
    return min(
        (_plan(graph, lives, kinds) for kinds in (frozenset[str](), _SAME_BYTES, _SAME_BYTES | _IN_PLACE)), key=lambda p: p.peak_bytes
    )


def _plan(graph: Graph, lives: Mapping[int, Buffer], kinds: frozenset[str]) -> OfflinePlan:
    """The plan in which ops of `kinds` work in place."""
    roots = _roots(graph, lives, kinds)
    merged = _merged(lives, roots)
    buffers, own = list(merged.values()), list(lives.values())
    placement = place_buffers(buffers, {})
    of_root = dict(zip(merged, placement.offsets, strict=True))
    placed = tuple(of_root[roots[i]] if i in roots else _NOT_PLACED for i in range(len(graph.tensors)))
    return OfflinePlan(placed, placement.height, placement.bound, height(own, place_greedily(own)))


def place_greedily(buffers: Sequence[Buffer]) -> list[int]:
    """Where TFLM's GreedyMemoryPlanner puts buffers: the largest first, of equal ones the last, each at the lowest offset that is free."""
    offsets: dict[int, int] = {}
    for i in sorted(range(len(buffers)), key=lambda i: (-buffers[i].bytes, -i)):
        low = 0
        for start, end in sorted((at, at + buffers[j].bytes) for j, at in offsets.items() if buffers[j].meets(buffers[i])):
            if start - low >= buffers[i].bytes:
                break
            low = max(low, end)
        offsets[i] = low
    return [offsets[i] for i in range(len(buffers))]


def _lifetimes(graph: Graph) -> dict[int, Buffer]:
    """As TFLM has them: an input from the start, an output to the end, all else from the op that writes it to the last that reads it."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, 0)
    for n, op in enumerate(graph.ops, start=1):
        for tensor in op.outputs:
            first.setdefault(tensor, n)
            last[tensor] = n
        for tensor in op.inputs:
            if tensor in first:
                last[tensor] = n
    for tensor in graph.outputs:
        if tensor in first:
            last[tensor] = len(graph.ops)
    sizes = {tensor: graph.tensor(tensor).bytes for tensor in first}
    return {t: Buffer(-(-size // _ALIGNMENT) * _ALIGNMENT, first[t], last[t]) for t, size in sizes.items() if size}


def _roots(graph: Graph, lives: Mapping[int, Buffer], kinds: frozenset[str]) -> dict[int, int]:
    """The tensor whose bytes each one shares, itself for most."""
    roots = {tensor: tensor for tensor in lives}
    # Where the bytes of a root are last needed, under any of their names so far.
    last = {tensor: life.last for tensor, life in lives.items()}
    for n, op in enumerate(graph.ops, start=1):
        if op.kind in kinds:
            source = _shared_source(graph, op, lives, roots, last, n)
            if source is not None:
                root = roots[source]
                roots[op.outputs[0]] = root
                last[root] = max(last[root], lives[op.outputs[0]].last)
    return roots


def _shared_source(
    graph: Graph, op: Op, lives: Mapping[int, Buffer], roots: Mapping[int, int], last: Mapping[int, int], n: int
) -> int | None:
    """The input whose bytes the op's output may take over."""
    output = op.outputs[0]
    for source in op.inputs[: 1 if op.kind in _SAME_BYTES else 2]:
        if source not in lives or output not in lives or lives[source].bytes != lives[output].bytes:
            continue
        if op.kind in _SAME_BYTES or (last[roots[source]] == n and _same_places(graph, op)):
            return source
    return None


def _same_places(graph: Graph, op: Op) -> bool:
    """Whether every activation of an op has the output's shape and type: nothing is broadcast."""
    output = graph.tensor(op.outputs[0])
    inputs = [graph.tensor(i) for i in op.inputs if i >= 0]
    return all((tensor.shape, tensor.dtype) == (output.shape, output.dtype) for tensor in inputs if not tensor.is_constant)


def _merged(lives: Mapping[int, Buffer], roots: Mapping[int, int]) -> dict[int, Buffer]:
    """One buffer for each root, as long as any of its names lives."""
    merged: dict[int, Buffer] = {}
    for tensor, life in lives.items():
        root = roots[tensor]
        known = merged.get(root, life)
        merged[root] = Buffer(life.bytes, min(known.first, life.first), max(known.last, life.last))
    return merged
