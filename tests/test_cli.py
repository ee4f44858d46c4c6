"""The command line: exit codes, errors in one sentence, and output that goes anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecompress import errors, pipeline
from edgecompress.artifact import Engine
from edgecompress.cli import main
from edgecompress.cli.group import COMMANDS
from edgecompress.profile import Latency, Memory, Parity, Profile, ProfiledModel, read_profile, write_profile

FULL = Path("/dev/full")


def profile(**changes) -> Profile:
    """A profile of a toy on cortex-m4."""
    facts = {
        "target": "cortex-m4",
        "model": ProfiledModel(name="toy", sha256="ab" * 32, macs=640, parameters=74),
        "engine": "aot",
        "toolchain": "zig",
        "latency": Latency(unit="instructions", min=10, p50=11, p90=12, p99=12, first=15, runs=3),
        "memory": Memory(code_bytes=100, model_bytes=50, harness_bytes=25, flash_bytes=175, arena_bytes=64),
    }
    return Profile(**{**facts, **changes})


def edgecompress(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own."""
    command = [sys.executable, "-m", "edgecompress", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def failing_inspect(monkeypatch):
    """`edgecompress inspect` raises what it is given."""

    def install(error: BaseException) -> None:
        def raising(model: Path, **options: object) -> None:
            raise error

        monkeypatch.setattr(pipeline, "inspect", raising)

    return install


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UserError, 2),
        (errors.ModelError, 2),
        (errors.UnsupportedOpError, 2),
        (errors.RecipeError, 2),
        (errors.DataError, 2),
        (errors.TargetError, 2),
        (errors.OutputError, 2),
        (errors.ToolError, 2),
        (errors.BudgetError, 3),
        (errors.DeviceError, 4),
        (errors.LinkError, 4),
        (errors.MismatchError, 5),
    ],
)
def test_each_failure_has_its_exit_code(kind, code, failing_inspect, capsys):
    """An expected failure is one sentence and a hint on stderr, nothing on stdout, and its own exit code."""
    failing_inspect(kind("it went so", hint="do this"))
    assert main(["inspect", "m.tflite"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: it went so\nhint: do this\n"


def test_a_bug_is_a_traceback(failing_inspect):
    """What nobody expected is not dressed up: it reaches the interpreter, which shows it and exits with 1."""
    failing_inspect(ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        main(["inspect", "m.tflite"])


def test_ctrl_c_is_130(failing_inspect, capsys):
    """An interrupt ends without a traceback."""
    failing_inspect(KeyboardInterrupt())
    assert main(["inspect", "m.tflite"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is needed: it exists on Linux")
def test_a_full_disk_is_no_bug():
    """Output that cannot be written is an expected failure, not a traceback."""
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "edgecompress", "targets"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_control_characters_from_files_stay_harmless(failing_inspect, capsys):
    """A name in a model file cannot drive the terminal."""
    failing_inspect(errors.ModelError("layer \x1b[2J\x07é is wrong"))
    main(["inspect", "m.tflite"])
    assert capsys.readouterr().err == "error: layer \\x1b[2J\\x07é is wrong\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mesure"], "did you mean 'measure'"),
        (["inspect"], "MODEL.tflite"),
        (["inspect", "a", "b"], "b"),
        (["build", "cortex-m4", "m", "--engine", "litert"], "engine"),
        (["build", "cortex-m4", "m", "--toolchain", "clang"], "toolchain"),
        (["build", "local", "m"], "no core to build for"),
        (["build", "cortex-m4", "m", "-o", "-"], "-o - is no folder"),
        (["build", "cortex-m99", "m.tflite"], "cortex-m99"),
        (["build", "cortex-m4", "m", "--name", "2 words"], "C identifier"),
        (["measure", "adb:", "no-such-file"], "no-such-file"),
        (["measure", "adb:SERIAL"], "adb:SERIAL"),
        (["measure", "android", "m"], "what build makes"),
        (["measure", "local", "m", "--port", "/dev/ttyACM0"], "--port has no effect on local"),
        (["measure", "local", "m", "--toolchain", "gcc"], "--toolchain has no effect here: programs for local"),
        (["run", "adb:X", "m", "--toolchain", "zig", "--input", "i", "--output", "o"], "--toolchain has no effect here"),
        (["measure", "ssh:", "m"], "names no machine"),
        (["measure", "cortex-m4", "m", "--threads", "2"], "--threads is for computers"),
        (["measure", "cortex-m4", "m", "--core", "slow"], "--core is for computers"),
        (["measure", "local", "m", "--kernels", "fast"], "kernels"),
        (["build", "android", "m"], "--package"),
        (["build", "android", "m", "--package", "a.b", "--engine", "aot"], "--engine has no effect here"),
        (["build", "cortex-m4", "m", "--package", "a.b"], "--package has no effect here"),
        (["build", "ios", "m", "--package", "a.b"], "--package has no effect here: it is for Android"),
        (["build", "ios", "m", "--layout", "aot"], "--layout has no effect here"),
        (["build", "adb:X", "m"], "no core to build for"),
        (["measure", "serial:/dev/ttyACM0", "m"], "names no port itself"),
        (["measure", "cortex-m4", "m", "--runs", "0"], "runs"),
        (["measure", "serial:"], "--port"),
        (["measure", "serial:", "--port", "p", "--record", "-"], "--record - is no file"),
        (["measure", "serial:", "--port", "p", "--record", "x", "-o", "./x"], "the profile and the session log at once"),
        (["measure", "serial:", "m", "--port", "p", "--record", "./m"], "the model itself"),
        (["run", "serial:", "--input", "-", "--output", "-"], "--port"),
        (["run", "cortex-m4", "m"], "--input"),
        (["run", "cortex-m4", "m", "--input", "-", "--input", "-", "--output", "o"], "2 times"),
        (["run", "cortex-m4", "m", "--input", "/no/such/input", "--output", "o"], "/no/such/input"),
        (["measure", "cortex-m4", "m", "-o", "./m"], "the model itself"),
        (["run", "cortex-m4", "m", "--input", "i", "--output", "./m"], "the model itself"),
        (["compare"], "at least one profile"),
        (["compare", "/no/such/profile"], "/no/such/profile"),
        (["--no-such-option"], "--no-such-option"),
        *(
            (verb, "no-such-file")
            for verb in (["inspect", "no-such-file"], ["verify", "no-such-file"], ["build", "cortex-m4", "no-such-file"])
        ),
        (["generate", "no-such-file", "-o", "x"], "no-such-file"),
        (["measure", "cortex-m4", "no-such-file"], "no-such-file"),
        (["measure", "local", "no-such-file"], "no-such-file"),
        (["measure", "local"], "local"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_was_asked_wrongly_is_exit_2(arguments, words, capsys, tmp_path, monkeypatch):
    """A wrong command line is told in one style, names what is wrong, hints at the next action, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert words in shown.err
    assert "\nhint: " in shown.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    """Each command has help, each of its options a sentence, and the list shows it whole."""
    assert main([name, "--help"]) == 0
    assert main(["--help"]) == 0
    listed = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith(f"{name} "))
    assert not listed.endswith("...")


def test_every_option_is_documented():
    """No option without help, in any command."""
    import click

    from edgecompress.cli.group import command as group

    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_the_version_is_the_packages(capsys):
    """--version prints the one version that the package has."""
    import importlib.metadata

    import edgecompress as package

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgecompress {package.__version__}\n"
    assert importlib.metadata.version("edgecompress") == package.__version__


def test_a_closed_pipe_is_quiet():
    """`edgecompress targets | head -1` ends as any program does whose reader left: SIGPIPE's code and not a word."""
    command = [sys.executable, "-m", "edgecompress", "targets"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_output_in_a_pipe_is_plain_and_whole():
    """Without a terminal there is no colour and no wrapping, whatever COLUMNS says, and a terminal without Unicode is served too."""
    environment = {**os.environ, "COLUMNS": "40", "PYTHONIOENCODING": "ascii", "FORCE_COLOR": ""}
    done = edgecompress("targets", env=environment)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("qemu-mps3-an547"))
    assert "524,288 B" in line
    assert "MPS3" in line


def test_library_chatter_is_left_out_and_trouble_is_not():
    """What TensorFlow logs about its start is dropped; any other line on the process's stderr is shown, ours first."""
    code = (
        "import os, sys\n"
        "from edgecompress import errors, pipeline\n"
        "from edgecompress.cli import main\n"
        "def noisy(model, **options):\n"
        "    os.write(2, b'I0000 00:00:1.0 3311 port.cc:153] oneDNN\\nreal trouble\\n2026-01-01 10:10:10.123: W tensorflow/x.cc] y\\n')\n"
        "    print('a warning of ours', file=sys.stderr)\n"
        "    raise errors.ModelError('it went so')\n"
        "pipeline.inspect = noisy\n"
        "sys.exit(main(['inspect', 'm']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "a warning of ours\nreal trouble\nerror: it went so\n"
    assert done.returncode == 2


def test_run_without_a_standard_input_says_so():
    """A process started without stdin is told so when it asks for it."""
    command = 'exec "$0" -m edgecompress run cortex-m4 m --input - --output o <&-'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --input -: there is no standard input\nhint: ")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_bug(closed):
    """A process started without stdout or stderr keeps its exit codes."""
    for arguments, code in (("targets", 0), ("mesure", 2)):
        command = f'exec "$0" -m edgecompress {arguments} {closed}'
        done = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


def test_sigterm_unwinds():
    """SIGTERM ends with 143 after temporary files were removed."""
    code = (
        "import sys, time, pathlib\n"
        "from edgecompress import pipeline\n"
        "from edgecompress.cli import main\n"
        "from edgecompress.files import replacing\n"
        "def slow(model, **options):\n"
        "    with replacing(pathlib.Path(sys.argv[1]) / 'result'):\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "pipeline.inspect = slow\n"
        "sys.exit(main(['inspect', 'm']))\n"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        process.stdout.close()
        assert list(Path(folder).iterdir()) == []


def test_measure_writes_the_profile_and_shows_it(monkeypatch, tmp_path, capsys):
    """The options arrive at the function as they were given; the profile lands in the file and its summary on stdout."""
    asked = {}

    def fake_measure(target, model, **options):
        asked.update(options, target=target, model=model)
        return profile()

    monkeypatch.setattr(pipeline, "measure", fake_measure)
    path = tmp_path / "p.json"
    assert main(["measure", "cortex-m4", "m.tflite", "--engine", "tflm", "--runs", "5", "--warmup", "0", "-o", str(path)]) == 0
    assert (asked["target"], asked["model"], asked["engine"], asked["runs"], asked["warmup"]) == (
        "cortex-m4",
        Path("m.tflite"),
        Engine.TFLM,
        5,
        0,
    )
    assert read_profile(path) == profile()
    assert "11 instructions" in capsys.readouterr().out


def test_measure_to_stdout_is_the_document_alone(monkeypatch, capsys):
    """`-o -` prints JSON and nothing else."""
    monkeypatch.setattr(pipeline, "measure", lambda target, model, **options: profile())
    assert main(["measure", "cortex-m4", "m.tflite", "-o", "-"]) == 0
    assert Profile.model_validate_json(capsys.readouterr().out) == profile()


@pytest.mark.parametrize(
    ("engine", "tolerance", "code"), [("aot", 0, 5), ("tflm", 0, 5), ("litert", 16, 0), ("litert", 1, 0), ("litert", 0, 5)]
)
def test_measured_bytes_that_differ_are_exit_5(engine, tolerance, code, monkeypatch, tmp_path):
    """Bytes that differ by more than they may are a failure, with the profile kept; a runtime that rounds otherwise may differ a little."""
    parity = Parity(reference="TFLM host", inputs=3, mismatched_bytes=2, largest_difference=1, tolerance=tolerance)
    differing = profile(engine=engine, parity=parity)
    monkeypatch.setattr(pipeline, "measure", lambda target, model, **options: differing)
    path = tmp_path / "p.json"
    assert main(["measure", "cortex-m4", "m.tflite", "-o", str(path)]) == code
    assert read_profile(path) == differing


def test_run_moves_raw_bytes(monkeypatch, tmp_path):
    """Each --input is one tensor, each --output receives one, byte for byte."""
    monkeypatch.setattr(pipeline, "run", lambda target, model, *, inputs, **options: [data[::-1] for data in inputs])
    (tmp_path / "a").write_bytes(b"\x00\x01\xff")
    (tmp_path / "b").write_bytes(b"\r\n")
    arguments = [word for name in "ab" for word in ("--input", str(tmp_path / name), "--output", str(tmp_path / f"{name}.out"))]
    assert main(["run", "cortex-m4", "m.tflite", *arguments]) == 0
    assert (tmp_path / "a.out").read_bytes() == b"\xff\x01\x00"
    assert (tmp_path / "b.out").read_bytes() == b"\n\r"


def test_run_writes_nothing_when_outputs_are_left_out(monkeypatch, tmp_path, capsys):
    """A model with two outputs and one --output is an error before any file is written."""
    monkeypatch.setattr(pipeline, "run", lambda target, model, **options: [b"1", b"2"])
    (tmp_path / "a").write_bytes(b"0")
    assert main(["run", "cortex-m4", "m.tflite", "--input", str(tmp_path / "a"), "--output", str(tmp_path / "o")]) == 2
    assert "2 outputs" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_compare_names_columns_apart(tmp_path, capsys):
    """Profiles of one file name in two folders keep their paths as headings."""
    for folder in ("one", "two"):
        write_profile(profile(), tmp_path / folder / "p.json")
    assert main(["compare", str(tmp_path / "one" / "p.json"), str(tmp_path / "two" / "p.json")]) == 0
    shown = capsys.readouterr().out
    assert "1.00x" in shown
    assert "one" in shown
    assert "two" in shown
