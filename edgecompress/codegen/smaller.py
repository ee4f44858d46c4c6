"""The kernels of a model whose plan takes the least arena, among those that each op may have.

Fast kernels take scratch, and some may write over their input; others take less or none, and most may not. Which of the two lowers a plan's
peak depends on what else is alive, so plans are compared: from all first or all last choices, whichever is lower, each op is exchanged in
turn, and the exchange is kept where the peak falls, or where it stays and the faster kernel comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.codegen.lower import choices
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Alias, Step
from edgecompress.graph import Graph
from edgecompress.target import KernelSet, Optimize

# Plans of a model with a gap take a second each; beyond this many ops that can be exchanged, only the two starts are compared.
_MOST_EXCHANGED = 64

_Lowered = tuple[tuple[Step, ...], tuple[Alias, ...]]


def lower_smallest(graph: Graph, model: str, kernels: KernelSet, keep_input: bool) -> _Lowered:
    """As `lower`, with the smallest constants, and kernels exchanged for portable ones where the arena gets smaller.

    Raises:
        UnsupportedOpError: an op, version, type or option without a kernel.
    """
    offered = [choices(graph, op, model, kernels, Optimize.SIZE) for op in graph.ops]
    movable = [n for n, steps in enumerate(offered) if len(steps) > 1]

    def peak(chosen: Sequence[int]) -> int:
        return plan_arena(*_split(offered, chosen), graph, keep_input).peak_bytes

    fast = [0] * len(offered)
    portable = [len(steps) - 1 for steps in offered]
    chosen, lowest = min(((start, peak(start)) for start in (fast, portable)), key=lambda found: found[1])
    for n in movable if len(movable) <= _MOST_EXCHANGED else ():
        other = [*chosen[:n], 1 - chosen[n], *chosen[n + 1 :]]
        came = peak(other)
        if came < lowest or (came == lowest and other[n] == 0):
            chosen, lowest = other, came
    return _split(offered, chosen)


def _split(offered: Sequence[tuple[Step | Alias, ...]], chosen: Sequence[int]) -> _Lowered:
    lowered = [steps[n] for steps, n in zip(offered, chosen, strict=True)]
    return tuple(s for s in lowered if isinstance(s, Step)), tuple(a for a in lowered if isinstance(a, Alias))
