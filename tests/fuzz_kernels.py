"""Random shapes through every kernel: on the host under sanitizers, and on every emulated core, against the numpy oracle.

    python -m tests.fuzz_kernels --count 2000                                          all families, everywhere: what `make fuzz` runs
    python -m tests.fuzz_kernels --family edge_conv2d --where cortex-m4 --where host   these alone
    python -m tests.fuzz_kernels --family edge_conv2d --seed 1 --first 417 --count 1   one case again

Layers with weights and chains run with each set of kernels on the host, and with a core's own on each core; the other ops with the
portable kernels. QEMU's M55 takes 32 inputs a firmware, so it gets one in ten of the other ops. A case that differs is printed as it is
written into `FOUND` of tests/kernel_fuzz.py, which makes it a test.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from edgecompress.target import KernelSet, load_target
from tests.kernel_fuzz import CHAINS, CORES, FAMILIES, M55, OTHERS, Batch, Case, Failure, batches_for, cases_of, fits_core, qemu_is_here

HOST = "host"
PLACES = (HOST, *CORES, M55)
_BATCH = 125
_M55_SHARE = 10
_PROGRESS_EVERY = 20


@dataclass(frozen=True)
class Task:
    """Cases that go into one firmware, and where it runs."""

    family: str
    cases: tuple[Case, ...]
    places: tuple[str, ...]


@dataclass
class Done:
    """What came of a task, or of a family."""

    failures: list[Failure] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, other: Done) -> None:
        self.failures += other.failures
        self.calls += other.calls
        self.cases += other.cases
        self.seconds += other.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="cases of each family")
    parser.add_argument("--seed", type=int, help="another one each time when left out")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="may be given several times")
    parser.add_argument("--where", action="append", choices=PLACES, help="may be given several times")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1)), help="batches at a time")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    families, places = arguments.family or list(FAMILIES), tuple(arguments.where or PLACES)
    if M55 in places and not qemu_is_here():
        print(f"{M55} is left out: install qemu-system-arm", flush=True)
        places = tuple(p for p in places if p != M55)
    print(
        f"fuzz kernels: seed {seed}, cases {arguments.first} to {arguments.first + arguments.count - 1} of {len(families)} families",
        flush=True,
    )
    started = time.perf_counter()
    total = _run(_tasks(families, places, seed, arguments.first, arguments.count), arguments.jobs)
    _print_calls(total)
    cases = ", ".join(f"{place} {count:,}" for place, count in total.cases.items())
    minutes = (time.perf_counter() - started) / 60
    print(f"fuzz kernels: seed {seed}, {minutes:.1f} minutes, {len(total.failures)} failures; cases: {cases}")
    if total.failures:
        print("To make a failure a test, add it to FOUND of tests/kernel_fuzz.py:")
        print("\n".join(f"    {case}," for case in dict.fromkeys(str(failure.case) for failure in total.failures)))
    return 1 if total.failures else 0


def _tasks(families: Sequence[str], places: Sequence[str], seed: int, first: int, count: int) -> list[Task]:
    """QEMU's apart, as its firmwares are smaller; interleaved, so that an early end has seen some of everything."""
    others = {family.__name__ for family in OTHERS}
    lists = []
    for family in families:
        cases = cases_of(family, seed, first, count)
        tasks: list[Task] = []
        here = tuple(place for place in places if place != M55)
        if here:
            tasks += [Task(family, tuple(cases[n : n + _BATCH]), here) for n in range(0, count, _BATCH)]
        if M55 in places:
            share = cases[: max(1, count // _M55_SHARE)] if family in others else cases
            tasks += [Task(family, batch, (M55,)) for batch in batches_for(M55, share, _BATCH)]
        lists.append(tasks)
    return list(_interleaved(lists))


def _interleaved(lists: Sequence[list[Task]]) -> Iterator[Task]:
    for n in range(max(map(len, lists))):
        yield from (tasks[n] for tasks in lists if n < len(tasks))


def _run(tasks: Sequence[Task], jobs: int) -> Done:
    started = time.perf_counter()
    total, of_family = Done(), {task.family: Done() for task in tasks}
    left = Counter(task.family for task in tasks)
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(run_task, task): task for task in tasks}
        for n, future in enumerate(as_completed(waiting), 1):
            family, done = waiting[future].family, future.result()
            for failure in done.failures:
                print(failure, flush=True)
            total.add(done)
            of_family[family].add(done)
            left[family] -= 1
            if n % _PROGRESS_EVERY == 0:
                minutes = (time.perf_counter() - started) / 60
                print(f"  {n:,} of {len(tasks):,} batches, {len(total.failures)} failures, {minutes:.0f} minutes", flush=True)
            if not left[family]:
                mine = of_family[family]
                cases = max(mine.cases.values(), default=0)
                print(f"  {family:<24} {cases:>6,} cases, {len(mine.failures)} failures, {mine.seconds / 60:.1f} minutes", flush=True)
    return total


def run_task(task: Task) -> Done:
    """One batch everywhere."""
    started = time.perf_counter()
    done = Done()
    chains = task.family in {family.__name__ for family in CHAINS}
    others = task.family in {family.__name__ for family in OTHERS}
    batch = Batch(task.cases)
    fitting = [case for case in task.cases if fits_core(case)]
    core_batch = batch if len(fitting) == len(task.cases) else Batch(fitting)
    with tempfile.TemporaryDirectory(prefix="edgecompress-fuzz-") as name:
        folder = Path(name)
        for place in task.places:
            if place == HOST:
                for kernels in (KernelSet.PORTABLE,) if others else tuple(KernelSet):
                    done.failures += batch.on_host(kernels, folder / f"host-{kernels.value}", done.calls)
            else:
                own = KernelSet.PORTABLE if others else load_target(place).kernels
                done.failures += core_batch.on_core(place, own, folder / place, spread=not chains)
            done.cases[place] += len(task.cases if place == HOST else fitting)
    done.seconds = time.perf_counter() - started
    return done


def _print_calls(total: Done) -> None:
    if total.calls:
        print("calls in the host's models:")
        print("\n".join(f"  {kernel:<32} {count:>8,}" for kernel, count in sorted(total.calls.items())))


if __name__ == "__main__":
    sys.exit(main())
