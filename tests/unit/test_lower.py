"""What lowerings decide without a compiler: loops, clamps, other names; and how they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgecompress.codegen.lower import lower
from edgecompress.codegen.lower.loops import Loop, broadcast_strides, fill_loops, merge_loops, split_block
from edgecompress.codegen.program import Alias, ConstantArg, Overlap, ParamsArg, Step
from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import (
    Activation,
    ArithmeticOptions,
    ConcatenationOptions,
    DType,
    Graph,
    Options,
    Padding,
    PoolOptions,
    Quantization,
    ResizeOptions,
    SoftmaxOptions,
    StridedSliceOptions,
    Tensor,
)
from tests.graphs import constant, one_op, tensor

NONE = ArithmeticOptions(Activation.NONE)
PIXELS = PoolOptions(Padding.VALID, 1, 1, 2, 2)


def only_step(graph: Graph) -> Step:
    steps, aliases = lower(graph)
    assert not aliases
    return steps[0]


def params(step: Step, c_type: str) -> dict[str, Any]:
    return dict(next(a.fields for a in step.arguments if isinstance(a, ParamsArg) and a.c_type == c_type))


def test_loops_merge_where_all_strides_go_on() -> None:
    """[2, 3, 4] with a tensor that repeats along the first axis takes two loops."""
    strides = broadcast_strides((3, 4), (2, 3, 4))
    assert strides == (0, 4, 1)
    assert merge_loops((2, 3, 4), (12, 4, 1), strides) == (Loop(2, (12, 0)), Loop(12, (1, 1)))


def test_loops_of_size_one_vanish() -> None:
    """A single element needs no loop; unused loops stand in front."""
    assert merge_loops((1, 1), (1, 1)) == ()
    assert fill_loops((Loop(5, (1,)),), 3, 1) == (Loop(1, (0,)), Loop(1, (0,)), Loop(5, (1,)))


def test_a_block_is_what_lies_side_by_side() -> None:
    """The innermost loop is a block only when its strides are 1."""
    assert split_block((Loop(2, (8,)), Loop(4, (1,)))) == ((Loop(2, (8,)),), 4)
    assert split_block((Loop(2, (8,)),)) == ((Loop(2, (8,)),), 1)


def test_add_puts_the_larger_scale_first() -> None:
    """The exact input is `a`, whichever it was; its zero point is in the offset."""
    step = only_step(one_op("SUB", [tensor(0, (4,), 0.1, 2), tensor(1, (4,), 0.3, 5)], [tensor(2, (4,), 0.2)], NONE))
    fields = params(step, "ec_add_params")
    assert (fields["a_weight"], fields["a_offset"], fields["b_sign"]) == (-(1 << 20), 5 << 20, 2)
    assert step.function == "ec_add_s8"
    assert step.overlaps == (Overlap(1, 2), Overlap(0, 2))


def test_only_full_inputs_are_overwritten() -> None:
    """An input that broadcasts is read again: its buffer cannot be the output's."""
    step = only_step(one_op("MUL", [tensor(0, (2, 3)), tensor(1, (3,))], [tensor(2, (2, 3))], NONE))
    assert step.function == "ec_mul_broadcast_s8"
    assert step.overlaps == (Overlap(0, 2),)


@pytest.mark.parametrize(
    ("kind", "options", "given"),
    [
        ("RELU", None, tensor(0, (4,), 0.5, -128)),
        ("QUANTIZE", None, tensor(0, (4,), 0.5, -128)),
        ("RESHAPE", None, tensor(0, (4,), 0.5, -128)),
        ("CONCATENATION", ConcatenationOptions(0), tensor(0, (4,), 0.5, -128)),
    ],
)
def test_ops_that_change_nothing_are_other_names(kind: str, options: Options | None, given: Tensor) -> None:
    """No call, no table, no copy."""
    steps, aliases = lower(one_op(kind, [given], [replace(given, index=1, name="t1")], options))
    assert not steps
    assert aliases == (Alias(0, 0, 1),)


def test_relu_is_a_clamp_or_a_table() -> None:
    """Same quantization: no table; another one: 256 bytes, 0 first."""
    x = tensor(0, (4,), 0.5)
    assert only_step(one_op("RELU", [x], [tensor(1, (4,), 0.5)])).function == "ec_clamp_s8"
    step = only_step(one_op("RELU", [x], [tensor(1, (4,), 0.25)]))
    table = next(a.constant for a in step.arguments if isinstance(a, ConstantArg))
    assert step.function == "ec_lookup_s8"
    assert table is not None
    assert table.values[:3].tolist() == [0, 2, 4]
    assert table.values[128:].tolist() == [0] * 128


def test_a_transpose_of_ones_moves_nothing() -> None:
    """[1, 4, 1] to [4, 1, 1] is another name; [2, 3] to [3, 2] is a copy."""
    order = constant(1, [1, 0, 2])
    assert lower(one_op("TRANSPOSE", [tensor(0, (1, 4, 1)), order], [tensor(2, (4, 1, 1))]))[1] == (Alias(0, 0, 2),)
    step = only_step(one_op("TRANSPOSE", [tensor(0, (2, 3)), constant(1, [1, 0])], [tensor(2, (3, 2))]))
    assert params(step, "ec_copy_params") == {"extents": (1, 1, 1, 3, 2), "strides": (0, 0, 0, 1, 3), "offset": 0, "block_bytes": 1}


def per_channel(index: int) -> Tensor:
    return Tensor(index, f"t{index}", (2,), DType.INT8, Quantization((0.5, 0.25), (0, 0), 0), np.zeros(2, np.int8))


def image(index: int, side: int, scale: float = 1.0, dtype: DType = DType.INT8) -> Tensor:
    return tensor(index, (1, side, side, 1), scale, dtype=dtype)


X = tensor(0, (2,))
REFUSED: list[tuple[str, list[Tensor], Tensor, Options | None, str]] = [
    ("ADD", [tensor(0, (2,), dtype=DType.INT16), tensor(1, (2,))], tensor(2, (2,)), NONE, "expected int8 tensors, came int16 in t0"),
    ("ADD", [X, tensor(1, (3,))], tensor(2, (2,)), NONE, "expected shapes that broadcast"),
    ("ADD", [X, tensor(1, (2,))], tensor(2, (3,)), NONE, r"expected an output of shape \(2,\)"),
    ("ADD", [X, tensor(1, (2,))], tensor(2, (2,), 1e-9), NONE, "scale of t2 is 1e-09"),
    ("ADD", [X, tensor(1, (2,))], tensor(2, (2,), 3e-6), NONE, "less than 2\\*\\*-18"),
    ("ADD", [X, tensor(1, (2,))], tensor(2, (2,)), ArithmeticOptions(Activation.TANH), "fused activation tanh"),
    ("MUL", [X, per_channel(1)], tensor(2, (2,)), NONE, "one scale for t1"),
    ("LOGISTIC", [X], tensor(1, (2,)), None, "zero point -128, came 0"),
    ("LOGISTIC", [tensor(0, (2,), 1e-9)], tensor(1, (2,), 1 / 256, -128), None, "above 2\\*\\*-28"),
    ("HARD_SWISH", [X], tensor(1, (2,), 1e-3), None, "HARD_SWISH from scale 1 to 0.001"),
    ("QUANTIZE", [tensor(0, (2,), None, dtype=DType.FLOAT32)], tensor(1, (2,)), None, "no kernel from float32 to int8"),
    ("QUANTIZE", [tensor(0, (2,), dtype=DType.INT32)], tensor(1, (2,)), None, "no kernel from int32 to int8"),
    ("DEQUANTIZE", [X], tensor(1, (2,), None, dtype=DType.FLOAT32), None, "computes no floats"),
    ("SOFTMAX", [X], tensor(1, (2,)), SoftmaxOptions(), "scale 1/256 and zero point -128"),
    ("SOFTMAX", [tensor(0, (5000,))], tensor(1, (5000,), 1 / 256, -128), SoftmaxOptions(), "rows of 1 to 4095"),
    ("MAX_POOL_2D", [image(0, 4)], image(1, 3, 2.0), PIXELS, "expected one quantization"),
    ("MAX_POOL_2D", [image(0, 4)], image(1, 4), PIXELS, "expected an output of shape"),
    ("MEAN", [X, tensor(1, (1,), None, dtype=DType.INT32)], tensor(2, ()), None, "expected a constant as input 1"),
    ("MEAN", [X, constant(1, [3])], tensor(2, ()), None, r"expected axes in \[-1, 0\]"),
    ("PAD", [X, constant(1, [[-1, 0]])], tensor(2, (1,)), None, "pairs of paddings of at least 0"),
    ("CONCATENATION", [X, tensor(1, (2,), 0.5)], tensor(2, (4,)), ConcatenationOptions(0), "expected t1 in the output's quantization"),
    ("CONCATENATION", [X, tensor(1, (2,))], tensor(2, (4,)), ConcatenationOptions(0, Activation.RELU), "no fused activation"),
    ("TRANSPOSE", [X, constant(1, [1])], tensor(2, (2,)), None, "expected a permutation"),
    ("RESIZE_BILINEAR", [image(0, 2), constant(1, [4, 4])], image(2, 4), ResizeOptions(True, True), "came both"),
    ("COS", [X], tensor(1, (2,)), None, "the aot engine has no kernel for this op"),
]


@pytest.mark.parametrize(("kind", "inputs", "out", "options", "reason"), REFUSED, ids=[f"{n}-{case[0]}" for n, case in enumerate(REFUSED)])
def test_what_no_kernel_takes_is_refused(kind: str, inputs: list[Tensor], out: Tensor, options: Options | None, reason: str) -> None:
    """The error names layer, op, version and reason, and says what to do next."""
    with pytest.raises(UnsupportedOpError, match=rf"^{out.name}: {kind} version 2 \(op 0\): .*{reason}") as caught:
        lower(one_op(kind, inputs, [out], options, version=2))
    assert caught.value.hint


@pytest.mark.parametrize("mask", ["ellipsis_mask", "new_axis_mask"])
def test_masks_that_tflm_ignores_are_refused(mask: str) -> None:
    """TFLM's kernel drops these masks without a word; here they are an error."""
    bounds = [constant(1, [0]), constant(2, [1]), constant(3, [1])]
    graph = one_op("STRIDED_SLICE", [X, *bounds], [tensor(4, (1,))], StridedSliceOptions(**{mask: 1}))
    with pytest.raises(UnsupportedOpError, match="no ellipsis, new-axis or offset mask"):
        lower(graph)
