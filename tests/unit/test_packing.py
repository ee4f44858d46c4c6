"""Weights and channels in the order of the fast kernels, taken apart again by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgecompress.codegen.lower.channels import channel_argument
from edgecompress.codegen.lower.packing import (
    element_pairs,
    fold_bias,
    pack_blocks,
    pack_element_pairs,
    pack_single_filters,
    pack_two_filters,
    run_pairs,
    whole_pairs,
)
from edgecompress.codegen.program import Constant, Names
from edgecompress.numerics.fixedpoint import quantize_multiplier


@pytest.mark.parametrize("length", range(1, 13))
def test_a_run_is_covered_once(length):
    """Every element of a run stands in exactly one pair; fours go (0, 2), (1, 3)."""
    pairs = run_pairs(length)
    assert sorted(k for pair in pairs for k in pair if k >= 0) == list(range(length))
    assert pairs[:2] == [(0, 2), (1, 3)] or length < 3 or length == 3


def test_runs_follow_each_other():
    """The second run's elements are those of the first, moved by its length."""
    assert element_pairs(2, 3) == [(0, 2), (1, -1), (3, 5), (4, -1)]
    assert whole_pairs(6) == [(0, 2), (1, 3), (4, -1), (5, -1)]


def test_two_filters_in_a_half_word():
    """A half is f0 + 256 * f1; five filters make two fours, and a pair without a second element has 0 there."""
    weights = np.array([[1, -2, 3], [-4, 5, -6], [7, -8, 9], [-127, 127, -127], [10, 11, 12]], np.int8)
    pairs = [(0, 2), (1, -1)]
    packed = pack_two_filters(weights, pairs)
    assert packed is not None
    halves = packed.view("<i2").reshape(2, 2, 2, 2)  # quad, pair of elements, pair of filters, element
    full = np.zeros((8, 4), int)
    full[:5, :3] = weights
    for quad in range(2):
        for n, pair in enumerate(pairs):
            for two in range(2):
                f0, f1 = full[4 * quad + 2 * two], full[4 * quad + 2 * two + 1]
                assert list(halves[quad, n, two]) == [f0[k] + 256 * f1[k] if k >= 0 else 0 for k in pair]


def test_filters_side_by_side():
    """Each element of two filters in turn; a third filter has zeros beside it."""
    packed = pack_single_filters(np.array([[1, 2], [3, 4], [5, 6]], np.int8), 2)
    assert packed.tolist() == [1, 3, 2, 4, 5, 0, 6, 0]


def test_pairs_of_elements():
    """Filters 0 and 1 in turn, the second element before the first, then filters 2 and 3; a missing element or filter is 0, raised."""
    packed = pack_element_pairs(np.array([[1, 2, 3], [4, 5, 6], [-7, -8, -9]], np.int8))
    assert packed is not None
    assert (packed.astype(int) - 128).reshape(2, 8).tolist() == [[2, 5, 1, 4, -8, 0, -7, 0], [0, 0, 3, 6, 0, 0, -9, 0]]
    assert pack_element_pairs(np.array([[-128, -128]], np.int8)) is None
    assert pack_element_pairs(np.array([[0, -128, -128, 0]], np.int8)) is not None


def test_weights_that_do_not_fit_a_half_are_refused():
    """-128 as the second filter beside a negative first one is below int16; a long sum of the second filter could pass 2**23."""
    assert pack_two_filters(np.array([[-1], [-128]], np.int8), [(0, -1)]) is None
    assert pack_two_filters(np.array([[1], [-128]], np.int8), [(0, -1)]) is not None
    long = np.full((2, 520), 127, np.int8)
    assert pack_two_filters(long, element_pairs(1, 520)) is None
    assert pack_two_filters(long[:, :512], element_pairs(1, 512)) is not None


def test_blocks_that_are_not_zero():
    """Each with its distance in front; a filter's head tells its bytes and its distance from fours; an empty filter keeps a block."""
    weights = np.zeros((3, 1200), np.int8)
    weights[0, [4, 7, 1196]] = 1, -2, 3
    weights[2, 8] = 5
    blocks = pack_blocks(weights)
    assert blocks is not None
    head = [4 * 15 + 1, 0]
    first = [*head, 1, 1, 0, 0, -2, -1, 0, 0, 0, 0, 43, 3, 0, 0, 0]  # places 1, 256 (a stop, 255 further), 299
    assert blocks.stream.tolist() == [*first, 4 * 5 + 3, 0, 0, 0, 0, 0, 0, 4 * 5 + 3, 0, 2, 5, 0, 0, 0]
    assert blocks.count == 5


def test_the_bias_takes_the_zero_point():
    """sum w * (x - zp) + b = sum w * x + folded, and the bound is reached by inputs of -128 and 127."""
    weights, x = np.array([[3, -4], [5, 6]], np.int8), np.array([-128, 127])
    folded = fold_bias(weights, np.array([100, -7], np.int32), -5)
    assert list(weights.astype(int) @ (x + 5) + [100, -7]) == list(weights.astype(int) @ x + folded.values)
    assert folded.bound == max(abs(100 - 5) + 128 * 7, abs(-7 + 55) + 128 * 11)


def unpack(argument, channels):
    """The channels as C unpacks them."""
    fields, data = argument.fields, argument.fields["data"]
    assert isinstance(data, Constant)
    if "bias_bits" not in fields:
        return data.values
    stream = int.from_bytes(data.values.astype(np.uint8).tobytes(), "little")
    ratio = (fields["ratio_high"] << 16) + fields["ratio_low"]
    rows = []
    for _ in range(channels):
        mantissa = stream & 0x7FFFFF | 1 << 23
        shift = stream >> 23 & ((1 << fields["shift_bits"]) - 1)
        bias = stream >> 23 + fields["shift_bits"] & ((1 << fields["bias_bits"]) - 1)
        stream >>= 23 + fields["shift_bits"] + fields["bias_bits"]
        product = mantissa * (ratio >> 16) + (mantissa * (ratio & 0xFFFF) >> 16)
        over = product >> 55
        rows.append((2 * (fields["bias_min"] + bias), ((product >> 23 + over) + 1) >> 1, fields["shift_base"] + shift - over))
    return np.array(rows)


@pytest.mark.parametrize("seed", range(40))
def test_packed_channels_are_exact(seed):
    """Whatever the scales, multiplier, shift and bias come out of the bits as they went in, and they take fewer bytes than plainly."""
    rng = np.random.default_rng(seed)
    count, reach = int(rng.integers(1, 600)), int(2 ** rng.integers(0, 24))
    weight_scales = tuple(float(s) for s in np.exp(rng.uniform(np.log(1e-5), np.log(0.05), count)).astype(np.float32))
    in_scale, out_scale = (float(np.float32(rng.uniform(*ends))) for ends in ((1e-3, 1.0), (0.125, 1.0)))
    scales = tuple(quantize_multiplier(in_scale * s / out_scale) for s in weight_scales)
    bias = rng.integers(-reach, reach + 1, count)
    argument = channel_argument(Names("m", 0), bias, scales, weight_scales, Fraction(in_scale) / Fraction(out_scale))
    expected = np.array([(2 * b, s.multiplier, -1 - s.shift) for b, s in zip(bias.tolist(), scales, strict=True)])
    np.testing.assert_array_equal(unpack(argument, len(scales)), expected)
    assert argument.fields["data"].values.size <= 8 * count + 4


def test_what_cannot_be_packed_is_written_plainly():
    """A scale so small that its multiplier is 0, and a bias of more than 25 bits."""
    scales = (quantize_multiplier(0.01), quantize_multiplier(1e-11))
    tiny = channel_argument(Names("m", 0), np.array([1, 2]), scales, (0.01, 1e-11), Fraction(1))
    assert "bias_bits" not in tiny.fields
    scales = (quantize_multiplier(0.01),) * 2
    wide = channel_argument(Names("m", 0), np.array([-(2**25), 2**25]), scales, (0.01,), Fraction(1))
    assert "bias_bits" not in wide.fields
