"""From a float Keras model to a small .tflite, by a recipe.

    check_keras_file  whether a file is a .keras file, in no time
    load_keras        a .keras file, safely
    load_data, Data   the user's train, validation and calibration data
    compress          a recipe's steps, then conversion, and a report
    Checkpoints       finished steps on disk, so that an interrupted run goes on
    set_seeds         Python's, numpy's and TensorFlow's
    evaluate_tflite   accuracy of a .tflite through LiteRT

Importing this package does not import Keras. The passes, and the callback for a training loop of one's own, are in its modules:
`from edgecompress.compress.prune.step import PruningCallback`.
"""

from edgecompress.compress.checkpoints import Checkpoints
from edgecompress.compress.data import Data
from edgecompress.compress.data_function import load_data
from edgecompress.compress.evaluate import evaluate_tflite
from edgecompress.compress.load import check_keras_file, load_keras
from edgecompress.compress.run import CompressResult, compress, set_seeds

__all__ = [
    "Checkpoints",
    "CompressResult",
    "Data",
    "check_keras_file",
    "compress",
    "evaluate_tflite",
    "load_data",
    "load_keras",
    "set_seeds",
]
