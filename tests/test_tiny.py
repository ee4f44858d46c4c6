"""The story on a toy: a .tflite becomes a graph, a plan, C, firmware, bytes, a profile and a comparison."""

from __future__ import annotations

import pytest
from sample_models import tiny_classifier

import edgecompress
from edgecompress import Engine
from edgecompress.numerics.lcg import lcg_inputs

TARGET = "cortex-m4"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy as a file."""
    path = tmp_path_factory.mktemp("toy") / "toy.tflite"
    path.write_bytes(tiny_classifier())
    return path


def test_it_is_inspected(toy):
    """Ops, MACs and the arena are known before anything is compiled."""
    seen = edgecompress.inspect(toy)
    assert seen.graph.macs > 0
    assert seen.plan is not None
    assert seen.plan.arena_bytes >= max(buffer.bytes for buffer in seen.plan.plan)


def test_it_becomes_c(toy, tmp_path):
    """Both engines write C, and the same model gives the same text."""
    for engine in (Engine.AOT, Engine.TFLM):
        first = edgecompress.generate(toy, engine=engine, output=tmp_path / "a" / engine.value)
        again = edgecompress.generate(toy, engine=engine, output=tmp_path / "b" / engine.value)
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_it_runs_and_is_measured(toy, tmp_path, record_property):
    """Firmware gives the reference's bytes; the profile's numbers add up and survive the file; two of them can be compared."""
    firmware = edgecompress.build(TARGET, toy, output=tmp_path / "firmware")
    profile = edgecompress.measure(TARGET, firmware.elf, reference=toy)
    assert profile.parity is not None
    assert (profile.parity.inputs, profile.parity.mismatched_bytes) == (3, 0)
    memory = profile.memory
    assert memory.flash_bytes == memory.code_bytes + memory.model_bytes + memory.harness_bytes
    assert profile.latency.unit == "instructions"
    assert profile.latency.min == profile.latency.p99
    # A step called alone costs its call and its range check instead of the loop's turn.
    assert sum(op.latency for op in profile.ops) == pytest.approx(profile.latency.p50, rel=0.05)
    edgecompress.write_profile(profile, tmp_path / "profile.json")
    assert edgecompress.read_profile(tmp_path / "profile.json") == profile
    compared = edgecompress.compare([("a", profile), ("b", profile)])
    assert {cell.ratio for row in compared.rows for cell in row.cells[1:]} - {None} == {1.0}
    record_property(
        "result",
        f"toy on {TARGET}: {profile.latency.p50:,.0f} instructions ({profile.latency.p50 / profile.model.macs:.2f} per MAC), "
        f"code {memory.code_bytes:,} B, model {memory.model_bytes:,} B, arena {memory.arena_bytes:,} B, stack {memory.stack_bytes:,} B",
    )


def test_raw_bytes_go_through_it(toy):
    """`run` gives the same bytes on two cores."""
    inputs = lcg_inputs(5, [edgecompress.inspect(toy).plan.inputs[0].bytes])
    assert edgecompress.run(TARGET, toy, inputs=inputs) == edgecompress.run("cortex-m0plus", toy, inputs=inputs)
