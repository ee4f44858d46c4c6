"""`edgecompress inspect`: what is inside a .tflite."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import kernels_option, model_argument, optimize_option, stream_option

if TYPE_CHECKING:
    from rich.console import Console

    from edgecompress.artifact import ModelInfo
    from edgecompress.codegen import Finding
    from edgecompress.convert.metadata import AssociatedFile, ModelMetadata, TensorMetadata
    from edgecompress.graph import Graph, Tensor

# What is shown of lists and texts that a file may make as long as it likes.
_SHOWN = 5
_LABEL_WIDTH = 24
_TEXT_WIDTH = 400


@click.command(short_help="A model's ops, shapes, MACs, memory plan.")
@model_argument
@kernels_option
@optimize_option
@stream_option
def command(model: Path, kernels: str, optimize: str, stream: str) -> None:
    """Show a model's inputs, outputs, metadata, ops, shapes, MACs, the memory plan of its generated C, and what TFLM lacks for it.

    The plan depends on the kernels: `build` takes those of its target.
    """
    from rich.text import Text

    from edgecompress.artifact import Streaming
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.text import printable
    from edgecompress.pipeline import inspect
    from edgecompress.target import KernelSet, Optimize

    inspection = inspect(model, kernels=KernelSet(kernels), optimize=Optimize(optimize), stream=Streaming(stream))
    console = stdout_console()
    _print_model(console, inspection.graph)
    if inspection.metadata is not None:
        _print_metadata(console, inspection.metadata)
    elif inspection.metadata_problem:
        console.print(Text(f"No metadata: {printable(inspection.metadata_problem)}"))
    _print_ops(console, inspection.graph)
    if inspection.plan is None:
        console.print(f"No memory plan: the aot engine cannot take this model. {inspection.reason}")
    else:
        _print_plan(console, inspection.plan, kernels, ", optimized for size" if optimize == "size" else "")
    if inspection.tflm_findings:
        _print_findings(console, inspection.tflm_findings)


def _print_model(console: Console, graph: Graph) -> None:
    from edgecompress.cli.tables import print_pairs
    from edgecompress.units import format_bytes

    pairs = [("model", graph.name), ("sha256", graph.sha256), ("file", format_bytes(graph.file_bytes))]
    pairs += [("input", _describe(graph.tensor(index))) for index in graph.inputs]
    pairs += [("output", _describe(graph.tensor(index))) for index in graph.outputs]
    pairs += [("ops", f"{len(graph.ops):,}"), ("MACs", f"{graph.macs:,}"), ("parameters", f"{graph.parameters:,}")]
    print_pairs(console, pairs)


def _print_metadata(console: Console, metadata: ModelMetadata) -> None:
    from edgecompress.cli.tables import print_pairs

    console.print("Metadata of the model")
    pairs = [("name", metadata.name), ("version", metadata.version), ("description", metadata.description)]
    pairs += [("author", metadata.author), ("licence", metadata.licence), ("parser", metadata.min_parser_version)]
    pairs += [("input", _describe_metadata(tensor)) for tensor in metadata.inputs]
    pairs += [("output", _describe_metadata(tensor)) for tensor in metadata.outputs]
    pairs += [("file", _describe_file(file)) for file in metadata.files]
    print_pairs(console, [(name, _shorten(value)) for name, value in pairs])


def _describe_metadata(tensor: TensorMetadata) -> str:
    """`image: int8 [1, 8, 8, 1], image 8 x 8 grayscale, mean 127.5, std 127.5, from -1 to 1, labels.txt (10 labels: 0, 1, 2 ...)`."""
    from edgecompress.convert.metadata import ImageContent

    parts = [": ".join(part for part in (tensor.name, tensor.description) if part)]
    content = tensor.content
    if isinstance(content, ImageContent):
        parts.append(f"image {content.width} x {content.height} {content.color.name.lower()}")
    parts += [f"{name} {_numbers(values)}" for name, values in (("mean", tensor.mean), ("std", tensor.std)) if values]
    if tensor.minimum and tensor.maximum:
        parts.append(f"from {_numbers(tensor.minimum)} to {_numbers(tensor.maximum)}")
    parts += [_describe_file(file) for file in tensor.files]
    return ", ".join(part for part in parts if part)


def _describe_file(file: AssociatedFile) -> str:
    if file.data is None:
        return f"{file.name} (named, but not in the file)"
    labels = file.labels
    if labels is None:
        return f"{file.name} ({len(file.data):,} B)"
    shown = ", ".join(label[:_LABEL_WIDTH] for label in labels[:_SHOWN])
    return f"{file.name} ({len(labels):,} labels: {shown}{' ...' if len(labels) > _SHOWN else ''})"


def _numbers(values: Sequence[float]) -> str:
    """`0.5` or `[0.485 0.456 0.406]`."""
    shown = " ".join(f"{value:.6g}" for value in values[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
    return shown if len(values) == 1 else f"[{shown}]"


def _shorten(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else f"{text[:_TEXT_WIDTH]} ..."


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


def _print_plan(console: Console, plan: ModelInfo, kernels: str, choice: str = "") -> None:
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.units import format_bytes, format_gap

    console.print(
        f"Memory plan of the generated C, {kernels} kernels{choice}: arena {format_bytes(plan.arena_bytes)}, {len(plan.steps)} steps"
    )
    peak, bound = plan.arena_peak_bytes, plan.arena_bound_bytes
    if peak is not None and bound is not None:
        console.print(f"Peak {format_bytes(peak)}, lower bound {format_bytes(bound)}, gap {format_gap(peak, bound)}")
    if plan.stream is not None:
        console.print(f"By rows: {plan.stream.words}")
    columns = [Column("offset", number=True), Column("bytes", number=True), Column("steps"), Column("tensor")]
    buffers = sorted(plan.plan, key=lambda buffer: (buffer.first_op, buffer.offset))
    rows = [[f"{b.offset:,}", f"{b.bytes:,}", f"{b.first_op} to {b.last_op}", _short(b.tensor)] for b in buffers]
    print_table(console, columns, rows)


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    from edgecompress.cli.tables import Column, print_table

    console.print("TensorFlow Lite Micro (--engine tflm) does not run this model")
    print_table(console, [Column("why"), Column("what to do")], [[found.message, found.fix] for found in findings])


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
