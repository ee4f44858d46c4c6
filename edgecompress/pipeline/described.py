"""A model that says what it is: the .tflite that goes into an app, with metadata and label file inside."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.convert import read_tflite
from edgecompress.convert.metadata_write import describe_model, write_metadata
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
