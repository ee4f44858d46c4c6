"""From a .tflite to a library module for an Android app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgecompress.artifact import Engine
from edgecompress.build.android import Layout, LiteRt, Module, describe, litert_files
from edgecompress.errors import DataError, OutputError, UserError
from edgecompress.files import staging, write_bytes
from edgecompress.pipeline.described import labels_inside, metadata_inside, with_metadata
from edgecompress.pipeline.golden import golden_vectors
from edgecompress.pipeline.reference import LITERT_TOLERANCE
from edgecompress.pipeline.sources import LoadedModel, generate_sources, load_model
from edgecompress.target import KernelSet

# LiteRT's CPU kernels on a phone round once, the reference twice; the generated C computes as the reference does.
_TOLERANCE = {Layout.LITERT: LITERT_TOLERANCE, Layout.AOT: 0}
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
            None for those in the model's metadata, if there are any.
        layout: what runs the model in the app.
        litert: the release of LiteRT that the module depends on; the pinned one when None.

    Returns:
        The files that were written.

    Raises:
        UserError: the package, the labels or the release cannot be used, or fit the layout.
        ModelError: the file is not a .tflite, or none that the layout could run.
        OutputError: the folder cannot be written.

    Example:
        >>> edgecompress.build_android(Path("digits.tflite"), package="com.acme.digits", output=Path("digits-android"))[0]
        PosixPath('digits-android/.gitignore')
    """
    if layout is not Layout.LITERT and litert is not None:
        raise UserError(f"the layout {layout.value} does not use LiteRT, so a release of it has no effect", hint="leave --litert out")
    runtime = LiteRt() if litert is None else LiteRt(litert)
    called = name or model.stem
    loaded = load_model(model, name=name)
    metadata = metadata_inside(loaded)
    classes = read_labels(labels) if labels is not None else labels_inside(loaded, metadata)
    # A model that brings metadata keeps them: its author knows better.
    inside = with_metadata(loaded, name=called, labels=classes) if layout is Layout.LITERT and metadata is None else loaded
    module = describe(
        inside.data,
        inside.graph,
        package,
        name=called,
        labels=classes,
        golden=golden_vectors(loaded, _TOLERANCE[layout]),
        source_sha256=loaded.graph.sha256,
    )
    files = litert_files(module, runtime) if layout is Layout.LITERT else _aot_files(loaded, module)
    _check_leftovers(output, files)
    with staging(output) as folder:
        for path, content in files.items():
            write_bytes(folder / path, content)
    return [output / path for path in files]


def _aot_files(model: LoadedModel, module: Module) -> dict[str, bytes]:
    from edgecompress.build.android.aot import aot_files

    return aot_files(module, generate_sources(model, Engine.AOT, name=module.names.asset, keep_input=False, kernels=KernelSet.WIDE))


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
