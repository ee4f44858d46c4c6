"""From a Keras model to a .tflite, and from any .tflite to the `Graph` noun.

Mode               what a .tflite can hold
Converter          TensorFlow's converter in a child process, kept for several models
convert            one model
read_tflite        the bytes as a checked Graph
read_model_bytes   the bytes of a file that says it is a .tflite
"""

from edgecompress.convert.converter import Converter, convert
from edgecompress.convert.model_file import read_model_bytes
from edgecompress.convert.modes import Mode
from edgecompress.convert.read import read_tflite

__all__ = ["Converter", "Mode", "convert", "read_model_bytes", "read_tflite"]
