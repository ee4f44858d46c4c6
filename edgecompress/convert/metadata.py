"""What a .tflite says about itself: names, descriptions, what the tensors mean, label files. Other tools read the same metadata.

A model lists named buffers as metadata; the one called TFLITE_METADATA holds a second FlatBuffer with the identifier M001. The files that
it names (labels) stand behind the model as a ZIP archive (`associated_files`). Source: tensorflow.org/lite/models/convert/metadata

`metadata_write` is the other direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from edgecompress.convert.associated_files import read_archive
from edgecompress.convert.flatbuffer import UINT8, UINT32, FlatFile, Table
from edgecompress.convert.metadata_schema import (
    METADATA_IDENTIFIER,
    METADATA_NAME,
    MIN_PARSER_VERSION,
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
from edgecompress.convert.schema import BufferField, MetadataField, ModelField
from edgecompress.errors import ModelError

_E = TypeVar("_E", bound=IntEnum)

# Longer texts are cut off when they are read.
LONGEST_TEXT = 64 * 1024
# Metadata have kilobytes; FlatFile bounds what becomes of them.
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class AssociatedFile:
    """A file that belongs to a model or a tensor.

    Attributes:
        name: inside the archive behind the model.
        data: its bytes; None when the metadata name a file that is not there.
        locale: of a translated label file, such as `de`; empty for the usual one.
    """

    name: str
    data: bytes | None
    kind: FileKind = FileKind.UNKNOWN
    description: str = ""
    locale: str = ""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The lines of a label file; None for any other one, and for one that is not there."""
        if self.kind is not FileKind.TENSOR_AXIS_LABELS or self.data is None:
            return None
        return tuple(self.data.decode("utf-8", "replace").removesuffix("\n").split("\n")) if self.data else ()


@dataclass(frozen=True)
class ImageContent:
    """A tensor that is a picture; sizes in pixels, 0 when unknown."""

    width: int
    height: int
    color: ColorSpace


@dataclass(frozen=True)
class FeatureContent:
    """A tensor of plain numbers."""


@dataclass(frozen=True)
class TensorMetadata:
    """One input or output.

    Attributes:
        content: None when nothing is said, or something else than a picture or numbers.
        mean, std: what an application subtracts from a pixel and then divides by, one for all channels or one each; empty when not said.
        minimum, maximum: of the values, one for all channels or one each; empty when not said.
        files: label files above all.
    """

    name: str = ""
    description: str = ""
    content: ImageContent | FeatureContent | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    files: tuple[AssociatedFile, ...] = ()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The lines of the first label file without a locale, else of the first one; None when there is none."""
        files = [file for file in self.files if file.labels is not None]
        chosen = next((file for file in files if not file.locale), files[0] if files else None)
        return None if chosen is None else chosen.labels


@dataclass(frozen=True)
class ModelMetadata:
    """A model. Inputs and outputs are in the order of the graph's."""

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    licence: str = ""
    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()
    files: tuple[AssociatedFile, ...] = ()
    min_parser_version: str = field(default=MIN_PARSER_VERSION)


def read_metadata(model: bytes) -> ModelMetadata | None:
    """What a .tflite says about itself; None when it says nothing.

    Raises:
        ModelError: no .tflite, or the metadata or the files behind the model are damaged.
    """
    check_start("the model", model)
    span = find_metadata(FlatFile("the model", model).root())
    if span is None:
        return None
    start, size = span
    data = model[start : start + size]
    if size > _MOST_BYTES or data[4:8] != METADATA_IDENTIFIER:
        wanted = f"the identifier {METADATA_IDENTIFIER.decode()} and at most {_MOST_BYTES:,} bytes"
        raise ModelError(
            f"metadata with the identifier {data[4:8]!r} and {size:,} bytes; expected {wanted}", hint="write the metadata again"
        )
    archive = read_archive(model)
    return _Reader({} if archive is None else archive.files).model(FlatFile("the metadata", data).root())


def find_metadata(root: Table) -> tuple[int, int] | None:
    """First byte and size of the metadata of the model whose root this is; None when there are none.

    Raises:
        ModelError: the model's list of metadata is damaged.
    """
    entries = [entry for entry in root.children(ModelField.METADATA, "metadata entry") if name_of(entry) == METADATA_NAME]
    if not entries:
        return None
    number = entries[0].integer(MetadataField.BUFFER, UINT32)
    buffers = root.children(ModelField.BUFFERS, "buffer")
    if number >= len(buffers):
        raise ModelError(f"the metadata are in buffer {number}; the file has {len(buffers)}", hint="write the metadata again")
    span = buffers[number].span(BufferField.DATA, "the data")
    return span if span[1] else None


def name_of(entry: Table) -> str:
    """What an entry of the model's list is called."""
    return entry.text(MetadataField.NAME, "the name")


class _Reader:
    """Tables of the metadata as dataclasses; `files` are those behind the model."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def model(self, root: Table) -> ModelMetadata:
        subgraphs = root.children(ModelMetadataField.SUBGRAPH_METADATA, "subgraph metadata")
        tensors = subgraphs[0] if subgraphs else None
        return ModelMetadata(
            name=_text(root, ModelMetadataField.NAME),
            description=_text(root, ModelMetadataField.DESCRIPTION),
            version=_text(root, ModelMetadataField.VERSION),
            author=_text(root, ModelMetadataField.AUTHOR),
            licence=_text(root, ModelMetadataField.LICENSE),
            inputs=self._tensors(tensors, SubGraphMetadataField.INPUT_TENSOR_METADATA),
            outputs=self._tensors(tensors, SubGraphMetadataField.OUTPUT_TENSOR_METADATA),
            files=self._associated(root, ModelMetadataField.ASSOCIATED_FILES),
            min_parser_version=_text(root, ModelMetadataField.MIN_PARSER_VERSION),
        )

    def _tensors(self, subgraph: Table | None, which: int) -> tuple[TensorMetadata, ...]:
        return () if subgraph is None else tuple(self._tensor(table) for table in subgraph.children(which, "tensor metadata"))

    def _tensor(self, table: Table) -> TensorMetadata:
        mean, std = _normalization(table)
        stats = table.child(TensorMetadataField.STATS, "stats")
        return TensorMetadata(
            name=_text(table, TensorMetadataField.NAME),
            description=_text(table, TensorMetadataField.DESCRIPTION),
            content=_content(table.child(TensorMetadataField.CONTENT, "content")),
            mean=mean,
            std=std,
            minimum=() if stats is None else stats.reals(StatsField.MIN, "the minimum"),
            maximum=() if stats is None else stats.reals(StatsField.MAX, "the maximum"),
            files=self._associated(table, TensorMetadataField.ASSOCIATED_FILES),
        )

    def _associated(self, table: Table, which: int) -> tuple[AssociatedFile, ...]:
        return tuple(self._file(entry) for entry in table.children(which, "associated file"))

    def _file(self, table: Table) -> AssociatedFile:
        name = _text(table, AssociatedFileField.NAME)
        return AssociatedFile(
            name=name,
            data=self._files.get(name),
            kind=_member(FileKind, table.integer(AssociatedFileField.TYPE, UINT8), FileKind.UNKNOWN),
            description=_text(table, AssociatedFileField.DESCRIPTION),
            locale=_text(table, AssociatedFileField.LOCALE),
        )


def _normalization(tensor: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the first normalization among a tensor's process units."""
    for unit in tensor.children(TensorMetadataField.PROCESS_UNITS, "process unit"):
        options = unit.child(ProcessUnitField.OPTIONS, "process unit options")
        if options is not None and unit.integer(ProcessUnitField.OPTIONS_TYPE, UINT8) == NORMALIZATION_OPTIONS:
            return options.reals(NormalizationField.MEAN, "the mean"), options.reals(NormalizationField.STD, "the deviation")
    return (), ()


def _content(content: Table | None) -> ImageContent | FeatureContent | None:
    if content is None:
        return None
    kind = content.integer(ContentField.PROPERTIES_TYPE, UINT8)
    properties = content.child(ContentField.PROPERTIES, "content properties")
    if properties is None or kind not in (ContentProperties.FEATURE, ContentProperties.IMAGE):
        return None
    if kind == ContentProperties.FEATURE:
        return FeatureContent()
    size = properties.child(ImagePropertiesField.DEFAULT_SIZE, "image size")
    return ImageContent(
        width=0 if size is None else size.integer(ImageSizeField.WIDTH, UINT32),
        height=0 if size is None else size.integer(ImageSizeField.HEIGHT, UINT32),
        color=_member(ColorSpace, properties.integer(ImagePropertiesField.COLOR_SPACE, UINT8), ColorSpace.UNKNOWN),
    )


def _member(kind: type[_E], value: int, unknown: _E) -> _E:
    """The enumeration's member with this value; `unknown` for one of a newer schema."""
    return kind(value) if value in kind._value2member_map_ else unknown


def _text(table: Table, which: int) -> str:
    return table.unicode_text(which, "the text", LONGEST_TEXT)
