"""`edgecompress inspect`: what is inside a .tflite."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import model_argument

if TYPE_CHECKING:
    from rich.console import Console

    from edgecompress.artifact import ModelInfo
    from edgecompress.graph import Graph, Tensor


@click.command(short_help="A model's ops, shapes, MACs, memory plan.")
@model_argument
def command(model: Path) -> None:
    """Show a model's inputs, outputs, ops, shapes, MACs, and the memory plan of its generated C."""
    from edgecompress.cli.console import stdout_console
    from edgecompress.pipeline import inspect

    inspection = inspect(model)
    console = stdout_console()
    _print_model(console, inspection.graph)
    _print_ops(console, inspection.graph)
    if inspection.plan is None:
        console.print(f"No memory plan: the aot engine cannot take this model. {inspection.reason}")
    else:
        _print_plan(console, inspection.plan)


def _print_model(console: Console, graph: Graph) -> None:
    from edgecompress.cli.tables import print_pairs
    from edgecompress.units import format_bytes

    pairs = [("model", graph.name), ("sha256", graph.sha256), ("file", format_bytes(graph.file_bytes))]
    pairs += [("input", _describe(graph.tensor(index))) for index in graph.inputs]
    pairs += [("output", _describe(graph.tensor(index))) for index in graph.outputs]
    pairs += [("ops", f"{len(graph.ops):,}"), ("MACs", f"{graph.macs:,}"), ("parameters", f"{graph.parameters:,}")]
    print_pairs(console, pairs)


def _print_ops(console: Console, graph: Graph) -> None:
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.graph import count_macs

    columns = [Column("op", number=True), Column("kind"), Column("v", number=True), Column("reads"), Column("gives")]
    columns += [Column("MACs", number=True), Column("constants", number=True), Column("tensor")]
    rows = []
    for op in graph.ops:
        inputs = [tensor for tensor in graph.op_inputs(op) if tensor is not None]
        outputs = graph.op_outputs(op)
        macs = count_macs(graph, op)
        constant_bytes = sum(tensor.bytes for tensor in inputs if tensor.is_constant)
        rows.append(
            [
                str(op.index),
                op.kind,
                str(op.version),
                _shapes([tensor for tensor in inputs if not tensor.is_constant]),
                _shapes(outputs),
                f"{macs:,}" if macs else "",
                f"{constant_bytes:,} B" if constant_bytes else "",
                " ".join(_short(tensor.name) for tensor in outputs),
            ]
        )
    print_table(console, columns, rows)


def _print_plan(console: Console, plan: ModelInfo) -> None:
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.units import format_bytes

    console.print(f"Memory plan of the generated C: arena {format_bytes(plan.arena_bytes)}, {len(plan.steps)} steps")
    columns = [Column("offset", number=True), Column("bytes", number=True), Column("steps"), Column("tensor")]
    buffers = sorted(plan.plan, key=lambda buffer: (buffer.first_op, buffer.offset))
    rows = [[f"{b.offset:,}", f"{b.bytes:,}", f"{b.first_op} to {b.last_op}", _short(b.tensor)] for b in buffers]
    print_table(console, columns, rows)


def _short(name: str) -> str:
    """The first of the names that the converter joined: `a/Relu;a/BiasAdd;a/Conv2D -> a/Relu (+2)`."""
    first, *others = name.split(";")
    return f"{first} (+{len(others)})" if others else first


def _shape(tensor: Tensor) -> str:
    return f"[{','.join(str(side) for side in tensor.shape)}]"


def _shapes(tensors: Sequence[Tensor]) -> str:
    """Shapes in order, equal neighbours once: `2 x [1,32,32,16]`."""
    groups = [(shape, len(list(same))) for shape, same in groupby(_shape(tensor) for tensor in tensors)]
    return " ".join(shape if count == 1 else f"{count} x {shape}" for shape, count in groups)


def _describe(tensor: Tensor) -> str:
    """`serving_default_x [1,8,8,1] int8, scale 0.00392157, zero point -128`."""
    text = f"{tensor.name} {_shape(tensor)} {tensor.dtype.value}"
    quantization = tensor.quantization
    if quantization is None:
        return text
    if quantization.per_channel:
        return f"{text}, {len(quantization.scales)} scales along axis {quantization.axis}"
    return f"{text}, scale {quantization.scale:.9g}, zero point {quantization.zero_point}"
