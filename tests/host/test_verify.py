"""The ladder says which runtimes agree, and finds where a difference starts."""

import numpy as np
import pytest
from sample_models import float_and_half, tiny_classifier
from tflite_builder import ModelBuilder

from edgecompress.convert import read_tflite
from edgecompress.device.interpreters import LiteRtReference, TflmHost
from edgecompress.errors import ModelError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.layers import compare_layers
from edgecompress.pipeline.measure import measure
from edgecompress.pipeline.reference import check_parity, compare_bytes
from edgecompress.pipeline.sources import LoadedModel
from edgecompress.pipeline.verify import Status, first_difference, known_cause, verify_loaded
from edgecompress.target import KernelSet
from tests.op_cases import OpCases


def _loaded(data, name="toy"):
    return LoadedModel(data, read_tflite(data, name=name))


def _samples(model, count=4):
    sizes = [model.graph.tensor(i).bytes for i in model.graph.inputs]
    return [lcg_inputs(seed, sizes) for seed in range(1, count + 1)]


def _dense(outputs=256):
    """One FULLY_CONNECTED wide enough that single and double rounding part somewhere."""
    rng = np.random.default_rng(3)
    builder = ModelBuilder()
    x = builder.tensor([1, 64], "int8", scale=0.05, zero_point=3, name="x")
    w = builder.tensor([outputs, 64], "int8", scale=0.01, zero_point=0, data=rng.integers(-1, 2, (outputs, 64)).astype(np.int8))
    b = builder.tensor([outputs], "int32", scale=0.0005, zero_point=0, data=rng.integers(-999, 999, outputs).astype(np.int32))
    y = builder.tensor([1, outputs], "int8", scale=0.0023, zero_point=-5, name="y")
    builder.op("FULLY_CONNECTED", [x, w, b], [y])
    builder.inputs(x)
    builder.outputs(y)
    return builder.build()


@pytest.fixture(scope="module")
def report():
    """One climb of the ladder, without a Keras model."""
    model = _loaded(tiny_classifier())
    return verify_loaded(model, _samples(model), source="generated")


def test_generated_c_gives_tflms_bytes(report):
    """The rung that must be equal is, over all output bytes."""
    rung = next(rung for rung in report.rungs if rung.name.startswith("generated C"))
    assert (rung.status, rung.mismatched_bytes) == (Status.EQUAL, 0)
    assert rung.total_bytes
    assert report.ok


def test_a_missing_rung_says_what_it_needs(report):
    """Without the Keras model its rung is missing, by name, and the report is still right."""
    rung = report.rungs[0]
    assert rung.status is Status.MISSING
    assert "--keras" in rung.note


def test_every_activation_of_both_interpreters_is_seen():
    """Both traces hold arrays of the tensors' own shapes, and they agree where the kernels do."""
    model = _loaded(tiny_classifier())
    sample = _samples(model, 1)[0]
    tflm, litert = TflmHost(model.data, model.graph).trace(sample), LiteRtReference(model.data, model.graph).trace(sample)
    for op in model.graph.ops:
        for index in op.outputs:
            assert tflm[index].size == litert[index].size == model.graph.tensor(index).elements


def test_single_rounding_of_dense_layers_is_a_known_cause():
    """LiteRT's FULLY_CONNECTED differs from TensorFlow Lite Micro's; the ladder names op and cause, and still stands."""
    model = _loaded(_dense())
    rungs = {rung.name: rung for rung in verify_loaded(model, _samples(model, 8), source="generated").rungs}
    rung = rungs["LiteRT reference"]
    assert rung.mismatched_bytes, "expected the two roundings to part on this layer; choose another seed"
    assert rung.status is Status.WITHIN
    assert rung.first_op.startswith("op 0 FULLY_CONNECTED")
    assert "rounds once" in rung.cause


def test_a_model_that_litert_refuses_is_compared_with_tflm_alone():
    """Biases with their weights' axis, as converters of 2020 wrote them: LiteRT's rungs are missing with its reason, the C is compared."""
    c = OpCases(4)
    scales = np.full(4, 0.01, np.float32)
    x, weights = c.input((1, 4, 4, 3), scale=0.05, zero_point=0), c.constant(c.data((4, 3, 3, 3)), "int8", scale=scales, axis=0)
    bias = c.constant(c.rng.integers(-100, 100, 4), "int32", scale=scales * 0.05, axis=3)
    c.builder.op("CONV_2D", [x, weights, bias], [c.output((1, 4, 4, 4), scale=0.5, zero_point=0)], padding="SAME", stride_h=1, stride_w=1)
    model = _loaded(c.build()[0])
    report = verify_loaded(model, _samples(model, 2), source="generated")
    rungs = {rung.name: rung for rung in report.rungs}
    assert report.ok and rungs["generated C on cortex-m4"].status is Status.EQUAL
    refused = [rung for name, rung in rungs.items() if name != "generated C on cortex-m4"]
    assert len(refused) == 3
    assert all(rung.status is Status.MISSING and "quantized_dimension" in rung.note and len(rung.note) <= 100 for rung in refused)


def test_the_first_difference_is_found_by_op():
    """Of two traces that part in the middle, the op that wrote the first other value is named."""
    model = _loaded(tiny_classifier())
    graph = model.graph
    left = LiteRtReference(model.data, graph).trace(_samples(model, 1)[0])
    right = {index: array.copy() for index, array in left.items()}
    assert first_difference(graph, left, right) is None
    second = graph.ops[1]
    for op in graph.ops[1:]:
        right[op.outputs[0]] = right[op.outputs[0]] + 1
    assert first_difference(graph, left, right) is second
    assert known_cause(second, "generated C on cortex-m4") == ""


def test_wrong_bytes_are_counted():
    """A device that is off by two in one byte of one input is reported as just that."""
    model = _loaded(tiny_classifier())
    samples = _samples(model, 3)
    tflm = TflmHost(model.data, model.graph)

    def off(sample):
        outputs = [bytearray(raw) for raw in tflm.run(sample)]
        if sample == samples[1]:
            outputs[0][0] = (outputs[0][0] + 2) % 256 if outputs[0][0] != 127 else 125
        return [bytes(raw) for raw in outputs]

    parity = check_parity(off, model, samples)
    assert (parity.inputs, parity.mismatched_bytes, parity.largest_difference) == (3, 1, 2)
    assert compare_bytes(model, [b"\x7f"] * len(model.graph.outputs), [b"\x80"] * len(model.graph.outputs))[1] == 255


def test_a_wrong_kernel_is_found_by_its_op(monkeypatch):
    """With a lowering that drops a bias, the core's own memory shows the op where the difference starts, and no cause excuses it."""
    from edgecompress.codegen.lower import fully_connected

    model = _loaded(tiny_classifier())
    kinds = [op.kind for op in model.graph.ops]
    broken = kinds.index("FULLY_CONNECTED")
    original = fully_connected.LOWER["FULLY_CONNECTED"]

    def wrong(graph, op, names):
        step = original(graph, op, names)
        from dataclasses import replace

        from edgecompress.codegen.program import Constant, ConstantArg

        def damaged(argument):
            if isinstance(argument, ConstantArg) and argument.constant is not None and argument.constant.c_type == "int32_t":
                constant = argument.constant
                return ConstantArg(Constant(constant.symbol, constant.c_type, constant.values + 20_000, constant.comment))
            return argument

        return replace(step, arguments=tuple(damaged(argument) for argument in step.arguments))

    import edgecompress.codegen.lower as lower

    table = next(value for value in vars(lower).values() if isinstance(value, dict) and value.get("FULLY_CONNECTED") is original)
    monkeypatch.setitem(table, "FULLY_CONNECTED", wrong)
    # The core's own kernels read the bias themselves.
    monkeypatch.setitem(lower.FASTER, KernelSet.THUMB1, ())
    report = verify_loaded(model, _samples(model), source="generated", target="cortex-m0plus", layers=True)
    rung = next(rung for rung in report.rungs if rung.name.startswith("generated C"))
    assert rung.status is Status.DIFFERS
    assert rung.first_op.startswith(f"op {broken} FULLY_CONNECTED")
    assert not report.ok
    first = next(layer for layer in report.layers if layer.differs)
    assert (first.op, first.kind) == (broken, "FULLY_CONNECTED") and first.largest > 0


def test_layers_agree_op_by_op():
    """Asked for, every op is compared over all inputs, all elements of it, and a right model differs nowhere."""
    model = _loaded(tiny_classifier())
    report = verify_loaded(model, _samples(model, 2), source="generated", layers=True)
    assert [layer.kind for layer in report.layers] == [op.kind for op in model.graph.ops]
    assert not any(layer.differs for layer in report.layers)
    for layer, op in zip(report.layers, model.graph.ops, strict=True):
        assert layer.elements in (0, 2 * model.graph.tensor(op.outputs[0]).elements)
    assert sum(layer.elements > 0 for layer in report.layers) >= len(report.layers) - 2


def test_traces_are_compared_in_counts():
    """Of two traces the elements that differ are counted, the largest difference in counts; a tensor that one lacks counts nothing."""
    graph = read_tflite(tiny_classifier())
    first, second = graph.ops[0].outputs[0], graph.ops[1].outputs[0]
    left = {first: np.array([-128, 5, 7], np.int8)}
    right = {first: np.array([127, 5, 8], np.int8), second: np.array([1], np.int8)}
    layers = compare_layers(graph, [[b""], [b""]], lambda _: left, lambda _: right)
    assert (layers[0].elements, layers[0].differing, layers[0].largest) == (6, 4, 255.0)
    assert (layers[1].elements, layers[1].differs) == (0, False)


def test_a_refusal_of_tflm_says_why_and_nothing_else(capfd):
    """The interpreter's own reason is in the error, and not loose on stderr."""
    model = _loaded(float_and_half())
    with pytest.raises(ModelError, match=r"refuses this model: .*DEQUANTIZE") as caught:
        TflmHost(model.data, model.graph)
    assert "int8" in caught.value.hint
    assert capfd.readouterr().err == ""


def test_what_only_litert_takes_is_measured_without_parity(tmp_path):
    """A float16 model runs on this computer; there are no reference bytes to compare it with."""
    path = tmp_path / "half.tflite"
    path.write_bytes(float_and_half())
    profile = measure("local", path, runs=2, warmup=0)
    assert profile.latency.runs == 2
    assert profile.parity is None


def test_inputs_that_a_model_cannot_take_are_no_bug():
    """An index outside of a table stops LiteRT; that is the inputs' fault, and said so."""
    builder = ModelBuilder()
    table = builder.tensor([4, 2], "int8", scale=1.0, zero_point=0, data=np.zeros((4, 2), np.int8))
    x = builder.tensor([3], "int32", name="x")
    y = builder.tensor([3, 2], "int8", scale=1.0, zero_point=0, name="y")
    builder.op("GATHER", [table, x], [y])
    builder.inputs(x)
    builder.outputs(y)
    model = _loaded(builder.build())
    with pytest.raises(ModelError, match=r"LiteRT failed: .*index out of bounds") as caught:
        LiteRtReference(model.data, model.graph).run([np.array([0, 1, 99], np.int32).tobytes()])
    assert "--data" in caught.value.hint
