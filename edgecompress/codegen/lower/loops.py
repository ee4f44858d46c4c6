"""Nested loops over tensors, with as few dimensions as the strides allow.

Two neighbouring dimensions are one when each tensor, at the end of the inner one, is where the outer one goes on: its outer stride is its
inner stride times the inner extent. Kernels have a fixed number of loops; what they do not need stands in front with extent 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """`extent` turns; after each turn, tensor i goes on by `strides[i]` (elements or bytes; 0 repeats, below 0 goes back)."""

    extent: int
    strides: tuple[int, ...]


def contiguous_strides(shape: Sequence[int], unit: int = 1) -> tuple[int, ...]:
    """Strides of a tensor whose elements lie in order, each `unit` wide."""
    return tuple(unit * math.prod(shape[i + 1 :]) for i in range(len(shape)))


def broadcast_strides(shape: Sequence[int], out: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor along the dimensions of the larger one that it broadcasts to: 0 where it repeats."""
    full = (1,) * (len(out) - len(shape)) + tuple(shape)
    return tuple(0 if size == 1 else stride for size, stride in zip(full, contiguous_strides(full), strict=True))


def merge_loops(extents: Sequence[int], *strides: Sequence[int]) -> tuple[Loop, ...]:
    """The same walk with as few loops as possible, outermost first; none for a single element."""
    merged: list[Loop] = []
    for extent, *steps in zip(extents, *strides, strict=True):
        loop = Loop(extent, tuple(steps))
        if extent == 1:
            continue
        if merged and merged[-1].strides == tuple(s * extent for s in loop.strides):
            merged[-1] = Loop(merged[-1].extent * extent, loop.strides)
        else:
            merged.append(loop)
    return tuple(merged)


def fill_loops(loops: Sequence[Loop], rank: int, tensors: int) -> tuple[Loop, ...]:
    """Exactly `rank` loops: unused ones in front, with extent 1 and strides 0."""
    return (Loop(1, (0,) * tensors),) * (rank - len(loops)) + tuple(loops)


def split_block(loops: Sequence[Loop]) -> tuple[tuple[Loop, ...], int]:
    """The outer loops, and the extent of the innermost one when all tensors are contiguous along it, else 1."""
    if loops and all(stride == 1 for stride in loops[-1].strides):
        return tuple(loops[:-1]), loops[-1].extent
    return tuple(loops), 1
