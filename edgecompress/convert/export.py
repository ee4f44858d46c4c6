"""A Keras model as a SavedModel of batch 1, whose op names begin with the names of the Keras layers.

A free batch axis would leave SHAPE, STRIDED_SLICE and PACK in the .tflite around Flatten and Conv2DTranspose: the signature is fixed to 1.
TensorFlow makes scope names unique by appending numbers ("conv2d_1" may be the first or the second layer); absolute scopes ("conv2d_1/")
keep them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecompress.errors import ModelError, UnsupportedOpError

if TYPE_CHECKING:
    import tensorflow as tf
    from keras import KerasTensor, Model, Operation
    from keras.src.models import Functional


@dataclass(frozen=True)
class Signature:
    """What goes in and out of an exported model.

    Attributes:
        names: of the inputs, in the model's order.
        shapes: of the inputs without the batch axis.
        dtypes: of the inputs, as numpy names.
        outputs: names of the layers whose outputs the model gives.
        layers: paths of all layers and ops ("block/conv"), longest first.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[str, ...]


def read_signature(model: Model) -> Signature:
    """The inputs and outputs of a built Keras model.

    Raises:
        ModelError: the model has no fixed inputs (never built, subclassed), or an axis of unknown size.
    """
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise ModelError(
            f"model {model.name!r} has no known input shape",
            hint="begin a Sequential with keras.Input(shape=...); wrap a subclassed model: keras.Model(x, model(x)), x = keras.Input(...)",
        )
    shapes = []
    for tensor in tensors:
        shape = tuple(tensor.shape[1:])
        if any(size is None for size in shape):
            raise ModelError(
                f"model {model.name!r}: input {_input_name(tensor)!r} is {_text(tensor.shape)}; "
                "a converted model needs every size except the batch",
                hint="fix the sizes: x = keras.Input(shape=(...), all known); fixed = keras.Model(x, model(x)); fixed.save(...)",
            )
        shapes.append(shape)
    return Signature(
        names=tuple(_input_name(t) for t in tensors),
        shapes=tuple(shapes),
        dtypes=tuple(str(t.dtype) for t in tensors),
        outputs=tuple(str(name) for name in getattr(_graph_of(model), "output_names", ())),
        layers=tuple(sorted(_paths(model, ""), key=len, reverse=True)),
    )


def export_model(model: Model, folder: Path) -> Signature:
    """Write `model` as a SavedModel into `folder`; it behaves as in inference.

    Raises:
        ModelError: shapes are unknown.
        UnsupportedOpError: the model cannot be traced for inference.
    """
    import keras
    import tensorflow as tf

    signature = read_signature(model)
    specs = [
        tf.TensorSpec((1, *shape), dtype, name=f"input_{i}")
        for i, (shape, dtype) in enumerate(zip(signature.shapes, signature.dtypes, strict=True))
    ]

    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = keras.tree.flatten(_run(model, list(tensors), ""))
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    with _quiet():
        try:
            archive = keras.export.ExportArchive()
            archive.track(model)
            archive.add_endpoint("serve", serve, input_signature=specs)
            archive.write_out(str(folder), verbose=False)
        except (TypeError, ValueError, NotImplementedError, AttributeError, tf.errors.OpError) as e:
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
            raise UnsupportedOpError(
                f"model {model.name!r} cannot be exported: {reason}", hint="try model(x, training=False) inside a tf.function"
            ) from e
    return signature


def _run(model: Model, tensors: list[tf.Tensor], path: str) -> Any:  # noqa: ANN401  a structure of tensors, as the model was built
    """Call the model op by op, each inside a scope of its own path; models that are no graph of layers are called whole."""
    import keras
    import tensorflow as tf

    graph = _graph_of(model)
    if graph is None:
        return model(keras.tree.pack_sequence_as(model._inputs_struct, tensors) if hasattr(model, "_inputs_struct") else tensors[0])

    def scoped(operation: Operation) -> Callable[..., Any]:
        name = f"{path}{operation.name}"

        def call(*args: object, **kwargs: object) -> object:
            with tf.name_scope(f"{name}/"):
                # A nested model may take further arguments (masks, training): only the plain call is taken apart.
                if _graph_of(operation) is not None and len(args) == 1 and all(value is None for value in kwargs.values()):
                    return _run(operation, keras.tree.flatten(args[0]), f"{name}/")
                return operation(*args, **kwargs)

        return call

    # Functional.call also casts to the input's type and adds a missing last axis; the signature has settled both.
    return graph._run_through_graph(tensors, operation_fn=scoped)


def _graph_of(operation: Operation) -> Functional | None:
    """The Functional behind a model, or None when the operation is no graph of layers (or overrides `call`)."""
    from keras import Sequential
    from keras.src.models import Functional

    if isinstance(operation, Sequential):
        operation = operation._functional
    return operation if isinstance(operation, Functional) and type(operation).call is Functional.call else None


def _paths(model: Operation, path: str) -> list[str]:
    graph = _graph_of(model)
    if graph is None:
        return []
    names = [f"{path}{operation.name}" for operation in graph.operations]
    return names + [name for operation in graph.operations for name in _paths(operation, f"{path}{operation.name}/")]


def _input_name(tensor: KerasTensor) -> str:
    """The InputLayer's name; a symbolic tensor's own name counts up through the process."""
    return str(tensor._keras_history.operation.name)


def _text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("None" if size is None else str(size) for size in shape) + ")"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what TensorFlow says while saving ("Assets written to...") off the user's terminal."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logger.setLevel(level)
