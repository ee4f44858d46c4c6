"""MLPerf Tiny's own runner drives firmware of ours in QEMU, over a pseudo-terminal.

    git clone https://github.com/mlcommons/tiny
    python benchmarks/mlperf_tiny_runner.py qemu-mps2-an386 kws.tflite --id kws01 --runner tiny/benchmark/runner

The runner is not part of this project: its modules are loaded from --runner (they need PyYAML and numpy), and do all the talking: `name`,
`profile`, `db load`, `db`, `infer`, and the reading of laps and results. The samples are generated numbers, so accuracy means nothing
here; what is checked is that every result equals that of TensorFlow Lite Micro's host wheel to three decimals. Microseconds are QEMU's,
whose time is made of instructions (one takes 0.128 us): they are no latency of any board.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.device import open_mlperf
from edgecompress.device.interpreters import TflmHost
from edgecompress.device.qemu import start_on_pty
from edgecompress.graph import Graph, Tensor
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline import build
from edgecompress.pipeline.sources import load_model
from edgecompress.target import QemuLink, load_target

IDS = ("ic01", "vww01", "kws01", "ad01")
# What the runner prints with three decimals, read back.
TOLERANCE = 0.0015


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="a QEMU target, for example qemu-mps2-an386")
    parser.add_argument("model", type=Path, help="the .tflite of the benchmark")
    parser.add_argument("--id", choices=IDS, required=True, help="which benchmark of MLPerf Tiny the model is")
    parser.add_argument("--runner", type=Path, required=True, help="benchmark/runner of a checkout of mlcommons/tiny")
    parser.add_argument("--mode", choices=("a", "p"), default="a", help="accuracy (one inference a sample) or performance (many)")
    parser.add_argument("--samples", type=int, default=5, help="how many samples (the runner's performance mode uses 5)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.runner.resolve()))
    with tempfile.TemporaryDirectory() as folder:
        return compare(arguments, Path(folder))


def compare(arguments: argparse.Namespace, folder: Path) -> int:
    """Build, start, let the runner drive, compare: 0 when every result is right."""
    model = load_model(arguments.model)
    firmware = build(arguments.target, arguments.model, name=arguments.id, output=folder / "firmware")
    expected = write_data_set(folder / "data" / arguments.id, arguments.id, model.graph, model.data, arguments.samples)
    link = load_target(arguments.target).link
    if not isinstance(link, QemuLink):
        raise SystemExit(f"{arguments.target} is no QEMU target")
    machine = start_on_pty(firmware.elf, link)
    print(f"$ {' '.join(machine.command)}\nUART on {machine.url}\n")
    try:
        # The runner takes the first m-ready for the answer to its first command: what the firmware says when it starts must be over.
        open_mlperf(machine.url, baud=115200, timeout_s=30).close()
        results = drive(machine.url, arguments.runner, folder, arguments.mode)
    finally:
        machine.stop()
    got = [np.array(result["infer"]["results"]) for result in results if "infer" in result]
    largest = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    print(f"\n{len(got)} results of the runner; largest difference from TensorFlow Lite Micro: {largest:.6f}")
    return 0 if largest <= TOLERANCE else 1


def drive(port: str, runner: Path, folder: Path, mode: str) -> list[dict[str, Any]]:
    """Hand the port to the runner's classes, as its main.py does once it has found a device."""
    import yaml

    tests = yaml.safe_load((runner / {"a": "tests_accuracy.yaml", "p": "tests_performance.yaml"}[mode]).read_text())
    os.chdir(folder)  # the runner writes its session here
    try:
        from datasets import DataSet
        from device_under_test import DUT
        from script import Script

        dut = DUT(port, 115200)
        with dut:
            dut.get_name()
            dut.get_profile()
        script = Script(tests[dut.get_model()])
        results: list[dict[str, Any]] = script.run(None, dut, DataSet(str(folder / "data" / script.model), script.truth), mode)
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # the runner redirects both
        os.chdir("/")
    return results


def write_data_set(folder: Path, benchmark: str, graph: Graph, model: bytes, count: int) -> list[NDArray[np.float32]]:
    """Sample files and the truth file that the runner reads; returns the results that each sample must give."""
    folder.mkdir(parents=True)
    reference = TflmHost(model, graph)
    taken, given = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    expected = []
    with (folder / "y_labels.csv").open("w", newline="") as truth:
        for seed in range(1, count + 1):
            (data,) = lcg_inputs(seed, [taken.bytes])
            sample = as_in_data_set(benchmark, data, taken)
            (folder / f"{seed}.bin").write_bytes(sample)
            csv.writer(truth).writerow([f"{seed}.bin", 10, 0, len(sample), len(sample)])
            (output,) = reference.run([data])
            values = real(output, given)
            expected.append(np.mean((values - real(data, taken)) ** 2, keepdims=True) if benchmark == "ad01" else values)
    return expected


def as_in_data_set(benchmark: str, data: bytes, tensor: Tensor) -> bytes:
    """The bytes of a sample as the benchmark's data set holds them: uint8 pixels, float32, or int8 features."""
    if benchmark in ("ic01", "vww01"):
        return bytes(byte ^ 0x80 for byte in data)
    return real(data, tensor).astype("<f4").tobytes() if benchmark == "ad01" else data


def real(data: bytes, tensor: Tensor) -> NDArray[np.float32]:
    """Real values of int8 elements."""
    return (np.frombuffer(data, np.int8).astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


if __name__ == "__main__":
    sys.exit(main())
