"""Keras model in, .tflite bytes out, through a child process.

The converter is C++ that aborts on some models (rolled LSTM layers with calibration data, for one). In a child that is an error with a
reason instead of the end of the program. Starting the child costs one `import tensorflow`, so a `Converter` keeps it for several models and
restarts it after a crash.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from edgecompress.convert.calibrate import Inputs, check_calibration, input_arrays, save_calibration
from edgecompress.convert.child import Job
from edgecompress.convert.export import Signature, export_model, read_signature
from edgecompress.convert.float_ops import check_all_quantized
from edgecompress.convert.modes import Mode
from edgecompress.convert.read import read_tflite
from edgecompress.convert.reasons import explain_failure
from edgecompress.errors import DataError, ToolError
from edgecompress.graph import require_openable

if TYPE_CHECKING:
    from keras import Model

CONVERT_TIMEOUT_S = 900.0
"""A conversion takes seconds; keras.applications models with 500 calibration images take minutes."""

_LOG_TAIL_LINES = 5
# Printed by every conversion, good or bad: absl's lines ("I0000 00:00:1795318635 ...") and the quantizer's settings.
_LOG_NOISE = re.compile(r"[IWE]\d{4} |fully_quantize:|WARNING: All log messages|\s*$")


class Converter:
    """TensorFlow's converter in a process of its own; a context manager.

    Entering starts the child, which imports TensorFlow while the caller goes on.
    """

    def __init__(self, *, timeout_s: float = CONVERT_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Converter:
        self._folder = tempfile.TemporaryDirectory(prefix="edgecompress-", ignore_cleanup_errors=True)
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()

    def convert(
        self,
        model: Model,
        mode: Mode = Mode.INT8,
        *,
        calibration: Inputs | None = None,
        trained_ranges: bool = False,
        allow_float: Sequence[str] = (),
    ) -> bytes:
        """The model as a .tflite of batch 1, its tensors named after the Keras layers.

        Args:
            model: a built Functional or Sequential model.
            calibration: samples that show each activation's range; integer modes need them unless `trained_ranges`.
                With both, trained ranges win.
            trained_ranges: the model holds fake-quant on its activations.
            allow_float: layers that may stay float in an integer mode; "*" allows any.

        Raises:
            ModelError: shapes are unknown, or an activation died: no runtime could open the file; the layer is named.
            UnsupportedOpError: TFLite lacks an op, or a layer stayed float; the layer is named.
            DataError: calibration is missing or does not fit the model.
            ToolError: the converter crashed or took longer than the timeout.
        """
        signature = read_signature(model)
        arrays = None if calibration is None or not mode.is_integer else input_arrays(calibration, signature.names)
        if arrays is not None:
            check_calibration(arrays, signature.names, signature.shapes)
        elif mode.is_integer and not trained_ranges:
            raise DataError(
                f"mode {mode.value} measures ranges on calibration data, and none came", hint="give about 100 to 500 typical inputs"
            )
        with tempfile.TemporaryDirectory(dir=self._work_folder(), ignore_cleanup_errors=True) as name:
            folder = Path(name)
            export_model(model, folder / "saved_model")
            if arrays is not None:
                save_calibration(folder / "calibration.npz", arrays, signature.dtypes)
            data = self._run(_job(folder, mode, signature, calibrated=arrays is not None), model)
        if mode.is_integer:
            check_all_quantized(data, signature.layers, allow_float)
            require_openable(read_tflite(data))
        return data

    def _run(self, job: Job, model: Model) -> bytes:
        name = model.name
        if self._process is None:
            self._start()
        self._send(job.to_json())
        try:
            answer = json.loads(self._wait(model))
        except json.JSONDecodeError as e:
            raise ToolError(f"{name}: the converter gave no sensible answer: {e}; {self._log_tail()}") from e
        if answer["error"]:
            raise explain_failure(name, answer["error"], answer["message"], job.layers)
        return Path(job.output).read_bytes()

    def _wait(self, model: Model) -> str:
        """The child's answer; an empty line means that it died."""
        name = model.name
        try:
            line = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            self._stop()
            raise ToolError(
                f"{name}: the converter gave no answer within {self._timeout_s:g} s; {self._log_tail()}",
                hint="use fewer calibration samples",
            ) from None
        if line:
            return line
        # Its output has ended, so it is on its way out; writing a core file may take a moment.
        code = self._stop(grace_s=10.0)
        raise ToolError(
            f"{name}: TensorFlow's converter crashed ({_exit_text(code)}); {self._log_tail()}",
            hint=_crash_hint(model),
        )

    def _send(self, line: str) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise ToolError("the converter is not running", hint="use Converter in a with statement")
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except OSError:
            # It died before it read the job; the wait that follows says how.
            return

    def _work_folder(self) -> str:
        if self._folder is None:
            raise ToolError("the converter is not running", hint="use Converter in a with statement")
        return self._folder.name

    def _start(self) -> None:
        folder = self._work_folder()
        self._answers = queue.SimpleQueue()
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
        with (Path(folder) / "log.txt").open("w", encoding="utf-8") as log:
            # -P and the empty folder: a keras.py of the user's own folder must not be imported instead of Keras.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edgecompress.convert.child"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        threading.Thread(target=_forward, args=(self._process.stdout, self._answers), daemon=True).start()

    def _stop(self, *, grace_s: float = 0.0) -> int | None:
        """End the child; how it ended by itself within `grace_s`, or None when it had to be ended."""
        process, self._process = self._process, None
        if process is None:
            return None
        code: int | None
        try:
            code = process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        return code

    def _log_tail(self) -> str:
        path = Path(self._work_folder()) / "log.txt"
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if not _LOG_NOISE.match(line)]
        return "its last lines: " + " | ".join(lines[-_LOG_TAIL_LINES:]) if lines else "it said nothing"


def convert(
    model: Model,
    mode: Mode = Mode.INT8,
    *,
    calibration: Inputs | None = None,
    trained_ranges: bool = False,
    allow_float: Sequence[str] = (),
) -> bytes:
    """As `Converter.convert`, with a child process for this one model.

    Example:
        >>> convert(model, Mode.INT8, calibration=x[:200])  # doctest: +SKIP
    """
    with Converter() as converter:
        return converter.convert(model, mode, calibration=calibration, trained_ranges=trained_ranges, allow_float=allow_float)


def _job(folder: Path, mode: Mode, signature: Signature, *, calibrated: bool) -> Job:
    return Job(
        saved_model=str(folder / "saved_model"),
        mode=mode.value,
        calibration=str(folder / "calibration.npz") if calibrated else None,
        output=str(folder / "model.tflite"),
        inputs=signature.names,
        outputs=signature.outputs,
        layers=signature.layers,
    )


def _crash_hint(model: Model) -> str:
    """The layers that are known to crash the converter, by name."""
    import keras

    rolled = [
        layer.name for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN) and not getattr(layer, "unroll", False)
    ]
    if not rolled:
        return "convert parts of the model to find the layer"
    return f"rolled LSTM, GRU and RNN layers crash it: build {', '.join(dict.fromkeys(rolled))} with unroll=True"


def _forward(stream: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Pass on the child's answers, then one empty line when it ends."""
    try:
        for line in stream:
            answers.put(line)
    except (OSError, ValueError):
        # The pipe was closed under us: the child is being stopped.
        pass
    answers.put("")


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except OSError:
        # Closing flushes; a dead child's pipe cannot take it.
        return


def _exit_text(code: int | None) -> str:
    if code is None:
        return "it closed its output"
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
