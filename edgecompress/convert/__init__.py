"""From a Keras model to a .tflite, and from any .tflite to the `Graph` noun.

Mode               what a .tflite can hold
Converter          TensorFlow's converter in a child process, kept for several models
convert            one model
read_tflite        the bytes as a checked Graph
read_model_bytes   the bytes of a file that says it is a .tflite
describe_model     what a graph says about itself, for write_metadata
write_metadata     metadata and label files into a .tflite
read_metadata      and out of it
"""

from edgecompress.convert.converter import Converter, convert
from edgecompress.convert.metadata import read_metadata
from edgecompress.convert.metadata_write import describe_model, write_metadata
from edgecompress.convert.model_file import read_model_bytes
from edgecompress.convert.modes import Mode
from edgecompress.convert.read import read_tflite

__all__ = ["Converter", "Mode", "convert", "describe_model", "read_metadata", "read_model_bytes", "read_tflite", "write_metadata"]
