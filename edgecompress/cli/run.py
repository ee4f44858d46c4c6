"""`edgecompress run`: raw tensor bytes through a model on a device."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edgecompress.cli.machine_options import machine_options, read_machine, refuse_board_options
from edgecompress.cli.options import (
    any_engine_option,
    device_argument,
    optional_model_argument,
    port_option,
    refuse_tflm_dir,
    require_other_file,
    require_port,
    tflm_dir_option,
    toolchain_option,
)
from edgecompress.errors import OutputError, UserError

_MAX_INPUT_BYTES = 256 << 20
"""No tensor of a microcontroller is near; it stops /dev/zero."""


@click.command(short_help="Raw tensor bytes through a device.")
@device_argument
@optional_model_argument
@any_engine_option
@click.option(
    "--input", "inputs", metavar="FILE", multiple=True, required=True, help="Raw bytes of one input tensor; repeat per input, - is stdin."
)
@click.option(
    "--output",
    "outputs",
    metavar="FILE",
    multiple=True,
    required=True,
    help="Raw bytes of one output tensor; repeat per output, - is stdout.",
)
@port_option
@toolchain_option
@tflm_dir_option
@machine_options
def command(
    target: str,
    model: Path | None,
    engine: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    port: str | None,
    toolchain: str | None,
    tflm_dir: Path | None,
    threads: int,
    kernels: str | None,
    core: str,
    benchmark_model: Path | None,
    min_seconds: float | None,
    python: str | None,
) -> None:
    """Run one inference on TARGET: raw tensor bytes in, raw tensor bytes out (row-major, little-endian, as in the .tflite).

    Without a model, a board on --port runs what it holds.
    """
    from edgecompress.artifact import Engine
    from edgecompress.pipeline import run

    require_port(target, port)
    refuse_board_options(target, port)
    refuse_tflm_dir(tflm_dir, engine)
    machine = read_machine(
        target, threads=threads, kernels=kernels, core=core, benchmark_model=benchmark_model, min_seconds=min_seconds, python=python
    )
    for name in outputs:
        require_other_file(name, model)
    for option, names in (("--input", inputs), ("--output", outputs)):
        if names.count("-") > 1:
            raise UserError(f"{option} - was given {names.count('-')} times; a stream carries one tensor", hint="give files for the others")
    given = [_read(name) for name in inputs]
    known = None if engine is None else Engine(engine)
    results = run(target, model, engine=known, inputs=given, port=port, toolchain=toolchain, machine=machine, tflm_dir=tflm_dir)
    _write_all(results, outputs)


def _read(name: str) -> bytes:
    """The bytes of one input file, or of stdin."""
    try:
        if name == "-":
            # A process can be started without standard input; Python then has None there.
            if sys.stdin is None:
                raise UserError("--input -: there is no standard input", hint="give the path of a file with the raw bytes of one input")
            data = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MAX_INPUT_BYTES + 1)
    except OSError as e:
        raise UserError(
            f"--input {name}: cannot be read: {e.strerror}", hint="give the path of a file with the raw bytes of one input"
        ) from e
    if len(data) > _MAX_INPUT_BYTES:
        raise UserError(f"--input {name}: is larger than {_MAX_INPUT_BYTES >> 20} MiB", hint="give the raw bytes of one input tensor")
    return data


def _write_all(results: Sequence[bytes], names: Sequence[str]) -> None:
    from edgecompress.files import write_bytes

    if len(results) != len(names):
        raise OutputError(
            f"the model has {len(results)} outputs; --output was given {len(names)} times", hint="give one --output per output"
        )
    for name, result in zip(names, results, strict=True):
        if name == "-":
            sys.stdout.buffer.write(result)
        else:
            write_bytes(Path(name), result)
