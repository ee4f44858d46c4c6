"""How long 500 profiles take as one HTML page, and how large it is: python benchmarks/html_many.py PROFILE.json..."""

from __future__ import annotations

import sys
import time
from itertools import cycle, islice
from pathlib import Path

from edgecompress.profile import read_profile
from edgecompress.report.html import render_html

COUNT = 500


def main(files: list[str]) -> None:
    """Read the files in turn until there are 500 profiles, and print seconds and bytes."""
    start = time.perf_counter()
    profiles = [(f"{Path(file).stem} {index}", read_profile(Path(file))) for index, file in enumerate(islice(cycle(files), COUNT))]
    read = time.perf_counter()
    page = render_html(profiles)
    done = time.perf_counter()
    sys.stdout.write(f"{COUNT} profiles: read {read - start:.2f} s, page {done - read:.2f} s, {len(page.encode()):,} B\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("name profiles: python benchmarks/html_many.py PROFILE.json...")
    main(sys.argv[1:])
