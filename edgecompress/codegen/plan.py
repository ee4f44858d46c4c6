"""Where each tensor lies in the arena: buffers that are never alive together share bytes.

A tensor is alive from the step that writes it to the last one that reads it; inputs from the start, outputs to the end. Another name
(Alias) is the same buffer. Two buffers that are alive in one step are disjoint, unless the step's kernel lets its output overlap an input
that is not needed later (Overlap). `placement` then searches offsets under these conditions.

Offsets are multiples of 4, so that kernels may load words; the arena itself is aligned to 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgecompress.artifact import PlannedBuffer
from edgecompress.codegen.placement import BUFFER_ALIGNMENT, Buffer, place_buffers
from edgecompress.codegen.program import Alias, ArenaPlan, Step
from edgecompress.errors import ModelError
from edgecompress.graph import Graph

ARENA_ALIGNMENT = 16


def plan_arena(steps: Sequence[Step], aliases: Sequence[Alias], graph: Graph, keep_input: bool = False) -> ArenaPlan:
    """Place every tensor that is no constant, and every scratch.

    Args:
        steps, aliases: what `lower` made of the graph.
        keep_input: inputs stay intact to the end of an inference; otherwise later steps may overwrite them.

    Raises:
        ModelError: a tensor is read before anything has written it.
    """
    roots = resolve_aliases(aliases)
    lives = lifetimes(steps, roots, graph, keep_input)
    number = {tensor: k for k, tensor in enumerate(lives)}
    leads = {(number[s], number[o]): lead for (s, o), lead in usable_leads(steps, roots, lives).items()}
    scratches = {n: Buffer(aligned(s.scratch_bytes), n, n) for n, s in enumerate(steps) if s.scratch_bytes > 0}
    buffers = [*lives.values(), *scratches.values()]
    placement = place_buffers(buffers, leads)
    offsets = placement.offsets
    of_tensor = dict(zip(lives, offsets[: len(lives)], strict=True))
    named = {a.output: of_tensor[root] for a in aliases if (root := roots[a.output]) in of_tensor}
    of_scratch = dict(zip(scratches, offsets[len(lives) :], strict=True))
    shown = _describe(steps, graph, lives, of_tensor, of_scratch)
    return ArenaPlan(aligned(placement.height, ARENA_ALIGNMENT), placement.height, placement.bound, of_tensor | named, of_scratch, shown)


def resolve_aliases(aliases: Iterable[Alias]) -> dict[int, int]:
    """The tensor whose buffer each other name stands for; aliases come in execution order."""
    roots: dict[int, int] = {}
    for alias in aliases:
        roots[alias.output] = roots.get(alias.source, alias.source)
    return roots


def lifetimes(steps: Sequence[Step], roots: Mapping[int, int], graph: Graph, keep_input: bool) -> dict[int, Buffer]:
    """One buffer for each tensor that has its own bytes, by tensor index; `last` is len(steps) for what must survive the inference."""
    end = len(steps)
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, end if keep_input else 0)
    for n, step in enumerate(steps):
        for i in step.reads:
            root = roots.get(i, i)
            if graph.tensor(root).is_constant:
                continue
            if root not in first:
                raise ModelError(f"{graph.tensor(i).name} is read by op {step.ops[0]} before anything has written it")
            last[root] = max(last[root], n)
        for i in step.writes:
            first[i] = last[i] = n
    for i in graph.outputs:
        root = roots.get(i, i)
        if root in first:
            last[root] = end
        elif not graph.tensor(root).is_constant:
            raise ModelError(f"{graph.tensor(i).name} is an output that nothing writes")
    return {i: Buffer(aligned(graph.tensor(i).bytes), first[i], last[i]) for i in first}


def usable_leads(steps: Sequence[Step], roots: Mapping[int, int], lives: Mapping[int, Buffer]) -> dict[tuple[int, int], int]:
    """The overlaps that can be used, by the tensors that own the bytes; a source that is needed later stands apart.

    A kernel may read one buffer under several names: all of them must allow the overlap, and the largest lead holds.
    """
    usable: dict[tuple[int, int], int] = {}
    for n, step in enumerate(steps):
        declared: dict[tuple[int, int], int] = {}
        for overlap in step.overlaps:
            pair = (overlap.source, overlap.output)
            declared[pair] = max(declared.get(pair, overlap.lead), overlap.lead)
        for output in step.writes:
            for root in {roots.get(i, i) for i in step.reads}:
                names = [i for i in step.reads if roots.get(i, i) == root]
                if root in lives and lives[root].last == n and all((i, output) in declared for i in names):
                    usable[root, output] = aligned(max(declared[i, output] for i in names))
    return usable


def aligned(size: int, alignment: int = BUFFER_ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def _describe(
    steps: Sequence[Step],
    graph: Graph,
    lives: Mapping[int, Buffer],
    of_tensor: Mapping[int, int],
    of_scratch: Mapping[int, int],
) -> tuple[PlannedBuffer, ...]:
    """One entry a tensor or scratch, in order of time; `last_op` of what survives is the last step."""
    final = max(len(steps) - 1, 0)
    shown = [
        PlannedBuffer(graph.tensor(i).name, of_tensor[i], graph.tensor(i).bytes, min(b.first, final), min(b.last, final))
        for i, b in lives.items()
    ]
    shown += [PlannedBuffer("scratch", offset, steps[n].scratch_bytes, n, n) for n, offset in of_scratch.items()]
    return tuple(sorted(shown, key=lambda p: (p.first_op, p.last_op, p.offset, p.tensor)))
