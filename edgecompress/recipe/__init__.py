"""What was asked of compression: steps and their settings, one module a pass; `document` holds a whole recipe."""

from edgecompress.recipe.base import Training
from edgecompress.recipe.document import DEFAULT_RECIPE, Recipe, Settings, find_recipe, parse_recipe, read_recipe
from edgecompress.recipe.prune import PruneSettings
from edgecompress.recipe.quantize import QuantizeSettings
from edgecompress.recipe.teacher import DistillLoss

__all__ = [
    "DEFAULT_RECIPE",
    "DistillLoss",
    "PruneSettings",
    "QuantizeSettings",
    "Recipe",
    "Settings",
    "Training",
    "find_recipe",
    "parse_recipe",
    "read_recipe",
]
