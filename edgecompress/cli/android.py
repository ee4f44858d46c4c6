"""`edgecompress build android`: a model as a library module for an Android app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.errors import UserError

if TYPE_CHECKING:
    from edgecompress.build.android import Layout


def build_android_command(
    model: Path,
    package: str | None,
    output: Path | None,
    name: str | None,
    labels: Path | None,
    layout: str,
    litert: str | None,
) -> None:
    """Write the module; say what was written and what to do with it.

    Args:
        package: what --package said; None is an error, since only the user can choose it.
        output: the folder; build/android/NAME when None.
        layout: "litert" or "aot".

    Raises:
        UserError: something of it cannot be done as asked.
    """
    from edgecompress.build.android import Layout
    from edgecompress.build.android.names import module_names
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.pipeline.android import build_android

    if package is None:
        raise UserError("build android needs the package of its Kotlin code", hint="add --package, for example --package com.acme.digits")
    names = module_names(package, name or model.stem)
    folder = output or Path("build") / "android" / names.asset
    kind = Layout(layout)
    files = build_android(model, package=package, output=folder, name=name, labels=labels, layout=kind, litert=litert)
    console = stdout_console()
    print_pairs(
        console,
        [
            ("module", f"{folder} ({len(files)} files)"),
            ("class", f"{names.package}.{names.model_class}"),
            ("runs by", _runtime(kind, litert)),
            ("next", f"copy {folder / 'model'} into your project as {names.gradle_module}"),
            ("", f'settings.gradle.kts: include(":{names.gradle_module}")'),
            ("", f'your app: implementation(project(":{names.gradle_module}"))'),
            ("details", str(folder / "README.md")),
        ],
    )


def _runtime(layout: Layout, litert: str | None) -> str:
    from edgecompress.build.android import Layout, LiteRt

    if layout is Layout.AOT:
        return "its own C code, compiled by the NDK"
    runtime = LiteRt() if litert is None else LiteRt(litert)
    return f"{runtime.coordinate}:{runtime.version}"
