"""`edgecompress demo`: the main job on real data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgecompress.pipeline.demo import Variant
    from edgecompress.report.variants import VariantFacts


@click.command(short_help="The whole job on real data, in minutes.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default=Path("edgecompress-demo"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where all results go.",
)
def command(output: Path) -> None:
    """Train a digit recognizer, compress it, verify it, build firmware and measure it on emulated cores.

    Needs no board and no compiler besides those that install with this package; takes about 3 minutes on 2 cores.
    """
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.cli.text import printable
    from edgecompress.cli.verify import print_report
    from edgecompress.pipeline import demo
    from edgecompress.report.compare import show
    from edgecompress.report.variants import compare_variants, pruning_note

    with ProgressDisplay() as progress:
        result = demo(output, progress=progress)
    console = stdout_console()
    for variant in result.variants:
        if variant.verified is not None:
            print_report(console, variant.verified)
            console.print()
    facts = [_facts(variant) for variant in result.variants]
    show(compare_variants(facts), console)
    console.print()
    console.print(pruning_note(facts[1], facts[2]))
    console.print(
        f"Accuracy is that of each .tflite on {result.held_out} held-out images; ratios are against the first column with a number."
    )
    console.print(f"All results: {printable(str(result.output))}")
    console.print(f"Report:      {printable(str(result.report))}")
    console.print(f"Summary:     {printable(str(result.summary))}")


def _facts(variant: Variant) -> VariantFacts:
    from edgecompress.report.variants import VariantFacts

    profiles = {target: profile for target, (_, profile) in variant.profiles.items()}
    return VariantFacts(variant.name, variant.accuracy, variant.tflite_bytes, variant.gzip_bytes, profiles)
