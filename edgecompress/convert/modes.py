"""What a .tflite can hold."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """Number formats of a converted model.

    INT8 has int8 inputs and outputs; INT8_FLOAT_IO is the same inside, with a QUANTIZE and a DEQUANTIZE at its ends.
    INT16X8 holds int16 activations (inputs and outputs too) and int8 weights.
    DYNAMIC_RANGE and FLOAT16 shrink the weights only and need a runtime with float kernels.
    """

    INT8 = "int8"
    INT8_FLOAT_IO = "int8_float_io"
    INT16X8 = "int16x8"
    DYNAMIC_RANGE = "dynamic_range"
    FLOAT16 = "float16"
    FLOAT32 = "float32"

    @property
    def is_integer(self) -> bool:
        """Whether every op must compute on integers, which takes activation ranges: trained ones or a calibration set."""
        return self in (Mode.INT8, Mode.INT8_FLOAT_IO, Mode.INT16X8)
