"""A model as a library module for an Android app: pure functions from a model to the files of a folder.

No Gradle, no SDK and no network is needed to write it; see docs/android.md for what of it was checked, and how.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.build.android.litert import LiteRt, litert_files
from edgecompress.build.android.module import Golden, GoldenSample, Layout, Module, describe
from edgecompress.graph import Graph

__all__ = ["Golden", "GoldenSample", "Layout", "LiteRt", "Module", "build_android", "describe", "litert_files"]


def build_android(
    model: bytes,
    graph: Graph,
    package: str,
    *,
    name: str,
    labels: Sequence[str] | None,
    golden: Golden,
    runtime: LiteRt | None = None,
) -> dict[str, bytes]:
    """The files of a library module that runs `model` by LiteRT.

    Args:
        model: the .tflite, whole; `graph` was read from it.
        package: of the Kotlin code, such as com.acme.digits.
        name: what the model is called; the names in the module are made from it.
        labels: one per class, in the model's order; None for class numbers, or for what is no classifier.
        golden: inferences for the tests on a phone.
        runtime: the release of LiteRT; None for the pinned one.

    Returns:
        Relative path -> content; the same for the same arguments, without dates or paths of this machine.

    Raises:
        UserError: the package is none, or the release of LiteRT has no Interpreter.
        ModelError: an input or output has a type that no app could fill.
        DataError: labels or golden vectors do not fit the model.
    """
    return litert_files(describe(model, graph, package, name=name, labels=labels, golden=golden), runtime or LiteRt())
