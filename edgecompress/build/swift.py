"""A model as a Swift package for iOS: the wrapper of the Android module in Swift, on LiteRT's C library.

LiteRT is reached through its C interface because its Swift one has no int8 tensors (Tensor.DataType in tensorflow/lite/swift/Sources/
Tensor.swift of TensorFlow), and as a pod because there is no official package of it (github.com/tensorflow/tensorflow/issues/44609).
No Swift compiler has seen what is written here; README.md in the package says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompress.build.android.module import Golden, Module, TensorSpec, describe
from edgecompress.build.android.sidecar import render_sidecar
from edgecompress.build.android.vectors import render_vectors
from edgecompress.build.skeletons import Skeletons
from edgecompress.graph import Graph

# The pod TensorFlowLiteC.
RUNTIME = "2.17"
SCHEMA = "edgecompress.ios/1"
# `describe` checks a Java package too; Swift has none.
_NO_PACKAGE = "not.used"


def swift_package(
    model: bytes, graph: Graph, *, name: str, labels: Sequence[str] | None, golden: Golden, source_sha256: str | None = None
) -> dict[str, bytes]:
    """The files of a Swift package that runs `model` by LiteRT.

    Args:
        model: the .tflite, whole; `graph` was read from it.
        name: what the model is called; class, module and package are named after it.
        labels: one per class, in the model's order; None for class numbers, or for what is no classifier.
        golden: inferences for the tests on a simulator or a phone.
        source_sha256: of the file that `model` was made from by adding metadata; None when it is that file.

    Returns:
        Relative path -> content; the same for the same arguments.

    Raises:
        ModelError: an input or output has a type that no app could fill.
        DataError: labels or golden vectors do not fit the model.
    """
    module = describe(model, graph, _NO_PACKAGE, name=name, labels=labels, golden=golden, source_sha256=source_sha256)
    kit = kit_name(module)
    values = _values(module, kit)
    files = {path: _SKELETONS.render(skeleton, values).encode("utf-8") for path, skeleton in _skeletons(kit, module).items()}
    resources, tests = f"Sources/{kit}/Resources", f"Tests/{kit}Tests"
    files[f"{resources}/{module.names.asset}.tflite"] = model
    files[f"{resources}/{module.names.asset}.json"] = _sidecar(module)
    files[f"{tests}/quantization_vectors.txt"] = render_vectors(module)
    for number, sample in enumerate(golden.samples):
        files |= {f"{tests}/golden/{number}/input_{place}.bin": raw for place, raw in enumerate(sample.inputs)}
        files |= {f"{tests}/golden/{number}/output_{place}.bin": raw for place, raw in enumerate(sample.outputs)}
    return dict(sorted(files.items()))


def kit_name(module: Module) -> str:
    """The Swift module: not the class's own name, since Swift then could not tell `DigitsModel.Score` from a member of the class."""
    return f"{module.names.model_class}Kit"


def swift_string(text: str) -> str:
    """A string literal, quotes included; everything outside printable ASCII becomes \\u{...}."""
    return '"' + "".join(_escape(c) for c in text) + '"'


def _escape(c: str) -> str:
    if c in '"\\':
        return f"\\{c}"
    if " " <= c <= "~":
        return c
    # A lone surrogate is no character of Swift.
    return "\\u{fffd}" if "\ud800" <= c <= "\udfff" else f"\\u{{{ord(c):x}}}"


def _skeletons(kit: str, module: Module) -> dict[str, str]:
    """Path in the package -> skeleton below firmware/swift."""
    sources = ("Quantization", "TensorSpec", "InferenceEngine", "Resources", "LiteRtEngine")
    return {
        "Package.swift": "Package.swift.in",
        f"{kit}.podspec": "Kit.podspec.in",
        "README.md": "README.md.in",
        f"Sources/{kit}/{module.names.model_class}.swift": "Model.swift.in",
        **{f"Sources/{kit}/{source}.swift": f"{source}.swift.in" for source in sources},
        f"Tests/{kit}Tests/QuantizationTests.swift": "QuantizationTests.swift.in",
        f"Tests/{kit}Tests/ParityTests.swift": "ParityTests.swift.in",
    }


def _values(module: Module, kit: str) -> dict[str, Any]:
    """What the skeletons may name."""
    return {
        "module": module,
        "names": module.names,
        "kit": kit,
        "golden": module.golden,
        "inputs": [_swift_spec(spec) for spec in module.inputs],
        "outputs": [_swift_spec(spec) for spec in module.outputs],
        "one_to_one": len(module.inputs) == len(module.outputs) == 1,
        "runtime": RUNTIME,
    }


def _swift_spec(spec: TensorSpec) -> dict[str, str | int]:
    """A tensor as the parts of a Swift initializer."""
    quantization, formula = "nil", "itself"
    if spec.scale is not None:
        bits = int(np.float32(spec.scale).view(np.uint32))
        scale = f"Float(bitPattern: 0x{bits:08x})"
        limits = f"zeroPoint: {spec.zero_point}, lowest: {spec.lowest}, highest: {spec.highest}"
        quantization = f"Quantization(scale: {scale}, {limits})"
        formula = f"{np.float32(spec.scale)!s} * (count - {spec.zero_point})".replace("- -", "+ ")
    return {
        "name": spec.name,
        "shape": ", ".join(str(size) for size in spec.shape),
        "type": spec.dtype.value,
        "quantization": quantization,
        "formula": formula,
        "elements": spec.elements,
    }


def _sidecar(module: Module) -> bytes:
    """The Android module's sidecar under a schema of its own."""
    document = json.loads(render_sidecar(module))
    document["schema"] = SCHEMA
    if module.labels is not None:
        document["labels"] = [_whole(label) for label in module.labels]
    return (json.dumps(document, indent=2) + "\n").encode("ascii")


def _whole(label: str) -> str:
    """The label without lone surrogates, which Swift's JSON reader refuses."""
    return label.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_SKELETONS = Skeletons("swift", swift=swift_string)
