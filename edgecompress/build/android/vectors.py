"""Test vectors for Quantization.kt, computed by NumPy: every count, ties between counts, the ends of the range, NaN and infinities.

One line a vector: the tensor's list and place, the bits of the real (float32, in hex), the count that it becomes, and the bits of the real
that the count stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.build.android.module import Module, TensorSpec

# All counts of 8 bits; of wider types as many, spread over the range.
_COUNTS = 256


def render_vectors(module: Module) -> bytes:
    """The text of quantization_vectors.txt, for every integer input and output."""
    lines = ["# list place real_bits count count_as_real_bits; computed by NumPy, see QuantizationTest.kt"]
    for kind, specs in (("input", module.inputs), ("output", module.outputs)):
        for place, spec in enumerate(specs):
            lines += _lines(f"{kind} {place}", spec)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def quantize(reals: NDArray[np.float32], spec: TensorSpec) -> NDArray[np.int64]:
    """Counts of reals: float32 division, halves to even, saturated; NaN becomes the zero point (the count of 0.0)."""
    scale, zero_point, lowest, highest = _numbers(spec)
    with np.errstate(over="ignore"):
        rounded = np.round(reals / scale).astype(np.float64)
    counts = np.where(np.isnan(rounded), zero_point, np.clip(rounded + zero_point, lowest, highest))
    return counts.astype(np.int64)


def dequantize(counts: NDArray[np.int64], spec: TensorSpec) -> NDArray[np.float32]:
    """Reals of counts: one float32 product."""
    scale, zero_point, _, _ = _numbers(spec)
    return (scale * (counts - zero_point).astype(np.float32)).astype(np.float32)


def _numbers(spec: TensorSpec) -> tuple[np.float32, int, int, int]:
    if spec.scale is None or spec.zero_point is None or spec.lowest is None or spec.highest is None:
        raise ValueError(f"{spec.name} holds floats: nothing is quantized")
    return np.float32(spec.scale), spec.zero_point, spec.lowest, spec.highest


def _lines(place: str, spec: TensorSpec) -> Sequence[str]:
    if spec.scale is None:
        return ()
    reals = _reals(spec)
    counts = quantize(reals, spec)
    stands_for = dequantize(counts, spec)
    rows = zip(reals.view(np.uint32), counts, stands_for.view(np.uint32), strict=True)
    return [f"{place} {int(real):08x} {int(count)} {int(back):08x}" for real, count, back in rows]


def _reals(spec: TensorSpec) -> NDArray[np.float32]:
    """The reals to try: counts, halves between them and their neighbours in float32, and what lies beyond the range."""
    scale, zero_point, lowest, highest = _numbers(spec)
    counts = np.unique(np.linspace(lowest, highest, _COUNTS).round().astype(np.int64))
    exact = dequantize(counts, spec)
    ties = (scale * ((counts - zero_point).astype(np.float32) + np.float32(0.5))).astype(np.float32)
    near = [np.nextafter(ties, np.float32(direction)) for direction in (-np.inf, np.inf)]
    largest, least = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    special = np.array([0.0, -0.0, largest, -largest, least, -least, np.inf, -np.inf, np.nan], np.float32)
    return np.concatenate([exact, ties, *near, special]).astype(np.float32)
