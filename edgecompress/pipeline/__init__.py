"""The verbs of the toolkit, each composed from the trades below: what the command line calls, and what Python code calls.

compress   model.keras -> model.tflite, report.json
sensitivity  model.keras -> what compressing each layer alone costs
inspect    model.tflite -> ops, shapes, MACs, memory plan
generate   model.tflite -> C sources
build      model.tflite -> firmware.elf
run        raw tensor bytes through the model on a device
measure    a profile of the model on a device
demo       all of it on real data
"""

from edgecompress.pipeline.compress import CompressSummary, StepSummary, compress
from edgecompress.pipeline.demo import DemoResult, demo
from edgecompress.pipeline.firmware import build, generate, run
from edgecompress.pipeline.inspect import Inspection, inspect
from edgecompress.pipeline.measure import measure

__all__ = [
    "CompressSummary",
    "DemoResult",
    "Inspection",
    "StepSummary",
    "build",
    "compress",
    "demo",
    "generate",
    "inspect",
    "measure",
    "run",
]
