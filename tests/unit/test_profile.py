"""Profiles: percentiles, the document, its published schema, and what a reader refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecompress.errors import ModelError
from edgecompress.profile import (
    Accuracy,
    Latency,
    Measurement,
    Memory,
    Parity,
    Profile,
    ProfiledModel,
    ProfiledOp,
    nearest_rank,
    profile_json_schema_text,
    read_profile,
    summarize,
    write_profile,
)

SCHEMA = Path(__file__).parents[2] / "docs" / "profile.schema.json"


def small_profile() -> Profile:
    """A profile that knows little."""
    return Profile(
        target="cortex-m4",
        model=ProfiledModel(name="toy", sha256="ab" * 32, macs=640, parameters=74),
        engine="aot",
        toolchain="zig 0.15.1",
        latency=Latency(unit="instructions", min=10, p50=11, p90=12, p99=12, first=15, runs=3),
        memory=Memory(code_bytes=100, model_bytes=50, harness_bytes=25, flash_bytes=175, arena_bytes=0),
    )


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([1, 2], 50, 1),
        ([2, 1], 51, 2),
        ([15, 20, 35, 40, 50], 30, 20),
        ([15, 20, 35, 40, 50], 40, 20),
        ([15, 20, 35, 40, 50], 100, 50),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 102)), 99, 100),
        (list(range(1, 101)), 7, 7),
    ],
)
def test_percentiles_are_nearest_rank(samples, percent, expected):
    """The smallest sample with at least that share at or below it; never a value between two samples."""
    assert nearest_rank(samples, percent) == expected


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1], 0), ([1], 101), ([1], float("nan"))])
def test_an_undefined_percentile_is_an_error(samples, percent):
    """No samples, or a percentage that means nothing, gives no number."""
    with pytest.raises(ValueError, match="not defined"):
        nearest_rank(samples, percent)


def test_the_summary_keeps_the_first_run_apart():
    """A slow first run is told on its own and moves no percentile."""
    latency = summarize(Measurement("us", samples=(4.0, 1.0, 3.0, 2.0), first=99.0))
    assert (latency.min, latency.p50, latency.p90, latency.p99, latency.first, latency.runs) == (1.0, 2.0, 4.0, 4.0, 99.0, 4)


def test_a_summary_stands_where_no_single_times_are_known(tmp_path):
    """What a program told instead of its times is kept as it is; percentiles that it did not tell are null in the file."""
    told = Latency(unit="us", min=50, p50=52, p90=None, p99=None, first=80, runs=100, mean=53.1)
    assert summarize(Measurement("us", samples=(), first=80, summary=told)) == told
    write_profile(small_profile().model_copy(update={"latency": told}), tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["latency"]["p99"] is None
    assert read_profile(tmp_path / "p.json").latency == told


def test_a_profile_survives_its_file(tmp_path):
    """What was written is what is read."""
    profile = small_profile().model_copy(
        update={
            "ops": (ProfiledOp(name="y", kind="ADD", macs=0, latency=3.0, fused=("RELU",)),),
            "parity": Parity(reference="TFLM host", inputs=3, mismatched_bytes=0, largest_difference=0),
            "accuracy": Accuracy(value=0.97, metric="top-1", set="digits", n=497),
            "environment": {"host": "Linux"},
        }
    )
    path = tmp_path / "p.json"
    write_profile(profile, path)
    assert read_profile(path) == profile


def test_unknown_facts_are_null_in_the_file(tmp_path):
    """A fact that was not measured is null and never zero; a true zero stays a zero."""
    write_profile(small_profile(), tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    assert document["schema"] == 1
    assert document["memory"]["stack_bytes"] is None
    assert document["memory"]["arena_bytes"] == 0
    assert document["clock_hz"] is None
    assert document["accuracy"] is None


def test_the_published_schema_is_the_models():
    """docs/profile.schema.json says what the code writes; `make schema` writes it again."""
    assert SCHEMA.read_text(encoding="utf-8") == profile_json_schema_text()


def test_profiles_keep_to_the_published_schema():
    """A written profile is valid, and one with a wrong unit or a field too many is not."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is needed: pip install jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    document = small_profile().model_dump(mode="json", by_alias=True)
    validator.validate(document)
    assert not validator.is_valid({**document, "extra": 1})
    assert not validator.is_valid({**document, "latency": {**document["latency"], "unit": "ms"}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"schema": ' + "9" * 5_000 + "}", "not JSON"),
        ("[]", "the document"),
        ("3", "the document"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1}', "target"),
    ],
)
def test_a_damaged_profile_is_one_sentence(tmp_path, text, words):
    """Whatever is in the file, the reader says what is wrong with it."""
    path = tmp_path / "p.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ModelError) as caught:
        read_profile(path)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [("arena_bytes", -1), ("arena_bytes", 1.5), ("arena_bytes", "many"), ("flsh_bytes", 1)],
)
def test_a_wrong_field_is_named(tmp_path, field, value):
    """An impossible number or an unknown key is refused by its name."""
    document = small_profile().model_dump(mode="json", by_alias=True)
    document["memory"][field] = value
    path = tmp_path / "p.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=field):
        read_profile(path)


def test_no_number_in_a_profile_is_infinite(tmp_path):
    """JSON has no infinity or NaN; a file that has one is refused."""
    document = small_profile().model_dump(mode="json", by_alias=True)
    document["latency"]["p50"] = float("inf")
    path = tmp_path / "p.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="p50"):
        read_profile(path)
