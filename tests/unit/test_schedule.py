"""Sparsity schedules."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest

from edgecompress.compress.prune.schedule import Schedule, constant_sparsity, count_zeros, iterative_sparsity, polynomial_sparsity
from edgecompress.recipe import PruneSettings


def test_polynomial_begins_and_ends_where_it_is_told():
    """Nothing is pruned before `begin`; `initial` holds at `begin`, `final` from `end` on."""
    arguments = {"begin": 10, "end": 30, "initial": 0.2, "final": 0.8, "power": 3.0}
    assert polynomial_sparsity(9, **arguments) == 0.0
    assert polynomial_sparsity(10, **arguments) == pytest.approx(0.2)
    assert polynomial_sparsity(30, **arguments) == 0.8
    assert polynomial_sparsity(1000, **arguments) == 0.8


def test_polynomial_follows_zhu_and_gupta():
    """Half way, the cubic schedule stands at s_f + (s_i - s_f) / 8."""
    assert polynomial_sparsity(20, begin=10, end=30, initial=0.0, final=0.8, power=3.0) == pytest.approx(0.8 - 0.8 / 8)
    assert polynomial_sparsity(20, begin=10, end=30, initial=0.2, final=0.8, power=1.0) == pytest.approx(0.5)


def test_polynomial_of_no_length_is_a_step():
    """begin == end prunes at once instead of dividing by zero."""
    assert polynomial_sparsity(5, begin=5, end=5, initial=0.0, final=0.7, power=3.0) == 0.7


def test_constant_prunes_from_begin_on():
    """The whole sparsity holds from the first step that counts."""
    assert [constant_sparsity(step, begin=3, final=0.5) for step in (0, 2, 3, 4)] == [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("elements", "sparsity"), [(10, "0.8"), (216, "0.8"), (76120, "0.8"), (7, "0.5"), (3, "0.999"), (1, "0.3"), (30, "0.7")]
)
def test_zeros_are_counted_exactly(elements, sparsity):
    """The smallest whole number of zeros that reaches the share, as exact arithmetic gives it."""
    assert count_zeros(elements, float(sparsity)) == ceil(Fraction(sparsity) * elements)


@pytest.mark.parametrize("kind", ["polynomial", "constant"])
@pytest.mark.parametrize(("begin", "end"), [(0.0, 0.0), (0.0, 0.6), (0.5, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_a_schedule_always_ends_at_its_sparsity(kind, begin, end, steps):
    """Whatever the shares and the length, the masks are last chosen at the final sparsity, and it never falls."""
    schedule = Schedule(PruneSettings(sparsity=0.8, schedule=kind, begin=begin, end=end, every=10), steps)
    due = [step for step in range(1, steps + 1) if schedule.is_due(step)]
    sparsities = [schedule.sparsity(step) for step in due]
    assert sparsities[-1] == 0.8
    assert sparsities == sorted(sparsities)
    assert schedule.sparsity(steps) == 0.8


def test_one_shot_prunes_before_the_first_step():
    """The whole goal holds at step 0, and the masks are never chosen again."""
    schedule = Schedule(PruneSettings(sparsity=0.6, schedule="one_shot"), 20)
    assert [step for step in range(21) if schedule.is_due(step)] == [0]
    assert schedule.sparsity(0) == 0.6


def test_iterative_prunes_the_same_share_of_what_is_left():
    """Three rounds to 1 - 1/8: a half, three quarters, seven eighths, each at the start of its third of the training."""
    assert [iterative_sparsity(done, rounds=3, final=0.875) for done in (1, 2, 3)] == pytest.approx([0.5, 0.75, 0.875])
    schedule = Schedule(PruneSettings(sparsity=0.875, schedule="iterative", rounds=3), 30)
    due = [step for step in range(31) if schedule.is_due(step)]
    assert due == [0, 10, 20]
    assert [schedule.sparsity(step) for step in (0, 9, 10, 20, 30)] == pytest.approx([0.5, 0.5, 0.75, 0.875, 0.875])


def test_more_rounds_than_steps_still_end_at_the_goal():
    """Rounds that fall together are one."""
    schedule = Schedule(PruneSettings(sparsity=0.9, schedule="iterative", rounds=8), 3)
    assert schedule.sparsity(3) == 0.9
    assert max(step for step in range(4) if schedule.is_due(step)) == schedule.end_step


def test_a_threshold_is_reached_as_a_whole():
    """The schedule of a threshold ends at 1, in equal parts by rounds or along the polynomial."""
    rounds = Schedule(PruneSettings(threshold=0.1, schedule="iterative", rounds=4), 40)
    assert [rounds.sparsity(step) for step in (0, 10, 20, 30)] == [0.25, 0.5, 0.75, 1.0]
    rise = Schedule(PruneSettings(threshold=0.1, begin=0.0, end=1.0), 40)
    assert rise.sparsity(20) == pytest.approx(1 - 1 / 8)
    assert rise.sparsity(40) == 1.0


def test_data_is_read_at_most_ten_times_over_the_rise():
    """A saliency that reads data is measured seldom, and never more often than the masks are chosen."""
    assert Schedule(PruneSettings(sparsity=0.5, end=1.0, every=10), 1000).measure_every == 100
    assert Schedule(PruneSettings(sparsity=0.5, end=1.0, every=10), 50).measure_every == 10
