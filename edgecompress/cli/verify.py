"""`edgecompress verify`: do all runtimes give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import model_argument
from edgecompress.errors import MismatchError

if TYPE_CHECKING:
    from rich.console import Console

    from edgecompress.pipeline.layers import Layer
    from edgecompress.pipeline.verify import Rung, VerifyReport


@click.command(short_help="Do all runtimes give the same bytes?")
@model_argument
@click.option(
    "--keras",
    metavar="MODEL.keras",
    type=click.Path(path_type=Path),
    help="The fake-quant model that the .tflite was converted from; compress leaves it as fake_quant.keras.",
)
@click.option(
    "--data", metavar="DATA", help="Real inputs: FILE.py:FUNCTION, a .npy file, or a calibration set. [default: generated inputs]"
)
@click.option("--inputs", type=click.IntRange(min=1), default=16, show_default=True, help="How many inputs to compare.")
@click.option("--target", default="cortex-m4", show_default=True, help="The emulated core that runs the generated C.")
@click.option("--layers", is_flag=True, help="Compare the generated C with TensorFlow Lite Micro op by op, and print every op.")
@click.option(
    "--tflm-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Run TensorFlow Lite Micro on the core as well: a tree in which its Makefile has run.",
)
def command(model: Path, keras: Path | None, data: str | None, inputs: int, target: str, layers: bool, tflm_dir: Path | None) -> None:
    """Run the ladder fake-quant Keras, LiteRT reference, TFLM host, generated C over the same inputs.

    Says for each rung how many bytes differ, by how much, at which op it starts, and why where that is known. Exit code 5 when bytes
    differ that must not: those of TFLM on the host and of the generated C always.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.pipeline.verify import verify

    with ProgressDisplay() as progress:
        report = verify(model, keras=keras, data=data, inputs=inputs, target=target, layers=layers, tflm_dir=tflm_dir, progress=progress)
    print_report(stdout_console(), report)
    if layers:
        _print_layers(stdout_console(), report)
    broken = [rung for rung in report.rungs if not rung.ok]
    if broken:
        worst = broken[0]
        raise MismatchError(
            f"{report.model}: {worst.name} and {worst.reference} must agree;"
            f" {worst.mismatched_bytes} of {worst.total_bytes} bytes differ" + (f", first at {worst.first_op}" if worst.first_op else ""),
            hint=worst.cause or "keep the model and the inputs: this is worth a report",
        )


def print_report(console: Console, report: VerifyReport) -> None:
    """Print one line a rung."""
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.cli.text import printable

    console.print(f"{printable(report.model)}: {report.inputs} inputs, {printable(report.source)}")
    columns = [Column("runtime"), Column("against"), Column("bytes"), Column("differ", number=True), Column("largest", number=True)]
    columns += [Column("starts at"), Column("why")]
    print_table(console, columns, [_row(rung) for rung in report.rungs])


def _print_layers(console: Console, report: VerifyReport) -> None:
    """Print one line an op, and the first one that differs."""
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.cli.text import printable

    if not report.layers:
        console.print("No layers: that needs the tflite-micro wheel, and a core that is emulated in process, such as cortex-m4")
        return
    columns = [Column("op", number=True), Column("kind"), Column("differ", number=True), Column("largest", number=True), Column("tensor")]
    print_table(console, columns, [_layer_row(layer) for layer in report.layers])
    first = next((layer for layer in report.layers if layer.differs), None)
    if first is None:
        console.print("The generated C agrees with TensorFlow Lite Micro in every op")
    else:
        console.print(f"The first op that differs is {first.op} {first.kind} {printable(first.name)}")


def _layer_row(layer: Layer) -> list[str]:
    counted = f"{layer.differing:,} of {layer.elements:,}" if layer.elements else "no step of its own"
    return [str(layer.op), layer.kind, counted, f"{layer.largest:g}" if layer.differs else "", layer.name.split(";", 1)[0]]


def _row(rung: Rung) -> list[str]:
    counted = rung.mismatched_bytes is not None and rung.total_bytes is not None
    return [
        rung.name,
        rung.reference,
        rung.status.value,
        f"{rung.mismatched_bytes:,} of {rung.total_bytes:,}" if counted else "",
        "" if rung.largest_difference is None else f"{rung.largest_difference:,}",
        rung.first_op,
        rung.cause or rung.note,
    ]
