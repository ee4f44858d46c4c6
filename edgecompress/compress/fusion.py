"""Several models as one: a student and its teachers run side by side, and their outputs become one output.

    mean   y = sum_k a_k y_k
    vote   y = (v + e m) / (1 + e),  v = sum_k a_k [class is the likeliest of member k],  m = the mean,  e = min_k a_k / 2

Member k's vote is relu(1 + 256 (p - max p)): 1 for its likeliest class and 0 for one that is behind by a 256th or more, which is the step
of an int8 softmax. With equal shares, v differs by at least 2 e wherever it differs, so that m <= 1 decides nothing but ties.

The result is a plain functional model of all members' layers: it converts as any other, and its size is that of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.distill.teachers import check_teacher, load_teachers
from edgecompress.compress.training.objective import gives_probabilities
from edgecompress.errors import ModelError, RecipeError
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.distill import FuseSettings

_VOTE_STEPS = 256.0


@dataclass(frozen=True)
class Member:
    """One of the models inside, and its share of the result."""

    name: str
    parameters: int
    share: float


@dataclass(frozen=True)
class FuseNote:
    """What was fused.

    Attributes:
        parameters: of all members together: what a device must hold.
    """

    method: Literal["mean", "vote"]
    members: tuple[Member, ...]
    parameters: int


def fuse(
    model: keras.Model, settings: FuseSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, FuseNote]:
    """The pass `fuse`: `model` and its teachers as one model, and what is in it; none of them is changed.

    Args:
        original: the teacher of that name.

    Raises:
        ModelError, RecipeError: as `fuse_models`, or a teacher cannot be loaded.
    """
    progress("fuse", 0, 1)
    members = [model, *load_teachers(settings.teachers, model if original is None else original)]
    shares = _normalize(settings.shares, len(members))
    fused = fuse_models(members, shares, settings.method)
    names = ("student", *settings.teachers)
    inside = tuple(Member(name, member.count_params(), share) for name, member, share in zip(names, members, shares, strict=True))
    progress("fuse", 1, 1)
    return fused, FuseNote(settings.method, inside, fused.count_params())


def fuse_models(models: Sequence[keras.Model], shares: Sequence[float] = (), method: Literal["mean", "vote"] = "mean") -> keras.Model:
    """One model on the inputs of the first: the others must take and give the same shapes.

    If some members give probabilities and others logits, the logits go through a softmax (sigmoid for one column) first.

    Args:
        shares: one a model; scaled to a sum of 1. Empty: all alike.

    Raises:
        ModelError: a member's shapes differ, it has several outputs, or its graph cannot be read.
        RecipeError: a vote over fewer than two classes.
    """
    first = models[0]
    _check(models, method)
    inputs = keras.tree.map_structure(_as_input, getattr(getattr(first, "_functional", None) or first, "_inputs_struct", None))
    probable = [gives_probabilities(model) for model in models]
    flat = keras.tree.flatten(inputs)
    outputs = []
    for number, (model, is_probability) in enumerate(zip(models, probable, strict=True)):
        network = read_network(model)
        network.name = f"member_{number}"
        output = keras.tree.flatten(build_model(network)(keras.tree.pack_sequence_as(network.input_structure, flat)))[0]
        outputs.append(output if is_probability or (method == "mean" and not any(probable)) else _probabilities(output, number))
    weights = _normalize(shares, len(models))
    result = _weighted_sum(outputs, weights)
    if method == "vote":
        tie = min(weights) / 2
        votes = _weighted_sum([_vote(output) for output in outputs], weights)
        result = (votes + result * tie) * (1.0 / (1.0 + tie))
    return keras.Model(inputs, result, name=f"{first.name}_fused")


def _check(models: Sequence[keras.Model], method: str) -> None:
    first = models[0]
    for model in models:
        if len(model.outputs) != 1:
            raise ModelError(f"fuse: {model.name!r} has {len(model.outputs)} outputs; expected 1", hint="fuse models of one output")
        check_teacher(model, first)
    if method == "vote" and (first.outputs[0].shape[-1] or 1) < 2:
        raise RecipeError("fuse: a vote needs at least two classes; the models have one output column", hint='use method = "mean"')


def _as_input(tensor: Any) -> Any:  # noqa: ANN401  a Keras tensor
    return keras.Input(shape=tensor.shape[1:], dtype=tensor.dtype, name=tensor._keras_history.operation.name)


def _probabilities(output: Any, number: int) -> Any:  # noqa: ANN401
    activation = "softmax" if (output.shape[-1] or 1) > 1 else "sigmoid"
    return keras.layers.Activation(activation, name=f"member_{number}_{activation}")(output)


def _vote(output: Any) -> Any:  # noqa: ANN401
    behind = output - keras.ops.max(output, axis=-1, keepdims=True)
    return keras.ops.relu(behind * _VOTE_STEPS + 1.0)


def _weighted_sum(outputs: Sequence[Any], weights: Sequence[float]) -> Any:  # noqa: ANN401
    total = outputs[0] * weights[0]
    for output, weight in zip(outputs[1:], weights[1:], strict=True):
        total = total + output * weight
    return total


def _normalize(shares: Sequence[float], count: int) -> tuple[float, ...]:
    given = tuple(shares) or (1.0,) * count
    if len(given) != count:
        raise RecipeError(f"fuse: {len(given)} shares for {count} models", hint="give one share a model, the student's first")
    return tuple(share / sum(given) for share in given)
