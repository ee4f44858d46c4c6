"""Runs one .tflite under LiteRT or tflite-runtime on whichever machine this file was copied to, and answers with one line of JSON.

    python3 litert_worker.py info    --engine litert --model m.tflite --kernels xnnpack --threads 1
    python3 litert_worker.py run     ... --inputs in0.bin --outputs out0.bin
    python3 litert_worker.py measure ... --inputs in0.bin --core fast --runs 100 --min-ms 1000 --warmup 10 --warmup-ms 500

It needs Python 3.8, numpy and the runtime, and nothing of edgecompress. Times are in ns of CLOCK_MONOTONIC_RAW, sizes in KiB, frequencies
in kHz; what a machine does not tell is null. A failure is a line as well, `{"schema": 1, "error": {"kind": ..., "text": ...}}`, and exit
code 3. The line's shape is checked by `edgecompress.device.worker.answers`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import platform
import sys
import time
import zlib
from pathlib import Path
from typing import Any, NoReturn

SCHEMA = 1
FAILED = 3
MOST_SAMPLES = 100_000
_CORES = "/sys/devices/system/cpu"
_ZONES = "/sys/class/thermal"
_MOST_ZONES = 64


class WorkerError(Exception):
    """Something that the person at the other end can do something about."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def fail(kind: str, text: str) -> NoReturn:
    raise WorkerError(kind, " ".join(text.split())[:300])


# --- what the machine tells -------------------------------------------------------------------------------------------------------------


def read_text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_number(path: str) -> int | None:
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def status_kb(field: str) -> int | None:
    """A size from /proc/self/status, in KiB."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return None


def highest_khz(core: int) -> int | None:
    return read_number(f"{_CORES}/cpu{core}/cpufreq/cpuinfo_max_freq")


def current_khz(core: int | None) -> int | None:
    return None if core is None else read_number(f"{_CORES}/cpu{core}/cpufreq/scaling_cur_freq")


def zones() -> list[list[Any]]:
    """[type, thousandths of a degree Celsius] of each thermal zone that tells."""
    found = []
    for zone in range(_MOST_ZONES):
        value = read_number(f"{_ZONES}/thermal_zone{zone}/temp")
        if value is not None:
            found.append([(read_text(f"{_ZONES}/thermal_zone{zone}/type") or f"zone {zone}")[:60], value])
    return found


def allowed_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def hold_to(choice: str, threads: int) -> tuple[list[int] | None, int | None]:
    """Hold this process to cores: those it was held to (None for any), and the one whose frequency speaks for them.

    One thread gets one core of the class, several get the class. Where no core tells its frequency, all are of one class; a system that
    holds no process to a core (macOS) has no classes.
    """
    cores = allowed_cores()
    by_speed = sorted(cores, key=lambda core: (highest_khz(core) or 0, core))
    if choice == "any":
        return None, by_speed[-1] if by_speed else None
    if choice in ("fast", "slow"):
        if not cores:
            return None, None
        best = by_speed[-1] if choice == "fast" else by_speed[0]
        alike = [core for core in cores if highest_khz(core) == highest_khz(best)]
        held = [best] if threads == 1 else alike
    else:
        best = int(choice)
        held = [best]
        if not cores:
            fail("core", "this system holds no process to a core")
    try:
        os.sched_setaffinity(0, held)
    except OSError as e:
        fail("core", f"core {choice} cannot be used: {e.strerror}; there are {', '.join(map(str, cores))}")
    return held, best


# --- the runtime ------------------------------------------------------------------------------------------------------------------------


def load_runtime(engine: str) -> Any:  # noqa: ANN401 (the runtimes are untyped)
    """The interpreter module.

    Raises:
        WorkerError: it, or numpy, is not installed here.
    """
    name = "ai_edge_litert.interpreter" if engine == "litert" else "tflite_runtime.interpreter"
    try:
        import importlib

        return importlib.import_module(name)
    except ImportError as e:
        fail("engine", f"{sys.executable}: {e}")


def runtime_version(engine: str) -> str | None:
    package = "ai-edge-litert" if engine == "litert" else "tflite-runtime"
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def open_interpreter(runtime: Any, model: bytes, kernels: str, threads: int) -> Any:  # noqa: ANN401
    types = runtime.OpResolverType
    resolver = {"xnnpack": types.AUTO, "builtin": types.BUILTIN_WITHOUT_DEFAULT_DELEGATES, "reference": types.BUILTIN_REF}[kernels]
    try:
        interpreter = runtime.Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError, TypeError) as e:
        fail("model", str(e))
    return interpreter


def describe(detail: dict[str, Any]) -> dict[str, Any]:
    """A tensor as JSON."""
    import numpy as np

    scale, zero_point = detail["quantization"]
    shape = [int(n) for n in detail["shape"]]
    dtype = np.dtype(detail["dtype"])
    size = 1
    for n in shape:
        size *= n
    return {
        "name": str(detail["name"]),
        "shape": shape,
        "dtype": dtype.name,
        "bytes": size * dtype.itemsize,
        "scale": float(scale) if scale > 0 else None,
        "zero_point": int(zero_point) if scale > 0 else None,
    }


def read_inputs(interpreter: Any, paths: list[str]) -> list[tuple[int, Any]]:  # noqa: ANN401
    """(tensor, array) of each input."""
    import numpy as np

    details = interpreter.get_input_details()
    if len(paths) != len(details):
        fail("input", f"the model has {len(details)} inputs; {len(paths)} files came")
    found = []
    for detail, path in zip(details, paths):  # noqa: B905 (Python 3.8 has no strict=)
        try:
            data = Path(path).read_bytes()
            found.append((detail["index"], np.frombuffer(data, detail["dtype"]).reshape(detail["shape"])))
        except (OSError, ValueError) as e:
            fail("input", f"{path}: {e}")
    return found


def invoke(interpreter: Any) -> None:  # noqa: ANN401
    try:
        interpreter.invoke()
    except (RuntimeError, ValueError) as e:
        fail("model", str(e))


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) if hasattr(time, "CLOCK_MONOTONIC_RAW") else time.perf_counter_ns()


# --- the verbs --------------------------------------------------------------------------------------------------------------------------


def open_model(arguments: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The interpreter, and what every answer holds."""
    runtime = load_runtime(arguments.engine)
    try:
        model = Path(arguments.model).read_bytes()
    except OSError as e:
        fail("input", f"{arguments.model}: {e.strerror}")
    before = status_kb("VmRSS")
    interpreter = open_interpreter(runtime, model, arguments.kernels, arguments.threads)
    return interpreter, {
        "schema": SCHEMA,
        "verb": arguments.verb,
        "engine": arguments.engine,
        "engine_version": runtime_version(arguments.engine),
        "python": platform.python_version(),
        "machine": platform.machine()[:80],
        "kernel": f"{platform.system()} {platform.release()}"[:80],
        "sha256": hashlib.sha256(model).hexdigest(),
        "kernels": arguments.kernels,
        "threads": arguments.threads,
        "rss_before_kb": before,
    }


def info(arguments: argparse.Namespace) -> dict[str, Any]:
    interpreter, answer = open_model(arguments)
    return {
        **answer,
        "inputs": [describe(detail) for detail in interpreter.get_input_details()],
        "outputs": [describe(detail) for detail in interpreter.get_output_details()],
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    interpreter, answer = open_model(arguments)
    for index, array in read_inputs(interpreter, arguments.inputs):
        interpreter.set_tensor(index, array)
    invoke(interpreter)
    details = interpreter.get_output_details()
    if len(arguments.outputs) != len(details):
        fail("input", f"the model has {len(details)} outputs; {len(arguments.outputs)} names came")
    checks = []
    for detail, path in zip(details, arguments.outputs):  # noqa: B905
        data = interpreter.get_tensor(detail["index"]).tobytes()
        try:
            Path(path).write_bytes(data)
        except OSError as e:
            fail("output", f"{path}: {e.strerror}")
        checks.append(zlib.crc32(data))
    return {**answer, "output_crc32": checks}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    # Before the runtime starts its threads: they inherit it.
    held, speaking = hold_to(arguments.core, arguments.threads)
    interpreter, answer = open_model(arguments)
    inputs = read_inputs(interpreter, arguments.inputs)

    def timed() -> int:
        for index, array in inputs:
            interpreter.set_tensor(index, array)
        start = now_ns()
        interpreter.invoke()
        return now_ns() - start

    def repeated(runs: int, least_ms: int) -> list[int]:
        samples: list[int] = []
        end = now_ns() + least_ms * 1_000_000
        while len(samples) < runs or (now_ns() < end and len(samples) < MOST_SAMPLES):
            samples.append(timed())
        return samples

    gc.disable()
    try:
        first = timed()
        warm = repeated(arguments.warmup, arguments.warmup_ms)
        khz_before, zones_before = current_khz(speaking), zones()
        wall, cpu = now_ns(), time.process_time_ns()
        samples = repeated(arguments.runs, arguments.min_ms)
        wall, cpu = now_ns() - wall, time.process_time_ns() - cpu
    except (RuntimeError, ValueError) as e:
        fail("model", str(e))
    return {
        **answer,
        "cores": held,
        "core_max_khz": None if speaking is None else highest_khz(speaking),
        "khz_before": khz_before,
        "khz_after": current_khz(speaking),
        "zones_before": zones_before,
        "zones_after": zones(),
        "rss_after_kb": status_kb("VmRSS"),
        "peak_rss_kb": status_kb("VmHWM"),
        "first_ns": first,
        "warmup_runs": len(warm),
        "wall_ns": wall,
        "cpu_ns": cpu,
        "samples_ns": samples,
    }


def core_choice(text: str) -> str:
    if text not in ("fast", "slow", "any") and not (text.isdigit() and len(text) <= 4):
        raise argparse.ArgumentTypeError("expected fast, slow, any or a number")
    return text


def count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError("expected 0 to 10,000,000")
    return value


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run or measure one .tflite on this machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("info", "run", "measure"):
        verb = verbs.add_parser(name)
        verb.add_argument("--engine", choices=("litert", "tflite-runtime"), required=True)
        verb.add_argument("--model", required=True)
        verb.add_argument("--kernels", choices=("xnnpack", "builtin", "reference"), default="xnnpack")
        verb.add_argument("--threads", type=count, default=1)
        if name != "info":
            verb.add_argument("--inputs", nargs="+", required=True)
    verbs.choices["run"].add_argument("--outputs", nargs="+", required=True)
    verb = verbs.choices["measure"]
    verb.add_argument("--core", type=core_choice, default="any")
    verb.add_argument("--runs", type=count, default=100)
    verb.add_argument("--min-ms", type=count, default=1000)
    verb.add_argument("--warmup", type=count, default=10)
    verb.add_argument("--warmup-ms", type=count, default=500)
    return parser


def main() -> int:
    arguments = command_line().parse_args()
    # Runtimes may write to standard output from C: that goes to standard error, and the answer stands alone.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    verb = {"info": info, "run": run, "measure": measure}[arguments.verb]
    try:
        answer, code = verb(arguments), 0
    except WorkerError as e:
        answer, code = {"schema": SCHEMA, "error": {"kind": e.kind, "text": str(e)}}, FAILED
    answers.write(json.dumps(answer) + "\n")
    answers.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
