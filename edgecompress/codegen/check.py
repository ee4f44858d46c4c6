"""Proof that a plan is sound, found by playing the steps through rather than by the planner's own reasoning.

Every tensor that a step reads must still be what was written; a write spoils whatever else lies under it. What is wrong here is a bug of
the planner or of a lowering, never of the user's model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecompress.codegen.placement import BUFFER_ALIGNMENT
from edgecompress.codegen.plan import ARENA_ALIGNMENT, resolve_aliases
from edgecompress.codegen.program import Alias, ArenaPlan, PointerArray, ScratchArg, Step, TensorArg
from edgecompress.codegen.stream.block import StreamStep
from edgecompress.codegen.stream.check import block_problems
from edgecompress.graph import Graph


class UnsoundPlanError(RuntimeError):
    """A plan or a step that would compute wrong bytes."""


def check_program(steps: Sequence[Step], aliases: Sequence[Alias], plan: ArenaPlan, graph: Graph, keep_input: bool = False) -> None:
    """Play the steps through on the plan.

    Raises:
        UnsoundPlanError: a buffer outside the arena or not aligned, a tensor read after it was overwritten, two buffers of one step that
            overlap more than the step allows, arguments that do not match what the step says it reads and writes, or another peak than
            the plan tells.
    """
    _Playback(steps, aliases, plan, graph).run(keep_input)


class _Playback:
    """The arena during one inference: which tensors are intact, by the index of the tensor that owns the bytes."""

    def __init__(self, steps: Sequence[Step], aliases: Sequence[Alias], plan: ArenaPlan, graph: Graph) -> None:
        self._steps = steps
        self._plan = plan
        self._graph = graph
        self._roots = resolve_aliases(aliases)
        self._aliases = aliases
        self._intact: set[int] = set()

    def run(self, keep_input: bool) -> None:
        self._check_bounds()
        for i in self._graph.inputs:
            self._spoil(self._range(i))
            self._intact.add(i)
        self._require_intact(self._graph.inputs, "before the first step")
        for n, step in enumerate(self._steps):
            for call in step.calls:
                _check_arguments(call, self._graph)
            self._play(n, step)
            if isinstance(step, StreamStep):
                self._check_block(n, step)
        self._require_intact(self._graph.outputs, "after the last step")
        if keep_input:
            self._require_intact(self._graph.inputs, "after the last step")
        self._check_peak()

    def _play(self, n: int, step: Step) -> None:
        self._require_intact(step.reads, f"in step {n}")
        work = [self._range(i) for i in dict.fromkeys((*step.reads, *step.writes)) if not self._constant(i)]
        if step.scratch_bytes > 0:
            scratch = self._scratch(n)
            if any(_overlap(scratch, other) for other in work):
                raise UnsoundPlanError(f"step {n}: scratch overlaps a tensor of the same step")
            self._spoil(scratch)
        for position, output in enumerate(step.writes):
            self._check_output(n, step, output, step.writes[:position])
            self._spoil(self._range(output))
            self._intact.add(output)
        # In the order of writing, a later output could have spoilt an earlier one.
        self._require_intact(step.writes, f"after step {n}")

    def _check_block(self, n: int, step: StreamStep) -> None:
        problem = next(block_problems(step, self._plan, self._plan.scratch_offsets.get(n, 0), self._graph), None)
        if problem is not None:
            raise UnsoundPlanError(f"step {n}: {problem}")

    def _check_output(self, n: int, step: Step, output: int, written: Sequence[int]) -> None:
        mine = self._range(output)
        for i in step.reads:
            if self._constant(i) or not _overlap(mine, self._range(i)):
                continue
            leads = [o.lead for o in step.overlaps if (o.source, o.output) == (i, output)]
            if not leads:
                raise UnsoundPlanError(f"step {n}: t{output} overlaps its input t{i}, which the step does not allow")
            ahead = self._range(i).start - mine.start
            if ahead < max(leads):
                raise UnsoundPlanError(f"step {n}: t{i} lies {ahead} bytes ahead of t{output}, expected {max(leads)} or more")
        if any(_overlap(mine, self._range(i)) for i in written):
            raise UnsoundPlanError(f"step {n}: two outputs overlap")

    def _check_bounds(self) -> None:
        if self._plan.arena_bytes % ARENA_ALIGNMENT:
            raise UnsoundPlanError(f"an arena of {self._plan.arena_bytes} bytes is not a multiple of {ARENA_ALIGNMENT}")
        for i in self._plan.offsets:
            self._check_range(self._range(i), f"t{i}")
        for n, step in enumerate(self._steps):
            if step.scratch_bytes > 0:
                self._check_range(self._scratch(n), f"the scratch of step {n}")
        for alias in self._aliases:
            if not self._constant(alias.output) and self._plan.offsets.get(alias.output) != self._plan.offsets[self._root(alias.output)]:
                raise UnsoundPlanError(f"t{alias.output} does not lie where t{alias.source} does")

    def _check_peak(self) -> None:
        plan = self._plan
        ends = [self._range(i).stop for i in plan.offsets] + [self._scratch(n).stop for n in plan.scratch_offsets]
        highest = max(ends, default=0)
        if not highest <= plan.peak_bytes < highest + BUFFER_ALIGNMENT or not plan.bound_bytes <= plan.peak_bytes <= plan.arena_bytes:
            raise UnsoundPlanError(
                f"the highest buffer ends at {highest}; the plan says a peak of {plan.peak_bytes} and a bound of {plan.bound_bytes} bytes"
            )

    def _check_range(self, where: range, what: str) -> None:
        if where.start % BUFFER_ALIGNMENT or where.start < 0 or where.stop > self._plan.arena_bytes:
            raise UnsoundPlanError(f"{what} at {where.start} to {where.stop} is not aligned or outside {self._plan.arena_bytes} bytes")

    def _require_intact(self, tensors: Sequence[int], when: str) -> None:
        for i in tensors:
            if not self._constant(i) and self._root(i) not in self._intact:
                raise UnsoundPlanError(f"t{i} is not intact {when}")

    def _spoil(self, where: range) -> None:
        self._intact = {i for i in self._intact if not _overlap(where, self._range(i))}

    def _root(self, tensor: int) -> int:
        return self._roots.get(tensor, tensor)

    def _constant(self, tensor: int) -> bool:
        return self._graph.tensor(self._root(tensor)).is_constant

    def _range(self, tensor: int) -> range:
        offset = self._plan.offsets.get(tensor)
        if offset is None:
            raise UnsoundPlanError(f"t{tensor} has no place in the arena")
        return range(offset, offset + self._graph.tensor(tensor).bytes)

    def _scratch(self, n: int) -> range:
        offset = self._plan.scratch_offsets.get(n)
        if offset is None:
            raise UnsoundPlanError(f"step {n}: its scratch has no place in the arena")
        return range(offset, offset + self._steps[n].scratch_bytes)


def _check_arguments(step: Step, graph: Graph) -> None:
    """The tensors among the arguments are exactly those that the step declares."""
    reads = {i for i in _argument_tensors(step) if i not in step.writes and not graph.tensor(i).is_constant}
    missing = [i for i in step.writes if i not in set(_argument_tensors(step))]
    undeclared = reads - set(step.reads)
    unused = {i for i in step.reads if not graph.tensor(i).is_constant} - reads
    if missing or undeclared or unused:
        raise UnsoundPlanError(
            f"{step.function} of op {step.ops[0]}: arguments and declared tensors differ: "
            f"not written {missing}, read undeclared {sorted(undeclared)}, declared but unused {sorted(unused)}"
        )
    for overlap in step.overlaps:
        if overlap.source not in step.reads or overlap.output not in step.writes:
            raise UnsoundPlanError(f"{step.function} of op {step.ops[0]}: {overlap} is not of an input and an output of the step")
    if any(isinstance(a, ScratchArg) for a in step.arguments) != (step.scratch_bytes > 0):
        raise UnsoundPlanError(f"{step.function} of op {step.ops[0]}: scratch argument and scratch size do not match")
    if step.kernel.rsplit("/", 1)[-1] != f"{step.function}.c":
        raise UnsoundPlanError(f"{step.function} of op {step.ops[0]}: expected its own file, came {step.kernel}")


def _argument_tensors(step: Step) -> Iterator[int]:
    for argument in step.arguments:
        match argument:
            case TensorArg(tensor=tensor):
                yield tensor
            case PointerArray(tensors=tensors):
                yield from tensors
            case _:
                pass


def _overlap(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop
