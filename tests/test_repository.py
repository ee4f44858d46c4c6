"""The checkout itself: no path of anybody's machine, links that lead somewhere, small documented files, scripts that start."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = {".py", ".md", ".toml", ".txt", ".sh", ".c", ".h", ".in", ".json", ".ld", ".S", ".yml", ".yaml", ".cfg", ""}
FOLDERS = ("edgecompress", "firmware", "targets", "calibration_data", "tests", "docs", "benchmarks", ".ci")
LARGEST_MODULE_LINES = 450


def project_files() -> list[Path]:
    """Files that git keeps, or, without git, those of the project's folders."""
    try:
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, timeout=60).stdout
        files = [ROOT / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.SubprocessError):
        files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
        files += list(ROOT.iterdir())
    return sorted(path for path in files if path.is_file())


FILES = project_files()
MODULES = [path for path in FILES if path.suffix == ".py"]


def test_no_file_names_a_folder_of_somebodys_machine():
    """Nothing works on one machine only: no home folder and no checkout by its absolute path."""
    homes = re.compile(r"/(?:home|Users|root|work)/[A-Za-z0-9_.-]+")
    for path in FILES:
        if path.suffix in TEXT and path != Path(__file__):
            found = homes.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(ROOT)} names {found[0]}"


def test_no_secret_is_kept():
    """No private key and no token of the usual shapes."""
    secrets = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b|\bpypi-AgE[A-Za-z0-9_-]{20,}"
    )
    for path in FILES:
        if path.suffix in TEXT:
            assert secrets.search(path.read_text(encoding="utf-8")) is None, path.relative_to(ROOT)


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path):
    """Every relative link of a page names a file that exists."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are(path):
    """Each module opens with its idea, and each test with its promise; no module of the package outgrows a few screens."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "no docstring"
    if path.is_relative_to(ROOT / "edgecompress"):
        assert len(text.splitlines()) <= LARGEST_MODULE_LINES
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [test.name for test in tests if not ast.get_docstring(test)] == []


def test_test_files_have_names_of_their_own():
    """pytest keeps modules by name: two test files of one name would hide each other."""
    names = [path.name for path in MODULES if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", [*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_scripts_start(path):
    """Scripts can be executed, and a plain shell understands them."""
    assert os.access(path, os.X_OK)
    subprocess.run(["/bin/sh", "-n", str(path)], check=True, timeout=60)


def test_the_changelog_has_something_to_say():
    """What users will notice stands under Unreleased, one sentence a line."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = text.split("## Unreleased", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in unreleased.splitlines() if line.strip()]
    assert lines
    assert all(line.startswith(("* ", "  ")) for line in lines)
