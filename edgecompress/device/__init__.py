"""Devices: what every one of them can do is `Device`; each way to reach one has its own module and one `open_...` function.

    open_emulator(firmware, target)     a core in this process: exact instructions
    open_qemu(firmware, target)         a machine with a UART: instructions through the serial code
    open_serial(url, baud=...)          a board with our firmware: microseconds
    open_mlperf(url, baud=...)          a board with any firmware that speaks MLPerf Tiny's protocol (not a `Device`: it says less)
    open_host(model_bytes)              this computer, through LiteRT: microseconds
    open_native(remote, program, info)  a Linux or Android machine, through generated C: microseconds
    open_worker(remote, model_bytes)    a machine with Python, through LiteRT or tflite-runtime: microseconds
    open_benchmark_model(remote, program, model_bytes)   a Linux or Android machine, through LiteRT's own program: microseconds

`url` is a port, a socket, or `replay:FILE`: a session that was recorded. `energy.open_monitor(...)` is no device: it measures a board's
current while one of these works.

A `remote` is `remote.LocalRemote()` (this computer), `adb.open_adb(serial)` (a phone) or `ssh.open_ssh("user@host")` (a board), with a
fresh folder there.

The functions are loaded when they are used: pyserial, unicorn and LiteRT stay out of `import edgecompress`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgecompress.device.interface import Device, DeviceModel, check_inputs, device_model

if TYPE_CHECKING:
    from edgecompress.device.benchmark_model import BenchmarkKernels, BenchmarkModelDevice, open_benchmark_model
    from edgecompress.device.emulator import EmulatedDevice, open_emulator
    from edgecompress.device.host import HostDevice, Kernels, open_host
    from edgecompress.device.mlperf import MlperfDevice, MlperfProfile, MlperfRun, open_mlperf
    from edgecompress.device.native import CoreClass, NativeDevice, open_native, parse_core
    from edgecompress.device.qemu import QemuDevice, open_qemu
    from edgecompress.device.serial import SerialDevice, open_serial
    from edgecompress.device.worker import WorkerDevice, local_python, open_worker

_MODULE_OF = {
    "BenchmarkKernels": "benchmark_model",
    "BenchmarkModelDevice": "benchmark_model",
    "open_benchmark_model": "benchmark_model",
    "WorkerDevice": "worker",
    "local_python": "worker",
    "open_worker": "worker",
    "CoreClass": "native",
    "NativeDevice": "native",
    "open_native": "native",
    "parse_core": "native",
    "EmulatedDevice": "emulator",
    "open_emulator": "emulator",
    "HostDevice": "host",
    "Kernels": "host",
    "open_host": "host",
    "MlperfDevice": "mlperf",
    "MlperfProfile": "mlperf",
    "MlperfRun": "mlperf",
    "open_mlperf": "mlperf",
    "QemuDevice": "qemu",
    "open_qemu": "qemu",
    "SerialDevice": "serial",
    "open_serial": "serial",
}

__all__ = [
    "BenchmarkKernels",
    "BenchmarkModelDevice",
    "CoreClass",
    "Device",
    "DeviceModel",
    "EmulatedDevice",
    "HostDevice",
    "Kernels",
    "MlperfDevice",
    "MlperfProfile",
    "MlperfRun",
    "NativeDevice",
    "QemuDevice",
    "SerialDevice",
    "WorkerDevice",
    "check_inputs",
    "device_model",
    "local_python",
    "open_benchmark_model",
    "open_emulator",
    "open_host",
    "open_mlperf",
    "open_native",
    "open_qemu",
    "open_serial",
    "open_worker",
    "parse_core",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
