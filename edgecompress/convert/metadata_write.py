"""Metadata into a .tflite, without touching one byte of the model that is there.

Offsets of a FlatBuffer are relative and point forwards, so a block in front of the old bytes can hold a new root table: it points at the
old subgraphs, operator codes and buffers, and has lists of buffers and metadata with one entry more. The old bytes follow as they are,
moved by a multiple of 64, which keeps every alignment; only the old root table is not looked at any more (about a hundred bytes).

    root offset, "TFL3" | new root, lists, metadata | the old file | associated files as a ZIP archive

`metadata` is the other direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from edgecompress.convert.associated_files import MOST_BYTES, MOST_FILES, append_files, read_archive
from edgecompress.convert.flatbuffer import UINT8, UINT32, UINT64, FlatFile, Table
from edgecompress.convert.flatbuffer_write import ForwardWriter, Pointer, Scalar, Written
from edgecompress.convert.metadata import (
    LONGEST_TEXT,
    AssociatedFile,
    FeatureContent,
    ImageContent,
    ModelMetadata,
    TensorMetadata,
    find_metadata,
    name_of,
)
from edgecompress.convert.metadata_schema import (
    METADATA_IDENTIFIER,
    METADATA_NAME,
    NORMALIZATION_OPTIONS,
    AssociatedFileField,
    ColorSpace,
    ContentField,
    ContentProperties,
    FileKind,
    ImagePropertiesField,
    ImageSizeField,
    ModelMetadataField,
    NormalizationField,
    ProcessUnitField,
    StatsField,
    SubGraphMetadataField,
    TensorMetadataField,
)
from edgecompress.convert.model_file import check_start
from edgecompress.convert.schema import (
    FILE_IDENTIFIER,
    FILE_VERSION,
    BufferField,
    MetadataField,
    ModelField,
    OperatorField,
    SubgraphField,
)
from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Tensor

# Every alignment of the format divides it.
_SHIFT_ALIGNMENT = 64
_BUFFER_ALIGNMENT = 16
_COPIED = (
    ModelField.OPERATOR_CODES,
    ModelField.SUBGRAPHS,
    ModelField.DESCRIPTION,
    ModelField.METADATA_BUFFER,
    ModelField.SIGNATURE_DEFS,
    ModelField.EXTERNAL_BUFFER_GROUPS,
    ModelField.EXTERNAL_BUFFERS,
)
_IMAGE_RANK = 4
_RGB_CHANNELS = 3
_EXPORT_AGAIN = "export the model again as one file below 2 GB"


def write_metadata(model: bytes, metadata: ModelMetadata) -> bytes:
    """The model with `metadata` and their files. What it said about itself before is replaced, files included.

    Every tensor keeps its bytes and every buffer its alignment, so each runtime gives the same results. Equal input gives equal bytes.

    Raises:
        ModelError: no .tflite, a damaged one, one with parts at absolute positions (files above 2 GB), or two files of one name.
    """
    check_start("the model", model)
    files = _files_of(metadata)
    old = remove_metadata(model)
    root = FlatFile("the model", old).root()
    _reject_absolute_positions(root)
    return append_files(_new_head(root, _pack(metadata)) + old, files)


def remove_metadata(model: bytes) -> bytes:
    """The model that `write_metadata` was given, byte for byte, without files behind it. Of metadata that others wrote, only the files go.

    Raises:
        ModelError: a damaged model.
    """
    check_start("the model", model)
    archive = read_archive(model)
    whole = model if archive is None else model[: archive.start]
    span = find_metadata(FlatFile("the model", whole).root())
    if span is None:
        return whole
    start, size = span
    shift = start + size + -(start + size) % _SHIFT_ALIGNMENT
    old = whole[shift:]
    if old[4:8] != FILE_IDENTIFIER:
        return whole
    # A proof rather than a guess: from the rest of the file, exactly these first bytes would be made.
    head = _new_head(FlatFile("the model", old).root(), whole[start : start + size])
    return old if head == whole[:shift] else whole


def add_named_buffer(model: bytes, name: str, data: bytes) -> bytes:
    """The model with `data` under `name` in its list of metadata, aligned to 16 bytes, in place of what stood there under that name.

    Raises:
        ModelError: no .tflite, a damaged one, or one with parts at absolute positions (files above 2 GB).
    """
    check_start("the model", model)
    root = FlatFile("the model", model).root()
    _reject_absolute_positions(root)
    return _new_head(root, data, name) + model


def has_named_buffer(model: bytes, name: str) -> bool:
    """Whether the model's list of metadata has an entry of that name.

    Raises:
        ModelError: no .tflite, or a damaged one.
    """
    check_start("the model", model)
    return any(name_of(entry) == name for entry in FlatFile("the model", model).root().children(ModelField.METADATA, "metadata entry"))


def describe_model(
    graph: Graph, *, name: str, description: str = "", version: str = "", labels: Sequence[str] | None = None
) -> ModelMetadata:
    """What can be said about a model from its graph alone, for `write_metadata`; the rest may be set with dataclasses.replace.

    An input [1, H, W, 3] or [1, N, N, 1] is called a picture (a spectrogram has one channel too, but is seldom square), every other tensor
    numbers; minimum and maximum are what its scale can hold.

    Args:
        labels: of the first output's last axis. A line end inside of a label becomes a blank: label files have one label a line.
    """
    inputs = tuple(_describe_tensor(graph.tensor(index)) for index in graph.inputs)
    outputs = tuple(replace(_describe_tensor(graph.tensor(index)), content=FeatureContent()) for index in graph.outputs)
    if labels is not None and outputs:
        outputs = (replace(outputs[0], files=(label_file(labels),)), *outputs[1:])
    return ModelMetadata(name=name, description=description, version=version, inputs=inputs, outputs=outputs)


def label_file(labels: Sequence[str], *, name: str = "labels.txt") -> AssociatedFile:
    """Labels of an output's last axis as a file: UTF-8, one a line; line ends inside of a label become blanks."""
    lines = [" ".join(label.splitlines()) for label in labels]
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    return AssociatedFile(name, data, FileKind.TENSOR_AXIS_LABELS, "one label a line, in the order of the output's last axis")


def _describe_tensor(tensor: Tensor) -> TensorMetadata:
    minimum, maximum = _range(tensor)
    return TensorMetadata(
        name=_plain_name(tensor.name),
        description=f"{tensor.dtype.value} {list(tensor.shape)}",
        content=_content_of(tensor),
        minimum=minimum,
        maximum=maximum,
    )


def _plain_name(name: str) -> str:
    """`serving_default_image:0 -> image`, as the converter's names begin and end."""
    return name.removeprefix("serving_default_").removesuffix(":0") or name


def _content_of(tensor: Tensor) -> ImageContent | FeatureContent:
    if len(tensor.shape) != _IMAGE_RANK:
        return FeatureContent()
    _, height, width, channels = tensor.shape
    if channels == _RGB_CHANNELS:
        return ImageContent(width, height, ColorSpace.RGB)
    return ImageContent(width, height, ColorSpace.GRAYSCALE) if channels == 1 and height == width else FeatureContent()


def _range(tensor: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and highest real number that a quantized tensor can hold; nothing for others."""
    counts = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}.get(tensor.dtype)
    if counts is None or tensor.quantization is None or tensor.quantization.per_channel:
        return (), ()
    scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point
    low, high = (float(np.float32(scale * (count - zero_point))) for count in counts)
    return (low,), (high,)


# ---- the model


def _reject_absolute_positions(root: Table) -> None:
    """Only what is addressed relative to itself can be moved."""
    for buffer in root.children(ModelField.BUFFERS, "buffer"):
        if buffer.integer(BufferField.OFFSET, UINT64) > 1:
            raise ModelError("the model's weights stand behind its FlatBuffer; expected them inside of it", hint=_EXPORT_AGAIN)
    for subgraph in root.children(ModelField.SUBGRAPHS, "subgraph"):
        for op in subgraph.children(SubgraphField.OPERATORS, "op"):
            if op.integer(OperatorField.LARGE_CUSTOM_OPTIONS_OFFSET, UINT64) > 1:
                raise ModelError(f"{op.where} has its options behind the FlatBuffer; expected them inside of it", hint=_EXPORT_AGAIN)
    unknown = [field for field in root.present() if field not in tuple(ModelField)]
    if unknown:
        raise ModelError(f"the model has the field {unknown[0]}, which is newer than this program", hint="update edgecompress")


def _new_head(root: Table, metadata: bytes, name: str = METADATA_NAME) -> bytes:
    """What stands in front of the old file: the new root, its lists, and the metadata."""
    version = root.integer(ModelField.VERSION, UINT32, FILE_VERSION)
    buffers = root.children(ModelField.BUFFERS, "buffer")
    entries = [entry for entry in root.children(ModelField.METADATA, "metadata entry") if name_of(entry) != name]
    copied = {field: target for field in _COPIED if (target := root.target(field, "an offset")) is not None}
    fields: dict[int, Scalar | Pointer] = dict.fromkeys((*copied, ModelField.BUFFERS, ModelField.METADATA), Pointer())
    fields[ModelField.VERSION] = Scalar(UINT32, version)

    out = ForwardWriter(FILE_IDENTIFIER)
    table = out.table(fields)
    out.point_root(table)
    # A model without any buffer counts as one with an empty one, number 0: ours must not become it.
    empty = 0 if buffers else 1
    buffer_list = out.pointers(len(buffers) + empty + 1)
    out.point(table.slots[ModelField.BUFFERS], buffer_list.position)
    entry_list = out.pointers(len(entries) + 1)
    out.point(table.slots[ModelField.METADATA], entry_list.position)
    _write_entry(out, entry_list.slots[len(entries)], len(buffers) + empty, name)
    if empty:
        out.point(buffer_list.slots[0], out.table({}).position)
    ours = out.table({BufferField.DATA: Pointer()})
    out.point(buffer_list.slots[len(buffers) + empty], ours.position)
    out.point(ours.slots[BufferField.DATA], out.blob(metadata, _BUFFER_ALIGNMENT))
    out.align(_SHIFT_ALIGNMENT)

    shift = len(out.data)
    for field, target in copied.items():
        out.point(table.slots[field], shift + target)
    for index, buffer in enumerate(buffers):
        out.point(buffer_list.slots[index], shift + buffer.position)
    for index, entry in enumerate(entries):
        out.point(entry_list.slots[index], shift + entry.position)
    return bytes(out.data)


def _write_entry(out: ForwardWriter, slot: int, buffer: int, name: str) -> None:
    entry = out.table({MetadataField.NAME: Pointer(), MetadataField.BUFFER: Scalar(UINT32, buffer)})
    out.point(slot, entry.position)
    out.point(entry.slots[MetadataField.NAME], out.text(name))


# ---- the metadata


def _files_of(metadata: ModelMetadata) -> dict[str, bytes]:
    """Every file by its name; a file that is named twice must be the same one."""
    files: dict[str, bytes] = {}
    for file in (*metadata.files, *(file for tensor in (*metadata.inputs, *metadata.outputs) for file in tensor.files)):
        if not file.name or PurePosixPath(file.name).name != file.name or "\\" in file.name or "\0" in file.name:
            raise ModelError(f"an associated file is called {file.name!r}; expected a plain file name", hint="name it like labels.txt")
        if file.data is None:
            raise ModelError(f"the associated file {file.name} has no bytes", hint="give the file's content")
        if files.setdefault(file.name, file.data) != file.data:
            raise ModelError(f"two associated files are called {file.name}", hint="give each its own name")
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_BYTES:
        raise ModelError(f"{len(files)} associated files; expected at most {MOST_FILES} and {MOST_BYTES:,} bytes", hint="leave some out")
    return files


def _pack(metadata: ModelMetadata) -> bytes:
    """The metadata as a FlatBuffer of their own."""
    texts: dict[int, str] = {
        ModelMetadataField.NAME: metadata.name,
        ModelMetadataField.DESCRIPTION: metadata.description,
        ModelMetadataField.VERSION: metadata.version,
        ModelMetadataField.AUTHOR: metadata.author,
        ModelMetadataField.LICENSE: metadata.licence,
        ModelMetadataField.MIN_PARSER_VERSION: metadata.min_parser_version,
    }
    out = ForwardWriter(METADATA_IDENTIFIER)
    more = {ModelMetadataField.SUBGRAPH_METADATA: Pointer()} | _pointer_if(ModelMetadataField.ASSOCIATED_FILES, metadata.files)
    table = _text_table(out, texts, more)
    out.point_root(table)
    _write_files(out, table, ModelMetadataField.ASSOCIATED_FILES, metadata.files)
    subgraphs = out.pointers(1)
    out.point(table.slots[ModelMetadataField.SUBGRAPH_METADATA], subgraphs.position)
    subgraph = out.table({SubGraphMetadataField.INPUT_TENSOR_METADATA: Pointer(), SubGraphMetadataField.OUTPUT_TENSOR_METADATA: Pointer()})
    out.point(subgraphs.slots[0], subgraph.position)
    _write_tensors(out, subgraph.slots[SubGraphMetadataField.INPUT_TENSOR_METADATA], metadata.inputs)
    _write_tensors(out, subgraph.slots[SubGraphMetadataField.OUTPUT_TENSOR_METADATA], metadata.outputs)
    return bytes(out.data)


def _write_tensors(out: ForwardWriter, slot: int, tensors: Sequence[TensorMetadata]) -> None:
    tables = out.pointers(len(tensors))
    out.point(slot, tables.position)
    for index, tensor in enumerate(tensors):
        out.point(tables.slots[index], _write_tensor(out, tensor).position)


def _write_tensor(out: ForwardWriter, tensor: TensorMetadata) -> Written:
    texts: dict[int, str] = {TensorMetadataField.NAME: tensor.name, TensorMetadataField.DESCRIPTION: tensor.description}
    more = _pointer_if(TensorMetadataField.CONTENT, tensor.content)
    more |= _pointer_if(TensorMetadataField.PROCESS_UNITS, tensor.mean or tensor.std)
    more |= _pointer_if(TensorMetadataField.STATS, tensor.minimum or tensor.maximum)
    more |= _pointer_if(TensorMetadataField.ASSOCIATED_FILES, tensor.files)
    table = _text_table(out, texts, more)
    if tensor.content is not None:
        out.point(table.slots[TensorMetadataField.CONTENT], _write_content(out, tensor.content).position)
    if tensor.mean or tensor.std:
        units = out.pointers(1)
        out.point(table.slots[TensorMetadataField.PROCESS_UNITS], units.position)
        kind = Scalar(UINT8, NORMALIZATION_OPTIONS)
        unit = out.table({ProcessUnitField.OPTIONS_TYPE: kind, ProcessUnitField.OPTIONS: Pointer()})
        out.point(units.slots[0], unit.position)
        options = _real_table(out, {NormalizationField.MEAN: tensor.mean, NormalizationField.STD: tensor.std})
        out.point(unit.slots[ProcessUnitField.OPTIONS], options)
    if tensor.minimum or tensor.maximum:
        stats = _real_table(out, {StatsField.MIN: tensor.minimum, StatsField.MAX: tensor.maximum})
        out.point(table.slots[TensorMetadataField.STATS], stats)
    _write_files(out, table, TensorMetadataField.ASSOCIATED_FILES, tensor.files)
    return table


def _write_content(out: ForwardWriter, content: ImageContent | FeatureContent) -> Written:
    kind = ContentProperties.IMAGE if isinstance(content, ImageContent) else ContentProperties.FEATURE
    table = out.table({ContentField.PROPERTIES_TYPE: Scalar(UINT8, kind), ContentField.PROPERTIES: Pointer()})
    slot = table.slots[ContentField.PROPERTIES]
    if not isinstance(content, ImageContent):
        out.point(slot, out.table({}).position)
        return table
    color = Scalar(UINT8, content.color)
    image = out.table({ImagePropertiesField.COLOR_SPACE: color, ImagePropertiesField.DEFAULT_SIZE: Pointer()})
    out.point(slot, image.position)
    sides: dict[int, Scalar | Pointer] = {
        ImageSizeField.WIDTH: Scalar(UINT32, content.width),
        ImageSizeField.HEIGHT: Scalar(UINT32, content.height),
    }
    out.point(image.slots[ImagePropertiesField.DEFAULT_SIZE], out.table(sides).position)
    return table


def _write_files(out: ForwardWriter, parent: Written, field: int, files: Sequence[AssociatedFile]) -> None:
    if not files:
        return
    tables = out.pointers(len(files))
    out.point(parent.slots[field], tables.position)
    for index, file in enumerate(files):
        texts: dict[int, str] = {
            AssociatedFileField.NAME: file.name,
            AssociatedFileField.DESCRIPTION: file.description,
            AssociatedFileField.LOCALE: file.locale,
        }
        table = _text_table(out, texts, {AssociatedFileField.TYPE: Scalar(UINT8, file.kind)})
        out.point(tables.slots[index], table.position)


def _text_table(out: ForwardWriter, texts: Mapping[int, str], more: Mapping[int, Scalar | Pointer]) -> Written:
    """A table of texts (empty ones are left out) and further fields."""
    given = {field: text for field, text in texts.items() if text}
    for text in given.values():
        if len(text.encode("utf-8", "replace")) > LONGEST_TEXT:
            raise ModelError(
                f"a text of the metadata has {len(text):,} characters; expected at most {LONGEST_TEXT:,} bytes", hint="shorten it"
            )
    table = out.table({**dict.fromkeys(given, Pointer()), **more})
    for field, text in given.items():
        out.point(table.slots[field], out.text(text))
    return table


def _real_table(out: ForwardWriter, lists: Mapping[int, Sequence[float]]) -> int:
    """A table of lists of float32; empty ones are left out."""
    given = {field: values for field, values in lists.items() if values}
    table = out.table(dict.fromkeys(given, Pointer()))
    for field, values in given.items():
        out.point(table.slots[field], out.reals(values))
    return table.position


def _pointer_if(field: int, value: object) -> dict[int, Scalar | Pointer]:
    """The field as a pointer when there is something to point at."""
    return {field: Pointer()} if value else {}
