"""What a training step costs: float, with BatchNormalization folded, quantization-aware, pruned; and what op determinism adds.

    python benchmarks/train_steps.py                                            ResNet8, batch 128, the median of 12 rounds
    EDGECOMPRESS_TFMOT_PYTHON=tfmot/bin/python python benchmarks/train_steps.py   TFMOT beside it, under an interpreter that has it
    python benchmarks/train_steps.py --quick                                    batch 4, 2 rounds: whether it runs

Each round times every kind of step once, for 10 steps in a row, one worker process after the other, so that a busy machine slows all of
them. A ratio is the median over rounds of (ms of this step in a round) / (ms of the other in the same round), by the clock and by the
processor time of all threads, which hardly notices what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

WORKERS = Path(__file__).parent / "train_step_workers"
TFMOT_PYTHON = "EDGECOMPRESS_TFMOT_PYTHON"
START_TIMEOUT_S = 600.0
ROUND_TIMEOUT_S = 600.0
CLOCKS = ("wall", "cpu")
# (step, the step it is compared with, the ratio that it should not exceed)
RATIOS = (
    ("QAT", "folded", 1.4),
    ("QAT", "float", 1.0),
    ("pruned", "folded", 1.1),
    ("folded", "float", None),
    ("TFMOT QAT", "TFMOT float", None),
    ("TFMOT pruned", "TFMOT float", None),
    ("QAT", "TFMOT QAT", None),
    ("deterministic float", "float", None),
    ("deterministic QAT", "QAT", None),
)


Round = dict[str, dict[str, float]]
"""ms of each kind of step: `wall` and `cpu`."""


class WorkerError(Exception):
    """A worker ended or kept silent."""


@dataclass(frozen=True, eq=False)
class Worker:
    """A process that times steps when it is asked to.

    Attributes:
        prefix: put before the names of its steps.
    """

    process: subprocess.Popen[str]
    prefix: str

    def ask(self) -> Round:
        """One round: ms of each step."""
        pipe = self.process.stdin
        if pipe is None:
            raise WorkerError("the worker was started without a pipe")
        pipe.write("\n")
        pipe.flush()
        return {self.prefix + name: cost for name, cost in self.read(ROUND_TIMEOUT_S).items()}

    def read(self, timeout_s: float) -> Round:
        """Its next line."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]  # it was opened as a pipe
            ready = waiting.select(timeout_s)
        line = self.process.stdout.readline() if ready and self.process.stdout else ""
        if not line:
            state = "ended" if ready else f"said nothing for {timeout_s:.0f} s"
            raise WorkerError(f"{' '.join(map(str, self.process.args[:2]))} {state}; its words are above")  # type: ignore[index]
        found: Round = json.loads(line)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10, help="in a row")
    parser.add_argument("--quick", action="store_true", help="batch 4, 2 rounds of 2 steps")
    arguments = parser.parse_args()
    rounds, batch, steps = (2, 4, 2) if arguments.quick else (arguments.rounds, arguments.batch, arguments.steps)
    try:
        with ExitStack() as stack:
            workers = [stack.enter_context(_started(command, prefix)) for command, prefix in _commands(batch, steps)]
            for worker in workers:
                worker.read(START_TIMEOUT_S)
            measured = [_round(workers) for _ in range(rounds)]
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"batch {batch}, the median of {rounds} rounds of {steps} steps")
    for line in report(measured):
        print(line)
    return 0


def report(rounds: Sequence[Round]) -> Iterator[str]:
    """The medians, then the ratios of what was measured, each with its limit where there is one."""
    for name in rounds[0]:
        wall, cpu = (statistics.median(r[name][clock] for r in rounds) for clock in CLOCKS)
        yield f"{name:22} {wall:8.1f} ms {cpu:8.1f} CPU ms"
    for name, other, limit in RATIOS:
        if name in rounds[0] and other in rounds[0]:
            wall, cpu = (statistics.median(r[name][clock] / r[other][clock] for r in rounds) for clock in CLOCKS)
            verdict = "" if limit is None else f"   at most {limit}: {'kept' if wall <= limit else 'NOT KEPT'}"
            yield f"{name:>22} / {other:12} {wall:6.2f} {cpu:6.2f} CPU{verdict}"


def _round(workers: Sequence[Worker]) -> Round:
    times: Round = {}
    for worker in workers:
        times |= worker.ask()
    return times


def _commands(batch: int, steps: int) -> list[tuple[list[str], str]]:
    """The workers' command lines, each with the prefix of its steps."""
    sizes = ["--batch", str(batch), "--steps", str(steps)]
    ours = [sys.executable, str(WORKERS / "ours.py"), *sizes]
    commands = [(ours, ""), ([*ours, "--deterministic"], "deterministic ")]
    tfmot = os.environ.get(TFMOT_PYTHON)
    if tfmot:
        commands.append(([tfmot, str(WORKERS / "tfmot.py"), *sizes], ""))
    else:
        print(f"without TFMOT: {TFMOT_PYTHON} names no interpreter that has it", file=sys.stderr)
    return commands


@contextmanager
def _started(command: Sequence[str], prefix: str) -> Iterator[Worker]:
    """A worker that gets ready; it is ended with the block."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Worker(process, prefix)
        finally:
            process.kill()


if __name__ == "__main__":
    raise SystemExit(main())
