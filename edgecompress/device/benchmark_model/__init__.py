"""LiteRT's own `benchmark_model`, which the user supplies, driven over a `Remote`: latency, then memory, then operators.

    open_benchmark_model(remote, program, model_bytes, kernels=..., threads=1)     a `Device`

`told` reads what it prints, `result_file` what it writes as a protobuf, `operators` its table of ops; `conditions` looks at the machine
before and after; `program` starts it; `device` puts it together. The formats are those of LiteRT's tflite/tools/benchmark, of builds from
2019 to 2026; no line that we do not know breaks anything.
"""

from edgecompress.device.benchmark_model.device import BenchmarkModelDevice, open_benchmark_model
from edgecompress.device.benchmark_model.program import BenchmarkKernels

__all__ = ["BenchmarkKernels", "BenchmarkModelDevice", "open_benchmark_model"]
