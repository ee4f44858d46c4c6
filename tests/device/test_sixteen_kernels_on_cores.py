"""Random ops on int16 activations on emulated cores: the oracle's bytes, from the DSP extension's kernels and from all cores'."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from edgecompress.target import load_target
from tests.kernel_fuzz import Batch, cases_of
from tests.sixteen_families import FAMILIES, sixteen_chain

pytest.importorskip("unicorn", reason="needs the emulator: pip install unicorn")

# `make fuzz` takes 2,000 of each, with another seed.
SEED, COUNT = 13, 12


@cache
def layers() -> Batch:
    """12 of each family, and chains."""
    return Batch([case for family in (*FAMILIES, *[sixteen_chain] * 3) for case in cases_of(family.__name__, SEED, 0, COUNT)])


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_int16_ops_give_the_same_bytes_on_cores(target: str, tmp_path: Path) -> None:
    """Odd sizes, both ends of the range, sums beyond 32 bits and scales from 1e-11 up, in one firmware a core."""
    failures = layers().on_core(target, load_target(target).kernels, tmp_path / "out", spread=True)
    assert not failures, "\n".join(map(str, failures))
