"""Finished rows on disk: a folder each, moved into place whole, with result.json saying what row it was.

A row counts as finished while its definition is the one in result.json, so an edited row is run again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edgecompress.errors import DataError
from edgecompress.files import working_in, write_text
from technique_jobs.kernels import Kernels, read_kernels
from technique_jobs.rows import FLOAT, Row

if TYPE_CHECKING:
    from keras import Model

_RESULT = "result.json"


class Outcome(BaseModel):
    """How good the .tflite is, and what it cost to get there.

    Attributes:
        accuracy: on the test part, of `images` samples.
        validation: accuracy on the validation part.
        unheard: accuracy on the clips of a speaker that a second run of the recipe never heard.
        seconds, cpu_seconds: of the job, by the clock and of all its threads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: float
    images: int
    validation: float | None
    unheard: float | None
    seconds: float
    cpu_seconds: float


class Cost(BaseModel):
    """What a .tflite takes; the fields from `instructions` on are of our firmware on the emulated core, None where it was not built.

    Attributes:
        gzip_bytes: level 9, no time stamp.
        model_bytes: constants in flash.
        same_bytes: whether the core's outputs are those of the reference kernels.
        refusal: why there is no firmware.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int
    macs: int
    tflite_bytes: int
    gzip_bytes: int
    instructions: int | None = None
    code_bytes: int | None = None
    model_bytes: int | None = None
    arena_bytes: int | None = None
    same_bytes: bool | None = None
    refusal: str | None = None

    def on_core(self, **measured: int | bool | None) -> Cost:
        """The same with what was measured on the core."""
        return self.model_copy(update=measured)

    def with_refusal(self, refusal: str) -> Cost:
        """The same with the reason why nothing was measured there."""
        return self.model_copy(update={"refusal": refusal})


class Result(BaseModel):
    """A finished row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: Row
    outcome: Outcome
    cost: Cost
    report: dict[str, Any]


class Store:
    """The folder of one task's finished rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, row: Row) -> Result | None:
        """What is stored of this row; None when it is not finished, or was another recipe then."""
        try:
            result = Result.model_validate_json((self.place(row.name) / _RESULT).read_bytes())
        except (OSError, ValidationError):
            return None
        return result if result.row.work == row.work else None

    def hits(self, row: Row) -> NDArray[np.bool_]:
        """[n]: which test samples a finished row got right."""
        hits: NDArray[np.bool_] = np.load(self.place(row.name) / "hits.npy")
        return hits

    def kernels(self, row: Row) -> Kernels | None:
        """What the kernels of a finished row's .tflite hold; None unless they are int8."""
        path = self.place(row.name) / "model.tflite"
        return read_kernels(path) if path.exists() else None

    def float_start(self, row: Row, task: str, *, unheard: bool = False) -> Model | None:
        """The float network that the row starts from; None for one that starts where float training begins.

        Raises:
            DataError: the row `float` is not finished.
        """
        if row.start == "published":
            return None
        path = self.place(FLOAT) / ("unheard.keras" if unheard else "start.keras")
        if not path.exists():
            raise DataError(f"{path}: is not there yet", hint=f"first run: python benchmarks/techniques.py --data {task} --only {FLOAT}")
        import keras

        return keras.models.load_model(path)

    def place(self, name: str) -> Path:
        """The folder of the row that is called so."""
        return self._folder / re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

    @contextmanager
    def writing(self, row: Row) -> Iterator[Path]:
        """A temporary folder that becomes the row's when the block ends well."""
        place = self.place(row.name)
        with working_in(self._folder) as work:
            fresh = work / place.name
            fresh.mkdir()
            yield fresh
            shutil.rmtree(place, ignore_errors=True)
            fresh.rename(place)

    def write(self, folder: Path, result: Result) -> None:
        """Put result.json into a row's folder; what a recipe leaves out is left out, as some defaults must not be said."""
        write_text(folder / _RESULT, result.model_dump_json(indent=1, by_alias=True, exclude_unset=True) + "\n")
