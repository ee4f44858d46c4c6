"""Split layers that do several things into layers that do one: activations, separable convolutions, averages.

Also takes out what does nothing at inference (Dropout, noise, random augmentation).
"""

from typing import Any

import keras
import numpy as np

from edgecompress.errors import ModelError
from edgecompress.keras_graph.activations import Curve, name_of_function, read_activation
from edgecompress.keras_graph.network import Array, Call, Network, Operator, Value
from edgecompress.keras_graph.weighted import spatial_sizes

_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_WITH_ACTIVATION = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    *_SEPARABLE,
)
_TRAINING_ONLY = frozenset(
    {
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
        "ActivityRegularization", "Identity", "StopGradient", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
        "RandomBrightness", "RandomContrast", "RandomHue", "RandomSaturation", "RandomColorJitter", "RandomGrayscale", "RandomErasing",
        "RandomGaussianBlur", "RandomInvert", "RandomPosterization", "RandomPerspective", "RandomSharpness", "RandomShear",
        "RandomColorDegeneration", "RandomElasticTransform", "MixUp", "CutMix", "RandAugment", "AugMix",
    }
)  # fmt: skip


def drop_training_only(network: Network) -> None:
    """Remove every call that hands its input through unchanged at inference."""
    for call in list(network.calls):
        if _is_identity(call) and len(call.inputs) == 1:
            network.remove(call)


def _is_identity(call: Call) -> bool:
    kind = call.operator.kind
    if kind.__module__.split(".")[0] == "keras" and kind.__name__ in _TRAINING_ONLY:
        return True
    activation = read_activation(call)
    return activation is not None and activation.curve is Curve.LINEAR


def split_activations(network: Network) -> None:
    """`Dense(activation="softmax")` becomes a linear Dense and a Softmax of its own, and so for every layer with weights."""
    for operator in list(network.operators()):
        if operator.kind in _WITH_ACTIVATION and operator.config is not None:
            _split_activation(network, operator)


def _split_activation(network: Network, operator: Operator) -> None:
    config = operator.config or {}
    function = keras.activations.get(config.get("activation"))
    word = name_of_function(function)
    if word == "linear":
        return
    activation = _activation_operator(network, operator, function, config["activation"], word)
    operator.config = {**config, "activation": "linear"}
    for call in network.calls_of(operator):
        raw = Value(call.output.shape, call.output.dtype)
        network.insert_after(call, Call(activation, (raw,), {}, [call.output]))
        call.outputs = [raw]


def _activation_operator(network: Network, operator: Operator, function: Any, spelled: Any, word: str) -> Operator:  # noqa: ANN401
    name = network.free_name(f"{operator.name}_{word.lower()}")
    if not isinstance(function, keras.layers.Layer):
        return Operator(name, keras.layers.Activation, {"name": name, "activation": spelled}, weights=[])
    own = getattr(operator.source, "activation", function).get_weights()
    if own and operator.weights is not None:
        operator.weights = operator.weights[: len(operator.weights) - len(own)]
    return Operator(name, type(function), {**function.get_config(), "name": name}, weights=own)


def split_separable(network: Network) -> None:
    """SeparableConv becomes a depthwise and a pointwise convolution; the pointwise one keeps the name."""
    for operator in list(network.operators()):
        if operator.kind in _SEPARABLE:
            _split_separable(network, operator)


def _split_separable(network: Network, operator: Operator) -> None:
    config, weights = operator.config, operator.weights
    if config is None or weights is None or len(weights) not in (2, 3):
        raise ModelError(f"{operator.describe()}: expected a depthwise kernel, a pointwise kernel and perhaps a bias")
    rank = weights[0].ndim - 2
    name = network.free_name(f"{operator.name}_depthwise")
    depthwise = Operator(name, _layer(rank, "DepthwiseConv"), _depthwise_config(config, name, rank), weights=[weights[0]])
    pointwise = Operator(operator.name, _layer(rank, "Conv"), _pointwise_config(config, rank), weights=list(weights[1:]))
    for call in network.calls_of(operator):
        source = call.inputs[0]
        between = Value(_depthwise_shape(config, source, weights[0], rank), source.dtype)
        network.insert_before(call, Call(depthwise, (source,), {}, [between]))
        call.operator, call.args, call.kwargs = pointwise, (between,), {}


def _layer(rank: int, stem: str) -> type:
    kind: type = getattr(keras.layers, f"{stem}{rank}D")
    return kind


def _depthwise_config(config: dict[str, Any], name: str, rank: int) -> dict[str, Any]:
    return {
        "name": name,
        "kernel_size": spatial_sizes(config, "kernel_size", rank),
        "strides": spatial_sizes(config, "strides", rank),
        "dilation_rate": spatial_sizes(config, "dilation_rate", rank),
        "padding": config["padding"],
        "depth_multiplier": config["depth_multiplier"],
        "use_bias": False,
    }


def _pointwise_config(config: dict[str, Any], rank: int) -> dict[str, Any]:
    return {
        "name": config["name"],
        "filters": config["filters"],
        "kernel_size": (1,) * rank,
        "use_bias": config["use_bias"],
        "activation": config["activation"],
    }


def _depthwise_shape(config: dict[str, Any], source: Value, kernel: Array, rank: int) -> tuple[int | None, ...]:
    layer = _layer(rank, "DepthwiseConv")(**_depthwise_config(config, "shape_only", rank))
    return (None, *layer.compute_output_shape((None, *source.shape[1:]))[1:])


def split_hard_sigmoids(network: Network) -> None:
    """hard_sigmoid becomes x / 6 + 0.5, which folds into the weights before it, and a ReLU that stops at 1."""
    for call in list(network.calls):
        activation = read_activation(call)
        if activation is None or activation.curve is not Curve.HARD_SIGMOID or len(call.inputs) != 1:
            continue
        scale_name = network.free_name(f"{call.operator.name}_scale")
        scale = Operator(scale_name, keras.layers.Rescaling, {"name": scale_name, "scale": 1 / 6, "offset": 0.5}, weights=[])
        scaled = Value(call.output.shape, call.output.dtype)
        network.insert_before(call, Call(scale, (call.inputs[0],), {}, [scaled]))
        name = call.operator.name
        call.operator = Operator(name, keras.layers.ReLU, {"name": name, "max_value": 1.0}, weights=[])
        call.args, call.kwargs = (scaled,), {}


def split_scaled_sums(network: Network) -> None:
    """InceptionResNetV2's own layer, a + scale * b, becomes a Rescaling, which folds, and an Add."""
    for call in list(network.calls):
        kind = call.operator.kind
        if kind.__name__ == "CustomScaleLayer" and kind.__module__.startswith("keras.") and len(call.inputs) == 2:
            left, right = call.inputs
            name = network.free_name(f"{call.operator.name}_scale")
            config = {"name": name, "scale": (call.operator.config or {})["scale"], "offset": 0.0}
            scaled = Value(right.shape, right.dtype)
            network.insert_before(call, Call(Operator(name, keras.layers.Rescaling, config, weights=[]), (right,), {}, [scaled]))
            name = call.operator.name
            call.operator = Operator(name, keras.layers.Add, {"name": name}, weights=[])
            call.args, call.kwargs = ([left, scaled],), {}


def multiply_instead_of_square(network: Network) -> None:
    """keras.ops.square(x) becomes x * x, which has an integer operator."""
    for call in network.calls:
        if call.operator.kind.__name__ == "Square" and not call.operator.is_layer:
            name = call.operator.name
            call.operator = Operator(name, keras.layers.Multiply, {"name": name}, weights=[])
            call.args, call.kwargs = ([call.inputs[0], call.inputs[0]],), {}


def open_time_distributed(network: Network) -> None:
    """TimeDistributed(Dense) is that Dense: it works along the last axis anyway."""
    for operator in network.operators():
        if operator.kind is keras.layers.TimeDistributed and isinstance(operator.source.layer, keras.layers.Dense):
            inner = operator.source.layer
            operator.kind, operator.config = type(inner), {**inner.get_config(), "name": operator.name}
            for call in network.calls_of(operator):
                call.args, call.kwargs = (call.inputs[0],), {}


def split_many_inputs(network: Network) -> None:
    """An Add or Multiply of n tensors becomes n - 1 of two tensors: each intermediate value then has a range of its own."""
    for call in list(network.calls):
        if call.operator.kind in (keras.layers.Add, keras.layers.Multiply) and len(call.inputs) > 2:
            *first, last = keras.tree.flatten(call.args)
            total = first[0]
            for value in first[1:]:
                name = network.free_name(f"{call.operator.name}_part")
                partial = Value(_broadcast(total, value), value.dtype)
                network.insert_before(call, Call(Operator(name, call.operator.kind, {"name": name}, []), ([total, value],), {}, [partial]))
                total = partial
            call.args, call.kwargs = ([total, last],), {}


def _broadcast(left: Value, right: Value) -> tuple[int | None, ...]:
    sizes = [[size or 1 for size in value.shape[1:]] for value in (left, right)]
    return (None, *np.broadcast_shapes(*sizes))


def split_averages(network: Network) -> None:
    """The Average layer becomes an Add and a multiplication by 1 / n, which runtimes have as integer operators."""
    for operator in list(network.operators()):
        if issubclass(operator.kind, keras.layers.Average):
            name = network.free_name(f"{operator.name}_scale")
            for call in network.calls_of(operator):
                share = 1.0 / len(call.inputs)
                total = Value(call.output.shape, call.output.dtype)
                scale = Operator(name, keras.layers.Rescaling, {"name": name, "scale": share, "offset": 0.0}, weights=[])
                network.insert_after(call, Call(scale, (total,), {}, [call.output]))
                call.outputs = [total]
            operator.kind, operator.config = keras.layers.Add, {"name": operator.name}
