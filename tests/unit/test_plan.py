"""The arena planner and the check of its plans, on small made-up programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecompress.codegen.check import UnsoundPlanError, check_program
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Alias, ArenaPlan, Overlap, ScratchArg, Step, TensorArg
from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Op, Tensor


def graph_of(sizes: list[int], inputs: list[int], outputs: list[int], constants: tuple[int, ...] = ()) -> Graph:
    """A graph of int8 vectors; its ops do not matter to the planner."""
    tensors = tuple(
        Tensor(i, f"t{i}", (n,), DType.INT8, data=np.zeros(n, np.int8) if i in constants else None) for i, n in enumerate(sizes)
    )
    return Graph("toy", "00" * 32, 0, tensors, (Op(0, "ADD", 1, (), ()),), tuple(inputs), tuple(outputs))


def step(reads: list[int], writes: list[int], scratch: int = 0, overlaps: tuple[tuple[int, int, int], ...] = ()) -> Step:
    """A call that reads and writes these tensors; overlaps as (source, output, lead)."""
    arguments = (*(TensorArg(i) for i in (*reads, *writes)), *((ScratchArg(),) if scratch else ()))
    allowed = tuple(Overlap(*o) for o in overlaps)
    return Step((0,), "ec_toy", "kernels/portable/ec_toy.c", arguments, tuple(reads), tuple(writes), scratch, allowed)


def planned(steps: list[Step], graph: Graph, aliases: list[Alias] | None = None, keep_input: bool = False) -> ArenaPlan:
    """A plan that has passed the check."""
    plan = plan_arena(steps, aliases or [], graph, keep_input)
    check_program(steps, aliases or [], plan, graph, keep_input)
    return plan


def laid(arena_bytes: int, peak_bytes: int, offsets: dict[int, int], scratch: dict[int, int] | None = None) -> ArenaPlan:
    """A plan by hand."""
    return ArenaPlan(arena_bytes, peak_bytes, 0, offsets, scratch or {}, ())


def test_a_chain_needs_its_largest_pair() -> None:
    """Of a chain only two neighbours are alive at once; nothing smaller is possible, and the plan reaches it."""
    graph = graph_of([64, 160, 32, 96, 16], [0], [4])
    plan = planned([step([i], [i + 1]) for i in range(4)], graph)
    assert plan.arena_bytes == 64 + 160


def test_a_skip_connection_stays_alive() -> None:
    """A tensor that is read again later keeps its bytes until then."""
    graph = graph_of([32, 32, 32, 32], [0], [3])
    plan = planned([step([0], [1]), step([1], [2]), step([0, 2], [3])], graph)
    assert plan.arena_bytes == 96


def test_an_output_may_lie_on_its_dying_input() -> None:
    """A pair with lead 0 takes the bytes of the larger one when the input is not needed later."""
    graph = graph_of([64, 64, 32], [0], [2])
    steps = [step([0], [1], overlaps=((0, 1, 0),)), step([1], [2], overlaps=((1, 2, 0),))]
    assert planned(steps, graph).arena_bytes == 64


@pytest.mark.parametrize(
    ("source", "output", "lead", "expected"),
    [
        (64, 128, 64, 128),
        (64, 128, 80, 144),
        (64, 128, 78, 144),
        (128, 64, 16, 144),
        (128, 64, -32, 128),
        (64, 64, 64, 128),
        (64, 64, 999, 128),
    ],
    ids=["grows", "a block ahead", "rounded up", "shrinks", "below zero", "all of it", "more than all"],
)
def test_a_pair_takes_its_joint_extent(source: int, output: int, lead: int, expected: int) -> None:
    """Input and output take what lead and sizes leave, and never more than both apart."""
    plan = planned([step([0], [1], overlaps=((0, 1, lead),))], graph_of([source, output], [0], [1]))
    assert plan.arena_bytes == expected


def test_a_chain_of_overlaps_takes_its_widest_pair() -> None:
    """Each pair of a chain keeps its own distance, up and down again."""
    graph = graph_of([64, 128, 256, 32], [0], [3])
    steps = [step([0], [1], overlaps=((0, 1, 80),)), step([1], [2], overlaps=((1, 2, 144),)), step([2], [3], overlaps=((2, 3, 0),))]
    assert planned(steps, graph).arena_bytes == 144 + 128


def test_two_inputs_overlap_the_output_each_by_its_own_lead() -> None:
    """Inputs stay apart from each other; the output may lie below both."""
    graph = graph_of([32, 32, 64], [0, 1], [2])
    assert planned([step([0, 1], [2], overlaps=((0, 2, 0), (1, 2, 32)))], graph).arena_bytes == 64
    assert planned([step([0, 1], [2], overlaps=((0, 2, 16), (1, 2, 16)))], graph).arena_bytes == 80
    assert planned([step([0, 1], [2], overlaps=((0, 2, 0),))], graph).arena_bytes == 96


@pytest.mark.parametrize(
    ("steps", "keep_input"),
    [
        ([step([0], [1], overlaps=((0, 1, 0),)), step([0, 1], [2])], False),
        ([step([0], [1], overlaps=((0, 1, 0),)), step([1], [2])], True),
        ([step([0], [1], overlaps=((0, 1, -64),)), step([0, 1], [2])], False),
    ],
    ids=["read later", "input kept", "far below zero, read later"],
)
def test_overlaps_are_left_alone_where_they_would_hurt(steps: list[Step], keep_input: bool) -> None:
    """A pair is not used when the input is read later or must survive."""
    plan = planned(steps, graph_of([64, 64, 64], [0], [2]), keep_input=keep_input)
    assert abs(plan.offsets[0] - plan.offsets[1]) >= 64


def test_an_output_of_the_model_is_never_a_source() -> None:
    """What is returned survives, although its last reader would let it be overwritten."""
    graph = graph_of([64, 64, 64], [0], [1, 2])
    plan = planned([step([0], [1]), step([1], [2], overlaps=((1, 2, 0),))], graph)
    assert abs(plan.offsets[1] - plan.offsets[2]) >= 64


def test_two_readers_of_one_buffer_must_both_allow_the_overlap() -> None:
    """An alias of the same bytes that the kernel reads in another order keeps the output away; otherwise the larger lead holds."""
    graph = graph_of([64, 64, 64], [0], [2])
    alias = [Alias(0, 0, 1)]
    assert planned([step([0, 1], [2], overlaps=((0, 2, 0),))], graph, alias).arena_bytes == 128
    assert planned([step([0, 1], [2], overlaps=((0, 2, 0), (1, 2, 16)))], graph, alias).arena_bytes == 80


def test_other_names_share_bytes_and_life() -> None:
    """A RESHAPE moves nothing, and its result keeps the source alive."""
    graph = graph_of([64, 64, 64, 64], [0], [3])
    plan = planned([step([0], [2]), step([1, 2], [3])], graph, [Alias(0, 0, 1)])
    assert plan.offsets[1] == plan.offsets[0]
    assert plan.arena_bytes == 192


def test_inputs_are_overwritten_unless_kept() -> None:
    """A kept input lives to the end and costs arena."""
    graph = graph_of([64, 64, 64], [0], [2])
    steps = [step([0], [1]), step([1], [2])]
    assert planned(steps, graph).arena_bytes == 128
    assert planned(steps, graph, keep_input=True).arena_bytes == 192


@pytest.mark.parametrize(
    ("inputs", "outputs", "steps", "aliases"),
    [
        ([0], [0], [], []),
        ([0], [1], [], [Alias(0, 0, 1)]),
        ([0, 1], [2, 2], [step([0], [2])], []),
        ([0], [1, 2, 0], [step([0], [1]), step([1], [2])], []),
        ([0, 1], [3], [step([0, 1], [2], scratch=40), step([2], [3], scratch=8)], []),
        ([], [3, 1], [step([3], [1])], []),
    ],
    ids=["input is output", "alias of input", "unused input, output twice", "outputs used later", "scratch", "constant in and out"],
)
def test_odd_graphs(inputs: list[int], outputs: list[int], steps: list[Step], aliases: list[Alias]) -> None:
    """Whatever the inputs and outputs are, the plan passes the check."""
    written = {i for s in steps for i in s.writes}
    planned(steps, graph_of([16, 16, 16, 16], inputs, outputs, constants=() if 3 in written else (3,)), aliases)


def test_a_tensor_that_nothing_writes_is_an_error() -> None:
    """A graph that reads or returns what was never written is refused by name."""
    with pytest.raises(ModelError, match="t1 is read by op 0"):
        plan_arena([step([1], [2])], [], graph_of([4, 4, 4], [0], [2]))
    with pytest.raises(ModelError, match="t1 is an output"):
        plan_arena([], [], graph_of([4, 4], [0], [1]))


def test_random_programs_are_sound_tight_and_repeatable() -> None:
    """300 random programs: every plan passes the check, is the same twice, and most reach the bound that no plan can beat."""
    rng = np.random.default_rng(5)
    tight = 0
    for _ in range(300):
        graph, steps, aliases = random_program(rng)
        keep = bool(rng.integers(2))
        plan = planned(steps, graph, aliases, keep)
        assert plan == plan_arena(steps, aliases, graph, keep)
        assert plan.arena_bytes >= max(b.bytes for b in plan.buffers)
        tight += plan.arena_bytes <= peak(plan) + 16
    assert tight > 250


def peak(plan: ArenaPlan) -> int:
    """The most bytes of the arena that are taken in one step, shared ones counted once."""
    steps = {b.first_op for b in plan.buffers}
    return max(
        len({i for b in plan.buffers if b.first_op <= n <= b.last_op for i in range(b.offset, b.offset + -(-b.bytes // 4) * 4)})
        for n in steps
    )


def random_program(rng: np.random.Generator) -> tuple[Graph, list[Step], list[Alias]]:
    """Steps that read any earlier tensor, often the last; some with overlaps, some with scratch, some aliases."""
    count = int(rng.integers(3, 25))
    sizes = [int(rng.choice([8, 30, 64, 64, 100])) for _ in range(count)]
    inputs = int(rng.integers(1, 3))
    steps: list[Step] = []
    aliases: list[Alias] = []
    for i in range(inputs, count):
        source = i - 1 if rng.random() < 0.6 else int(rng.integers(i))
        if rng.random() < 0.15:
            sizes[i] = sizes[source]
            aliases.append(Alias(0, source, i))
            continue
        other = int(rng.integers(i))
        leads = [int(lead) for lead in rng.choice([0, 0, 0, 16, 50, -24], 2)]
        pairs = ((source, i, leads[0]), (other, i, leads[1])) if rng.random() < 0.5 else ((source, i, leads[0]),)
        reads = list(dict.fromkeys((source, other)))
        scratch = int(rng.choice([0, 0, 0, 24]))
        steps.append(step(reads, [i], scratch, pairs if rng.random() < 0.5 else ()))
    outputs = sorted({count - 1, int(rng.integers(count))})
    return graph_of(sizes, list(range(inputs)), outputs), steps, aliases


# The check itself: each of these plans is wrong in one way.


@pytest.fixture
def sound() -> tuple[list[Step], Graph, ArenaPlan]:
    """Three steps with scratch and a plan that passes."""
    graph = graph_of([64, 64, 64, 64], [0], [3])
    steps = [step([0], [1]), step([1], [2], scratch=16), step([2, 1], [3])]
    return steps, graph, planned(steps, graph)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": {0: 0, 1: 0, 2: 64, 3: 128}}, "does not allow"),
        ({"offsets": {0: 0, 1: 64, 2: 96, 3: 160}}, "does not allow"),
        ({"offsets": {0: 0, 1: 64, 2: 128, 3: 2}}, "not aligned or outside"),
        ({"offsets": {0: 0, 1: 64, 2: 128, 3: 1 << 20}}, "not aligned or outside"),
        ({"offsets": {0: 0, 1: 64, 2: 128}}, "t3 has no place"),
        ({"scratch_offsets": {1: 64}}, "scratch overlaps"),
        ({"scratch_offsets": {}}, "has no place"),
        ({"arena_bytes": 209}, "not a multiple"),
        ({"peak_bytes": 204}, "ends at 208; the plan says a peak of 204"),
        ({"bound_bytes": 212}, "a bound of 212"),
    ],
)
def test_the_check_finds(sound: tuple[list[Step], Graph, ArenaPlan], change: dict[str, object], message: str) -> None:
    """Overlaps, places outside the arena, missing places and bad alignment are all found."""
    steps, graph, _ = sound
    good = laid(256, 208, {0: 0, 1: 64, 2: 128, 3: 0}, {1: 192})
    check_program(steps, [], good, graph)
    with pytest.raises(UnsoundPlanError, match=message):
        check_program(steps, [], replace(good, **change), graph)  # type: ignore[arg-type]


def test_the_check_finds_a_tensor_overwritten_before_its_last_reader() -> None:
    """A write over a tensor that a later step reads is found at the reader."""
    graph = graph_of([64, 64, 64, 64], [0], [3])
    steps = [step([0], [1]), step([1], [2]), step([0, 2], [3])]
    check_program(steps, [], laid(256, 256, {0: 0, 1: 64, 2: 128, 3: 192}), graph)
    with pytest.raises(UnsoundPlanError, match="t0 is not intact in step 2"):
        check_program(steps, [], laid(256, 256, {0: 0, 1: 64, 2: 0, 3: 192}), graph)


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        (16, 0, None),
        (64, 48, None),
        (64, 0, None),
        (0, 64, None),
        (12, 0, "12 bytes ahead of t1, expected 16"),
        (0, 0, "0 bytes"),
        (0, 16, "-16 bytes"),
    ],
)
def test_the_check_measures_how_far_a_source_lies_ahead(source: int, output: int, message: str | None) -> None:
    """An overlap passes from its lead on, and not a byte earlier; apart, either may lie first."""
    graph = graph_of([64, 64], [0], [1])
    plan = laid(128, 64 + max(source, output), {0: source, 1: output})
    steps = [step([0], [1], overlaps=((0, 1, 16),))]
    if message is None:
        check_program(steps, [], plan, graph)
    else:
        with pytest.raises(UnsoundPlanError, match=message):
            check_program(steps, [], plan, graph)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"reads": ()}, "read undeclared"),
        ({"reads": (0, 2)}, "declared but unused"),
        ({"arguments": (TensorArg(0),)}, "not written"),
        ({"scratch_bytes": 8}, "scratch"),
        ({"kernel": "kernels/portable/ec_other.c"}, "its own file"),
        ({"overlaps": (Overlap(2, 1),)}, "is not of an input and an output"),
    ],
)
def test_the_check_finds_a_step_that_lies(spoil: dict[str, object], message: str) -> None:
    """Arguments, declared tensors, scratch and file must agree."""
    graph = graph_of([16, 16, 16], [0, 2], [1])
    lying = replace(step([0], [1]), **spoil)  # type: ignore[arg-type]
    with pytest.raises(UnsoundPlanError, match=message):
        check_program([lying], [], laid(64, 48, {0: 0, 1: 16, 2: 32}, {0: 48}), graph)
