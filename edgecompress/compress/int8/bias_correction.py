"""Bias correction: rounding shifts a channel's mean output; calibration data shows by how much, and the bias takes it back.

    b_c <- b_c + E[y_c] - E[y~_c]        y in float, y~ on the int8 grid, both before the activation function

(Nagel et al. 2019, section 4.2 and appendix D, the empirical form). Layers are corrected in order, each on inputs that the corrected layers
before it give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS
from edgecompress.compress.int8.playback import FloatSide, Playback, int8_side
from edgecompress.keras_graph.network import Call, Network
from edgecompress.progress import Progress, silent

STAGE = "correct biases"


@dataclass(frozen=True)
class CorrectedLayer:
    """One layer.

    Attributes:
        largest: magnitude of the largest shift that was taken out, in the layer's units.
        skipped: why nothing was done; empty when the bias was corrected.
    """

    layer: str
    largest: float
    skipped: str


def correct_biases(network: Network, batches: Sequence[Any], *, progress: Progress = silent) -> tuple[CorrectedLayer, ...]:
    """Correct the biases of a quantization-aware model whose ranges are set, in place.

    Args:
        network: read from that model before its kernels were rounded: its weights are the float side.
        batches: inputs in the model's structure; all are held in memory at once.
    """
    exact, rounded = Playback(network, batches, FloatSide()), Playback(network, batches, int8_side)
    corrected = []
    for done, call in enumerate(network.calls):
        progress(STAGE, done, len(network.calls))
        exact.compute(call)
        rounded.compute(call)
        if call.operator.kind in FLOAT_KINDS:
            corrected.append(_correct(network, call, exact, rounded))
    progress(STAGE, len(network.calls), len(network.calls))
    return tuple(corrected)


def _correct(network: Network, call: Call, exact: Playback, rounded: Playback) -> CorrectedLayer:
    layer, name = call.operator.source, call.operator.name
    if len(network.calls_of(call.operator)) > 1:
        return CorrectedLayer(name, 0.0, "it is called several times: its uses want different biases")
    if not layer.use_bias:
        return CorrectedLayer(name, 0.0, "it has no bias")
    outputs = rounded.tensors(call.output)
    shift = _means(exact.tensors(call.output)) - _means(outputs)
    layer.bias.assign_add(shift.astype(np.float32))
    rounded.replace(call.output, [tensor + shift.astype(np.float32) for tensor in outputs])
    return CorrectedLayer(name, float(np.max(np.abs(shift), initial=0.0)), "")


def _means(tensors: Sequence[Any]) -> NDArray[np.float64]:
    """[C] over samples and places."""
    arrays = [np.asarray(tensor) for tensor in tensors]
    total = sum(array.reshape(-1, array.shape[-1]).sum(axis=0, dtype=np.float64) for array in arrays)
    means: NDArray[np.float64] = np.asarray(total) / sum(array.size // array.shape[-1] for array in arrays)
    return means
