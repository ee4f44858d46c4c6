"""What a call does to channels, in the few kinds that the removal of channels tells apart."""

from enum import Enum, auto
from typing import Any

import keras

from edgecompress.keras_graph.activations import Activation, Curve, read_activation
from edgecompress.keras_graph.network import Array, Call, Operator, Value

_L = keras.layers


class Kind(Enum):
    """A call as channels see it."""

    DENSE = auto()
    CONV = auto()
    TRANSPOSED = auto()
    DEPTHWISE = auto()
    SEPARABLE = auto()
    EMBEDDING = auto()
    BATCH_NORM = auto()
    NORMALIZATION = auto()
    PRELU = auto()
    ELEMENTWISE = auto()  # y[c] = f(x[c])
    IDENTITY = auto()  # at inference
    SUM = auto()  # zero only where all inputs are: also maxima and minima
    PRODUCT = auto()  # zero where one input is
    POOL = auto()  # a constant channel stays what it is: also upsampling, cropping, repeating
    PAD = auto()  # with zeros
    CONCAT = auto()
    RESHAPE = auto()  # the same elements in the same order
    TRANSPOSE = auto()
    REDUCE = auto()
    SLICE = auto()
    OPAQUE = auto()  # mixes channels in a way that nobody here has described


_LAYERS: dict[type, Kind] = {
    _L.Dense: Kind.DENSE,
    _L.Embedding: Kind.EMBEDDING,
    _L.BatchNormalization: Kind.BATCH_NORM,
    _L.Normalization: Kind.NORMALIZATION,
    _L.PReLU: Kind.PRELU,
    _L.Rescaling: Kind.ELEMENTWISE,
    _L.Concatenate: Kind.CONCAT,
    _L.Flatten: Kind.RESHAPE,
    _L.Reshape: Kind.RESHAPE,
    _L.Permute: Kind.TRANSPOSE,
    _L.RepeatVector: Kind.POOL,
    **dict.fromkeys((_L.Conv1D, _L.Conv2D, _L.Conv3D), Kind.CONV),
    **dict.fromkeys((_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose), Kind.TRANSPOSED),
    **dict.fromkeys((_L.DepthwiseConv1D, _L.DepthwiseConv2D), Kind.DEPTHWISE),
    **dict.fromkeys((_L.SeparableConv1D, _L.SeparableConv2D), Kind.SEPARABLE),
    **dict.fromkeys((_L.Add, _L.Subtract, _L.Average, _L.Maximum, _L.Minimum), Kind.SUM),
    _L.Multiply: Kind.PRODUCT,
    **dict.fromkeys((_L.ZeroPadding1D, _L.ZeroPadding2D, _L.ZeroPadding3D), Kind.PAD),
}
# Layers by the start of their names: one for each number of axes.
_POOLS = ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "UpSampling", "Cropping")
_IDENTITIES = ("Dropout", "SpatialDropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity")
_OPERATIONS: dict[str, Kind] = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), Kind.SUM),
    "Multiply": Kind.PRODUCT,
    **dict.fromkeys(("MaxPool", "AveragePool", "Resize"), Kind.POOL),
    "Pad": Kind.PAD,
    "Concatenate": Kind.CONCAT,
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims"), Kind.RESHAPE),
    "Transpose": Kind.TRANSPOSE,
    **dict.fromkeys(("Mean", "Max", "Min", "Sum"), Kind.REDUCE),
    "GetItem": Kind.SLICE,
}
_ELEMENTWISE_OPERATIONS = frozenset(
    {
        "Abs", "Absolute", "Cast", "Ceil", "Clip", "Cos", "Divide", "Exp", "Expm1", "Floor", "Log1p", "Negative", "Power", "Relu6", "Round",
        "Sign", "Sin", "Sqrt", "Square", "StopGradient", "Tanh", "TrueDivide",
    }
)  # fmt: skip
# `read_activation` calls these words OTHER; they work element by element. softmax, glu and functions of the user's do not, or may not.
_ELEMENTWISE_WORDS = frozenset(
    {"elu", "selu", "celu", "softplus", "softsign", "exponential", "mish", "hard_tanh", "hardtanh", "log_sigmoid", "tanh_shrink",
     "hard_shrink", "soft_shrink", "squareplus", "sparse_plus", "threshold", "relu with a threshold", "relu with both a slope and a cap"}
)  # fmt: skip


def kind_of(call: Call) -> Kind:
    """What `call` does to channels; OPAQUE when in doubt."""
    operator = call.operator
    if len(call.outputs) != 1 or not call.inputs or any(None in value.shape[1:] for value in [*call.inputs, call.output]):
        return Kind.OPAQUE
    kind = _of_layer(operator) if operator.is_layer else _of_operation(call)
    if kind in (Kind.SUM, Kind.PRODUCT) and len(call.inputs) == 1:
        # One value and a constant of the user's: `x + 3`.
        kind = Kind.ELEMENTWISE
    return Kind.OPAQUE if kind is Kind.ELEMENTWISE and not _is_elementwise(call) else kind


def _of_layer(operator: Operator) -> Kind:
    known = _LAYERS.get(operator.kind)
    if known is not None:
        return known if _has_plain_weights(operator) else Kind.OPAQUE
    name = operator.kind.__name__
    if operator.kind.__module__.split(".")[0] != "keras":
        return Kind.OPAQUE
    if name.startswith(_POOLS):
        return Kind.POOL
    config = operator.config or {}
    if name == "Resizing" and not config.get("crop_to_aspect_ratio") and not config.get("pad_to_aspect_ratio"):
        return Kind.POOL
    if name.startswith(_IDENTITIES):
        return Kind.IDENTITY
    return Kind.ELEMENTWISE


def _of_operation(call: Call) -> Kind:
    name = call.operator.kind.__name__
    if name == "Pad":
        plain = getattr(call.operator.source, "mode", "constant") == "constant" and not call.kwargs.get("constant_values")
        return Kind.PAD if plain and "pad_width" not in call.kwargs else Kind.OPAQUE
    if name in _OPERATIONS and call.operator.source is not None:
        return _OPERATIONS[name]
    return Kind.ELEMENTWISE


def _has_plain_weights(operator: Operator) -> bool:
    """No LoRA, no weights of an activation."""
    config, weights = operator.config or {}, operator.weights or []
    expected = {_L.Embedding: 1, _L.SeparableConv1D: 2, _L.SeparableConv2D: 2}.get(operator.kind, 1)
    return "use_bias" not in config or len(weights) == expected + bool(config["use_bias"])


def fused_activation(operator: Operator) -> Any:  # noqa: ANN401 - a function of tensors
    """The activation that a layer with weights applies; None when it is not known to work element by element."""
    function = keras.activations.get((operator.config or {}).get("activation"))
    stand_in = Operator(operator.name, _L.Activation, {"activation": function}, weights=[])
    activation = read_activation(Call(stand_in, (), {}, []))
    return function if activation is not None and _acts_on_elements(activation) and not isinstance(function, _L.Layer) else None


def _acts_on_elements(activation: Activation) -> bool:
    if activation.curve is Curve.OTHER:
        return activation.word.lower() in _ELEMENTWISE_WORDS
    return activation.curve not in (Curve.SOFTMAX, Curve.PRELU)


def _is_elementwise(call: Call) -> bool:
    """A function of one value, and of numbers that are the same for every channel."""
    if len(call.inputs) != 1 or call.output.shape != call.inputs[0].shape:
        return False
    operator = call.operator
    if operator.kind is _L.Rescaling:
        config = operator.config or {}
        return _is_scalar(config["scale"]) and _is_scalar(config["offset"])
    activation = read_activation(call)
    if activation is not None:
        return _acts_on_elements(activation)
    names = _ELEMENTWISE_OPERATIONS | {"Add", "Subtract", "Multiply", "Maximum", "Minimum"}
    return not operator.is_layer and operator.kind.__name__ in names and all(map(_is_scalar, constants_of(call)))


def constants_of(call: Call) -> list[Any]:
    """What a keras.ops node is given besides Values."""
    return [leaf for leaf in keras.tree.flatten((call.args, call.kwargs)) if leaf is not None and not isinstance(leaf, Value)]


def _is_scalar(constant: Any) -> bool:  # noqa: ANN401
    return isinstance(constant, bool | int | float | str) or int(getattr(constant, "size", 0) or _size(constant)) == 1


def _size(constant: Any) -> int:  # noqa: ANN401
    shape = getattr(constant, "shape", None)
    if shape is None:
        return len(constant) if isinstance(constant, list | tuple) else 0
    size = 1
    for length in shape:
        size *= int(length)
    return size


def has_border(operator: Operator, input_shape: tuple[int | None, ...]) -> bool:
    """Whether a convolution reads zeros beyond the edge of its input."""
    config = operator.config or {}
    mode, rank = config.get("padding", "valid"), len(input_shape) - 2
    if mode == "valid":
        return False
    sizes = input_shape[1:-1]
    per_axis = ((config.get(key, 1),) * rank if isinstance(config.get(key, 1), int) else config[key] for key in _GEOMETRY)
    for size, kernel, stride, dilation in zip(sizes, *per_axis, strict=True):
        reach = (kernel - 1) * dilation
        steps = -(-(size or 0) // stride)
        if reach > 0 and (mode == "causal" or size is None or (steps - 1) * stride + reach + 1 > size):
            return True
    return False


_GEOMETRY = ("kernel_size", "strides", "dilation_rate")


def separable_parts(operator: Operator) -> tuple[Operator, Operator]:
    """A separable convolution as the depthwise and the pointwise convolution that it is; weights shared, the border is the first one's."""
    weights: list[Array] = list(operator.weights or [])
    config = operator.config or {}
    spatial = weights[0].ndim - 2
    depthwise = Operator(operator.name, getattr(_L, f"DepthwiseConv{spatial}D"), {**config, "use_bias": False}, weights=weights[:1])
    pointwise_config = {"groups": 1, "padding": "valid", "kernel_size": (1,) * spatial, "use_bias": config["use_bias"]}
    pointwise = Operator(operator.name, getattr(_L, f"Conv{spatial}D"), pointwise_config, weights=weights[1:])
    return depthwise, pointwise
