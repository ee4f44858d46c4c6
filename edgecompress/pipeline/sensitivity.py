"""Where a model can be compressed cheaply: every layer compressed alone, scored on validation data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.files import check_writable, staging, write_text
from edgecompress.progress import Progress, silent
from edgecompress.report.sensitivity import draw_sensitivity

if TYPE_CHECKING:
    from edgecompress.compress.sensitivity import SensitivityReport, Technique


@dataclass(frozen=True)
class SensitivitySummary:
    """What was measured, and where the numbers and the picture are."""

    report: SensitivityReport
    numbers: Path
    picture: Path


def sensitivity(
    model: Path,
    *,
    data: str,
    output: Path,
    techniques: Sequence[Technique] = (),
    samples: int = 1000,
    progress: Progress = silent,
) -> SensitivitySummary:
    """Compress one layer at a time and write how the score falls, as sensitivity.json and sensitivity.svg.

    Args:
        model: a .keras file; it is loaded in safe mode.
        data: FILE.py:FUNCTION; its validation data is read. It runs with the user's rights.
        output: the folder for both files.
        techniques: of sparsity, rank, bits and clusters; all when empty.
        samples: validation samples, the first ones.

    Raises:
        ModelError, DataError: the input is wrong.
        OutputError: the folder cannot be written; known before anything is measured.

    Example:
        >>> edgecompress.sensitivity(Path("digits.keras"), data="data.py:load", output=Path("out")).picture
        PosixPath('out/sensitivity.svg')
    """
    check_writable(output)
    from edgecompress.compress import check_keras_file, load_data, load_keras
    from edgecompress.compress.sensitivity import SETTINGS, measure_sensitivity

    progress("load", 0, None)
    check_keras_file(model)
    samples_of = load_data(data)
    report = measure_sensitivity(
        load_keras(model), samples_of, techniques=tuple(techniques) or tuple(SETTINGS), samples=samples, progress=progress
    )
    numbers, picture = output / "sensitivity.json", output / "sensitivity.svg"
    with staging(output) as folder:
        write_text(folder / numbers.name, json.dumps(asdict(report), indent=1) + "\n")
        write_text(folder / picture.name, draw_sensitivity(report))
    return SensitivitySummary(report, numbers, picture)
