"""Which nonlinearity a call is, however it was written: as a string, a layer, a function or a keras.ops node."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import keras

from edgecompress.keras_graph.network import Call, Operator


class Curve(Enum):
    """Shapes of nonlinearity that quantization tells apart; the value is the word used in messages."""

    LINEAR = "linear"
    RELU = "relu"
    CAPPED_RELU = "capped relu"
    LEAKY_RELU = "leaky relu"
    PRELU = "prelu"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    TANH = "tanh"
    SILU = "silu"
    GELU = "gelu"
    HARD_SWISH = "hard swish"
    HARD_SIGMOID = "hard sigmoid"
    OTHER = "other"


@dataclass(frozen=True)
class Activation:
    """One nonlinearity.

    Args:
        cap: upper bound of a CAPPED_RELU (6.0 is the one that every runtime fuses); None otherwise.
        word: what the user wrote, for messages.
    """

    curve: Curve
    word: str
    cap: float | None = None


# Names of functions in keras.activations and of operations in keras.ops (in lower case), in every spelling.
_CURVES: dict[str, Curve] = {
    "linear": Curve.LINEAR,
    "identity": Curve.LINEAR,
    "relu": Curve.RELU,
    "relu6": Curve.CAPPED_RELU,
    "leaky_relu": Curve.LEAKY_RELU,
    "leakyrelu": Curve.LEAKY_RELU,
    "sigmoid": Curve.SIGMOID,
    "softmax": Curve.SOFTMAX,
    "tanh": Curve.TANH,
    "silu": Curve.SILU,
    "swish": Curve.SILU,
    "gelu": Curve.GELU,
    "hard_silu": Curve.HARD_SWISH,
    "hard_swish": Curve.HARD_SWISH,
    "hardsilu": Curve.HARD_SWISH,
    "hard_sigmoid": Curve.HARD_SIGMOID,
    "hardsigmoid": Curve.HARD_SIGMOID,
}
_OTHER_WORDS = frozenset(
    {"elu", "selu", "celu", "softplus", "softsign", "exponential", "mish", "log_softmax", "glu", "hard_tanh", "hardtanh"}
)


def read_activation(call: Call) -> Activation | None:
    """The nonlinearity of a call; None when it is something else (a convolution, an addition, ...)."""
    operator = call.operator
    if not operator.is_layer:
        return _of_operation(operator)
    return _of_layer(operator)


def name_of_function(function: Any) -> str:  # noqa: ANN401
    """The word for an activation function or layer: `relu6`, `my_function`."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _of_word(word: str) -> Activation:
    curve = _CURVES.get(word.lower(), Curve.OTHER)
    return Activation(curve, word, 6.0 if curve is Curve.CAPPED_RELU else None)


def _of_operation(operator: Operator) -> Activation | None:
    word = operator.kind.__name__
    if word.lower() in _CURVES or word.lower() in _OTHER_WORDS:
        return _of_word(word)
    return None


def _of_layer(operator: Operator) -> Activation | None:
    config = operator.config or {}
    if issubclass(operator.kind, keras.layers.Activation):
        return _of_word(name_of_function(keras.activations.get(config["activation"])))
    if issubclass(operator.kind, keras.layers.ReLU):
        return _of_relu_layer(config)
    if issubclass(operator.kind, keras.layers.LeakyReLU):
        return Activation(Curve.LEAKY_RELU, "LeakyReLU")
    if issubclass(operator.kind, keras.layers.PReLU):
        return Activation(Curve.PRELU, "PReLU")
    if issubclass(operator.kind, keras.layers.Softmax):
        return Activation(Curve.SOFTMAX, "Softmax")
    if issubclass(operator.kind, keras.layers.ELU):
        return Activation(Curve.OTHER, "ELU")
    return None


def _of_relu_layer(config: dict[str, Any]) -> Activation:
    cap, slope, threshold = config.get("max_value"), float(config.get("negative_slope") or 0), float(config.get("threshold") or 0)
    if threshold != 0 or (slope != 0 and cap is not None):
        return Activation(Curve.OTHER, "ReLU with a threshold" if threshold else "ReLU with both a slope and a cap")
    if slope != 0:
        return Activation(Curve.LEAKY_RELU, "ReLU")
    if cap is not None:
        return Activation(Curve.CAPPED_RELU, "ReLU", float(cap))
    return Activation(Curve.RELU, "ReLU")
