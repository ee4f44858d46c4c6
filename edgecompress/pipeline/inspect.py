"""What is inside a .tflite: ops, shapes, MACs, the memory plan that generated code would use, and what the model says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.artifact import Engine, ModelInfo, Streaming
from edgecompress.convert.metadata import ModelMetadata, read_metadata
from edgecompress.errors import ModelError
from edgecompress.graph import Graph
from edgecompress.pipeline.sources import load_model
from edgecompress.target import KernelSet, Optimize

if TYPE_CHECKING:
    from edgecompress.codegen import Finding


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model seen from outside.

    Attributes:
        graph: every tensor and op.
        plan: steps, buffers and arena of the generated C; None when the aot engine cannot take the model.
        reason: why `plan` is None, with the op's name; empty otherwise.
        tflm_findings: ops that TensorFlow Lite Micro refuses or computes wrongly, and what to do; empty when it takes the model.
        metadata: what the model says about itself; None when it says nothing, or nothing that can be read.
        metadata_problem: why metadata that are there cannot be read; empty otherwise.
    """

    graph: Graph
    plan: ModelInfo | None
    reason: str
    tflm_findings: tuple[Finding, ...]
    metadata: ModelMetadata | None
    metadata_problem: str


def inspect(
    model: Path, *, kernels: KernelSet = KernelSet.PORTABLE, optimize: Optimize = Optimize.SPEED, stream: Streaming = Streaming.NONE
) -> Inspection:
    """Read a .tflite and plan it.

    Args:
        kernels: whose scratch and overlaps the plan is made with.
        optimize: as `generate` takes it.
        stream: whether its first layers go by rows.

    Raises:
        ModelError: the file is missing, damaged or not a .tflite.

    Example:
        >>> edgecompress.inspect(Path("digits.tflite")).graph.ops[0].kind
        'CONV_2D'
    """
    from edgecompress.codegen import find_unsupported, generate_aot

    loaded = load_model(model)
    metadata, problem = _read_metadata(loaded.data)
    findings = find_unsupported(loaded.graph, Engine.TFLM)
    try:
        plan = generate_aot(loaded.graph, kernels=kernels, optimize=optimize, stream=stream).info
        return Inspection(loaded.graph, plan, "", findings, metadata, problem)
    except ModelError as e:
        return Inspection(loaded.graph, None, e.message, findings, metadata, problem)


def _read_metadata(data: bytes) -> tuple[ModelMetadata | None, str]:
    """Damaged metadata do not keep anybody from seeing the model."""
    try:
        return read_metadata(data), ""
    except ModelError as e:
        return None, e.message
