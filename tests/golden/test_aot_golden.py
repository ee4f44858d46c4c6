"""The generated C of a toy model, kept in full so that a change of the generator is read like code.

After a wanted change: `EDGECOMPRESS_UPDATE_GOLDEN=1 pytest tests/golden`, then look at the difference.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from tests.sample_models import Net

GOLDEN = Path(__file__).parent / "aot"


def toy() -> bytes:
    """A grouped convolution without a neighbour, an ADD in place, a RESHAPE and a dense layer."""
    net = Net()
    x = net.activation((1, 4, 4, 2), name="serving_default_input:0")
    y = net.conv(x, 4, 3, stride=2, activation="RELU")
    z = net.depthwise(y)
    y = net.layer("ADD", [y, z], (1, 2, 2, 4))
    y = net.reshaped("RESHAPE", y, (1, 16), [net.constant([1, 16])], new_shape=(1, 16))
    y = net.dense(y, 3)
    return net.build([x], [y])


def test_the_generated_c_is_the_golden_one() -> None:
    """Not a character of the toy's sources changes unnoticed."""
    # Another version of the flatbuffers package may lay out the same file differently.
    graph = replace(read_tflite(toy(), name="toy"), sha256="0123456789abcdef" * 4)
    files = generate_aot(graph).files
    if os.environ.get("EDGECOMPRESS_UPDATE_GOLDEN"):
        for name, text in files.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    assert files == {path.name: path.read_text(encoding="utf-8") for path in sorted(GOLDEN.iterdir())}
