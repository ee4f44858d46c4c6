"""The layout that runs the .tflite by LiteRT's Interpreter, from the Maven package com.google.ai.edge.litert:litert.

Why 1.4 and its Interpreter, and not 2.x and CompiledModel: the 1.4 artifacts hold both CPU kernels and the GPU delegate for Android 5 on
(minSdk 21), take int8 tensors as plain ByteBuffers, and have 16 KB pages. 2.x needs a later Android, compiles models anew with each
release, and its Interpreter has no delegates any more. See
https://ai.google.dev/edge/litert/android/java and https://ai.google.dev/edge/litert/android/gpu (the Interpreter API), and
https://ai.google.dev/edge/litert/next/android_kotlin (CompiledModel).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.build.android.common import MAIN, common_files, template_values
from edgecompress.build.android.module import Layout, Module
from edgecompress.build.android.render import render
from edgecompress.errors import UserError

MIN_SDK = 21
_VERSION = re.compile(r"1\.([0-9]{1,3})\.([0-9]{1,3})")
# The first release with 16 KB pages, which Google Play asks for.
_LEAST_MINOR = 4


@dataclass(frozen=True)
class LiteRt:
    """The release of LiteRT that a module depends on; 1.4.0 or later, below 2."""

    version: str = "1.4.2"

    def __post_init__(self) -> None:
        match = _VERSION.fullmatch(self.version)
        if match is None or int(match[1]) < _LEAST_MINOR:
            raise UserError(
                f"LiteRT {self.version!r}: the module is written for the Interpreter of 1.{_LEAST_MINOR}.0 or later, below 2",
                hint=f"leave --litert out, or give for example --litert {LiteRt.version}",
            )

    @property
    def coordinate(self) -> str:
        """Group and artifact for Maven, without the version."""
        return "com.google.ai.edge.litert:litert"


def litert_files(module: Module, runtime: LiteRt) -> dict[str, bytes]:
    """Relative path -> content of the whole output tree."""
    values = template_values(module, Layout.LITERT, MIN_SDK) | {"runtime": runtime}
    kotlin = f"{MAIN}/kotlin/{module.names.package_path}"
    skeletons = {
        "README.md": "README.md.in",
        "model/build.gradle.kts": "module.gradle.kts.in",
        "model/consumer-rules.pro": "consumer-rules.pro.in",
        f"{kotlin}/EngineOptions.kt": "EngineOptions.kt.in",
        f"{kotlin}/GpuDelegates.kt": "GpuDelegates.kt.in",
        f"{kotlin}/LiteRtEngine.kt": "LiteRtEngine.kt.in",
    }
    files = common_files(module, values) | {path: render(f"litert/{skeleton}", values) for path, skeleton in skeletons.items()}
    files[f"{MAIN}/assets/{module.names.asset}.tflite"] = module.model
    return dict(sorted(files.items()))
