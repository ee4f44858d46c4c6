"""What an Android module says about a model, whichever engine runs it: names, tensors, labels, golden vectors.

`describe` checks everything once; what holds a `Module` may believe it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgecompress.build.android.names import ModuleNames, module_names
from edgecompress.errors import DataError, ModelError
from edgecompress.graph import DType, Graph, Tensor

# The element types that TensorSpec.kt knows, by their names there, with the counts that the integers may take.
_INTEGERS = {
    DType.INT8: (-(1 << 7), (1 << 7) - 1),
    DType.UINT8: (0, (1 << 8) - 1),
    DType.INT16: (-(1 << 15), (1 << 15) - 1),
    DType.INT32: (-(1 << 31), (1 << 31) - 1),
}

# What the converter gives every int8 softmax (tensorflow/lite/kernels/activations.cc: 1/256 and the lowest count).
_SOFTMAX_SCALE = 1 / 256
LONGEST_LABEL = 4096


class Layout(Enum):
    """What runs the model in the app: LiteRT on the .tflite, or the generated C, compiled by the NDK."""

    LITERT = "litert"
    AOT = "aot"


@dataclass(frozen=True)
class GoldenSample:
    """One inference: raw tensor bytes, an entry per input and per output of the model, in its order."""

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


@dataclass(frozen=True)
class Golden:
    """Inferences that the instrumented tests repeat on a phone.

    Attributes:
        reference: the runtime that made them, as the tests' messages name it.
        tolerance: largest difference of an output element that passes, in counts of its type.
    """

    samples: tuple[GoldenSample, ...]
    reference: str
    tolerance: int


@dataclass(frozen=True)
class TensorSpec:
    """One input or output, as the sidecar and TensorSpec.kt describe it.

    Attributes:
        scale: with zero_point: `real = scale * (count - zero_point)`; 1 and 0 for integers without quantization; None for floats.
        lowest, highest: the counts that the element type can hold; None for floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    bytes: int
    scale: float | None
    zero_point: int | None
    lowest: int | None
    highest: int | None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def kotlin_type(self) -> str:
        """The entry of the Kotlin enum ElementType."""
        return self.dtype.name


@dataclass(frozen=True, eq=False)
class Module:
    """A checked description of the module to write.

    Attributes:
        model: the .tflite's bytes.
        source_sha256: of the file that `model` was made from; the same as `sha256` when nothing was added to it.
        labels: one per class; None when the model is no classifier. Those of a classifier without given labels are its class numbers.
        labels_given: whether the labels came from the user.
    """

    names: ModuleNames
    model: bytes
    sha256: str
    source_sha256: str
    macs: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] | None
    labels_given: bool
    golden: Golden

    @property
    def classifies(self) -> bool:
        return self.labels is not None

    @property
    def golden_spread(self) -> int | None:
        """By how many counts the outputs of any two golden vectors differ at least, at their most different element; None without integers.

        What differs by no more than the tolerance cannot show that a model looks at its input.
        """
        if all(spec.dtype is DType.FLOAT32 for spec in self.outputs):
            return None
        samples = self.golden.samples
        pairs = [(one, other) for at, one in enumerate(samples) for other in samples[:at]]
        return min((self._distance(one.outputs, other.outputs) for one, other in pairs), default=0)

    def _distance(self, left: Sequence[bytes], right: Sequence[bytes]) -> int:
        largest = 0
        for spec, one, other in zip(self.outputs, left, right, strict=True):
            if spec.dtype is not DType.FLOAT32:
                counts = [np.frombuffer(raw, np.dtype(spec.dtype.value).newbyteorder("<")).astype(np.int64) for raw in (one, other)]
                largest = max(largest, int(np.abs(counts[0] - counts[1]).max(initial=0)))
        return largest

    @property
    def softmax(self) -> bool:
        """Whether the scores of a classifier are probabilities, as far as their quantization tells."""
        return self.classifies and _is_softmax(self.outputs[0])


def describe(
    model: bytes, graph: Graph, package: str, *, name: str, labels: Sequence[str] | None, golden: Golden, source_sha256: str | None = None
) -> Module:
    """Everything about a module, checked.

    Args:
        source_sha256: of the file that `model` was made from; None for `model` itself.
        labels: one per class of the only output, in the model's order; None: class numbers when the output looks like a softmax.

    Raises:
        UserError: the package is none.
        ModelError: an input or output has a type that no app could fill.
        DataError: labels do not fit the model, or a golden vector does not.
    """
    inputs = tuple(_spec(graph.tensor(index)) for index in graph.inputs)
    outputs = tuple(_spec(graph.tensor(index)) for index in graph.outputs)
    if not inputs or not outputs:
        raise ModelError(
            f"{name}: {len(inputs)} inputs and {len(outputs)} outputs; expected one or more of each", hint="convert the model again"
        )
    _check_golden(golden, inputs, outputs)
    return Module(
        names=module_names(package, name),
        model=model,
        sha256=graph.sha256,
        source_sha256=source_sha256 or graph.sha256,
        macs=graph.macs,
        inputs=inputs,
        outputs=outputs,
        labels=_labels(labels, outputs),
        labels_given=labels is not None,
        golden=golden,
    )


def _spec(tensor: Tensor) -> TensorSpec:
    if tensor.dtype is DType.FLOAT32:
        return TensorSpec(tensor.name, tensor.shape, tensor.dtype, tensor.bytes, None, None, None, None)
    if tensor.dtype not in _INTEGERS:
        kinds = ", ".join(dtype.value for dtype in (DType.FLOAT32, *_INTEGERS))
        message = f"{tensor.name} is {tensor.dtype.value}; an Android module takes and gives {kinds}"
        raise ModelError(message, hint="convert the model with int8 or float32 inputs and outputs")
    if tensor.quantization is not None and tensor.quantization.per_channel:
        raise ModelError(
            f"{tensor.name}: {len(tensor.quantization.scales)} scales; an input or output has one", hint="convert the model again"
        )
    quantization = tensor.quantization
    scale, zero_point = (quantization.scale, quantization.zero_point) if quantization else (1.0, 0)
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype, tensor.bytes, scale, zero_point, *_INTEGERS[tensor.dtype])


def _class_count(outputs: Sequence[TensorSpec]) -> int | None:
    """The classes of an only output [1, N]; None for every other model."""
    shape = outputs[0].shape
    return shape[1] if len(outputs) == 1 and len(shape) == 2 and shape[0] == 1 else None


def _is_softmax(output: TensorSpec) -> bool:
    return output.dtype in (DType.INT8, DType.UINT8) and output.scale == _SOFTMAX_SCALE and output.zero_point == output.lowest


def _labels(given: Sequence[str] | None, outputs: Sequence[TensorSpec]) -> tuple[str, ...] | None:
    count = _class_count(outputs)
    if given is None:
        return tuple(str(index) for index in range(count)) if count and _is_softmax(outputs[0]) else None
    if count is None:
        shapes = ", ".join(str(list(output.shape)) for output in outputs)
        raise DataError(f"labels belong to one output of shape [1, classes]; this model gives {shapes}", hint="leave --labels out")
    if len(given) != count:
        hint = "give one label per class, in the model's order" + ("; an empty line is a label as well" if "" in given else "")
        raise DataError(f"{len(given)} labels for {count} classes", hint=hint)
    longest = max(len(label) for label in given)
    if longest > LONGEST_LABEL:
        raise DataError(f"a label has {longest} characters; up to {LONGEST_LABEL} are taken", hint="shorten it")
    return tuple(given)


def _check_golden(golden: Golden, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    if not golden.samples:
        raise DataError("a module needs a golden vector for its tests; none was given", hint="give one inference or more")
    expected = [spec.bytes for spec in (*inputs, *outputs)]
    for number, sample in enumerate(golden.samples):
        sizes = [len(raw) for raw in (*sample.inputs, *sample.outputs)]
        if sizes != expected:
            message = f"golden vector {number} has tensors of {sizes} bytes; the model takes and gives {expected}"
            raise DataError(message, hint="make it with this model")
