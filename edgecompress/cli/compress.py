"""`edgecompress compress`: a Keras model becomes a small int8 .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import read_name

if TYPE_CHECKING:
    from edgecompress.pipeline import CompressSummary


@click.command(short_help="Keras model to int8 .tflite, by a recipe.")
@click.argument("model", metavar="MODEL.keras", type=click.Path(path_type=Path))
@click.option("--recipe", metavar="RECIPE.toml", type=click.Path(path_type=Path), help="Ordered steps. [default: post-training int8]")
@click.option("--data", metavar="FILE.py:FUNCTION", required=True, help="A function that returns train, validation and calibration data.")
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Where NAME.tflite and report.json go.")
@click.option("--allow-float", metavar="LAYER", multiple=True, help="A layer that may stay float; repeat for more, * for any.")
@click.option("--name", metavar="NAME", default="model", show_default=True, callback=read_name, help="What the .tflite is called.")
def command(model: Path, recipe: Path | None, data: str, output: Path, allow_float: tuple[str, ...], name: str) -> None:
    """Prune, train quantization-aware and convert as the recipe says; write NAME.tflite and report.json.

    The data function runs with your rights. The model file is read without running code from it.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.pipeline import compress

    with ProgressDisplay() as progress:
        summary = compress(model, data=data, output=output, recipe=recipe, name=name, allow_float=allow_float, progress=progress)
    print_pairs(stdout_console(), _facts(summary))


def _facts(summary: CompressSummary) -> list[tuple[str, str]]:
    from edgecompress.units import format_bytes

    facts = [("model", str(summary.model)), ("report", str(summary.report))]
    if summary.fake_quant is not None:
        facts.append(("fake-quant", f"{summary.fake_quant} (for verify --keras)"))
    facts += [("size", format_bytes(summary.tflite_bytes)), ("gzip", format_bytes(summary.gzip_bytes))]
    if summary.metric is not None and summary.before is not None and summary.after is not None:
        facts.append((summary.metric, f"{summary.after:.4f} (the Keras model: {summary.before:.4f}), on the validation data"))
    facts += [(f"not for {engine}", reason) for engine, reason in summary.lacking.items()]
    return facts
