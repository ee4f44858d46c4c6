"""The closing step of a recipe: a model with ranges, trained or calibrated here, or one that the converter calibrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.training.train import fit
from edgecompress.convert import Converter, Mode
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress, silent
from edgecompress.recipe import QuantizeSettings

if TYPE_CHECKING:
    from keras import Model

    from edgecompress.compress.int8.adaround import RoundedLayer
    from edgecompress.compress.int8.bias_correction import CorrectedLayer
    from edgecompress.compress.int8.equalize import EqualizeNote
    from edgecompress.keras_graph.network import Network

_CALIBRATE = "return calibration=x, about 100 to 500 typical inputs, from the data function"
_STAGE = "quantize"
_NOT_TRAINED = "none: not trained"


@dataclass(frozen=True)
class QuantizeNote:
    """What quantization did.

    Attributes:
        epochs, steps: of training with fake-quant; 0 for post-training quantization.
        objective: where the loss came from.
        prepared: normalizations were folded and layers split before the conversion; `remark` says why not.
        ranges: who set the ranges of activations: training, a calibrator, or TensorFlow's converter.
        equalized, rounded, corrected: what cross-layer equalization, adaptive rounding and bias correction did, each layer by name.
    """

    method: Literal["qat", "ptq"]
    mode: str
    epochs: int
    steps: int
    objective: str
    prepared: bool
    remark: str
    ranges: str
    equalized: EqualizeNote | None = None
    rounded: tuple[RoundedLayer, ...] = ()
    corrected: tuple[CorrectedLayer, ...] = ()


def quantize(
    model: Model, settings: QuantizeSettings, data: Data, *, original: Model | None = None, progress: Progress = silent
) -> tuple[Model, QuantizeNote]:
    """A model ready for `convert_quantized`, and what was done; `model` is not changed.

    Raises:
        UnsupportedOpError: a layer would stay in float where this step places the ranges; the layer is named.
        DataError: QAT without training data, or no calibration data where it is read.
    """
    if settings.method == "qat":
        return _train_aware(model, settings, data, original, progress)
    return _calibrate(model, settings, data, progress) if settings.needs_ranges else _prepare(model, settings)


def require_int8_layers(model: Model, settings: QuantizeSettings) -> None:
    """Refuse a model with a layer that quantization-aware training would leave in float.

    Raises:
        UnsupportedOpError: naming the layers.
        ModelError: the graph cannot be read.
    """
    _aware(model, settings)


def convert_quantized(model: Model, settings: QuantizeSettings, data: Data, converter: Converter) -> bytes:
    """The .tflite of a model that came from `quantize` with the same settings.

    Raises:
        DataError: ranges must be measured, and there are no calibration or training inputs.
        UnsupportedOpError: a layer stays float; the layer is named.
        ToolError: the converter failed.
    """
    mode, calibration = Mode(settings.mode), data.calibration_inputs
    if settings.method == "qat" or settings.needs_ranges:
        from edgecompress.compress.int8.aware import export_view, needs_calibration

        view = export_view(model)
        extra = calibration if needs_calibration(model) else None
        return converter.convert(view, mode, calibration=extra, trained_ranges=True, allow_float=settings.allow_float)
    if mode.is_integer and calibration is None:
        raise DataError(
            f"quantize: mode {mode.value} measures ranges on calibration data, and the data has neither calibration nor train",
            hint=_CALIBRATE,
        )
    from edgecompress.compress.int8.layers import plain_kernels

    return converter.convert(plain_kernels(model), mode, calibration=calibration, allow_float=settings.allow_float)


def _aware(model: Model, settings: QuantizeSettings) -> tuple[Model, EqualizeNote | None]:
    """The model with fake-quant, equalized first if that is asked for."""
    from edgecompress.compress.int8.aware import Grid, insert_rounding
    from edgecompress.compress.int8.equalize import equalize
    from edgecompress.keras_graph.prepare import prepare_network

    network = prepare_network(model)
    note = None if settings.equalize == "off" else equalize(network, replace_relu6=settings.equalize == "replace_relu6")
    grid = Grid(
        per_tensor=settings.scales == "tensor",
        activation_bits=16 if Mode(settings.mode) is Mode.INT16X8 else 8,
        add_biases=settings.bias_correction != "off",
    )
    return insert_rounding(network, grid, allow_float=settings.allow_float), note


def _set_ranges(model: Model, settings: QuantizeSettings, data: Data) -> None:
    from edgecompress.compress.int8.ranges import calibrate_ranges

    calibrate_ranges(model, lambda: calibration_batches(data, model, batch_size=settings.batch_size, stage=_STAGE), settings)


def _train_aware(
    model: Model, settings: QuantizeSettings, data: Data, original: Model | None, progress: Progress
) -> tuple[Model, QuantizeNote]:
    aware, equalized = _aware(model, settings)
    steps, objective = 0, _NOT_TRAINED
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
        _set_ranges(aware, settings, data)
    return aware, QuantizeNote(
        method="qat",
        mode=settings.mode,
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
        prepared=True,
        remark="",
        ranges="training" if settings.epochs else settings.calibrator,
        equalized=equalized,
    )


def _calibrate(model: Model, settings: QuantizeSettings, data: Data, progress: Progress) -> tuple[Model, QuantizeNote]:
    """Ranges, rounding and biases from calibration data."""
    from edgecompress.keras_graph.walk import read_network

    aware, equalized = _aware(model, settings)
    _set_ranges(aware, settings, data)
    rounded, corrected = _adjust(read_network(aware), _samples(aware, settings, data), settings, progress)
    return aware, QuantizeNote(
        method="ptq",
        mode=settings.mode,
        epochs=0,
        steps=0,
        objective=_NOT_TRAINED,
        prepared=True,
        remark="",
        ranges=settings.calibrator,
        equalized=equalized,
        rounded=rounded,
        corrected=corrected,
    )


def _adjust(
    network: Network, batches: list[Any], settings: QuantizeSettings, progress: Progress
) -> tuple[tuple[RoundedLayer, ...], tuple[CorrectedLayer, ...]]:
    from edgecompress.compress.int8.adaround import round_adaptively
    from edgecompress.compress.int8.bias_correction import correct_biases

    rounded: tuple[RoundedLayer, ...] = ()
    corrected: tuple[CorrectedLayer, ...] = ()
    if settings.rounding == "adaptive":
        rounded = round_adaptively(network, batches, steps=settings.rounding_steps, progress=progress)
    if settings.bias_correction == "empirical":
        corrected = correct_biases(network, batches, progress=progress)
    return rounded, corrected


def _samples(model: Model, settings: QuantizeSettings, data: Data) -> list[Any]:
    batches = calibration_batches(data, model, samples=settings.samples, batch_size=settings.batch_size, stage=_STAGE)
    return list(batches) if settings.rounding != "nearest" or settings.bias_correction != "off" else []


def _prepare(model: Model, settings: QuantizeSettings) -> tuple[Model, QuantizeNote]:
    """Fold what can be folded: an input that is rescaled inside the model gets the scale of its real values that way."""
    from edgecompress.keras_graph.prepare import prepare

    prepared, remark = model, ""
    integer = Mode(settings.mode).is_integer
    if integer:
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
        objective=_NOT_TRAINED,
        prepared=prepared is not model,
        remark=remark,
        ranges="TensorFlow's converter" if integer else "none",
    )
