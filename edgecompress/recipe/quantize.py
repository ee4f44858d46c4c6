"""Settings of the pass `quantize`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Epochs, LearningRate, Share, Training

_INTEGER_MODES = ("int8", "int8_float_io", "int16x8")
# Settings that only post-training quantization reads, with the value that leaves them alone.
_POST_TRAINING = {"bias_correction": "off", "rounding": "nearest"}
# Settings that change integers, with the value that leaves them alone.
_INTEGER_ONLY = {"scales": "channel", "calibrator": "min_max", "equalize": "off", **_POST_TRAINING}


class QuantizeSettings(Training):
    """Quantization and conversion; the last step of a recipe.

    Attributes:
        method: `qat` trains with fake-quant, `ptq` calibrates on the data function's calibration set.
        mode: what the .tflite holds.
        scales: of the int8 weights: one per output `channel`, or one per `tensor`.
        calibrator: how activation ranges follow from the calibration data; with `qat`, when epochs is 0.
        percentile: of the values that stay inside the range, calibrator `percentile`.
        momentum: the share of the old range that a batch keeps, calibrator `moving_average`.
        equalize: scales weights across layers first: `relu` along ReLU chains, `replace_relu6` through ReLU6 as well, which becomes ReLU.
        rounding: of the weights: `nearest`, or `adaptive` (AdaRound).
        rounding_steps: optimizer steps a layer, rounding `adaptive`.
        bias_correction: `empirical` takes each channel's mean error, as calibration data shows it, out of the bias.
        samples: calibration inputs that adaptive rounding and bias correction read.
        allow_float: names of layers that may stay float (`"*"`: any).
    """

    kind: Annotated[Literal["quantize"], Field(alias="pass")] = "quantize"
    method: Literal["qat", "ptq"] = "ptq"
    mode: Literal["int8", "int8_float_io", "int16x8", "dynamic_range", "float16", "float32"] = "int8"
    scales: Literal["channel", "tensor"] = "channel"
    calibrator: Literal["min_max", "moving_average", "percentile", "entropy", "mse"] = "min_max"
    percentile: Annotated[float, Field(gt=50.0, le=100.0)] = 99.99
    momentum: Share = 0.9
    equalize: Literal["off", "relu", "replace_relu6"] = "off"
    rounding: Literal["nearest", "adaptive"] = "nearest"
    rounding_steps: Count = 1000
    bias_correction: Literal["off", "empirical"] = "off"
    samples: Count = 64
    epochs: Epochs = 3
    learning_rate: LearningRate = 1e-4
    allow_float: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> QuantizeSettings:
        if self.mode not in _INTEGER_MODES:
            if self.method == "qat":
                raise ValueError(f"method 'qat' trains for integers; mode {self.mode!r} needs method 'ptq'")
            self._refuse_changed(_INTEGER_ONLY, f"mode {self.mode!r} computes in float")
        if self.method == "qat":
            self._refuse_changed(_POST_TRAINING, "method 'qat' trains the weights instead")
            if self.calibrator != "min_max" and self.epochs:
                raise ValueError(f"calibrator {self.calibrator!r} needs method 'ptq', or epochs = 0: method 'qat' learns the ranges")
        if self.calibrator == "entropy" and self.mode == "int16x8":
            raise ValueError("calibrator 'entropy' chooses among 8-bit ranges; mode 'int16x8' has 16 bits")
        return self

    def _refuse_changed(self, defaults: dict[str, str], reason: str) -> None:
        for name, default in defaults.items():
            if getattr(self, name) != default:
                raise ValueError(f"{name} = {getattr(self, name)!r} has no use: {reason}")

    @property
    def needs_ranges(self) -> bool:
        """Whether post-training quantization has to find the ranges itself: something is asked that TensorFlow's converter does not do."""
        return any(getattr(self, name) != default for name, default in _INTEGER_ONLY.items())
