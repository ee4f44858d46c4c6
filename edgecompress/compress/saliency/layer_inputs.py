"""What a kernel's weights are multiplied by: the second moments of a layer's inputs, in the order of its kernel.

A convolution is a matrix product of its patches: weight (y, x, i) of every output meets patch entry (y, x, i).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.layers import walk_layers
from edgecompress.compress.prune.kernels import Kernel
from edgecompress.compress.saliency.criteria import Floats, input_norm_score, output_error_score
from edgecompress.compress.saliency.run_network import calls_by_path, open_model, run_calls
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.network import Call, Network
from edgecompress.progress import Progress
from edgecompress.recipe.saliency import Criterion

SumUp: TypeAlias = Callable[[Any], tuple[Floats, int]]
"""A sum over patches [positions, groups, n], and over how many."""

STAGE = "read layer inputs"

_KINDS = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)
# Keras derives some kinds of convolution from others.
_OTHER_KINDS = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
_PATCH_FLOATS = 1 << 24
"""64 MB of patches at a time."""
_PATCHES_A_BATCH = 8192
"""Of a second moment matrix: beyond a few for each input, more change nothing but the time."""


def weights_by_input(
    model: keras.Model,
    kernels: Sequence[Kernel],
    criterion: Criterion,
    data: Data,
    *,
    samples: int,
    batch_size: int,
    progress: Progress,
) -> list[Floats]:
    """`input_norm` or `output_error` of every weight: one array a kernel, of its shape.

    The second moments of `output_error` are taken from at most 8192 patches of each batch, evenly spread.

    Raises:
        RecipeError: naming the layers whose inputs cannot be read.
        DataError: there are no inputs to read.
    """
    network = open_model(model)
    layers = dict(walk_layers(model))
    uses = calls_by_path(model, network)
    missing = dict.fromkeys(k.layer for k in kernels if not _has_readable_inputs(layers[k.layer]) or k.layer not in uses)
    if missing:
        raise RecipeError(
            f"saliency {criterion.value!r} reads the inputs of Dense, Conv1D and Conv2D layers; not so of {', '.join(missing)}",
            hint="name these layers in exclude, or choose another saliency",
        )
    watched = {call: kernel.layer for kernel in kernels for call in uses[kernel.layer]}
    sum_up = _squares if criterion is Criterion.INPUT_NORM else _products
    batches = list(calibration_batches(data, model, samples=samples, batch_size=batch_size, stage=STAGE))
    moments = _mean_moments(network, watched, batches, sum_up, progress)
    score = input_norm_score if criterion is Criterion.INPUT_NORM else output_error_score
    scores = []
    for kernel in kernels:
        weights = np.asarray(kernel.variable.value, np.float64)
        grouped = grouped_matrix(layers[kernel.layer], weights)
        by_group = [score(matrix, moment) for matrix, moment in zip(grouped, moments[kernel.layer], strict=True)]
        scores.append(ungrouped_kernel(np.stack(by_group), weights.shape))
    return scores


def grouped_matrix(layer: keras.Layer, kernel: Floats) -> Floats:
    """A kernel [..., in, out] as [groups, weights of an output, outputs of a group]."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    groups = getattr(layer, "groups", 1)
    return np.moveaxis(matrix.reshape(len(matrix), groups, -1), 1, 0)


def ungrouped_kernel(grouped: Floats, shape: Sequence[int]) -> Floats:
    """The opposite of `grouped_matrix`."""
    return np.moveaxis(grouped, 0, 1).reshape(shape)


def patches_of(layer: keras.Layer, x: Any) -> Any:  # noqa: ANN401  tensors
    """[positions, groups, weights of an output] what each position multiplies the kernel by.

    Args:
        x: [n, ..., in].
    """
    if isinstance(layer, keras.layers.Dense):
        return tf.reshape(x, (-1, 1, x.shape[-1]))
    is_line = isinstance(layer, keras.layers.Conv1D)
    padding = layer.padding
    if padding == "causal":
        x = tf.pad(x, ((0, 0), (layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0), (0, 0)))
        padding = "valid"
    if is_line:
        x = x[:, tf.newaxis]
    patches = tf.image.extract_patches(
        x,
        (1, *_on_plane(layer.kernel_size, is_line), 1),
        (1, *_on_plane(layer.strides, is_line), 1),
        (1, *_on_plane(layer.dilation_rate, is_line), 1),
        padding.upper(),
    )
    groups = layer.groups
    split = tf.reshape(patches, (-1, int(np.prod(layer.kernel_size)), groups, x.shape[-1] // groups))
    return tf.reshape(tf.transpose(split, (0, 2, 1, 3)), (-1, groups, patches.shape[-1] // groups))


def _on_plane(sizes: Sequence[int], is_line: bool) -> tuple[int, ...]:
    return (1, *sizes) if is_line else tuple(sizes)


def _has_readable_inputs(layer: keras.Layer) -> bool:
    return isinstance(layer, _KINDS) and not isinstance(layer, _OTHER_KINDS)


def _mean_moments(
    network: Network, watched: Mapping[Call, str], batches: Sequence[Any], sum_up: SumUp, progress: Progress
) -> dict[str, Floats]:
    """The mean over all patches of what `sum_up` sums, by the layer's path; [groups, ...]."""
    sums: dict[str, Floats] = {}
    counts: dict[str, int] = {}

    def observe(call: Call, inputs: list[Any], outputs: list[Any]) -> None:
        path = watched.get(call)
        if path is None:
            return
        layer = call.operator.source
        rows = max(1, _PATCH_FLOATS // _patch_floats(layer, outputs[0]))
        for start in range(0, int(inputs[0].shape[0]), rows):
            total, count = sum_up(patches_of(layer, tf.cast(inputs[0][start : start + rows], tf.float32)))
            sums[path] = sums[path] + total if path in sums else total
            counts[path] = counts.get(path, 0) + count

    for index, batch in enumerate(batches):
        progress(STAGE, index, len(batches))
        run_calls(network, batch, observe)
    progress(STAGE, len(batches), len(batches))
    return {path: total / counts[path] for path, total in sums.items()}


def _patch_floats(layer: keras.Layer, output: Any) -> int:  # noqa: ANN401  a tensor
    """Floats in one sample's patches."""
    positions = int(np.prod(output.shape[1:-1]))
    kernel = layer.kernel.shape
    return positions * int(np.prod(kernel[:-1])) * int(getattr(layer, "groups", 1))


def _squares(patches: Any) -> tuple[Floats, int]:  # noqa: ANN401  a tensor
    return np.asarray(tf.reduce_sum(tf.square(patches), 0), np.float64), int(patches.shape[0])


def _products(patches: Any) -> tuple[Floats, int]:  # noqa: ANN401  a tensor
    step = -(-int(patches.shape[0]) // _PATCHES_A_BATCH)
    by_group = tf.transpose(patches[::step], (1, 0, 2))
    return np.asarray(tf.matmul(by_group, by_group, transpose_a=True), np.float64), int(by_group.shape[1])
