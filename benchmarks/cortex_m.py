"""Generated C on every Cortex-M core, held against TensorFlow Lite Micro with CMSIS-NN and against what is wanted.

    EDGECOMPRESS_DATA=... python benchmarks/cortex_m.py --output profiles          all models on all cores
    python benchmarks/cortex_m.py --models ds-cnn wake_word_30x40 --cores m4 m55   some of them
    python benchmarks/cortex_m.py --models my.tflite --cores m7 --toolchain gcc    a file of one's own
    python benchmarks/cortex_m.py --peer theirs                                    beside profiles of another engine
    python benchmarks/cortex_m.py --stream rows --optimize size                    built with these options, which are the row's name then
    python benchmarks/cortex_m.py --quick                                          the smallest model (or --models) on an M4

Each row is one build, with default options unless others are given: its counted instructions, what the model's code takes without the
application, `model B` and its share of the constant bytes in the .tflite, the arena with the bound that no plan of the same steps can be
below, the stack that was touched and, in brackets, the proven bound. `bar` is the row divided by the stored numbers of `bars.py`
(instructions / code / arena); `wanted` names what misses its aim there. Every row's outputs are compared with the reference kernels; the
exit code is 1 where any differ.

The MLPerf Tiny files come from $EDGECOMPRESS_DATA/models; the others are made by `seeded_models.py`, which takes TensorFlow and a minute.
`--output` gets one profile a row; `--peer` takes such profiles of another engine, found by model and target, for `edgecompress compare` as
well.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bars import WANTED_MODEL_SHARE, WANTED_STACK, Bar, bar_of, wanted_of
from seeded_models import SEEDED_MODELS

from edgecompress import measure
from edgecompress.artifact import Streaming
from edgecompress.errors import EdgeCompressError, ModelError
from edgecompress.graph import Graph
from edgecompress.pipeline.sources import load_model
from edgecompress.profile import Profile, read_profile, write_profile
from edgecompress.target import Core, Optimize, load_target

CORES = {
    "m4": "cortex-m4",
    "m7": "cortex-m7",
    "m33": "cortex-m33",
    "m3": "cortex-m3",
    "m0plus": "cortex-m0plus",
    "m55": "qemu-mps3-an547",
}
MLPERF = {"resnet8": "ic_resnet8_int8.tflite", "ds-cnn": "kws_dscnn_int8.tflite", "autoencoder": "ad_autoencoder_int8.tflite"}
SEEDED = {model.name: model for model in SEEDED_MODELS}
QUICK_MODELS, QUICK_CORES = ["wake_word_30x40"], ["m4"]
COLUMNS = (
    "model",
    "core",
    "instructions",
    "per MAC",
    "code",
    "model B",
    "/ file",
    "arena",
    "bound",
    "gap",
    "stack",
    "bar",
    "wanted",
    "bytes",
)
_WIDTHS = (21, 11, 13, 8, 8, 9, 7, 9, 9, 6, 12, 16, 34, 0)
_TEXT_COLUMNS = (0, 1, 12, 13)
PARITY_INPUTS = 3


@dataclass(frozen=True)
class Options:
    """What the rows are built with."""

    toolchain: str
    stream: Streaming
    optimize: Optimize

    @property
    def suffix(self) -> str:
        """Those that are not the default ones, behind the core's name."""
        stream = "" if self.stream is Streaming.NONE else f"-{self.stream.value}"
        return stream + ("" if self.optimize is Optimize.SPEED else f"-{self.optimize.value}")

    @property
    def text(self) -> str:
        """As they are given to this program."""
        return f"--toolchain {self.toolchain} --stream {self.stream.value} --optimize {self.optimize.value}"


@dataclass(frozen=True)
class Row:
    """One model measured on one core; `name` is the core with the options that are not the default ones."""

    name: str
    core: str
    graph: Graph
    profile: Profile

    @property
    def same_bytes(self) -> bool:
        parity = self.profile.parity
        return parity is not None and parity.mismatched_bytes == 0

    @property
    def instructions(self) -> float:
        return self.profile.latency.p50 or self.profile.latency.min

    @property
    def constant_bytes(self) -> int:
        """Weights, biases and the like in the file."""
        return sum(tensor.bytes for tensor in self.graph.constants())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", metavar="MODEL", help=f"of {', '.join((*MLPERF, *SEEDED))}; or .tflite files")
    parser.add_argument("--cores", nargs="+", choices=sorted(CORES), help="all when left out")
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--stream", choices=[stream.value for stream in Streaming], default="none", help="as `build` takes it")
    parser.add_argument("--optimize", choices=[choice.value for choice in Optimize], default="speed", help="as `build` takes it")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where profiles go, one a row")
    parser.add_argument("--peer", type=Path, metavar="DIR", help="profiles of another engine")
    parser.add_argument("--quick", action="store_true", help="the smallest model on an M4")
    arguments = parser.parse_args()
    models = arguments.models or (QUICK_MODELS if arguments.quick else [*MLPERF, *SEEDED])
    cores = arguments.cores or (QUICK_CORES if arguments.quick else list(CORES))
    try:
        peers = [] if arguments.peer is None else read_peers(arguments.peer)
        options = Options(arguments.toolchain, Streaming(arguments.stream), Optimize(arguments.optimize))
        return print_table(models, cores, options, arguments.output, peers)
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2


def read_peers(folder: Path) -> list[Profile]:
    """The profiles in a folder; a damaged one is named and does not stop the others."""
    peers = []
    for path in sorted(folder.glob("*.json")):
        try:
            peers.append(read_profile(path))
        except ModelError as error:
            print(f"error: {error.message}", file=sys.stderr)
    return peers


def print_table(models: Sequence[str], cores: Sequence[str], options: Options, output: Path | None, peers: Sequence[Profile]) -> int:
    """All rows, and what is missing at the end: 1 where bytes differ."""
    print("  ".join(padded(COLUMNS)), flush=True)
    differing, absent = [], []
    for name in models:
        path = model_file(name)
        if not path.is_file():
            absent.append(f"{name}: NOT MEASURED: {path} is not there; {remedy(name)}")
            print(absent[-1], flush=True)
            continue
        for core in cores:
            row = measured(path, core, options)
            print("  ".join(padded(cells(row))), flush=True)
            for peer in peers:
                if peer.model.sha256 == row.graph.sha256 and peer.target == row.profile.target:
                    print("  ".join(padded(peer_cells(row, peer))), flush=True)
            if output is not None:
                output.mkdir(parents=True, exist_ok=True)
                write_profile(row.profile, output / f"{row.profile.model.name}-{core}{options.suffix}.json")
            if not row.same_bytes:
                differing.append(f"{row.profile.model.name} on {core}")
    if absent:
        print(f"{len(absent)} of {len(models)} models were not measured; see above")
    if differing:
        print(f"BYTES DIFFER from the reference: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


def measured(path: Path, core: str, options: Options) -> Row:
    """One row, through the project's own pipeline."""
    command = f"python benchmarks/cortex_m.py --models {path.name} --cores {core} {options.text}"
    profile = measure(
        CORES[core],
        path,
        toolchain=options.toolchain,
        stream=options.stream,
        optimize=options.optimize,
        runs=1,
        warmup=0,
        parity_inputs=PARITY_INPUTS,
        commands=(command,),
    )
    return Row(core + options.suffix, core, load_model(path).graph, profile)


def cells(row: Row) -> tuple[str, ...]:
    """The row as text."""
    profile, memory = row.profile, row.profile.memory
    core = load_target(CORES[row.core]).core
    bound, peak = memory.arena_bound_bytes, memory.arena_peak_bytes
    gap = "-" if not bound or peak is None else f"{(peak - bound) / bound:.1%}"
    stack = number(memory.stack_bytes) + ("" if memory.stack_bound_bytes is None else f" ({memory.stack_bound_bytes:,})")
    share = "-" if memory.model_bytes is None or not row.constant_bytes else f"{memory.model_bytes / row.constant_bytes:.3f}"
    sizes = (number(memory.code_bytes), number(memory.model_bytes), share, number(memory.arena_bytes), number(bound), gap, stack)
    per_mac = f"{row.instructions / profile.model.macs:.2f}" if profile.model.macs else "-"
    verdict = (ratios(row, bar_of(row.graph, core)), missed(row, core), "ok" if row.same_bytes else "FAIL")
    return (profile.model.name, row.name, f"{row.instructions:,.0f}", per_mac, *sizes, *verdict)


def ratios(row: Row, bar: Bar | None) -> str:
    """Instructions, code and arena, each divided by the bar's."""
    if bar is None:
        return "-"
    memory = row.profile.memory
    pairs = ((row.instructions, bar.instructions), (memory.code_bytes, bar.code), (memory.arena_bytes, bar.arena))
    return " / ".join("-" if ours is None or theirs is None else f"{ours / theirs:.2f}" for ours, theirs in pairs)


def missed(row: Row, core: Core) -> str:
    """What is above its aim: those of this model and core, and the model's bytes and the stack that hold for all."""
    wanted, memory = wanted_of(row.graph, core), row.profile.memory
    share = None if memory.model_bytes is None else memory.model_bytes / max(row.constant_bytes, 1)
    aims: list[tuple[str, float | None, float | None]] = [
        ("model / file", share, WANTED_MODEL_SHARE),
        ("stack", memory.stack_bytes, WANTED_STACK),
    ]
    if wanted is not None:
        aims += [
            ("instructions", row.instructions, wanted.instructions),
            ("code", memory.code_bytes, wanted.code),
            ("arena", memory.arena_bytes, wanted.arena),
        ]
    over = [f"{what} <= {aim:,}" for what, came, aim in aims if came is not None and aim is not None and came > aim]
    return ", ".join(over) or ("met" if wanted is not None else "-")


def peer_cells(row: Row, peer: Profile) -> tuple[str, ...]:
    """Another engine's numbers, and ours divided by them where the units are the same."""
    memory, theirs = peer.memory, peer.latency.p50 or peer.latency.min
    ours, unit = row.profile.memory, peer.latency.unit
    counted = theirs if unit == row.profile.latency.unit else None
    pairs = ((row.instructions, counted), (ours.code_bytes, memory.code_bytes), (ours.arena_bytes, memory.arena_bytes))
    ratio = " / ".join(f"{a / b:.2f}" if a is not None and b else "-" for a, b in pairs)
    per_mac = f"{counted / row.profile.model.macs:.2f}" if counted is not None and row.profile.model.macs else "-"
    latency = f"{theirs:,.0f}" if counted is not None else f"{theirs:,.0f} {unit}"
    parity = "-" if peer.parity is None else "ok" if peer.parity.mismatched_bytes == 0 else "FAIL"
    sizes = (number(memory.code_bytes), number(memory.model_bytes), "", number(memory.arena_bytes), "", "", number(memory.stack_bytes))
    return (f"  peer: {peer.engine or 'unknown'}", row.core, latency, per_mac, *sizes, ratio, "ours / the peer's", parity)


def model_file(name: str) -> Path:
    """The file of a name; a seeded model is made when it is first asked for."""
    if name in SEEDED:
        return SEEDED[name].file()
    if name in MLPERF:
        return Path(os.environ.get("EDGECOMPRESS_DATA", "EDGECOMPRESS_DATA")) / "models" / MLPERF[name]
    return Path(name)


def remedy(name: str) -> str:
    """What a row needs."""
    if name in MLPERF:
        return "set EDGECOMPRESS_DATA to a folder with models/ of MLPerf Tiny's int8 files"
    return f"name a .tflite, or one of {', '.join((*MLPERF, *SEEDED))}"


def number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def padded(row: Sequence[str]) -> Iterator[str]:
    for column, (text, width) in enumerate(zip(row, _WIDTHS, strict=True)):
        yield text.ljust(width) if column in _TEXT_COLUMNS else text.rjust(width)


if __name__ == "__main__":
    raise SystemExit(main())
