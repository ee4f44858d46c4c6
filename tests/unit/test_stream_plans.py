"""Arenas of known networks whose first layers go by rows."""

from __future__ import annotations

import pytest

from edgecompress.artifact import Streaming
from edgecompress.codegen.check import check_program
from edgecompress.codegen.stream.apply import PlannedProgram, plan_program
from edgecompress.target import KernelSet
from tests.plan_models import Model, Shape, mobilenet_v1, mobilenet_v2
from tests.unit.test_plan_models import lowered

HIGH = (KernelSet.PORTABLE, KernelSet.THUMB1, KernelSet.THUMB2, KernelSet.DSP)


def planned(model: Model, shape: Shape, kernels: KernelSet, stream: Streaming) -> PlannedProgram:
    graph, steps, aliases = lowered(model, shape, kernels)
    program = plan_program(graph, tuple(steps), tuple(aliases), keep_input=False, stream=stream)
    check_program(program.steps, program.aliases, program.plan, program.arena_graph, False)
    return program


@pytest.mark.parametrize("kernels", HIGH, ids=lambda k: k.value)
def test_mobilenet_v1_with_its_input_in_the_arena(kernels: KernelSet) -> None:
    """MobileNetV1 0.25 at 96x96x3, whose input alone has 27,648 bytes, runs in 34,000, and computes nothing twice."""
    program = planned(mobilenet_v1, (96, 96, 3), kernels, Streaming.ROWS)
    assert program.info is not None and program.info.blocks and program.info.recomputed_macs == 0
    assert 27_648 <= program.plan.arena_bytes <= 34_000
    assert program.plan.peak_bytes <= 1.05 * program.plan.bound_bytes


@pytest.mark.parametrize("kernels", HIGH, ids=lambda k: k.value)
def test_mobilenet_v1_with_rows_of_its_input_called_for(kernels: KernelSet) -> None:
    """With the input's rows delivered, at most half of the arena that the plan has without streaming, and every row is asked for."""
    plain = planned(mobilenet_v1, (96, 96, 3), kernels, Streaming.NONE)
    program = planned(mobilenet_v1, (96, 96, 3), kernels, Streaming.INPUT)
    assert program.info is not None and program.info.asked_rows == 96
    assert 2 * program.plan.arena_bytes <= plain.plan.arena_bytes


@pytest.mark.parametrize("kernels", HIGH, ids=lambda k: k.value)
def test_mobilenet_v2_halves(kernels: KernelSet) -> None:
    """MobileNetV2 0.35 at 144x144x3, residual sums among its blocks, takes at most half of its arena, the input included."""
    plain = planned(mobilenet_v2, (144, 144, 3), kernels, Streaming.NONE)
    program = planned(mobilenet_v2, (144, 144, 3), kernels, Streaming.ROWS)
    assert 2 * program.plan.arena_bytes <= plain.plan.arena_bytes
