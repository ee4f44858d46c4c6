"""Lowering and arithmetic of int16 activations: what is refused, and numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompress.codegen.lower import lower
from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import (
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Options,
    Padding,
    PoolOptions,
    Quantization,
    SoftmaxOptions,
    Tensor,
)
from edgecompress.numerics.fixedpoint import FixedScale, requantize_int64
from edgecompress.numerics.reference.sixteen import exponential_table, reciprocal_table, sigmoid_table
from edgecompress.target import KernelSet
from tests.graphs import one_op, tensor


def sixteen(index: int, shape: tuple[int, ...], scale: float = 1.0, zero_point: int = 0) -> Tensor:
    return tensor(index, shape, scale, zero_point, DType.INT16)


def weights(shape: tuple[int, ...], scale: float = 1.0, zero_point: int = 0, dtype: DType = DType.INT8) -> Tensor:
    return tensor(1, shape, scale, zero_point, dtype, np.ones(shape, np.int8))


def bias(values: Any, dtype: DType = DType.INT64) -> Tensor:
    array = np.asarray(values, np.int64 if dtype is DType.INT64 else np.int32)
    return Tensor(2, "t2", array.shape, dtype, Quantization((1.0,), (0,)), array)


DENSE = FullyConnectedOptions()
DEPTHWISE = DepthwiseConvOptions(Padding.SAME, 1, 1, 1)
WHOLE = PoolOptions(Padding.VALID, 1, 1, 200, 200)
X = sixteen(0, (1, 4))
REFUSED: list[tuple[str, list[Tensor], Tensor, Options | None, str]] = [
    ("FULLY_CONNECTED", [X, weights((2, 4), dtype=DType.INT16)], sixteen(2, (1, 2)), DENSE, "expected int8 weights beside int16"),
    ("FULLY_CONNECTED", [X, weights((2, 4), zero_point=3)], sixteen(2, (1, 2)), DENSE, "weights with zero point 0"),
    ("FULLY_CONNECTED", [sixteen(0, (1, 4), 1.0, 5), weights((2, 4))], sixteen(2, (1, 2)), DENSE, "one scale and zero point 0 for t0"),
    ("FULLY_CONNECTED", [X, weights((2, 4)), bias([1, 1 << 47])], sixteen(3, (1, 2)), DENSE, "less than 2\\*\\*47"),
    ("FULLY_CONNECTED", [X, weights((2, 4)), bias([1])], sixteen(3, (1, 2)), DENSE, "expected 2 int64 or int32 biases"),
    ("FULLY_CONNECTED", [X, weights((2, 4))], sixteen(2, (1, 2), 1e-3), DENSE, "shift by 10; expected at most 7"),
    (
        "DEPTHWISE_CONV_2D",
        [sixteen(0, (1, 2, 2, 1)), weights((1, 1, 1, 1)), bias([1], DType.INT32)],
        sixteen(3, (1, 2, 2, 1)),
        DEPTHWISE,
        "expected int64 biases",
    ),
    ("ADD", [X, sixteen(1, (1, 4))], sixteen(2, (1, 4), 1e-5), None, "expected more than 2\\*\\*-14"),
    ("MUL", [X, tensor(1, (1, 4))], sixteen(2, (1, 4)), None, "expected int16 tensors, came int8 in t1"),
    ("SOFTMAX", [X], sixteen(1, (1, 4)), SoftmaxOptions(), "output scale of 1/32768, came 1"),
    ("LOGISTIC", [sixteen(0, (4,), 3.0)], sixteen(1, (4,), 1 / 32768), None, "input scale below 2.6"),
    ("AVERAGE_POOL_2D", [sixteen(0, (1, 200, 200, 1))], sixteen(1, (1, 1, 1, 1)), WHOLE, "expected an output of shape"),
]


@pytest.mark.parametrize(("kind", "inputs", "out", "options", "reason"), REFUSED, ids=[f"{n}-{case[0]}" for n, case in enumerate(REFUSED)])
def test_what_no_kernel_takes_is_refused(kind: str, inputs: list[Tensor], out: Tensor, options: Options | None, reason: str) -> None:
    """The error names layer, op and reason, and says what to do next."""
    with pytest.raises(UnsupportedOpError, match=rf"^{out.name}: {kind} version 1 \(op 0\): .*{reason}") as caught:
        lower(one_op(kind, inputs, [out], options))
    assert caught.value.hint


@pytest.mark.parametrize("kernels", list(KernelSet))
def test_every_core_runs_the_portable_kernels(kernels: KernelSet) -> None:
    """No kernel for int8 is called on int16, whatever the core."""
    steps, _ = lower(one_op("FULLY_CONNECTED", [X, weights((2, 4))], [sixteen(2, (1, 2))], DENSE), kernels=kernels)
    assert [step.function for step in steps] == ["ec_fully_connected_s16"]


def test_sums_of_64_bits_are_scaled_with_15() -> None:
    """A half of a half is rounded up; the multiplier's lower half only rounds; 32 bits of the result count before the clamp."""
    half = FixedScale(1 << 30, 0)
    assert requantize_int64(np.array([3, -3, 1, -1, 70_000], np.int64), [half]).tolist() == [2, -1, 1, 0, 32767]
    assert requantize_int64(np.array([1 << 20], np.int64), [FixedScale((1 << 30) + 0x7FFF, 0)]).tolist() == [32767]
    assert requantize_int64(np.array([1 << 33], np.int64), [half]).tolist() == [0]


def test_tables_end_where_their_curves_end() -> None:
    """exp(0) and 1 are the largest counts, exp(-10) is next to none, the sigmoid starts at 1/2."""
    exponentials, reciprocals, sigmoid = exponential_table(), reciprocal_table(), sigmoid_table()
    assert (len(exponentials), len(reciprocals), len(sigmoid)) == (513, 513, 256)
    # exp(-10) is 1.49 counts; half of what interpolation would miss is rounded to one more.
    assert (exponentials[0], exponentials[-1]) == (2, 32767)
    assert (reciprocals[0], reciprocals[-1]) == (32767, 16384)
    assert (sigmoid[0], sigmoid[-1]) == (32768, 65535)
