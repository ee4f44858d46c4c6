"""A kernel on a codebook: every weight is one of K whole numbers, in counts of its channel's int8 scale.

    kernel = scale_c * level[nearest(w / scale_c)]        levels in [-127, 127], both ends among them

TensorFlow's converter derives `scale_c = max|kernel_c| / 127`, so it finds exactly these integers if every channel holds +127 or -127: a
scale is therefore never so large that the channel's largest weight would round to a smaller level.

Gradients, with r = w / scale_c and q the level that w rounds to:
* w: straight through (Bengio et al. 2013); beyond +-127 only what pulls the weight back into the range;
* scale, kept as its base-2 logarithm: sum of g * (q - r) inside the range and g * q outside (Esser et al. 2020, equation 3; the logarithm
  as in Jain et al. 2020, section 3);
* level: the sum over the weights that share it (Han et al. 2016, equation 3), times their scales.
"""

from typing import Any

import tensorflow as tf

LARGEST_LEVEL = 127.0
# Float32 rounding of w / scale must not put a channel's largest weight below the border of the outermost level.
_MARGIN = 1.0 + 1e-5
# A channel of zeros has no scale of its own.
_SMALLEST_SCALE = 1e-30


def kernel_on_levels(columns: Any, log_scales: Any, levels: Any, ties: Any = None) -> Any:  # noqa: ANN401 - tensors
    """The kernel as it computes.

    Args:
        columns: [N, C] float kernel, a column for each output channel.
        log_scales: [C] base-2 logarithms of the scales.
        levels: [G, K] whole numbers, ascending; G is 1, or C for a codebook a channel.
        ties: [C] the channel whose integers each channel uses; None: its own.

    Returns:
        [N, C]
    """
    levels = _keeping_zeros(columns, levels)
    scales = _bounded_scales(columns, log_scales, levels)
    ratios = columns / tf.stop_gradient(scales)
    whole = _tied(nearest_level(ratios, levels), ties)
    inside = tf.stop_gradient(_tied(tf.where(tf.abs(ratios) <= LARGEST_LEVEL, ratios, tf.zeros_like(ratios)), ties))
    # The second term is zero; its gradient is the part of the scale's that comes through w / scale.
    return whole * scales - inside * (scales - tf.stop_gradient(scales))


def integers_on_levels(columns: Any, log_scales: Any, levels: Any, ties: Any = None) -> tuple[Any, Any]:  # noqa: ANN401
    """What `kernel_on_levels` multiplies: whole numbers [N, C] and scales [C]."""
    levels = _keeping_zeros(columns, levels)
    scales = _bounded_scales(columns, log_scales, levels)
    return _tied(nearest_level(columns / scales, levels), ties), scales


def moved_levels(levels: Any, shifts: Any) -> Any:  # noqa: ANN401
    """Levels after training: `levels + 127 * shifts`, whole and ascending; 0 and the two ends stay where they are.

    Args:
        levels: [G, K] whole numbers.
        shifts: [G, K]; an optimizer's usual step is then about a tenth of a count.
    """
    free = tf.logical_and(tf.abs(levels) < LARGEST_LEVEL, levels != 0)
    moved = tf.clip_by_value(levels + tf.where(free, LARGEST_LEVEL * shifts, tf.zeros_like(shifts)), -LARGEST_LEVEL, LARGEST_LEVEL)
    return tf.sort(moved + tf.stop_gradient(tf.round(moved) - moved), axis=-1)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships without types
def nearest_level(ratios: Any, levels: Any) -> Any:  # noqa: ANN401
    """The nearest level of each ratio; halfway, the upper one.

    Args:
        ratios: [N, C].
        levels: [G, K], ascending.
    """
    count = levels.shape[-1]
    rows = _as_rows(ratios, levels)
    borders = (levels[:, 1:] + levels[:, :-1]) / 2
    indices = tf.searchsorted(borders, rows, side="right") + count * tf.range(levels.shape[0])[:, tf.newaxis]
    rounded = _from_rows(tf.gather(tf.reshape(levels, [-1]), indices), ratios, levels)

    def gradient(upstream: Any) -> tuple[Any, Any]:  # noqa: ANN401
        inside = tf.logical_or(tf.abs(ratios) <= LARGEST_LEVEL, upstream * ratios > 0)
        shares = tf.reshape(_as_rows(upstream, levels), [-1])
        sums = tf.math.unsorted_segment_sum(shares, tf.reshape(indices, [-1]), levels.shape[0] * count)
        return tf.where(inside, upstream, tf.zeros_like(upstream)), tf.reshape(sums, levels.shape)

    return rounded, gradient


def _keeping_zeros(columns: Any, levels: Any) -> Any:  # noqa: ANN401
    """Levels in which the one nearest to 0 is 0 if some weight is zero: weights that were pruned later stay zero, and K stays K.

    Two levels are both ends, and stay.
    """
    sizes = tf.where(tf.abs(levels) < LARGEST_LEVEL, tf.abs(levels), LARGEST_LEVEL)
    smallest = tf.reduce_min(sizes, axis=-1, keepdims=True)
    nearest = tf.logical_and(sizes == smallest, sizes < LARGEST_LEVEL)
    return tf.where(tf.logical_and(nearest, tf.reduce_any(columns == 0)), tf.zeros_like(levels), levels)


def _bounded_scales(columns: Any, log_scales: Any, levels: Any) -> Any:  # noqa: ANN401
    """[C] scales that leave each channel's largest weight on level 127 or -127; gradients pass the bound."""
    scales = tf.pow(2.0, log_scales)
    largest = tf.reduce_max(tf.abs(columns), axis=0)
    border = tf.maximum(levels[:, -1] + levels[:, -2], -levels[:, 0] - levels[:, 1]) / 2
    highest = tf.math.divide_no_nan(largest, border * _MARGIN)
    # A border at 0, as between -127 and 127, bounds nothing.
    bounded = tf.where(border > 0, tf.minimum(scales, highest), scales)
    return scales + tf.stop_gradient(tf.maximum(bounded, _SMALLEST_SCALE) - scales)


def _tied(columns: Any, ties: Any) -> Any:  # noqa: ANN401
    return columns if ties is None else tf.gather(columns, ties, axis=1)


def _as_rows(columns: Any, levels: Any) -> Any:  # noqa: ANN401
    """[G, values]: a row for each codebook."""
    return tf.reshape(columns, [1, -1]) if levels.shape[0] == 1 else tf.transpose(columns)


def _from_rows(rows: Any, columns: Any, levels: Any) -> Any:  # noqa: ANN401
    return tf.reshape(rows, columns.shape) if levels.shape[0] == 1 else tf.transpose(rows)
