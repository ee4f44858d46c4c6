"""read_tflite: what it makes of sound files, and the sentence it has for each kind of wrong one."""

import re
import time
import tracemalloc

import fuzz_reader
import numpy as np
import pytest
from sample_models import SAMPLES, every_op, float_and_half, int4_weights, tiny_classifier, with_custom_op
from tflite_builder import ModelBuilder, pack_model, parse_model, schema

from edgecompress.convert import read_model_bytes, read_tflite
from edgecompress.convert.schema import BUILTIN_NAMES
from edgecompress.errors import ModelError
from edgecompress.graph import Activation, ConvOptions, DType, Padding, PoolOptions

WITH_BIAS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}


def refuse(data: bytes, sentence: str) -> None:
    """The file is refused with one line that matches `sentence`, and a hint."""
    with pytest.raises(ModelError, match=sentence) as caught:
        read_tflite(data, name="m.tflite")
    assert caught.value.message.startswith("m.tflite")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def spoiled(change, make=tiny_classifier) -> bytes:
    """A sample model after `change(model)` on the schema's objects."""
    model = parse_model(make())
    change(model)
    return pack_model(model)


def graph_of(model):
    return model.subgraphs[0]


# ---- sound files


def test_a_classifier_is_read_whole():
    """Names, shapes, quantization, options, constants and counts are those of the file."""
    data = tiny_classifier()
    graph = read_tflite(data, name="Tiny Net.tflite")
    assert (graph.name, graph.file_bytes, graph.subgraphs) == ("tiny_net", len(data), 1)
    assert [op.kind for op in graph.ops][:3] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    conv = graph.ops[0]
    assert conv.version == 3
    assert conv.options == ConvOptions(Padding.SAME, 2, 2, 1, 1, Activation.RELU)
    x, weights, bias = graph.op_inputs(conv)
    assert x.name == "serving_default_input:0" and x.shape == (1, 8, 8, 1) and x.dtype is DType.INT8 and not x.is_constant
    assert x.scale == np.float32(0.05) and x.zero_point == 3
    assert weights.quantization.axis == 0 and len(weights.quantization.scales) == 4
    assert weights.data.shape == (4, 3, 3, 1) and weights.data.dtype == np.int8
    assert bias.data.dtype == np.int32
    pool = next(op for op in graph.ops if op.kind == "AVERAGE_POOL_2D")
    assert pool.options == PoolOptions(Padding.VALID, 4, 4, 4, 4)
    assert graph.macs == 16 * 4 * 9 + 16 * 4 * 9 + 16 * 16 + 16
    assert graph.parameters == (36 + 4) + (36 + 4) + (16 + 4) + (16 + 4)


def test_constants_are_views_of_the_file():
    """Weights are not copied."""
    data = tiny_classifier()
    weights = read_tflite(data).tensors[1]
    assert np.shares_memory(weights.data, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_accepted(name):
    """Each sample model is read, and what later rooms do with a graph works."""
    fuzz_reader.use(read_tflite(SAMPLES[name]()))


def test_every_op_of_the_list_is_named():
    """The sample with every op gives their builtin names back."""
    kinds = {op.kind for op in read_tflite(every_op()).ops}
    assert len(kinds) == 34 and "BUILTIN" not in "".join(kinds)


def test_int4_weights_are_unpacked():
    """An odd number of int4 weights comes out as int8, the low half of each byte first, sign extended."""
    values = np.random.default_rng(7).integers(-7, 8, 27)
    weights = read_tflite(int4_weights()).tensors[1]
    assert weights.dtype is DType.INT4 and weights.bytes == 14
    np.testing.assert_array_equal(weights.data.reshape(-1), values)


def test_float_and_half_are_read():
    """Float models are read too: it is an engine that refuses them, not the reader."""
    graph = read_tflite(float_and_half())
    assert [t.dtype for t in graph.tensors] == [DType.FLOAT32, DType.FLOAT16, DType.FLOAT32, DType.FLOAT32]
    assert graph.tensors[0].quantization is None
    assert graph.ops[1].inputs == (0, 2, -1) and graph.op_inputs(graph.ops[1])[2] is None


def test_custom_ops_and_variables():
    """A custom op is named CUSTOM:name; a variable may be read though nothing wrote it; an input may be an output."""
    graph = read_tflite(with_custom_op())
    assert (graph.ops[0].kind, graph.ops[0].version) == ("CUSTOM:MyFilter", 2)
    assert graph.outputs == (2, 0)


def test_builtin_names_are_the_schema_s():
    """The table of names equals the published enumeration."""
    codes = {v: k for k, v in vars(schema().BuiltinOperator).items() if not k.startswith("_")}
    assert dict(enumerate(BUILTIN_NAMES)) == codes


def test_old_and_new_operator_codes():
    """Files with only the one-byte code, and codes above 127, are both understood; a code from the future is BUILTIN_n."""

    def only_old(model):
        for code in model.operatorCodes:
            code.builtinCode = 0

    def future(model):
        model.operatorCodes[4].builtinCode, model.operatorCodes[4].deprecatedBuiltinCode = 999, 127

    assert [op.kind for op in read_tflite(spoiled(only_old)).ops] == [op.kind for op in read_tflite(tiny_classifier()).ops]
    assert any(op.kind == "BUILTIN_999" for op in read_tflite(spoiled(future)).ops)


def test_a_free_batch_is_a_batch_of_one():
    """Converters write a free batch as -1 in the signature; every runtime runs it as 1."""
    graph = read_tflite(tiny_classifier())
    assert graph.tensors[graph.inputs[0]].shape[0] == 1


def test_empty_scales_mean_not_quantized():
    """A quantization table without scales is none."""
    model = parse_model(float_and_half())
    graph_of(model).tensors[0].quantization = schema().QuantizationParametersT()
    assert read_tflite(pack_model(model)).tensors[0].quantization is None


def test_data_behind_the_flatbuffer():
    """A buffer may name an offset and a size in the file instead of holding its data."""

    def move(model):
        model.buffers[1].data = None
        model.buffers[1].offset, model.buffers[1].size = 4096, 36

    data = spoiled(move)
    data += bytes(4096 - len(data)) + bytes(range(36))
    np.testing.assert_array_equal(read_tflite(data).tensors[1].data.reshape(-1), np.arange(36))
    refuse(data[:4100], "buffer 1 reaches to byte 4132")


# ---- files that are none


def test_files_that_are_no_models_have_their_own_sentences(tmp_path):
    """Missing, a folder, empty, short, Keras and foreign files are told apart."""
    cases = {"empty": b"", "short": b"TFL3", "foreign": b"hello, world, this is text", "net.keras": b"PK\x03\x04" + bytes(60)}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    sentences = {
        "missing": "there is no such file",
        ".": "this is a folder",
        "empty": "the file is empty",
        "short": "only 4 bytes",
        "foreign": "not a .tflite file",
        "net.keras": "this is a .keras or other ZIP file",
    }
    for name, sentence in sentences.items():
        with pytest.raises(ModelError, match=sentence) as caught:
            read_tflite(tmp_path / name)
        assert str(tmp_path) in caught.value.message and caught.value.hint


def test_devices_are_not_read():
    """A path like /dev/zero is refused, not read for ever."""
    from pathlib import Path

    with pytest.raises(ModelError, match="a device or a pipe"):
        read_model_bytes(Path("/dev/zero"))


@pytest.mark.parametrize("make", [tiny_classifier, int4_weights])
def test_every_truncation_is_refused(make):
    """Cutting a file anywhere (in steps of 16 bytes) gives an error, or the end was padding."""
    data = make()
    for size in range(0, len(data) - 16, 16):
        with pytest.raises(ModelError):
            read_tflite(data[:size])


# ---- wrong meaning


def test_unknown_shapes():
    """A dimension that is unknown before the model runs is an error that names the tensor and the way out."""

    def unknown(model):
        graph_of(model).tensors[0].shapeSignature = np.array([-1, -1, -1, 1], np.int32)
        graph_of(model).tensors[0].shape = np.array([1, 1, 1, 1], np.int32)

    refuse(spoiled(unknown), r"serving_default_input:0.*\[-1, -1, -1, 1\].*unknown before it runs")


def _set(path: str, value):
    """A change: `path` is an expression on the model `m` and its graph `g`."""

    def change(model):
        target, field = path.rsplit(".", 1)
        setattr(eval(target, {"m": model, "g": graph_of(model)}), field, value)

    return change


def _ints(*values: int):
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("m.version", 2, "schema version 2; expected 3"),
        ("m.subgraphs", [], "holds no graph"),
        ("m.operatorCodes", [], "operator code 0; the file has 0"),
        ("m.operatorCodes[0].version", 0, "version 0"),
        ("g.inputs", _ints(99), "inputs of subgraph 0 name tensor 99"),
        ("g.inputs", _ints(-1), "name tensor -1"),
        ("g.inputs", _ints(0, 0), "already an input"),
        ("g.inputs", _ints(1), "already a constant"),
        ("g.inputs", None, "has no inputs"),
        ("g.outputs", None, "has no outputs"),
        ("g.operators", [], "has no operators"),
        ("g.operators[0].opcodeIndex", 77, "operator code 77"),
        ("g.operators[0].inputs", _ints(0, 1, 2**31 - 1), "inputs of op 0 name tensor 2147483647"),
        ("g.operators[0].inputs", _ints(0), "input 1 is missing"),
        ("g.operators[0].inputs", _ints(-1, 1, 2), "input 0 is missing"),
        ("g.operators[0].inputs", _ints(6, 1, 2), "before anything wrote it"),
        ("g.operators[0].inputs", _ints(3, 1, 2), "before anything wrote it"),
        ("g.operators[1].outputs", _ints(3), "already an output of op 0"),
        ("g.operators[0].outputs", _ints(0), "already an input of the graph"),
        ("g.operators[0].outputs", _ints(1), "already a constant"),
        ("g.operators[0].outputs", None, "has no outputs"),
        ("g.operators[0].outputs", _ints(-1), "outputs of op 0 name tensor -1"),
        ("g.operators[0].builtinOptionsType", 5, "options are of type 5; expected 1"),
        ("g.operators[0].builtinOptions", None, "options are missing"),
        ("g.operators[0].builtinOptions.strideH", 0, "vertical stride is 0"),
        ("g.operators[0].builtinOptions.strideW", -1, "horizontal stride is -1"),
        ("g.operators[0].builtinOptions.dilationHFactor", 0, "vertical dilation is 0"),
        ("g.operators[0].builtinOptions.padding", 2, "padding is 2"),
        ("g.operators[0].builtinOptions.fusedActivationFunction", 6, "fused activation is 6"),
        ("g.operators[0].builtinOptions.strideH", 4, r"expected \[1, 2, 4, 4\]"),
        ("g.tensors[0].type", 21, "element type 21"),
        ("g.tensors[0].type", -1, "element type -1"),
        ("g.tensors[0].shape", _ints(1, 8, 8, -1), "unknown before it runs"),
        ("g.tensors[0].shape", _ints(1, 8, 0, 1), "no elements"),
        ("g.tensors[0].shape", _ints(1, 8, 8), "expected 4 dimensions"),
        ("g.tensors[0].shape", _ints(1, 65536, 65536, 1), "expected at most"),
        ("g.tensors[0].shape", _ints(*[1] * 9), "9 dimensions"),
        ("g.tensors[0].buffer", 999, "buffer 999"),
        ("g.tensors[0].externalBuffer", 1, "another file"),
        ("g.tensors[1].shape", _ints(4, 3, 3, 2), "36 bytes of data; expected 72"),
        ("g.tensors[1].type", 2, "36 bytes of data; expected 144"),
        ("g.tensors[1].quantization.scale", np.array([1, 1, 0, 1], np.float32), "scale of channel 2 is 0"),
        ("g.tensors[1].quantization.scale", np.array([1, 1, -1, 1], np.float32), "scale of channel 2 is -1"),
        ("g.tensors[1].quantization.scale", np.array([np.nan] * 4, np.float32), "scale of channel 0 is nan"),
        ("g.tensors[1].quantization.scale", np.array([np.inf] * 4, np.float32), "scale of channel 0 is inf"),
        ("g.tensors[1].quantization.scale", np.ones(3, np.float32), "3 scales and 4 zero points"),
        ("g.tensors[1].quantization.quantizedDimension", 3, "4 scales along axis 3"),
        ("g.tensors[1].quantization.quantizedDimension", -1, "4 scales along axis -1"),
        ("g.tensors[1].quantization.zeroPoint", np.array([0, 0, 128, 0]), "zero points from 0 to 128; expected -128 to 127"),
        ("g.tensors[0].quantization.detailsType", 1, "in blocks or in a custom way|not a whole"),
    ],
)
def test_contradictions_are_refused(path, value, sentence):
    """Each index, size, count, scale or option that cannot be is one sentence with the tensor or op."""
    refuse(spoiled(_set(path, value)), sentence)


def test_a_list_has_one_axis():
    """Scales of a bias that names its weights' axis are its own entries'."""
    model = read_tflite(spoiled(_set("g.tensors[2].quantization.quantizedDimension", 3)), name="m")
    quantization = model.tensor(2).quantization
    assert quantization is not None and quantization.axis == 0 and len(quantization.scales) == 4


def test_negative_operator_codes():
    """A code below 0 is no op."""

    def negative(model):
        model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = -7, -1

    refuse(spoiled(negative), "operator code 0 is number -1")


def test_sparse_tensors_are_refused():
    """Sparse storage is named, with the way out."""

    def sparse(model):
        graph_of(model).tensors[1].sparsity = schema().SparsityParametersT()

    refuse(spoiled(sparse), "stored sparse")


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "options", "sentence"),
    [
        ("ADD", [(1, 4), (1, 3)], (1, 4), {}, "do not go together"),
        ("CONCATENATION", [(1, 4), (2, 4)], (1, 8), {"axis": 1}, "cannot be joined"),
        ("CONCATENATION", [(1, 4), (1, 4)], (1, 8), {"axis": 2}, "axis 2 is outside"),
        ("PACK", [(4,), (4,)], (2, 4), {"axis": 0, "values_count": 3}, "expected 3 of one shape"),
        ("RESHAPE", [(4, 4)], (15,), {}, "cannot become"),
        ("MAX_POOL_2D", [(1, 4, 4, 2)], (1, 2, 2, 2), {"filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}, "expected"),
        ("SOFTMAX", [(1, 4)], (1, 5), {"beta": 1.0}, "expected"),
        ("SOFTMAX", [(1, 4)], (1, 4), {"beta": float("nan")}, "beta is nan"),
        ("LEAKY_RELU", [(1, 4)], (1, 4), {"alpha": float("inf")}, "alpha is inf"),
    ],
)
def test_shapes_must_fit_the_op(kind, inputs, output, options, sentence):
    """An op whose output cannot come from its inputs is refused."""
    b = ModelBuilder()
    tensors = [b.tensor(shape, "int8", scale=0.1) for shape in inputs]
    y = b.tensor(output, "int8", scale=0.1)
    b.op(kind, tensors, [y], **options)
    b.inputs(*tensors)
    b.outputs(y)
    refuse(b.build(), re.escape(f"op 0 ({kind})") + ".*" + sentence)


@pytest.mark.parametrize("op", [pytest.param(op.index, id=op.kind) for op in read_tflite(every_op()).ops])
def test_every_op_s_output_shape_is_checked(op):
    """For each op of the list, an output with one entry more than the op makes is refused by that op's rule."""

    def larger(model):
        tensor = graph_of(model).tensors[graph_of(model).operators[op].outputs[0]]
        tensor.shape = np.append(tensor.shape[:-1], tensor.shape[-1] + 1).astype(np.int32)

    refuse(spoiled(larger, every_op), rf"op {op} \(")


@pytest.mark.parametrize("op", [pytest.param(op.index, id=op.kind) for op in read_tflite(every_op()).ops if op.kind in WITH_BIAS])
def test_a_bias_has_one_entry_per_channel(op):
    """A bias of another length than the output's channels is refused."""

    def shorter(model):
        graph = graph_of(model)
        bias = graph.tensors[graph.operators[op].inputs[-1]]
        bias.shape = bias.shape - 1
        bias.quantization.scale = bias.quantization.scale[:1]
        bias.quantization.zeroPoint = bias.quantization.zeroPoint[:1]
        model.buffers[bias.buffer].data = model.buffers[bias.buffer].data[:-4]

    refuse(spoiled(shorter, every_op), rf"op {op} .*the bias .* entries")


# ---- resources


def test_aliased_buffers_cannot_fill_the_memory():
    """Thousands of int4 tensors that share one buffer are refused before their copies fill the memory."""
    b = ModelBuilder()
    x = b.tensor((1, 4), "int8", scale=0.1)
    b.op("RELU", [x], [b.tensor((1, 4), "int8", scale=0.1)])
    b.inputs(x)
    b.outputs(1)
    big = b.tensor((200_000,), "int4", data=np.zeros(200_000))
    for _ in range(2000):
        index = b.tensor((200_000,), "int4")
        graph_of(b.model()).tensors[index].buffer = graph_of(b.model()).tensors[big].buffer
    data = b.build()
    tracemalloc.start()
    started = time.perf_counter()
    refuse(data, "share one buffer|more than")
    assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    tracemalloc.stop()
    assert time.perf_counter() - started < 5


def test_two_thousand_spoiled_files():
    """A short fuzz run: every spoiled file is read or refused in time (the long run is `make fuzz`)."""
    found = fuzz_reader.run(fuzz_reader.sample_seeds(), seed=11, first=0, count=2000, generate_every=0, say=lambda line: None)
    assert found.bad == []
    assert found.accepted > 200 and found.refused > 1000


def test_spoiled_files_take_little_memory():
    """Reading spoiled files never allocates more than the fuzz run allows."""
    seeds = fuzz_reader.sample_seeds()
    tracemalloc.start()
    found = fuzz_reader.run(seeds, seed=12, first=0, count=150, generate_every=0, say=lambda line: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.bad == [] and peak < fuzz_reader.MEMORY_BYTES


def test_the_fuzz_run_finds_what_it_looks_for(monkeypatch):
    """An exception or a hang in what a run tries is reported with the case's number."""
    monkeypatch.setattr(fuzz_reader, "CASE_SECONDS", 0.05)

    def hang(graph):
        while True:
            pass

    for use, name in ((hang, "CaseTooSlow"), (lambda graph: {}["x"], "KeyError"), (lambda graph: 1 // 0, "ZeroDivisionError")):
        monkeypatch.setattr(fuzz_reader, "use", use)
        found = fuzz_reader.run([tiny_classifier()], seed=11, first=0, count=40, generate_every=0, say=lambda line: None)
        assert found.bad and all(re.match(rf"seed 11 case \d+: {name}", line) for line in found.bad)
