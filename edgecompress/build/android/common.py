"""The files that every layout has: the typed wrapper, quantization, their tests, assets, and Gradle's frame around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecompress.build.android.kotlin import kotlin_float
from edgecompress.build.android.module import Layout, Module, TensorSpec
from edgecompress.build.android.render import render
from edgecompress.build.android.sidecar import render_labels, render_sidecar
from edgecompress.build.android.vectors import render_vectors

# Released together and tried together by their makers: this Android Gradle Plugin needs Gradle 8.11.1 and builds against API 35.
ANDROID_GRADLE_PLUGIN = "8.9.1"
LEAST_GRADLE = "8.11.1"
KOTLIN = "2.1.20"
COMPILE_SDK = 35
# What an app must have at least: the first plugin for API 35, and the first Kotlin with compilerOptions for a whole Android module
# (developer.android.com/build/releases/about-agp, kotlinlang.org/docs/gradle-compiler-options.html).
LEAST_ANDROID_GRADLE_PLUGIN = "8.6"
LEAST_KOTLIN = "2.0"

# API levels that a runtime may ask for, by the names that people know (developer.android.com/tools/releases/platforms).
_RELEASES = {21: "5.0", 23: "6.0", 24: "7.0", 26: "8.0"}

MAIN = "model/src/main"
UNIT_TEST = "model/src/test"
DEVICE_TEST = "model/src/androidTest"


def template_values(module: Module, layout: Layout, min_sdk: int) -> dict[str, Any]:
    """What the skeletons may name; a layout adds its own."""
    return {
        "module": module,
        "names": module.names,
        "golden": module.golden,
        "inputs": [_kotlin_spec(spec) for spec in module.inputs],
        "outputs": [_kotlin_spec(spec) for spec in module.outputs],
        "has_labels_file": render_labels(module) is not None,
        "one_to_one": len(module.inputs) == len(module.outputs) == 1,
        "layout": layout.value,
        "litert": layout is Layout.LITERT,
        "min_sdk": min_sdk,
        "android_release": _RELEASES[min_sdk],
        "compile_sdk": COMPILE_SDK,
        "android_gradle_plugin": ANDROID_GRADLE_PLUGIN,
        "least_gradle": LEAST_GRADLE,
        "kotlin": KOTLIN,
        "least_android_gradle_plugin": LEAST_ANDROID_GRADLE_PLUGIN,
        "least_kotlin": LEAST_KOTLIN,
    }


def common_files(module: Module, values: Mapping[str, Any]) -> dict[str, bytes]:
    """Relative path -> content of all that does not depend on what runs the model.

    The layout adds: model/build.gradle.kts, model/consumer-rules.pro, README.md, the assets that only it reads, and Kotlin files with
    `internal fun openEngine(context: Context, ...): InferenceEngine`.
    """
    package = module.names.package_path
    kotlin, unit, device = f"{MAIN}/kotlin/{package}", f"{UNIT_TEST}/kotlin/{package}", f"{DEVICE_TEST}/kotlin/{package}"
    skeletons = {
        "settings.gradle.kts": "settings.gradle.kts.in",
        "build.gradle.kts": "build.gradle.kts.in",
        "gradle.properties": "gradle.properties.in",
        ".gitignore": "gitignore.in",
        f"{MAIN}/AndroidManifest.xml": "AndroidManifest.xml.in",
        f"{kotlin}/{module.names.model_class}.kt": "Model.kt.in",
        f"{kotlin}/Quantization.kt": "Quantization.kt.in",
        f"{kotlin}/TensorSpec.kt": "TensorSpec.kt.in",
        f"{kotlin}/InferenceEngine.kt": "InferenceEngine.kt.in",
        f"{unit}/QuantizationTest.kt": "QuantizationTest.kt.in",
        f"{device}/Golden.kt": "Golden.kt.in",
        f"{device}/ParityTest.kt": "ParityTest.kt.in",
        f"{device}/BenchmarkTest.kt": "BenchmarkTest.kt.in",
    }
    if module.classifies:
        skeletons[f"{kotlin}/Labels.kt"] = "Labels.kt.in"
    files = {path: render(f"common/{skeleton}", values) for path, skeleton in skeletons.items()}
    files[f"{UNIT_TEST}/resources/{package}/quantization_vectors.txt"] = render_vectors(module)
    return files | _assets(module) | _golden_assets(module)


def _assets(module: Module) -> dict[str, bytes]:
    """The sidecar and the labels; a layout that runs the .tflite itself adds it."""
    files = {f"{MAIN}/assets/{module.names.asset}.json": render_sidecar(module)}
    labels = render_labels(module)
    return files if labels is None else files | {f"{MAIN}/assets/{module.names.asset}_labels.txt": labels}


def _golden_assets(module: Module) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number, sample in enumerate(module.golden.samples):
        folder = f"{DEVICE_TEST}/assets/golden/{number}"
        files |= {f"{folder}/input_{place}.bin": raw for place, raw in enumerate(sample.inputs)}
        files |= {f"{folder}/output_{place}.bin": raw for place, raw in enumerate(sample.outputs)}
    return files


def _kotlin_spec(spec: TensorSpec) -> dict[str, str | int]:
    """A tensor as the parts of a Kotlin constructor call."""
    quantization = "null"
    if spec.scale is not None:
        quantization = (
            f"Quantization({kotlin_float(spec.scale)}, {spec.zero_point}, {_kotlin_int(spec.lowest)}, {_kotlin_int(spec.highest)})"
        )
    return {
        "name": spec.name,
        "shape": ", ".join(str(size) for size in spec.shape),
        "type": spec.kotlin_type,
        "quantization": quantization,
        "formula": _formula(spec),
        "bytes": spec.bytes,
        "elements": spec.elements,
    }


def _formula(spec: TensorSpec) -> str:
    """What a count of the tensor stands for, as README.md says it."""
    if spec.scale is None or (spec.scale, spec.zero_point) == (1.0, 0):
        return "itself"
    zero_point = spec.zero_point or 0
    count = f"(count {'-' if zero_point > 0 else '+'} {abs(zero_point)})" if zero_point else "count"
    return f"{np.float32(spec.scale)!s} * {count}"


def _kotlin_int(value: int | None) -> str:
    # -2147483648 is no Int literal in Kotlin: the minus is an operator.
    return "Int.MIN_VALUE" if value == -(1 << 31) else str(value)
