"""The example in each verb's docstring runs, in a folder that holds digits.keras, digits.tflite and data.py."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import edgecompress

VERBS = (
    "build",
    "build_android",
    "build_ios",
    "compare",
    "compress",
    "doctor",
    "gate",
    "generate",
    "inspect",
    "measure",
    "profiles",
    "run",
    "sensitivity",
    "targets",
    "verify",
)

DATA = """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    images = rng.random((32, 8, 8, 1), np.float32)
    return {"validation": (images, rng.integers(0, 10, 32)), "calibration": images}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as the examples expect it; the .tflite is what the compress example makes of the untrained Keras model."""
    import keras

    from edgecompress.demo.model import build_model

    path = tmp_path_factory.mktemp("examples")
    keras.utils.set_random_seed(0)
    build_model().save(path / "digits.keras")
    (path / "data.py").write_text(DATA)
    edgecompress.compress(path / "digits.keras", data=f"{path / 'data.py'}:load", output=path, name="digits")
    return path


@pytest.mark.parametrize("verb", [*VERBS, "edgecompress"])
def test_the_example_runs(verb, folder, monkeypatch):
    """What the docstring shows is what comes out."""
    monkeypatch.chdir(folder)
    documented = edgecompress if verb == "edgecompress" else getattr(edgecompress, verb)
    text = documented.__doc__
    test = doctest.DocTestParser().get_doctest(text, {"edgecompress": edgecompress, "Path": Path}, verb, None, 0)
    assert test.examples, f"{verb} has no example"
    printed: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=printed.append).failed
    assert not failed, "".join(printed)


def test_every_verb_has_an_example():
    """A new verb is a function with a docstring that shows it; the demo's own test runs the demo, and flash needs a board."""
    verbs = {name for name in edgecompress.__all__ if callable(getattr(edgecompress, name)) and name.islower()}
    shown = {name for name in verbs if ">>>" in (getattr(edgecompress, name).__doc__ or "")}
    assert shown == {*VERBS, "demo", "flash"}
