"""Ranges of activations, chosen from samples of them.

`min_max` covers every value. The others clip rare large values so that the rest gets finer steps; they read a histogram of 2048 bins of
magnitude on either side of zero. Every range includes 0.

    moving average  r <- m r + (1 - m) extremes of the batch, from the first batch on     Jacob et al. 2018, section 3.1
    percentile      the (100 - p)-th to the p-th percentile of the values                  Wu et al. 2020, section 3.2
    entropy         the clip T that loses least information, min KL(P || Q)                Migacz 2017, "8-bit inference with TensorRT"
    mse             the range whose rounding and clipping error has the least square       Nagel et al. 2021, section 3.1, equation 11
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 2048
"""On each side of zero."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

# An unsigned range uses all 256 steps of int8; a signed one has 128 on either side of zero.
_UNSIGNED_LEVELS = 256
_SIGNED_LEVELS = 128
_STEPS = 255
# What smoothing gives to an empty bin, as a share of one bin's worth of probability (MXNet's calibration has the same).
_SMOOTHING = 1e-4
_MSE_CANDIDATES = 100


@dataclass(frozen=True)
class Bounds:
    """A range of real values, low <= 0 <= high."""

    low: float
    high: float

    @property
    def magnitude(self) -> float:
        return max(-self.low, self.high)


@dataclass(eq=False)
class Histogram:
    """Counts of values by sign and magnitude.

    Attributes:
        limit: the largest magnitude; bins are limit / BINS wide.
        negative, positive: [BINS] counts by magnitude, from zero outwards; zeros are positive.
    """

    limit: float
    negative: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))
    positive: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @property
    def is_signed(self) -> bool:
        return bool(self.negative.any())

    @property
    def magnitudes(self) -> Counts:
        """[BINS] both signs together."""
        return self.negative + self.positive

    def add(self, values: NDArray[np.floating]) -> None:
        """Count values of any shape; what is beyond the limit falls into the last bin."""
        if self.limit <= 0:
            return
        flat = np.asarray(values, np.float32).ravel()
        places = np.clip(np.abs(flat) * np.float32(BINS / self.limit), 0, BINS - 1).astype(np.int32)
        below = flat < 0
        both = np.bincount(places + BINS * below, minlength=2 * BINS)
        self.positive += both[:BINS]
        self.negative += both[BINS:]


def extremes(values: NDArray[np.floating]) -> Bounds:
    """The smallest range that holds every value and 0."""
    return Bounds(min(float(values.min(initial=0.0)), 0.0), max(float(values.max(initial=0.0)), 0.0))


def widest(bounds: Sequence[Bounds]) -> Bounds:
    """The smallest range that holds all of these."""
    return Bounds(min(b.low for b in bounds), max(b.high for b in bounds))


def moving_average(bounds: Sequence[Bounds], momentum: float) -> Bounds:
    """The first range, moved by a share 1 - momentum towards each later one in turn.

    Args:
        bounds: the extremes of each batch, at least one.
    """
    low, high = bounds[0].low, bounds[0].high
    for later in bounds[1:]:
        low = momentum * low + (1 - momentum) * later.low
        high = momentum * high + (1 - momentum) * later.high
    return Bounds(low, high)


def percentile_bounds(histogram: Histogram, percentile: float) -> Bounds:
    """From the (100 - percentile)-th to the percentile-th percentile, exact to a bin.

    Args:
        percentile: above 50, up to 100; 100 is the largest value's bin.
    """
    counts = np.concatenate([histogram.negative[::-1], histogram.positive])
    edges = np.linspace(-histogram.limit, histogram.limit, 2 * BINS + 1)
    reached = np.concatenate([[0], np.cumsum(counts)])
    if reached[-1] == 0:
        return Bounds(0.0, 0.0)
    share = percentile / 100 * reached[-1]
    # The first edge below which at least that many values lie; and the same from the other end.
    high = float(edges[np.searchsorted(reached, share, side="left")])
    low = float(edges[np.searchsorted(reached, reached[-1] - share, side="right") - 1])
    return Bounds(min(low, 0.0) if histogram.is_signed else 0.0, max(high, 0.0))


def entropy_bounds(histogram: Histogram) -> Bounds:
    """The clip that keeps most of the values' information on the int8 grid; symmetric where values have both signs."""
    levels = _SIGNED_LEVELS if histogram.is_signed else _UNSIGNED_LEVELS
    counts = histogram.magnitudes
    if not counts.any():
        return Bounds(0.0, 0.0)
    kept = min(range(levels, len(counts) + 1), key=lambda bins: kl_divergence(counts, bins, levels))
    clip = kept * histogram.limit / len(counts)
    return _inside(histogram, Bounds(-clip, clip))


def kl_divergence(counts: Counts, kept: int, levels: int) -> float:
    """KL(P || Q) in nats of clipping after `kept` bins and merging those into `levels`.

    P is the first `kept` bins with everything beyond added to the last of them. Q is the same bins without that, merged into `levels`
    groups of equal width, each group's count spread evenly over its occupied bins. Bins that only P occupies get a small share of Q.

    Args:
        counts: [n] by magnitude, from zero outwards.
        kept: levels <= kept <= n.
    """
    inside = counts[:kept].astype(np.float64)
    reference = inside.copy()
    reference[-1] += counts[kept:].sum()
    if not inside.any():
        return float("inf")
    occupied = reference > 0
    starts = np.arange(levels) * kept // levels
    widths = np.diff(np.append(starts, kept))
    filled = np.add.reduceat(occupied.astype(np.float64), starts)
    spread = np.divide(np.add.reduceat(inside, starts), filled, out=np.zeros(levels), where=filled > 0)
    merged = np.repeat(spread, widths) * occupied
    p, q = _smooth(reference[occupied] / reference.sum()), _smooth(merged[occupied] / merged.sum())
    return float(np.sum(p * np.log(p / q)))


def mse_bounds(histogram: Histogram) -> Bounds:
    """The range of least mean squared error on 256 steps: both ends by one share of a grid of 100, then each end by itself."""
    full = _inside(histogram, Bounds(-histogram.limit, histogram.limit))
    if full.low == full.high:
        return full
    shares = np.arange(1, _MSE_CANDIDATES + 1) / _MSE_CANDIDATES
    best = _least_error(histogram, [Bounds(full.low * share, full.high * share) for share in shares])
    best = _least_error(histogram, [best, *(Bounds(best.low, full.high * share) for share in shares)])
    return _least_error(histogram, [best, *(Bounds(full.low * share, best.high) for share in shares)])


def rounding_error(histogram: Histogram, bounds: Bounds) -> float:
    """Sum of squared differences between the bins' middles and their places on the grid of `bounds`, counted as often as they occur."""
    middles = (np.arange(len(histogram.positive)) + 0.5) * (histogram.limit / len(histogram.positive))
    values = np.concatenate([-middles[::-1], middles])
    counts = np.concatenate([histogram.negative[::-1], histogram.positive])
    scale = (bounds.high - bounds.low) / _STEPS
    zero = np.round(-bounds.low / scale)
    rounded = (np.clip(np.round(values / scale) + zero, 0, _STEPS) - zero) * scale
    return float(np.sum(counts * np.square(values - rounded)))


def _least_error(histogram: Histogram, candidates: Sequence[Bounds]) -> Bounds:
    return min((c for c in candidates if c.high > c.low), key=lambda candidate: rounding_error(histogram, candidate))


def _inside(histogram: Histogram, bounds: Bounds) -> Bounds:
    """The part of `bounds` where values are."""
    width = histogram.limit / len(histogram.positive)
    occupied = [np.flatnonzero(side) for side in (histogram.negative, histogram.positive)]
    low, high = (0.0 if not len(bins) else float(bins[-1] + 1) * width for bins in occupied)
    return Bounds(max(bounds.low, -low), min(bounds.high, high))


def _smooth(distribution: Floats) -> Floats:
    """Zeros become a small number that is taken from the others in equal parts."""
    empty = distribution <= 0
    if not empty.any():
        return distribution
    small = _SMOOTHING / len(distribution)
    taken = small * empty.sum() / max(1, (~empty).sum())
    smoothed: Floats = np.where(empty, small, np.maximum(distribution - taken, small))
    return smoothed
