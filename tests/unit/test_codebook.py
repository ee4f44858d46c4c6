"""Codebooks against values worked out by hand and scikit-learn's k-means."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgecompress.compress.grid import codebook
from edgecompress.compress.grid.bit_budget import choose_bits
from edgecompress.errors import RecipeError


def normal(rows=400, channels=6, seed=0):
    """Columns of different sizes, as folded kernels have them."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (rows, channels)) * rng.uniform(0.1, 3, channels)


def squared_error(columns, levels, scales):
    return float(np.sum((columns - codebook.on_levels(columns, levels, scales)) ** 2))


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (2, [-127, 0, 127]),
        (3, [-127, -85, -42, 0, 42, 85, 127]),
        (4, [-127, -109, -91, -73, -54, -36, -18, 0, 18, 36, 54, 73, 91, 109, 127]),
    ],
)
def test_uniform_levels_by_hand(bits, expected):
    """127 k / (2^(b - 1) - 1), rounded."""
    assert codebook.uniform_levels(bits).tolist() == [expected]


def test_eight_bits_are_every_int8_value():
    """8 bits lose nothing: -127 to 127."""
    assert codebook.uniform_levels(8).tolist() == [list(range(-127, 128))]


@pytest.mark.parametrize(
    ("bits", "base", "expected"),
    [
        (3, 2.0, [127, 64, 32]),
        (4, 2.0, [127, 64, 32, 16, 8, 4, 2]),
        (8, 2.0, [127, 64, 32, 16, 8, 4, 2, 1]),
        (4, 1.5, [127, 85, 56, 38, 25, 17, 11]),
        (3, 4.0, [127, 32, 8]),
    ],
)
def test_log_levels_by_hand(bits, base, expected):
    """Powers of the base below 127, both signs, and 0; what rounds to nothing is left out."""
    assert codebook.log_levels(bits, base).tolist() == [sorted([0, *expected, *(-size for size in expected)])]


def test_ternary_scale_by_hand():
    """|w| = 1, 0.9, 0.1: keeping two gives (1.9)^2 / 2 = 1.805, one 1, three 1.333; alpha = 0.95."""
    columns = np.array([[1.0], [-0.9], [0.1]])
    assert codebook.ternary_scales(columns) * 127 == pytest.approx([0.95])


def test_ternary_scale_is_no_worse_than_the_usual_threshold():
    """The exact minimum is at most the error of the threshold 0.7 mean|w| (Li et al. 2016, equation 6), channel by channel."""
    columns = normal()
    sizes = np.abs(columns)
    threshold = 0.7 * sizes.mean(axis=0)
    alpha = np.array([column[column > limit].mean() for column, limit in zip(sizes.T, threshold, strict=True)])
    usual = np.where(sizes > threshold, np.sign(columns) * alpha, 0.0)
    levels = codebook.uniform_levels(2)
    exact = codebook.on_levels(columns, levels, codebook.ternary_scales(columns))
    assert np.all(np.sum((columns - exact) ** 2, axis=0) <= np.sum((columns - usual) ** 2, axis=0) * (1 + 1e-12))


def test_binary_scale_by_hand():
    """mean(1, 3, 2) = 2, and signs as they were."""
    columns = np.array([[1.0], [-3.0], [2.0]])
    scales = codebook.binary_scales(columns)
    assert scales * 127 == pytest.approx([2.0])
    assert codebook.on_levels(columns, np.array([[-127.0, 127.0]]), scales).ravel() == pytest.approx([2.0, -2.0, 2.0])


def test_clip_lowers_the_error_of_few_bits():
    """The clip with the smallest error beats none, and is the best of a finer search within 1 %."""
    columns = normal(4000, 2)
    levels = codebook.uniform_levels(3)
    scales = codebook.clipped_scales(columns, levels, "mse")
    finest = min(
        squared_error(columns[:, :1], levels, codebook.largest_scales(columns[:, :1]) * share) for share in np.linspace(0.1, 1, 400)
    )
    assert squared_error(columns, levels, scales) < 0.7 * squared_error(columns, levels, codebook.largest_scales(columns))
    assert squared_error(columns[:, :1], levels, scales[:1]) < 1.01 * finest


def test_a_clip_that_is_given_is_taken():
    """Half of the largest weight."""
    columns = normal()
    assert codebook.clipped_scales(columns, codebook.uniform_levels(4), 0.5) == pytest.approx(codebook.largest_scales(columns) / 2)


@pytest.mark.parametrize("clusters", [4, 16])
def test_lloyd_is_scikit_learns_kmeans(clusters):
    """The same start gives the same centres."""
    cluster = pytest.importorskip("sklearn.cluster", reason="needs scikit-learn: pip install scikit-learn")
    values = normal(1500, 1).T * 30
    start = np.quantile(values, (np.arange(clusters) + 0.5) / clusters, axis=1).T
    expected = cluster.KMeans(clusters, init=start.T, n_init=1, max_iter=300, tol=0).fit(values.T).cluster_centers_.ravel()
    found = codebook.lloyd(values, start, np.zeros(start.shape, bool))
    # scikit-learn moves an empty cluster elsewhere; these have none.
    assert found[0] == pytest.approx(np.sort(expected), abs=1e-3)


def test_lloyd_by_hand_for_two_sets_at_once():
    """Each set has its own means; a pinned level stays, and so does one that no value is near."""
    values = np.array([[0.0, 2.0, 10.0, 12.0], [-5.0, -5.0, 100.0, 104.0]])
    levels = np.array([[1.0, 9.0], [-4.0, 90.0]])
    assert codebook.lloyd(values, levels, np.zeros((2, 2), bool)).tolist() == [[1.0, 11.0], [-5.0, 102.0]]
    pinned = np.array([[False, True], [False, True]])
    assert codebook.lloyd(values, levels, pinned).tolist() == [[1.0, 9.0], [-5.0, 90.0]]
    lonely = np.array([[1.0, 11.0, 500.0]])
    assert codebook.lloyd(values[:1], lonely, np.zeros((1, 3), bool)).tolist() == lonely.tolist()


@pytest.mark.parametrize("start", ["linear", "density", "kmeans++"])
@pytest.mark.parametrize("scope", ["layer", "channel"])
def test_clusters_are_int8_values_that_reach_both_ends(start, scope):
    """K whole numbers from -127 to 127 with 0, and every channel's largest weight lands on an end."""
    columns = normal()
    columns[::3] = 0.0
    levels, scales = codebook.cluster(columns, 8, scope=scope, start=start, keep_zero=True)
    assert levels.shape == ((1 if scope == "layer" else columns.shape[1]), 8)
    assert np.array_equal(levels, np.round(levels))
    assert np.all(levels[:, 0] == -127) and np.all(levels[:, -1] == 127) and np.all(np.any(levels == 0, axis=1))
    whole = codebook.nearest(columns / scales, levels)
    assert np.all(np.abs(whole).max(axis=0) == 127)
    assert np.all(whole[::3] == 0)


def test_clusters_beat_as_many_uniform_levels():
    """16 clusters of normal weights lose less than 4 uniform bits at their best clip."""
    columns = normal(2000)
    levels, scales = codebook.cluster(columns, 16, scope="layer", start="density", keep_zero=False)
    uniform = codebook.uniform_levels(4)
    assert squared_error(columns, levels, scales) < squared_error(columns, uniform, codebook.clipped_scales(columns, uniform, "mse"))


def test_starts_by_hand():
    """Linear: even steps; density: the quantiles 1/6, 1/2 and 5/6 of the weights, beside the ends."""
    values = np.arange(61.0)[np.newaxis]
    assert codebook.start_levels(values, 3, "linear", keep_zero=False).tolist() == [[-127, 0, 127]]
    assert codebook.start_levels(values, 5, "density", keep_zero=False).tolist() == [[-127, 10, 30, 50, 127]]
    drawn = codebook.start_levels(values, 5, "kmeans++", keep_zero=True, seed=1)[0]
    assert set(drawn[[0, 4]]) == {-127, 127} and 0 in drawn and set(drawn) - {-127, 127} <= set(values[0])


def test_zero_takes_the_place_of_its_neighbour():
    """The nearest inner level becomes 0; two ends get it as a third; levels that have it stay."""
    assert codebook.with_zero(np.array([[-127.0, -9.0, 20.0, 127.0]])).tolist() == [[-127, 0, 20, 127]]
    assert codebook.with_zero(np.array([[-127.0, 127.0]])).tolist() == [[-127, 0, 127]]
    assert codebook.with_zero(np.array([[-127.0, 0.0, 127.0]])).tolist() == [[-127, 0, 127]]


def test_packed_sizes_by_hand():
    """1,000 weights: 16 levels take 500 bytes and 16 of codebook, 17 take 5 bits an index."""
    assert codebook.packed_bytes(1000, 16, 1) == 516
    assert codebook.packed_bytes(1000, 17, 1) == 625 + 17
    assert codebook.packed_bytes(3, 2, 4) == 1 + 8


def test_a_million_weights_cluster_in_seconds():
    """The largest layers of MobileNetV2 must not make k-means long: 1.3 million weights in under 10 s on a busy core."""
    columns = np.random.default_rng(0).normal(0, 1, (1280, 1000))
    start = time.perf_counter()
    codebook.cluster(columns, 16, scope="layer", start="density", keep_zero=False)
    assert time.perf_counter() - start < 10


class TestMixed:
    """The greedy choice of bits."""

    costs = np.array([[2.0, 3.0, 4.0], [20.0, 30.0, 40.0]])

    def test_takes_bits_where_they_cost_least(self):
        """By hand: the second layer gives a bit for 0.1 / 10, then the first for 0.02 / 1, and 32 + 3 fits 33."""
        losses = np.array([[1.0, 0.52, 0.5], [9.0, 0.6, 0.5]])
        assert choose_bits(losses, self.costs, 33.0) == [1, 1]

    def test_room_that_is_left_is_used(self):
        """The second layer must go to 20; of the 5 left, the first takes its bits back."""
        losses = np.array([[0.6, 0.55, 0.5], [9.0, 7.0, 0.5]])
        assert choose_bits(losses, self.costs, 25.0) == [2, 0]

    def test_noise_does_not_pay(self):
        """Fewer bits that seem better count as free, not as a gain."""
        losses = np.array([[0.4, 0.3, 0.5], [0.5, 0.5, 0.5]])
        assert choose_bits(losses, self.costs, 44.0) == [2, 2]
        assert choose_bits(losses, self.costs, 22.0) == [0, 0]

    def test_a_budget_out_of_reach_is_refused(self):
        """Fewest bits everywhere come to 22."""
        with pytest.raises(RecipeError, match="22"):
            choose_bits(np.zeros((2, 3)), self.costs, 21.0)
