"""How sparse a model is to be at each step of its training. Pure functions of the step.

`polynomial`: s(t) = s_f + (s_i - s_f) * (1 - (t - t_0) / (t_1 - t_0)) ** p for t_0 <= t <= t_1, s_f after t_1, and nothing is pruned
before t_0 (Zhu and Gupta 2017, "To prune, or not to prune", equation 1, with their exponent of 3 as p). `constant`: s_f from t_0 on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecompress.recipe import PruneSettings


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
        """The first step at which the final sparsity holds; never after the last one."""
        share = self.settings.end if self.settings.schedule == "polynomial" else self.settings.begin
        return max(1, min(self.steps, math.ceil(share * self.steps)))

    def sparsity(self, step: int) -> float:
        """The share of zeros after `step` steps (1 is after the first)."""
        if step >= self.end_step:
            return self.settings.sparsity
        begin = self.settings.begin * self.steps
        if self.settings.schedule == "constant":
            return constant_sparsity(step, begin=begin, final=self.settings.sparsity)
        return polynomial_sparsity(
            step,
            begin=begin,
            end=self.end_step,
            initial=self.settings.initial_sparsity,
            final=self.settings.sparsity,
            power=self.settings.power,
        )

    def is_due(self, step: int) -> bool:
        """Whether the masks are chosen anew after `step`: every `every` steps of the rise, and when it ends."""
        return step == self.end_step or (step < self.end_step and step % self.settings.every == 0)
