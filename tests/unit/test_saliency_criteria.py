"""The formulas of saliency against values by hand and by SciPy, and the table of what exists."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress.saliency.criteria import (
    activation_entropy,
    input_norm_score,
    l1_norm,
    l2_norm,
    movement_score,
    normalize_gradients,
    output_error_score,
    random_scores,
    shannon_entropy,
    taylor_term,
    weight_entropy,
    weight_mean,
    weight_variance,
)
from edgecompress.recipe.saliency import EXISTS_FOR, READS, Criterion, Unit, criteria_for, missing_criterion

ROWS = np.array([[3.0, -4.0, 0.0], [1.0, 1.0, -2.0]])


def test_norms_by_hand():
    """|3| + |-4| = 7 and sqrt(9 + 16) = 5."""
    assert l1_norm(ROWS).tolist() == [7.0, 4.0]
    assert l2_norm(ROWS) == pytest.approx([5.0, np.sqrt(6.0)])


def test_statistics_by_hand():
    """|mean| and variance: (3 - 4) / 3, and 25 / 3 - 1 / 9."""
    assert weight_mean(ROWS) == pytest.approx([1 / 3, 0.0])
    assert weight_variance(ROWS) == pytest.approx([25 / 3 - 1 / 9, 2.0])


def test_entropy_agrees_with_scipy():
    """Random distributions, one with a zero."""
    stats = pytest.importorskip("scipy.stats")
    shares = np.random.default_rng(0).dirichlet(np.ones(6), 5)
    shares[0, :2] = 0.0, shares[0, 0] + shares[0, 1]
    assert shannon_entropy(shares) == pytest.approx(stats.entropy(shares, base=2, axis=1))


def test_weight_entropy_by_hand():
    """Four bins between 0 and 4: one weight in each is 2 bits, all in one is 0, two and two is 1."""
    rows = np.array([[0.5, 1.5, 2.5, 4.0], [0.0, 0.1, 0.2, 0.3], [0.0, 0.0, 3.5, 3.5]])
    assert weight_entropy(rows, bins=4) == pytest.approx([2.0, 0.0, 1.0])


def test_weight_entropy_agrees_with_numpys_histogram():
    """The bins are those of numpy."""
    stats = pytest.importorskip("scipy.stats")
    rows = np.random.default_rng(1).normal(size=(3, 200))
    expected = [stats.entropy(np.histogram(row, 16, (rows.min(), rows.max()))[0], base=2) for row in rows]
    assert weight_entropy(rows) == pytest.approx(expected)


def test_activation_entropy_has_bins_of_each_units_own():
    """A unit that is constant has 0 bits; one that takes two values has 1, however far apart they are."""
    pooled = np.array([[5.0, 0.0, -100.0], [5.0, 0.001, 100.0], [5.0, 0.0, -100.0], [5.0, 0.001, 100.0]])
    assert activation_entropy(pooled) == pytest.approx([0.0, 1.0, 1.0])


def test_taylor_by_hand():
    """|3 * 1 - 4 * 2| = 5: contributions of one unit may cancel."""
    assert taylor_term(ROWS, np.array([[1.0, 2.0, 9.0], [1.0, 1.0, 1.0]])).tolist() == [5.0, 0.0]


def test_gradients_are_normalized_by_the_largest_of_all():
    """sqrt of the summed squares over 5, the largest root; a model without gradients gives zeros."""
    assert [a.tolist() for a in normalize_gradients([np.array([9.0, 1.0]), np.array([25.0])])] == [[0.6, 0.2], [1.0]]
    assert normalize_gradients([np.zeros(2)])[0].tolist() == [0.0, 0.0]


def test_input_norm_by_hand():
    """|w| times the root mean square of its input."""
    weights = np.array([[2.0, -1.0], [1.0, 3.0]])
    assert input_norm_score(weights, np.array([4.0, 0.25])).tolist() == [[4.0, 2.0], [0.5, 1.5]]


def test_output_error_is_that_of_a_least_squares_refit():
    """Zeroing one weight and refitting the others to the old output leaves the error that the score says."""
    generator = np.random.default_rng(2)
    x = generator.normal(size=(500, 4)) @ generator.normal(size=(4, 4))
    weights = generator.normal(size=(4, 3))
    scores = output_error_score(weights, x.T @ x / len(x), damping=0.0)
    for gone in range(4):
        left = np.delete(x, gone, axis=1)
        refit = np.linalg.lstsq(left, x @ weights, rcond=None)[0]
        assert scores[gone] == pytest.approx(np.square(x @ weights - left @ refit).mean(axis=0), rel=1e-6)


def test_output_error_of_inputs_that_never_speak():
    """Inputs of zeros make every weight worthless; a single dead input is worth nothing."""
    assert not output_error_score(np.ones((2, 2)), np.zeros((2, 2))).any()
    scores = output_error_score(np.ones((2, 1)), np.diag([0.0, 1.0]))
    assert scores[0, 0] == 0 < scores[1, 0]


def test_movement_by_hand():
    """(0.5^2 - 1^2) / 2 for a weight that shrank, (2^2 - 1^2) / 2 for one that grew, whatever its sign."""
    assert movement_score(np.array([0.5, -2.0]), np.array([1.0, -1.0])).tolist() == [-0.375, 1.5]


def test_movement_is_what_gradient_descent_sums_to():
    """For small steps -sum lr w g is (w^2 - w_0^2) / 2."""
    w, total = 1.0, 0.0
    for _ in range(1000):
        gradient = w - 3.0
        total -= 1e-3 * w * gradient
        w -= 1e-3 * gradient
    assert float(movement_score(np.array(w), np.array(1.0))) == pytest.approx(total, rel=2e-3)


def test_random_scores_repeat():
    """One seed gives one order; another seed another."""
    first, again, other = (random_scores([(3, 4), (5,)], seed) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_table_is_complete():
    """Each criterion exists for something and says what it reads; what is missing is a sentence that lists the rest."""
    assert set(EXISTS_FOR) == set(READS) == set(Criterion)
    assert all(EXISTS_FOR.values())
    assert missing_criterion(Criterion.L1, Unit.WEIGHT) is None
    assert missing_criterion(Criterion.BN_SCALE, Unit.WEIGHT) == (
        "saliency 'bn_scale' does not exist for weights; for weights there are " + ", ".join(criteria_for(Unit.WEIGHT))
    )
    assert criteria_for(Unit.NEURON) == criteria_for(Unit.CHANNEL) == criteria_for(Unit.LAYER)
