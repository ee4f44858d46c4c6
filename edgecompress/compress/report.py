"""What report.json says about a compression."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from edgecompress.compress.footprint import Footprint, gzip_size
from edgecompress.recipe import Recipe, Settings

if TYPE_CHECKING:
    from edgecompress.compress.passes import Note

REPORT_SCHEMA = 2

_PACKAGES = ("edgecompress", "keras", "tensorflow", "ai-edge-litert", "numpy")


def build_report(*, recipe: Recipe, steps: Sequence[dict[str, Any]], model: bytes, before: Footprint, after: Footprint) -> dict[str, Any]:
    """The document, ready for JSON.

    Keys: `schema`, `versions`, `seed`, `recipe` (as asked), `steps` (see `step_entry`), `tflite_bytes`, `gzip_bytes` (level 9, no time
    stamp), `sha256`, and `score` on the validation data: `metric`, `n`, `keras` (the model that came in) and `tflite` (through LiteRT);
    null when the labels allow none.
    """
    return {
        "schema": REPORT_SCHEMA,
        "versions": package_versions(),
        "seed": recipe.seed,
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "steps": list(steps),
        "tflite_bytes": len(model),
        "gzip_bytes": gzip_size(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "score": _score(before, after),
    }


def step_entry(settings: Settings, note: Note, before: Footprint, after: Footprint, seconds: float) -> dict[str, Any]:
    """One step: its settings, `note` (what the pass did), `before` and `after` (see `Footprint`), and the pass's `seconds`."""
    return settings.model_dump(mode="json", by_alias=True) | {
        "note": _note(note),
        "before": asdict(before),
        "after": asdict(after),
        "seconds": round(seconds, 3),
    }


def package_versions() -> dict[str, str | None]:
    """What computed the result."""
    return {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()}


def _note(note: Note) -> dict[str, Any]:
    facts = asdict(note)
    if "zeros" in facts and facts.get("weights"):
        facts["sparsity"] = facts["zeros"] / facts["weights"]
        facts["layers"] = [layer | {"sparsity": layer["zeros"] / layer["weights"]} for layer in facts["layers"]]
    return facts


def _score(before: Footprint, after: Footprint) -> dict[str, Any] | None:
    known = after.tflite or before.keras
    if known is None:
        return None
    return {
        "metric": known.metric,
        "n": known.n,
        "keras": None if before.keras is None else before.keras.value,
        "tflite": None if after.tflite is None else after.tflite.value,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
