"""The store of profiles: what is kept, how it is found, and that nothing is lost whoever writes, dies or breaks it."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecompress.cli import main
from edgecompress.errors import ModelError, OutputError, StoreError, UserError
from edgecompress.profile import Latency, Memory, Profile, ProfiledModel, profile_text
from edgecompress.store import database, parse_query, profiles
from edgecompress.store.collection import document_hash

PRELUDE = """
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_store import document
from edgecompress.store import profiles
store = profiles(Path({path!r}))
"""


def document(target: str = "cortex-m4", name: str = "toy", p50: float = 10.0, **changes) -> str:
    """A small profile as JSON."""
    facts = {
        "target": target,
        "model": ProfiledModel(name=name, sha256=None, macs=None, parameters=None),
        "engine": "aot",
        "toolchain": "zig",
        "latency": Latency(unit="instructions", min=p50, p50=p50, p90=p50, p99=p50, first=p50, runs=3),
        "memory": Memory(),
        "measured_at": "2026-11-20T12:00:00+00:00",
    }
    return profile_text(Profile(**{**facts, **changes}))


@pytest.fixture
def store(tmp_path):
    """A store whose file is not there yet."""
    return profiles(tmp_path / "kept" / "p.sqlite")


def child(path: Path, code: str, **options) -> subprocess.Popen[str]:
    """A Python process with `store` open on `path`."""
    script = PRELUDE.format(tests=str(Path(__file__).parent), path=str(path)) + code
    return subprocess.Popen([sys.executable, "-c", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process: subprocess.Popen[str], expected: int = 0) -> str:
    """Its standard output, once it has ended as expected."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == expected, err
    return out


def test_a_profile_comes_back_as_it_was_added(store):
    """The text is kept to the byte, spaces and all."""
    text = document().replace('"engine"', '  "engine"') + "\n\n"
    (added,) = store.add([("a", text)])
    assert store.text(added.id) == text
    assert store.profile(added.sha256[:4]).target == "cortex-m4"


def test_a_known_profile_is_not_doubled(store):
    """Spaces, order of keys and spelled-out nulls do not make another profile; another number does."""
    plain = json.loads(document())
    shorter = {key: value for key, value in reversed(plain.items()) if value is not None}
    assert [one.known for one in store.add([("a", document()), ("b", json.dumps(shorter))])] == [False, True]
    assert [one.known for one in store.add([("c", document(p50=11))])] == [False]
    assert len(store.find()) == 2


def test_tags_are_its_own_and_those_it_was_added_with(store):
    """Adding again adds tags; the profile then has them all, and its text none of them."""
    (added,) = store.add([("a", document(tags=("mine",)))], tags=["nightly"])
    store.add([("a", document(tags=("mine",)))], tags=["release"])
    assert store.find("tag=release")[0].tags == ("mine", "nightly", "release")
    assert store.profile(added.id).tags == ("mine", "nightly", "release")
    assert "nightly" not in store.text(added.id)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"a", "b", "c", "d"}),
        ("target=cortex-m4", {"a", "b"}),
        ("target=cortex-m*", {"a", "b", "c"}),
        ("target=cortex-m?,model=b", {"b"}),
        ("target=cortex-m4,target=local", {"a", "b", "d"}),
        ("engine=litert", {"d"}),
        ("tag=x", {"c"}),
        ("since=2026-11-20", {"a", "b"}),
        ("since=2026-11-20, until=2026-11-20", {"a"}),
        ("until=2026-11-19", {"c"}),
        ("since=2026-11-20T14:00:00+02:00", {"a", "b"}),
        ("since=2026-11-20T12:00:01", {"b"}),
        ("since=2d", {"b"}),
        ("until=2d", {"a", "c"}),
        ("model=A", set()),
        ("model=[ab]", {"a", "b"}),
    ],
)
def test_queries_find_what_they_say(store, query, expected):
    """Patterns, alternatives and dates; a profile without a date is found by no date."""
    store.add(
        [
            ("a", document(name="a")),
            ("b", document(name="b", measured_at="2026-11-24T23:30:00-02:00")),
            ("c", document("cortex-m7", "c", measured_at="2026-01-01T00:00:00+00:00", tags=("x",))),
            ("d", document("local", "d", engine="litert", measured_at="yesterday")),
        ]
    )
    parsed = parse_query(query, datetime(2026, 11, 25, tzinfo=UTC))
    assert {found.model for found in store.find(parsed)} == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("trget=x", "'trget'"),
        ("cortex-m4", "'cortex-m4'"),
        ("target=", "no value"),
        ("target=a,,model=b", "''"),
        ("since=soon", "no date"),
        ("since=2026-13-01", "no date"),
        ("since=99999999999d", "no date"),
        ("until=9999-12-31", "no date"),
        ("until=0001-01-01T00:00+23:00", "no date"),
        ("id=xyz", "digits"),
        ("id=12*", "digits"),
    ],
)
def test_a_wrong_query_is_one_sentence(query, words):
    """Unknown keys, missing values and dates that are none are named, with a next step."""
    with pytest.raises(UserError, match=words.replace("*", r"\*")) as caught:
        parse_query(query)
    assert caught.value.hint


def test_removing_takes_exact_ids_only(store):
    """A beginning of an id removes nothing, an unknown id neither, and one wrong id of two keeps both."""
    first, second = store.add([("a", document(name="a")), ("b", document(name="b"))])
    for wrong in ([first.id[:8]], [first.id, "0" * 12], ["no id at all"]):
        with pytest.raises(UserError):
            store.remove(wrong)
    assert len(store.find()) == 2
    assert store.remove([first.id, first.id]) == 1
    assert [found.id for found in store.find()] == [second.id]
    assert store.remove_found("model=b") == 1


def test_what_was_removed_leaves_no_tags(store):
    """A profile that was forgotten and comes again is a new one."""
    (added,) = store.add([("a", document())], tags=["old"])
    store.remove([added.id])
    store.add([("a", document())])
    assert store.find()[0].tags == ()


def test_half_a_character_in_a_name_is_kept(store):
    """JSON may escape a lone surrogate, which SQLite does not hold: the document stays as it is, the name is searched by its escape."""
    text = document(name="half").replace("half", "half\\ud800\\u0000")
    (added,) = store.add([("a", text)])
    assert store.text(added.id) == text
    assert [found.model for found in store.find("model=half?ud800*")] == ["half\\ud800\x00"]


def test_one_damaged_document_adds_none(store):
    """The library adds all documents or none, so that a caller knows what is there."""
    with pytest.raises(ModelError, match="bad"):
        store.add([("good", document()), ("bad", "{}")])
    assert not store.path.exists()


def test_processes_write_at_once(tmp_path):
    """Six processes that add to one store at the same time, from its making on, lose nothing and double nothing."""
    path = tmp_path / "p.sqlite"
    code = "for n in range(12):\n    store.add([('x', document(name=f'{sys.argv[0] or 0}', p50=n)), ('same', document(p50=n))], tags=[%r])"
    writers = [child(path, (code % f"w{n}").replace("{sys.argv[0] or 0}", f"w{n}")) for n in range(6)]
    for writer in writers:
        finish(writer)
    found = profiles(path).find()
    assert len(found) == 6 * 12 + 12
    assert all(len(one.tags) == 6 for one in found if one.model == "toy")


def test_a_kill_in_the_middle_of_a_commit_loses_nothing(store):
    """Killed with half of its pages in the file, a writer leaves a journal; the next to open the store sees all that was there before."""
    store.add([("x", document(name=f"old{n}")) for n in range(20)])
    before = store.find()
    code = """
import sqlite3
from edgecompress.store.database import writing

class Spilling(sqlite3.Connection):
    def execute(self, statement, *values):
        # Two pages of memory: the others go to the file long before the commit.
        return super().execute("PRAGMA cache_size = 2" if "cache_spill" in statement else statement, *values)

connect = sqlite3.connect
sqlite3.connect = lambda *place, **options: connect(*place, factory=Spilling, **options)
with writing(store.path, create=False) as connection:
    connection.execute("DELETE FROM profile WHERE model = 'old3'")
    for n in range(500):
        connection.execute("INSERT INTO profile VALUES (?, 't', 'new', NULL, NULL, '', ?)", (str(n), 'x' * 2000))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    size = store.path.stat().st_size
    finish(child(store.path, code), -signal.SIGKILL)
    assert store.path.stat().st_size > size, "the killed process was to leave pages behind"
    assert Path(f"{store.path}-journal").exists()
    assert store.find() == before
    assert store.add([("x", document(name="after"))])[0].known is False


def test_whoever_is_killed_at_any_time_adds_all_or_nothing(tmp_path):
    """A writer that is killed again and again leaves whole batches only, and a store that is well."""
    path = tmp_path / "p.sqlite"
    code = "print('on', flush=True)\nfor n in range(10**6):\n"
    code += "    store.add([('x', document(name=f'{os.getpid()}.{n}', p50=k)) for k in range(4)])"
    for wait in (0.0, 0.02, 0.05, 0.11):
        writer = child(path, code)
        assert writer.stdout.readline() == "on\n"
        time.sleep(wait)
        writer.kill()
        finish(writer, -signal.SIGKILL)
    store = profiles(path)
    store.add([("last", document(name="last"))])
    batches: dict[str, int] = {}
    for found in store.find():
        batches[found.model] = batches.get(found.model, 0) + 1
    assert batches.pop("last") == 1
    assert set(batches.values()) <= {4}
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_that_is_held_is_waited_for_and_then_named(store, monkeypatch):
    """Another process that never lets go ends in one sentence; one that does is waited for."""
    store.add([("a", document())])
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    with pytest.raises(OutputError, match="another process"):
        store.add([("b", document(name="b"))])
    with pytest.raises(OutputError, match="another process"):
        store.find()
    holder.execute("ROLLBACK")
    assert len(store.find()) == 1


def test_a_full_disk_leaves_the_store_as_it_was(store):
    """A write that finds no room is one sentence, and all that was kept before is still there."""
    store.add([("a", document(name="a"))])
    limit = store.path.stat().st_size + 4096
    code = """
from edgecompress.errors import OutputError
try:
    store.add([('big', document(name='big', toolchain='z' * 10**6))])
except OutputError as e:
    print(e.message)
"""
    out = finish(child(store.path, code, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))))
    assert "the store is as it was" in out
    assert [found.model for found in store.find()] == ["a"]


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    """A text, another program's database, a folder and a device are named for what they are, and not changed."""
    text = tmp_path / "text"
    text.write_text("hello " * 1000)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    for path, words in ((text, "no SQLite file"), (other, "another program"), (tmp_path, "a folder"), (Path(os.devnull), "regular")):
        before = path.read_bytes() if path.is_file() else None
        store = profiles(path)
        with pytest.raises(StoreError, match=words) as caught:
            store.find()
        assert caught.value.hint
        with pytest.raises(StoreError, match=words):
            store.add([("a", document())])
        assert before is None or path.read_bytes() == before


def test_a_missing_store_is_made_by_adding_only(store):
    """Whatever reads or removes says that there is none, and makes none."""
    for action in (store.find, lambda: store.text("0" * 12), lambda: store.remove(["0" * 12]), lambda: store.remove_found("model=a")):
        with pytest.raises(StoreError, match="no such store") as caught:
            action()
        assert "add" in caught.value.hint
    assert not store.path.parent.exists()


def test_a_newer_store_asks_for_a_newer_program(store):
    """The version needed is named, and nothing is written."""
    store.add([("a", document())])
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="version 7") as caught:
        store.add([("b", document(name="b"))])
    assert caught.value.hint == "upgrade edgecompress"


def test_an_empty_file_becomes_a_store(tmp_path):
    """What a process that was killed while it made the store leaves is no obstacle."""
    path = tmp_path / "p.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        profiles(path).find()
    profiles(path).add([("a", document())])
    assert len(profiles(path).find()) == 1


def test_a_damaged_row_is_named_and_put_right(store):
    """The others stay readable; the file, added again, repairs it; and it can be forgotten."""
    bad, good = store.add([("a", document(name="a")), ("b", document(name="b"))])
    for damage in ("{", document(name="other"), b"\xff\x00", 7):
        with sqlite3.connect(store.path) as connection:
            connection.execute("UPDATE profile SET document = ? WHERE sha256 = ?", (damage, bad.sha256))
            connection.execute("UPDATE profile SET target = CAST(x'ff' AS TEXT), engine = 3 WHERE sha256 = ?", (bad.sha256,))
        with pytest.raises(StoreError, match=bad.id) as caught:
            store.text(bad.id)
        assert "again" in caught.value.hint
        assert len(store.find()) == 2
        assert store.profile(good.id).model.name == "b"
        store.add([("a", document(name="a"))])
        assert store.text(bad.id) == document(name="a")
    assert store.remove([bad.id]) == 1


def test_a_damaged_file_is_one_sentence(store):
    """Bytes overwritten in the middle end in one sentence that says how to save the rest, wherever they are."""
    store.add([("x", document(name=f"n{n}", toolchain="z" * 3000)) for n in range(20)])
    whole = store.path.read_bytes()
    for start in range(0, len(whole), 4096):
        store.path.write_bytes(whole[:start] + b"\xa5" * 2048 + whole[start + 2048 :])
        try:
            for found in store.find():
                store.text(found.id)
        except StoreError as e:
            assert e.hint
    store.path.write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(StoreError, match="damaged"):
        [store.text(found.id) for found in store.find()]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """A file in a folder's place is one sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        profiles(tmp_path / "file" / "p.sqlite").add([("a", document())])


@pytest.fixture
def as_nobody():
    """As a user whom permissions stop: root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_read_only_folder_can_be_read(as_nobody):
    """Profiles in a folder without the right to write are found, and adding says why it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        store = profiles(Path(folder) / "p.sqlite")
        store.add([("a", document())])
        store.path.chmod(0o444)
        store.path.parent.chmod(0o555)
        try:
            assert len(store.find()) == 1
            with pytest.raises(OutputError, match="read-only"):
                store.add([("b", document(name="b"))])
            with pytest.raises(OutputError, match="neither opened nor made"):
                profiles(Path(folder) / "new.sqlite").add([("b", document())])
        finally:
            store.path.parent.chmod(0o755)


def test_a_path_may_hold_any_character(tmp_path):
    """What has a meaning in a URI has none in a path."""
    path = tmp_path / "a?mode=memory#100%25 é.sqlite"
    profiles(path).add([("a", document())])
    assert path.exists()
    assert len(profiles(path).find()) == 1


def test_the_users_store_is_where_data_goes(tmp_path, monkeypatch):
    """The variable comes first, then the folder for data; a relative one counts as unset."""
    monkeypatch.delenv("EDGECOMPRESS_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert profiles().path == tmp_path / "edgecompress" / "profiles.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert profiles().path.is_relative_to(tmp_path / "home")
    monkeypatch.setenv("EDGECOMPRESS_STORE", str(tmp_path / "mine"))
    assert profiles().path == tmp_path / "mine"


def test_the_hash_is_of_what_a_document_says():
    """Layout, order and nulls do not count; numbers, order of lists and nulls in lists do."""
    assert document_hash('{"a": 1, "b": null}') == document_hash('{\n"a":1}')
    assert document_hash('{"a": [1, 2]}') != document_hash('{"a": [2, 1]}')
    assert document_hash("[null]") != document_hash("[]")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with two profiles, a damaged one and one of NaN; and the user's store in it."""
    monkeypatch.setenv("EDGECOMPRESS_STORE", str(tmp_path / "store"))
    (tmp_path / "a.json").write_text(document(name="a\x1b[31m\n|"))
    (tmp_path / "b.json").write_text(document("cortex-m7", "b"))
    (tmp_path / "bad.json").write_text('{"schema": 1}')
    (tmp_path / "nan.json").write_text(document().replace('"p50": 10.0', '"p50": NaN'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_damaged_files_do_not_stop_the_others(files, capsys):
    """Each is named, the others are kept, and the exit code tells."""
    assert main(["profiles", "add", "a.json", "bad.json", "nan.json", "gone.json", "b.json", "--tag", "t"]) == 2
    shown = capsys.readouterr()
    assert all(name in shown.err for name in ("bad.json", "nan.json", "gone.json"))
    assert "the other 2 were added" in shown.err
    assert len(profiles().find("tag=t")) == 2


def test_a_list_is_a_table_or_json(files, capsys):
    """Names from files cannot drive the terminal or break a row; JSON holds them as they are."""
    main(["profiles", "add", "a.json", "b.json"])
    capsys.readouterr()
    assert main(["profiles", "list"]) == 0
    table = capsys.readouterr().out
    assert "\x1b" not in table
    assert "a\\x1b[31m\\n|" in table
    assert len(table.splitlines()) == 4
    assert main(["profiles", "list", "--format", "json", "--query", "model=a*"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["model"] == "a\x1b[31m\n|"
    assert listed["sha256"].startswith(listed["id"])


def test_an_empty_store_lists_nothing(files, capsys):
    """Before the first profile there is nothing to list, which is no error; a store that was named and is missing is one."""
    assert main(["profiles", "list", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["profiles", "list", "--store", "gone.sqlite"]) == 2
    assert not Path("gone.sqlite").exists()


def test_show_prints_what_was_added(files, capsys):
    """The output is the file."""
    main(["profiles", "add", "b.json"])
    identity = capsys.readouterr().out.split()[0]
    assert main(["profiles", "show", identity]) == 0
    assert capsys.readouterr().out == Path("b.json").read_text()
    assert main(["profiles", "show", "0000"]) == 2


def test_removing_by_query_wants_a_yes(files, capsys):
    """Without --yes the profiles are listed and kept; ids and a query at once, neither, or an empty query are refused."""
    main(["profiles", "add", "a.json", "b.json"])
    for arguments in (["--query", "target=cortex-m4"], [], ["--query", ""], ["--query", "model=b", "0" * 12]):
        assert main(["profiles", "rm", *arguments]) == 2
    assert len(profiles().find()) == 2
    assert main(["profiles", "rm", "--query", "target=cortex-m4", "--yes"]) == 0
    assert [found.model for found in profiles().find()] == ["b"]
    assert main(["profiles", "rm", profiles().find()[0].id]) == 0
    assert profiles().find() == ()


def test_compare_takes_queries_as_well_as_files(files, capsys):
    """Profiles that a query finds stand beside those of files; a damaged row is named and does not stop the others."""
    main(["profiles", "add", "a.json", "b.json"])
    capsys.readouterr()
    assert main(["compare", "b.json", "@target=cortex-m*", "--format", "csv"]) == 0
    names = [row[0] for row in csv.reader(io.StringIO(capsys.readouterr().out))]
    assert names[1] == "b"
    # No spreadsheet takes them for formulas.
    assert [name.split("=")[0] for name in names[2:]] == ["'@id", "'@id"]
    with sqlite3.connect("store") as connection:
        connection.execute("UPDATE profile SET document = '{' WHERE model = 'b'")
    assert main(["compare", "@target=cortex-m*", "--format", "csv"]) == 2
    shown = capsys.readouterr()
    assert len(list(csv.reader(io.StringIO(shown.out)))) == 2
    assert "is damaged" in shown.err
    for wrong in ("@trget=x", "@model=none"):
        assert main(["compare", wrong]) == 2
    Path("@b.json").write_text(Path("b.json").read_text())
    assert main(["compare", "./@b.json"]) == 0
