"""What report.json says about a compression."""

from __future__ import annotations

import gzip
import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from edgecompress.compress.score import Score
from edgecompress.recipe import Recipe, Settings

if TYPE_CHECKING:
    from edgecompress.compress.prune import PruneNote
    from edgecompress.compress.quantization import QuantizeNote

REPORT_SCHEMA = 1

_PACKAGES = ("edgecompress", "keras", "tensorflow", "ai-edge-litert", "numpy")


def build_report(
    *,
    recipe: Recipe,
    steps: Sequence[tuple[Settings, PruneNote | QuantizeNote]],
    model: bytes,
    before: Score | None,
    after: Score | None,
) -> dict[str, Any]:
    """The document, ready for JSON.

    Keys: `schema`, `versions`, `seed`, `recipe` (as asked), `steps` (each with its settings and what it did; sparsity per layer for prune),
    `tflite_bytes`, `gzip_bytes` (level 9, no time stamp), `sha256`, and `score` on the validation data: `metric`, `n`, `keras` (the model
    that came in) and `tflite` (through LiteRT); null when the labels allow none.
    """
    return {
        "schema": REPORT_SCHEMA,
        "versions": {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "seed": recipe.seed,
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "steps": [settings.model_dump(mode="json", by_alias=True) | {"note": _note(note)} for settings, note in steps],
        "tflite_bytes": len(model),
        "gzip_bytes": gzip_size(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "score": _score(before, after),
    }


def gzip_size(data: bytes) -> int:
    """Bytes after gzip, level 9, without a time stamp."""
    return len(gzip.compress(data, 9, mtime=0))


def _note(note: PruneNote | QuantizeNote) -> dict[str, Any]:
    facts = asdict(note)
    if "layers" in facts:
        facts["sparsity"] = facts["zeros"] / facts["weights"]
        facts["layers"] = [layer | {"sparsity": layer["zeros"] / layer["weights"]} for layer in facts["layers"]]
    return facts


def _score(before: Score | None, after: Score | None) -> dict[str, Any] | None:
    known = after or before
    if known is None:
        return None
    return {
        "metric": known.metric,
        "n": known.n,
        "keras": None if before is None else before.value,
        "tflite": None if after is None else after.value,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
