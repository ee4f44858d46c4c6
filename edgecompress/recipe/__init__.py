"""What was asked of compression: steps and their settings, one module a pass; `document` holds a whole recipe."""

from edgecompress.recipe.base import Training
from edgecompress.recipe.bits import BitsSettings
from edgecompress.recipe.cluster import ClusterSettings
from edgecompress.recipe.distill import DistillSettings, FuseSettings
from edgecompress.recipe.document import BUILT_IN, DEFAULT_RECIPE, Recipe, Settings, find_recipe, parse_recipe, read_recipe
from edgecompress.recipe.lowrank import LowRankSettings
from edgecompress.recipe.prune import PruneSettings
from edgecompress.recipe.quantize import QuantizeSettings
from edgecompress.recipe.regularize import RegularizeSettings
from edgecompress.recipe.replace import ReplaceSettings, StudentSettings
from edgecompress.recipe.shrink import ShrinkSettings
from edgecompress.recipe.teacher import DistillLoss
from edgecompress.recipe.transformer import TransformerSettings

__all__ = [
    "BUILT_IN",
    "DEFAULT_RECIPE",
    "BitsSettings",
    "ClusterSettings",
    "DistillLoss",
    "DistillSettings",
    "FuseSettings",
    "LowRankSettings",
    "PruneSettings",
    "QuantizeSettings",
    "Recipe",
    "RegularizeSettings",
    "ReplaceSettings",
    "Settings",
    "ShrinkSettings",
    "StudentSettings",
    "Training",
    "TransformerSettings",
    "find_recipe",
    "parse_recipe",
    "read_recipe",
]
