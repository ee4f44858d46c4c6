"""From a graph to C: `generate_aot` for our own kernels, `generate_tflm` for firmware that links TensorFlow Lite Micro."""

from edgecompress.codegen.aot import generate_aot

__all__ = ["generate_aot"]
