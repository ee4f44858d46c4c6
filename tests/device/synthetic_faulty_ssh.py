"""A synthetic ssh that fails: it starts the real one, and now and then loses the end of what comes back, damages it, or what is sent.

$SYNTHETIC_FAULTS names a file: each call takes its first word as a fault (`cut`, `lost`, `silent`, `damaged` or `none`). Without words,
and for the connection's master (-M), it is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main():
    arguments = sys.argv[1:]
    faults = Path(os.environ["SYNTHETIC_FAULTS"])
    words = faults.read_text().split()
    if "-M" in arguments or not words:
        os.execvp("ssh", ["ssh", *arguments])
    fault, *rest = words
    faults.write_text(" ".join(rest))
    sent = sys.stdin.buffer.read()
    if fault == "damaged" and sent:
        sent = bytes([sent[0] ^ 1]) + sent[1:]
    if fault == "lost":
        sys.stderr.write("Connection closed by remote host\n")
        return 255
    done = subprocess.run(["ssh", *arguments], input=sent, stdout=subprocess.PIPE, check=False)
    out = done.stdout
    if fault == "cut":
        out = out[: len(out) - 1]
    sys.stdout.buffer.write(out)
    sys.stdout.flush()
    return 255 if fault in ("cut", "silent") else done.returncode


if __name__ == "__main__":
    sys.exit(main())
