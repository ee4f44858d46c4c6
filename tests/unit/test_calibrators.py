"""Calibrators: ranges against values worked out by hand, by numpy's percentile and by SciPy's entropy."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress.int8.calibrators import (
    BINS,
    Bounds,
    Histogram,
    entropy_bounds,
    extremes,
    kl_divergence,
    moving_average,
    mse_bounds,
    percentile_bounds,
    rounding_error,
    widest,
)


def histogram_of(values):
    values = np.asarray(values, np.float32)
    histogram = Histogram(float(np.abs(values).max()))
    histogram.add(values)
    return histogram


def test_extremes_hold_every_value_and_zero():
    """A range never excludes 0, whichever side the values are on; no values at all give an empty range."""
    assert extremes(np.array([2.0, 5.0])) == Bounds(0.0, 5.0)
    assert extremes(np.array([-2.0, -5.0])) == Bounds(-5.0, 0.0)
    assert extremes(np.array([])) == Bounds(0.0, 0.0)
    assert widest([Bounds(-1, 2), Bounds(-3, 1)]) == Bounds(-3, 2)


def test_moving_average_by_hand():
    """Starts from the first batch; with momentum 0.9 each later one pulls by a tenth: 4 -> 4.6 -> 4.14."""
    average = moving_average([Bounds(-1, 4), Bounds(-2, 10), Bounds(0, 0)], 0.9)
    assert (average.low, average.high) == (pytest.approx(-0.99), pytest.approx(4.14))


def test_histogram_counts_every_value_once():
    """Both signs, zeros on the positive side, the largest value in the last bin, over several batches."""
    histogram = Histogram(2.0)
    histogram.add(np.array([[-2.0, -1e-9], [0.0, 2.0]]))
    histogram.add(np.array([1.0]))
    assert histogram.negative.sum() == 2 and histogram.positive.sum() == 3
    assert histogram.negative[-1] == histogram.positive[-1] == histogram.positive[BINS // 2] == 1


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99, 100.0])
def test_percentile_agrees_with_numpy(percentile):
    """Within one bin of numpy's percentile at both ends."""
    values = np.random.default_rng(0).normal(0.3, 1, 50_000)
    bounds = percentile_bounds(histogram_of(values), percentile)
    width = np.abs(values).max() / BINS
    ends = np.percentile(values, [100 - percentile, percentile], method="inverted_cdf")
    np.testing.assert_allclose([bounds.low, bounds.high], ends, atol=1.01 * width)


def test_percentile_of_nonnegative_values_begins_at_zero():
    """After a ReLU the range stays 0 to the percentile."""
    bounds = percentile_bounds(histogram_of(np.arange(1.0, 1001.0)), 90)
    assert bounds.low == 0 and bounds.high == pytest.approx(900, abs=1)


def divergence_by_loop(counts, kept, levels):
    """Migacz' procedure bin by bin, the divergence by SciPy; for distributions without bins that need smoothing."""
    from scipy.stats import entropy

    reference = [float(count) for count in counts[:kept]]
    reference[-1] += sum(counts[kept:])
    candidate = [0.0] * kept
    for level in range(levels):
        bins = range(level * kept // levels, (level + 1) * kept // levels)
        occupied = [i for i in bins if reference[i] > 0]
        for i in occupied:
            candidate[i] = sum(counts[j] for j in bins) / len(occupied)
    return entropy(reference, candidate)


@pytest.mark.parametrize("kept", [4, 5, 7, 11, 16])
def test_divergence_agrees_with_scipy(kept):
    """Clipping, merging and spreading by plain loops, and SciPy's relative entropy, give the same number."""
    pytest.importorskip("scipy")
    counts = np.array([90, 40, 7, 30, 22, 0, 9, 5, 3, 4, 1, 2, 0, 1, 1, 1])
    assert kl_divergence(counts, kept, 4) == pytest.approx(divergence_by_loop(counts, kept, 4), rel=1e-12)


def test_divergence_by_hand():
    """Counts 3, 1, 2, 2 in two groups: Q is 2, 2, 2, 2, so KL = 3/8 ln 1.5 + 1/8 ln 0.5; kept whole it is 0 when groups are even."""
    expected = 3 / 8 * np.log(1.5) + 1 / 8 * np.log(0.5)
    assert kl_divergence(np.array([3, 1, 2, 2]), 4, 2) == pytest.approx(expected)
    assert kl_divergence(np.array([2, 2, 5, 5]), 4, 2) == pytest.approx(0)


def test_a_clip_onto_an_empty_bin_is_smoothed():
    """Outliers pushed into a bin that was empty cost a finite amount, more than none."""
    divergence = kl_divergence(np.array([4, 4, 0, 0, 8]), 4, 2)
    assert np.isfinite(divergence) and divergence > 0.5


def test_entropy_takes_the_clip_of_least_divergence():
    """Its threshold is the best of all candidates, by exhaustive search with the loop above."""
    values = np.abs(np.random.default_rng(1).laplace(0, 1, 20_000))
    histogram = histogram_of([*values, 60.0])
    bounds = entropy_bounds(histogram)
    kept = round(bounds.high / histogram.limit * BINS)
    divergences = {bins: kl_divergence(histogram.positive, bins, 256) for bins in range(256, BINS + 1)}
    assert divergences[kept] == min(divergences.values())
    assert bounds.low == 0 and bounds.high < 20


def test_entropy_of_signed_values_is_symmetric_where_values_are():
    """128 levels of magnitude, and never a range beyond the values themselves."""
    values = np.concatenate([np.random.default_rng(2).normal(0, 1, 20_000), [50.0]])
    bounds = entropy_bounds(histogram_of(values))
    assert 3 < bounds.high < 25
    assert -5 < bounds.low < -3


def test_mse_agrees_with_a_search_on_the_values_themselves():
    """The chosen range's error on the raw values is within 2 % of the best of a fine grid, and below that of the extremes."""
    values = np.random.default_rng(3).laplace(0, 1, 100_000).astype(np.float32)

    def error(low, high):
        scale = (high - low) / 255
        zero = np.round(-low / scale)
        return np.mean((values - (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale) ** 2)

    bounds = mse_bounds(histogram_of(values))
    grid = min(error(-low, high) for low in np.linspace(4, 14, 20) for high in np.linspace(4, 14, 20))
    assert error(bounds.low, bounds.high) < 1.02 * grid
    assert error(bounds.low, bounds.high) < 0.9 * error(values.min(), values.max())


def test_rounding_error_by_hand():
    """One value in the middle of a bin, halfway between two steps of the grid: a quarter of a squared step."""
    histogram = Histogram(1.0, positive=np.array([0, 1]), negative=np.array([0, 0]))
    step = 0.5
    assert rounding_error(histogram, Bounds(0.0, 255 * step)) == pytest.approx((step / 2) ** 2)


def test_an_activation_that_is_always_zero_has_an_empty_range():
    """A dead layer gives 0 to 0 with every calibrator."""
    dead = Histogram(0.0)
    dead.add(np.zeros(9))
    assert percentile_bounds(dead, 99) == entropy_bounds(dead) == mse_bounds(dead) == Bounds(0.0, 0.0)
