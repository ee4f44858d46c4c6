"""From a .tflite to a Swift package for an iOS app."""

from __future__ import annotations

from pathlib import Path

from edgecompress.errors import OutputError
from edgecompress.files import staging, write_bytes
from edgecompress.pipeline.android import read_labels
from edgecompress.pipeline.described import labels_inside, metadata_inside, with_metadata
from edgecompress.pipeline.golden import golden_vectors
from edgecompress.pipeline.reference import LITERT_TOLERANCE
from edgecompress.pipeline.sources import load_model


def build_ios(model: Path, *, output: Path, name: str | None = None, labels: Path | None = None) -> list[Path]:
    """Write the model, with metadata, as a Swift package into the folder `output`.

    Args:
        name: what the model is called; the file's stem when None.
        labels: one per class, in the model's order: a UTF-8 text with one a line, or a .json file with an array of strings.
            None for those in the model's metadata, if there are any.

    Returns:
        The files that were written.

    Raises:
        UserError: the labels cannot be used.
        ModelError: the file is not a .tflite, or none that an app could run.
        OutputError: the folder cannot be written, or holds Swift files of another model.

    Example:
        >>> edgecompress.build_ios(Path("digits.tflite"), output=Path("digits-ios"))[0]
        PosixPath('digits-ios/DigitsModelKit.podspec')
    """
    from edgecompress.build.swift import swift_package

    called = name or model.stem
    loaded = load_model(model, name=called)
    metadata = metadata_inside(loaded)
    classes = read_labels(labels) if labels is not None else labels_inside(loaded, metadata)
    # A model that brings metadata keeps them: its author knows better.
    described = with_metadata(loaded, name=called, labels=classes) if metadata is None else loaded
    files = swift_package(
        described.data,
        described.graph,
        name=called,
        labels=classes,
        golden=golden_vectors(loaded, LITERT_TOLERANCE),
        source_sha256=loaded.graph.sha256,
    )
    _check_leftovers(output, set(files))
    with staging(output) as folder:
        for path, content in files.items():
            write_bytes(folder / path, content)
    return [output / path for path in files]


def _check_leftovers(output: Path, files: set[str]) -> None:
    """Xcode compiles whatever lies in a package's folders: code of another model must not stay there.

    Raises:
        OutputError: it would.
    """
    for folder in ("Sources", "Tests"):
        for path in sorted((output / folder).rglob("*")):
            if path.relative_to(output).as_posix() not in files and not path.is_dir():
                hint = "remove the folder, or choose another with -o"
                raise OutputError(f"{path}: is not of this package, and Xcode would build it as well", hint=hint)
