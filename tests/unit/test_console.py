"""Progress and tables on a terminal, in a pipe, and on a terminal too narrow for them."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from edgecompress.cli.console import ProgressDisplay
from edgecompress.cli.tables import Column, print_pairs, print_table


def on_terminal(code: str, **environment: str) -> str:
    """What a fresh interpreter shows when stdout and stderr are a terminal."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "25", **environment}
    variables.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
    process = subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
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


def test_in_a_pipe_each_stage_is_one_line(capsys):
    """No bars and no cursor movement where nobody watches: a line when a stage ends, on stderr."""
    with ProgressDisplay() as progress:
        for done in range(4):
            progress("training", done, 3)
        progress("converting", 0, None)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["training", "converting"]
    assert "\x1b" not in shown.err


def test_a_stage_that_broke_off_says_so(capsys):
    """An exception passes through, and the stage it struck is not shown as finished."""
    with pytest.raises(KeyboardInterrupt), ProgressDisplay() as progress:
        progress("training", 1, 3)
        raise KeyboardInterrupt
    assert "training" in capsys.readouterr().err.splitlines()[-1]


def test_markup_in_names_is_only_text(capsys):
    """A layer called [bold] is shown as it is called."""
    with ProgressDisplay() as progress:
        progress("layer [bold]x[/bold] [/]", 0, None)
    assert "layer [bold]x[/bold] [/]" in capsys.readouterr().err


BARS = (
    "from edgecompress.cli.console import ProgressDisplay\n"
    "with ProgressDisplay() as progress:\n"
    "    for done in range(4):\n"
    "        progress('training [/] x', done, 3)\n"
    "    progress('converting', 0, None)\n"
)


def test_on_a_terminal_there_are_bars():
    """Each stage ends as a full bar with its count."""
    shown = on_terminal(BARS)
    assert "training [/] x" in shown
    assert "3/3" in shown
    assert "converting" in shown


def test_no_color_is_honoured():
    """NO_COLOR leaves no colour in errors and tables."""
    code = "from edgecompress.cli import main\nassert main(['mesure']) == 2\nassert main(['targets']) == 0\n"
    assert "\x1b[1;31m" in on_terminal(code)
    plain = on_terminal(code, NO_COLOR="1")
    assert "\x1b[1;31m" not in plain
    assert "\x1b[3" not in plain


def test_a_narrow_terminal_cuts_nothing():
    """Forty columns show every target's whole name and sizes."""
    shown = on_terminal("from edgecompress.cli import main\nassert main(['targets']) == 0\n", COLUMNS="40")
    assert "…" not in shown
    assert "qemu-mps3-an547" in shown
    assert "flash: 524,288 B" in shown


def test_a_table_becomes_blocks_when_it_does_not_fit():
    """The same cells either way; empty ones take no line."""
    columns = [Column("op", number=True), Column("kind"), Column("tensor")]
    rows = [["0", "CONV_2D", "a\x1b/b"], ["1", "ADD", ""]]
    texts = []
    for width in (80, 18):
        stream = io.StringIO()
        print_table(Console(file=stream, width=width, markup=False, highlight=False), columns, rows)
        texts.append(stream.getvalue())
    wide, narrow = texts
    assert [line.split() for line in wide.splitlines()][2:] == [["0", "CONV_2D", "a\\x1b/b"], ["1", "ADD"]]
    assert narrow == "op: 0\n  kind: CONV_2D\n  tensor: a\\x1b/b\nop: 1\n  kind: ADD\n"


def test_pairs_line_up_and_skip_the_unknown():
    """Values start in one column; what has no value has no line."""
    stream = io.StringIO()
    print_pairs(Console(file=stream, width=80, markup=False), [("flash", "1 B"), ("clock", ""), ("static RAM", "2 B")])
    assert stream.getvalue() == "flash       1 B\nstatic RAM  2 B\n"
