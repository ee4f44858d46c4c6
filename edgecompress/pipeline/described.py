"""A model that says what it is: the .tflite that goes into an app, with metadata and label file inside."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.convert import read_tflite
from edgecompress.convert.metadata import ModelMetadata, read_metadata
from edgecompress.convert.metadata_write import describe_model, write_metadata
from edgecompress.errors import ModelError
from edgecompress.pipeline.sources import LoadedModel


def with_metadata(model: LoadedModel, *, name: str, labels: Sequence[str] | None) -> LoadedModel:
    """The same model with metadata: it computes the same bytes, and its SHA-256 is another one.

    Args:
        labels: one per class of the first output; None when there are none.

    Raises:
        ModelError: the model is damaged, or above 2 GB.
    """
    data = write_metadata(model.data, describe_model(model.graph, name=name, labels=labels))
    return LoadedModel(data, read_tflite(data, name=model.graph.name))


def metadata_inside(model: LoadedModel) -> ModelMetadata | None:
    """What the file says about itself; empty when that is damaged, since the model itself is not; None when it says nothing."""
    try:
        return read_metadata(model.data)
    except ModelError:
        return ModelMetadata()


def labels_inside(model: LoadedModel, metadata: ModelMetadata | None) -> tuple[str, ...] | None:
    """The labels in a model's metadata, when there is one for each class of an only output [1, classes]."""
    shapes = [model.graph.tensor(index).shape for index in model.graph.outputs]
    labels = metadata.outputs[0].labels if metadata is not None and metadata.outputs else None
    return labels if labels and shapes == [(1, len(labels))] else None
