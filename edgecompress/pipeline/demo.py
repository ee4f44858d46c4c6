"""The main job on real data: handwritten digits, from a float Keras model to measured int8 firmware.

Everything is left in one folder:

    summary.json
    float/        model.keras, model.tflite
    int8/         model.tflite, report.json, generated/{aot,tflm}/, firmware/TARGET/, profiles/TARGET.json
    pruned_int8/  the same
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.artifact import Engine
from edgecompress.errors import MismatchError
from edgecompress.files import write_bytes, write_text
from edgecompress.pipeline.firmware import LOCAL, build, generate
from edgecompress.pipeline.measure import measure
from edgecompress.pipeline.samples import quantize_samples
from edgecompress.pipeline.sources import load_model
from edgecompress.pipeline.verify import VerifyReport, verify_loaded
from edgecompress.profile import Accuracy, Profile, write_profile
from edgecompress.progress import Progress, silent

if TYPE_CHECKING:
    from edgecompress.compress import CompressResult, Data

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m7")
SPARSITY = 0.8
SEED = 0
VERIFIED_INPUTS = 16


@dataclass(frozen=True)
class Variant:
    """One of the three models: its accuracy on the held-out images, its sizes, and its profiles by target."""

    name: str
    model: Path
    accuracy: float
    tflite_bytes: int
    gzip_bytes: int
    profiles: Mapping[str, tuple[Path, Profile]]
    verified: VerifyReport | None


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: the folder, the summary's path, and the variants `float`, `int8` and `pruned_int8`."""

    output: Path
    summary: Path
    variants: tuple[Variant, ...]
    held_out: int


def gzip_bytes(data: bytes) -> int:
    """Size after gzip, level 9, without a time stamp."""
    return len(gzip.compress(data, 9, mtime=0))
