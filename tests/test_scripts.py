"""The steps behind `make test`: they install what they may, and say in one line what they may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("dirname", "sed", "id", "env", "cat", "sh", "cmp", "cp", "ls", "rm", "touch")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder whose name holds a space, with the scripts and a .ci/packages.txt of two programs that nobody has."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / ".ci", root / ".ci")
    (root / ".ci" / "packages.txt").write_text("# words\n[one]\nno-such-program-a\n\n[two]\nno-such-program-b  # more words\n")
    return root


@pytest.fixture
def tools(tmp_path) -> Path:
    """A PATH with the plain tools only: no apt-get, no sudo, no dpkg."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        path = shutil.which(name)
        assert path, f"{name} is needed"
        (folder / name).symlink_to(path)
    return folder


def add(tools: Path, name: str, script: str) -> None:
    """A program for the PATH."""
    path = tools / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(checkout: Path, tools: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of the checkout with that PATH and nothing else in its environment."""
    variables = {"PATH": str(tools), "HOME": str(checkout), "LOG": str(checkout / "log"), "BIN": str(tools), **environment}
    return subprocess.run(
        [str(checkout / ".ci" / command[0]), *command[1:]],
        env=variables,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_missing_packages_are_one_line(checkout, tools):
    """Where nothing may be installed, the line names every missing package, and the script fails."""
    done = run(checkout, tools, "debian_packages.sh")
    assert done.returncode == 1
    assert done.stdout == (
        "Debian packages are missing, and the tests that use them were left out: apt install no-such-program-a no-such-program-b\n"
    )


def test_what_is_there_is_not_asked_for(checkout, tools):
    """A program that is found, from whatever source, is not missing; with all of them there is nothing to say."""
    add(tools, "no-such-program-a", "exit 0")
    assert "apt install no-such-program-b\n" in run(checkout, tools, "debian_packages.sh").stdout
    add(tools, "no-such-program-b", "exit 0")
    done = run(checkout, tools, "debian_packages.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_installs_what_is_missing_without_questions(checkout, tools):
    """As root the packages are installed in one call, after the list of packages was fetched when the first try failed."""
    add(tools, "id", "echo 0")
    add(tools, "dpkg-query", "exit 1")
    # The first install fails, as on a machine without package lists.
    add(
        tools,
        "apt-get",
        'echo "$DEBIAN_FRONTEND $*" >> "$LOG"\n'
        'case "$*" in\n'
        '*update*) touch "$LOG.updated" ;;\n'
        '*install*) [ -e "$LOG.updated" ] || exit 100\n'
        '    for name in no-such-program-a no-such-program-b; do cp "$BIN/dpkg-query" "$BIN/$name"; done ;;\n'
        "esac",
    )
    done = run(checkout, tools, "debian_packages.sh")
    assert (done.returncode, done.stdout) == (0, "")
    calls = (checkout / "log").read_text().splitlines()
    assert [("install" in call, "update" in call) for call in calls] == [(True, False), (False, True), (True, False)]
    assert all(call.startswith("noninteractive -q") for call in calls)
    assert "no-such-program-a no-such-program-b" in calls[0]


def test_passwordless_sudo_is_used_and_never_asks(checkout, tools):
    """A user with passwordless sudo is served like root; sudo is only ever called with -n."""
    add(tools, "id", "echo 1000")
    add(tools, "apt-get", "exit 0")
    add(tools, "sudo", 'echo "$*" >> "$LOG"')
    done = run(checkout, tools, "debian_packages.sh")
    calls = (checkout / "log").read_text().splitlines()
    assert calls[0] == "-n true"
    assert all(call.startswith("-n ") for call in calls)
    assert any("apt-get" in call and "install" in call for call in calls)
    assert done.returncode == 1


def test_a_user_who_may_not_is_not_asked(checkout, tools):
    """When sudo wants a password nothing is tried."""
    add(tools, "id", "echo 1000")
    add(tools, "apt-get", 'echo "$*" >> "$LOG"')
    add(tools, "sudo", "exit 1")
    assert run(checkout, tools, "debian_packages.sh").returncode == 1
    assert not (checkout / "log").exists()


def test_an_old_python_is_told_in_one_line(checkout, tools):
    """Without a new enough interpreter the environment is not begun."""
    (checkout / "pyproject.toml").write_text("")
    add(tools, "python3", "exit 1")
    done = run(checkout, tools, "environment.sh", "demo")
    assert done.returncode == 1
    assert done.stderr == "environment: Python 3.11 or later is needed; install it, or say PYTHON=/path/to/python3\n"


def test_no_folder_but_an_environment_is_replaced(checkout, tools):
    """VENV=DIR never removes a folder that is something else."""
    (checkout / "pyproject.toml").write_text("")
    (checkout / "precious").mkdir()
    (checkout / "precious" / "thesis").write_text("")
    add(tools, "python3", "exit 0")
    done = run(checkout, tools, "environment.sh", "demo", VENV="precious")
    assert done.returncode == 1
    assert "something else in it" in done.stderr
    assert (checkout / "precious" / "thesis").exists()


def test_nothing_is_installed_twice(checkout, tools):
    """An environment that was made for this pyproject.toml and still starts is left alone; dev serves demo as well."""
    (checkout / "pyproject.toml").write_text("one")
    bin_ = checkout / ".venv" / "bin"
    bin_.mkdir(parents=True)
    add(bin_, "python", 'echo "$*" >> "$LOG"')
    add(bin_, "edgecompress", "exit 0")
    (checkout / ".venv" / ".edgecompress-dev").write_text("one")
    assert run(checkout, tools, "environment.sh", "demo").returncode == 0
    assert "pip" not in (checkout / "log").read_text()
    (checkout / "pyproject.toml").write_text("two")
    assert run(checkout, tools, "environment.sh", "demo").returncode == 0
    assert "pip install" in (checkout / "log").read_text()
    assert (checkout / ".venv" / ".edgecompress-demo").read_text() == "two"


def test_make_needs_no_environment_to_help():
    """`make` alone lists what there is."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is needed: apt install make")
    done = subprocess.run([make, "-C", str(ROOT)], capture_output=True, text=True, timeout=60, check=True, env={"PATH": os.environ["PATH"]})
    for word in ("make demo", "make test", "make fuzz"):
        assert word in done.stdout
