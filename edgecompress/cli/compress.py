"""`edgecompress compress`: a Keras model becomes a small int8 .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import read_name

if TYPE_CHECKING:
    from edgecompress.pipeline import CompressSummary, StepSummary


@click.command(short_help="Keras model to int8 .tflite, by a recipe.")
@click.argument("model", metavar="MODEL.keras", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    metavar="RECIPE.toml|small|fast|tiny",
    help="Ordered steps, or a built-in recipe. [default: post-training int8]",
)
@click.option("--data", metavar="FILE.py:FUNCTION", required=True, help="A function that returns train, validation and calibration data.")
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Where NAME.tflite and report.json go.")
@click.option("--allow-float", metavar="LAYER", multiple=True, help="A layer that may stay float; repeat for more, * for any.")
@click.option("--name", metavar="NAME", default="model", show_default=True, callback=read_name, help="What the .tflite is called.")
def command(model: Path, recipe: str | None, data: str, output: Path, allow_float: tuple[str, ...], name: str) -> None:
    """Prune, shrink, factorize, cluster, distill and quantize as the recipe says; write NAME.tflite and report.json.

    Each step is measured after conversion. A run that was interrupted goes on after its last finished step when the same command is given
    again. The data function runs with your rights. The model file is read without running code from it.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.cli.tables import Column, print_pairs, print_table
    from edgecompress.pipeline import compress
    from edgecompress.pipeline.compress import STEPS

    try:
        with ProgressDisplay() as progress:
            summary = compress(model, data=data, output=output, recipe=recipe, name=name, allow_float=allow_float, progress=progress)
    except KeyboardInterrupt:
        if (output / STEPS).is_dir():
            click.echo(f"finished steps are kept in {output / STEPS}: the same command goes on from there", err=True)
        raise
    console = stdout_console()
    if len(summary.steps) > _FEWEST_STEPS:
        columns = [Column(name, number=index > 0) for index, name in enumerate(_HEADINGS)]
        print_table(console, columns, [_row(step, summary.metric) for step in summary.steps])
        console.print()
    print_pairs(console, _facts(summary))


# A table of the model that came in and one step says no more than the pairs below it.
_FEWEST_STEPS = 2
_HEADINGS = ("step", "parameters", "MACs", "zeros", ".tflite", "gzip", "score", "seconds")


def _row(step: StepSummary, metric: str | None) -> list[str]:
    from edgecompress.units import format_bytes

    return [
        step.name,
        "-" if step.parameters is None else f"{step.parameters:,}",
        "-" if step.macs is None else f"{step.macs:,}",
        "-" if step.zeros is None else f"{step.zeros:.1%}",
        "-" if step.tflite_bytes is None else format_bytes(step.tflite_bytes),
        "-" if step.gzip_bytes is None else format_bytes(step.gzip_bytes),
        "-" if step.score is None else f"{step.score:.2%}" if metric == "accuracy" else f"{step.score:.4g}",
        "-" if step.seconds is None else f"{step.seconds:.1f}",
    ]


def _facts(summary: CompressSummary) -> list[tuple[str, str]]:
    from edgecompress.units import format_bytes

    facts = [("model", str(summary.model)), ("report", str(summary.report))]
    if summary.resumed:
        facts.append(("resumed", f"{summary.resumed} of {len(summary.steps) - 1} steps were finished by an earlier run"))
    if summary.fake_quant is not None:
        facts.append(("fake-quant", f"{summary.fake_quant} (for verify --keras)"))
    facts += [("size", format_bytes(summary.tflite_bytes)), ("gzip", format_bytes(summary.gzip_bytes))]
    if summary.metric is not None and summary.before is not None and summary.after is not None:
        facts.append((summary.metric, f"{summary.after:.4f} (the Keras model: {summary.before:.4f}), on the validation data"))
    if summary.remark:
        facts.append(("not measured", summary.remark))
    facts += [(f"not for {engine}", reason) for engine, reason in summary.lacking.items()]
    return facts
