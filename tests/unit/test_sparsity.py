"""Which weights live: amounts, thresholds, N:M groups and blocks."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compress.prune.sparsity import (
    as_rows,
    block_means,
    choose_above,
    choose_blocks,
    choose_groups,
    choose_kept,
    from_rows,
    size_threshold,
    spread_blocks,
)
from edgecompress.errors import RecipeError
from edgecompress.recipe import PruneSettings, parse_recipe
from edgecompress.recipe.prune import BlockPattern, GroupPattern, parse_pattern


def test_negative_scores_go_first():
    """Scores may be negative, as movement's are, and -inf is lower still."""
    (kept,) = choose_kept([np.array([-1.0, 0.0, -3.0, 2.0, -np.inf])], 0.6, "layer")
    assert kept.tolist() == [False, True, False, True, False]


def test_what_is_pruned_never_comes_back():
    """More dead weights than the share asks for stay dead, and none of the living goes."""
    (kept,) = choose_kept([np.array([-np.inf, -np.inf, -np.inf, 1.0])], 0.25, "global")
    assert kept.tolist() == [False, False, False, True]


def test_threshold_takes_what_is_below():
    """A weight at the threshold lives; the best of a kernel that lies below it all lives too."""
    assert choose_above(np.array([0.1, 0.5, 0.7]), 0.5).tolist() == [False, True, True]
    assert choose_above(np.array([0.1, 0.2, -np.inf]), 0.5).tolist() == [False, True, False]


def test_threshold_falls_with_the_layers_size():
    """lambda_0 / sqrt(m n): 2 / sqrt(25 * 4) = 0.2."""
    assert size_threshold(2.0, 25 * 4) == pytest.approx(0.2)


def test_rows_are_a_tflites_order():
    """HWIO becomes [O, H W, I] and comes back; a transposed convolution's HWOI too."""
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    rows = as_rows(kernel, (-1, -2))
    assert rows.shape == (5, 6, 4)
    assert rows[3, 1 * 3 + 2, 2] == kernel[1, 2, 2, 3]
    assert np.array_equal(from_rows(rows, kernel.shape, (-1, -2)), kernel)
    assert as_rows(kernel, (-2, -1))[3, 5, 4] == kernel[1, 2, 3, 4]
    assert np.array_equal(from_rows(as_rows(kernel, (-2, -1)), kernel.shape, (-2, -1)), kernel)


def test_groups_keep_the_best_of_each():
    """2:4 by hand; among equals the first; a short last group keeps as many."""
    rows = np.array([[[4.0, 1.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0, 1.0, 2.0, 3.0]]])
    kept = choose_groups(rows, 2, 4)[0, 0]
    assert kept.tolist() == [True, False, True, False, True, True, False, False, False, True, True]


def test_groups_keep_no_dead_weight():
    """A group with one living weight keeps that one."""
    rows = np.array([[[-np.inf, 1.0, -np.inf, -np.inf]]])
    assert choose_groups(rows, 2, 4)[0, 0].tolist() == [False, True, False, False]


def test_block_means_by_hand():
    """2x2 blocks of a 3 x 3 matrix: those at the edge are smaller; dead weights do not count, and a dead block is -inf."""
    rows = np.array([[1.0, 3.0, -np.inf], [5.0, 7.0, -np.inf], [2.0, -np.inf, 9.0]])[:, None]
    means, sizes = block_means(rows, BlockPattern(2, 2))
    assert means[:, 0].tolist() == [[4.0, -np.inf], [2.0, 9.0]]
    assert sizes[:, 0].tolist() == [[4, 2], [2, 1]]


@pytest.mark.parametrize("block", [BlockPattern(1, 4), BlockPattern(4, 1), BlockPattern(2, 3)])
def test_blocks_go_as_wholes(block):
    """Every block is all zero or all kept, and no block more than the share needs is gone."""
    rows = np.random.default_rng(0).random((9, 2, 10))
    means, sizes = block_means(rows, block)
    (chosen,) = choose_blocks([means], [sizes], 0.5, "layer")
    kept = spread_blocks(chosen, block, rows.shape)
    again, _ = block_means(kept.astype(float), block)
    assert set(np.unique(again)) == {0.0, 1.0}
    zeros = int((~kept).sum())
    assert 90 <= zeros < 90 + block.outputs * block.inputs
    assert means[~chosen].max() <= means[chosen].min()


def test_global_blocks_let_no_layer_vanish():
    """A layer of low blocks keeps its best one."""
    means = [np.full((4, 1, 1), 0.001) * np.arange(1, 5)[:, None, None], np.ones((12, 1, 1))]
    first, second = choose_blocks(means, [np.full(m.shape, 4) for m in means], 0.5, "global")
    assert first[:, 0, 0].tolist() == [False, False, False, True]
    assert int((~second).sum()) == 5


def test_patterns_are_parsed():
    """N:M, blocks, and any; the sparsity that an N:M pattern means."""
    assert parse_pattern("2:4") == GroupPattern(2, 4)
    assert parse_pattern("1x4") == BlockPattern(1, 4)
    assert parse_pattern("any") is None
    assert PruneSettings(pattern="1:4").goal == 0.75


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('pattern = "4:4"', "N < M"),
        ('pattern = "1x1"\nsparsity = 0.5', "more than one weight"),
        ('pattern = "diagonal"\nsparsity = 0.5', "diagonal"),
        ('pattern = "2:4"\nsparsity = 0.5', "one of"),
        ("threshold = 0.1\nsparsity = 0.5", "one of"),
        ('sparsity = 0.5\nsaliency = "bn_scale"', "for weights there are l1, l2, gradient"),
        ('sparsity = 0.5\nsaliency = "size"', "'l1'"),
        ('sparsity = 0.5\nsaliency = "movement"\nepochs = 0', "before training"),
        ('sparsity = 0.5\nnew_head = { layer = "logits" }\nepochs = 0', "never train"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    """One sentence names the setting and what would do."""
    with pytest.raises(RecipeError, match=words):
        parse_recipe(f'[[step]]\npass = "prune"\n{settings}', "r.toml")


def test_every_setting_of_a_recipe():
    """What docs/passes/prune.md shows is read."""
    recipe = parse_recipe('[[step]]\npass = "prune"\nsaliency = "taylor"\norder = "high_first"\nthreshold = 1.0\nrounds = 2', "r.toml")
    step = recipe.step[0]
    assert isinstance(step, PruneSettings)
    assert (step.saliency.value, step.order, step.threshold, step.goal, step.rounds) == ("taylor", "high_first", 1.0, 1.0, 2)
    assert recipe.model_dump(mode="json", by_alias=True)["step"][0]["saliency"] == "taylor"
