"""Where each tensor lies in the arena: buffers that are never alive together share bytes.

A tensor is alive from the step that writes it to the last one that reads it; inputs from the start, outputs to the end. Three things join
tensors in one buffer: another name (Alias), an output that a kernel writes in place over a dying input, and nothing else. Buffers are then
placed one by one at the lowest offset that is free during their life. The order decides how tight that gets, so several orders are tried,
then the best is shuffled a little, always with the same numbers, until nothing can be below the largest sum of bytes alive at once.

Offsets are multiples of 4, so that kernels may load words; the arena itself is aligned to 16 bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgecompress.artifact import PlannedBuffer
from edgecompress.codegen.program import Alias, ArenaPlan, Step
from edgecompress.errors import ModelError
from edgecompress.graph import Graph

BUFFER_ALIGNMENT = 4
ARENA_ALIGNMENT = 16

# Placing n buffers takes about n * n comparisons; the search stays under a second for the largest models.
_SEARCH_COMPARISONS = 4_000_000
_SEARCH_ROUNDS = 400


@dataclass
class _Buffer:
    """Bytes of the arena that are taken from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int
    tensors: list[int] = field(default_factory=list)

    def meets(self, other: _Buffer) -> bool:
        """Whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


def plan_arena(steps: Sequence[Step], aliases: Sequence[Alias], graph: Graph, keep_input: bool = False) -> ArenaPlan:
    """Place every tensor that is no constant, and every scratch.

    Args:
        steps, aliases: what `lower` made of the graph.
        keep_input: inputs stay intact to the end of an inference; otherwise later steps may overwrite them.

    Raises:
        ModelError: a tensor is read before anything has written it.
    """
    roots = resolve_aliases(aliases)
    lives = _lifetimes(steps, roots, graph, keep_input)
    buffers = _join_in_place(steps, roots, lives)
    scratches = {n: _Buffer(_aligned(s.scratch_bytes), n, n) for n, s in enumerate(steps) if s.scratch_bytes > 0}
    everything = buffers + list(scratches.values())
    offsets = _place_well(everything)
    arena = max((offset + b.bytes for offset, b in zip(offsets, everything, strict=True)), default=0)
    of_tensor = {t: offset for offset, b in zip(offsets, everything, strict=True) for t in b.tensors}
    named = {a.output: of_tensor[root] for a in aliases if (root := roots[a.output]) in of_tensor}
    of_scratch = dict(zip(scratches, offsets[len(buffers) :], strict=True))
    shown = _describe(steps, graph, lives, of_tensor, of_scratch)
    return ArenaPlan(_aligned(arena, ARENA_ALIGNMENT), of_tensor | named, of_scratch, shown)


def resolve_aliases(aliases: Iterable[Alias]) -> dict[int, int]:
    """The tensor whose buffer each other name stands for; aliases come in execution order."""
    roots: dict[int, int] = {}
    for alias in aliases:
        roots[alias.output] = roots.get(alias.source, alias.source)
    return roots


def _lifetimes(steps: Sequence[Step], roots: Mapping[int, int], graph: Graph, keep_input: bool) -> dict[int, _Buffer]:
    """One buffer for each tensor that has its own bytes, by tensor index; `last` is len(steps) for what must survive the inference."""
    end = len(steps)
    lives = {i: _Buffer(_aligned(graph.tensor(i).bytes), 0, end if keep_input else 0, [i]) for i in graph.inputs}
    for n, step in enumerate(steps):
        for i in step.reads:
            root = roots.get(i, i)
            if graph.tensor(root).is_constant:
                continue
            if root not in lives:
                raise ModelError(f"{graph.tensor(i).name} is read by op {step.ops[0]} before anything has written it")
            lives[root].last = max(lives[root].last, n)
        for i in step.writes:
            lives[i] = _Buffer(_aligned(graph.tensor(i).bytes), n, n, [i])
    for i in graph.outputs:
        root = roots.get(i, i)
        if root in lives:
            lives[root].last = end
        elif not graph.tensor(root).is_constant:
            raise ModelError(f"{graph.tensor(i).name} is an output that nothing writes")
    return lives


def _join_in_place(steps: Sequence[Step], roots: Mapping[int, int], lives: Mapping[int, _Buffer]) -> list[_Buffer]:
    """Buffers after every in-place pair that can be used has been joined, in order of their first tensor."""
    holder = {i: _Buffer(b.bytes, b.first, b.last, list(b.tensors)) for i, b in lives.items()}
    for n, step in enumerate(steps):
        for source, output in step.in_place:
            root = roots.get(source, source)
            if root not in holder or not _may_join(step, n, roots, holder[root], holder[output], holder, output):
                continue
            joined, absorbed = holder[root], holder[output]
            joined.last = absorbed.last
            joined.tensors += absorbed.tensors
            holder[output] = joined
    return list({id(b): b for b in holder.values()}.values())


def _may_join(step: Step, n: int, roots: Mapping[int, int], old: _Buffer, new: _Buffer, holder: Mapping[int, _Buffer], output: int) -> bool:
    """The input dies here, both have the same bytes, no other output took it, and whatever else reads it allows the same."""
    if old is new or old.last != n or old.bytes != new.bytes:
        return False
    # A second input that could be overwritten by this output stays where it is.
    if new.tensors != [output] or any(i in old.tensors for i in step.writes):
        return False
    readers = {i for i in step.reads if holder.get(roots.get(i, i)) is old}
    return all((i, output) in step.in_place for i in readers)


def _place_well(buffers: Sequence[_Buffer]) -> list[int]:
    """The best offsets found, in the order of `buffers`."""
    if not buffers:
        return []
    bound = _most_alive(buffers)
    best_order = min(_orders(buffers), key=lambda order: _height(buffers, _place(buffers, order)))
    best = _place(buffers, best_order)
    rounds = min(_SEARCH_ROUNDS, _SEARCH_COMPARISONS // len(buffers) ** 2) if len(buffers) > 1 else 0
    chance = random.Random(0)  # A fixed seed: the same model gives the same plan.
    for _ in range(rounds):
        if _height(buffers, best) <= bound:
            break
        order = list(best_order)
        moved = order.pop(chance.randrange(len(order)))
        order.insert(chance.randrange(len(order) + 1), moved)
        offsets = _place(buffers, order)
        if _height(buffers, offsets) <= _height(buffers, best):
            best_order, best = order, offsets
    return best


def _orders(buffers: Sequence[_Buffer]) -> list[list[int]]:
    """Orders worth trying, each deterministic."""

    def by(key: Callable[[_Buffer], tuple[int, ...]]) -> list[int]:
        return sorted(range(len(buffers)), key=lambda i: (*key(buffers[i]), i))

    return [
        by(lambda b: (-b.bytes, b.first)),
        by(lambda b: (-b.bytes * (b.last - b.first + 1), b.first)),
        by(lambda b: (b.first - b.last, -b.bytes)),
        by(lambda b: (b.first, -b.bytes)),
        by(lambda b: (-b.last, -b.bytes)),
    ]


def _place(buffers: Sequence[_Buffer], order: Sequence[int]) -> list[int]:
    """Each buffer in turn at the lowest offset where it overlaps nothing that is alive with it."""
    offsets = [-1] * len(buffers)
    placed: list[int] = []
    for i in order:
        taken = sorted((offsets[j], offsets[j] + buffers[j].bytes) for j in placed if buffers[i].meets(buffers[j]))
        offset = 0
        for start, stop in taken:
            if start - offset >= buffers[i].bytes:
                break
            offset = max(offset, stop)
        offsets[i] = offset
        placed.append(i)
    return offsets


def _height(buffers: Sequence[_Buffer], offsets: Sequence[int]) -> int:
    return max(offset + b.bytes for offset, b in zip(offsets, buffers, strict=True))


def _most_alive(buffers: Sequence[_Buffer]) -> int:
    """The largest sum of bytes alive in one step: no plan can be smaller."""
    return max(sum(b.bytes for b in buffers if b.first <= n <= b.last) for n in {b.first for b in buffers})


def _aligned(size: int, alignment: int = BUFFER_ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


def _describe(
    steps: Sequence[Step],
    graph: Graph,
    lives: Mapping[int, _Buffer],
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
