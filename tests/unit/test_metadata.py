"""Metadata inside of a .tflite: what is written is read by us and by others, and the model keeps every byte it had."""

import io
import json
import os
import random
import re
import struct
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from graphs import one_op, tensor
from sample_models import SAMPLES, every_op, tiny_classifier
from tflite_builder import parse_model, run_litert, run_tflm, schema

from edgecompress.artifact import Engine
from edgecompress.cli.inspect import command as inspect_command
from edgecompress.convert import read_tflite
from edgecompress.convert.associated_files import MOST_BYTES, append_files, read_archive
from edgecompress.convert.metadata import AssociatedFile, FeatureContent, ImageContent, ModelMetadata, read_metadata
from edgecompress.convert.metadata_schema import ColorSpace, FileKind
from edgecompress.convert.metadata_write import describe_model, label_file, remove_metadata, write_metadata
from edgecompress.errors import ModelError
from edgecompress.pipeline.sources import LoadedModel, generate_sources, load_model

# Runs where tflite-support is: its packages and TensorFlow's cannot be installed together.
_SHOW = """
import json, sys
from tflite_support import metadata
shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
print(json.dumps([shown.get_metadata_json(), shown.get_associated_file_buffer("labels.txt").decode()]))
"""
LABELS = ['zero "0"', "één", "line\nend", "\U0001f600", ""]


def metadata_of(model: bytes) -> ModelMetadata:
    """Metadata with every field that is written."""
    described = describe_model(read_tflite(model), name="Wählscheibe", description="digits\nof all kinds", version="1.2", labels=LABELS)
    first = replace(described.inputs[0], mean=(127.5,), std=(127.5, 1.0, 2.0))
    spare = AssociatedFile("notes.txt", b"\0\xff", FileKind.DESCRIPTIONS, "notes", "de")
    return replace(described, inputs=(first, *described.inputs[1:]), author="A. U. Thor", licence="Apache-2.0", files=(spare,))


def buffer_starts(model: bytes) -> list[int]:
    """First bytes of all buffers, 0 for an empty one, as the published accessors find them."""
    root = schema().Model.GetRootAsModel(bytearray(model), 0)
    tables = [root.Buffers(i)._tab for i in range(root.BuffersLength())]
    return [table.Vector(table.Offset(4)) if table.Offset(4) else 0 for table in tables]


@pytest.mark.parametrize("name", SAMPLES)
def test_what_was_written_is_read(name):
    """Every field comes back, label files included; writing and reading the same again changes nothing."""
    model = SAMPLES[name]()
    metadata = metadata_of(model)
    written = write_metadata(model, metadata)
    assert read_metadata(model) is None
    assert read_metadata(written) == metadata
    assert write_metadata(written, metadata) == written
    assert remove_metadata(written) == model


@pytest.mark.parametrize("name", SAMPLES)
def test_the_model_stays_what_it_was(name):
    """Ops, shapes, scales and constants are those of before, old buffers keep their place within 64 bytes, ours is aligned to 16."""
    model = SAMPLES[name]()
    before, after = read_tflite(model), read_tflite(write_metadata(model, metadata_of(model)))
    assert before.ops == after.ops and before.inputs == after.inputs and before.outputs == after.outputs
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (old.name, old.shape, old.dtype, old.quantization) == (new.name, new.shape, new.dtype, new.quantization)
        assert (old.data is None) == (new.data is None)
        assert old.data is None or old.data.tobytes() == new.data.tobytes()
    old_starts, new_starts = buffer_starts(model), buffer_starts(write_metadata(model, metadata_of(model)))
    assert [start and start % 64 for start in old_starts] == [start and start % 64 for start in new_starts[: len(old_starts)]]
    assert new_starts[-1] % 16 == 0


@pytest.mark.parametrize("make", [tiny_classifier, every_op])
def test_runtimes_give_the_same_bytes(make):
    """LiteRT and TensorFlow Lite Micro compute the same from the model with metadata."""
    pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro: pip install tflite-micro")
    model = make()
    written = write_metadata(model, metadata_of(model))
    shape = read_tflite(model).tensor(read_tflite(model).inputs[0]).shape
    sample = [np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)]
    for run in (run_tflm, run_litert):
        for want, have in zip(run(model, sample), run(written, sample), strict=True):
            np.testing.assert_array_equal(want, have)


def test_the_published_schema_reads_the_entry():
    """TensorFlow's generated accessors see one more buffer and an entry that names it; other entries stay."""
    model = write_metadata(tiny_classifier(), metadata_of(tiny_classifier()))
    old, new = parse_model(tiny_classifier()), parse_model(model)
    assert [(entry.name, entry.buffer) for entry in new.metadata] == [(b"TFLITE_METADATA", len(old.buffers))]
    data = bytes(new.buffers[-1].data)
    assert data[4:8] == b"M001"
    assert new.version == 3 and new.description == old.description
    for before, after in zip(old.buffers, new.buffers, strict=False):
        assert bytes(before.data if before.data is not None else b"") == bytes(after.data if after.data is not None else b"")


def test_other_metadata_of_the_model_stay():
    """An entry of somebody else, such as the converter's, is still there with its bytes."""
    from tflite_builder import pack_model

    model = parse_model(tiny_classifier())
    entry, buffer = schema().MetadataT(), schema().BufferT()
    entry.name, entry.buffer, buffer.data = "min_runtime_version", len(model.buffers), np.frombuffer(b"1.14.0", np.uint8)
    model.buffers.append(buffer)
    model.metadata = [entry]
    written = parse_model(write_metadata(pack_model(model), metadata_of(tiny_classifier())))
    named = {entry.name: bytes(written.buffers[entry.buffer].data) for entry in written.metadata}
    assert named[b"min_runtime_version"] == b"1.14.0"
    assert set(named) == {b"min_runtime_version", b"TFLITE_METADATA"}


def test_an_independent_reader_finds_the_fields():
    """The flatbuffers package, with offsets taken from the schema by hand, reads names, picture size and the kind of the label file."""
    from flatbuffers import number_types
    from flatbuffers.table import Table

    data = bytearray(parse_model(write_metadata(tiny_classifier(), metadata_of(tiny_classifier()))).buffers[-1].data)

    def child(table, field):
        return Table(data, table.Indirect(table.Pos + table.Offset(4 + 2 * field)))

    def element(table, field, index):
        return Table(data, table.Indirect(table.Vector(table.Offset(4 + 2 * field)) + 4 * index))

    def text(table, field):
        return table.String(table.Pos + table.Offset(4 + 2 * field)).decode()

    def number(table, field, flags):
        return table.GetSlot(4 + 2 * field, 0, flags)

    root = Table(data, struct.unpack_from("<I", data)[0])
    assert [text(root, field) for field in (0, 1, 2, 4, 5, 7)] == [
        "Wählscheibe", "digits\nof all kinds", "1.2", "A. U. Thor", "Apache-2.0", "1.0.0"
    ]  # fmt: skip
    subgraph = element(root, 3, 0)
    image, scores = element(subgraph, 2, 0), element(subgraph, 3, 0)
    assert text(image, 0) == "input"
    content = child(image, 3)
    assert number(content, 0, number_types.Uint8Flags) == 2
    size = child(child(content, 1), 1)
    assert [number(size, side, number_types.Uint32Flags) for side in (0, 1)] == [8, 8]
    normalization = child(element(image, 4, 0), 1)
    assert normalization.VectorLen(normalization.Offset(6)) == 3
    labels = element(scores, 6, 0)
    assert text(labels, 0) == "labels.txt"
    assert number(labels, 2, number_types.Int8Flags) == 2


def test_associated_files_are_a_zip_archive():
    """Python's zipfile opens the model as an archive of stored files, as the other parsers expect."""
    written = write_metadata(tiny_classifier(), metadata_of(tiny_classifier()))
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["labels.txt", "notes.txt"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("labels.txt").decode() == 'zero "0"\néén\nline end\n\U0001f600\n\n'


def test_tflite_support_reads_it(tmp_path):
    """Google's own reader, in an environment of its own, shows the fields and gives the label file."""
    python = os.environ.get("EDGECOMPRESS_TFLITE_SUPPORT_PYTHON")
    if not python:
        pytest.skip("needs an environment with tflite-support (Python 3.11 or older): set EDGECOMPRESS_TFLITE_SUPPORT_PYTHON to its python")
    path = tmp_path / "m.tflite"
    path.write_bytes(write_metadata(tiny_classifier(), metadata_of(tiny_classifier())))
    done = subprocess.run([python, "-c", _SHOW, str(path)], capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    shown, labels = json.loads(done.stdout)
    shown = json.loads(shown)
    assert (shown["name"], shown["license"], shown["min_parser_version"]) == ("Wählscheibe", "Apache-2.0", "1.0.0")
    (image,) = shown["subgraph_metadata"][0]["input_tensor_metadata"]
    assert image["content"]["content_properties"] == {"color_space": "GRAYSCALE", "default_size": {"width": 8, "height": 8}}
    assert labels == label_file(LABELS).data.decode()


def test_packed_files_of_other_writers_are_read():
    """A compressed archive behind the model is unpacked."""
    written = io.BytesIO(tiny_classifier())
    with zipfile.ZipFile(written, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a\nb\n" * 100)
    found = read_archive(written.getvalue())
    assert found.files == {"labels.txt": b"a\nb\n" * 100}
    assert found.start == len(tiny_classifier())


def test_files_behind_a_model_without_metadata_are_replaced():
    """An archive that no metadata speak of does not stay behind, where its offsets would be wrong."""
    model = append_files(tiny_classifier(), {"old.txt": b"old"})
    written = write_metadata(model, ModelMetadata(name="m"))
    assert read_metadata(written) == ModelMetadata(name="m")
    assert read_archive(written) is None
    assert remove_metadata(written) == tiny_classifier()


def test_an_archive_that_reaches_into_the_model_is_an_error():
    """A list of files that claims bytes of the model itself is refused rather than cut off with them."""
    model = bytearray(append_files(tiny_classifier(), {"a.txt": b"a"}))
    entry = model.rfind(b"PK\1\2")
    struct.pack_into("<I", model, entry + 42, 8)
    with pytest.raises(ModelError, match="not where the list says"):
        remove_metadata(bytes(model))


def test_a_core_gets_the_model_without_metadata(tmp_path):
    """The array in the tflm engine's C is the model's own bytes: no flash goes into texts and label files."""
    pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro: pip install tflite-micro")
    path = tmp_path / "m.tflite"
    path.write_bytes(write_metadata(tiny_classifier(), metadata_of(tiny_classifier())))
    plain = LoadedModel(tiny_classifier(), read_tflite(tiny_classifier(), name="m"))
    with_texts, without = (generate_sources(m, Engine.TFLM, name=None, keep_input=False).files for m in (load_model(path), plain))
    arrays = [re.sub(r"//.*", "", files["m_model.cc"]) for files in (with_texts, without)]
    assert arrays[0] == arrays[1]


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 200 * MOST_BYTES])
def test_a_file_that_unpacks_to_too_much_is_refused(size):
    """An archive cannot fill the memory, whatever it says about its sizes."""
    written = io.BytesIO(tiny_classifier())
    with zipfile.ZipFile(written, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("labels.txt", "w", force_zip64=False) as file:
        for _ in range(min(size, 4 * MOST_BYTES) // 65536 + 1):
            file.write(bytes(65536))
    with pytest.raises(ModelError, match=r"labels\.txt"):
        read_archive(written.getvalue())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: replace(m, files=(AssociatedFile("../labels.txt", b""),)), "plain file name"),
        (lambda m: replace(m, files=(AssociatedFile("", b""),)), "plain file name"),
        (lambda m: replace(m, files=(AssociatedFile("a.txt", None),)), "no bytes"),
        (lambda m: replace(m, files=(AssociatedFile("labels.txt", b"other"),)), "two associated files"),
        (lambda m: replace(m, files=(AssociatedFile("a.txt", bytes(MOST_BYTES + 1)),)), "at most"),
        (lambda m: replace(m, description="x" * 70_000), "expected at most"),
    ],
)
def test_metadata_that_cannot_be_written_are_refused(change, sentence):
    """Each refusal is one sentence with a hint, before anything is written."""
    with pytest.raises(ModelError, match=sentence) as caught:
        write_metadata(tiny_classifier(), change(metadata_of(tiny_classifier())))
    assert caught.value.hint


def test_no_model_is_no_place_for_metadata():
    """Bytes that are no .tflite are refused by the writer and the reader."""
    for call in (
        lambda: write_metadata(b"PK\3\4 no model", ModelMetadata()),
        lambda: read_metadata(b""),
        lambda: remove_metadata(b"x" * 99),
    ):
        with pytest.raises(ModelError):
            call()


def test_a_picture_is_told_from_numbers():
    """Three channels, or one in a square, are a picture of its size; spectrograms, everything else and every output are numbers."""
    described = describe_model(read_tflite(tiny_classifier()), name="m")
    assert described.inputs[0].content == ImageContent(8, 8, ColorSpace.GRAYSCALE)
    assert not isinstance(described.outputs[0].content, ImageContent)
    assert described.outputs[0].minimum == (0.0,) and described.outputs[0].maximum == (255 / 256,)
    for shape, content in (
        ((1, 49, 10, 1), FeatureContent()),
        ((1, 6, 4, 3), ImageContent(4, 6, ColorSpace.RGB)),
        ((1, 8, 8, 4), FeatureContent()),
        ((1, 4), FeatureContent()),
    ):
        graph = one_op("CUSTOM:any", [tensor(0, shape, 0.1, 0)], [tensor(1, (1, 3, 3, 3), 0.1, 0)])
        described = describe_model(graph, name="m")
        assert (described.inputs[0].content, described.outputs[0].content) == (content, FeatureContent())


@pytest.mark.parametrize("labels", [[], [""], ["a"], ["a", ""], ["\r\n", "b"]])
def test_labels_keep_their_number(labels):
    """As many labels are read as were written, also empty ones and such with line ends."""
    assert len(label_file(labels).labels) == len(labels)


def test_spoiled_files_are_errors_and_nothing_else():
    """Two thousand spoiled models with metadata: each is read, or refused with one of the project's errors."""
    whole = write_metadata(tiny_classifier(), metadata_of(tiny_classifier()))
    behind = read_archive(whole).start
    rng = random.Random(5)
    refused = 0
    for _ in range(2000):
        data = bytearray(whole)
        # Most changes go where the metadata and the archive are.
        places = [rng.randrange(1088), rng.randrange(behind, len(data))]
        for place in rng.sample(places, rng.choice((1, 2))):
            word = rng.choice((0, 1, 4, 127, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)))
            data[place : place + 4] = struct.pack("<I", word)[: len(data) - place]
        spoiled = bytes(data[: rng.randrange(8, len(data))]) if rng.random() < 0.1 else bytes(data)
        for call in (read_metadata, remove_metadata, lambda model: write_metadata(model, ModelMetadata(name="m"))):
            try:
                call(spoiled)
            except ModelError as e:
                refused += 1
                assert e.hint and "\n" not in e.message
    assert 500 < refused < 6000


def test_long_lists_of_tables_are_bounded():
    """Metadata cannot become more Python objects than the budget of a file."""
    many = replace(metadata_of(tiny_classifier()), inputs=(describe_model(read_tflite(tiny_classifier()), name="m").inputs[0],) * 9000)
    with pytest.raises(ModelError, match="more than"):
        read_metadata(write_metadata(tiny_classifier(), many))


def test_an_archive_is_found_only_at_the_very_end():
    """Bytes of weights that look like an archive's end are not taken for one."""
    model = append_files(tiny_classifier(), {"a.txt": b"a"})
    assert read_archive(model).files == {"a.txt": b"a"}
    assert read_archive(model + b"x") is None
    assert read_archive(tiny_classifier()) is None


def test_inspect_shows_metadata(tmp_path):
    """The command prints names, picture, range and labels, and control characters do not reach the terminal."""
    path = tmp_path / "m.tflite"
    metadata = replace(metadata_of(tiny_classifier()), author="\x1b[31mred")
    path.write_bytes(write_metadata(tiny_classifier(), metadata))
    shown = CliRunner().invoke(inspect_command, [str(path)], env={"COLUMNS": "200"}).output
    for text in ("Wählscheibe", "image 8 x 8 grayscale", "mean 127.5", "labels.txt (5 labels", "notes.txt (2 B)", "Apache-2.0"):
        assert text in shown
    assert "\x1b" not in shown


def test_inspect_shows_a_model_with_damaged_metadata(tmp_path):
    """The model is shown, and one line says what is wrong with its metadata."""
    path = tmp_path / "m.tflite"
    path.write_bytes(write_metadata(tiny_classifier(), metadata_of(tiny_classifier())).replace(b"M001", b"M999"))
    result = CliRunner().invoke(inspect_command, [str(path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "No metadata: metadata with the identifier b'M999'" in result.output
    assert "CONV_2D" in result.output
