"""A model's layers by path ("block/conv"), and the check that a setting names one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import keras

from edgecompress.errors import RecipeError

_SHOWN = 8


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
