"""Repetition written as nearest-neighbour resizing, an integer operator that runtimes have (repetition becomes TILE)."""

import keras

from edgecompress.keras_graph.network import Call, Network, Operator, Value
from edgecompress.keras_graph.weighted import spatial_sizes


def resize_instead_of_repeat(network: Network) -> None:
    """UpSampling2D (nearest), UpSampling1D and RepeatVector become Resizing; whole factors make them equal."""
    for call in list(network.calls):
        kind = call.operator.kind
        if kind is keras.layers.UpSampling2D and (call.operator.config or {})["interpolation"] == "nearest":
            _resize(call, call.inputs[0], (1, *spatial_sizes(call.operator.config or {}, "size", 2)))
        elif kind is keras.layers.UpSampling1D or kind is keras.layers.RepeatVector:
            _resize_flat(network, call)


def _resize(call: Call, source: Value, factors: tuple[int, ...]) -> None:
    """Make the call a Resizing of `source` [N, H, W, C] that keeps its name."""
    height, width = ((source.shape[axis] or 0) * factors[axis] for axis in (1, 2))
    name = call.operator.name
    config = {"name": name, "height": height, "width": width, "interpolation": "nearest"}
    call.operator, call.args, call.kwargs = Operator(name, keras.layers.Resizing, config, weights=[]), (source,), {}


def _resize_flat(network: Network, call: Call) -> None:
    """[N, L, C] or [N, C]: give it the axes of an image, [N, L, 1, C], and take them away again."""
    source, result = call.inputs[0], call.output
    steps = source.shape[1] if source.rank == 3 else 1
    image = Value((None, steps, 1, source.channels), source.dtype)
    large = Value((None, result.shape[1], 1, source.channels), source.dtype)
    config = call.operator.config or {}
    factor = int(config["size"] if "size" in config else config["n"])
    network.insert_before(call, _reshape(network, f"{call.operator.name}_expand", source, image))
    network.insert_after(call, _reshape(network, f"{call.operator.name}_squeeze", large, result))
    call.outputs = [large]
    _resize(call, image, (1, factor, 1))


def _reshape(network: Network, wish: str, source: Value, result: Value) -> Call:
    name = network.free_name(wish)
    operator = Operator(name, keras.layers.Reshape, {"name": name, "target_shape": result.shape[1:]}, weights=[])
    return Call(operator, (source,), {}, [result])
