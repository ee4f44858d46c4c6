"""A .tflite file as a `Graph` that may be believed.

The file is untrusted: `flatbuffer` checks where things stand, this module what they mean. After it, every index is in range, every constant
has exactly the bytes of its shape, every scale is finite and above 0, ops stand in an order in which they can run, and shapes fit the op
(`shapes`). Constants are views of the file's bytes, not copies; only int4 is unpacked.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecompress.convert.flatbuffer import INT8, INT32, UINT8, UINT32, UINT64, FlatFile, Table
from edgecompress.convert.model_file import check_start, read_model_bytes
from edgecompress.convert.options import OpLocation, read_options
from edgecompress.convert.order import check_order
from edgecompress.convert.schema import (
    CUSTOM_CODE,
    ELEMENT_TYPE_COUNT,
    ELEMENT_TYPES,
    FILE_VERSION,
    BufferField,
    ModelField,
    OperatorCodeField,
    OperatorField,
    QuantizationField,
    SubgraphField,
    TensorField,
    builtin_name,
)
from edgecompress.convert.shapes import check_shapes
from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Op, Quantization, Tensor, as_identifier

_MOST_DIMENSIONS = 8
# Arena offsets and loop counters on a core are int32.
_LARGEST_TENSOR_BYTES = 2**31 - 1

_EXPORT_AGAIN = "export the model again"
_ZERO_POINT_RANGES = {DType.INT4: (-8, 7), DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}
_ANY_ZERO_POINT = (-(2**31), 2**31 - 1)


def read_tflite(source: Path | bytes, *, name: str | None = None) -> Graph:
    """The first subgraph of a .tflite.

    Args:
        source: the file, or its bytes.
        name: of the model; by default that of the file ("model" for bytes). It becomes a C identifier.

    Returns:
        Tensors whose type has no use on a core (strings, resources, float64 ...) have the dtype OTHER and their raw bytes as data.

    Raises:
        ModelError: the file is missing, damaged, no .tflite, has shapes that are unknown before it runs, or contradicts itself.
    """
    if isinstance(source, bytes):
        name = name or "model"
        label, data = name, source
        check_start(label, data)
    else:
        name = name or source.name
        label, data = str(source), read_model_bytes(source)
    return _Reader(FlatFile(label, data)).graph(as_identifier(name))


class _Reader:
    """One file on its way to a Graph."""

    def __init__(self, file: FlatFile) -> None:
        self._file = file
        self._unpacked_left = 4 * len(file.data)

    def graph(self, name: str) -> Graph:
        root = self._file.root()
        version = root.integer(ModelField.VERSION, UINT32)
        if version != FILE_VERSION:
            raise self._error(f"the file has schema version {version}; expected {FILE_VERSION}", _EXPORT_AGAIN)
        buffers = root.children(ModelField.BUFFERS, "buffer")
        codes = [self._op_code(code) for code in root.children(ModelField.OPERATOR_CODES, "operator code")]
        subgraphs = root.children(ModelField.SUBGRAPHS, "subgraph")
        if not subgraphs:
            raise self._error("the file holds no graph", _EXPORT_AGAIN)
        main = subgraphs[0]
        stored = main.children(SubgraphField.TENSORS, "tensor")
        tensors = tuple(self._tensor(index, table, buffers) for index, table in enumerate(stored))
        operators = main.children(SubgraphField.OPERATORS, "op")
        graph = Graph(
            name=name,
            sha256=hashlib.sha256(self._file.data).hexdigest(),
            file_bytes=len(self._file.data),
            tensors=tensors,
            ops=tuple(self._op(index, table, codes, len(tensors)) for index, table in enumerate(operators)),
            inputs=self._indices(main, SubgraphField.INPUTS, "the inputs", len(tensors), lowest=0),
            outputs=self._indices(main, SubgraphField.OUTPUTS, "the outputs", len(tensors), lowest=0),
            subgraphs=len(subgraphs),
        )
        variables = frozenset(i for i, table in enumerate(stored) if table.flag(TensorField.IS_VARIABLE))
        check_order(self._file.name, graph, variables)
        check_shapes(self._file.name, graph)
        return graph

    def _op_code(self, table: Table) -> tuple[str, int]:
        """Kind and version. Files from before 2020 have only the one-byte code; newer ones have both, the old one capped at 127."""
        old = table.integer(OperatorCodeField.DEPRECATED_BUILTIN_CODE, INT8)
        new = table.integer(OperatorCodeField.BUILTIN_CODE, INT32)
        version = table.integer(OperatorCodeField.VERSION, INT32, 1)
        code = max(old, new)
        if code < 0 or version < 1:
            raise self._error(f"{table.where} is number {code}, version {version}; expected 0 or more, and 1 or more", _EXPORT_AGAIN)
        if code == CUSTOM_CODE:
            return f"CUSTOM:{table.text(OperatorCodeField.CUSTOM_CODE, 'the name')}", version
        return builtin_name(code), version

    def _tensor(self, index: int, table: Table, buffers: list[Table]) -> Tensor:
        name = table.text(TensorField.NAME, "the name") or f"t{index}"
        where = f"tensor {index} ({name})"
        self._reject_unknown_layouts(table, where)
        shape = self._shape(table, where)
        dtype, stored = self._element_type(table, where)
        # An empty dimension counts as 1 here, so that it cannot hide others that no array could have.
        size = math.prod(max(d, 1) for d in shape) * stored.itemsize
        if size > _LARGEST_TENSOR_BYTES:
            raise self._error(
                f"{where} of shape {list(shape)} has {size:,} bytes; expected at most {_LARGEST_TENSOR_BYTES:,}", _EXPORT_AGAIN
            )
        return Tensor(
            index=index,
            name=name,
            shape=shape,
            dtype=dtype,
            quantization=self._quantization(table, where, shape, dtype),
            data=self._constant(table, where, buffers, shape, dtype, stored),
        )

    def _reject_unknown_layouts(self, table: Table, where: str) -> None:
        if table.child(TensorField.SPARSITY, where) is not None:
            raise self._error(f"{where} is stored sparse; expected dense weights", "export without the converter's sparsity optimization")
        if table.integer(TensorField.EXTERNAL_BUFFER, UINT32) != 0:
            raise self._error(f"{where} has its weights in another file; expected one file", "export the model as a single .tflite")

    def _shape(self, table: Table, where: str) -> tuple[int, ...]:
        shape = table.integers(TensorField.SHAPE, "<i4", "the shape")
        signature = table.integers(TensorField.SHAPE_SIGNATURE, "<i4", "the shape signature")
        if len(shape) > _MOST_DIMENSIONS:
            raise self._error(f"{where} has {len(shape)} dimensions; expected at most {_MOST_DIMENSIONS}", "use fewer dimensions")
        # Converters write a free batch as -1 in the signature and 1 in the shape, and every runtime runs that as a batch of 1.
        unknown = [d for d, size in enumerate(signature) if size < 0 and not (d == 0 and shape[:1] == (1,))]
        if unknown or min(shape, default=0) < 0:
            seen = [-1 if size < 0 else size for size in signature or shape]
            raise self._error(
                f"{where} has the shape {seen}, which is unknown before it runs",
                "export the model with a fixed input shape and a batch of 1",
            )
        return shape

    def _element_type(self, table: Table, where: str) -> tuple[DType, np.dtype[np.generic]]:
        code = table.integer(TensorField.TYPE, INT8)
        if not 0 <= code < ELEMENT_TYPE_COUNT:
            raise self._error(f"{where} has element type {code}; expected 0 to {ELEMENT_TYPE_COUNT - 1}", _EXPORT_AGAIN)
        return ELEMENT_TYPES.get(code, (DType.OTHER, np.dtype("u1")))

    def _quantization(self, table: Table, where: str, shape: tuple[int, ...], dtype: DType) -> Quantization | None:
        stored = table.child(TensorField.QUANTIZATION, f"the quantization of {where}")
        if stored is None:
            return None
        if stored.integer(QuantizationField.DETAILS_TYPE, UINT8) != 0:
            raise self._error(f"{where} is quantized in blocks or in a custom way; expected scales and zero points", _EXPORT_AGAIN)
        scales = stored.reals(QuantizationField.SCALE, "the scales")
        if not scales:
            return None
        zero_points = stored.integers(QuantizationField.ZERO_POINT, "<i8", "the zero points")
        axis = stored.integer(QuantizationField.AXIS, INT32) if len(scales) > 1 else None
        # Converters of 2020 gave biases the axis of their weights; a list has only one (TFLM's person_detect.tflite).
        if axis is not None and shape == (len(scales),):
            axis = 0
        self._check_scales(where, scales)
        self._check_zero_points(where, dtype, zero_points, len(scales))
        if axis is not None and (not 0 <= axis < len(shape) or shape[axis] != len(scales)):
            raise self._error(
                f"{where} of shape {list(shape)} has {len(scales)} scales along axis {axis}; expected one per entry of an axis",
                _EXPORT_AGAIN,
            )
        return Quantization(scales, zero_points, axis)

    def _check_scales(self, where: str, scales: tuple[float, ...]) -> None:
        for channel, scale in enumerate(scales):
            if not 0 < scale < math.inf:
                place = f"channel {channel}" if len(scales) > 1 else "the tensor"
                raise self._error(
                    f"{where}: the scale of {place} is {scale}; expected a number above 0",
                    "a scale of 0 means a dead channel: shrink the model or train it again",
                )

    def _check_zero_points(self, where: str, dtype: DType, zero_points: tuple[int, ...], count: int) -> None:
        if len(zero_points) != count:
            raise self._error(f"{where} has {count} scales and {len(zero_points)} zero points; expected as many", _EXPORT_AGAIN)
        low, high = _ZERO_POINT_RANGES.get(dtype, _ANY_ZERO_POINT)
        if not low <= min(zero_points) <= max(zero_points) <= high:
            raise self._error(
                f"{where} ({dtype.value}) has zero points from {min(zero_points)} to {max(zero_points)}; expected {low} to {high}",
                _EXPORT_AGAIN,
            )

    def _constant(
        self, table: Table, where: str, buffers: list[Table], shape: tuple[int, ...], dtype: DType, stored: np.dtype[np.generic]
    ) -> NDArray[np.generic] | None:
        number = table.integer(TensorField.BUFFER, UINT32)
        if number >= max(len(buffers), 1):
            raise self._error(f"{where} has its data in buffer {number}; the file has {len(buffers)}", _EXPORT_AGAIN)
        start, size = self._buffer_span(buffers[number]) if buffers else (0, 0)
        if size == 0:
            # A constant without elements looks like an activation; nothing else can have no elements.
            return np.zeros(shape, stored) if 0 in shape and dtype is not DType.OTHER else None
        if dtype is DType.OTHER:
            return np.frombuffer(self._file.data, stored, size, start)
        elements = math.prod(shape)
        expected = (elements * dtype.bits + 7) // 8
        if size != expected:
            raise self._error(
                f"{where} of shape {list(shape)} ({dtype.value}) has {size} bytes of data; expected {expected}", _EXPORT_AGAIN
            )
        if dtype is DType.INT4:
            return self._unpack_int4(start, size)[:elements].reshape(shape)
        if dtype is DType.BOOL:
            self._allow_unpacking(size)
            return np.not_equal(np.frombuffer(self._file.data, np.uint8, size, start), 0).reshape(shape)
        return np.frombuffer(self._file.data, stored, elements, start).reshape(shape)

    def _buffer_span(self, buffer: Table) -> tuple[int, int]:
        """First byte and size of a buffer: inside the flatbuffer, or (files above 2 GB) behind it; offsets 0 and 1 mean inside."""
        offset = buffer.integer(BufferField.OFFSET, UINT64)
        if offset <= 1:
            return buffer.span(BufferField.DATA, "the data")
        size = buffer.integer(BufferField.SIZE, UINT64)
        self._file.require(offset, size, 1, buffer.where)
        return offset, size

    def _unpack_int4(self, start: int, size: int) -> NDArray[np.int8]:
        """Two elements a byte, the low half first."""
        self._allow_unpacking(2 * size)
        packed = np.frombuffer(self._file.data, np.int8, size, start)
        unpacked = np.empty(2 * size, np.int8)
        unpacked[0::2] = np.left_shift(packed, 4) >> 4
        unpacked[1::2] = packed >> 4
        return unpacked

    def _allow_unpacking(self, size: int) -> None:
        """Keep tensors that share one buffer from becoming many copies of it."""
        self._unpacked_left -= size
        if self._unpacked_left < 0:
            raise self._error("constants share one buffer so often that they would not fit the memory", _EXPORT_AGAIN)

    def _op(self, index: int, table: Table, codes: list[tuple[str, int]], tensor_count: int) -> Op:
        number = table.integer(OperatorField.OPCODE, UINT32)
        if number >= len(codes):
            raise self._error(f"op {index} has operator code {number}; the file has {len(codes)}", _EXPORT_AGAIN)
        kind, version = codes[number]
        at = OpLocation(self._file.name, index, kind)
        options = table.child(OperatorField.OPTIONS, f"the options of op {index}")
        return Op(
            index=index,
            kind=kind,
            version=version,
            inputs=self._indices(table, OperatorField.INPUTS, "the inputs", tensor_count, lowest=-1),
            outputs=self._indices(table, OperatorField.OUTPUTS, "the outputs", tensor_count, lowest=0),
            options=read_options(kind, table.integer(OperatorField.OPTIONS_TYPE, UINT8), options, at),
        )

    def _indices(self, table: Table, field: int, what: str, tensor_count: int, *, lowest: int) -> tuple[int, ...]:
        indices = table.integers(field, "<i4", what)
        wrong = [i for i in indices if not lowest <= i < tensor_count]
        if wrong:
            raise self._error(f"{what} of {table.where} name tensor {wrong[0]}; the graph has {tensor_count}", _EXPORT_AGAIN)
        return indices

    def _error(self, what: str, hint: str) -> ModelError:
        return ModelError(f"{self._file.name}: {what}", hint=hint)
