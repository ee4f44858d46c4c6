"""The public names of the package: all there, all meant, and verbs stay verbs."""

from __future__ import annotations

import importlib
import inspect as python_inspect
import subprocess
import sys
from types import ModuleType

import pytest

import edgecompress
from edgecompress.cli.group import COMMANDS


@pytest.mark.parametrize("name", edgecompress.__all__)
def test_every_public_name_exists(name):
    """Each name of `__all__` is a class or a function with a docstring."""
    value = getattr(edgecompress, name)
    assert callable(value)
    assert value.__doc__


def test_public_names_are_sorted_and_listed():
    """`__all__` is sorted without repeats, and dir() shows it."""
    assert sorted(set(edgecompress.__all__)) == edgecompress.__all__
    assert set(edgecompress.__all__) <= set(dir(edgecompress))


def test_every_error_is_public():
    """Whoever calls the functions can catch each failure by name."""
    errors = importlib.import_module("edgecompress.errors")
    names = {name for name, value in vars(errors).items() if python_inspect.isclass(value) and issubclass(value, Exception)}
    assert names <= set(edgecompress.__all__)


def test_every_command_is_a_function_too():
    """The verbs of the command line are functions of the same name."""
    assert set(COMMANDS) <= set(edgecompress.__all__)


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_shows_how_it_is_called(verb):
    """The docstring of each verb holds an example."""
    function = getattr(edgecompress, verb)
    assert f"edgecompress.{verb}(" in function.__doc__


def test_an_unknown_name_is_an_attribute_error():
    """A typing mistake fails like any module's."""
    with pytest.raises(AttributeError, match="mesure"):
        _ = edgecompress.mesure


def test_a_verb_outlives_the_import_of_its_room():
    """`edgecompress.build` stays the function after the room of that name was imported, whichever came first."""
    code = (
        "import edgecompress.build, edgecompress.compress, edgecompress.doctor, edgecompress\n"
        "from edgecompress.doctor import State\n"
        "verbs = [edgecompress.build, edgecompress.compress, edgecompress.doctor]\n"
        "print([type(verb).__name__ for verb in verbs])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['function', 'function', 'function']"


def test_submodules_that_are_no_verbs_bind_as_usual():
    """Only verbs are kept from being replaced."""
    importlib.import_module("edgecompress.graph")
    assert isinstance(edgecompress.graph, ModuleType)
