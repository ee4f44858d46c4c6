"""Preflight for TensorFlow Lite Micro: its table and its rules against the host interpreter, which has the last word."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tflm_cases import MAKERS, TYPES, OneOp, host_takes

from edgecompress.artifact import Engine
from edgecompress.codegen import find_unsupported, generate_tflm
from edgecompress.codegen.tflm_ops import _ADD_NAMES
from edgecompress.codegen.tflm_types import accepted_types
from edgecompress.convert import read_tflite
from edgecompress.errors import UnsupportedOpError

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs TFLM's host interpreter: pip install tflite-micro (Linux x86-64 only)"
)

# Ops with operands of their own making, which the table takes from the kernels' sources.
NOT_MADE = {"CUSTOM:CIRCULAR_BUFFER", "CUSTOM:TFLite_Detection_PostProcess", "CUSTOM:ethos-u", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"}
# Ops that read any bytes as booleans, without looking at the type.
UNCHECKED = {"LOGICAL_AND", "LOGICAL_OR"}


def test_every_op_of_the_resolver_is_tried():
    """Each op that a resolver can register has a model here, and the few that have none are named."""
    assert set(_ADD_NAMES) == set(MAKERS) | NOT_MADE


@needs_wheel
@pytest.mark.timeout(300)
def test_the_table_of_types_is_the_interpreter_s():
    """For each op and element type: preflight finds something exactly where the host interpreter does not start or run the model."""
    models = {(kind, dtype): maker(OneOp(dtype), kind) for kind, maker in MAKERS.items() for dtype in TYPES}
    taken = dict(zip(models, host_takes(list(models.values())), strict=True))
    found = {case: not find_unsupported(read_tflite(data, name="net"), Engine.TFLM) for case, data in models.items()}
    assert {case for case in models if found[case] != taken[case] and case[0] not in UNCHECKED} == set()
    for kind in UNCHECKED:
        assert {dtype for dtype in TYPES if found[kind, dtype]} == {dtype.value for dtype in accepted_types(kind) or ()}
    run = sum(taken.values())
    print(f"{len(models)} models of one op: {run} run on TensorFlow Lite Micro, {len(models) - run} are refused")


@dataclass(frozen=True)
class Rejection:
    """A model, words of the finding (none where it is fine), and whether the interpreter starts and runs it all the same."""

    name: str
    make: Callable[[], bytes]
    words: str
    host_takes: bool = False


def dense(weights: str = "int8", *, scale=0.1, zero_point=0, axis=None, bias: float = 0.01, dtype: str = "int8") -> bytes:
    c = OneOp(dtype)
    w = c.constant(np.ones((4, 8), np.int64), weights, scale=scale, zero_point=zero_point, axis=axis)
    b = c.constant(np.zeros(4), "float32" if dtype == "float32" else "int32", scale=bias)
    return c.build("FULLY_CONNECTED", [c.input((1, 8)), w, b], c.tensor((1, 4)))


def conv(weights: str = "int8", *, scale=0.1, zero_point=0, axis=None, dtype: str = "int8", kind: str = "CONV_2D") -> bytes:
    c = OneOp(dtype)
    w = c.constant(
        np.ones((4, 3, 3, 4) if kind == "CONV_2D" else (1, 3, 3, 4), np.int64), weights, scale=scale, zero_point=zero_point, axis=axis
    )
    more = {} if kind == "CONV_2D" else {"depth_multiplier": 1}
    return c.build(kind, [c.input(), w], c.tensor((1, 4, 4, 4)), padding="SAME", stride_h=1, stride_w=1, **more)


def unary(kind: str, dtype: str = "int8", facts=None, **output) -> bytes:
    c = OneOp(dtype)
    options = {"beta": 1.0} if kind == "SOFTMAX" else {}
    return c.build(kind, [c.input(**(facts or {}))], c.tensor((1, 4, 4, 4), **output), **options)


def pool(scale: float) -> bytes:
    c = OneOp("int8")
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    return c.build("MAX_POOL_2D", [c.input()], c.tensor((1, 2, 2, 4), scale=scale), **options)


def joined(count: int, scale: float = 0.1) -> bytes:
    c = OneOp("int8")
    return c.build("CONCATENATION", [c.input((1, 4), scale=scale) for _ in range(count)], c.tensor((1, 4 * count)), axis=1)


def transposed(rank: int, *, constant: bool = True) -> bytes:
    c = OneOp("int8")
    order = c.constant(list(range(rank))) if constant else c.input((rank,), "int32")
    return c.build("TRANSPOSE", [c.input((1,) * rank), order], c.tensor((1,) * rank))


def added(**facts) -> bytes:
    c = OneOp("int8")
    return c.build("ADD", [c.input(), c.constant(np.ones((1, 4, 4, 4), np.int64), "int8", **facts)], c.tensor((1, 4, 4, 4)))


def half() -> bytes:
    c = OneOp("float16")
    whole = c.tensor((1, 4), "float32")
    c.builder.op("DEQUANTIZE", [c.constant(np.ones((1, 4)), "float16")], [whole])
    return c.build("ADD", [c.input((1, 4), "float32"), whole], c.tensor((1, 4), "float32"))


def converted(kind: str, source: str, target: str) -> bytes:
    c = OneOp(source)
    return c.build(kind, [c.input((1, 4))], c.tensor((1, 4), target, **({"scale": 0.1} if target == "int32" else {})))


FOUR = [0.1, 0.2, 0.3, 0.4]
REJECTIONS = [
    Rejection("dense", dense, "", host_takes=True),
    Rejection("dense, a scale a channel", lambda: dense(scale=FOUR, axis=0), "", host_takes=True),
    Rejection("dense, int4", lambda: dense("int4"), "", host_takes=True),
    Rejection("dense, int4, a scale a channel", lambda: dense("int4", scale=FOUR, axis=0), "int4 weights with a scale for each channel"),
    Rejection("dense, hybrid", lambda: dense(dtype="float32"), "dynamic range"),
    Rejection("dense, int16 weights", lambda: dense("int16"), "int16 weights do not go with an input of int8"),
    Rejection("dense, weights with a zero point", lambda: dense(zero_point=3), "zero point", host_takes=True),
    Rejection("dense, bias of another scale", lambda: dense(bias=0.02), "its bias has the scale 0.02; expected 0.01"),
    Rejection("convolution", conv, "", host_takes=True),
    Rejection("convolution, a scale a channel", lambda: conv(scale=FOUR, axis=0), "", host_takes=True),
    Rejection("convolution, int4", lambda: conv("int4", scale=FOUR, axis=0), "", host_takes=True),
    Rejection("convolution, hybrid", lambda: conv(dtype="float32"), "dynamic range"),
    Rejection("convolution, scales along another axis", lambda: conv(scale=FOUR, axis=3), "expected 1, or 4 along axis 0", host_takes=True),
    Rejection("convolution, weights with a zero point", lambda: conv(zero_point=3), "zero point", host_takes=True),
    Rejection("depthwise, a scale a channel", lambda: conv(scale=FOUR, axis=3, kind="DEPTHWISE_CONV_2D"), "", host_takes=True),
    Rejection("float16", half, "float16 weights"),
    Rejection("addition, several scales", lambda: added(scale=FOUR, axis=3), "4 scales; only weights", host_takes=True),
    Rejection("softmax to another scale", lambda: unary("SOFTMAX", scale=0.1, zero_point=-128), "expected 0.00390625 and -128"),
    Rejection("logistic to another zero point", lambda: unary("LOGISTIC", scale=1 / 256, zero_point=0), "expected -128"),
    Rejection("int16 with a zero point", lambda: unary("RELU", "int16", {"zero_point": 5}), "int16 with a zero point"),
    Rejection("pooling to another scale", lambda: pool(0.2), "different scales"),
    Rejection("pooling to nearly the same scale", lambda: pool(0.1000005), "", host_takes=True),
    Rejection("ten joined", lambda: joined(10), "", host_takes=True),
    Rejection("eleven joined", lambda: joined(11), "at most 10"),
    Rejection("joined with another scale", lambda: joined(2, 0.2), "different scales"),
    Rejection("five dimensions", lambda: transposed(5), "", host_takes=True),
    Rejection("six dimensions", lambda: transposed(6), "6 dimensions; expected 0 to 5"),
    Rejection("an order that is computed", lambda: transposed(4, constant=False), "expected a constant"),
    Rejection("int32 to uint8", lambda: converted("QUANTIZE", "int32", "uint8"), "converts int32 to uint8"),
    # Interpreters newer than the table's sources take this one.
    Rejection("int8 to bool", lambda: converted("CAST", "int8", "bool"), "converts int8 to bool", host_takes=True),
    Rejection("int8 to int32", lambda: converted("QUANTIZE", "int8", "int32"), "", host_takes=True),
]


@pytest.mark.parametrize("rejection", REJECTIONS, ids=lambda rejection: rejection.name)
def test_known_rejections_are_found_and_explained(rejection):
    """Each finding names op and layer, says why, and what to do."""
    found = find_unsupported(read_tflite(rejection.make(), name="net"), Engine.TFLM)
    assert len(found) == (1 if rejection.words else 0), found
    for finding in found:
        assert rejection.words in finding.message and finding.fix and finding.layer in finding.message and finding.kind in finding.message


@needs_wheel
def test_the_interpreter_confirms_the_rejections():
    """The host interpreter refuses what preflight says it refuses, and takes the rest; where it takes what preflight finds, it computes
    with the first scale, or without the zero point."""
    said = host_takes([rejection.make() for rejection in REJECTIONS])
    assert [r.name for r, takes in zip(REJECTIONS, said, strict=True) if takes != r.host_takes] == []


@needs_wheel
def test_a_refusal_when_it_runs_is_a_refusal(monkeypatch):
    """A kernel that refuses only at its first inference, past preflight, is an error with TFLM's own words."""
    monkeypatch.setattr("edgecompress.codegen.tflm.check_supported", lambda *_: None)
    data = MAKERS["ELU"](OneOp("int16"), "ELU")
    with pytest.raises(UnsupportedOpError, match="refuses this model"):
        generate_tflm(read_tflite(data, name="net"), data)


def test_the_manual_has_the_table():
    """docs/tflm.md names each op in the row of its types."""
    text = (Path(__file__).parents[2] / "docs" / "tflm.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:(?:float32|u?int\d+|bool)(?:, )?)+) \| ([A-Z0-9_: ]+) \|$", text, re.MULTILINE)
    said = {kind: frozenset(types.split(", ")) for types, kinds in rows for kind in kinds.split()}
    known = {kind: accepted_types(kind) for kind in _ADD_NAMES}
    assert said == {kind: frozenset(dtype.value for dtype in types) for kind, types in known.items() if types is not None}
    assert all(kind in text for kind, types in known.items() if types is None)
