"""What is inside a .tflite: ops, shapes, MACs, and the memory plan that generated code would use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.artifact import ModelInfo
from edgecompress.errors import ModelError
from edgecompress.graph import Graph
from edgecompress.pipeline.sources import load_model


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model seen from outside.

    Attributes:
        graph: every tensor and op.
        plan: steps, buffers and arena of the generated C; None when the aot engine cannot take the model.
        reason: why `plan` is None, with the op's name; empty otherwise.
    """

    graph: Graph
    plan: ModelInfo | None
    reason: str


def inspect(model: Path) -> Inspection:
    """Read a .tflite and plan it.

    Raises:
        ModelError: the file is missing, damaged or not a .tflite.

    Example:
        >>> edgecompress.inspect(Path("digits.tflite")).graph.ops[0].kind
        'CONV_2D'
    """
    from edgecompress.codegen import generate_aot

    graph = load_model(model).graph
    try:
        return Inspection(graph, generate_aot(graph).info, "")
    except ModelError as e:
        return Inspection(graph, None, e.message)
