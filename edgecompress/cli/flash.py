"""`edgecompress flash`: firmware onto a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import port_option, target_argument

if TYPE_CHECKING:
    from edgecompress.pipeline.flash import Flashed


@click.command(short_help="Write firmware to a board.")
@target_argument
@click.argument("firmware", metavar="[FIRMWARE.elf]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--probe",
    metavar="ID",
    help="Which debug probe, where there are several: its serial number, or a part of it. For uf2: the drive's folder.",
)
@click.option(
    "--method",
    type=click.Choice(["pyocd", "uf2", "openocd", "dfu"]),
    help="pyocd, openocd: a debug probe. uf2: a copy to the boot loader's drive. dfu: dfu-util. [default: what the target's file says]",
)
@port_option
@click.option("--handshake/--no-handshake", default=True, help="Whether to ask the board over its serial port what it runs. [default: yes]")
def command(target: str, firmware: Path | None, probe: str | None, method: str | None, port: str | None, handshake: bool) -> None:
    """Write firmware to TARGET's board, verify it, start it, and ask it what it runs.

    Without a file, the newest build/TARGET/*/firmware.elf is written. Exit code 4 when there is no board, no choice among several, or the
    board does not start.
    """
    from edgecompress.cli.console import ProgressDisplay
    from edgecompress.pipeline.flash import flash
    from edgecompress.target import FlashMethod

    with ProgressDisplay() as progress:
        done = flash(
            target,
            firmware,
            probe=probe,
            method=None if method is None else FlashMethod(method),
            port=port,
            handshake=handshake,
            progress=progress,
        )
    _show(done)


def _show(done: Flashed) -> None:
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.units import format_bytes

    running = done.running
    pairs = [
        ("firmware", str(done.firmware.elf)),
        ("target", done.firmware.target),
        ("written", f"{format_bytes(done.firmware.sizes.flash_bytes)} by {done.method.value}: {done.place}"),
        ("port", done.port or ""),
        ("runs", "" if running is None else f"{running.name} (sha256 {running.sha256[:12]}, as written)"),
    ]
    print_pairs(stdout_console(), pairs)
