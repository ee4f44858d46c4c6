"""The closing step of a recipe: a model with trained ranges, or one to calibrate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.train import fit
from edgecompress.convert import Converter, Mode
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress, silent
from edgecompress.recipe import QuantizeSettings

if TYPE_CHECKING:
    from keras import Model

_CALIBRATE = "return calibration=x, about 100 to 500 typical inputs, from the data function"


@dataclass(frozen=True)
class QuantizeNote:
    """What quantization did.

    Attributes:
        epochs, steps: of training with fake-quant; 0 for post-training quantization.
        objective: where the loss came from.
        prepared: normalizations were folded and layers split before the conversion; `remark` says why not.
    """

    method: Literal["qat", "ptq"]
    mode: str
    epochs: int
    steps: int
    objective: str
    prepared: bool
    remark: str


def quantize(
    model: Model, settings: QuantizeSettings, data: Data, *, original: Model | None = None, progress: Progress = silent
) -> tuple[Model, QuantizeNote]:
    """A model ready for `convert_quantized`, and what was done; `model` is not changed.

    Raises:
        UnsupportedOpError: QAT would leave a layer in float; the layer is named.
        DataError: QAT without training data.
    """
    return _train_aware(model, settings, data, original, progress) if settings.method == "qat" else _prepare(model, settings)


def convert_quantized(model: Model, settings: QuantizeSettings, data: Data, converter: Converter) -> bytes:
    """The .tflite of a model that came from `quantize` with the same settings.

    Raises:
        DataError: ranges must be measured, and there are no calibration or training inputs.
        UnsupportedOpError: a layer stays float; the layer is named.
        ToolError: the converter failed.
    """
    mode, calibration = Mode(settings.mode), data.calibration_inputs
    if settings.method == "qat":
        from edgecompress.compress.quantize import export_view, needs_calibration

        view = export_view(model)
        extra = calibration if needs_calibration(model) else None
        return converter.convert(view, mode, calibration=extra, trained_ranges=True, allow_float=settings.allow_float)
    if mode.is_integer and calibration is None:
        raise DataError(
            f"quantize: mode {mode.value} measures ranges on calibration data, and the data has neither calibration nor train",
            hint=_CALIBRATE,
        )
    from edgecompress.compress.int8_layers import plain_kernels

    return converter.convert(plain_kernels(model), mode, calibration=calibration, allow_float=settings.allow_float)


def _train_aware(
    model: Model, settings: QuantizeSettings, data: Data, original: Model | None, progress: Progress
) -> tuple[Model, QuantizeNote]:
    from edgecompress.compress.quantize import observe_ranges, quantization_aware

    aware = quantization_aware(model, allow_float=settings.allow_float, keep_zeros=True)
    steps, objective = 0, "none: not trained"
    if settings.epochs:
        trained = fit(
            aware,
            data,
            objective_of=model,
            training=settings,
            original=original,
            stage="train quantization-aware",
            progress=progress,
        )
        steps, objective = trained.steps, trained.objective
    else:
        observe_ranges(aware, calibration_batches(data, aware, batch_size=settings.batch_size, stage="quantize"))
    return aware, QuantizeNote(
        method="qat",
        mode=settings.mode,
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
        prepared=True,
        remark="",
    )


def _prepare(model: Model, settings: QuantizeSettings) -> tuple[Model, QuantizeNote]:
    """Fold what can be folded: an input that is rescaled inside the model gets the scale of its real values that way."""
    from edgecompress.keras_graph.prepare import prepare

    prepared, remark = model, ""
    if Mode(settings.mode).is_integer:
        try:
            prepared = prepare(model)
        except ModelError as e:
            # The converter folds most of it by itself, and reads more kinds of model.
            remark = f"converted as it is: {e.message}"
    return prepared, QuantizeNote(
        method="ptq",
        mode=settings.mode,
        epochs=0,
        steps=0,
        objective="none: not trained",
        prepared=prepared is not model,
        remark=remark,
    )
