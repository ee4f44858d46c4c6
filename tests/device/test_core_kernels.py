"""Random layers and chains of them on emulated cores: every core's own kernels, and those it shares with all, give the oracle's bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from edgecompress.target import load_target
from tests.kernel_fuzz import CORES, FOUND, WEIGHTED, Batch, cases_of
from tests.op_chains import convolution_chain

pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")

# `make fuzz` takes 2,000 of each, with another seed.
SEED, COUNT = 11, 40


@cache
def layers() -> Batch:
    """40 of each family of layers with weights, and sums."""
    return Batch([case for family in WEIGHTED for case in cases_of(family.__name__, SEED, 0, COUNT)])


@cache
def chains() -> Batch:
    """40 chains of three to seven layers, and what a fuzzer once found."""
    return Batch([*cases_of(convolution_chain.__name__, SEED, 0, COUNT), *FOUND])


@pytest.mark.parametrize("target", CORES)
def test_layers_give_the_same_bytes_on_every_core(target: str, tmp_path: Path) -> None:
    """Lengths and addresses that are no multiple of a word, every zero point, both sides of each bound, in one firmware a core."""
    failures = layers().on_core(target, load_target(target).kernels, tmp_path / "out", spread=True)
    assert not failures, "\n".join(map(str, failures))


@pytest.mark.parametrize("target", CORES)
def test_chains_give_the_same_bytes_on_every_core(target: str, tmp_path: Path) -> None:
    """Layers whose outputs overlap their inputs as far as the plan lets them."""
    failures = chains().on_core(target, load_target(target).kernels, tmp_path / "out")
    assert not failures, "\n".join(map(str, failures))
