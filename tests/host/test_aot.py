"""Whole models as generated C: odd graphs, hostile names, real models, and what the engine refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompress.artifact import GeneratedModel
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.errors import ModelError, UnsupportedOpError, UserError
from edgecompress.numerics.reference import run_reference
from tests.aot_host import FIRMWARE, compile_models, compile_tflites, host_compiler
from tests.sample_models import every_op, float_and_half, tiny_classifier, with_custom_op
from tests.tflite_builder import ModelBuilder, run_tflm

pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")

Q = {"scale": 0.1, "zero_point": 3}


def generated(data: bytes, name: str = "toy", *, keep_input: bool = False) -> GeneratedModel:
    """A .tflite as C."""
    return generate_aot(read_tflite(data, name=name), keep_input=keep_input)


def add_model(shape: tuple[int, ...] = (1, 6), name: str | None = None) -> tuple[ModelBuilder, int, int, int]:
    """A builder with one ADD; its two inputs and its output."""
    b = ModelBuilder()
    x, y = b.tensor(shape, "int8", **Q, name=name), b.tensor(shape, "int8", **Q)
    z = b.tensor(shape, "int8", **Q, name=name)
    b.op("ADD", [x, y], [z])
    return b, x, y, z


def odd_graphs() -> dict[str, bytes]:
    """Graphs that only an interpreter would not stumble over."""
    graphs = {}

    b, x, y, z = add_model()
    b.inputs(x, y)
    b.outputs(x, z, z)
    graphs["input is output, one output twice"] = b.build()

    b, x, y, z = add_model()
    unused = b.tensor((3,), "int8", **Q)
    b.inputs(unused, y, x)
    b.outputs(z)
    graphs["unused input, inputs in another order"] = b.build()

    b, x, y, z = add_model()
    w = b.tensor((1, 6), "int8", **Q)
    b.op("ADD", [z, x], [w])
    b.inputs(x, y)
    b.outputs(z, w)
    graphs["output used later"] = b.build()

    b = ModelBuilder()
    x, out = b.tensor((2, 3), "int8", **Q), b.tensor((2, 3), "int8", **Q)
    constant = b.tensor((2, 3), "int8", **Q, data=np.arange(6).reshape(2, 3))
    b.op("ADD", [constant, x], [out])
    b.inputs(x)
    b.outputs(out)
    graphs["constant operand"] = b.build()

    b, x, y, z = add_model((2, 3))
    shape = b.tensor((1,), "int32", data=[6])
    flat, other = b.tensor((6,), "int8", **Q), b.tensor((6,), "int8", **Q)
    b.op("RESHAPE", [x, shape], [flat])
    b.op("RESHAPE", [z, shape], [other])
    b.inputs(x, y)
    b.outputs(other, flat)
    graphs["reshaped input and output as outputs"] = b.build()

    b, x, _, z = add_model()
    b.model().subgraphs[0].operators[0].inputs = np.array([x, x], np.int32)
    b.inputs(x)
    b.outputs(z)
    graphs["one tensor as both operands"] = b.build()
    return graphs


def random_inputs(model: GeneratedModel, seed: int = 0) -> list[np.ndarray]:
    """One random int8 array an input."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, spec.shape, dtype=np.int8) for spec in model.info.inputs]


@pytest.mark.parametrize("keep_input", [False, True], ids=["overwriting", "keeping"])
def test_odd_graphs_run(keep_input: bool, tmp_path: Path) -> None:
    """Inputs that are outputs, constants as operands, tensors used twice: the bytes are the numpy oracle's."""
    graphs = odd_graphs()
    program = compile_tflites(list(graphs.values()), tmp_path, keep_input=keep_input)
    for n, (what, data) in enumerate(graphs.items()):
        inputs = random_inputs(program.models[n])
        graph = read_tflite(data, name=f"m{n}")
        values = run_reference(graph, inputs)
        for index, came in zip(graph.outputs, program.run(n, inputs), strict=True):
            np.testing.assert_array_equal(came, values[index], what)


def test_several_models_live_in_one_program(tmp_path: Path) -> None:
    """Models with the same layers link together, each with TFLM's bytes."""
    files = [tiny_classifier(), every_op(), tiny_classifier()]
    program = compile_tflites(files, tmp_path)
    for n, data in enumerate(files):
        inputs = random_inputs(program.models[n], seed=n)
        for came, expected in zip(program.run(n, inputs), run_tflm(data, inputs), strict=True):
            np.testing.assert_array_equal(came, expected)


HOSTILE = [
    "*/ int evil; /*",
    "line\nbreak\r\\",
    "trigraph ??/",
    "ünïcödé \u202e\x00",
    'quote " and // slashes',
    "x" * 5000,
    "",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_from_the_file_cannot_leave_a_comment(name: str, tmp_path: Path) -> None:
    """Whatever a tensor is called, the C compiles without warnings and its lines stay short."""
    b, x, y, z = add_model(name=name)
    b.inputs(x, y)
    b.outputs(z)
    model = generated(b.build())
    compile_models([model], tmp_path)
    for text in model.files.values():
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= 160


def test_the_same_file_gives_the_same_text() -> None:
    """No date, path, or order of a set is in the sources."""
    first, second = generated(every_op()), generated(every_op())
    assert first.files == second.files
    assert first.info == second.info
    assert "/tmp" not in "".join(first.files.values())


def test_headers_suit_cpp(tmp_path: Path) -> None:
    """An application in C++ may include the model and the kernels."""
    model = generated(tiny_classifier())
    for name, text in model.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.cpp").write_text('#include "toy.h"\n#include "toy_data.h"\nint main() { return toy_init(nullptr, 0) == 0; }\n')
    command = host_compiler().command
    if not command[0].endswith("gcc"):
        pytest.skip("needs g++ beside gcc: install g++")
    flags = ["-x", "c++", "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", f"-I{FIRMWARE / 'include'}"]
    done = subprocess.run([command[0], *flags, str(tmp_path / "main.cpp")], capture_output=True, text=True, check=False)
    if "cc1plus" in done.stderr:
        pytest.skip("needs the C++ part of gcc: install g++")
    assert done.returncode == 0, done.stderr


def test_info_says_what_was_generated() -> None:
    """Steps, sizes and kernels of the info are those of the sources."""
    data = tiny_classifier()
    model = generated(data)
    graph = read_tflite(data, name="toy")
    assert f"#define TOY_ARENA_BYTES {model.info.arena_bytes}\n" in model.files["toy.h"]
    assert f"#define TOY_STEP_COUNT {len(model.info.steps)}\n" in model.files["toy.h"]
    assert sum(s.macs for s in model.info.steps) == graph.macs == model.info.macs
    assert len(model.info.steps) == len(graph.ops) - 1, "RESHAPE moves no bytes"
    assert all((FIRMWARE / kernel).is_file() for kernel in model.kernels)
    assert max(b.offset + b.bytes for b in model.info.plan) <= model.info.arena_bytes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (float_and_half, ("floats", "version")),
        (with_custom_op, ("CUSTOM:", "no kernel")),
    ],
    ids=["float", "custom"],
)
def test_what_is_not_int8_is_refused_by_name(data, words: tuple[str, ...]) -> None:
    """Float and custom ops are an error that names layer, op and version, and says what to do."""
    with pytest.raises(UnsupportedOpError) as caught:
        generated(data())
    assert all(word in caught.value.message for word in words), caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "weights", "output", "words"),
    [
        ("int16", "int16", "int16", "int8 weights beside int16"),
        ("int16", "int8", "int8", "int16"),
        ("float32", "int8", "float32", "float32"),
        ("int8", "int8", "int16", "int16"),
    ],
    ids=["int16 weights", "int8 out", "hybrid", "int16 out"],
)
def test_other_number_formats_are_refused(source: str, weights: str, output: str, words: str) -> None:
    """int16 weights, float activations on int8 weights, and layers from one width to another are refused with their type."""
    b = ModelBuilder()
    x = b.tensor((1, 4), source, scale=None if source == "float32" else 0.1)
    w = b.tensor((2, 4), weights, scale=0.1, data=np.ones((2, 4)))
    y = b.tensor((1, 2), output, scale=None if output == "float32" else 0.1, name="dense_7")
    b.op("FULLY_CONNECTED", [x, w, -1], [y], version=4)
    b.inputs(x)
    b.outputs(y)
    with pytest.raises(UnsupportedOpError, match=f"dense_7: FULLY_CONNECTED version 4.*{words}"):
        generated(b.build())


@pytest.mark.parametrize("name", ["9lives", "a b", "", "UPPER", "ec", "ec_types", "x" * 80, "a\n"])
def test_names_that_are_no_prefix_are_refused(name: str) -> None:
    """A model's name must be usable in C, and must not be one of our own."""
    with pytest.raises(UserError, match="model's name"):
        generate_aot(read_tflite(tiny_classifier(), name="toy"), name=name)


def test_sums_beyond_int32_are_refused() -> None:
    """A dense layer so long that its accumulator could overflow is an error, not undefined behaviour."""
    b = ModelBuilder()
    length = 70_000
    x, y = b.tensor((1, length), "int8", scale=0.1, zero_point=-128), b.tensor((1, 1), "int8", scale=0.1)
    w = b.tensor((1, length), "int8", scale=0.1, data=np.full((1, length), 127))
    b.op("FULLY_CONNECTED", [x, w], [y])
    b.inputs(x)
    b.outputs(y)
    with pytest.raises(UnsupportedOpError, match="beyond int32"):
        generated(b.build())


def test_a_weight_scale_out_of_range_is_refused() -> None:
    """A scale that no shift reaches is an error with the layer's name."""
    b = ModelBuilder()
    x, y = b.tensor((1, 4), "int8", scale=1e20), b.tensor((1, 2), "int8", scale=1e-20, name="dense_3")
    w = b.tensor((2, 4), "int8", scale=1.0, data=np.ones((2, 4)))
    b.op("FULLY_CONNECTED", [x, w], [y])
    b.inputs(x)
    b.outputs(y)
    with pytest.raises(ModelError, match="dense_3"):
        generated(b.build())
