"""The plan's certificate: no placement is below the bound, and the search comes within 5 % of it on models of many shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from edgecompress.codegen import placement_search
from edgecompress.codegen.check import check_program
from edgecompress.codegen.placement import Buffer, height, lower_bound, place_buffers
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Alias, ArenaPlan, Overlap, ScratchArg, Step, TensorArg
from edgecompress.graph import DType, Graph, Op, Tensor
from tests.plan_models import MODELS, Model, Shape


@dataclass
class Sketch:
    """A model as the planner sees it: tensors with sizes, steps with overlaps and scratch."""

    shapes: list[Shape] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, *shape: int) -> int:
        """A new tensor of height, width and channels."""
        self.shapes.append((shape[0], shape[1], shape[2]))
        return len(self.shapes) - 1

    def input(self, *shape: int) -> int:
        """A new input of the model."""
        self.inputs.append(self.tensor(*shape))
        return self.inputs[-1]

    def call(self, reads: Sequence[int], shape: Shape, scratch: int = 0, leads: Sequence[int | None] = ()) -> int:
        """A step; `leads` of the inputs that its output may overlap."""
        out = self.tensor(*shape)
        overlaps = tuple(Overlap(i, out, lead) for i, lead in zip(reads, leads, strict=False) if lead is not None)
        arguments = (*(TensorArg(i) for i in (*reads, out)), *((ScratchArg(),) if scratch else ()))
        self.steps.append(Step((0,), "ec_toy", "kernels/portable/ec_toy.c", arguments, tuple(reads), (out,), scratch, overlaps))
        return out

    def conv(self, x: int, channels: int, stride: int = 1, scratch: int = 0) -> int:
        """A convolution that keeps input and output apart."""
        high, wide, _ = self.shapes[x]
        return self.call([x], (-(-high // stride), -(-wide // stride), channels), scratch)

    def pointwise(self, x: int, channels: int) -> int:
        """A 1x1 convolution whose output may overlap its input."""
        high, wide, deep = self.shapes[x]
        return self.call([x], (high, wide, channels), leads=[max(0, (channels - deep) * high * wide) + 2 * channels])

    def depthwise(self, x: int, stride: int = 1) -> int:
        """A depthwise convolution with a ring of three rows in scratch."""
        high, wide, deep = self.shapes[x]
        shape = (-(-high // stride), -(-wide // stride), deep)
        return self.call([x], shape, 3 * wide * deep, [wide * deep if stride == 1 else 0])

    def add(self, a: int, b: int) -> int:
        """A sum in place of any of its inputs."""
        return self.call([a, b], self.shapes[a], leads=[0, 0])

    def concat(self, *reads: int) -> int:
        """Channels side by side."""
        high, wide, _ = self.shapes[reads[0]]
        return self.call(reads, (high, wide, sum(self.shapes[i][2] for i in reads)))

    def reduce(self, x: int) -> int:
        """The mean over the image."""
        return self.call([x], (1, 1, self.shapes[x][2]))

    def scale(self, x: int, gate: int) -> int:
        """Each channel times its gate."""
        return self.call([x, gate], self.shapes[x], leads=[0, None])

    def grow(self, x: int) -> int:
        """Twice as high and wide."""
        high, wide, deep = self.shapes[x]
        return self.call([x], (2 * high, 2 * wide, deep))

    def reshaped(self, x: int) -> int:
        """Another name."""
        out = self.tensor(1, 1, math.prod(self.shapes[x]))
        self.aliases.append(Alias(0, x, out))
        return out

    def dense(self, x: int, units: int) -> int:
        """A fully connected layer."""
        return self.call([self.reshaped(x)], (1, 1, units))

    def softmax(self, x: int) -> int:
        """Rows in place."""
        return self.call([x], self.shapes[x], leads=[0])

    def scores(self, q: int, k: int) -> int:
        """Each pixel of one against each of the other."""
        rows = self.shapes[q][0] * self.shapes[q][1]
        return self.call([q, k], (rows, rows, 1))

    def mixed(self, weights: int, v: int, shape: Shape) -> int:
        """The pixels of `v`, each a mix of all."""
        return self.call([weights, v], shape)

    def half(self, x: int, part: int) -> int:
        """The first or the last half of the channels."""
        high, wide, deep = self.shapes[x]
        return self.call([x], (high, wide, deep // 2))

    def interleaved(self, x: int) -> int:
        """Channels in another order."""
        return self.call([x], self.shapes[x])

    def graph(self) -> Graph:
        """The tensors; ops do not matter to the planner."""
        tensors = tuple(Tensor(i, f"t{i}", shape, DType.INT8, data=None) for i, shape in enumerate(self.shapes))
        return Graph("toy", "00" * 32, 0, tensors, (Op(0, "ADD", 1, (), ()),), tuple(self.inputs), tuple(self.outputs))

    def plan(self, keep_input: bool = False) -> ArenaPlan:
        """A plan that has passed the check."""
        graph = self.graph()
        plan = plan_arena(self.steps, self.aliases, graph, keep_input)
        check_program(self.steps, self.aliases, plan, graph, keep_input)
        return plan


@pytest.mark.parametrize("keep_input", [False, True], ids=["input dies", "input kept"])
@pytest.mark.parametrize(("model", "shape"), MODELS, ids=[model.__name__ for model, _ in MODELS])
def test_twenty_models_are_planned_within_five_percent(model: Model, shape: Shape, keep_input: bool) -> None:
    """The peak is at most 1.05 times what no plan can be below."""
    sketch = Sketch()
    made = model(sketch, sketch.input(*shape))
    sketch.outputs = [made] if isinstance(made, int) else list(made)
    plan = sketch.plan(keep_input)
    assert plan.bound_bytes <= plan.peak_bytes <= 1.05 * plan.bound_bytes


Leads = dict[tuple[int, int], int]


def tiny(rng: np.random.Generator) -> tuple[list[Buffer], Leads]:
    """Three to six buffers of one to four words; what dies where another is born may overlap it."""
    buffers = []
    for _ in range(int(rng.integers(3, 7))):
        first = int(rng.integers(5))
        buffers.append(Buffer(4 * int(rng.integers(1, 5)), first, first + int(rng.integers(3))))
    pairs = itertools.permutations(range(len(buffers)), 2)
    leads = {
        (s, o): 4 * int(rng.integers(-1, 4))
        for s, o in pairs
        if buffers[s].first < buffers[s].last == buffers[o].first and rng.random() < 0.6
    }
    return buffers, leads


def fits(buffers: Sequence[Buffer], leads: Leads, ceiling: int, offsets: tuple[int, ...] = ()) -> bool:
    """Whether any placement below `ceiling` exists: every word is tried for every buffer."""
    mine = len(offsets)
    if mine == len(buffers):
        return True
    for offset in range(0, ceiling - buffers[mine].bytes + 1, 4):
        if all(allowed(buffers, leads, mine, offset, j, other) for j, other in enumerate(offsets)) and fits(
            buffers, leads, ceiling, (*offsets, offset)
        ):
            return True
    return False


def allowed(buffers: Sequence[Buffer], leads: Leads, i: int, at: int, j: int, other: int) -> bool:
    """The condition between two buffers, as it is stated."""
    if not buffers[i].meets(buffers[j]) or at + buffers[i].bytes <= other or other + buffers[j].bytes <= at:
        return True
    return ((i, j) in leads and at - other >= leads[i, j]) or ((j, i) in leads and other - at >= leads[j, i])


def chain(length: int) -> tuple[list[Buffer], Leads]:
    """Images of 100 words, each a word below the one before it, and 10 words of scratch in each step."""
    images = [Buffer(400, n, n + 1) for n in range(length)]
    return [*images, *(Buffer(40, n, n) for n in range(length))], {(n, n + 1): 4 for n in range(length - 1)}


def test_what_a_chain_needs_is_proven() -> None:
    """Each step takes 111 words at most; twelve images drift by eleven words, so that no plan is below 120."""
    buffers, leads = chain(12)
    placement = place_buffers(buffers, leads)
    assert lower_bound(buffers, leads) == 4 * 111
    assert placement.height == placement.bound == 4 * 120


def test_a_search_that_is_given_up_leaves_a_true_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any time for it the bound is what a step needs, and the plan is sound."""
    buffers, leads = chain(12)
    monkeypatch.setattr(placement_search, "_MOST_LOOKS", 0)
    placement = place_buffers(buffers, leads)
    assert placement.bound == lower_bound(buffers, leads) < placement.height == height(buffers, placement.offsets)
    assert all(allowed(buffers, leads, i, placement.offsets[i], j, placement.offsets[j]) for i in range(len(buffers)) for j in range(i))


def test_tiny_placements_cannot_be_beaten() -> None:
    """None of 400 random cases has a placement below the one found; the bound says so, now and then above what any step needs."""
    rng = np.random.default_rng(3)
    raised = 0
    for _ in range(400):
        buffers, leads = tiny(rng)
        placement = place_buffers(buffers, leads)
        offsets, found = placement.offsets, height(buffers, placement.offsets)
        assert all(allowed(buffers, leads, i, offsets[i], j, offsets[j]) for i in range(len(buffers)) for j in range(i))
        assert lower_bound(buffers, leads) <= placement.bound == placement.height == found
        assert not fits(buffers, leads, found - 4), (buffers, leads)
        raised += lower_bound(buffers, leads) < found
    assert raised > 10


@pytest.mark.parametrize(
    ("sizes", "leads", "expected"),
    [
        ((64, 64), (0,), 64),
        ((64, 128), (64,), 128),
        ((64, 128), (96,), 160),
        ((128, 64), (16,), 144),
        ((128, 64), (-64,), 128),
        ((64, 64), (200,), 128),
        ((32, 32, 64), (0, 32), 64),
        ((32, 32, 64), (16, 16), 80),
        ((32, 32, 64), (0, 999), 96),
        ((8,) * 6 + (48,), (0,) * 6, 48),
    ],
)
def test_the_bound_is_the_joint_extent(sizes: tuple[int, ...], leads: tuple[int, ...], expected: int) -> None:
    """One output and its sources take no more than they must, and the search finds it."""
    output = len(sizes) - 1
    buffers = [Buffer(size, 0, 1) for size in sizes[:-1]] + [Buffer(sizes[-1], 1, 2)]
    pairs = {(i, output): lead for i, lead in enumerate(leads)}
    assert lower_bound(buffers, pairs) == max(expected, sum(sizes[:-1]))
    assert place_buffers(buffers, pairs).height == lower_bound(buffers, pairs)
