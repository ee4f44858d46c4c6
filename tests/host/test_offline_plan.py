"""Our memory plan in TensorFlow Lite Micro's models: smaller arenas, the same bytes, and left out where it brings nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from sample_models import Net, tiny_classifier

from edgecompress.artifact import Engine
from edgecompress.cli import main
from edgecompress.codegen.placement import Buffer, height
from edgecompress.codegen.tflm import run_golden
from edgecompress.codegen.tflm_plan import PLAN_NAME, OfflinePlan, place_greedily, plan_offline
from edgecompress.convert import read_tflite
from edgecompress.convert.metadata import ModelMetadata, read_metadata
from edgecompress.convert.metadata_write import add_named_buffer, has_named_buffer, remove_metadata, write_metadata
from edgecompress.errors import UnsupportedOpError
from edgecompress.pipeline.offline_plan import with_offline_plan
from edgecompress.pipeline.sources import LoadedModel, generate_sources


def reshaped() -> bytes:
    """A RESHAPE where most bytes are alive: TFLM copies it."""
    net = Net()
    x = net.activation((1, 16, 16, 2))
    y = net.conv(x, 16, 3)
    y = net.reshaped("RESHAPE", y, (1, 256, 1, 16), [net.constant([1, 256, 1, 16])], new_shape=(1, 256, 1, 16))
    return net.build([x], [net.conv(y, 4, 1)])


def activated() -> bytes:
    """An activation of its own, in place of the convolution's output."""
    net = Net()
    x = net.activation((1, 16, 16, 2))
    return net.build([x], [net.conv(net.same("HARD_SWISH", net.conv(x, 16, 3)), 4, 1)])


def branched() -> bytes:
    """Branches of many widths, which the largest first does not pack well."""
    net = Net()
    x = net.activation((1, 12, 12, 4))
    a, b = net.conv(x, 8, 1), net.conv(x, 3, 1)
    c, d = net.conv(net.conv(net.conv(net.conv(a, 5, 1), 6, 1), 9, 1), 3, 1), net.conv(net.conv(b, 7, 1), 2, 1)
    y = net.layer("CONCATENATION", [d, c], (1, 12, 12, 5), axis=-1)
    return net.build([x], [net.layer("CONCATENATION", [y, b], (1, 12, 12, 8), axis=-1)])


def plan_of(model: bytes) -> OfflinePlan:
    return plan_offline(read_tflite(model, name="net"))


def needs_wheel() -> None:
    pytest.importorskip("tflite_micro", reason="needs TFLM's host interpreter: pip install tflite-micro (Linux on x86-64)")


@pytest.mark.parametrize("make", [reshaped, activated, branched])
def test_the_arena_gets_smaller_by_what_the_plan_says(make) -> None:
    """TFLM's host interpreter starts in as many bytes less as our peak is below its own, and gives the same outputs."""
    needs_wheel()
    model = make()
    graph, plan = read_tflite(model, name="net"), plan_of(model)
    planned = with_offline_plan(graph, model)
    before, after = run_golden(graph, model), run_golden(graph, planned)
    assert before is not None and after is not None
    assert before.arena_bytes - after.arena_bytes == plan.greedy_bytes - plan.peak_bytes > 0
    assert [a.tobytes() for a in after.outputs] == [b.tobytes() for b in before.outputs]


def test_the_greedy_placement_is_tflm_s_own() -> None:
    """Hand-made cases of its planner: the largest first, of equal ones the last, and gaps are filled from below."""
    assert place_greedily([Buffer(16, 0, 1), Buffer(32, 1, 2), Buffer(16, 2, 3)]) == [32, 0, 32]
    assert place_greedily([Buffer(16, 0, 1), Buffer(16, 1, 2)]) == [16, 0]
    assert place_greedily([Buffer(48, 0, 0), Buffer(16, 1, 1), Buffer(32, 1, 2), Buffer(16, 0, 2)]) == [0, 32, 0, 48]
    assert place_greedily([]) == []


@pytest.mark.parametrize("make", [reshaped, activated, branched, tiny_classifier])
def test_tensors_that_live_together_are_apart(make) -> None:
    """No two tensors of different bytes share any while both are needed, every offset is aligned, and constants have none."""
    model = make()
    graph, plan = read_tflite(model, name="net"), plan_of(model)
    lives: dict[int, tuple[int, int]] = dict.fromkeys(graph.inputs, (0, 0))
    for n, op in enumerate(graph.ops, start=1):
        lives |= dict.fromkeys(op.outputs, (n, n)) | {i: (lives[i][0], n) for i in op.inputs if i in lives}
    lives |= {i: (lives[i][0], len(graph.ops)) for i in graph.outputs}
    assert [index for index, offset in enumerate(plan.offsets) if offset >= 0] == sorted(lives)
    assert all(offset % 16 == 0 for offset in plan.offsets if offset >= 0)
    in_place = {(op.inputs[0], op.outputs[0]) for op in graph.ops if op.kind in ("RESHAPE", "HARD_SWISH", "ADD")}
    for i in lives:
        for j in lives:
            together = lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]
            if i < j and together and (i, j) not in in_place and (j, i) not in in_place:
                low, high = sorted((i, j), key=lambda k: plan.offsets[k])
                assert plan.offsets[low] + graph.tensor(low).bytes <= plan.offsets[high]


def test_an_addition_works_in_place_only_when_its_input_dies() -> None:
    """A sum over a tensor that is read again has bytes of its own."""
    net = Net()
    x = net.activation((1, 8, 8, 4))
    a = net.conv(x, 16, 1)
    y = net.layer("ADD", [a, a], (1, 8, 8, 16))
    again = net.layer("MUL", [y, a], (1, 8, 8, 16))
    plan = plan_of(net.build([x], [again]))
    assert plan.offsets[a] != plan.offsets[y]
    assert plan.offsets[again] in (plan.offsets[a], plan.offsets[y])


def test_a_model_without_gain_stays_as_it_is() -> None:
    """Where TFLM's own placement is as good, not a byte is added."""
    model = tiny_classifier()
    assert with_offline_plan(read_tflite(model, name="net"), model) is model


def test_without_the_host_interpreter_nothing_is_claimed(monkeypatch) -> None:
    """A plan that nobody confirmed is left out."""
    monkeypatch.setattr("edgecompress.pipeline.offline_plan.run_golden", lambda graph, data: None)
    model = reshaped()
    assert with_offline_plan(read_tflite(model, name="net"), model) is model


def test_other_outputs_or_no_less_arena_leave_the_plan_out(monkeypatch) -> None:
    """The host's figures decide, not ours."""
    needs_wheel()
    model = reshaped()
    graph = read_tflite(model, name="net")
    real = run_golden(graph, model)
    assert real is not None

    def lying(arena: int, change: int):
        def run(graph: object, data: bytes):
            outputs = tuple(np.array(output + change * (data is not model)) for output in real.outputs)
            return type(real)(real.version, arena if data is not model else real.arena_bytes, outputs)

        return run

    for arena, change, taken in ((real.arena_bytes - 16, 0, True), (real.arena_bytes, 0, False), (real.arena_bytes - 16, 1, False)):
        monkeypatch.setattr("edgecompress.pipeline.offline_plan.run_golden", lying(arena, change))
        assert (with_offline_plan(graph, model) is not model) is taken


def test_the_buffer_is_in_tflm_s_format() -> None:
    """Version, subgraphs, count, then one word a tensor: -1 for constants."""
    plan = plan_of(reshaped())
    words = struct.unpack(f"<{len(plan.data) // 4}i", plan.data)
    assert words[:3] == (1, 1, len(plan.offsets))
    assert words[3:] == plan.offsets
    assert min(words[3:]) == -1


def test_a_plan_and_metadata_live_in_one_model() -> None:
    """The plan leaves the graph and other metadata as they are, is found by its name, and replaces an older one."""
    model = write_metadata(reshaped(), ModelMetadata(name="shapes"))
    planned = add_named_buffer(model, PLAN_NAME, b"first")
    again = add_named_buffer(planned, PLAN_NAME, plan_of(model).data)
    assert not has_named_buffer(model, PLAN_NAME)
    assert has_named_buffer(planned, PLAN_NAME) and has_named_buffer(again, PLAN_NAME)
    metadata = read_metadata(again)
    assert metadata is not None and metadata.name == "shapes"
    assert [op.kind for op in read_tflite(again, name="net").ops] == [op.kind for op in read_tflite(model, name="net").ops]
    plain = remove_metadata(model)
    graph = read_tflite(plain, name="net")
    assert with_offline_plan(graph, add_named_buffer(plain, PLAN_NAME, b"theirs")) == add_named_buffer(plain, PLAN_NAME, b"theirs")


def test_an_op_that_tflm_lacks_is_named_first() -> None:
    """The plan of a model that cannot run is no news."""
    net = Net()
    x = net.activation((1, 4, 4, 2))
    model = net.build([x], [net.same("COS", x)])
    with pytest.raises(UnsupportedOpError, match="COS"):
        with_offline_plan(read_tflite(model, name="net"), model)


def test_generated_sources_hold_the_planned_model(tmp_path: Path, capsys) -> None:
    """generate takes the smaller arena by itself, says how the same sources are made, and leaves the plan out when asked to."""
    needs_wheel()
    model = reshaped()
    loaded = LoadedModel(model, read_tflite(model, name="net"))
    ours, theirs = (generate_sources(loaded, Engine.TFLM, name="net", keep_input=False, offline_plan=on) for on in (True, False))
    plan = plan_of(model)
    assert theirs.info.arena_bytes - ours.info.arena_bytes == plan.greedy_bytes - plan.peak_bytes
    assert ours.info.sha256 == theirs.info.sha256
    assert "--no-offline-plan" in theirs.files["net.h"] and "--no-offline-plan" not in ours.files["net.h"]
    (tmp_path / "net.tflite").write_bytes(model)
    words = ["generate", str(tmp_path / "net.tflite"), "-o", str(tmp_path / "src"), "--no-offline-plan"]
    assert main(words) == 2
    assert "--no-offline-plan has no effect here" in capsys.readouterr().err
    assert main([*words, "--engine", "tflm"]) == 0
    assert (tmp_path / "src" / "net.h").read_text() == theirs.files["net.h"]


def test_greedy_bytes_are_the_height_of_its_placement() -> None:
    """What TFLM would take is told beside what the plan takes, and the bound below both."""
    plan = plan_of(branched())
    assert plan.bound_bytes <= plan.peak_bytes < plan.greedy_bytes
    buffers = [Buffer(16, 0, 1), Buffer(32, 1, 2)]
    assert height(buffers, place_greedily(buffers)) == 48
