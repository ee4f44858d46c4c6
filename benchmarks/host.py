"""Generated C on this computer, beside LiteRT's reference kernels and XNNPACK: ratios of time, one thread, one core.

    EDGECOMPRESS_DATA=... python benchmarks/host.py            $EDGECOMPRESS_DATA/models/*.tflite
    python benchmarks/host.py digits.tflite --rounds 20        this one, more often
    python benchmarks/host.py digits.tflite --quick            one short round: does it run?

A round measures all three one after the other on the same core, so that whatever else the computer does meets all of them; a ratio is the
median over the rounds of aot / the other, of the medians of one round. Below 1, the generated C is faster. Absolute times are those of the
best round, and no promise. LiteRT is called from Python, which adds a microsecond or two to each of its runs. It picks its instructions
when it starts, and so do the kernels of the generated C (`--kernels portable` does not); its other code is tuned to this core as well
(`--tune portable` is not).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgecompress.build import Tune, build_runner, find_machine
from edgecompress.codegen import generate_aot
from edgecompress.conditions import Conditions, judge
from edgecompress.device import Device, Kernels, open_host, open_native
from edgecompress.device.host import cpu_model
from edgecompress.device.remote import LocalRemote
from edgecompress.errors import EdgeCompressError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.reference import check_parity
from edgecompress.pipeline.sources import load_model
from edgecompress.profile import nearest_rank
from edgecompress.target import KernelSet

COLUMNS = ("model", "aot us", "reference us", "XNNPACK us", "aot / reference", "aot / XNNPACK", "rounds", "bytes")
AOT, REFERENCE, XNNPACK = "aot", "reference", "xnnpack"
# Of one engine in one round; the quick form's.
ROUND_SECONDS, QUICK_SECONDS = 0.3, 0.05
MOST_RUNS = 20_000


@dataclass(frozen=True)
class Timed:
    """One engine in one round: the median run in us, and the share of the time that its thread had the core."""

    us: float
    cpu_over_wall: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="int8 .tflite files; those of $EDGECOMPRESS_DATA/models by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tune", choices=[tune.value for tune in Tune], default=Tune.NATIVE.value, help="of the generated C")
    kernels = (KernelSet.WIDE.value, KernelSet.PORTABLE.value)
    parser.add_argument("--kernels", choices=kernels, default=KernelSet.WIDE.value, help="of the generated C")
    parser.add_argument("--quick", action="store_true", help="one short round")
    arguments = parser.parse_args()
    models = arguments.models or _data_models()
    if not models:
        parser.error("no model is named, and there is none in $EDGECOMPRESS_DATA/models")
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    rounds, seconds = (1, QUICK_SECONDS) if arguments.quick else (arguments.rounds, ROUND_SECONDS)
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    print("  ".join(_padded(COLUMNS)))
    shares: list[float] = []
    try:
        for model in models:
            row, seen = compare(model, KernelSet(arguments.kernels), Tune(arguments.tune), core=core, rounds=rounds, seconds=seconds)
            print("  ".join(_padded(row)), flush=True)
            shares += seen
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    print(_conditions(arguments.tune, core, shares))
    return 0


def compare(path: Path, kernels: KernelSet, tune: Tune, *, core: int, rounds: int, seconds: float) -> tuple[tuple[str, ...], list[float]]:
    """The row of one model, and the shares of the core that its measurements had."""
    model = load_model(path)
    generated = generate_aot(model.graph, kernels=kernels)
    inputs = lcg_inputs(1, [spec.bytes for spec in generated.info.inputs])
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder, ExitStack() as stack:
        runner = build_runner(generated, find_machine(platform.machine()), tune=tune, output=Path(folder))
        remote = LocalRemote()
        native = stack.enter_context(
            open_native(remote, runner.executable, runner.info, core=core, min_seconds=seconds, warmup_seconds=seconds / 5)
        )
        reference = stack.enter_context(open_host(model.data, kernels=Kernels.REFERENCE))
        xnnpack = stack.enter_context(open_host(model.data, kernels=Kernels.XNNPACK))
        parity = check_parity(native.run, model, [inputs])
        seen: dict[str, list[Timed]] = {AOT: [], REFERENCE: [], XNNPACK: []}
        for _ in range(rounds):
            seen[AOT].append(_time_native(native, inputs))
            seen[REFERENCE].append(_time_litert(reference, inputs, seconds))
            seen[XNNPACK].append(_time_litert(xnnpack, inputs, seconds))
    best = [f"{min(timed.us for timed in seen[engine]):,.1f}" for engine in (AOT, REFERENCE, XNNPACK)]
    ratios = [_ratio(seen[AOT], seen[other]) for other in (REFERENCE, XNNPACK)]
    same = "-" if parity is None else "same bytes" if parity.mismatched_bytes == 0 else "DIFFER"
    return (generated.info.name, *best, *ratios, str(rounds), same), [timed.cpu_over_wall for rows in seen.values() for timed in rows]


def _time_native(device: Device, inputs: Sequence[bytes]) -> Timed:
    measured = device.measure(inputs, runs=5, warmup=1)
    share = measured.conditions.cpu_over_wall if measured.conditions else None
    return Timed(nearest_rank(measured.samples, 50), 1.0 if share is None else share)


def _time_litert(device: Device, inputs: Sequence[bytes], seconds: float) -> Timed:
    """As many runs as take about `seconds`."""
    once = device.measure(inputs, runs=3, warmup=1)
    runs = max(5, min(MOST_RUNS, int(seconds * 1e6 / min(once.samples))))
    wall, cpu = time.perf_counter(), time.thread_time()
    measured = device.measure(inputs, runs=runs, warmup=runs // 5)
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    return Timed(nearest_rank(measured.samples, 50), cpu / wall)


def _ratio(ours: Sequence[Timed], theirs: Sequence[Timed]) -> str:
    """Median of the rounds' ratios, with the least and the most of them."""
    ratios = [mine.us / other.us for mine, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _conditions(tune: str, core: int, shares: Sequence[float]) -> str:
    """What the numbers were read under, and what speaks against them."""
    share = statistics.median(shares)
    reasons = judge(Conditions(cpu_over_wall=share)).reasons
    verdict = "".join(f"\nnot calm: {reason}; medians of interleaved rounds are what is left to believe" for reason in reasons)
    return f"{cpu_model()}, core {core} of {os.cpu_count()}, {tune} build, core had for {share:.0%} of the time{verdict}"


def _padded(row: Sequence[str]) -> list[str]:
    widths = (22, 10, 13, 11, 20, 20, 6, 0)
    return [
        text.ljust(width) if not column or not width else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _data_models() -> list[Path]:
    folder = os.environ.get("EDGECOMPRESS_DATA")
    return sorted((Path(folder) / "models").glob("*.tflite")) if folder else []


if __name__ == "__main__":
    raise SystemExit(main())
