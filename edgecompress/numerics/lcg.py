"""Repeatable test inputs that any language can make in three lines.

    x = seed;  each byte: x = x * 1664525 + 1013904223 (mod 2**32), byte = x >> 24

The constants are those of Knuth and Lewis, as printed in Numerical Recipes (Press et al., 2nd edition, section 7.1).
"""

from __future__ import annotations

from collections.abc import Sequence

_MULTIPLIER = 1664525
_INCREMENT = 1013904223


def lcg_bytes(seed: int, count: int) -> bytes:
    """`count` bytes of the sequence that starts after `seed`."""
    x = seed & 0xFFFFFFFF
    out = bytearray(count)
    for i in range(count):
        x = (x * _MULTIPLIER + _INCREMENT) & 0xFFFFFFFF
        out[i] = x >> 24
    return bytes(out)


def lcg_inputs(seed: int, sizes: Sequence[int]) -> list[bytes]:
    """One input per entry of `sizes` (bytes), cut one after the other from one sequence."""
    stream = lcg_bytes(seed, sum(sizes))
    inputs, start = [], 0
    for size in sizes:
        inputs.append(stream[start : start + size])
        start += size
    return inputs
