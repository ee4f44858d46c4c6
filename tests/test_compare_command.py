"""`edgecompress compare` as its users call it: baselines, forms, damaged files, terminals and pipes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edgecompress.cli import main
from edgecompress.profile import Latency, Memory, Profile, ProfiledModel, ProfiledOp, write_profile


def made(p50: float, *, unit: str = "instructions", engine: str = "aot") -> Profile:
    """A profile with one layer."""
    return Profile(
        target="cortex-m4",
        model=ProfiledModel(name="toy", sha256=None, macs=640, parameters=None),
        engine=engine,
        toolchain="zig",
        latency=Latency(unit=unit, min=p50, p50=p50, p90=p50, p99=p50, first=p50, runs=3),
        memory=Memory(flash_bytes=30_000),
        ops=(ProfiledOp(name="y", kind="CONV_2D", macs=640, latency=p50),),
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Three profiles, a damaged file and one of a later schema, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, p50 in (("one", 1000), ("two", 500), ("three", 2000)):
        write_profile(made(p50), tmp_path / f"{name}.json")
    (tmp_path / "damaged.json").write_text((tmp_path / "one.json").read_text().replace("1000.0", "NaN", 1))
    (tmp_path / "later.json").write_text('{"schema": 9}')
    return tmp_path


def ratios(text: str) -> list[float | None]:
    """The latency's ratios in a JSON comparison."""
    latency = next(row for row in json.loads(text)["rows"] if row["metric"] == "latency p50")
    return [cell.get("ratio") for cell in latency["cells"]]


@pytest.mark.parametrize(
    ("word", "expected"), [("two", [2, None, 4]), ("2", [2, None, 4]), ("two.json", [2, None, 4]), ("1", [None, 0.5, 2])]
)
def test_a_baseline_is_a_name_a_number_or_a_file(word, expected, capsys):
    """Whichever way it is named, ratios refer to it."""
    assert main(["compare", "one.json", "two.json", "three.json", "--baseline", word, "--format", "json"]) == 0
    assert ratios(capsys.readouterr().out) == expected


def test_a_baseline_from_elsewhere_becomes_the_first_column(capsys):
    """A file that is not among the profiles is read as well."""
    assert main(["compare", "two.json", "three.json", "--baseline", "one.json", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["profiles"] == ["one", "two", "three"] and ratios(out) == [None, 0.5, 2]


def test_a_name_goes_before_a_number(capsys, folder):
    """A profile called 1 is meant by 1."""
    (folder / "two.json").rename(folder / "1.json")
    assert main(["compare", "one.json", "1.json", "--baseline", "1", "--format", "json"]) == 0
    assert ratios(capsys.readouterr().out) == [2, None]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("0", "there are 2 profiles"),
        ("3", "there are 2 profiles"),
        ("tow", "did you mean two?"),
        ("none.json", "no such file"),
        ("later.json", "schema 9"),
        ("", "is no regular file"),
    ],
)
def test_a_baseline_that_is_none_is_one_sentence(word, words, capsys):
    """Nothing is printed but the error."""
    code = main(["compare", "one.json", "two.json", "--baseline", word])
    printed = capsys.readouterr()
    assert code == 2 and not printed.out and printed.err.count("error:") == 1
    assert words in printed.err


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_a_damaged_file_does_not_stop_the_others(form, capsys):
    """Those that can be read are compared, each of the others is named with its fault, and the exit code is 2."""
    assert main(["compare", "damaged.json", "one.json", "later.json", "two.json", "--format", form]) == 2
    printed = capsys.readouterr()
    assert "one" in printed.out and "two" in printed.out and "error" not in printed.out
    assert "damaged.json: latency." in printed.err and "finite" in printed.err
    assert "later.json: is a profile of schema 9; this version reads up to 1; the other 2 are shown" in printed.err
    assert printed.err.count("error:") == 2 and printed.err.count("hint:") == 1


def test_damaged_files_alone_are_named(capsys):
    """Nothing is left to compare; every file has its sentence."""
    assert main(["compare", "damaged.json", "later.json"]) == 2
    printed = capsys.readouterr()
    assert not printed.out and printed.err.count("error:") == 2


def test_damaged_files_are_named_where_the_rest_cannot_be_compared(capsys, folder):
    """Both the file's fault and what is wrong with the others are told."""
    write_profile(made(5, unit="us"), folder / "host.json")
    assert main(["compare", "damaged.json", "one.json", "host.json", "--ops"]) == 2
    errors = capsys.readouterr().err
    assert "damaged.json" in errors and "do not compare per op" in errors


def test_the_same_file_twice_is_two_columns(capsys):
    """They are told apart by numbers."""
    assert main(["compare", "one.json", "one.json", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["profiles"] == ["one.json (1)", "one.json (2)"]


def test_a_peer_appears_like_any_other(capsys, folder):
    """A profile of another engine is a column with a ratio, per layer too, without an option for it."""
    write_profile(made(1500, engine="another generator 2.1"), folder / "peer.json")
    assert main(["compare", "one.json", "peer.json"]) == 0
    assert "another generator 2.1" in (text := capsys.readouterr().out) and "1,500 instructions  (1.50x)" in text
    assert main(["compare", "one.json", "peer.json", "--ops"]) == 0
    assert "(1.50x)" in capsys.readouterr().out


def test_ops_of_every_form(capsys):
    """The layers in each form, each with its numbers."""
    for form, words in (
        ("table", "+1,000"),
        ("markdown", "| 0 y | CONV\\_2D |"),
        ("csv", "latency_instructions"),
        ("json", '"change": 1000.0'),
    ):
        assert main(["compare", "one.json", "three.json", "--ops", "--format", form]) == 0
        assert words in capsys.readouterr().out


def test_a_file_s_name_does_not_drive_the_terminal(capsys, folder):
    """Escape sequences and line ends in names are shown, not done, on stdout and stderr."""
    name = "a\x1b[31m\nb.json"
    (folder / "one.json").rename(folder / name)
    assert main(["compare", name, "two.json"]) == 0
    assert main(["compare", "c\x1b[31m.json"]) == 2
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "a\\x1b[31m\\nb" in printed.out


def on_terminal(arguments: list[str], columns: int) -> str:
    """What a terminal of `columns` columns shows."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "edgecompress", "compare", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        # Linux ends a terminal whose last user left with EIO.
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown.decode()


def test_colour_is_for_terminals_only():
    """A terminal gets the best in green beside its mark, a pipe the mark alone, and the same text at any COLUMNS."""
    shown = on_terminal(["one.json", "two.json"], 100)
    assert "\x1b[1;32m" in shown and "* 500 instructions" in shown
    command = [sys.executable, "-m", "edgecompress", "compare", "one.json", "two.json"]
    texts = {
        subprocess.run(command, capture_output=True, check=True, timeout=60, env={**os.environ, "COLUMNS": columns}).stdout
        for columns in ("20", "200")
    }
    (text,) = texts
    assert b"\x1b" not in text and b"* 500 instructions  (0.50x)" in text


def test_starting_is_quick_work():
    """Comparing files loads no numpy, no TensorFlow and nothing of the builders."""
    script = (
        "import sys\nfrom edgecompress.cli import main\n"
        "assert main(['compare', 'one.json', 'two.json']) == 0\n"
        "print(sorted({'numpy', 'tensorflow', 'keras', 'jinja2', 'sqlite3', 'edgecompress.pipeline'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("options", [[], ["--baseline", "three.json"], ["--ops"], ["--store", "store.sqlite"]])
def test_the_page_takes_no_input_s_place(options, capsys, folder):
    """A profile, baseline, history or store that is named as the page as well, by whatever path, stays as it is."""
    (folder / "store.sqlite").write_bytes(b"kept")
    (folder / "link.json").symlink_to("one.json")
    name = options[-1] if options and "." in options[-1] else "link.json"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["compare", "one.json", *options, "--html", f"./{name}"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {name}: is in use by this command already")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_history_without_a_page_is_one_sentence(capsys):
    """What would have no effect is not taken silently."""
    assert main(["compare", "one.json", "--history", "report.json"]) == 2
    assert capsys.readouterr().err.splitlines()[0].startswith("error: --history was given without --html")
