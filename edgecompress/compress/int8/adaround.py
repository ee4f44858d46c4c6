"""Adaptive rounding: each weight goes up or down so that its layer's output comes nearest to the float one, not so that the weight does.

    w~ = s clip(floor(w / s) + h(v), -127, 127)           h(v) = clip(sigmoid(v) (zeta - gamma) + gamma, 0, 1)
    min over v of  ||f(W x) - f(W~ x~)||^2 + lambda sum(1 - |2 h(v) - 1|^beta)

with zeta 1.1, gamma -0.1, and beta falling from 20 to 2 after a warm start without the second term (Nagel et al. 2020, "Up or Down?
Adaptive Rounding for Post-Training Quantization", equations 22 to 25). x~ are the inputs that the layers before, already rounded, give; f
is the ReLU that follows. Layers are taken in order. Here the first term is divided by its value for rounding to nearest, and the sum by the
number of weights, so that one lambda fits layers of all sizes.

The largest weight of each scale stays at +-127, so that TensorFlow's converter derives the same scale, max|w| / 127, and with it the very
integers that were chosen. Zeros stay zeros. Where the search ends worse than rounding to nearest, the latter is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS
from edgecompress.compress.int8.layers import columns_of, has_codebook, kernel_of_columns
from edgecompress.compress.int8.playback import FloatSide, Playback, float_layer, int8_side
from edgecompress.compress.int8.roles import Role, part_of
from edgecompress.compress.training.grouped import groups_apart
from edgecompress.keras_graph.network import Call, Network, Operator
from edgecompress.progress import Progress, silent

STAGE = "round adaptively"

_ZETA, _GAMMA = 1.1, -0.1
_FIRST_BETA, _LAST_BETA = 20.0, 2.0
_WARM_SHARE = 0.2
_LAMBDA = 0.1
_LEARNING_RATE = 1e-2
_BATCH = 16
_LARGEST = 127.0


@dataclass(frozen=True)
class RoundedLayer:
    """One layer.

    Attributes:
        weights: of the kernel.
        changed: weights that did not go to the nearest integer.
        nearest_error, error: mean squared error of the layer's output, rounded to nearest and as chosen.
        skipped: why nothing was done; empty when the layer was rounded.
    """

    layer: str
    weights: int
    changed: int
    nearest_error: float
    error: float
    skipped: str


@dataclass(frozen=True, eq=False)
class Grid:
    """A kernel's way down and up.

    Attributes:
        scales: of each weight, in the kernel's shape.
        floors, fractions: w / s = floor + fraction.
        held: weights that do not choose: the largest of each scale, and zeros.
    """

    scales: NDArray[np.float32]
    floors: NDArray[np.float32]
    fractions: NDArray[np.float32]
    held: NDArray[np.bool_]

    @property
    def nearest(self) -> NDArray[np.float32]:
        """Whole numbers, rounded to nearest."""
        return self.whole(self.fractions >= 0.5)

    def whole(self, up: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Whole numbers for these choices; what is held is at its own."""
        chosen = np.where(self.held, np.round(self.floors + self.fractions), self.floors + up)
        return np.clip(chosen, -_LARGEST, _LARGEST).astype(np.float32)


def round_adaptively(
    network: Network,
    batches: Sequence[Any],
    *,
    steps: int = 1000,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[RoundedLayer, ...]:
    """Choose the integers of a quantization-aware model whose ranges are set, layer by layer, in place.

    Args:
        network: read from that model: its weights are the float side.
        batches: inputs in the model's structure; all are held in memory at once.
        steps: of Adam, a layer.
        seed: of the samples' order.
    """
    exact, rounded = Playback(network, batches, FloatSide()), Playback(network, batches, int8_side)
    total = sum(call.operator.kind in FLOAT_KINDS for call in network.calls) * steps
    notes: list[RoundedLayer] = []
    for call in network.calls:
        if call.operator.kind in FLOAT_KINDS:
            notes.append(_round_layer(network, call, exact, rounded, steps, seed, _counting_from(len(notes) * steps, total, progress)))
        exact.compute(call)
        rounded.compute(call)
    progress(STAGE, total, total)
    return tuple(notes)


def _counting_from(begin: int, total: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress(STAGE, begin + done, total)


def make_grid(operator: Operator, kernel: NDArray[np.float32], *, per_tensor: bool) -> Grid:
    """The int8 grid of a kernel."""
    columns = np.abs(columns_of(operator, kernel)).astype(np.float64)
    largest = np.broadcast_to(columns.max() if per_tensor else columns.max(axis=0), columns.shape)
    safe = np.where(largest > 0, largest, 1.0)
    scales = kernel_of_columns(operator, safe / _LARGEST)
    ratios = kernel / scales
    held = kernel_of_columns(operator, (columns >= safe * (1 - 1e-7)) | (columns == 0))
    floors = np.floor(ratios)
    return Grid(scales.astype(np.float32), floors.astype(np.float32), (ratios - floors).astype(np.float32), held)


def search_rounding(
    grid: Grid,
    apply: Callable[[Any, Any], Any],
    inputs: Any,  # noqa: ANN401 - tensors
    targets: Any,  # noqa: ANN401
    *,
    steps: int,
    seed: int,
    report: Callable[[int], None],
) -> NDArray[np.float32]:
    """The whole numbers of a kernel that bring `apply(kernel, inputs)` near the targets.

    Args:
        inputs, targets: [n, ...].
    """
    share = np.clip((grid.fractions - _GAMMA) / (_ZETA - _GAMMA), 1e-4, 1 - 1e-4)
    choice = keras.Variable(np.log(share / (1 - share)), dtype="float32")
    optimizer = keras.optimizers.Adam(_LEARNING_RATE)
    optimizer.build([choice])
    scales, floors, held = tf.constant(grid.scales), tf.constant(grid.floors), tf.constant(grid.held)
    own = tf.constant(grid.nearest)
    norm = tf.reduce_mean(tf.square(apply(tf.constant(grid.nearest * grid.scales), inputs) - targets)) + 1e-30

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow ships without types
    def step(some: Any, wanted: Any, beta: Any, weight: Any) -> None:  # noqa: ANN401
        with groups_apart(), tf.GradientTape() as tape:
            soft = _rectified_sigmoid(tf.convert_to_tensor(choice))
            whole = tf.where(held, own, tf.clip_by_value(floors + soft, -_LARGEST, _LARGEST))
            error = tf.reduce_mean(tf.square(apply(whole * scales, some) - wanted)) / norm
            undecided = tf.reduce_mean(1 - tf.pow(tf.abs(2 * soft - 1), beta))
            loss = error + weight * undecided
        optimizer.apply([tape.gradient(loss, choice.value)], [choice])

    generator, count = np.random.default_rng(seed), int(inputs.shape[0])
    for number in range(steps):
        places = generator.choice(count, min(_BATCH, count), replace=False)
        beta, weight = annealing(number, steps)
        step(tf.gather(inputs, places), tf.gather(targets, places), tf.constant(beta, tf.float32), tf.constant(weight, tf.float32))
        report(number)
    return grid.whole(np.asarray(_rectified_sigmoid(tf.convert_to_tensor(choice))) >= 0.5)


def annealing(step: int, steps: int) -> tuple[float, float]:
    """beta and the weight of the second term at a step: no weight for the first fifth, then beta from 20 to 2 along half a cosine."""
    warm = _WARM_SHARE * steps
    if step < warm:
        return _FIRST_BETA, 0.0
    done = (step - warm) / max(1.0, steps - warm)
    return _LAST_BETA + 0.5 * (_FIRST_BETA - _LAST_BETA) * (1 + float(np.cos(done * np.pi))), _LAMBDA


def _rectified_sigmoid(choice: Any) -> Any:  # noqa: ANN401
    return tf.clip_by_value(tf.sigmoid(choice) * (_ZETA - _GAMMA) + _GAMMA, 0.0, 1.0)


def _round_layer(
    network: Network, call: Call, exact: Playback, rounded: Playback, steps: int, seed: int, report: Callable[[int], None]
) -> RoundedLayer:
    operator, layer = call.operator, call.operator.source
    size = int(np.prod(layer.kernel.shape))
    reason = _reason_to_skip(network, call)
    if reason:
        return RoundedLayer(operator.name, size, 0, 0.0, 0.0, reason)
    kernel = np.asarray(layer.effective_kernel)
    grid = make_grid(operator, kernel, per_tensor=layer.per_tensor)
    plain, activate = float_layer(call), _relu_after(network, call)

    def apply(weights: Any, inputs: Any) -> Any:  # noqa: ANN401
        others = [variable.value for variable in plain.trainable_variables[1:]]
        return activate(plain.stateless_call([weights, *others], [], inputs)[0])

    inputs = tf.concat(rounded.tensors(call.inputs[0]), axis=0)
    targets = activate(tf.concat(exact.outputs(call), axis=0))
    found = search_rounding(grid, apply, inputs, targets, steps=steps, seed=seed, report=report)
    errors = [float(tf.reduce_mean(tf.square(apply(whole * grid.scales, inputs) - targets))) for whole in (grid.nearest, found)]
    chosen = found if errors[1] < errors[0] else grid.nearest
    layer.kernel.assign(chosen * grid.scales / layer.kernel_gain)
    return RoundedLayer(operator.name, size, int(np.count_nonzero(chosen != grid.nearest)), errors[0], min(errors), "")


def _reason_to_skip(network: Network, call: Call) -> str:
    if has_codebook(call.operator):
        return "its weights are on a codebook"
    if len(network.calls_of(call.operator)) > 1:
        return "it is called several times"
    return ""


def _relu_after(network: Network, call: Call) -> Callable[[Any], Any]:
    """The ReLU that alone reads a call, or nothing."""
    reader = network.only_reader(call.output)
    if reader is None or part_of(reader).role is not Role.RELU:
        return _same
    function: Callable[[Any], Any] = reader.operator.source
    return function


def _same(values: Any) -> Any:  # noqa: ANN401
    return values
