"""What an engine lacks for a graph, op by op, before any C is written."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.artifact import Engine
from edgecompress.codegen.lower import lower_op
from edgecompress.codegen.lower.rules import layer_name, unsupported
from edgecompress.codegen.tflm_ops import refusal
from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import Graph, Op


@dataclass(frozen=True)
class Finding:
    """One op that an engine cannot run: where, what, and what to do about it."""

    op: int
    kind: str
    version: int
    layer: str
    message: str
    fix: str


def find_unsupported(graph: Graph, engine: Engine) -> tuple[Finding, ...]:
    """Every op of the graph that `engine` lacks, in order; empty when it can run all of them. LiteRT runs whatever a converter writes."""
    found = []
    for op in graph.ops:
        error = _reason(graph, op, engine)
        if error is not None:
            found.append(Finding(op.index, op.kind, op.version, layer_name(graph, op), error.message, error.hint))
    return tuple(found)


def check_supported(graph: Graph, engine: Engine) -> None:
    """Fail unless `engine` has every op of the graph.

    Raises:
        UnsupportedOpError: for the first one; the message says how many more there are.
    """
    found = find_unsupported(graph, engine)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UnsupportedOpError(f"{graph.name}: {found[0].message}{more}", hint=found[0].fix)


def _reason(graph: Graph, op: Op, engine: Engine) -> UnsupportedOpError | None:
    if engine is Engine.AOT:
        return _aot_reason(graph, op)
    if engine is Engine.TFLM:
        refused = refusal(graph, op)
        return None if refused is None else unsupported(graph, op, *refused)
    return None


def _aot_reason(graph: Graph, op: Op) -> UnsupportedOpError | None:
    try:
        lower_op(graph, op, graph.name)
    except UnsupportedOpError as e:
        return e
    return None
