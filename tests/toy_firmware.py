"""A generated model small enough to write by hand: two steps on 16 bytes.

    step 0   sum[i] = in[i] + weights[i]              (int8, wraps)
    step 1   out[i] = sum[i] ^ (uint8)(3 * i)

The arena: in at 0, sum at 16, out at 0 again (the input is overwritten, as plans may do), 16 bytes at 48 that nobody touches.
"""

from __future__ import annotations

import hashlib

import numpy as np

from edgecompress.artifact import Engine, GeneratedModel, ModelInfo, PlannedBuffer, StepInfo, TensorSpec
from edgecompress.graph import DType

WEIGHTS = np.arange(-8, 8, dtype=np.int8) * 15
ARENA_BYTES = 64
TOUCHED_BYTES = 32
SAMPLE = bytes(range(100, 116))


def toy_output(data: bytes) -> bytes:
    """What the toy computes."""
    sums = np.frombuffer(data, np.uint8) + WEIGHTS.view(np.uint8)
    return (sums ^ (3 * np.arange(16, dtype=np.uint8))).astype(np.uint8).tobytes()


def toy_model(*, name: str = "toy", before_step_1: str = "", arena_bytes: int = ARENA_BYTES, weight_bytes: int = 16) -> GeneratedModel:
    """The toy's sources.

    Args:
        before_step_1: C statements at the start of step 1, to break things on purpose; `arena` is in scope.
        weight_bytes: size of the constant array, at least 16.
    """
    spec = {"dtype": DType.INT8, "bytes": 16, "shape": (1, 16), "scale": 0.5, "zero_point": -3}
    info = ModelInfo(
        name=name,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        engine=Engine.AOT,
        macs=16,
        parameters=16,
        arena_bytes=arena_bytes,
        inputs=(TensorSpec(name="in", **spec),),
        outputs=(TensorSpec(name="out", **spec),),
        steps=(StepInfo(0, "sum", "ADD", 16), StepInfo(1, "out", "XOR", 0)),
        plan=(PlannedBuffer("in", 0, 16, 0, 0), PlannedBuffer("sum", 16, arena_bytes - 32, 0, 1), PlannedBuffer("out", 0, 16, 1, 1)),
    )
    files = {f"{name}.h": _HEADER, f"{name}.c": _SOURCE, f"{name}_data.c": _DATA}
    weights = ", ".join(str(value) for value in WEIGHTS)
    words = {
        "@name@": name,
        "@NAME@": name.upper(),
        "@arena@": str(arena_bytes),
        "@break@": before_step_1,
        "@weights@": weights,
        "@count@": str(weight_bytes),
    }
    for word, value in words.items():
        files = {path.replace(word, value): text.replace(word, value) for path, text in files.items()}
    return GeneratedModel(info, files, kernels=())


_HEADER = """\
#pragma once
#include "ec_types.h"
#define @NAME@_ARENA_BYTES @arena@
int @name@_init(void *arena, size_t arena_bytes);
void *@name@_input(void *arena, int index);
const void *@name@_output(void *arena, int index);
int @name@_invoke(void *arena);
int @name@_step(void *arena, int step);
extern const int8_t @name@_weights[@count@];
"""

_SOURCE = """\
#include "@name@.h"

int @name@_init(void *arena, size_t arena_bytes)
{
    return ((uintptr_t)arena & 15u) != 0 || arena_bytes < @NAME@_ARENA_BYTES ? EC_ERROR_ARENA : EC_OK;
}

void *@name@_input(void *arena, int index)
{
    return index == 0 ? arena : NULL;
}

const void *@name@_output(void *arena, int index)
{
    return index == 0 ? arena : NULL;
}

int @name@_step(void *arena, int step)
{
    uint8_t *in = arena, *sum = in + 16, *out = arena;
    switch (step) {
    case 0:
        for (int i = 0; i < 16; i++)
            sum[i] = (uint8_t)(in[i] + (uint8_t)@name@_weights[i]);
        return EC_OK;
    case 1:
        { @break@ }
        for (int i = 0; i < 16; i++)
            out[i] = (uint8_t)(sum[i] ^ (3 * i));
        return EC_OK;
    default:
        return EC_ERROR_INDEX;
    }
}

int @name@_invoke(void *arena)
{
    for (int i = 0; i < 2; i++)
        @name@_step(arena, i);
    return EC_OK;
}
"""

_DATA = """\
#include "@name@.h"
__attribute__((section(".ec_model"))) const int8_t @name@_weights[@count@] = { @weights@ };
"""
