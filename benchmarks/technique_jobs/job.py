"""One row's job: train, compress by its recipe, convert, read the test part once, measure on the emulated M4."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress import measure
from edgecompress.compress import Data, compress
from edgecompress.compress.evaluate import run_tflite
from edgecompress.compress.report import gzip_size
from edgecompress.compress.training.train import fit
from edgecompress.convert import read_tflite
from edgecompress.errors import ModelError
from edgecompress.progress import Progress
from edgecompress.recipe import Training
from technique_jobs.rows import Row
from technique_jobs.store import Cost, Outcome, Result, Store
from technique_jobs.tasks import SEED, Task, as_float

TARGET = "cortex-m4"
# Recipes whose models have integers at both ends.
_MEASURED = ("int8", "int16x8")


@dataclass(frozen=True, eq=False)
class _Trained:
    """What a recipe gave on one task.

    Attributes:
        start: the float network before the recipe.
        predictions: [n] class numbers of the .tflite on the test part.
    """

    start: keras.Model
    model: keras.Model
    model_bytes: bytes
    predictions: NDArray[np.int64]
    hits: NDArray[np.bool_]
    report: dict[str, Any]


def run_row(row: Row, task: Task, store: Store, progress: Progress) -> Result:
    """Do the row's work and store it, whole or not at all.

    Raises:
        EdgeCompressError: a pass refused the network, or the row `float` is not finished yet.
    """
    began, cpu_began = time.monotonic(), _cpu_s()
    # Layers such as Dropout draw their seeds when they are made, so also when the network is loaded.
    keras.utils.set_random_seed(SEED)
    heard = _apply(row, task, store.float_start(row, task.name), progress)
    unheard = None
    if task.unheard is not None:
        unheard = _apply(row, task.unheard, store.float_start(row, task.name, unheard=True), progress)
    with store.writing(row) as folder:
        (folder / "model.tflite").write_bytes(heard.model_bytes)
        cost = _cost(folder / "model.tflite", heard.model_bytes, integer=row.recipe.quantize.mode in _MEASURED)
        outcome = Outcome(
            accuracy=float(heard.hits.mean()),
            images=len(heard.hits),
            validation=_validation(heard.report),
            unheard=None if unheard is None else float(unheard.hits.mean()),
            seconds=time.monotonic() - began,
            # Other work on the machine makes the clock run, but not this.
            cpu_seconds=_cpu_s() - cpu_began,
        )
        result = Result(row=row, outcome=outcome, cost=cost, report=heard.report)
        _write(folder, heard, unheard)
        store.write(folder, result)
    return result


def measure_again(row: Row, store: Store) -> None:
    """Measure a finished row's .tflite anew, as the engine is now; one that is not finished is left."""
    result = store.read(row)
    if result is None:
        return
    path = store.place(row.name) / "model.tflite"
    cost = _cost(path, path.read_bytes(), integer=row.recipe.quantize.mode in _MEASURED)
    store.write(store.place(row.name), result.model_copy(update={"cost": cost}))


def _apply(row: Row, task: Task, start: keras.Model | None, progress: Progress) -> _Trained:
    keras.utils.set_random_seed(SEED)
    data = task.data()
    model = task.begin() if start is None else start
    if row.start == "fresh":
        # Built again from its configuration, a network has new random weights.
        model = keras.models.clone_model(compress(model, row.shape_recipe, data, progress=progress).keras_model)
    if row.train is not None:
        model = _train(model, data, row.train, progress)
    done = compress(model, row.recipe, data, progress=progress)
    test = task.splits.test
    predictions = run_tflite(done.model_bytes, as_float(test.x)).argmax(axis=-1)
    return _Trained(model, done.keras_model, done.model_bytes, predictions, predictions == test.y, done.report)


def _train(model: keras.Model, data: Data, training: Training, progress: Progress) -> keras.Model:
    fit(model, data, objective_of=model, training=training, stage="train float", progress=progress)
    return model


def _cost(path: Path, model: bytes, *, integer: bool) -> Cost:
    """What the .tflite takes; on the core only where it is of integers and our engine has all its ops."""
    graph = read_tflite(model, name="model")
    sizes = Cost(parameters=graph.parameters, macs=graph.macs, tflite_bytes=len(model), gzip_bytes=gzip_size(model))
    if not integer:
        return sizes
    try:
        profile = measure(TARGET, path, runs=1, warmup=0, parity_inputs=1)
    except ModelError as e:
        return sizes.with_refusal(e.message)
    memory = profile.memory
    return sizes.on_core(
        instructions=round(profile.latency.p50),
        code_bytes=memory.code_bytes,
        model_bytes=memory.model_bytes,
        arena_bytes=memory.arena_bytes,
        same_bytes=profile.parity is not None and profile.parity.mismatched_bytes == 0,
    )


def _write(folder: Path, heard: _Trained, unheard: _Trained | None) -> None:
    heard.start.save(folder / "start.keras")
    heard.model.save(folder / "model.keras")
    np.save(folder / "predictions.npy", heard.predictions)
    np.save(folder / "hits.npy", heard.hits)
    if unheard is not None:
        unheard.start.save(folder / "unheard.keras")
        np.save(folder / "unheard_hits.npy", unheard.hits)


def _validation(report: dict[str, Any]) -> float | None:
    score = report["score"]
    return None if score is None else score["tflite"]


def _cpu_s() -> float:
    """Processor seconds of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
