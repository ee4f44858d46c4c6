"""Preflight: ops that an engine lacks are named before anything is generated."""

import pytest
from sample_models import SAMPLES, every_op, float_and_half, int4_weights, with_custom_op
from tflite_builder import ModelBuilder

from edgecompress.artifact import Engine
from edgecompress.codegen import check_supported, find_unsupported, generate_aot
from edgecompress.codegen.tflm_ops import ResolverCall, resolver_calls
from edgecompress.convert import read_tflite
from edgecompress.errors import UnsupportedOpError


def one_op(kind: str, dtype: str = "int8", weights: str | None = None):
    """A graph with one op on a [1, 4] tensor, with weights of their own type (int4: a scale for each channel) for FULLY_CONNECTED."""
    b = ModelBuilder()
    scale = None if dtype == "float32" else 0.1
    facts = {"scale": [0.1, 0.2, 0.3, 0.4], "axis": 0} if weights == "int4" else {"scale": 0.1}
    x, y = (b.tensor((1, 4), dtype, scale=scale, name=name) for name in ("input", "the_layer"))
    extra = [] if weights is None else [b.tensor((4, 4), weights, data=[[1] * 4] * 4, **facts)]
    b.op(kind, [x, *extra], [y], version=9)
    b.inputs(x)
    b.outputs(y)
    return read_tflite(b.build(), name="net")


@pytest.mark.parametrize("engine", [Engine.AOT, Engine.TFLM, Engine.LITERT])
def test_every_op_of_the_list_is_supported(engine):
    """Nothing is found for the model with every op."""
    assert find_unsupported(read_tflite(every_op()), engine) == ()


@pytest.mark.parametrize(
    ("kind", "engine"), [("ELU", Engine.AOT), ("CUSTOM:Mine", Engine.AOT), ("CUSTOM:Mine", Engine.TFLM), ("HASHTABLE", Engine.TFLM)]
)
def test_an_unknown_op_is_named(kind, engine):
    """The error has the op, its version and the layer, and a way out."""
    with pytest.raises(UnsupportedOpError, match=rf"net: the_layer: {kind} version 9 \(op 0\)") as caught:
        check_supported(one_op(kind), engine)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        pytest.param(lambda: one_op("FULLY_CONNECTED", "float32", "int8"), "dynamic range", id="hybrid"),
        pytest.param(lambda: one_op("FULLY_CONNECTED", "int8", "int4"), "int4 weights", id="int4 dense"),
        pytest.param(lambda: read_tflite(float_and_half()), "float16 weights", id="float16"),
    ],
)
def test_types_that_tflm_refuses(graph, reason):
    """Types that TFLM's kernels are known to refuse are found without running it."""
    (finding,) = find_unsupported(graph(), Engine.TFLM)
    assert reason in finding.message and finding.fix


def test_every_finding_is_listed():
    """All unsupported ops are found, not only the first, and the error says how many more there are."""
    found = find_unsupported(read_tflite(float_and_half()), Engine.AOT)
    assert [f.kind for f in found] == ["DEQUANTIZE", "FULLY_CONNECTED"]
    with pytest.raises(UnsupportedOpError, match="and 1 more"):
        check_supported(read_tflite(float_and_half()), Engine.AOT)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_preflight_agrees_with_the_generator(make):
    """The aot generator takes exactly the graphs that preflight passes."""
    graph = read_tflite(make())
    if find_unsupported(graph, Engine.AOT):
        with pytest.raises(UnsupportedOpError):
            generate_aot(graph)
    else:
        generate_aot(graph)


def test_int8_registrations_only_where_all_is_int8():
    """The int8-only registration of a kind is taken when every op of that kind is int8, and never for int4 weights."""
    assert ResolverCall("AddConv2D", "Register_CONV_2D_INT8") in resolver_calls(read_tflite(every_op()))
    assert resolver_calls(read_tflite(int4_weights())) == (ResolverCall("AddConv2D"),)
    assert resolver_calls(one_op("FULLY_CONNECTED", "float32", "float32")) == (ResolverCall("AddFullyConnected"),)


def test_custom_ops_are_refused_by_both_engines():
    """A custom op is refused whatever the engine."""
    for engine in (Engine.AOT, Engine.TFLM):
        assert find_unsupported(read_tflite(with_custom_op()), engine)
