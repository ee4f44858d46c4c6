"""The layout that runs the .tflite by LiteRT's Interpreter, from the Maven package com.google.ai.edge.litert:litert.

What a release has, from the table of https://ai.google.dev/edge/litert/android ("Supported Android versions"):

    1.4.0          Interpreter with delegates     Android 8 (API 26): its library misses a symbol on earlier ones
    1.4.1 on       Interpreter with delegates     Android 5 (API 21)
    2.0            CompiledModel only
    2.1            Interpreter, CPU only          Android 6 (API 23); later releases say API 24

The pinned one is of 1.4: it runs on most devices, knows the GPU, and takes int8 tensors as plain ByteBuffers; so do the Interpreters of 2.1
and later, on the CPU. Pages of 16 KB, which Google Play asks for, are in all of these.
API: https://ai.google.dev/edge/litert/android/java and https://ai.google.dev/edge/litert/android/gpu
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.build.android.common import MAIN, common_files, template_values
from edgecompress.build.android.module import Layout, Module
from edgecompress.build.android.render import render
from edgecompress.errors import UserError

_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})")


@dataclass(frozen=True)
class LiteRt:
    """The release of LiteRT that a module depends on: 1.4.0 or later of 1.x, 2.1.0 or later of 2.x."""

    version: str = "1.4.2"

    def __post_init__(self) -> None:
        match = _VERSION.fullmatch(self.version)
        if match is None or not ((1, 4) <= self._numbers < (2,) or (2, 1) <= self._numbers < (3,)):
            raise UserError(
                f"LiteRT {self.version!r}: the module is written for the Interpreter of 1.4.0 or later, or of 2.1.0 or later",
                hint=f"leave --litert out, or give for example --litert {LiteRt.version}",
            )

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    @property
    def coordinate(self) -> str:
        """Group and artifact for Maven, without the version."""
        return "com.google.ai.edge.litert:litert"

    @property
    def min_sdk(self) -> int:
        """The lowest Android API level that it runs on."""
        if self._numbers >= (2, 2):
            return 24
        if self._numbers >= (2, 1):
            return 23
        return 26 if self._numbers < (1, 4, 1) else 21

    @property
    def has_gpu(self) -> bool:
        """Whether its Interpreter takes the GPU's delegate, whose classes are in packages of the same version."""
        return self._numbers < (2,)


def litert_files(module: Module, runtime: LiteRt) -> dict[str, bytes]:
    """Relative path -> content of the whole output tree."""
    values = template_values(module, Layout.LITERT, runtime.min_sdk) | {"runtime": runtime}
    kotlin = f"{MAIN}/kotlin/{module.names.package_path}"
    skeletons = {
        "README.md": "README.md.in",
        "model/build.gradle.kts": "module.gradle.kts.in",
        "model/consumer-rules.pro": "consumer-rules.pro.in",
        f"{kotlin}/EngineOptions.kt": "EngineOptions.kt.in",
        f"{kotlin}/LiteRtEngine.kt": "LiteRtEngine.kt.in",
    }
    if runtime.has_gpu:
        skeletons[f"{kotlin}/GpuDelegates.kt"] = "GpuDelegates.kt.in"
    files = common_files(module, values) | {path: render(f"litert/{skeleton}", values) for path, skeleton in skeletons.items()}
    files[f"{MAIN}/assets/{module.names.asset}.tflite"] = module.model
    return dict(sorted(files.items()))
