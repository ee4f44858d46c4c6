"""From Keras to .tflite, and from a .tflite to the `Graph` that every other room works on."""

from edgecompress.convert.model_file import read_model_bytes
from edgecompress.convert.read import read_tflite

__all__ = ["read_model_bytes", "read_tflite"]
