"""A model's layers by path ("block/conv"), and the checks that a setting names one of them and that all can be computed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import keras
import numpy as np

from edgecompress.errors import ModelError, RecipeError

_SHOWN = 8
# What TensorFlow takes in the name of a scope, and each layer opens one of its name; the outermost, the model's, begins with no underscore.
_SCOPE = re.compile(r"[A-Za-z0-9_.>-]+")


def walk_layers(layer: keras.Layer, path: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Every layer below `layer` with its path, parents first."""
    for child in layer._flatten_layers(recursive=False, include_self=False):
        child_path = f"{path}{child.name}"
        yield child_path, child
        yield from walk_layers(child, f"{child_path}/")


def is_inside(path: str, name: str) -> bool:
    """Whether `name` is the layer at `path`, or a model around it."""
    return path == name or path.startswith(f"{name}/")


def require_layers(paths: Sequence[str], names: Sequence[str], setting: str) -> None:
    """Fail unless every name is one of the paths, or the path of a model around some.

    Raises:
        RecipeError: with the setting, the name, and the nearest layer.
    """
    for name in names:
        if not any(is_inside(path, name) for path in paths):
            near = get_close_matches(name, paths, n=1)
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            hint = f"did you mean {near[0]!r}?" if near else f"its layers: {', '.join(paths[:_SHOWN])}{more}"
            raise RecipeError(f"{setting} names the layer {name!r}, which the model lacks", hint=hint)


def require_float_layers(model: keras.Model, names: Sequence[str]) -> None:
    """As `require_layers` for allow_float, which may also name an operation (`add`), a part that a layer is taken apart into
    (`separable_pointwise`), or "*" for all.

    Raises:
        RecipeError: a name is none of these.
    """
    paths = [path for path, _ in walk_layers(model)]
    paths += [operation.name for operation in getattr(model, "operations", []) if operation.name not in paths]
    parts = tuple(f"{path}_" for path in paths)
    require_layers(paths, [name for name in names if name != "*" and not name.startswith(parts)], "quantize: allow_float")


def require_computable(model: keras.Model) -> None:
    """Fail on what would end in an error far from its cause, or in none: weights that are no numbers, names that TensorFlow refuses.

    Raises:
        ModelError: naming the layer.
    """
    layers = list(walk_layers(model))
    names = [path for path, layer in layers if not isinstance(layer, keras.layers.InputLayer) and not _SCOPE.fullmatch(layer.name)]
    if names or not _SCOPE.fullmatch(model.name) or model.name.startswith("_"):
        what = f"layer {names[0]!r}" if names else f"model {model.name!r}"
        raise ModelError(
            f"{what}: TensorFlow computes no layer or model of this name",
            hint="build it with names of plain letters, digits, _ and -, and bring the weights over: new.set_weights(old.get_weights())",
        )
    broken = [path for path, layer in layers if any(not _is_finite(variable) for variable in layer.weights)]
    if broken:
        # Parents come first: the last of those inside each other is the layer itself.
        path = next(path for path in reversed(broken) if is_inside(path, broken[0]))
        variable = next(variable for variable in dict(layers)[path].weights if not _is_finite(variable))
        raise ModelError(
            f"layer {path!r}: its {variable.name} holds NaN or infinite values",
            hint="the training that made it diverged: train it again with a lower learning rate, or take an earlier checkpoint",
        )


def _is_finite(variable: keras.Variable) -> bool:
    return not keras.backend.is_float_dtype(variable.dtype) or bool(np.isfinite(np.asarray(variable, np.float32)).all())
