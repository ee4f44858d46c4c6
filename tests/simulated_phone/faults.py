"""What goes wrong on a simulated phone: which kind, at which service, and after how many bytes.

Services (a shell, a file that is copied) are counted from 0 since the faults were set; a fault meets the first service of its family from
number `at` on, `times` times.
"""

from __future__ import annotations

import enum
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass


class FaultKind(enum.Enum):
    """The names say what the person in front of the phone would see."""

    UNAUTHORIZED = "unauthorized"
    OFFLINE = "offline"
    UNPLUG = "unplugged for good"
    DROP_LINK = "link dropped, comes back"
    PUSH_DROP = "push: stream dropped"
    PUSH_HANG = "push: hangs"
    PUSH_CORRUPT = "push: a byte flipped"
    PUSH_TRUNCATE = "push: cut short, reported as done"
    PUSH_SLOW = "push: slow"
    NO_SPACE = "push: no space"
    SHELL_HANG = "shell: hangs"
    SHELL_DROP = "shell: stream dropped"
    LOSE_EXIT = "shell: exit code lost"
    LOSE_TAIL = "shell: end of output lost"
    PULL_HANG = "pull: hangs"
    PULL_DROP = "pull: stream dropped"
    PULL_CORRUPT = "pull: a byte flipped"


AT_PUSH = frozenset(kind for kind in FaultKind if kind.value.startswith("push"))
AT_SHELL = frozenset(kind for kind in FaultKind if kind.value.startswith("shell"))
AT_PULL = frozenset(kind for kind in FaultKind if kind.value.startswith("pull"))
AT_ANY = frozenset({FaultKind.UNPLUG, FaultKind.DROP_LINK})
# A folder, a copy and its check, a program, a file's size and its copy, cleaning up.
SHELLS_OF_A_RUN, SERVICES_OF_A_RUN = 5, 7


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: the first service of its family that it may meet.
        after_bytes: of a file, before it happens.
        times: how many services it meets.
    """

    kind: FaultKind
    at: int = 0
    after_bytes: int = 0
    times: int = 1


class Faults:
    """The faults of one phone, and how many services of each family it has seen."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self.set(*faults)

    def set(self, *faults: Fault) -> None:
        """Forget what was, and count from 0."""
        with self._lock:
            self._left = {fault: fault.times for fault in faults}
            self._seen = {"push": 0, "shell": 0, "pull": 0, "any": 0}
            self.met: list[FaultKind] = []

    def has(self, kind: FaultKind) -> bool:
        """Whether a fault of the connection itself is set."""
        return any(fault.kind is kind for fault in self._left)

    def meet(self, family: str, kinds: frozenset[FaultKind]) -> Fault | None:
        """The fault that this service meets; it is counted."""
        with self._lock:
            number = self._seen[family]
            self._seen[family] += 1
            for fault, left in self._left.items():
                if fault.kind in kinds and number >= fault.at and left > 0:
                    self._left[fault] -= 1
                    self.met.append(fault.kind)
                    return fault
        return None


def random_fault(rng: random.Random, *, most_bytes: int) -> Fault | None:
    """A fault of a random kind at a random place; None for one run in ten."""
    if rng.random() < 0.1:
        return None
    kinds = sorted((AT_PUSH - {FaultKind.PUSH_SLOW}) | AT_SHELL | AT_PULL | AT_ANY, key=lambda kind: kind.name)
    kind = rng.choice(kinds)
    most_services = SHELLS_OF_A_RUN if kind in AT_SHELL else SERVICES_OF_A_RUN if kind in AT_ANY else 1
    at = rng.randrange(most_services)
    return Fault(kind, at=at, after_bytes=rng.randrange(most_bytes), times=rng.choice((1, 1, 2)))
