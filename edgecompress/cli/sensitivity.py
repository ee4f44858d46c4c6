"""`edgecompress sensitivity`: which layers can be compressed cheaply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgecompress.compress.sensitivity import Technique


@click.command(short_help="What compressing each layer alone costs.")
@click.argument("model", metavar="MODEL.keras", type=click.Path(path_type=Path))
@click.option("--data", metavar="FILE.py:FUNCTION", required=True, help="A function that returns validation data.")
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Where the numbers and the picture go.")
@click.option(
    "--technique",
    "techniques",
    multiple=True,
    type=click.Choice(["sparsity", "rank", "bits", "clusters"]),
    help="Repeat for more. [default: all]",
)
@click.option("--samples", metavar="N", type=click.IntRange(min=1), default=1000, show_default=True, help="How many validation samples.")
def command(model: Path, data: str, output: Path, techniques: tuple[Technique, ...], samples: int) -> None:
    """Prune, factorize, round and cluster one layer at a time and score the model; write sensitivity.json and sensitivity.svg.

    The table shows what is lost: percentage points of an accuracy, or the metric's own unit.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.cli.tables import Column, print_pairs, print_table
    from edgecompress.pipeline.sensitivity import sensitivity
    from edgecompress.report.sensitivity import sensitivity_columns, sensitivity_rows

    with ProgressDisplay() as progress:
        summary = sensitivity(model, data=data, output=output, techniques=techniques, samples=samples, progress=progress)
    console, report = stdout_console(), summary.report
    columns = [Column(name, number=index > 0) for index, name in enumerate(sensitivity_columns(report))]
    print_table(console, columns, sensitivity_rows(report))
    console.print()
    shown = "percentage points of accuracy lost" if report.metric == "accuracy" else f"{report.metric} by which it is worse"
    facts = [
        (report.metric, f"{report.baseline:.4f} on {report.samples} validation samples, before"),
        ("columns", f"{shown} when this layer alone is compressed; + is worse"),
        *(("left out", reason) for reason in report.left_out),
        ("numbers", str(summary.numbers)),
        ("picture", str(summary.picture)),
    ]
    print_pairs(console, facts)
