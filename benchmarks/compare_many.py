"""How long `edgecompress compare` takes with many profiles, and how much it prints.

    python benchmarks/compare_many.py                  500 profiles of 30 ops
    python benchmarks/compare_many.py --profiles 50    fewer

Profiles are generated from a seed: 25 forms of one model on 5 cores by 4 engines, with times per op, a memory plan, parity and accuracy.
Each form of output is a process of its own, timed from its start to its end, so the command's own start is in it; the best of --rounds is
shown. The exit code is 1 where one takes longer than it may.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.profile import (
    Accuracy,
    Latency,
    Limits,
    Memory,
    Parity,
    PlanEntry,
    Profile,
    ProfiledModel,
    ProfiledOp,
    Validity,
    write_profile,
)

MOST_SECONDS = 2.0
OPS = 30
CORES = {"cortex-m0plus": 9.0, "cortex-m3": 4.0, "cortex-m4": 1.6, "cortex-m7": 1.5, "cortex-m33": 1.6}
"""Instructions per MAC, about."""
ENGINES = {"aot": 1.0, "tflm": 1.9, "another generator": 1.2, "TFLM + CMSIS-NN": 1.4}
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")


@dataclass(frozen=True)
class Form:
    """One way to call the command: what it is called here, and its options."""

    name: str
    options: tuple[str, ...]


FORMS = (
    Form("table", ()),
    Form("markdown", ("--format", "markdown")),
    Form("csv", ("--format", "csv")),
    Form("json", ("--format", "json")),
    Form("--ops, csv", ("--ops", "--format", "csv")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=500, metavar="N", help="how many [default: 500]")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often, of which the best is shown [default: 3]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_profiles(Path(folder), arguments.profiles)
        print(f"{len(paths)} profiles of {OPS} ops, {sum(path.stat().st_size for path in paths):,} bytes")
        print(f"{'form':12}  {'seconds':>7}  {'bytes':>12}")
        late = [form.name for form in FORMS if print_row(form, paths, arguments.rounds) > MOST_SECONDS]
    if late:
        print(f"longer than {MOST_SECONDS:g} s: {', '.join(late)}", file=sys.stderr)
    return 1 if late else 0


def print_row(form: Form, paths: Sequence[Path], rounds: int) -> float:
    """Run one form a few times, print its line, and return the best time in seconds."""
    command = [sys.executable, "-m", "edgecompress", "compare", *map(str, paths), *form.options]
    seconds, printed = [], b""
    for _ in range(rounds):
        started = time.monotonic()
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout
        seconds.append(time.monotonic() - started)
    print(f"{form.name:12}  {min(seconds):7.2f}  {len(printed):12,}", flush=True)
    return min(seconds)


def write_profiles(folder: Path, count: int, seed: int = 1) -> list[Path]:
    """`count` generated profiles as files in `folder`."""
    rng = random.Random(seed)
    paths = []
    for index in range(count):
        path = folder / f"profile{index:03}.json"
        write_profile(generated_profile(index, rng), path)
        paths.append(path)
    return paths


def generated_profile(index: int, rng: random.Random) -> Profile:
    """One profile, alike to what `measure` writes."""
    model, core, engine = index % 25, list(CORES)[index // 25 % 5], list(ENGINES)[index // 125 % 4]
    ops = tuple(generated_op(model, step, CORES[core] * ENGINES[engine], rng) for step in range(OPS))
    total = float(sum(op.latency or 0.0 for op in ops)) + 500
    code, weights, arena = rng.randrange(5_000, 40_000), 20_000 + 1_000 * model, 8_000 + 512 * model
    return Profile(
        target=core,
        model=ProfiledModel(name=f"model_{model:02}", sha256=f"{model:064x}", macs=sum(op.macs or 0 for op in ops), parameters=weights),
        engine=engine,
        toolchain="zig 0.15.1",
        latency=Latency(unit="instructions", min=total, p50=total, p90=total, p99=total, first=total, runs=10),
        memory=Memory(
            code_bytes=code,
            model_bytes=weights,
            harness_bytes=650,
            flash_bytes=code + weights + 650,
            arena_bytes=arena,
            static_ram_bytes=0,
            stack_bytes=rng.randrange(200, 900),
        ),
        ops=ops,
        parity=Parity(reference="TFLM host", inputs=3, mismatched_bytes=0, largest_difference=0),
        accuracy=Accuracy(value=0.8 + 0.005 * model, metric="top-1", set="held out", n=1_000),
        measured_at=f"2026-11-{1 + index % 28:02}T12:00:00+00:00",
        commands=(f"edgecompress measure {core} model_{model:02}.tflite",),
        environment={"host": "Linux"},
        limits=Limits(flash_bytes=1 << 20, ram_bytes=256 << 10),
        plan=tuple(
            PlanEntry(tensor=op.name, offset=512 * step % arena, bytes=4_096, first_op=step, last_op=step + 1)
            for step, op in enumerate(ops)
        ),
        validity=Validity(valid=True),
    )


def generated_op(model: int, step: int, cost: float, rng: random.Random) -> ProfiledOp:
    """One step that takes about `cost` instructions a MAC."""
    macs = 1_000 * (1 + (7 * model + 3 * step) % 40)
    name = f"model/block_{step // 3}/layer_{step}/BiasAdd;model/block_{step // 3}/layer_{step}/Relu"
    return ProfiledOp(name=name, kind=KINDS[step % 3], macs=macs, latency=float(round(macs * cost * rng.uniform(0.9, 1.1))))


if __name__ == "__main__":
    raise SystemExit(main())
