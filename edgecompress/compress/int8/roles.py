"""What each call of a prepared network means for int8: which tensors need a range, and whose."""

from dataclasses import dataclass
from enum import Enum

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS
from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Call, Operator
from edgecompress.keras_graph.weighted import is_weighted


class Role(Enum):
    """How an integer kernel treats its tensors."""

    WEIGHTED = "int8 weights; output has a range of its own, after a ReLU that follows"
    ARITHMETIC = "every input and the output have ranges; a ReLU that follows is fused"
    RELU = "fused into the call before it when that call feeds nothing else"
    OWN = "output has a range of its own"
    FIXED = "output range is known beforehand"
    SAME = "output values are input values: same range, already on the grid"
    SAME_ROUNDED = "output has the range of the input but must be rounded to its grid"
    JOIN = "all inputs and the output share one range"
    OPAQUE = "several kernels inside, whose ranges calibration must find"
    FLOAT = "no int8 form"


@dataclass(frozen=True)
class Part:
    """A call's role.

    Args:
        fixed: (low, high) of a FIXED output.
        nonnegative: the output is never below zero.
        way_out: for FLOAT, what the user can do.
    """

    role: Role
    fixed: tuple[float, float] | None = None
    nonnegative: bool = False
    way_out: str = ""


# int8 kernels of sigmoid and softmax have scale 1/256 and zero point -128, tanh 1/128 and 0: these ranges give exactly those.
UNIT_RANGE = (0.0, 255 / 256)
TANH_RANGE = (-1.0, 127 / 128)

FUSED_CAP = 6.0
"""The one capped ReLU that every runtime fuses."""

_SAME = frozenset(
    {
        # Keras layers
        "Flatten", "Permute", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D",
        "MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
        # operations; Reshape is a layer as well
        "Reshape", "Transpose", "Squeeze", "ExpandDims", "GetItem", "Split", "Unstack", "Slice", "MaxPool", "Max", "Amax", "Moveaxis",
        "Swapaxes", "Ravel", "Roll",
    }
)  # fmt: skip
_SAME_ROUNDED = frozenset({"AveragePooling1D", "AveragePooling2D", "AveragePool", "Resizing", "Resize", "Pad", "UpSampling2D"})
_JOIN = frozenset({"Concatenate", "Maximum", "Minimum", "Stack", "Vstack", "Hstack"})
_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply"})
_OWN = frozenset(
    {"GlobalAveragePooling1D", "GlobalAveragePooling2D", "Mean", "Matmul", "Dot", "Absolute", "Exp", "Sqrt", "Clip", "Divide", "TrueDivide"}
)
_OPAQUE = frozenset({"MultiHeadAttention", "Attention", "EinsumDense", "Embedding", "Einsum", "TimeDistributed"})
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN"})
_NORMALIZATIONS = frozenset({"LayerNormalization", "RMSNormalization", "GroupNormalization", "UnitNormalization", "LayerNorm", "RMSNorm"})
_REPEATING = frozenset({"Tile", "Repeat", "Flip", "DepthToSpace", "SpaceToDepth", "BroadcastTo"})
_OWN_CURVES = frozenset({Curve.LEAKY_RELU, Curve.PRELU, Curve.SILU, Curve.GELU, Curve.HARD_SWISH})

_EXCHANGES = {"elu": "leaky_relu", "selu": "leaky_relu", "celu": "leaky_relu", "mish": "hard_swish", "softplus": "relu"}
"""What the pass `replace` puts in place of an activation without an int8 form."""


def part_of(call: Call) -> Part:
    """The role of one call."""
    if is_weighted(call.operator) or call.operator.kind in FLOAT_KINDS:
        return Part(Role.WEIGHTED)
    activation = read_activation(call)
    if activation is not None:
        return _part_of_curve(activation.curve, activation.cap, activation.word)
    if not call.operator.kind.__module__.startswith(("keras.", "edgecompress.")):
        return Part(Role.FLOAT, way_out="a custom layer cannot be looked into: write it as layers and keras.ops in the functional graph")
    return _part_of_name(call.operator.kind.__name__, call)


def _part_of_curve(curve: Curve, cap: float | None, word: str) -> Part:
    match curve:
        case Curve.RELU:
            return Part(Role.RELU, nonnegative=True)
        case Curve.CAPPED_RELU if cap == FUSED_CAP:
            return Part(Role.RELU, nonnegative=True)
        case Curve.CAPPED_RELU if cap is not None:
            return Part(Role.RELU, fixed=(0.0, cap))
        case Curve.SIGMOID | Curve.SOFTMAX:
            return Part(Role.FIXED, fixed=UNIT_RANGE)
        case Curve.TANH:
            return Part(Role.FIXED, fixed=TANH_RANGE)
    if curve in _OWN_CURVES:
        return Part(Role.OWN)
    return Part(Role.FLOAT, way_out=_way_out_of_curve(word))


def _way_out_of_curve(word: str) -> str:
    name = word.lower()
    if name in _EXCHANGES:
        return f'begin the recipe with a step pass = "replace", activations = {{ {name} = "{_EXCHANGES[name]}" }}'
    return f"swap {word} for ReLU, LeakyReLU or swish and fine-tune"


def _part_of_name(name: str, call: Call) -> Part:
    for names, role in (
        (_SAME, Role.SAME),
        (_SAME_ROUNDED, Role.SAME_ROUNDED),
        (_JOIN, Role.JOIN),
        (_ARITHMETIC, Role.ARITHMETIC),
        (_OWN, Role.OWN),
        (_OPAQUE, Role.OPAQUE),
    ):
        if name in names:
            return Part(role)
    if name in _RECURRENT:
        return _recurrent(call.operator)
    return Part(Role.FLOAT, way_out=_way_out(name))


def _recurrent(operator: Operator) -> Part:
    if (operator.config or {}).get("unroll"):
        # One that could not be taken apart: stateful, masked, or called with states.
        return Part(Role.OPAQUE)
    return Part(Role.FLOAT, way_out="build it with unroll=True, which converts to plain int8 operators")


def _way_out(name: str) -> str:
    if name in _NORMALIZATIONS:
        return "swap it for BatchNormalization, which folds into the weights"
    if name == "BatchNormalization":
        return "normalize over the last axis"
    if name == "Bidirectional":
        return "use two unrolled recurrent layers, one with go_backwards=True, and a Concatenate"
    if name == "Sum":
        return "use keras.ops.mean: the factor folds into the weights after it"
    if name in _REPEATING:
        return "int8 TILE and its kin are not in the runtimes: use UpSampling2D or Concatenate"
    if name == "Lambda":
        return "write the function as layers or keras.ops in the functional graph"
    return "rebuild this part from convolutions, dense layers, pooling, additions and ReLU"
