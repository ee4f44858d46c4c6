"""An int8 model as data: tensors, ops and how they are connected.

A `Graph` is what every trade of floor 2 exchanges. It comes from a .tflite through `edgecompress.convert.read_tflite`, which has checked
every index and size, so code that holds a Graph may believe it. Nothing here changes after it was made.

Layouts are TFLite's: activations NHWC, CONV_2D filters OHWI, DEPTHWISE_CONV_2D filters 1HWC, FULLY_CONNECTED weights [out, in].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError


class DType(Enum):
    """Element types of a tensor; `bits` is the storage of one element."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT4 = "int4"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    OTHER = "other"

    @property
    def bits(self) -> int:
        return _BITS[self]


_BITS = {
    DType.FLOAT32: 32,
    DType.FLOAT16: 16,
    DType.INT4: 4,
    DType.INT8: 8,
    DType.UINT8: 8,
    DType.INT16: 16,
    DType.INT32: 32,
    DType.INT64: 64,
    DType.BOOL: 8,
    DType.OTHER: 0,
}


class Padding(Enum):
    SAME = "same"
    VALID = "valid"


class Activation(Enum):
    """The activation fused into an op."""

    NONE = "none"
    RELU = "relu"
    RELU_N1_TO_1 = "relu_n1_to_1"
    RELU6 = "relu6"
    TANH = "tanh"
    SIGN_BIT = "sign_bit"


@dataclass(frozen=True)
class Quantization:
    """`real = scale * (q - zero_point)`.

    Attributes:
        scales: one entry, or one per slice along `axis` (float32 values, each > 0 and finite).
        zero_points: as many as scales.
        axis: the dimension that per-channel entries run along; None when there is one entry.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def per_channel(self) -> bool:
        return self.axis is not None

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantization."""
        if len(self.scales) != 1:
            raise ValueError(f"a per-channel quantization of {len(self.scales)} channels has no single scale")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantization."""
        if len(self.zero_points) != 1:
            raise ValueError(f"a per-channel quantization of {len(self.zero_points)} channels has no single zero point")
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor; `data` holds a constant's elements in `shape` (int4 unpacked to int8), or None for an activation."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: NDArray[np.generic] | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return (self.elements * self.dtype.bits + 7) // 8

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        return self._quantized().scale

    @property
    def zero_point(self) -> int:
        return self._quantized().zero_point

    def _quantized(self) -> Quantization:
        if self.quantization is None:
            raise ValueError(f"tensor {self.name} ({self.dtype.value}) is not quantized")
        return self.quantization


@dataclass(frozen=True)
class NoOptions:
    """For ops whose table of options is empty or not needed."""


@dataclass(frozen=True)
class ConvOptions:
    """CONV_2D; grouped when the filter has fewer input channels than the input."""

    padding: Padding
    stride_h: int
    stride_w: int
    dilation_h: int = 1
    dilation_w: int = 1
    activation: Activation = Activation.NONE
    narrow_sums: bool = False
    """int16 without bias: sums of 32 bits, as beside a bias of 32 bits."""


@dataclass(frozen=True)
class DepthwiseConvOptions:
    padding: Padding
    stride_h: int
    stride_w: int
    depth_multiplier: int
    dilation_h: int = 1
    dilation_w: int = 1
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class TransposeConvOptions:
    padding: Padding
    stride_h: int
    stride_w: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class FullyConnectedOptions:
    activation: Activation = Activation.NONE
    keep_num_dims: bool = False
    shuffled_weights: bool = False
    narrow_sums: bool = False
    """As in `ConvOptions`."""


@dataclass(frozen=True)
class PoolOptions:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""

    padding: Padding
    stride_h: int
    stride_w: int
    filter_h: int
    filter_w: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class ArithmeticOptions:
    """ADD, SUB, MUL, DIV."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class SoftmaxOptions:
    beta: float = 1.0


@dataclass(frozen=True)
class LeakyReluOptions:
    alpha: float


@dataclass(frozen=True)
class ConcatenationOptions:
    axis: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class SplitOptions:
    num_splits: int


@dataclass(frozen=True)
class PackOptions:
    """PACK joins `count` tensors along a new axis; UNPACK undoes it."""

    axis: int
    count: int


@dataclass(frozen=True)
class ReshapeOptions:
    new_shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class SqueezeOptions:
    squeeze_dims: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReducerOptions:
    """MEAN, SUM and the other reductions."""

    keep_dims: bool = False


@dataclass(frozen=True)
class StridedSliceOptions:
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True)
class ResizeOptions:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

    align_corners: bool = False
    half_pixel_centers: bool = False


Options = (
    NoOptions
    | ConvOptions
    | DepthwiseConvOptions
    | TransposeConvOptions
    | FullyConnectedOptions
    | PoolOptions
    | ArithmeticOptions
    | SoftmaxOptions
    | LeakyReluOptions
    | ConcatenationOptions
    | SplitOptions
    | PackOptions
    | ReshapeOptions
    | SqueezeOptions
    | ReducerOptions
    | StridedSliceOptions
    | ResizeOptions
)


@dataclass(frozen=True)
class Op:
    """One operator. `inputs` and `outputs` are tensor indices; an input of -1 is an optional one left out.

    `kind` is TFLite's builtin name ("CONV_2D"); a custom op is "CUSTOM:name".
    """

    index: int
    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options = NoOptions()


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph of a .tflite, ops in execution order.

    Attributes:
        name: a C identifier made from the file's name.
        sha256: of the file's bytes, in hex.
        file_bytes: size of the file.
        subgraphs: how many the file holds (only the first is here).
    """

    name: str
    sha256: str
    file_bytes: int
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1

    def tensor(self, index: int) -> Tensor:
        return self.tensors[index]

    def op_inputs(self, op: Op) -> tuple[Tensor | None, ...]:
        """The op's input tensors; None where an optional one is left out."""
        return tuple(None if i < 0 else self.tensors[i] for i in op.inputs)

    def op_outputs(self, op: Op) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in op.outputs)

    def constants(self) -> Iterator[Tensor]:
        """Constant tensors that some op reads, each once."""
        used = {i for op in self.ops for i in op.inputs if i >= 0}
        return (t for t in self.tensors if t.index in used and t.is_constant)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(count_macs(self, op) for op in self.ops)

    @property
    def parameters(self) -> int:
        """Elements of weights and biases: the constants of ops that multiply by them."""
        indices = {i for op in self.ops if op.kind in _WEIGHTED for i in op.inputs if i >= 0 and self.tensors[i].is_constant}
        return sum(self.tensors[i].elements for i in indices)


_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "PRELU"})


def count_macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of one op: those of its convolution or matrix product, padding included; 0 for every other kind."""
    if op.kind == "CONV_2D":
        weights = graph.tensors[op.inputs[1]]
        return graph.tensors[op.outputs[0]].elements * math.prod(weights.shape[1:])
    if op.kind == "DEPTHWISE_CONV_2D":
        weights = graph.tensors[op.inputs[1]]
        return graph.tensors[op.outputs[0]].elements * math.prod(weights.shape[1:3])
    if op.kind == "TRANSPOSE_CONV":
        weights = graph.tensors[op.inputs[1]]
        return graph.tensors[op.inputs[2]].elements * weights.shape[0] * math.prod(weights.shape[1:3])
    if op.kind == "FULLY_CONNECTED":
        return graph.tensors[op.outputs[0]].elements * graph.tensors[op.inputs[1]].shape[-1]
    return 0


_SUM_HEADROOM = {DType.INT8: 2.0**-19, DType.UINT8: 2.0**-19, DType.INT16: 2.0**-14}
"""Sums shift their inputs left by 20 bits (int16: 15), then scale them by less than 1: TensorFlow Lite (add.cc, sub.cc) aborts if not."""


def require_openable(graph: Graph) -> None:
    """Refuse a model that ends the process which opens it in TensorFlow Lite or its Micro twin: a check in C++, no exception.

    Raises:
        ModelError: the output of an ADD or SUB has a scale too small for its inputs'; the layer is named.
    """
    for op in graph.ops:
        if op.kind not in ("ADD", "SUB"):
            continue
        *terms, out = (graph.tensor(index) for index in (*op.inputs, *op.outputs) if index >= 0)
        scales = [tensor.quantization.scale for tensor in (*terms, out) if tensor.quantization and not tensor.quantization.per_channel]
        headroom = _SUM_HEADROOM.get(out.dtype)
        if headroom is not None and len(scales) == len(terms) + 1 and scales[-1] <= headroom * max(scales[:-1]):
            raise ModelError(
                f"{out.name}: {op.kind} (op {op.index}): its output's scale is {scales[-1]:.3g}, its inputs' {max(scales[:-1]):.3g}; "
                "TensorFlow Lite aborts on a ratio so small",
                hint="an activation that is 0 for every input has such a scale: training killed it (lower the learning_rate), "
                "or the calibration data are not typical",
            )


def as_identifier(text: str) -> str:
    """A lower-case C identifier for a model: `'KWS small-v2.tflite' -> 'kws_small_v2'`."""
    stem = text.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
    stem = stem[: -len(".tflite")] if stem.lower().endswith(".tflite") else stem
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem.lower()).strip("_") or "model"
    return f"model_{name}" if name[0].isdigit() else name
