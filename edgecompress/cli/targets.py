"""`edgecompress targets`: the devices that profiles exist for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgecompress.target import Target


@click.command(short_help="List the devices.")
def command() -> None:
    """List the targets: core, floating point, vector instructions, flash, RAM, clock, and how each is reached."""
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import Column, print_table
    from edgecompress.target import all_targets

    columns = [Column(name) for name in ("target", "core", "fpu", "simd")]
    columns += [Column(name, number=True) for name in ("flash", "RAM", "clock")]
    columns += [Column(name) for name in ("reached by", "what it is")]
    rows = [_row(target) for target in all_targets()]
    rows.append(["local", *[""] * 6, "a program", "this computer"])
    rows.append(["adb:SERIAL", *[""] * 6, "adb", "an Android phone; adb: alone is the only one"])
    rows.append(["ssh:USER@HOST", *[""] * 6, "ssh", "a Linux board"])
    rows.append(["serial:", *[""] * 6, "--port", "any board that runs the serial application"])
    print_table(stdout_console(), columns, rows)


def _row(target: Target) -> list[str]:
    from edgecompress.units import format_bytes, format_hertz

    return [
        target.name,
        target.core.value,
        target.fpu.value,
        target.simd.value,
        format_bytes(target.flash_bytes),
        format_bytes(target.ram_bytes),
        format_hertz(target.clock.hz),
        target.link.kind,
        target.description if target.real_part else f"{target.description} (no real part)",
    ]
