"""A wrong file is described in the words of who wrote it."""

from __future__ import annotations

import pytest

from edgecompress.errors import RecipeError
from edgecompress.recipe import parse_recipe


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[step]]\npass = "prune"\nsparsity = 1.5', "r.toml: step 1 (prune): sparsity: should be less than 1; 1.5 came"),
        ('[[step]]\npass = "quantize"\nfoo = 1', "r.toml: step 1 (quantize): foo: there is no such setting; 1 came"),
        (
            '[[step]]\npass = "squeeze"',
            "r.toml: step 1: 'pass' should be one of 'bits', 'cluster', 'distill', 'fuse', 'lowrank', 'prune', 'quantize', 'regularize', "
            "'replace', 'shrink', 'student', 'transformer'; 'squeeze' came",
        ),
        ("[[step]]\nsparsity = 0.5", "r.toml: step 1: 'pass' is missing"),
        (
            '[[step]]\npass = "cluster"\nclusters = 1',
            "r.toml: step 1 (cluster): clusters: should be greater than or equal to 2; 1 came",
        ),
        ('[[step]]\npass = "shrink"', "r.toml: step 1 (shrink): shrink takes one of amount, macs and parameters"),
        ('step = "a"', "r.toml: step: should be a list; 'a' came"),
        ("", "r.toml: step: field required"),
        ('[[steps]]\npass = "prune"', "r.toml: steps: there is no such setting; a step is a table [[step]]"),
        ('[[step]]\npass = "quantize"\n[[step]]\npass = "quantize"', "r.toml: quantize must be the last step, and there can be only one"),
    ],
)
def test_a_problem_names_field_expectation_and_what_came(text, sentence):
    """No word of the library that found it shows."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.toml")
    assert caught.value.message == sentence
