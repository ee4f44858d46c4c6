"""Firmware whose layers go by rows, on emulated cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompress.build import build_firmware
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator
from edgecompress.numerics.reference import run_reference
from edgecompress.target import load_target
from tests.op_cases import OpCases
from tests.stream_chains import force_blocks, row_chain

MODELS = 6


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_blocks_on_a_core_give_the_reference_bytes_within_their_bounds(name: str, tmp_path: Path) -> None:
    """Random blocks in firmware, with the input in the arena or rows of it from the application: the reference's bytes, no arena byte
    beyond the plan, and a stack that stays within its proven bound."""
    target, built = load_target(name), 0
    for seed in range(40):
        data, values = OpCases(seed).grow(row_chain, 1).build()
        graph = read_tflite(data, name=f"m{seed}")
        model = force_blocks(graph, target.kernels, np.random.default_rng(seed), call_for_rows=built % 2 == 1)
        if model is None:
            continue
        firmware = build_firmware(model, target, output=tmp_path / f"m{seed}")
        inputs = [value.tobytes() for value in values]
        with open_emulator(firmware, target, strict=True) as device:
            outputs = device.run(inputs)
            measured = device.measure(inputs, runs=1, warmup=0)
        wanted = run_reference(graph, values)
        assert outputs == [wanted[index].tobytes() for index in graph.outputs], f"seed {seed}"
        assert measured.arena_touched_bytes is not None and measured.arena_touched_bytes <= model.info.arena_bytes
        assert firmware.stack_bound_bytes is not None and measured.stack_bytes is not None
        assert measured.stack_bytes <= firmware.stack_bound_bytes
        built += 1
        if built == MODELS:
            return
    pytest.fail("too few of the random models can be streamed")
