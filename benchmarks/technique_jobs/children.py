"""Jobs in processes of their own: native code can end one without a word, and then the exit code or the signal is all there is to say."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """How a process ended; `code` as subprocess has it: negative for the number of a signal."""

    code: int

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def exit_code(self) -> int:
        """For a process that passes it on: 1 for a signal."""
        return max(self.code, 1) if self.code else 0

    def __str__(self) -> str:
        """In words."""
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"ended by signal {-self.code}"


def run_child(command: Sequence[str]) -> Ending:
    """Run a command to its end; what it says on standard error goes to ours, its standard output nowhere."""
    return Ending(subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode)
