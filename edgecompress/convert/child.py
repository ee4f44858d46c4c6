"""The process that runs TensorFlow's converter, which can crash: `python -m edgecompress.convert.child`.

Each line of its standard input is a job in JSON (the fields of `Job`), each line of its standard output an answer; end of input ends it.
Whatever TensorFlow says goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.convert.modes import Mode


@dataclass(frozen=True)
class Job:
    """One conversion; paths are strings because a job travels as JSON.

    Attributes:
        saved_model: folder with the signature `serve`.
        mode: a `Mode`'s value.
        calibration: an .npz with `input_0`, ...; None when the ranges were trained, or none are needed.
        output: where the .tflite goes.
        inputs, outputs, layers: see `names.finish_model`.
    """

    saved_model: str
    mode: str
    calibration: str | None
    output: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    """Answer jobs until standard input ends."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(Job(**json.loads(line)))) + "\n")
        answers.flush()


def _answer(job: Job) -> dict[str, str]:
    """`{"error": "", ...}` when the file was written; the converter raises anything, and the parent must hear of all of it."""
    try:
        data = _convert(job)
        Path(job.output).write_bytes(data)
    except Exception as e:
        return {"error": type(e).__name__, "message": str(e)}
    return {"error": "", "message": ""}


def _convert(job: Job) -> bytes:
    import tensorflow as tf

    from edgecompress.convert.int16 import repair_int16
    from edgecompress.convert.names import finish_model

    mode = Mode(job.mode)
    converter = tf.lite.TFLiteConverter.from_saved_model(job.saved_model, signature_keys=["serve"])
    if mode is not Mode.FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode is Mode.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if mode is Mode.INT16X8:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        converter.inference_input_type = converter.inference_output_type = tf.int16
    if mode is Mode.INT8:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    if mode.is_integer and job.calibration is not None:
        converter.representative_dataset = _samples(job.calibration)
    data = bytes(converter.convert())
    if mode is Mode.INT16X8 and job.calibration is None:
        data = repair_int16(data)
    return finish_model(data, job.inputs, job.outputs, job.layers)


def _samples(path: str) -> Callable[[], Iterator[dict[str, NDArray[Any]]]]:
    def generate() -> Iterator[dict[str, NDArray[Any]]]:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for i in range(min(len(array) for array in arrays.values())):
            yield {name: array[i : i + 1] for name, array in arrays.items()}

    return generate


if __name__ == "__main__":
    main()
