"""The parts of the TFLite metadata schema that are read and written: field ids and enumerations.

Source: metadata_schema.fbs of TensorFlow Lite Support 0.4.4, identifier M001 (a field's id is its place in the table; a union takes two).
"""

from __future__ import annotations

from enum import IntEnum

METADATA_IDENTIFIER = b"M001"
# The name of the entry in the model's list of metadata.
METADATA_NAME = "TFLITE_METADATA"
# The first parser; every field that is written here was known to it.
MIN_PARSER_VERSION = "1.0.0"


class ModelMetadataField(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPH_METADATA = 3
    AUTHOR = 4
    LICENSE = 5
    ASSOCIATED_FILES = 6
    MIN_PARSER_VERSION = 7


class SubGraphMetadataField(IntEnum):
    INPUT_TENSOR_METADATA = 2
    OUTPUT_TENSOR_METADATA = 3


class TensorMetadataField(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    ASSOCIATED_FILES = 6


class ContentField(IntEnum):
    PROPERTIES_TYPE = 0
    PROPERTIES = 1


class ImagePropertiesField(IntEnum):
    COLOR_SPACE = 0
    DEFAULT_SIZE = 1


class ImageSizeField(IntEnum):
    WIDTH = 0
    HEIGHT = 1


class ProcessUnitField(IntEnum):
    OPTIONS_TYPE = 0
    OPTIONS = 1


class NormalizationField(IntEnum):
    MEAN = 0
    STD = 1


class StatsField(IntEnum):
    MAX = 0
    MIN = 1


class AssociatedFileField(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    TYPE = 2
    LOCALE = 3


class ContentProperties(IntEnum):
    """The union of what a tensor holds."""

    FEATURE = 1
    IMAGE = 2


# The member of the union ProcessUnitOptions that is normalization.
NORMALIZATION_OPTIONS = 1


class ColorSpace(IntEnum):
    """What an image's channels are."""

    UNKNOWN = 0
    RGB = 1
    GRAYSCALE = 2


class FileKind(IntEnum):
    """What an associated file is good for."""

    UNKNOWN = 0
    DESCRIPTIONS = 1
    TENSOR_AXIS_LABELS = 2
    TENSOR_VALUE_LABELS = 3
    TENSOR_AXIS_SCORE_CALIBRATION = 4
    VOCABULARY = 5
    SCANN_INDEX_FILE = 6
