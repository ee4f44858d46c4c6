"""From a graph to C: `generate_aot` for our own kernels, `generate_tflm` for firmware that links TensorFlow Lite Micro."""

from edgecompress.codegen.aot import generate_aot
from edgecompress.codegen.preflight import Finding, check_supported, find_unsupported
from edgecompress.codegen.tflm import generate_tflm
from edgecompress.codegen.tflm_text import ExactArena

__all__ = ["ExactArena", "Finding", "check_supported", "find_unsupported", "generate_aot", "generate_tflm"]
