"""LiteRT's benchmark_model, driven: its formats old and new, three runs, and everything that a program of somebody else's can do.

All fixtures are synthetic: made by code from the documented format (synthetic_benchmark_model.py). No real benchmark_model was run.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic_benchmark_model as synthetic
from sample_models import every_op, three_roundings, tiny_classifier, with_custom_op
from stand_ins import write_program
from tflite_builder import run_litert

from edgecompress.conditions import judge
from edgecompress.device.adb import open_adb
from edgecompress.device.benchmark_model import BenchmarkKernels, open_benchmark_model, program
from edgecompress.device.benchmark_model.conditions import between, choose_cores, parse_seen
from edgecompress.device.benchmark_model.operators import parse_operators
from edgecompress.device.benchmark_model.result_file import parse_result_file
from edgecompress.device.benchmark_model.told import (
    Applied,
    parse_applied,
    parse_latency,
    parse_memory,
    parse_statistics,
    parse_unknown_flags,
)
from edgecompress.device.native import CoreClass
from edgecompress.device.processors import is_foreign, processor_of
from edgecompress.device.remote import Finished, LocalRemote
from edgecompress.errors import DataError, DeviceError, LinkError, ModelError, UserError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.profile import summarize

TIMED = synthetic.TIMED


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """`fake(way=...)` gives a device whose benchmark_model is the synthetic one, and behaves so."""
    path = write_program(tmp_path / "synthetic_benchmark_model", Path(synthetic.__file__).read_text(encoding="utf-8"))
    monkeypatch.setattr(program, "EXTRA_TIMEOUT_S", -299.0)  # with the two times 150 s: 1 s

    def opened(
        model: bytes | None = None, *, remote: LocalRemote | None = None, kernels=BenchmarkKernels.XNNPACK, core=CoreClass.ANY, **ways
    ):
        monkeypatch.setattr(program, "EXTRA_TIMEOUT_S", -299.0 if "hang" in ways else 0.0)
        monkeypatch.setenv("SYNTHETIC_BENCHMARK_MODEL", json.dumps(ways))
        return open_benchmark_model(remote or LocalRemote(), path, model or tiny_classifier(), kernels=kernels, core=core)

    return opened


def sample(device) -> list[bytes]:
    return lcg_inputs(1, [spec.bytes for spec in device.info().inputs])


def measure(device):
    return device.measure(sample(device), runs=10, warmup=3)


# --- formats


@pytest.mark.parametrize("style", [synthetic.OLD, synthetic.NEW])
@pytest.mark.parametrize("samples", [TIMED, [52.0], [52.0] * 50, [1.5e6, 1.25e6, 2.5e7]])
def test_statistics_of_any_build(style, samples):
    """With and without percentiles, identical runs, exponents: what is told is read, what is not stays unknown."""
    line = "INFO: " + synthetic.statistics(samples, style)
    found = parse_statistics(line)
    assert (found.count, found.min, found.max) == (len(samples), min(samples), max(samples))
    assert found.first == samples[0]
    assert found.mean == pytest.approx(sum(samples) / len(samples), rel=1e-5)
    same = min(samples) == max(samples)
    assert (found.median is None) == (style == synthetic.OLD and not same)


def test_the_documented_line():
    """The line as the facts quote it."""
    found = parse_statistics("count=50 first=53 curr=52 min=50 max=210 avg=53.1 std=3 p5=51 median=52 p95=60")
    assert (found.count, found.first, found.min, found.max, found.mean, found.p5, found.median, found.p95) == (
        50,
        53,
        50,
        210,
        53.1,
        51,
        52,
        60,
    )
    assert parse_statistics("INFO: count=0 p5=0 median=0 p95=0").count == 0


@pytest.mark.parametrize(
    "line",
    [
        "",
        "INFO: STARTING!",
        "Timings (microseconds): count=5 first=1 curr=1 min=1 max=1 avg=1 std=0",
        "Memory (bytes): count=0",
        "account=5 x=1",
    ],
)
def test_lines_without_statistics(line):
    """Other lines, those of the operators' report among them, are passed over."""
    assert parse_statistics(line) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("count=5 first=1", "lack min"),
        ("count=5 first=1 curr=1 min=-1 max=5 avg=2 std=1", "less than 0"),
        ("count=5 first=1 curr=1 min=1 max=5e20 avg=2 std=1", "1,000 s"),
        ("count=5 first=1 curr=1 min=9 max=5 avg=2 std=1", "not in order"),
        ("count=5 first=1 curr=1 min=1 max=5 avg=7 std=1", "not between"),
        ("count=5 first=1 curr=1 min=1 max=5 avg=2 std=1 p5=1 median=7 p95=4", "not in order"),
        ("count=5 first=nan curr=nan min=nan max=nan avg=nan std=nan", "lack min"),
    ],
)
def test_statistics_that_cannot_be_true(line, message):
    """Numbers that contradict each other are no numbers."""
    with pytest.raises(ValueError, match=message):
        parse_statistics(line)


def test_latency_is_the_second_series():
    """Warm-up first, then the timed runs; the very first run of all stands apart; a summary that differs is noticed."""
    warm, timed = (synthetic.statistics(s, synthetic.NEW) for s in (synthetic.WARMUP, TIMED))
    told = parse_latency(f"INFO: {warm}\n\nsome line\nINFO: {timed}\nInference timings in us: Init: 1234, Inference (avg): 68.8\n")
    assert (told.first, told.runs.count, told.runs.median, told.init_us) == (80, 10, 53, 1234)
    with pytest.raises(ValueError, match="1 series"):
        parse_latency(timed)
    with pytest.raises(ValueError, match="no run was timed"):
        parse_latency(f"{warm}\ncount=0")
    with pytest.raises(ValueError, match="two averages"):
        parse_latency(f"{warm}\n{timed}\nAverage inference timings in us: Warmup: 1, Init: 2, no stats: 99.5")


def test_memory_of_any_build():
    """Newer builds tell a peak, older ones what was added; absurd sizes are unknown."""
    new = "Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.25\n"
    new += "Overall peak memory footprint (MB) via periodic monitoring: 7.5\n"
    told = parse_memory(new)
    assert (told.peak_bytes, told.added_bytes) == (7_864_320, 2_359_296)
    old = parse_memory("Peak memory footprint (MB): init=1.5 overall=2.25")
    assert (old.peak_bytes, old.added_bytes) == (None, 2_359_296)
    for text in ("", "Memory footprint delta (MB): init=nan overall=-5", "peak memory footprint (MB): 1e30"):
        assert parse_memory(text).added_bytes is None
        assert parse_memory(text).peak_bytes is None


@pytest.mark.parametrize("way", ["whole", "part", "none", "unsupported", "silent"])
def test_what_is_said_of_a_delegate(way):
    """All, some or none of the model; nothing said is not a yes, and another delegate's line is not this one's."""
    text = synthetic.said_of_delegate({"use_gpu": "true"}, {"delegate": way})
    expected = {"whole": Applied.WHOLE, "part": Applied.PART, "silent": Applied.UNSAID}.get(way, Applied.NONE)
    assert parse_applied(text, "GPU") is expected
    assert parse_applied(text, "XNNPACK") is Applied.UNSAID
    assert parse_applied(text + "\nERROR: Failed to apply GPU delegate.", "GPU") is Applied.NONE


def test_unknown_flags_are_read():
    """The warning lists them with their values."""
    assert parse_unknown_flags("WARN: Unconsumed cmdline flags: --a=1 --b_c=x,y:z\nother") == ("a", "b_c")
    assert parse_unknown_flags("none") == ()


@pytest.mark.parametrize("csv", [True, False])
@pytest.mark.parametrize("start", [True, False])
def test_operators_of_any_build(csv, start):
    """Kinds and names with commas, with and without a start column, as CSV and as a printed table; only the runs, in order."""
    ops = parse_operators(synthetic.operators(synthetic.ROWS, csv=csv, start=start))
    assert [(op.kind, op.name) for op in ops] == [(kind, name) for kind, _, _, name in synthetic.ROWS]
    assert [op.latency for op in ops[:2]] == [30.0, 12.0]
    assert ops[2].latency == pytest.approx(0.0084, abs=0.001 if csv else 0.01)


def test_a_delegate_is_replaced_by_its_inside():
    """XNNPACK's node gives way to the ops that it ran; without such a node the inside is not counted twice."""
    rows = [("RESHAPE", 0.001, 1, "r:0"), ("TfLiteXNNPackDelegate", 0.02, 1, "d:9"), ("SOFTMAX", 0.004, 1, "s:2")]
    ops = parse_operators(synthetic.operators(rows, csv=True, inside=synthetic.INSIDE))
    assert [op.kind for op in ops] == ["RESHAPE", "Convolution (NHWC, QC8)", "Softmax (NC, QU8)", "SOFTMAX"]
    assert len(parse_operators(synthetic.operators(synthetic.ROWS, csv=True, inside=synthetic.INSIDE))) == 3


def test_subgraphs_are_left_out():
    """The table of a loop's body is not the model's."""
    head = "Operator-wise Profiling Info for Regular Benchmark Runs:\n"
    graph, body = ("\n".join(synthetic.table([row], True, False)) for row in (synthetic.ROWS[0], synthetic.ROWS[2]))
    text = f"{head}Primary graph (name: main) profile:\n{graph}\n\nSubgraph (index: 1, name: body) profile:\n{body}\n"
    assert [op.kind for op in parse_operators(text)] == ["CONV_2D"]


@pytest.mark.parametrize(
    "text", ["", "garbage\n" * 100, "=== Run Order ===\n" + "x, " * 2000, "=== Run Order ===\na, nan, nan, nan%, nan%, 0, 1, b"]
)
def test_no_operators_in_garbage(text):
    """What is no row is no op."""
    assert parse_operators(text) == ()


def test_the_result_file_is_read():
    """Latency, memory and counts of the protobuf; float32 of ms come back as the us they were."""
    found = parse_result_file(synthetic.result_file(TIMED, synthetic.WARMUP) + synthetic.field(99, b"new") + synthetic.field(98, 7))
    assert (found.latency.runs.count, found.latency.runs.min, found.latency.runs.median) == (10, 50, 53)
    assert (found.latency.first, found.latency.runs.p95, found.latency.init_us) == (80, 210, 1234)
    assert (found.memory.peak_bytes, found.memory.added_bytes) == (7_864_320, 2_097_152)
    assert parse_result_file(b"").latency is None
    negative = synthetic.field(3, synthetic.field(2, -5))
    assert parse_result_file(negative).memory.added_bytes is None


def test_damaged_result_files_never_break():
    """Every cut, and a thousand damaged files: a ValueError, or numbers that stand in order."""
    data = synthetic.result_file(TIMED, synthetic.WARMUP)
    rng = np.random.default_rng(1)
    damaged = [data[:size] for size in range(len(data))] + [b"\xff" * 20, b"\x03", bytes(70_000)]
    for _ in range(1000):
        bad = bytearray(data)
        for position in rng.integers(0, len(bad), 3):
            bad[position] = rng.integers(0, 256)
        damaged.append(bytes(bad))
    with pytest.raises(ValueError, match="cut"):
        parse_result_file(data[:-1])
    read = 0
    for bad in damaged:
        try:
            found = parse_result_file(bad)
        except ValueError:
            continue
        if found.latency is not None:
            read += 1
            runs = found.latency.runs
            assert 0 <= runs.min <= runs.max <= 1e9
            assert runs.count >= 1
    assert 0 < read < len(damaged)


def test_damaged_texts_never_break():
    """Reports with changed, lost and doubled bytes give numbers that stand in order, or none; long hostile lines cost no time."""
    warm, timed = (synthetic.statistics(s, synthetic.NEW) for s in (synthetic.WARMUP, TIMED))
    good = f"{warm}\n{timed}\nMemory footprint delta from the start of the tool (MB): init=1 overall=2\nUnconsumed cmdline flags: --a=1\n"
    good += synthetic.operators(synthetic.ROWS, csv=True) + synthetic.operators(synthetic.ROWS, csv=False, start=True)
    rng = np.random.default_rng(2)
    hostile = [
        "footprint (MB):" * 100_000,
        "\t" * 100_000,
        "1, " * 100_000,
        "=== Run Order ===\n" + ("\t1" * 1900 + "\n") * 200,
        "count=1 " * 100_000,
    ]
    texts = [good, *hostile]
    for _ in range(300):
        bad = bytearray(good.encode())
        for position in rng.integers(0, len(bad) - 50, 8):
            size = int(rng.integers(0, 5))
            bad[position : position + size] = bytes(rng.integers(9, 127, int(rng.integers(0, 5)), dtype=np.uint8))
        texts.append(bad.decode("utf-8", "replace"))
    read = 0
    for text in texts:
        assert all(0 <= op.latency < float("inf") for op in parse_operators(text))
        parse_memory(text), parse_unknown_flags(text), parse_applied(text, "GPU")
        try:
            summary = parse_latency(text).summary()
        except ValueError:
            continue
        read += 1
        assert summary.min <= summary.mean * 1.001
    assert read > 10


def test_what_a_machine_tells():
    """Cores, zones, power: null where it is not told; a zone that is off is none; whole degrees and thousandths."""
    text = "core 0 max=1800000 now=600000\ncore 4 max=2800000 now=2800000\ncore 5 max= now=\n"
    seen = parse_seen(
        text + "zone 41500 cpu big\nzone -40000 off\nzone 30 skin\nmachine aarch64\nsaver 1\nthermal Thermal Status: 2\nnonsense\n"
    )
    assert seen.celsius == {"cpu big": 41.5, "skin": 30.0}
    assert (seen.machine, seen.battery_saver, seen.thermal_status) == ("aarch64", True, 2)
    assert choose_cores(seen, CoreClass.FAST, 1) == (4,)
    assert choose_cores(seen, CoreClass.SLOW, 1) == (5,)
    assert choose_cores(seen, 0, 4) == (0,)
    assert choose_cores(seen, CoreClass.ANY, 1) is None
    conditions = between(seen, parse_seen("core 4 max=2800000 now=900000\n"), threads=1, cores=(4,))
    assert (conditions.khz_before, conditions.khz_after, conditions.core_max_khz) == (2800000, 900000, 2800000)
    assert len(judge(conditions).reasons) == 3
    nothing = parse_seen("")
    assert judge(between(nothing, nothing, threads=1, cores=None)).valid
    assert choose_cores(nothing, CoreClass.FAST, 1) is None
    confined = parse_seen(text + "allowed Cpus_allowed_list: 0-2,5\n")
    assert sorted(confined.max_khz) == [0, 5]
    assert choose_cores(confined, CoreClass.FAST, 1) == (0,)
    with pytest.raises(UserError, match="no core 9"):
        choose_cores(seen, 9, 1)


def test_processors(tmp_path):
    """The ELF header names the processor; scripts and what is unknown may run anywhere."""
    for machine, name in ((183, "aarch64"), (40, "arm"), (62, "x86_64"), (9999, None)):
        (tmp_path / "p").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine))
        assert processor_of(tmp_path / "p") == name
    (tmp_path / "p").write_text("#!/bin/sh\n")
    assert processor_of(tmp_path / "p") is None
    assert is_foreign("aarch64", "x86_64")
    assert not is_foreign("arm", "aarch64")
    assert not is_foreign(None, "x86_64")
    assert not is_foreign("aarch64", "sparc")


# --- the driver


def test_a_measurement_of_a_new_build(fake):
    """Latency from the result file, memory and operators from runs of their own, the delegate confirmed, and no percentile made up."""
    with fake() as device:
        measured = measure(device)
    latency = summarize(measured)
    assert (latency.unit, latency.runs, latency.min, latency.p50, latency.first) == ("us", 10, 50, 53, 80)
    assert (latency.p90, latency.p99) == (None, None)
    assert latency.mean == pytest.approx(68.8)
    assert (measured.peak_rss_bytes, measured.model_ram_bytes) == (7_864_320, 2_097_152)
    assert [op.kind for op in measured.named_ops] == ["CONV_2D", "Fully Connected (NC, QS8)", "SOFTMAX"]
    assert measured.environment["kernels"] == "xnnpack"
    assert measured.environment["p95_us"] == "210"
    assert measured.environment["benchmark_model"].startswith("sha256 ")
    assert measured.conditions.threads == 1


def test_a_measurement_of_an_old_build(fake):
    """No result file, no percentiles, everything on standard error, operators printed: what is told is there, the rest is null."""
    with fake(style=synthetic.OLD) as device:
        measured = measure(device)
    latency = summarize(measured)
    assert (latency.runs, latency.min, latency.p50, latency.first) == (10, 50, None, 80)
    assert latency.mean == pytest.approx(68.8)
    assert [op.kind for op in measured.named_ops] == ["CONV_2D", "Fully Connected (NC, QS8)", "SOFTMAX"]


@pytest.mark.parametrize("result", ["absent", "garbage", "\x08"])
def test_the_text_stands_in_for_the_result_file(fake, result):
    """A build that writes none, or a damaged one."""
    with fake(result=result) as device:
        assert summarize(measure(device)).p50 == 53


def test_the_result_file_stands_in_for_the_text(fake):
    """A build that prints something else."""
    with fake(text="quite another format") as device:
        assert summarize(measure(device)).p50 == 53


def test_two_answers_must_agree(fake):
    """A result file of another number of runs is not believed."""
    with fake(written=TIMED[:5]) as device, pytest.raises(DeviceError, match=r"tells 10 runs, and writes 5"):
        measure(device)


@pytest.mark.parametrize(
    "text",
    ["", "count=5 first=1 curr=1 min=1 max=1 avg=1 std=0", "count=1 curr=5\ncount=10 first=1 curr=1 min=9 max=5 avg=2 std=1", "\x00" * 999],
)
def test_nonsense_is_no_number(fake, text):
    """Without a result file and with a text that cannot be true there is no measurement."""
    with fake(text=text, result="absent") as device, pytest.raises(DeviceError, match="makes no sense") as caught:
        measure(device)
    assert "benchmark_model" in caught.value.hint


@pytest.mark.parametrize("model", [every_op, three_roundings])
@pytest.mark.parametrize("kernels", [BenchmarkKernels.XNNPACK, BenchmarkKernels.BUILTIN])
def test_outputs_come_back(fake, kernels, model):
    """The inputs that were given, under the kernels that were asked for, and the outputs of all tensors, split by their sizes."""
    with fake(model(), kernels=kernels) as device:
        data = sample(device)
        arrays = [np.frombuffer(d, np.int8).reshape(s.shape) for d, s in zip(data, device.info().inputs, strict=True)]
        assert device.run(data) == [np.asarray(a).tobytes() for a in run_litert(model(), arrays, kernels.value)]


def test_outputs_that_are_missing_or_cut(fake):
    """An old build writes none and says that it does not know the flag; a cut file is an error of the link."""
    with fake(unknown=["output_filepath"]) as device, pytest.raises(DeviceError, match="writes no outputs"):
        device.run(sample(device))
    with fake(outputs="cut") as device, pytest.raises(LinkError, match="4 bytes; 1 came"):
        device.run(sample(device))


@pytest.mark.parametrize("way", ["none", "unsupported", "silent"])
def test_numbers_of_the_cpu_are_never_the_gpus(fake, way):
    """A GPU that took no op, is not there, or said nothing gives an error and no latency."""
    with fake(kernels=BenchmarkKernels.GPU, delegate=way) as device:
        with pytest.raises(DeviceError, match="GPU did not take the model") as caught:
            measure(device)
        with pytest.raises(DeviceError, match="GPU did not take"):
            device.run(sample(device))
    assert "--kernels" in caught.value.hint


def test_a_share_of_the_model_is_told(fake):
    """A delegate that took some of the ops, or did not say, is named so in the profile."""
    for kernels in (BenchmarkKernels.GPU, BenchmarkKernels.XNNPACK):
        with fake(kernels=kernels, delegate="part") as device:
            assert measure(device).environment["kernels"] == f"{kernels.value} (some of the ops)"
    with fake(delegate="silent") as device:
        assert measure(device).environment["kernels"] == "xnnpack (not told)"
    with fake(kernels=BenchmarkKernels.BUILTIN, unknown=["use_xnnpack", "result_file_path"]) as device:
        measured = measure(device)
    assert measured.environment["kernels"].startswith("default")
    assert measured.environment["unknown flags"] == "use_xnnpack, result_file_path"


def test_a_failing_side_run_leaves_the_latency(fake):
    """Memory and operators may fail; their facts are null then, with a note."""
    with fake(fail="memory") as device:
        measured = measure(device)
    assert (measured.peak_rss_bytes, measured.model_ram_bytes) == (None, None)
    assert "not measured" in measured.environment["memory"]
    assert measured.named_ops
    with fake(fail="operators") as device:
        measured = measure(device)
    assert measured.named_ops == ()
    assert "not measured" in measured.environment["operators"]


@pytest.mark.parametrize(
    ("reason", "code", "kind", "message"),
    [
        ("Encountered unresolved custom op: MyFilter.", 1, ModelError, "MyFilter"),
        ("Failed to allocate tensors!", 1, ModelError, "refuses this model"),
        ("Something else", 1, DeviceError, "exit code 1: ERROR: Something else"),
        ("x", 132, DeviceError, "instructions that this processor lacks"),
        ("x", 139, DeviceError, "signal 11"),
    ],
)
def test_failures_of_the_program(fake, reason, code, kind, message):
    """A refused model, a crash, and anything else: one sentence with the program's own words."""
    with fake(fail="latency", reason=reason, code=code) as device, pytest.raises(kind, match=message):
        measure(device)


def test_a_program_without_end(fake):
    """It is ended, and nothing stays."""
    remote = LocalRemote()
    with pytest.raises(DeviceError, match="did not end"), fake(remote=remote, hang="latency") as device:
        measure(device)
    assert not Path(remote.folder).exists()


def test_a_program_for_another_processor(tmp_path):
    """The error names both processors; a program that is none, or missing, is named as well."""
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 243) + bytes(200))
    foreign_to_us = pytest.raises(DeviceError, match=r"built for riscv64; local is \w+")
    with open_benchmark_model(LocalRemote(), foreign, tiny_classifier()) as device, foreign_to_us:
        measure(device)
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n")
    with (
        open_benchmark_model(LocalRemote(), other, tiny_classifier()) as device,
        pytest.raises(DeviceError, match="it ended well and said hello"),
    ):
        measure(device)
    remote = LocalRemote()
    with pytest.raises(UserError, match="no such program"):
        open_benchmark_model(remote, tmp_path / "missing", tiny_classifier())
    assert not Path(remote.folder).exists()


def test_a_program_that_says_nothing_is_no_benchmark_model():
    """A program that ends well, and does not speak as every build does, is named with the flag that names another."""
    with open_benchmark_model(LocalRemote(), Path("/bin/true"), tiny_classifier()) as device:
        for work in (lambda: device.run(sample(device)), lambda: measure(device)):
            with pytest.raises(DeviceError, match="/bin/true is no benchmark_model: it ended well and said nothing") as caught:
                work()
            assert "--benchmark-model" in caught.value.hint


def test_it_is_held_to_a_core(fake):
    """`taskset` starts it; a core that is not there is an error with a way out."""

    class Hiding(LocalRemote):
        def run(self, command, *, timeout_s):
            return Finished(0, b"", b"") if command[0] == "sh" else super().run(command, timeout_s=timeout_s)

    with fake(remote=Hiding(), core=0) as device:
        assert measure(device).conditions.cores == (0,)
    with fake(remote=Hiding(), core=900) as device, pytest.raises(DeviceError, match="held to core 900") as caught:
        measure(device)
    assert "any" in caught.value.hint


def test_a_lost_link_passes_through(fake):
    """At any of its calls a lost link is a LinkError, the side runs included, and never a profile with gaps."""

    class Losing(LocalRemote):
        def __init__(self, lost_at: int) -> None:
            super().__init__()
            self._calls, self._lost_at = 0, lost_at

        def run(self, command, *, timeout_s):
            self._calls += 1
            if self._calls > self._lost_at:
                raise LinkError("the link was lost")
            return super().run(command, timeout_s=timeout_s)

    for lost_at in range(6):
        remote = Losing(lost_at)
        with pytest.raises(LinkError), fake(remote=remote) as device:
            measure(device)
        assert not Path(remote.folder).exists()


def test_the_whole_way_to_a_phone(fake, phone):
    """Through the real adb to a simulated phone: a measurement, the bytes, and nothing left there."""
    with fake(remote=open_adb(phone.serial)) as device:
        assert summarize(measure(device)).p50 == 53
        outputs = device.run(sample(device))
    with fake() as local:
        assert outputs == local.run(sample(local))
    assert phone.sandbox.files() == []


def test_inputs_and_choices_are_checked(fake, tmp_path):
    """Wrong sizes, runs and threads are the user's errors; a model that LiteRT refuses here is told before anything travels."""
    with fake() as device:
        with pytest.raises(DataError, match="64 bytes"):
            device.run([b"short"])
        with pytest.raises(UserError, match="0 runs"):
            device.measure(sample(device), runs=0, warmup=0)
    with pytest.raises(UserError, match="threads"):
        open_benchmark_model(LocalRemote(), Path(sys.executable), tiny_classifier(), threads=0)
    with pytest.raises(ModelError):
        fake(with_custom_op())
