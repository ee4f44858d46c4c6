"""From a .tflite to a library module for an Android app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgecompress.build import android
from edgecompress.build.android import Golden, GoldenSample, Layout, LiteRt
from edgecompress.errors import DataError, OutputError, UserError
from edgecompress.files import staging, write_bytes
from edgecompress.graph import DType, Graph
from edgecompress.numerics.lcg import lcg_bytes, lcg_inputs
from edgecompress.pipeline.reference import open_reference
from edgecompress.pipeline.sources import LoadedModel, load_model
from edgecompress.pipeline.verify import LITERT_TOLERANCE

GOLDEN_VECTORS = 3
# A file of labels is a small text: ImageNet's 1,000 take 20 kB.
_MOST_LABEL_BYTES = 16 * 1024 * 1024
_LABELS_HINT = "give a UTF-8 text with one label a line, or a .json file with an array of strings"


def build_android(
    model: Path,
    *,
    package: str,
    output: Path,
    name: str | None = None,
    labels: Path | None = None,
    layout: Layout = Layout.LITERT,
    litert: str | None = None,
) -> list[Path]:
    """Write the model as a Gradle library module into the folder `output`.

    Args:
        package: of the Kotlin code, such as com.acme.digits; not the app's own namespace.
        name: what the model is called; the file's stem when None.
        labels: one per class, in the model's order: a UTF-8 text with one a line, or a .json file with an array of strings.
        layout: what runs the model in the app.
        litert: the release of LiteRT that the module depends on; the pinned one when None.

    Returns:
        The files that were written.

    Raises:
        UserError: the package, the labels or the release cannot be used.
        ModelError: the file is not a .tflite, or none that an app could run.
        OutputError: the folder cannot be written.

    Example:
        >>> edgecompress.build_android(Path("digits.tflite"), package="com.acme.digits", output=Path("digits-android"))[0]
        PosixPath('digits-android/.gitignore')
    """
    if layout is not Layout.LITERT:
        raise UserError(f"the layout {layout.value} is not in this version", hint=f"leave --layout out for {Layout.LITERT.value}")
    loaded = load_model(model, name=name)
    files = android.build_android(
        loaded.data,
        loaded.graph,
        package,
        name=name or model.stem,
        labels=None if labels is None else read_labels(labels),
        golden=golden_vectors(loaded, LITERT_TOLERANCE),
        runtime=LiteRt() if litert is None else LiteRt(litert),
    )
    _check_leftovers(output, files)
    with staging(output) as folder:
        for path, content in files.items():
            write_bytes(folder / path, content)
    return [output / path for path in files]


def _check_leftovers(output: Path, files: Mapping[str, bytes]) -> None:
    """Gradle compiles whatever lies in a module's folders: code or assets of another model must not stay there.

    Raises:
        OutputError: they would.
    """
    sources = output / "model" / "src"
    for path in sorted(sources.rglob("*")):
        if path.relative_to(output).as_posix() not in files and not path.is_dir():
            hint = "remove the folder, or choose another with -o"
            raise OutputError(f"{path}: is not of this module, and Gradle would build it as well", hint=hint)


def golden_vectors(model: LoadedModel, tolerance: int, count: int = GOLDEN_VECTORS) -> Golden:
    """Inferences of the reference on generated inputs.

    Args:
        tolerance: largest difference that passes on a phone, in counts; 0 for what computes as the reference does.

    Raises:
        ModelError: the reference cannot run this model.
    """
    reference, run = open_reference(model)
    samples = [tuple(_inputs(model.graph, seed)) for seed in range(1, count + 1)]
    return Golden(tuple(GoldenSample(sample, tuple(run(sample))) for sample in samples), reference, tolerance)


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a file, as they stand there.

    Raises:
        DataError: it is missing, too large, no UTF-8, or its JSON is no array of strings.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_LABEL_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}", hint=_LABELS_HINT) from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: is no UTF-8 text at byte {e.start}", hint=_LABELS_HINT) from e
    if len(raw) > _MOST_LABEL_BYTES:
        raise DataError(f"{path}: has more than {_MOST_LABEL_BYTES} bytes; labels are a small text", hint=_LABELS_HINT)
    labels = _json_labels(path, text) if path.suffix.lower() == ".json" else text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if not text.strip() or not labels:
        raise DataError(f"{path}: holds no label", hint=_LABELS_HINT)
    return tuple(labels)


def _json_labels(path: Path, text: str) -> list[str]:
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: is no JSON: {e}", hint=_LABELS_HINT) from e
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f"{path}: its JSON is no array of strings", hint=_LABELS_HINT)
    return labels


def _inputs(graph: Graph, seed: int) -> list[bytes]:
    """Generated bytes; where any bytes would not do, numbers made from them: floats in [-1, 1), and 0 or 1 for int32, often an index."""
    tensors = [graph.tensor(index) for index in graph.inputs]
    inputs = lcg_inputs(seed, [tensor.bytes for tensor in tensors])
    for place, tensor in enumerate(tensors):
        values = np.frombuffer(lcg_bytes(seed + place, tensor.elements), np.uint8)
        if tensor.dtype is DType.FLOAT32:
            inputs[place] = ((values.astype(np.float32) - 128) / 128).astype("<f4").tobytes()
        elif tensor.dtype is DType.INT32:
            inputs[place] = (values & 1).astype("<i4").tobytes()
    return inputs
