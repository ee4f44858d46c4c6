"""How far pruning is to be at each step of a training. Pure functions of the step.

`polynomial`: s(t) = s_f + (s_i - s_f) * (1 - (t - t_0) / (t_1 - t_0)) ** p for t_0 <= t <= t_1, s_f after t_1, and nothing is pruned
before t_0 (Zhu and Gupta 2017, "To prune, or not to prune", equation 1, with their exponent of 3 as p). `constant`: s_f from t_0 on.
`one_shot`: s_f before the first step. `iterative`: at the start of round r of R, s = 1 - (1 - s_f) ** (r / R): the same share of what is
left each time (Han et al. 2015, section 3.3; the shares as in Frankle and Carbin 2019, section 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecompress.recipe import PruneSettings

_MOST_MEASUREMENTS = 10


def polynomial_sparsity(step: float, *, begin: float, end: float, initial: float, final: float, power: float) -> float:
    """The share of zeros after `step` steps.

    Args:
        begin, end: steps between which the share grows from `initial` to `final`; begin <= end.
        power: above 1 it grows fast at first, when many weights are superfluous, and slowly at last.

    Returns:
        0 before `begin`, then `initial` up to `final`.
    """
    if step < begin:
        return 0.0
    if step >= end:
        return final
    left = 1.0 - (step - begin) / (end - begin)
    return final + (initial - final) * math.pow(left, power)


def constant_sparsity(step: float, *, begin: float, final: float) -> float:
    """`final` from step `begin` on, 0 before."""
    return final if step >= begin else 0.0


def iterative_sparsity(done: int, *, rounds: int, final: float) -> float:
    """The share of zeros in round `done` of `rounds`, counted from 1; a `final` of 1 (a whole threshold) is approached in equal parts."""
    if done >= rounds:
        return final
    return done / rounds if final >= 1.0 else 1.0 - math.pow(1.0 - final, done / rounds)


def count_zeros(elements: int, sparsity: float) -> int:
    """The smallest number of zeros that is at least the share `sparsity` of `elements`.

    A product that misses a whole number by rounding alone counts as that number: 0.8 of 10 is 8, although 0.8 is stored as a little more.
    """
    return min(elements, math.ceil(elements * sparsity - 1e-9 * max(1, elements)))


@dataclass(frozen=True)
class Schedule:
    """A prune step's schedule, laid over a number of optimizer steps.

    Attributes:
        steps: of the whole training, >= 1.
    """

    settings: PruneSettings
    steps: int

    @property
    def end_step(self) -> int:
        """The first step at which the goal holds; 0 is before the first, and it is never after the last."""
        match self.settings.schedule:
            case "one_shot":
                return 0
            case "iterative":
                return self._round_starts[-1]
            case "polynomial":
                share = self.settings.end
            case "constant":
                share = self.settings.begin
        return max(1, min(self.steps, math.ceil(share * self.steps)))

    @property
    def measure_every(self) -> int:
        """Steps between two readings of data by a saliency that reads data: at most ten over the rise."""
        return max(self.settings.every, -(-self.end_step // _MOST_MEASUREMENTS))

    def sparsity(self, step: int) -> float:
        """The share of zeros (or of the threshold) after `step` steps (1 is after the first)."""
        settings = self.settings
        if step >= self.end_step:
            return settings.goal
        begin = settings.begin * self.steps
        match settings.schedule:
            case "iterative":
                done = sum(start <= step for start in self._round_starts)
                return iterative_sparsity(done, rounds=settings.rounds, final=settings.goal)
            case "constant" | "one_shot":
                return constant_sparsity(step, begin=begin, final=settings.goal)
            case "polynomial":
                return polynomial_sparsity(
                    step,
                    begin=begin,
                    end=self.end_step,
                    initial=settings.initial_sparsity,
                    final=settings.goal,
                    power=settings.power,
                )

    def is_due(self, step: int) -> bool:
        """Whether the masks are chosen anew after `step`: every `every` steps of the rise, at each round's start, and when it ends."""
        if self.settings.schedule in ("one_shot", "iterative"):
            return step == self.end_step or step in self._round_starts
        return step == self.end_step or (0 < step < self.end_step and step % self.settings.every == 0)

    @property
    def _round_starts(self) -> tuple[int, ...]:
        """Steps after which each round of `iterative` begins; the first is 0."""
        if self.settings.schedule != "iterative":
            return ()
        rounds = self.settings.rounds
        return tuple(done * self.steps // rounds for done in range(rounds))
