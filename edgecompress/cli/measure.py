"""`edgecompress measure`: a profile of a model on a device."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.machine_options import machine_options, read_machine, refuse_board_options
from edgecompress.cli.options import (
    any_engine_option,
    device_argument,
    optional_model_argument,
    port_option,
    refuse_options,
    refuse_tflm_dir,
    require_other_file,
    require_port,
    stream_option,
    tflm_dir_option,
    toolchain_option,
)
from edgecompress.errors import MismatchError, OutputError
from edgecompress.instrument import Instrument
from edgecompress.protocol import SerialProtocol

if TYPE_CHECKING:
    from edgecompress.profile import Profile

_NOT_OF_MLPERF = {"engine": "--engine", "data": "--data", "parity_inputs": "--parity-inputs", "toolchain": "--toolchain"}


@click.command(short_help="Latency, memory, parity on a target.")
@device_argument
@optional_model_argument
@any_engine_option
@click.option("-o", "--output", metavar="PROFILE.json", help="Where the profile goes; - is stdout. [default: only the summary is printed]")
@click.option(
    "--runs", type=click.IntRange(min=1), help="Timed inferences. [default: 3 where instructions are counted, 100 where a clock is read]"
)
@click.option("--warmup", type=click.IntRange(min=0), help="Inferences before the timed ones. [default: 1 and 10]")
@click.option(
    "--parity-inputs",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Inputs to compare with the reference kernels.",
)
@click.option(
    "--data",
    metavar="DATA",
    help="Real inputs for that: FILE.py:FUNCTION, a .npy file, or a calibration set. [default: generated inputs]",
)
@port_option
@click.option(
    "--protocol",
    type=click.Choice([protocol.value for protocol in SerialProtocol]),
    default=SerialProtocol.EDGECOMPRESS.value,
    show_default=True,
    help="What the firmware of a board on a port speaks. mlperf-tiny: any firmware of that benchmark; its times only.",
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Save what is said on a board's port; --port replay:FILE plays it back as a device.",
)
@click.option(
    "--energy",
    type=click.Choice([instrument.value for instrument in Instrument]),
    help="Measure a board's energy as well, with this instrument on its energy pin. [default: what the target's file names, if anything]",
)
@click.option("--volts", type=click.FloatRange(0.8, 5), help="With --energy: the board's supply, which a ppk2 has to know.")
@toolchain_option
@tflm_dir_option
@stream_option
@machine_options
def command(
    target: str,
    model: Path | None,
    engine: str | None,
    output: str | None,
    runs: int | None,
    warmup: int | None,
    parity_inputs: int,
    data: str | None,
    port: str | None,
    protocol: str,
    record: Path | None,
    energy: str | None,
    volts: float | None,
    toolchain: str | None,
    tflm_dir: Path | None,
    stream: str,
    threads: int,
    kernels: str | None,
    core: str,
    benchmark_model: Path | None,
    min_seconds: float | None,
    python: str | None,
) -> None:
    """Measure latency, memory and parity on TARGET, and write a profile.

    TARGET is a name that `edgecompress targets` lists, `local`, `adb:SERIAL` (a phone), `ssh:USER@HOST` (a Linux board) or `serial:`.
    Without a file, what the device on --port runs is measured. An emulator counts instructions; only a clock that was read gives
    microseconds. Exit code 5 when bytes differ from the reference kernels' by more than they may (the profile is written all the same).
    """
    from edgecompress.artifact import Engine, Streaming
    from edgecompress.cli.console import ProgressDisplay
    from edgecompress.pipeline import measure
    from edgecompress.profile import profile_text, write_profile

    if SerialProtocol(protocol) is SerialProtocol.MLPERF_TINY:
        refuse_options(_NOT_OF_MLPERF, f"{protocol} tells times only, of whatever model the board holds")
    require_port(target, port)
    refuse_board_options(target, port)
    refuse_tflm_dir(tflm_dir, engine)
    machine = read_machine(
        target, threads=threads, kernels=kernels, core=core, benchmark_model=benchmark_model, min_seconds=min_seconds, python=python
    )
    if output is not None:
        require_other_file(output, model)
    if energy is None:
        refuse_options({"volts": "--volts"}, "no --energy was asked for")
    if record is not None:
        _check_record(record, output, model)
    with ProgressDisplay() as progress:
        profile = measure(
            target,
            model,
            engine=None if engine is None else Engine(engine),
            port=port,
            runs=runs,
            warmup=warmup,
            toolchain=toolchain,
            tflm_dir=tflm_dir,
            parity_inputs=parity_inputs,
            data=data,
            commands=(_command_line(),),
            machine=machine,
            protocol=SerialProtocol(protocol),
            record=record,
            energy=None if energy is None else Instrument(energy),
            volts=volts,
            stream=Streaming(stream),
            progress=progress,
        )
    if output == "-":
        click.echo(profile_text(profile), nl=False)
    else:
        if output is not None:
            write_profile(profile, Path(output))
        _show(profile)
    _require_parity(profile)


def _check_record(record: Path, output: str | None, model: Path | None) -> None:
    """Raises OutputError: the log would be no file, or take another's place."""
    if str(record) == "-":
        raise OutputError("--record - is no file, and stdout is for the profile", hint="name a file with --record")
    require_other_file(str(record), model)
    if output is not None and os.path.realpath(output) == os.path.realpath(record):
        raise OutputError(f"{record} cannot be the profile and the session log at once", hint="name another file with --record")


def _command_line() -> str:
    """This process's command as it can be typed again, without the path of the program."""
    return shlex.join(["edgecompress", *sys.argv[1:]])


def _show(profile: Profile) -> None:
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.text import printable
    from edgecompress.report.compare import compare, show

    show(compare([(printable(profile.model.name), profile)]), stdout_console())


def _require_parity(profile: Profile) -> None:
    """Runtimes that round by other rules than the reference may differ by a stated tolerance, all others by nothing."""
    parity = profile.parity
    if parity is None or parity.largest_difference <= parity.tolerance:
        return
    raise MismatchError(
        f"{profile.model.name} on {profile.target}: {parity.mismatched_bytes} output bytes differ from {parity.reference}"
        f" over {parity.inputs} inputs, by up to {parity.largest_difference} ({parity.tolerance} allowed)",
        hint="edgecompress verify says at which op it starts",
    )
