"""From a Keras model to a .tflite, and from any .tflite to the `Graph` noun.

Mode            what a .tflite can hold
Converter       TensorFlow's converter in a child process, kept for several models
convert         one model
read_tflite     the bytes as a checked Graph
"""

from edgecompress.convert.converter import Converter, convert
from edgecompress.convert.modes import Mode
from edgecompress.convert.read import read_tflite

__all__ = ["Converter", "Mode", "convert", "read_tflite"]
