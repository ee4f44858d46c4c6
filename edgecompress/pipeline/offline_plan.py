"""Our memory plan in the model that TensorFlow Lite Micro runs, where its own interpreter confirms that it then takes less."""

from __future__ import annotations

from edgecompress.artifact import Engine
from edgecompress.codegen import check_supported
from edgecompress.codegen.tflm import run_golden
from edgecompress.codegen.tflm_plan import PLAN_NAME, plan_offline
from edgecompress.convert.metadata_write import add_named_buffer, has_named_buffer
from edgecompress.graph import Graph


def with_offline_plan(graph: Graph, data: bytes) -> bytes:
    """The model with offsets for its tensors (OfflineMemoryAllocation), or as it is where they do not lower its arena.

    They are left out where TFLM's own placement is as good, where the model has a plan already, and where the host interpreter (of the
    tflite-micro wheel) is missing, needs as much arena with them, or gives other bytes.

    Args:
        graph: what `read_tflite` made of `data`.
        data: the .tflite.

    Raises:
        UnsupportedOpError: TFLM lacks an op of the model.
        ModelError: an input of a type that an application cannot fill.
        ToolError: the host interpreter crashed.
    """
    if graph.subgraphs != 1 or has_named_buffer(data, PLAN_NAME):
        return data
    check_supported(graph, Engine.TFLM)
    plan = plan_offline(graph)
    if plan.peak_bytes >= plan.greedy_bytes:
        return data
    planned = add_named_buffer(data, PLAN_NAME, plan.data)
    before, after = run_golden(graph, data), run_golden(graph, planned)
    if before is None or after is None or after.arena_bytes >= before.arena_bytes:
        return data
    same = all(a.tobytes() == b.tobytes() for a, b in zip(before.outputs, after.outputs, strict=True))
    return planned if same else data
