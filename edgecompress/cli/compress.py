"""`edgecompress compress`: a Keras model becomes a small int8 .tflite."""

from __future__ import annotations

from pathlib import Path

import click

from edgecompress.cli.options import name_option


@click.command(short_help="Keras model to int8 .tflite, by a recipe.")
@click.argument("model", metavar="MODEL.keras", type=click.Path(path_type=Path))
@click.option("--recipe", metavar="RECIPE.toml", type=click.Path(path_type=Path), help="Ordered steps. [default: post-training int8]")
@click.option("--data", metavar="FILE.py:FUNCTION", required=True, help="A function that returns train, validation and calibration data.")
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Where model.tflite and report.json go."
)
@click.option("--allow-float", metavar="LAYER", multiple=True, help="A layer that may stay float; repeat for more, * for any.")
@name_option
def command(model: Path, recipe: Path | None, data: str, output: Path, allow_float: tuple[str, ...], name: str | None) -> None:
    """Prune, train quantization-aware and convert as the recipe says; write model.tflite and report.json.

    The data function runs with your rights. The model file is read without running code from it.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.pipeline import compress

    with ProgressDisplay() as progress:
        summary = compress(model, data=data, output=output, recipe=recipe, name=name, allow_float=allow_float, progress=progress)
    stdout_console().print(str(summary))
