"""An op's table of options as a frozen record; a table of the wrong type, or a value outside of its range, is an error.

Field ids are those of schema.fbs; `_TABLES` says which union member belongs to which op.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgecompress.convert.flatbuffer import INT8, INT32, Table
from edgecompress.errors import ModelError
from edgecompress.graph import (
    Activation,
    ArithmeticOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseConvOptions,
    FullyConnectedOptions,
    LeakyReluOptions,
    NoOptions,
    Options,
    PackOptions,
    Padding,
    PoolOptions,
    ReducerOptions,
    ReshapeOptions,
    ResizeOptions,
    SoftmaxOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
    TransposeConvOptions,
)

_PADDINGS = (Padding.SAME, Padding.VALID)
_ACTIVATIONS = (
    Activation.NONE,
    Activation.RELU,
    Activation.RELU_N1_TO_1,
    Activation.RELU6,
    Activation.TANH,
    Activation.SIGN_BIT,
)
# Strides, dilations and filter sizes above this make no sense, and below it every product of two fits an int32.
_LARGEST_STEP = 32767

_TENSOR_TYPE_INT32 = 2

_HINT = "the file is damaged, or written by a tool with a mistake: export the model again"


@dataclass(frozen=True)
class OpLocation:
    """Where an op stands, for messages: `model.tflite: op 3 (CONV_2D)`."""

    file: str
    op: int
    kind: str

    def error(self, what: str, hint: str = _HINT) -> ModelError:
        return ModelError(f"{self.file}: op {self.op} ({self.kind}): {what}", hint=hint)


def read_options(kind: str, table_type: int, table: Table | None, at: OpLocation) -> Options:
    """The options of one op; ops without options that matter have NoOptions.

    Raises:
        ModelError: the table is missing, of another op's type, or holds a value outside of its range.
    """
    if kind not in _TABLES:
        return NoOptions()
    entry = _TABLES[kind]
    if table_type not in (0, entry.table_type):
        raise at.error(f"its options are of type {table_type}; expected {entry.table_type}")
    if table is None or table_type == 0:
        if entry.default is None:
            raise at.error("its options are missing")
        return entry.default
    return entry.read(_Fields(table, at))


@dataclass(frozen=True)
class _Fields:
    """Typed, range-checked access to a table of options."""

    table: Table
    at: OpLocation

    def padding(self, field: int) -> Padding:
        return _PADDINGS[self.between(field, "padding", 0, len(_PADDINGS) - 1, byte=True)]

    def activation(self, field: int) -> Activation:
        return _ACTIVATIONS[self.between(field, "fused activation", 0, len(_ACTIVATIONS) - 1, byte=True)]

    def step(self, field: int, name: str, default: int = 0) -> int:
        """A stride, dilation or filter size: at least 1."""
        return self.between(field, name, 1, _LARGEST_STEP, default=default)

    def between(self, field: int, name: str, low: int, high: int, *, default: int = 0, byte: bool = False) -> int:
        value = self.table.integer(field, INT8 if byte else INT32, default)
        if not low <= value <= high:
            raise self.at.error(f"{name} is {value}; expected {low} to {high}")
        return value

    def narrow_sums(self, field: int) -> bool:
        """Whether the type that a bias would have is int32."""
        return self.between(field, "the bias' type", 0, 127, byte=True) == _TENSOR_TYPE_INT32

    def integer(self, field: int) -> int:
        return self.table.integer(field, INT32)

    def positive_real(self, field: int, name: str) -> float:
        value = self.table.real(field)
        if not 0 < value < float("inf"):
            raise self.at.error(f"{name} is {value}; expected a number above 0")
        return value

    def finite_real(self, field: int, name: str) -> float:
        value = self.table.real(field)
        if not abs(value) < float("inf"):
            raise self.at.error(f"{name} is {value}; expected a number")
        return value


def _conv(f: _Fields) -> Options:
    return ConvOptions(
        padding=f.padding(0),
        stride_w=f.step(1, "the horizontal stride"),
        stride_h=f.step(2, "the vertical stride"),
        activation=f.activation(3),
        dilation_w=f.step(4, "the horizontal dilation", default=1),
        dilation_h=f.step(5, "the vertical dilation", default=1),
        narrow_sums=f.narrow_sums(6),
    )


def _depthwise(f: _Fields) -> Options:
    return DepthwiseConvOptions(
        padding=f.padding(0),
        stride_w=f.step(1, "the horizontal stride"),
        stride_h=f.step(2, "the vertical stride"),
        depth_multiplier=f.between(3, "the depth multiplier", 0, _LARGEST_STEP),
        activation=f.activation(4),
        dilation_w=f.step(5, "the horizontal dilation", default=1),
        dilation_h=f.step(6, "the vertical dilation", default=1),
    )


def _transpose_conv(f: _Fields) -> Options:
    return TransposeConvOptions(
        padding=f.padding(0),
        stride_w=f.step(1, "the horizontal stride"),
        stride_h=f.step(2, "the vertical stride"),
        activation=f.activation(3),
    )


def _pool(f: _Fields) -> Options:
    return PoolOptions(
        padding=f.padding(0),
        stride_w=f.step(1, "the horizontal stride"),
        stride_h=f.step(2, "the vertical stride"),
        filter_w=f.step(3, "the filter's width"),
        filter_h=f.step(4, "the filter's height"),
        activation=f.activation(5),
    )


def _fully_connected(f: _Fields) -> Options:
    return FullyConnectedOptions(
        activation=f.activation(0),
        shuffled_weights=f.between(1, "the weights' format", 0, 1, byte=True) == 1,
        keep_num_dims=f.table.flag(2),
        narrow_sums=f.narrow_sums(4),
    )


def _arithmetic(f: _Fields) -> Options:
    return ArithmeticOptions(f.activation(0))


def _concatenation(f: _Fields) -> Options:
    return ConcatenationOptions(axis=f.integer(0), activation=f.activation(1))


def _pack(f: _Fields) -> Options:
    return PackOptions(count=f.integer(0), axis=f.integer(1))


def _strided_slice(f: _Fields) -> Options:
    return StridedSliceOptions(f.integer(0), f.integer(1), f.integer(2), f.integer(3), f.integer(4), f.table.flag(5))


@dataclass(frozen=True)
class _OptionsTable:
    """A union member: its number in BuiltinOptions, how it is read, and what a missing table means (None: it must be there)."""

    table_type: int
    read: Callable[[_Fields], Options]
    default: Options | None = None


_POOL = _OptionsTable(5, _pool)
_REDUCER = _OptionsTable(27, lambda f: ReducerOptions(f.table.flag(0)), ReducerOptions())

_TABLES: dict[str, _OptionsTable] = {
    "ADD": _OptionsTable(11, _arithmetic, ArithmeticOptions()),
    "AVERAGE_POOL_2D": _POOL,
    "CONCATENATION": _OptionsTable(10, _concatenation),
    "CONV_2D": _OptionsTable(1, _conv),
    "DEPTHWISE_CONV_2D": _OptionsTable(2, _depthwise),
    "DIV": _OptionsTable(29, _arithmetic, ArithmeticOptions()),
    "FULLY_CONNECTED": _OptionsTable(8, _fully_connected, FullyConnectedOptions()),
    "LEAKY_RELU": _OptionsTable(75, lambda f: LeakyReluOptions(f.finite_real(0, "alpha"))),
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCER,
    "MUL": _OptionsTable(21, _arithmetic, ArithmeticOptions()),
    "PACK": _OptionsTable(59, _pack),
    "REDUCE_MAX": _REDUCER,
    "REDUCE_MIN": _REDUCER,
    "REDUCE_PROD": _REDUCER,
    "RESHAPE": _OptionsTable(17, lambda f: ReshapeOptions(f.table.integers(0, "<i4", "the new shape")), ReshapeOptions()),
    "RESIZE_BILINEAR": _OptionsTable(15, lambda f: ResizeOptions(f.table.flag(2), f.table.flag(3)), ResizeOptions()),
    "RESIZE_NEAREST_NEIGHBOR": _OptionsTable(74, lambda f: ResizeOptions(f.table.flag(0), f.table.flag(1)), ResizeOptions()),
    "SOFTMAX": _OptionsTable(9, lambda f: SoftmaxOptions(f.positive_real(0, "beta")), SoftmaxOptions()),
    "SPLIT": _OptionsTable(35, lambda f: SplitOptions(f.integer(0))),
    "SQUEEZE": _OptionsTable(30, lambda f: SqueezeOptions(f.table.integers(0, "<i4", "the squeezed dimensions")), SqueezeOptions()),
    "STRIDED_SLICE": _OptionsTable(32, _strided_slice, StridedSliceOptions()),
    "SUB": _OptionsTable(28, _arithmetic, ArithmeticOptions()),
    "SUM": _REDUCER,
    "TRANSPOSE_CONV": _OptionsTable(49, _transpose_conv),
    "UNPACK": _OptionsTable(64, _pack),
}
