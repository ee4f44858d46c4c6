"""Recipes: what they may say, and one sentence for what they may not."""

from __future__ import annotations

import pytest

from edgecompress.errors import RecipeError
from edgecompress.recipe import (
    BUILT_IN,
    DEFAULT_RECIPE,
    PruneSettings,
    QuantizeSettings,
    Recipe,
    find_recipe,
    parse_recipe,
    read_recipe,
)

WHOLE = """
seed = 7

[[step]]
pass = "prune"
sparsity = 0.8
schedule = "constant"
exclude = ["head"]

[[step]]
pass = "quantize"
method = "qat"
epochs = 2
"""


def test_a_recipe_is_its_steps_in_order():
    """Each step carries its own pass's settings; what is left out has its default."""
    recipe = parse_recipe(WHOLE, "r.toml")
    prune, quantize = recipe.step
    assert isinstance(prune, PruneSettings)
    assert (prune.sparsity, prune.schedule, prune.exclude, prune.power) == (0.8, "constant", ("head",), 3.0)
    assert isinstance(quantize, QuantizeSettings)
    assert (quantize.method, quantize.mode, quantize.epochs) == ("qat", "int8", 2)
    assert recipe.seed == 7
    assert recipe.quantize is quantize


def test_without_a_recipe_the_model_is_quantized_after_training():
    """The default is post-training int8 with nothing left float."""
    assert DEFAULT_RECIPE.quantize == QuantizeSettings(method="ptq", mode="int8", allow_float=())


def test_a_recipe_without_quantize_ends_in_post_training_int8():
    """A recipe that only prunes is converted like a model without a recipe."""
    assert parse_recipe('[[step]]\npass = "prune"\nsparsity = 0.5', "r").quantize == QuantizeSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "step"),
        ("step = []", "step"),
        ("step = 3", "step"),
        ("[[step]]\nsparsity = 0.5", "pass"),
        ('[[step]]\npass = "shrink"', "shrink"),
        ('[[step]]\npass = "prune"', "sparsity"),
        ('[[step]]\npass = "prune"\npattern = "2:4"\nscope = "layer"', "scope ranks weights for a sparsity"),
        ('[[step]]\npass = "shrink"\nmacs = 0.5\nremove = "blocks"\nranking = "global"', "ranking ranks channels"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\n[[step]]\npass = "replace"\nconvolution = "separable"', "cannot follow"),
        ('[[step]]\npass = "prune"\nsparsity = 1.5', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = 1.0', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = -0.1', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = nan', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = "0.5"', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = true', "sparsity"),
        ('[[step]]\npass = "prune"\nsparsty = 0.5\nsparsity = 0.5', "sparsty"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\nschedule = "linear"', "schedule"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\nbegin = 0.9\nend = 0.1', "begin"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\ninitial_sparsity = 0.6', "initial_sparsity"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\nepochs = 1.5', "epochs"),
        ('[[step]]\npass = "prune"\nsparsity = 0.5\nexclude = [1]', "exclude"),
        ('[[step]]\npass = "quantize"\nmethod = "qat"\nmode = "float16"', "qat"),
        ('[[step]]\npass = "quantize"\n[[step]]\npass = "prune"\nsparsity = 0.5', "last"),
        ('[[step]]\npass = "quantize"\n[[step]]\npass = "quantize"', "one"),
        ('sed = 1\n[[step]]\npass = "quantize"', "sed"),
        ("[[step", "TOML"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(text, words):
    """The error names the file and what is wrong in it, and hints at what a recipe looks like."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.toml")
    assert caught.value.message.startswith("r.toml: ")
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "later",
    [
        '"shrink"\nmacs = 0.5',
        '"regularize"\nmethod = "l0"',
        '"regularize"\nmethod = "l1"\ndead_channels = "remove"',
        '"transformer"\nheads = 0.5',
    ],
)
def test_channels_do_not_go_behind_a_pattern(later):
    """A removed input channel would move its neighbours into other groups of a pattern; without a pattern, or for blocks, all is well."""
    recipe = '[[step]]\npass = "prune"\n{}\n[[step]]\npass = {}'
    with pytest.raises(RecipeError, match=r"step 2 \(.*\) cannot follow step 1 \(prune with a pattern\)"):
        parse_recipe(recipe.format('pattern = "2:4"', later), "r")
    assert len(parse_recipe(recipe.format("sparsity = 0.5", later), "r").step) == 2
    assert len(parse_recipe(recipe.format('pattern = "2:4"', '"shrink"\nremove = "blocks"\namount = 0.5'), "r").step) == 2


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_a_file_that_is_no_text_is_a_recipe_error(tmp_path, content):
    """A recipe that cannot be read is said so, with its path."""
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match="cannot be read") as caught:
        read_recipe(path)
    assert "small, fast, tiny" in caught.value.hint


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_are_found_by_name(name, tmp_path, monkeypatch):
    """Each ends in quantization-aware training; a file of that name in the current folder comes first."""
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name).quantize.method == "qat"
    (tmp_path / name).write_text('[[step]]\npass = "quantize"\n')
    assert find_recipe(name) == Recipe(step=(QuantizeSettings(),))


def test_new_activations_may_follow_pruning():
    """Exchanging activations alone leaves the pruned weights where they are."""
    text = '[[step]]\npass = "prune"\nsparsity = 0.5\n[[step]]\npass = "replace"\nactivations = { silu = "relu" }\n'
    assert len(parse_recipe(text, "r").step) == 2


def test_a_list_inside_a_step_is_read():
    """Lists and tables nested in a step become what its settings hold."""
    text = '[[step]]\npass = "cluster"\nshare_layers = [["a", "b"]]\ndistill = { temperature = 2.0 }\n'
    step = parse_recipe(text, "r").step[0]
    assert step.share_layers == (("a", "b"),)
    assert step.distill.temperature == 2.0


def test_every_pass_is_found():
    """Each pass that a recipe can name has a function of that name in its module, with the arguments that steps are given."""
    import inspect
    from importlib import import_module
    from typing import get_args

    from edgecompress.compress.passes import _MODULES
    from edgecompress.recipe import Settings

    kinds = {settings.model_fields["kind"].default for settings in get_args(get_args(Settings)[0])}
    assert kinds == set(_MODULES)
    for kind, module in _MODULES.items():
        function = getattr(import_module(f"edgecompress.compress.{module}"), kind)
        assert list(inspect.signature(function).parameters) == ["model", "settings", "data", "original", "progress"]
