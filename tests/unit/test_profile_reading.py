"""Reading profiles: what earlier releases wrote, what a later one may write, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgecompress.errors import ModelError
from edgecompress.profile import LARGEST_PROFILE_BYTES, Profile, parse_profile, profile_json_schema, profile_text, read_profile

EARLIER = Path(__file__).parents[1] / "profiles"


def document() -> dict:
    """What this release writes."""
    return json.loads(profile_text(read_profile(EARLIER / "first.json")))


def refusal(text: str) -> ModelError:
    """Why a text is no profile."""
    with pytest.raises(ModelError) as caught:
        parse_profile(text, "p.json")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("path", sorted(EARLIER.glob("*.json")), ids=lambda path: path.stem)
def test_what_earlier_releases_wrote_is_read(path):
    """Documents as earlier commits wrote them load with all that they say; what they could not say yet is unknown, never zero."""
    written = json.loads(path.read_text(encoding="utf-8"))
    profile = read_profile(path)
    again = json.loads(profile_text(profile))
    for name, value in written.items():
        if isinstance(value, dict):
            assert {field: again[name][field] for field in value} == value
    assert again["ops"] == written["ops"] and again["plan"] == written["plan"] and again["tags"] == ["nightly"]
    assert profile.memory.stack_bound_bytes is None and profile.energy is None and profile.latency.mean is None
    assert profile.memory.peak_rss_bytes is None and profile.parity.outputs_sha256 is None


def test_the_earlier_documents_are_there():
    """Three stages of schema 1: before conditions, before arena bounds, before stack bounds."""
    assert {path.stem for path in EARLIER.glob("*.json")} == {"first", "conditions", "arena_bounds"}


def test_no_field_is_added_that_an_old_profile_must_have():
    """Fields that schema 1 requires are those of its first day: a further one would refuse every profile on people's disks."""
    schema = profile_json_schema()
    required = {name: set(shape.get("required", ())) for name, shape in schema["$defs"].items()} | {"": set(schema["required"])}
    assert required[""] == {"target", "model", "engine", "toolchain", "latency", "memory"}
    assert required["Latency"] == {"unit", "min", "p50", "p90", "p99", "first", "runs"}
    assert required["Memory"] == set() and required["Conditions"] == set()
    assert required["Parity"] == {"reference", "inputs", "mismatched_bytes", "largest_difference"}
    assert required["ProfiledOp"] == {"name", "kind", "macs", "latency"}


def test_a_document_without_a_schema_is_of_the_first():
    """The field may be missing, and then means 1."""
    plain = document()
    del plain["schema"]
    assert parse_profile(json.dumps(plain), "p").schema_version == 1


def test_a_later_schema_is_refused_with_what_is_needed():
    """The message says which schema came and which is read; the hint says what to look for."""
    error = refusal(json.dumps({**document(), "schema": 7}))
    assert error.message == "p.json: is a profile of schema 7; this version reads up to 1"
    assert error.hint == "upgrade edgecompress to a version that reads schema 7"


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", None, [1]])
def test_a_schema_that_is_none_is_refused(version):
    """Only a whole number from 1 is a version; true and 1.0 are not."""
    assert "schema should be a whole number" in refusal(json.dumps({**document(), "schema": version})).message


def test_a_field_of_a_later_release_is_named():
    """An unknown field is not dropped in silence, and the hint says how it may have come there."""
    error = refusal(json.dumps({**document(), "colour": "red"}))
    assert error.message == "p.json: colour: this version knows no such field of schema 1"
    assert error.hint == "upgrade edgecompress if a later one wrote it"


@pytest.mark.parametrize("name", ["another generator 9.0", "TFLM + CMSIS-NN 6.0", "x", "y" * 64, "ünïcode"])
def test_an_engine_is_called_as_it_likes(name):
    """A profile of another program is read, written and valid by the published schema, with its engine's own name."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is needed: pip install jsonschema")
    other = {**document(), "engine": name}
    profile = parse_profile(json.dumps(other), "p")
    assert profile.engine == name and parse_profile(profile_text(profile), "p") == profile
    jsonschema.Draft202012Validator(profile_json_schema()).validate(other)


@pytest.mark.parametrize("name", ["", "y" * 65, "two\nlines", "\x1b[31mred", 3])
def test_an_engine_s_name_is_one_short_line(name):
    """Nothing, an essay, control characters and numbers are no names."""
    assert "engine" in refusal(json.dumps({**document(), "engine": name})).message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "-1", "1e400", "1e30"])
@pytest.mark.parametrize("field", ["p50", "first"])
def test_no_latency_is_impossible(field, number):
    """NaN, infinities, negative and absurd numbers are refused by the field's name."""
    text = json.dumps({**document(), "latency": {**document()["latency"], field: 123.25}}).replace("123.25", number)
    assert f"latency.{field}" in refusal(text).message


@pytest.mark.parametrize("number", [-1, 2**63, 10**400])
def test_no_size_is_impossible(number):
    """Bytes are counts that a 64-bit integer holds; the sentence stays short even where the number is not."""
    message = refusal(json.dumps({**document(), "memory": {"flash_bytes": number}})).message
    assert "memory.flash_bytes" in message and len(message) < 300


@pytest.mark.parametrize("value", [-0.1, 1.01, "NaN"])
def test_an_accuracy_is_a_fraction(value):
    """97 is no accuracy; 0.97 is."""
    text = json.dumps({**document(), "accuracy": {"value": value, "metric": "top-1", "set": "digits", "n": 1}})
    assert "accuracy.value" in refusal(text.replace('"NaN"', "NaN")).message


@pytest.mark.parametrize(("old", "new"), [('"target"', '"target": "x", "target"'), ('"p50"', '"p50": 1, "p50"')])
def test_a_field_that_stands_twice_is_refused(old, new):
    """Readers disagree on which of the two counts, so neither does."""
    assert f"{old[1:-1]!r} stands twice in one object" in refusal(json.dumps(document()).replace(old, new)).message


@pytest.mark.parametrize("text", ["", "[", "nul", "\ufeff{}", '{"a": 1,}', "[" * 100_000])
def test_what_is_not_json_says_so(text):
    """Damaged text is one sentence."""
    assert "is not JSON" in refusal(text).message


def test_a_file_larger_than_any_profile_is_not_read(tmp_path):
    """The limit is checked before anything is parsed."""
    path = tmp_path / "p.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_PROFILE_BYTES + 1)
    with pytest.raises(ModelError, match="larger than 64 MiB"):
        read_profile(path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop"])
def test_only_a_regular_file_is_opened(tmp_path, kind):
    """A folder, a pipe that nobody writes to, and a device are refused at once; a link to itself cannot be read."""
    path = tmp_path / "p.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with pytest.raises(ModelError, match="cannot be read" if kind == "loop" else "is no regular file"):
        read_profile(path)


def test_a_path_that_cannot_be_one_is_a_sentence():
    """A NUL in a path is the user's error."""
    with pytest.raises(ModelError, match="cannot be read"):
        read_profile(Path("a\0b"))


def test_bytes_that_are_no_text_are_a_sentence(tmp_path):
    """UTF-16 is not what JSON is kept in."""
    (tmp_path / "p.json").write_bytes(json.dumps(document()).encode("utf-16"))
    with pytest.raises(ModelError, match="is not JSON"):
        read_profile(tmp_path / "p.json")


def test_the_profile_of_today_needs_no_upgrade():
    """What is written is what is read."""
    profile = parse_profile(json.dumps(document()), "p")
    assert isinstance(profile, Profile) and parse_profile(profile_text(profile), "p") == profile
