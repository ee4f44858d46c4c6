"""Spoiled model files, one after the other: the reader must answer each with a Graph or one of the project's errors.

    python tests/fuzz_reader.py --count 100000 --seed 1

Case n of a seed is always the same file, so a failure is repeated with `--first n --count 1` (add `--save spoiled.tflite` to keep it).
Found is: any exception that is not the project's, a case that takes more than CASE_SECONDS of the processor's time, and a case that
allocates more than MEMORY_BYTES (the address space is limited to that much above what the process has after its imports). What the reader
accepts is counted, and one in `--generate-every` of those goes through the C generators under the same rules.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from sample_models import SAMPLES
from tflite_builder import pack_model, parse_model

from edgecompress import codegen
from edgecompress.convert import read_tflite
from edgecompress.errors import EdgeCompressError
from edgecompress.graph import Graph, count_macs

CASE_SECONDS = 2.0
MEMORY_BYTES = 64 * 1024 * 1024
_PROGRESS_EVERY = 5000

_EXTREMES = {
    1: (0, 1, 0x7F, 0x80, 0xFE, 0xFF),
    2: (0, 1, 4, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 2, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF, 0x7F800000, 0x7FC00000, 0x00000001, 0xBF800000),
    8: (0, 1, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF),
}


_WRONG_VALUES = (-(2**31), -129, -128, -2, -1, 0, 1, 2, 3, 4, 7, 9, 127, 128, 255, 32767, 65536, 2**31 - 1)
# Writing a file with the schema's Python classes takes about 2 ms a kilobyte.
_LARGEST_REPACKED = 20_000


class CaseTooSlow(BaseException):
    """One case took longer than CASE_SECONDS; not an Exception, so that no handler on the way stops it."""


@dataclass
class Findings:
    """What a run saw."""

    accepted: int = 0
    generated: int = 0
    refused: int = 0
    bad: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def counts(self) -> str:
        return f"{self.accepted:,} accepted ({self.generated:,} generated), {self.refused:,} refused, {len(self.bad)} bad"


def mutate(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    """A changed copy of one of the seeds: a wrong value in a sound file, one to four changes in place, or pieces added and cut off."""
    source = seeds[rng.integers(len(seeds))]
    kind = rng.integers(10)
    if kind == 0 and len(source) < _LARGEST_REPACKED:
        return _repack(rng, source)
    changes = _IN_PLACE if kind < 8 else _IN_PLACE + _RESIZING
    data = bytearray(source)
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        if len(data) < 16:
            break
        changes[rng.integers(len(changes))](rng, data, seeds)
    return bytes(data)


def _repack(rng: np.random.Generator, source: bytes) -> bytes:
    """One field of one table set to another value, and the file written anew: nothing is wrong with it but its meaning."""
    model = parse_model(source)
    graph = model.subgraphs[0]
    tables = [model, graph, *model.operatorCodes, *model.buffers, *graph.tensors, *graph.operators]
    tables += [t.quantization for t in graph.tensors if t.quantization is not None]
    tables += [op.builtinOptions for op in graph.operators if op.builtinOptions is not None]
    table = tables[rng.integers(len(tables))]
    names = sorted(vars(table))
    if not names:
        return source
    name = names[rng.integers(len(names))]
    old = getattr(table, name)
    if isinstance(old, np.ndarray) and old.size:
        changed = old.copy()
        with np.errstate(all="ignore"):
            changed[rng.integers(old.size)] = rng.choice(np.array(_WRONG_VALUES)).astype(old.dtype)
        setattr(table, name, changed if rng.integers(2) else old[: rng.integers(old.size)])
    elif isinstance(old, list) and old:
        setattr(table, name, old[: rng.integers(len(old))] if rng.integers(2) else old + [old[rng.integers(len(old))]])
    else:
        setattr(table, name, int(rng.choice(_WRONG_VALUES)))
    try:
        return pack_model(model)
    except (TypeError, ValueError, AttributeError, struct.error):  # the writer itself refuses it
        return source


def _flip_bits(rng: np.random.Generator, data: bytearray, _: list[bytes]) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def _truncate(rng: np.random.Generator, data: bytearray, _: list[bytes]) -> None:
    del data[int(rng.integers(len(data))) :]


def _splice(rng: np.random.Generator, data: bytearray, seeds: list[bytes]) -> None:
    """A piece of one of the seeds over, or between, what was there."""
    source = seeds[rng.integers(len(seeds))]
    size = int(rng.integers(1, 129))
    start = int(rng.integers(len(source))) & ~3
    at = int(rng.integers(len(data))) & ~3
    replaced = size if rng.integers(2) else 0
    data[at : at + replaced] = source[start : start + size]


def _overwrite(rng: np.random.Generator, data: bytearray, _: list[bytes]) -> None:
    """An extreme number at an aligned place."""
    size = int(rng.choice([1, 2, 4, 4, 4, 8]))
    at = int(rng.integers(len(data) // size)) * size
    values = _EXTREMES[size]
    data[at : at + size] = values[rng.integers(len(values))].to_bytes(size, "little")


def _nudge(rng: np.random.Generator, data: bytearray, _: list[bytes]) -> None:
    """A 32-bit number a little larger or smaller: offsets that are almost right, shapes and indices that are off by one."""
    at = int(rng.integers(len(data) // 4)) * 4
    (value,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, (value + int(rng.choice([-64, -8, -4, -2, -1, 1, 2, 4, 8, 64]))) & 0xFFFFFFFF)


def _swap(rng: np.random.Generator, data: bytearray, _: list[bytes]) -> None:
    """Two 32-bit numbers exchanged: tables where others belong."""
    a, b = (int(rng.integers(len(data) // 4)) * 4 for _ in range(2))
    data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]


_Change = Callable[[np.random.Generator, bytearray, list[bytes]], None]
_IN_PLACE: tuple[_Change, ...] = (_flip_bits, _overwrite, _overwrite, _nudge, _swap)
_RESIZING: tuple[_Change, ...] = (_truncate, _splice)


def use(graph: Graph) -> None:
    """What every later room does with a graph, without generating code."""
    total = sum(count_macs(graph, op) for op in graph.ops)
    if total != graph.macs or graph.parameters < 0:
        raise ValueError("the counts of a graph do not agree")
    for op in graph.ops:
        graph.op_inputs(op)
        graph.op_outputs(op)
    for tensor in graph.tensors:
        if tensor.bytes < 0 or (tensor.data is not None and tensor.dtype.bits and tensor.data.shape != tensor.shape):
            raise ValueError(f"{tensor.name} and its data do not agree")
    for constant in graph.constants():
        if constant.data is not None and constant.data.size:
            constant.data.reshape(-1)[-1].item()


def generate_aot(graph: Graph, data: bytes) -> None:
    """The C of the aot engine."""
    codegen.generate_aot(graph)


def generate_tflm(graph: Graph, data: bytes) -> None:
    """The C of the tflm engine as on a machine without TFLM's wheel: its interpreter is no part of this project."""
    with mock.patch("edgecompress.codegen.tflm.run_on_host", return_value=None):
        codegen.generate_tflm(graph, data)


_ENGINES: tuple[Callable[[Graph, bytes], None], ...] = (generate_aot, generate_tflm)


def limit_memory() -> None:
    """Make any allocation beyond MEMORY_BYTES from here on a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _too_slow(signum: int, frame: object) -> None:
    raise CaseTooSlow


def run(seeds: list[bytes], *, seed: int, first: int, count: int, generate_every: int, say: Callable[[str], None]) -> Findings:
    """Run cases `first` to `first + count - 1` of `seed`."""
    findings = Findings()
    signal.signal(signal.SIGPROF, _too_slow)
    for case in range(first, first + count):
        data = mutate(np.random.default_rng([seed, case]), seeds)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
        try:
            _one_case(data, findings, generate_every)
        except (Exception, CaseTooSlow) as e:
            signal.setitimer(signal.ITIMER_PROF, 0)
            findings.bad.append(f"seed {seed} case {case}: {type(e).__name__}: {e}")
            say(findings.bad[-1])
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        findings.slowest_s = max(findings.slowest_s, time.process_time() - started)
        done = case - first + 1
        if done % _PROGRESS_EVERY == 0:
            say(f"  {done:>7,} of {count:,}: {findings.counts()}")
    return findings


def _one_case(data: bytes, findings: Findings, generate_every: int) -> None:
    try:
        graph = read_tflite(data)
    except EdgeCompressError as e:
        if not (e.message and e.hint):
            raise ValueError(f"an error without a sentence or a hint: {e!r}") from e
        findings.refused += 1
        return
    findings.accepted += 1
    use(graph)
    if generate_every and findings.accepted % generate_every == 0:
        for generate in _ENGINES:
            try:
                generate(graph, data)
            except EdgeCompressError:
                continue
            findings.generated += 1


def sample_seeds() -> list[bytes]:
    """The sample models, each checked to be accepted as it is."""
    seeds = [make() for make in SAMPLES.values()]
    for data in seeds:
        use(read_tflite(data))
    return seeds


def main() -> int:
    parser = argparse.ArgumentParser(description="Spoil .tflite files and read them.")
    parser.add_argument("--count", type=int, default=2000, help="cases to run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--generate-every", type=int, default=20, help="generate C for one in so many accepted files; 0 for none")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a further .tflite to spoil")
    parser.add_argument("--save", type=Path, help="write the first case's file there and stop")
    arguments = parser.parse_args()
    faulthandler.enable()

    seeds = sample_seeds() + [path.read_bytes() for path in arguments.model]
    if arguments.save is not None:
        arguments.save.write_bytes(mutate(np.random.default_rng([arguments.seed, arguments.first]), seeds))
        return 0
    for generate in _ENGINES:
        generate(read_tflite(seeds[0]), seeds[0])  # imports happen before the limit
    limit_memory()
    last = arguments.first + arguments.count - 1
    print(f"fuzz: seed {arguments.seed}, cases {arguments.first} to {last}, {len(seeds)} models", flush=True)
    started = time.perf_counter()
    found = run(
        seeds,
        seed=arguments.seed,
        first=arguments.first,
        count=arguments.count,
        generate_every=arguments.generate_every,
        say=lambda line: print(line, flush=True),
    )
    seconds = time.perf_counter() - started
    print(f"fuzz: {arguments.count:,} cases in {seconds:.0f} s, slowest {1000 * found.slowest_s:.0f} ms: {found.counts()}")
    return 1 if found.bad else 0


if __name__ == "__main__":
    sys.exit(main())
