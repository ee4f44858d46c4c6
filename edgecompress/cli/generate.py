"""`edgecompress generate`: a model as C sources."""

from __future__ import annotations

from pathlib import Path

import click

from edgecompress.cli.options import (
    engine_option,
    keep_input_option,
    kernels_option,
    model_argument,
    name_option,
    offline_plan_option,
    optimize_option,
    refuse_no_offline_plan,
    refuse_options,
    stream_option,
)


@click.command(short_help="A model as C sources.")
@model_argument
@engine_option
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The folder for the sources.")
@name_option
@keep_input_option
@click.option(
    "--layout",
    type=click.Choice(["plain", "cmake", "arduino", "platformio", "zephyr", "esp-idf"]),
    help="A project of this ecosystem, with a main that runs a golden vector. [default: the sources alone]",
)
@kernels_option
@optimize_option
@offline_plan_option
@stream_option
def command(
    model: Path,
    engine: str,
    output: Path,
    name: str | None,
    keep_input: bool,
    layout: str | None,
    kernels: str,
    optimize: str,
    offline_plan: bool,
    stream: str,
) -> None:
    """Write a model as C sources, and print the path of each."""
    from edgecompress.artifact import Engine, Streaming
    from edgecompress.build.layouts import ProjectLayout
    from edgecompress.cli.text import printable
    from edgecompress.pipeline import generate
    from edgecompress.target import KernelSet, Optimize

    refuse_no_offline_plan(offline_plan, engine)
    if engine != "aot":
        refuse_options({"optimize": "--optimize"}, "the engine is not aot")
    for path in generate(
        model,
        engine=Engine(engine),
        output=output,
        name=name,
        keep_input=keep_input,
        layout=None if layout is None else ProjectLayout(layout),
        kernels=KernelSet(kernels),
        offline_plan=offline_plan,
        optimize=Optimize(optimize),
        stream=Streaming(stream),
    ):
        click.echo(printable(str(path)))
