"""What the converter's long messages mean, in one sentence that names the layer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgecompress.convert.names import layer_of
from edgecompress.errors import EdgeCompressError, ToolError, UnsupportedOpError

_NEEDS_FLEX = re.compile(r"(?:TF Select|Flex|Custom) ops?: ([\w, ]+)")
# MLIR locations stand before the sentence: "error: loc(fused[...]): 'tfl.prelu' op failed to verify that ..."
_SENTENCE = re.compile(r"'tfl?\.\w+' op .*")
# They quote op kind and name: "Erf:", "dense/gelu/Erf@__inference_serve_12"
_LOCATION = re.compile(r'"([^"@]+/[^"@]+)@?')


def explain_failure(model: str, kind: str, message: str, layers: Sequence[str]) -> EdgeCompressError:
    """The error to raise for a failed conversion.

    Args:
        kind, message: of the exception that the converter raised.
        layers: layer paths, longest first.
    """
    places = {layer: None for name in _LOCATION.findall(message) if (layer := layer_of(name, layers)) is not None}
    where = f" in layer {', '.join(list(places)[:3])}" if places else ""
    missing = _NEEDS_FLEX.search(message)
    if missing:
        return UnsupportedOpError(
            f"{model}: TFLite has no op for TensorFlow's {missing.group(1).strip()}{where}",
            hint="replace that layer or activation by one made of ops that TFLite has (gelu: approximate=True; einsum: Dense or matmul)",
        )
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [kind]
    reason = next((line for line in lines if "error:" in line), lines[0])
    sentence = _SENTENCE.search(reason)
    reason = sentence.group() if sentence else reason
    return ToolError(f"{model}: the converter failed{where}: {kind}: {reason[:400]}", hint="convert parts of the model to find the layer")
