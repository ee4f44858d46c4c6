"""Generated C on an arena in which every tensor and every scratch stands alone, with gaps between: on the host the gaps are poisoned
(`aot_host`), so that a kernel that reads one byte beside its tensors is caught. It is also much faster to plan.
"""

from __future__ import annotations

from edgecompress.artifact import Engine, GeneratedModel, ModelInfo, PlannedBuffer
from edgecompress.codegen.check import check_program
from edgecompress.codegen.emit import emit_files
from edgecompress.codegen.lower import lower
from edgecompress.codegen.plan import resolve_aliases
from edgecompress.codegen.program import ArenaPlan, Program
from edgecompress.codegen.specs import tensor_spec
from edgecompress.graph import Graph
from edgecompress.target import KernelSet, Optimize

# The address sanitizer knows eights of bytes: what starts at one is exact to the byte.
_GAP_BYTES = 32
_ALIGNMENT = 16


class _Row:
    """Places one after the other."""

    def __init__(self) -> None:
        self.end = _GAP_BYTES
        self.buffers: list[PlannedBuffer] = []

    def place(self, name: str, size: int, first: int, last: int) -> int:
        offset = self.end
        self.buffers.append(PlannedBuffer(name, offset, size, first, last))
        self.end = -(-(offset + size) // _ALIGNMENT) * _ALIGNMENT + _GAP_BYTES
        return offset


def generate_spread(graph: Graph, kernels: KernelSet, optimize: Optimize = Optimize.SPEED) -> GeneratedModel:
    """As `generate_aot`, on an arena with gaps."""
    steps, aliases = lower(graph, graph.name, kernels, optimize)
    roots, last = resolve_aliases(aliases), max(len(steps) - 1, 0)
    row = _Row()
    own = dict.fromkeys((*graph.inputs, *(i for step in steps for i in step.writes)))
    offsets = {i: row.place(graph.tensor(i).name, graph.tensor(i).bytes, 0, last) for i in own}
    offsets |= {alias.output: offsets[root] for alias in aliases if (root := roots[alias.output]) in offsets}
    scratches = {n: row.place("scratch", s.scratch_bytes, n, n) for n, s in enumerate(steps) if s.scratch_bytes}
    peak = max((-(-(b.offset + b.bytes) // 4) * 4 for b in row.buffers), default=0)
    plan = ArenaPlan(row.end, peak, 0, offsets, scratches, tuple(row.buffers))
    check_program(steps, aliases, plan, graph)
    files = emit_files(Program(graph.name, "a test's own plan", graph, steps, aliases, plan))
    info = ModelInfo(
        name=graph.name,
        sha256=graph.sha256,
        engine=Engine.AOT,
        macs=graph.macs,
        parameters=graph.parameters,
        arena_bytes=plan.arena_bytes,
        inputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.inputs),
        outputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.outputs),
        steps=(),
        plan=plan.buffers,
    )
    return GeneratedModel(info, files, tuple(sorted({step.kernel for step in steps})))
