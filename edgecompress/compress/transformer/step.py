"""Transformers made smaller: attention heads and feed-forward units removed, then fine-tuning.

What is removed contributes to a sum, so the smaller model equals the one with those weights set to zero, exactly; `attention` and
`feed_forward` say why. LayerNormalization has no int8 form, so such models end partly in float: the note names those layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.int8.aware import float_layers
from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.compress.training.train import fit
from edgecompress.compress.transformer.attention import (
    attention_macs,
    find_written_attention,
    is_attention,
    keep_heads,
    obstacle,
    output_kernel,
    output_variable,
)
from edgecompress.compress.transformer.feed_forward import Block, find_blocks, keep_units
from edgecompress.compress.transformer.importance import choose_kept, score_by_loss, score_by_size
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.cost import count_macs
from edgecompress.keras_graph.network import Network, Operator
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.keras_graph.weighted import kernel_of
from edgecompress.progress import Progress, silent
from edgecompress.recipe.transformer import TransformerSettings


@dataclass(frozen=True)
class ReducedLayer:
    """One attention layer or feed-forward block.

    Attributes:
        layer: name of the attention layer, or of the block's first Dense.
        part: "heads" or "width".
        before, after: how many heads or units.
        removed: their indices, in the layer's own order.
        macs_before, macs_after: multiply-accumulates of all uses; of attention, projections, scores and weighted values.
    """

    layer: str
    part: str
    before: int
    after: int
    removed: tuple[int, ...]
    macs_before: int
    macs_after: int


@dataclass(frozen=True)
class SkippedPart:
    """A layer that stays as it is, and why."""

    layer: str
    reason: str


@dataclass(frozen=True)
class TransformerNote:
    """What was removed.

    Attributes:
        layers: attention layers and feed-forward blocks that lost something.
        skipped: those that did not, and layers that look like parts of them.
        float_layers: layers without an int8 form, each with its class; the .tflite computes them in float and has to be allowed to.
        epochs, steps, objective: of fine-tuning.
    """

    layers: tuple[ReducedLayer, ...]
    skipped: tuple[SkippedPart, ...]
    float_layers: tuple[str, ...]
    epochs: int
    steps: int
    objective: str


@dataclass(frozen=True, eq=False)
class _Target:
    """Something with heads or units to remove: an attention layer, or a feed-forward block by its two Dense layers."""

    name: str
    attention: Operator | None
    block: Block | None

    @property
    def part(self) -> str:
        return "width" if self.attention is None else "heads"

    @property
    def reader(self) -> Operator:
        """The layer that holds the weights through which heads or units reach the output."""
        if self.attention is not None:
            return self.attention
        if self.block is None:
            raise ValueError(f"{self.name}: neither attention nor a feed-forward block")
        return self.block.second

    def kernel(self) -> NDArray[Any]:
        """[heads or units, ...]."""
        return output_kernel(self.reader) if self.attention is not None else kernel_of(self.reader)

    def keep(self, kept: Sequence[int]) -> None:
        if self.attention is not None:
            keep_heads(self.attention, kept)
        elif self.block is not None:
            keep_units(self.block, kept)

    def macs(self, network: Network) -> int:
        if self.attention is not None:
            return sum(attention_macs(call) for call in network.calls_of(self.attention))
        operators = (self.block.first, self.block.second) if self.block else ()
        # Values still carry the shapes that were read, so the width is counted from the kernels.
        return sum(_dense_macs(network, operator) for operator in operators)


def transformer(
    model: keras.Model,
    settings: TransformerSettings,
    data: Data,
    *,
    original: keras.Model | None = None,
    progress: Progress = silent,
) -> tuple[keras.Model, TransformerNote]:
    """A copy of `model` with fewer heads and narrower feed-forward blocks, fine-tuned, and what was done; `model` is not changed.

    Args:
        original: the model that the recipe began with: the default teacher, and the owner of the loss.

    Raises:
        RecipeError: there is nothing to remove, or `exclude` names no layer.
        ModelError: the model's graph cannot be read.
        DataError: fine-tuning or `taylor` needs data that is missing.
    """
    network = read_network(model)
    excluded = _excluded(model, settings)
    targets, skipped = _find_targets(network, settings, excluded)
    if not targets:
        raise RecipeError(
            f"transformer: model {network.name!r} has no attention layer or feed-forward block to reduce",
            hint="; ".join(f"{entry.layer}: {entry.reason}" for entry in skipped[:3]) or "it takes MultiHeadAttention and pairs of Dense",
        )
    layers = _reduce(network, targets, _score(model, targets, settings, data, progress), settings)
    reduced = build_model(network)
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs:
        owner = original or model
        trained = fit(reduced, data, objective_of=owner, training=settings, stage="transformer", progress=progress, original=original)
        steps, objective = trained.steps, trained.objective
    return reduced, TransformerNote(
        layers=tuple(layers),
        skipped=tuple(skipped),
        float_layers=tuple(f"{layer.name} ({layer.kind})" for layer in float_layers(reduced)),
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )


def _excluded(model: keras.Model, settings: TransformerSettings) -> set[int]:
    paths = dict(walk_layers(model))
    require_layers(list(paths), settings.exclude, "transformer: exclude")
    return {id(layer) for path, layer in paths.items() if any(is_inside(path, name) for name in settings.exclude)}


def _find_targets(network: Network, settings: TransformerSettings, excluded: set[int]) -> tuple[list[_Target], list[SkippedPart]]:
    targets: list[_Target] = []
    skipped: list[SkippedPart] = []
    if settings.heads < 1.0:
        for operator in network.operators():
            reason = "excluded" if is_attention(operator) and id(operator.source) in excluded else _why_not_heads(network, operator)
            if reason:
                skipped.append(SkippedPart(operator.name, reason))
            elif is_attention(operator):
                targets.append(_Target(operator.name, operator, None))
        skipped += [
            SkippedPart(name, "attention written with keras.ops: only MultiHeadAttention tells heads apart")
            for name in find_written_attention(network)
        ]
    if settings.width < 1.0:
        blocks, misses = find_blocks(network)
        skipped += [SkippedPart(miss.layer, miss.reason) for miss in misses]
        for block in blocks:
            if id(block.first.source) in excluded:
                skipped.append(SkippedPart(block.first.name, "excluded"))
            else:
                targets.append(_Target(block.first.name, None, block))
    return targets, skipped


def _why_not_heads(network: Network, operator: Operator) -> str:
    if is_attention(operator):
        return obstacle(network, operator)
    kind = operator.kind
    if issubclass(kind, keras.layers.EinsumDense | keras.layers.GroupQueryAttention):
        return f"{kind.__name__}: only heads of MultiHeadAttention are removed"
    if issubclass(kind, keras.layers.Attention):
        return f"{kind.__name__} has no heads"
    inner = operator.source._flatten_layers(include_self=False) if isinstance(operator.source, keras.layers.Layer) else ()
    if any(isinstance(layer, keras.layers.MultiHeadAttention) for layer in inner):
        return f"{kind.__name__} holds attention inside, which a pass over the graph does not reach"
    return ""


def _score(
    model: keras.Model, targets: Sequence[_Target], settings: TransformerSettings, data: Data, progress: Progress
) -> list[NDArray[np.float64]]:
    if settings.saliency == "l1":
        return score_by_size([target.kernel() for target in targets])
    variables = [_variable(target) for target in targets]
    return score_by_loss(model, variables, data, samples=settings.samples, progress=progress)


def _variable(target: _Target) -> keras.Variable:
    source = target.reader.source
    return source.kernel if target.attention is None else output_variable(source)


def _reduce(
    network: Network, targets: Sequence[_Target], scores: Sequence[NDArray[np.float64]], settings: TransformerSettings
) -> list[ReducedLayer]:
    layers = []
    for part, share, multiple_of in (("heads", settings.heads, 1), ("width", settings.width, settings.multiple_of)):
        chosen = [(target, score) for target, score in zip(targets, scores, strict=True) if target.part == part]
        together = settings.scope == "global"
        kept = choose_kept([score for _, score in chosen], share, multiple_of=multiple_of, together=together) if chosen else []
        for (target, score), stay in zip(chosen, kept, strict=True):
            before = target.macs(network)
            target.keep(stay)
            removed = tuple(sorted(set(range(len(score))) - set(stay)))
            layers.append(ReducedLayer(target.name, part, len(score), len(stay), removed, before, target.macs(network)))
    return layers


def _dense_macs(network: Network, operator: Operator) -> int:
    calls = network.calls_of(operator)
    units = calls[0].output.channels
    return sum(count_macs(call) for call in calls) // units * int(kernel_of(operator).shape[1])
