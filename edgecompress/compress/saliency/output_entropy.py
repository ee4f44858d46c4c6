"""How much the entropy of the model's output moves when one unit's activation is made 0.

score = |mean H(p without the unit) - mean H(p)| over samples, H(p) = -sum p log2 p of the classes' probabilities. Units are removed one by
one, several in one batch, and only what follows the unit is computed anew. The number of samples is cut so that the whole takes no more
than `_MOST_MACS` multiply-accumulates: one sample is enough for a sign of life, and a large network has thousands of units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.saliency.criteria import Floats, shannon_entropy
from edgecompress.compress.saliency.run_network import activated_value, calls_by_path, input_values, open_model, require_calls, run_call
from edgecompress.compress.training.objective import gives_probabilities
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.cost import count_macs
from edgecompress.keras_graph.network import Call, Network, Value, values_in
from edgecompress.progress import Progress

STAGE = "remove units one by one"

_MOST_MACS = 100_000_000_000
_BATCH_FLOATS = 1 << 24
"""64 MB of the largest activation at a time."""
_MOST_ROWS = 256


@dataclass(frozen=True, eq=False)
class _Tail:
    """One layer, and what must be computed anew when its activation changes.

    Attributes:
        removed: the values that lose the unit, one for each use of the layer.
        calls: everything that depends on them, in order.
    """

    removed: frozenset[Value]
    calls: tuple[Call, ...]

    @property
    def macs(self) -> int:
        return sum(count_macs(call) for call in self.calls)

    @property
    def floats(self) -> int:
        """Of the largest value that is computed or read, one sample."""
        values = [*self.removed, *(value for call in self.calls for value in [*call.inputs, *call.outputs])]
        return max(math.prod(size or 1 for size in value.shape) for value in values)


def output_entropy_changes(
    model: keras.Model, masks: Mapping[str, Floats], data: Data, *, samples: int, progress: Progress
) -> dict[str, Floats]:
    """[removals] for each layer: the change of the output's entropy.

    Args:
        masks: [removals, units] for each layer, by path: 0 for the units that are removed together, 1 for the rest.
        samples: at most; see the module's words.

    Raises:
        RecipeError: the model has several outputs, or a layer stands inside another one.
        DataError: there are no inputs to read.
    """
    if len(model.outputs) != 1:
        raise RecipeError(f"saliency 'output_entropy' needs one output; model {model.name!r} has {len(model.outputs)}")
    network = open_model(model)
    uses = calls_by_path(model, network)
    tails = {path: _tail_of(network, require_calls(uses, path, "saliency 'output_entropy'")) for path in masks}
    work = sum(len(masks[path]) * tail.macs for path, tail in tails.items())
    count = max(1, min(samples, _MOST_MACS // max(1, work)))
    batch = next(calibration_batches(data, model, samples=count, batch_size=count, stage=STAGE))
    values = _all_values(network, batch)
    probabilities = gives_probabilities(model)
    output = network.outputs[0]
    before = _entropy(values[output], probabilities)
    total, done = sum(map(len, masks.values())), 0
    changes: dict[str, Floats] = {}
    for path, tail in tails.items():
        found = []
        for chunk in _chunks(masks[path], int(before.shape[0]) * tail.floats, int(before.shape[0])):
            progress(STAGE, done, total)
            without = _entropy(_without(tail, values, chunk, output), probabilities).reshape(len(chunk), -1)
            found.append(np.abs(without.mean(axis=1) - before.mean()))
            done += len(chunk)
        changes[path] = np.concatenate(found)
    progress(STAGE, total, total)
    return changes


def _tail_of(network: Network, calls: Iterable[Call]) -> _Tail:
    removed = frozenset(activated_value(network, call) for call in calls)
    changed = set(removed)
    tail = []
    for call in network.calls:
        if any(value in changed for value in call.inputs):
            changed.update(call.outputs)
            tail.append(call)
    return _Tail(removed, tuple(tail))


def _all_values(network: Network, batch: Any) -> dict[Value, Any]:  # noqa: ANN401  a tensor, or the model's structure of them
    values = input_values(network, batch)
    for call in network.calls:
        values.update(zip(call.outputs, run_call(call, values), strict=True))
    return values


def _without(tail: _Tail, values: Mapping[Value, Any], masks: Floats, output: Value) -> Any:  # noqa: ANN401  a tensor
    """[removals * samples, ...] the model's output for each row of masks, samples within."""
    local: dict[Value, Any] = {}
    needed = {value for call in tail.calls for value in values_in((call.args, call.kwargs))}
    for value in needed | tail.removed:
        repeated = tf.repeat(values[value][tf.newaxis], len(masks), axis=0)
        if value in tail.removed:
            repeated *= tf.reshape(tf.cast(masks, repeated.dtype), (len(masks), *[1] * (len(value.shape) - 1), -1))
        local[value] = tf.reshape(repeated, (-1, *values[value].shape[1:]))
    for call in tail.calls:
        for value, tensor in zip(call.outputs, run_call(call, local), strict=True):
            # A layer that is used twice loses the unit again at its second use.
            local[value] = tensor * tf.repeat(_as_factor(masks, tensor), len(tensor) // len(masks), 0) if value in tail.removed else tensor
    return local[output]


def _as_factor(masks: Floats, tensor: Any) -> Any:  # noqa: ANN401
    return tf.reshape(tf.cast(masks, tensor.dtype), (len(masks), *[1] * (len(tensor.shape) - 2), -1))


def _entropy(outputs: Any, probabilities: bool) -> Floats:  # noqa: ANN401  a tensor [n, ..., classes]
    """[n] mean over positions."""
    values = np.asarray(outputs, np.float64)
    if values.shape[-1] == 1:
        p = values if probabilities else 1.0 / (1.0 + np.exp(-values))
        shares = np.concatenate([p, 1.0 - p], axis=-1)
    elif probabilities:
        shares = values / np.maximum(values.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    else:
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        shares = powers / powers.sum(axis=-1, keepdims=True)
    return np.asarray(shannon_entropy(shares).reshape(len(values), -1).mean(axis=1))


def _chunks(masks: Floats, floats: int, samples: int) -> Sequence[Floats]:
    """Rows of masks that are tried in one batch."""
    rows = max(1, min(_BATCH_FLOATS // max(1, floats), _MOST_ROWS // samples))
    return [masks[start : start + rows] for start in range(0, len(masks), rows)]
