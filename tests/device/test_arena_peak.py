"""The plan's peak is what an emulated core touches."""

from __future__ import annotations

from pathlib import Path

from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator
from edgecompress.target import load_target
from tests.sample_models import Net

TARGET = "cortex-m4"


def residual() -> bytes:
    """Convolutions around a skip connection, an ADD over its input, a RESHAPE and a dense layer."""
    net = Net()
    x = net.activation((1, 9, 9, 3))
    y = net.conv(x, 5, 3, stride=2, activation="RELU")
    z = net.depthwise(y)
    y = net.layer("ADD", [y, z], (1, 5, 5, 5))
    y = net.reshaped("RESHAPE", y, (1, 125), [net.constant([1, 125])], new_shape=(1, 125))
    return net.build([x], [net.dense(y, 3)])


def test_the_highest_touched_byte_is_the_plan_s_peak(tmp_path: Path) -> None:
    """One inference writes up to the peak's last word, and nothing above."""
    target = load_target(TARGET)
    generated = generate_aot(read_tflite(residual(), name="peak"))
    peak = generated.info.arena_peak_bytes
    firmware = build_firmware(generated, target, output=tmp_path / "out")
    with open_emulator(firmware, target) as device:
        touched = device.measure([bytes(range(243))], runs=1, warmup=0).arena_touched_bytes
    assert peak is not None and touched is not None
    assert peak - 4 < touched <= peak <= generated.info.arena_bytes
