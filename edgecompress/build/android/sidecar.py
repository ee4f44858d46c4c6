"""The model's facts as JSON beside it, and its labels as text: for the app, and for tools that read no flatbuffers.

The JSON is where labels come from, whatever they hold. `<asset>_labels.txt` has one label a line, for tools that want that; it is left out
when a label has a line break, is empty, or holds half of a surrogate pair, since no line of UTF-8 could hold it.
"""

from __future__ import annotations

import json
from typing import Any

from edgecompress.build.android.module import Module, TensorSpec

SCHEMA = "edgecompress.android/1"
# What `str.splitlines` and common readers of text files take for the end of a line.
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def render_sidecar(module: Module) -> bytes:
    """`<asset>.json`: name, hash and bytes of the .tflite, hash of the file it was made from, multiply-accumulates, tensors, labels.

    Labels are null for what is no classifier; scale and zero point for floats.
    """
    document = {
        "schema": SCHEMA,
        "name": module.names.asset,
        "sha256": module.sha256,
        "source_sha256": module.source_sha256,
        "bytes": len(module.model),
        "macs": module.macs,
        "inputs": [_tensor(spec) for spec in module.inputs],
        "outputs": [_tensor(spec) for spec in module.outputs],
        "labels": list(module.labels) if module.labels is not None else None,
    }
    # ASCII with escapes: lone surrogates and line separators survive every reader.
    return (json.dumps(document, indent=2) + "\n").encode("ascii")


def render_labels(module: Module) -> bytes | None:
    """`<asset>_labels.txt`; None without labels, or when a line cannot hold one of them."""
    if module.labels is None or not all(_fits_a_line(label) for label in module.labels):
        return None
    return "".join(f"{label}\n" for label in module.labels).encode("utf-8")


def _fits_a_line(label: str) -> bool:
    """Whether a line of UTF-8 holds the label; a JSON file may bring half of a surrogate pair, which is no character."""
    return bool(label) and not _LINE_BREAKS.intersection(label) and not any("\ud800" <= c <= "\udfff" for c in label)


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": spec.dtype.value,
        "scale": spec.scale,
        "zero_point": spec.zero_point,
    }
