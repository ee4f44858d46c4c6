"""Random convolutions and dense layers on emulated cores: loops for DSP, for plain Thumb-2 and for Thumb-1 give the oracle's bytes."""

from __future__ import annotations

import pytest

from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator
from edgecompress.numerics.reference import run_reference
from edgecompress.target import KernelSet, load_target
from tests.conv_families import conv2d, depthwise, fully_connected, transpose_conv
from tests.op_cases import OpCases

pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")


@pytest.mark.parametrize("kernels", ["own", "portable"])
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m3", "cortex-m0plus"])
def test_same_bytes_on_every_core(target, kernels, tmp_path):
    """Lengths and addresses that are no multiple of a word, and every zero point, in one firmware a core."""
    cases = OpCases(11)
    for family in (conv2d, depthwise, fully_connected, transpose_conv):
        cases.grow(family, 12)
    data, values = cases.build()
    graph = read_tflite(data, name="cases")
    oracle = run_reference(graph, values)
    core = load_target(target)
    if kernels == "portable" and core.kernels is KernelSet.PORTABLE:
        pytest.skip(f"{target} has no kernels but the portable ones")
    generated = generate_aot(graph, kernels=core.kernels if kernels == "own" else KernelSet.PORTABLE)
    firmware = build_firmware(generated, core, output=tmp_path / "out")
    with open_emulator(firmware, core, strict=True) as device:
        outputs = device.run([value.tobytes() for value in values])
    for op, ours in zip(graph.ops, outputs, strict=True):
        assert ours == oracle[op.outputs[0]].tobytes(), f"{target}, op {op.index}: {op}"
