"""Two runtimes compared op by op: how many elements of each op's outputs differ, and by how much.

Each runtime is fed with its own values, so a difference goes on through the ops that follow; where it starts is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompress.device.interpreters import Trace
from edgecompress.graph import Graph, Op

Tracer = Callable[[Sequence[bytes]], Trace]


@dataclass(frozen=True)
class Layer:
    """One op, over all inputs.

    Attributes:
        op: its index in the graph.
        name: of its first output.
        elements: of its outputs that both runtimes showed; 0 when one of them has no such tensor, as where ops are fused or only
            give other names to the same bytes.
        differing: how many of them differ.
        largest: difference, in the tensor's own counts; for floats in reals.
    """

    op: int
    kind: str
    name: str
    elements: int
    differing: int
    largest: float

    @property
    def differs(self) -> bool:
        return self.differing > 0


def compare_layers(graph: Graph, samples: Sequence[Sequence[bytes]], ours: Tracer, reference: Tracer) -> tuple[Layer, ...]:
    """Every op of the graph, in order.

    Args:
        samples: raw input bytes, one list for each inference.
        ours, reference: give all tensors of one inference that the runtime can show.
    """
    pairs = [(ours(sample), reference(sample)) for sample in samples]
    return tuple(_layer(graph, op, pairs) for op in graph.ops)


def _layer(graph: Graph, op: Op, pairs: Sequence[tuple[Trace, Trace]]) -> Layer:
    elements = differing = 0
    largest = 0.0
    for left, right in pairs:
        for index in op.outputs:
            a, b = left.get(index), right.get(index)
            if a is None or b is None or a.size != b.size:
                continue
            difference = np.abs(a.reshape(-1).astype(np.float64) - b.reshape(-1).astype(np.float64))
            elements += difference.size
            differing += int(np.count_nonzero(difference))
            largest = max(largest, float(difference.max(initial=0.0)))
    return Layer(op.index, op.kind, graph.tensor(op.outputs[0]).name if op.outputs else "", elements, differing, largest)
