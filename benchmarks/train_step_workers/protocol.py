"""What a worker of `train_steps.py` does: it makes its steps ready, says so, then times a round of them whenever a line arrives.

    worker -> parent   {"ready": ["float", "QAT"]}
    parent -> worker   (an empty line)
    worker -> parent   {"float": {"wall": 90.1, "cpu": 170.2}, ...}     ms a step; and so on until standard input ends

It uses the standard library alone, because TFMOT's worker runs under another interpreter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

Cost = dict[str, float]
"""Of a step, ms: `wall` by the clock, `cpu` of all threads."""

Step = Callable[[int], Cost]
"""Takes that many training steps; what each of them cost on average."""


def serve(steps: Mapping[str, Step], count: int) -> None:
    """Answer until standard input ends; the first steps, which trace and allocate, are not timed."""
    for step in steps.values():
        step(2)
    print(json.dumps({"ready": list(steps)}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: step(count) for name, step in steps.items()}), flush=True)
