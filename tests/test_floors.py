"""Imports point down: who may use whom, and where the heavy libraries stay."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgecompress"

FLOOR_OF = {
    "errors": 0,
    "units": 0,
    "files": 0,
    "resources": 0,
    "progress": 0,
    "protocol": 0,
    "instrument": 0,
    "tools": 0,
    "validation": 0,
    "elf": 1,
    "target": 1,
    "graph": 1,
    "artifact": 1,
    "recipe": 1,
    "profile": 1,
    "conditions": 1,
    "numerics": 1,
    "keras_graph": 2,
    "compress": 2,
    "convert": 2,
    "codegen": 2,
    "build": 2,
    "device": 2,
    "demo": 2,
    "store": 2,
    "pipeline": 3,
    "report": 3,
    "doctor": 3,
    "gate": 3,
    "cli": 4,
    "__main__": 5,
}

NEIGHBOURS_ALLOWED = {
    ("compress", "keras_graph"),  # compression passes stand on the graph rewrite
    ("compress", "convert"),  # a recipe ends in a conversion, and a score is that of the converted file
    ("pipeline", "report"),  # a verb writes the picture of what it measured
    ("demo", "compress"),  # the demo's float model is trained as the passes train
}
"""Rooms of floors 2 and 3 that may use a neighbour; the rooms of floors 0 and 1 are nouns and may use each other."""

HEAVY = {
    "tensorflow",
    "keras",
    "ai_edge_litert",
    "tflite_micro",
    "unicorn",
    "serial",
    "sklearn",
    "elftools",
    "ziglang",
    "matplotlib",
    "pyocd",
    "joulescope",
    "ppk2_api",
}
KERAS_ROOMS = {"keras_graph", "compress", "convert", "demo"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room a file is in: the first part of its path below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def absolute_name(path: Path, node: ast.ImportFrom) -> str:
    """The module an import names, relative imports resolved."""
    if not node.level:
        return node.module or ""
    parents = ("edgecompress", *path.relative_to(PACKAGE).parts[:-1])
    return ".".join([*parents[: len(parents) - node.level + 1], node.module or ""]).strip(".")


def imported_modules(path: Path, *, top_level_only: bool) -> Iterator[str]:
    """Every module that a file imports, full names; `if TYPE_CHECKING:` blocks cost nothing and are left out."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute_name(path, node)
            yield from ([f"edgecompress.{alias.name}" for alias in node.names] if module == "edgecompress" else [module])
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending.extend(node.orelse)
        elif not (top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            pending.extend(ast.iter_child_nodes(node))


def used_rooms(path: Path) -> set[str]:
    """Rooms of this package that a file imports, its own left out."""
    names = (name.split(".") for name in imported_modules(path, top_level_only=False))
    return {parts[1] for parts in names if parts[0] == "edgecompress" and len(parts) > 1} - {room_of(path), "__version__"}


def test_every_room_has_a_floor():
    """A new room must be given a floor here and in the architecture page."""
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    """A module uses its own room, floors below, and neighbours only where that is allowed."""
    room = room_of(path)
    if room == "__init__":
        return
    for used in used_rooms(path):
        below = FLOOR_OF[used] < FLOOR_OF[room]
        nouns = FLOOR_OF[used] == FLOOR_OF[room] and FLOOR_OF[room] in (0, 1)
        assert below or nouns or (room, used) in NEIGHBOURS_ALLOWED, f"{path}: {room} must not use {used}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_inside_functions(path):
    """No module pulls in a heavy library by being imported; Keras's own rooms may among themselves, since nothing light imports them."""
    room = room_of(path)
    heavy = {name.split(".")[0] for name in imported_modules(path, top_level_only=True)} & HEAVY
    allowed = {"keras", "tensorflow"} if room in KERAS_ROOMS and path.name != "__init__.py" else set()
    assert heavy <= allowed, f"{path} imports {sorted(heavy - allowed)} at its top"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_keras_and_tensorflow_stay_in_their_rooms(path):
    """Only keras_graph, compress and convert know Keras or TensorFlow; the demo trains a model of its own."""
    used = {name.split(".")[0] for name in imported_modules(path, top_level_only=False)} & {"keras", "tensorflow"}
    assert not used or room_of(path) in KERAS_ROOMS, f"{path} imports {sorted(used)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_neither_print_nor_assert(path):
    """Only the command line prints, and `assert` is for tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)], f"{path} asserts"
    if room_of(path) != "cli":
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        assert not [call.lineno for call in calls if call.func.id == "print"], f"{path} prints"
