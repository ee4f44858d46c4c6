"""What starting costs: no heavy library is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "keras", "ai_edge_litert", "tflite_micro", "unicorn", "serial", "sklearn", "elftools", "jinja2"}
LIGHTER = {"numpy", "pydantic", "rich"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing():
    """`import edgecompress` loads neither TensorFlow nor anything else that is large."""
    assert not loaded_after("import edgecompress") & (HEAVY | LIGHTER)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["measure", "--help"], ["demo", "--help"]], ids=" ".join)
def test_help_loads_nothing(arguments):
    """Help comes at once: TensorFlow, Keras, numpy and pydantic stay unloaded."""
    assert not loaded_after(f"from edgecompress.cli import main\nassert main({arguments}) == 0") & (HEAVY | LIGHTER)


@pytest.mark.parametrize("arguments", [["targets"], ["inspect", "no-such-file"], ["build", "cortex-m4", "no-such-file"]], ids=" ".join)
def test_light_commands_load_no_heavy_library(arguments):
    """Commands that need no training start without TensorFlow and Keras."""
    assert not loaded_after(f"from edgecompress.cli import main\nmain({arguments})") & {"tensorflow", "keras", "sklearn"}


def test_doctor_asks_the_metadata_only():
    """`doctor` must work where TensorFlow cannot even be imported."""
    assert not loaded_after("from edgecompress.doctor import doctor\ndoctor()") & {"tensorflow", "keras", "ai_edge_litert", "tflite_micro"}
