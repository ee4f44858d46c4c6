"""Orders of steps that would undo each other are refused with the reason."""

from __future__ import annotations

import pytest

from edgecompress.recipe.order import first_conflict


@pytest.mark.parametrize(
    "passes",
    [
        ("quantize",),
        ("prune", "distill", "quantize"),
        ("shrink", "distill", "quantize"),
        ("shrink", "prune", "cluster", "quantize"),
        ("lowrank", "shrink", "prune", "quantize"),
        ("cluster", "prune", "quantize"),
        ("student", "prune", "prune"),
        ("replace", "replace", "distill"),
    ],
)
def test_orders_that_keep_what_was_done(passes):
    """Passes compose as the recipe lists them."""
    assert first_conflict(passes) == ""


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        (("quantize", "prune"), "quantize must be the last step"),
        (("quantize", "quantize"), "only one"),
        (("prune", "lowrank"), r"step 2 \(lowrank\) cannot follow step 1 \(prune\): the pruned kernels would be replaced"),
        (("prune", "distill", "replace"), r"step 3 \(replace\) cannot follow step 1 \(prune\)"),
        (("cluster", "shrink"), "on a codebook"),
        (("bits", "regularize"), "on a codebook"),
        (("cluster", "bits"), "one codebook"),
        (("shrink", "student"), "fresh net"),
        (("fuse", "prune"), "fused"),
    ],
)
def test_orders_that_undo_what_was_done(passes, words):
    """Both steps are named by number and pass, with what would be lost."""
    import re

    assert re.search(words, first_conflict(passes))
