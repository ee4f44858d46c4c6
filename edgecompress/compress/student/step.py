"""The pass `student`: a small model of a known family in place of the model, trained with the original as its teacher.

The student takes the model's input, under its name, through the model's own rescaling or normalization, and gives its outputs: as many,
under the same name, behind the same last activation. Everything between is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.student import families
from edgecompress.compress.training.train import fit
from edgecompress.errors import ModelError
from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.cost import network_macs, network_parameters
from edgecompress.keras_graph.decompose import drop_training_only, split_activations
from edgecompress.keras_graph.network import Call, Network, Operator
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.replace import StudentSettings

_INPUT_SCALES = (keras.layers.Rescaling, keras.layers.Normalization)
_SHAPE_ONLY = (keras.layers.Reshape, keras.layers.Flatten)


@dataclass(frozen=True)
class StudentNote:
    """The student that took the model's place.

    Attributes:
        family, width, depth: as asked for.
        input_scale: name of the model's own rescaling or normalization that it begins with; None when the model had none.
        last_activation: behind its last dense layer; None for logits.
        parameters_before, parameters_after: elements of all weights.
        macs_before, macs_after: of one inference.
        epochs, steps: of its training.
        objective: where the loss came from.
    """

    family: str
    width: float
    depth: float
    input_scale: str | None
    last_activation: str | None
    parameters_before: int
    parameters_after: int
    macs_before: int
    macs_after: int
    epochs: int
    steps: int
    objective: str


def student(
    model: keras.Model, settings: StudentSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, StudentNote]:
    """A new small model of the same inputs and outputs as `model`, trained unless `epochs` is 0; `model` is not changed.

    Raises:
        ModelError: the model has several inputs or outputs, or its shapes are not those of a classifier or regressor of feature maps.
        DataError: there is no training data, or no loss follows from its labels.
    """
    network = read_network(model)
    _check_shapes(network)
    scale, last = _input_scale(network), _last_activation(network)
    found = build_student(network.inputs[0].value.shape[1:], int(network.outputs[0].shape[1] or 0), settings)
    grown = read_network(found)
    before = network_parameters(network), network_macs(network)
    _take_place_of(grown, network, scale, last)
    built = build_model(grown)
    steps, objective = 0, "none: not trained"
    if settings.epochs:
        stage = f"student {settings.family}"
        trained = fit(built, data, objective_of=model, training=settings, stage=stage, progress=progress, original=original or model)
        steps, objective = trained.steps, trained.objective
    note = StudentNote(
        family=settings.family,
        width=settings.width,
        depth=settings.depth,
        input_scale=None if scale is None else scale.name,
        last_activation=None if last is None else last[1],
        parameters_before=before[0],
        parameters_after=network_parameters(grown),
        macs_before=before[1],
        macs_after=network_macs(grown),
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )
    return built, note


def build_student(input_shape: tuple[Any, ...], classes: int, settings: StudentSettings) -> keras.Model:
    """The family's network for one sample's shape; logits."""
    match settings.family:
        case "mobilenet_v1":
            return families.mobilenet_v1(input_shape, classes, width=settings.width, depth=settings.depth)
        case "mobilenet_v2":
            return families.mobilenet_v2(input_shape, classes, width=settings.width, depth=settings.depth)
        case "shufflenet":
            return families.shufflenet(input_shape, classes, width=settings.width, depth=settings.depth, groups=settings.groups)
        case "ds_cnn":
            return families.ds_cnn(input_shape, classes, width=settings.width, depth=settings.depth)
        case "resnet8":
            return families.resnet8(input_shape, classes, width=settings.width, depth=settings.depth)


def _check_shapes(network: Network) -> None:
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ModelError(
            f"student: model {network.name!r} has {len(network.inputs)} inputs and {len(network.outputs)} outputs; expected one of each",
            hint="build the student yourself and use the step distill",
        )
    shape = network.outputs[0].shape[1:]
    if len(shape) != 1:
        raise ModelError(
            f"student: model {network.name!r} gives {list(shape)} for each sample; a student gives one vector",
            hint="build the student yourself and use the step distill",
        )


def _input_scale(network: Network) -> Operator | None:
    """The model's rescaling or normalization of its input, when that is all that reads it."""
    reader = network.only_reader(network.inputs[0].value)
    return None if reader is None or reader.operator.kind not in _INPUT_SCALES else reader.operator


def _last_activation(network: Network) -> tuple[Operator, str] | None:
    """The activation that makes the output, and its word; None for logits."""
    drop_training_only(network)
    split_activations(network)
    producers = network.producers()
    maker = producers.get(network.outputs[0])
    while maker is not None and issubclass(maker.operator.kind, _SHAPE_ONLY):
        maker = producers.get(maker.inputs[0])
    found = None if maker is None else read_activation(maker)
    return None if maker is None or found is None or found.curve is Curve.LINEAR else (maker.operator, found.word)


def _take_place_of(grown: Network, network: Network, scale: Operator | None, last: tuple[Operator, str] | None) -> None:
    """Give the student the model's names, its input with the scale behind it, and the activation of its output."""
    entry, old = grown.inputs[0], grown.inputs[0].value
    taken = network.inputs[0]
    kept = [operator.name for operator in (scale, last[0] if last else None) if operator is not None]
    _give_way(grown, [taken.name, *kept])
    if scale is None:
        entry.value = taken.value
        grown.replace_value(old, taken.value)
    else:
        scaled = network.calls_of(scale)[0]
        entry.value = taken.value
        grown.replace_value(old, scaled.output)
        grown.calls.insert(0, Call(scale, (taken.value,), {}, [scaled.output]))
    entry.name, grown.name = taken.name, network.name
    output = grown.outputs[0]
    if last is not None:
        final = network.outputs[0]
        grown.calls.append(Call(last[0], (output,), {}, [final]))
        output = final
    grown.input_structure = keras.tree.map_structure(lambda _: entry.value, network.input_structure)
    grown.output_structure = keras.tree.map_structure(lambda _: output, network.output_structure)
    grown.output_names = list(network.output_names)


def _give_way(grown: Network, names: list[str]) -> None:
    """Rename the student's own layers that would collide with what it takes over."""
    for operator in grown.operators():
        if operator.name in names:
            operator.name = grown.free_name(f"student_{operator.name}")
            operator.config = {**(operator.config or {}), "name": operator.name}
