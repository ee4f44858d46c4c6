"""Instructions and memory of generated C, beside TensorFlow Lite Micro's.

    EDGECOMPRESS_DATA=... python benchmarks/engines.py                    $EDGECOMPRESS_DATA/models/*.tflite on an M4, an M0+ and an M55
    python benchmarks/engines.py kws.tflite --target cortex-m33           these, there
    python benchmarks/engines.py small.tflite --quick                     on an M4 alone, one run, no parity

Rows named aot are measured now, with the bytes compared with the reference kernels. Rows named tflm are those of `bars.py`; a ratio is
aot / tflm of the same file on the same core. `code` is text, rodata and data without the model's constants and without the application;
`model B` is what the model itself takes in flash (of TensorFlow Lite Micro: the .tflite). A `-` was not measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bars import Bar, bars_of

from edgecompress import measure
from edgecompress.errors import EdgeCompressError
from edgecompress.pipeline.sources import load_model
from edgecompress.profile import Profile
from edgecompress.target import load_target

TARGETS = ("cortex-m4", "cortex-m0plus", "qemu-mps3-an547")
QUICK_TARGETS = ("cortex-m4",)
COLUMNS = ("model", "target", "engine", "instructions", "per MAC", "code", "model B", "arena", "stack", "parity")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="int8 .tflite files; those of $EDGECOMPRESS_DATA/models by default")
    parser.add_argument("--target", action="append", dest="targets", help="may be given several times")
    parser.add_argument("--toolchain", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--quick", action="store_true", help="one target, one run, no parity")
    arguments = parser.parse_args()
    models = arguments.models or _data_models()
    if not models:
        parser.error("no model is named, and there is none in $EDGECOMPRESS_DATA/models")
    targets = arguments.targets or (QUICK_TARGETS if arguments.quick else TARGETS)
    print("  ".join(_padded(COLUMNS)))
    try:
        for model in models:
            for target in targets:
                for row in compare(model, target, toolchain=arguments.toolchain, quick=arguments.quick):
                    print("  ".join(_padded(row)), flush=True)
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


def compare(model: Path, target: str, *, toolchain: str, quick: bool) -> Iterator[tuple[str, ...]]:
    """The row of our engine, then one for every bar of this file on this core."""
    loaded = load_model(model)
    if quick:
        profile = measure(target, model, toolchain=toolchain, runs=1, warmup=0, parity_inputs=0)
    else:
        profile = measure(target, model, toolchain=toolchain)
    yield _measured_row(profile)
    for bar in bars_of(loaded.graph, load_target(target).core):
        yield _bar_row(bar, profile, model.stat().st_size)


def _measured_row(profile: Profile) -> tuple[str, ...]:
    memory, macs = profile.memory, profile.model.macs or 0
    instructions = profile.latency.p50
    parity = "-" if profile.parity is None else "same bytes" if profile.parity.mismatched_bytes == 0 else "DIFFERS"
    sizes = (memory.code_bytes, memory.model_bytes, memory.arena_bytes, memory.stack_bytes)
    return (profile.model.name, profile.target, "aot", f"{instructions:,.0f}", _per_mac(instructions, macs), *map(_bytes, sizes), parity)


def _bar_row(bar: Bar, profile: Profile, file_bytes: int) -> tuple[str, ...]:
    ratio = f"aot / this = {profile.latency.p50 / bar.instructions:.2f}"
    sizes = (bar.code, file_bytes, bar.arena, bar.stack)
    per_mac = _per_mac(bar.instructions, profile.model.macs or 0)
    return ("", "", f"tflm {bar.kernels}", f"{bar.instructions:,}", per_mac, *map(_bytes, sizes), ratio)


def _per_mac(instructions: float, macs: int) -> str:
    return f"{instructions / macs:.2f}" if macs else "-"


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _padded(row: tuple[str, ...]) -> list[str]:
    widths = (22, 16, 15, 13, 8, 8, 9, 9, 7, 0)
    return [
        text.ljust(width) if column < 3 or not width else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _data_models() -> list[Path]:
    folder = os.environ.get("EDGECOMPRESS_DATA")
    return sorted((Path(folder) / "models").glob("*.tflite")) if folder else []


if __name__ == "__main__":
    raise SystemExit(main())
