"""Weights in vectors, taken apart by hand, and leads of the MVE kernels, played through byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.codegen.lower.packing_mve import LANES, copied_rows_lead, pack_vectors, windows_lead
from edgecompress.graph import Activation, ConvOptions, DType, Padding, Tensor
from edgecompress.numerics.window import pad_before, window_count


@pytest.mark.parametrize(("filters", "n"), [(4, 16), (8, 33), (5, 40), (3, 7)])
def test_every_weight_is_where_kernels_look(filters: int, n: int) -> None:
    """Element k of filter f, for a tail and for whole vectors; filters beyond the last are zero; a vector can be read at each filter."""
    weights = np.random.default_rng(n).integers(-128, 128, (filters, n)).astype(np.int8)
    packed = pack_vectors(weights)
    tail, fours = n % LANES, -(-filters // 4)
    for f in range(4 * fours):
        for k in range(n):
            place = f % 4 * tail + k if k < tail else 4 * tail + (k - tail) // LANES * 64 + f % 4 * LANES + (k - tail) % LANES
            assert packed[f // 4 * 4 * n + place] == (weights[f, k] if f < filters else 0)
    last_tail = (fours - 1) * 4 * n + 3 * tail
    assert len(packed) >= last_tail + LANES
    assert not packed[fours * 4 * n :].any()


@pytest.mark.parametrize("seed", range(40))
def test_no_byte_is_overwritten_before_its_last_reading(seed: int) -> None:
    """With exactly the lead between input and output, in the order of the kernel's rows or pairs."""
    rng = np.random.default_rng(seed)
    kh, kw, stride, images = (int(v) for v in (rng.integers(1, 4), rng.integers(1, 4), rng.integers(1, 3), rng.integers(1, 3)))
    h, w, c, filters = int(rng.integers(3, 7)), int(rng.integers(3, 7)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    padding = Padding.SAME if rng.random() < 0.5 else Padding.VALID
    options = ConvOptions(padding, stride, stride, 1, 1, Activation.NONE)
    rows, columns = (window_count(padding, size, k, stride) for size, k in ((h, kh), (w, kw)))
    source, weights = Tensor(0, "in", (images, h, w, c), DType.INT8), Tensor(1, "weights", (filters, kh, kw, c), DType.INT8)
    output = Tensor(2, "out", (images, rows, columns, filters), DType.INT8)
    top = pad_before(padding, h, kh, stride)
    direct = kh == 1 and pad_before(padding, w, kw, stride) == 0 and (columns - 1) * stride + kw <= w
    lead = (windows_lead if direct else copied_rows_lead)(options, source, weights, output)
    # The output starts at 0, the input at the lead; what is written up to a step must lie below what that step and later ones read.
    for row in range(images * rows):
        image, y = divmod(row, rows)
        first = image * h + max(y * stride - top, 0)
        if direct:
            for x in range(columns):
                written = min(row * columns + x + 2, images * rows * columns) * filters
                assert written <= lead + (first * w + x * stride) * c
        elif row > 0:
            assert row * columns * filters <= lead + first * w * c
