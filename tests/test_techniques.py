"""The benchmark of techniques, on scikit-learn's digits: its rows are recipes, its jobs are stored whole, its numbers are what they say."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from passes import Verdict, verdict_of
from technique_jobs.children import run_child
from technique_jobs.kernels import Kernels, read_kernels
from technique_jobs.rows import FLOAT, Goal, Row, read_rows
from technique_jobs.store import Cost, Outcome, Result, Store
from technique_jobs.table import Finished, missed, paired_difference, render

from edgecompress.convert import read_tflite
from edgecompress.pipeline.verify import Rung, Status
from edgecompress.progress import silent

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TIMEOUT_S = 240


def techniques(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The benchmark's command, with one thread and only those variables."""
    command = [sys.executable, str(BENCHMARKS / "techniques.py"), *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "EDGECOMPRESS_DATA"}
    variables |= {"TF_NUM_INTRAOP_THREADS": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=variables)


def result(row: Row, *, gzip_bytes: int = 100, instructions: int | None = None, accuracy: float = 0.9) -> Result:
    """A finished row of round numbers."""
    outcome = Outcome(accuracy=accuracy, images=4, validation=None, unheard=None, seconds=1.0, cpu_seconds=2.0)
    cost = Cost(parameters=10, macs=20, tflite_bytes=400, gzip_bytes=gzip_bytes, instructions=instructions)
    return Result(row=row, outcome=outcome, cost=cost, report={})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """A folder with the quick rows `float` and `int8`, and the table that was printed."""
    folder = tmp_path_factory.mktemp("techniques")
    done = techniques("--data", "cifar10", "--quick", "--only", FLOAT, "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    done = techniques("--data", "cifar10", "--quick", "--only", "int8", "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_row_loads_its_network_under_its_seed(monkeypatch):
    """Dropout draws its seed when a network is loaded: the same one in every run of a row."""
    from technique_jobs import job

    class LoadedError(Exception):
        """The network would be there now."""

    drawn = []

    def load(*_: object, **__: object) -> None:
        drawn.append(random.random())
        raise LoadedError

    (row,) = (row for row in read_rows(BENCHMARKS / "technique_jobs" / "fsdd.toml") if row.name == "float, 10 epochs more")
    monkeypatch.setattr(Store, "float_start", load)
    for _ in range(2):
        with pytest.raises(LoadedError):
            job.run_row(row, SimpleNamespace(name="fsdd"), Store(Path("nowhere")), silent)
    assert drawn[0] == drawn[1]


def test_quick_rows_are_stored_whole(finished):
    """A finished row is a folder with its models, the predictions and what was measured, and nothing is left beside it."""
    folder, _ = finished
    assert sorted(path.name for path in folder.iterdir()) == ["float", "int8", "table.md"]
    for name in ("float", "int8"):
        found = {path.name for path in (folder / name).iterdir()}
        assert found == {"hits.npy", "model.keras", "model.tflite", "predictions.npy", "result.json", "start.keras"}
    facts = json.loads((folder / "int8" / "result.json").read_text())
    assert facts["cost"]["tflite_bytes"] == (folder / "int8" / "model.tflite").stat().st_size
    assert facts["outcome"]["images"] == 497
    assert facts["outcome"]["accuracy"] == np.load(folder / "int8" / "hits.npy").mean()
    # One instruction of the core multiplies and adds twice at most.
    assert facts["cost"]["instructions"] > facts["cost"]["macs"] / 2 > 0
    assert facts["cost"]["same_bytes"] is True


def test_the_table_holds_finished_rows(finished):
    """What was printed is table.md: a line for each finished row, and the names of the others."""
    folder, printed = finished
    assert printed == (folder / "table.md").read_text()
    lines = printed.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["float", "int8"]
    assert lines[4:5] == [""]
    assert lines[5].startswith("not finished: ")


def test_a_finished_row_is_not_run_again(finished):
    """The second call prints the same table, runs nothing, and needs no data."""
    folder, printed = finished
    before = (folder / "int8" / "result.json").stat().st_mtime_ns
    done = techniques("--data", "cifar10", "--quick", "--only", "int8", "--folder", str(folder))
    assert (done.returncode, done.stdout) == (0, printed)
    assert "int8 ..." not in done.stderr
    assert (folder / "int8" / "result.json").stat().st_mtime_ns == before


def test_finished_rows_are_measured_again(finished):
    """What the engine gives now takes the place of what it gave then; the rest of the row stays, and nothing is trained."""
    folder, printed = finished
    path = folder / "int8" / "result.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"cost": facts["cost"] | {"instructions": 1}}))
    done = techniques("--data", "cifar10", "--quick", "--again", "--folder", str(folder))
    assert (done.returncode, done.stdout) == (0, printed)
    assert json.loads(path.read_text()) == facts


def test_without_data_it_says_so(tmp_path):
    """Without EDGECOMPRESS_DATA a full row ends in one sentence and a hint."""
    done = techniques("--data", "fsdd", "--only", FLOAT, "--folder", str(tmp_path))
    assert done.returncode == 2
    assert f"failed: {FLOAT} (exit code 2)\n" in done.stderr
    assert "error: EDGECOMPRESS_DATA is not set, and fsdd is read from the folder that it names\n" in done.stderr


def test_an_ending_is_told():
    """A child's exit code, or the signal that native code ended it with, is said in words and passed on."""
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
    endings = [run_child([sys.executable, "-c", code]) for code in ("", "raise SystemExit(3)", kill)]
    assert [str(ending) for ending in endings] == ["exit code 0", "exit code 3", "ended by SIGABRT"]
    assert [ending.exit_code for ending in endings] == [0, 3, 1]
    assert [ending.ok for ending in endings] == [True, False, False]


@pytest.mark.parametrize("data", ["cifar10", "fsdd"])
def test_rows_are_recipes(data):
    """Every row of both tables is a recipe that the package accepts, also with one epoch a step, and starts with `float`."""
    rows = read_rows(BENCHMARKS / "technique_jobs" / f"{data}.toml")
    assert rows[0].name == FLOAT
    names = {row.name for row in rows}
    for row in rows:
        assert row.recipe.step
        assert row.goal.above is None or row.goal.above in names
        assert all(getattr(step, "epochs", 0) <= 1 for step in row.quickly().step)


def test_a_changed_row_is_not_finished(tmp_path):
    """A stored row counts for the recipe that it was run with, and for no other."""
    row = Row(name="int8, again", step=Row.model_validate_json('{"name": "x", "step": [{"pass": "quantize"}]}').step)
    store = Store(tmp_path)
    with store.writing(row) as folder:
        store.write(folder, result(row))
    assert store.read(row) == result(row)
    assert store.read(row.model_copy(update={"start": "published"})) is None


def test_a_broken_job_leaves_nothing(tmp_path):
    """A job that fails while it writes leaves neither a row nor an unfinished folder."""
    row = Row(name="x")
    with pytest.raises(ZeroDivisionError), Store(tmp_path).writing(row) as folder:
        (folder / "model.tflite").write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_difference_is_paired():
    """Images that both get right or wrong do not widen the interval; by hand for one image won and two lost of eight."""
    base = np.array([1, 1, 1, 1, 0, 0, 1, 1], bool)
    row = np.array([1, 1, 0, 0, 0, 1, 1, 1], bool)
    found = paired_difference(row, base)
    assert found.mean == pytest.approx(-12.5)
    # d holds one +1, two -1 and five 0: mean -1/8, variance 3/8 - 1/64.
    assert found.half == pytest.approx(100 * 1.96 * ((3 / 8 - 1 / 64) / 8) ** 0.5)
    assert paired_difference(base, base).half == 0


def test_goals_are_judged():
    """A broken limit is told in words; limits that hold, or that nothing is there to judge by, are not."""
    difference = paired_difference(np.array([1, 0, 0, 0], bool), np.array([1, 1, 0, 0], bool))
    results = {
        "float": result(Row(name="float"), gzip_bytes=400),
        "int8": result(Row(name="int8"), gzip_bytes=100, instructions=1000),
        "scratch": result(Row(name="scratch"), accuracy=0.95),
    }
    strict = Goal(drop=2.0, gzip_of_int8=0.4, instructions_of_int8=0.6, packed=0.55, smaller_than_float=10.0, above="scratch")
    loose = Goal(drop=30.0, gzip_of_int8=0.5, instructions_of_int8=0.7, packed=0.6, smaller_than_float=8.0)
    tried = Finished(Row(name="x", goal=strict), result(Row(name="x"), gzip_bytes=50, instructions=700), difference, Kernels(0.0, 0.58))
    assert missed(tried, results) == [
        "25.00 points below float, limit 2",
        "gzip above 40% of int8's",
        "instructions above 60% of int8's",
        "indices above 55% of int8's bytes",
        "only 8.0 times smaller than float32, aim 10",
        "no better than 'scratch'",
    ]
    assert missed(replace(tried, row=Row(name="x", goal=loose)), results) == []
    assert missed(replace(tried, row=Row(name="x", goal=Goal(drop=2.0, gzip_of_int8=0.4)), difference=None), {}) == []


def test_kernels_pack_as_indices(finished):
    """Of the plain int8 file: its zeros, and 8-bit indices with a codebook of at most 255 values for each layer, counted by hand."""
    folder, _ = finished
    kernels = read_kernels(folder / "int8" / "model.tflite")
    graph = read_tflite((folder / "int8" / "model.tflite").read_bytes())
    arrays = [graph.tensor(op.inputs[1]).data for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    assert kernels.zeros == sum(int((array == 0).sum()) for array in arrays) / sum(array.size for array in arrays)
    values = [len(set(array.ravel().tolist())) for array in arrays]
    bits = [next(bits for bits in range(1, 9) if 2**bits >= count) for count in values]
    packed = sum(-(-array.size * bit // 8) + count for array, bit, count in zip(arrays, bits, values, strict=True))
    assert kernels.packed == packed / sum(array.size for array in arrays)
    assert read_kernels(folder / "float" / "model.tflite") is None


def test_the_table_marks_what_has_no_firmware(tmp_path):
    """A row that our engine refused is in the table, with the reason below it."""
    row = Row(name=FLOAT, start="published")
    store = Store(tmp_path)
    refused = result(row).model_copy(update={"cost": result(row).cost.with_refusal("no such op")})
    with store.writing(row) as folder:
        np.save(folder / "hits.npy", np.ones(4, bool))
        store.write(folder, refused)
    assert "float: no firmware: no such op\n" in render([row], store)


def test_moved_images_stay_theirs():
    """Streamed images are the originals, moved and mirrored over black: the same for the same seed, others in each pass."""
    from technique_jobs.images import augmented
    from technique_jobs.splits import Split

    x = np.zeros((6, 5, 5, 1), np.uint8)
    x[:, 2, 2, 0] = range(1, 7)
    split = Split(x, np.arange(1, 7, dtype=np.int32))
    stream = augmented(split, batch=4, seed=3, shift=1)
    passes = [[(a.numpy(), b.numpy()) for a, b in stream] for _ in range(2)]
    again = [[(a.numpy(), b.numpy()) for a, b in augmented(split, batch=4, seed=3, shift=1)] for _ in range(1)]
    images, labels = (np.concatenate(part) for part in zip(*passes[0], strict=True))
    assert sorted(labels) == [1, 2, 3, 4, 5, 6]
    assert images.dtype == np.float32
    for image, label in zip(images, labels, strict=True):
        assert image.max() == label
        assert image.sum() == label
        assert (image[1:4, 1:4] == label).any()
    assert all(np.array_equal(a, b) for a, b in zip(passes[0][0], again[0][0], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(passes[0][0], passes[1][0], strict=True))


def test_a_tone_lights_its_band():
    """The mel bands partition the spectrum, and a pure tone's energy is in the band around its frequency."""
    from technique_jobs.speech import BANDS, FRAMES, log_mel, mel_bands

    bands = mel_bands()
    assert bands.shape == (257, BANDS)
    inside = bands[10:160].sum(axis=1)
    assert inside == pytest.approx(np.ones_like(inside))
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(8000) / 8000.0)
    image = log_mel(tone, bands)
    assert image.shape == (FRAMES, BANDS)
    # mel(1000 Hz) = 1000 in steps of (mel(4000) - mel(20)) / 11 = 192.3 from mel(20) = 31.8: edge 5.03, the peak of the fifth band.
    assert set(image.argmax(axis=1)) == {4}


def test_clips_lie_within_their_second():
    """The noise has the mean power of the clip, loud and quiet clips come out alike, and a clip that is too long is cut."""
    from technique_jobs.speech import place

    clip = np.full(2000, 8192, np.int16)
    second = place(clip, np.random.default_rng(0))
    assert second.shape == (8000,)
    # Signal power 0.06^2 over a quarter of the second, noise power 0.06^2 over all of it.
    assert np.mean(second**2) == pytest.approx(0.06**2 * 1.25, rel=0.1)
    assert place(clip // 8, np.random.default_rng(0)) == pytest.approx(second)
    assert len(place(np.ones(9000, np.int16), np.random.default_rng(0))) == 8000


@pytest.mark.parametrize(
    ("reference", "status", "verdict"),
    [
        ("TFLM host", Status.EQUAL, Verdict.EQUAL),
        ("TFLM host", Status.DIFFERS, Verdict.DIFFERS),
        ("TFLM host", Status.MISSING, Verdict.MISSING),
        ("LiteRT reference", Status.DIFFERS, Verdict.MISSING),
    ],
)
def test_passes_judges_generated_code(reference, status, verdict):
    """Only bytes of the generated C that are not TensorFlow Lite Micro's are a failure; without that host there is nothing to judge."""
    assert verdict_of(Rung("generated C on cortex-m4", reference, status)) is verdict


def test_pass_times_are_held_against_their_limits():
    """The benchmark of passes prints a line for each, with its seconds and its limit; the quickest may round to 0.0 s."""
    command = [sys.executable, str(BENCHMARKS / "pass_times.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["pass", "seconds", "CPU", "s", "limit"], done.stderr
    cells = [line[38:].split() for line in lines]
    assert [f"{limit} {unit}" for _, _, limit, unit, _ in cells] == ["30 s:"] * 3 + ["60 s:"]
    assert any(float(wall) > 0 for wall, *_ in cells)
    assert done.returncode == int("missed" in done.stdout)


def test_train_steps_reports_ratios():
    """The benchmark of training steps prints a time for each step and each ratio, with its limit."""
    command = [sys.executable, str(BENCHMARKS / "train_steps.py"), "--quick"]
    variables = os.environ | {"TF_NUM_INTRAOP_THREADS": "1"}
    variables.pop("EDGECOMPRESS_TFMOT_PYTHON", None)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    words = done.stdout.split("\n")
    assert words[0] == "batch 4, the median of 2 rounds of 2 steps"
    assert [line.split()[0] for line in words[1:5]] == ["float", "folded", "QAT", "pruned"]
    assert any("QAT / folded" in line and "at most 1.4" in line for line in words)
    assert any("deterministic QAT / QAT" in line for line in words)
