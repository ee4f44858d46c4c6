"""Settings of the pass `quantize`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Epochs, LearningRate, Training


class QuantizeSettings(Training):
    """Quantization and conversion; the last step of a recipe.

    Attributes:
        method: `qat` trains with fake-quant, `ptq` calibrates on the data function's calibration set.
        mode: what the .tflite holds.
        allow_float: names of layers that may stay float (`"*"`: any).
    """

    kind: Annotated[Literal["quantize"], Field(alias="pass")] = "quantize"
    method: Literal["qat", "ptq"] = "ptq"
    mode: Literal["int8", "int8_float_io", "int16x8", "dynamic_range", "float16", "float32"] = "int8"
    epochs: Epochs = 3
    learning_rate: LearningRate = 1e-4
    allow_float: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> QuantizeSettings:
        if self.method == "qat" and self.mode not in ("int8", "int8_float_io"):
            raise ValueError(f"method 'qat' trains for int8; mode {self.mode!r} needs method 'ptq'")
        return self
