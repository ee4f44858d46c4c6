"""What every technique gives on real data: accuracy, size, and cost on an emulated Cortex-M4.

    EDGECOMPRESS_DATA=... python benchmarks/techniques.py --data cifar10                     all rows that are not finished, then the table
    EDGECOMPRESS_DATA=... python benchmarks/techniques.py --data fsdd --only int8            this row
    EDGECOMPRESS_DATA=... python benchmarks/techniques.py --data cifar10 --table             the table of what is finished
    EDGECOMPRESS_DATA=... python benchmarks/techniques.py --data cifar10 --again             the same, its files measured on the core anew
    python benchmarks/techniques.py --data cifar10 --quick --only int8 --folder /tmp/quick   scikit-learn's digits, one epoch a step

Rows are recipes: benchmarks/technique_jobs/cifar10.toml and fsdd.toml. A row is a job of its own, meant for ten minutes on two cores
(column `CPU min`: at most 20); it is stored when it is finished, under --folder, and not run again until its recipe changes. All rows but
`float` start from the network that `float` trained. Choices were made on validation images, 5,000 of the training images; the test part is
read once a row.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from technique_jobs.children import Ending, run_child
from technique_jobs.rows import FLOAT, Row, read_rows

from edgecompress.errors import EdgeCompressError
from edgecompress.files import write_text
from edgecompress.tools import cache_dir

TABLES = Path(__file__).parent / "technique_jobs"
DATA = ("cifar10", "fsdd")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, required=True)
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="digits in place of the data, one epoch a step")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is finished")
    parser.add_argument(
        "--again", action="store_true", help="train nothing, measure what is finished on the core again: our engine changed"
    )
    parser.add_argument("--here", action="store_true", help="in this process, as each row's own process is told; it prints no table")
    parser.add_argument("--folder", type=Path, help="of finished rows; the user's cache folder by default")
    arguments = parser.parse_args()
    folder = arguments.folder or cache_dir() / "techniques" / (f"{arguments.data}-quick" if arguments.quick else arguments.data)
    try:
        rows = read_rows(TABLES / f"{arguments.data}.toml")
        unknown = [name for name in arguments.only if name not in [row.name for row in rows]]
        if unknown:
            parser.error(f"no row is named {unknown[0]!r}; there are: {'; '.join(row.name for row in rows)}")
        if arguments.quick:
            rows = tuple(row.quickly() for row in rows)
        chosen = [row for row in rows if row.name in arguments.only or (not arguments.only and (row.quick or not arguments.quick))]
        if arguments.here:
            for row in chosen:
                _run_here(row, arguments.data, folder, quick=arguments.quick)
            return 0
        if arguments.again:
            _measure_again(chosen, folder)
        failed = {} if arguments.table or arguments.again else _run(chosen, arguments.data, folder, quick=arguments.quick)
        return _show(rows, folder, failed)
    except EdgeCompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2


def _run(rows: Sequence[Row], data: str, folder: Path, *, quick: bool) -> dict[str, Ending]:
    """Run each row that is not finished in a process of its own; how those ended that failed."""
    failed = {}
    for row in sorted(rows, key=lambda row: row.name != FLOAT):
        command = [sys.executable, __file__, "--here", "--data", data, "--only", row.name, "--folder", str(folder), *["--quick"] * quick]
        ending = run_child(command)
        if not ending.ok:
            failed[row.name] = ending
            print(f"{row.name}: {ending}", file=sys.stderr, flush=True)
    return failed


def _run_here(row: Row, data: str, folder: Path, *, quick: bool) -> None:
    # TensorFlow is loaded where it is needed: the table alone does without.
    from technique_jobs.store import Store

    store = Store(folder)
    if store.read(row) is not None:
        return
    from technique_jobs.job import run_row
    from technique_jobs.tasks import open_task

    print(f"{row.name} ...", file=sys.stderr, flush=True)
    result = run_row(row, open_task(data, folder.parent, quick=quick), store, _Printer())
    outcome = result.outcome
    print(f"{row.name}: validation {outcome.validation:.2%}, test {outcome.accuracy:.2%}, {outcome.seconds:.0f} s", file=sys.stderr)


def _measure_again(rows: Sequence[Row], folder: Path) -> None:
    from technique_jobs.job import measure_again
    from technique_jobs.store import Store

    for row in rows:
        print(f"{row.name} ...", file=sys.stderr, flush=True)
        measure_again(row, Store(folder))


class _Printer:
    """Tells a log how far a stage is, in tenths."""

    def __init__(self) -> None:
        self._told = ("", -1)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        told = (stage, 10 * done // total if total else 0)
        if told != self._told:
            self._told = told
            print(f"  {stage} {done}{f' of {total}' if total else ''}", file=sys.stderr, flush=True)


def _show(rows: Sequence[Row], folder: Path, failed: Mapping[str, Ending]) -> int:
    from technique_jobs.store import Store
    from technique_jobs.table import render

    table = render(rows, Store(folder))
    write_text(folder / "table.md", table)
    print(table, end="")
    if failed:
        print("failed: " + "; ".join(f"{name} ({ending})" for name, ending in failed.items()), file=sys.stderr)
    return max((ending.exit_code for ending in failed.values()), default=0)


if __name__ == "__main__":
    raise SystemExit(main())
