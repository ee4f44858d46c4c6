"""Every op beside the convolutions: generated C, numpy and TFLM agree byte for byte on random ops."""

from __future__ import annotations

import pytest

from tests.op_cases import Family
from tests.op_families import FAMILIES
from tests.op_matches import FamilyMatches, check_numpy

pytest.importorskip("tflite_micro", reason="needs TensorFlow Lite Micro's host wheel: pip install tflite-micro")


def by_name(family: Family) -> str:
    return family.__name__


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> FamilyMatches:
    return FamilyMatches(FAMILIES, tmp_path_factory.mktemp("models"), seed=1, count=40)


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_generated_c_gives_tflms_bytes(matches: FamilyMatches, family: Family) -> None:
    """40 random ops, compiled with sanitizers, have the outputs of TFLM."""
    matches.check(family)


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_numpy_gives_tflms_bytes(family: Family) -> None:
    """200 more random ops have the outputs of TFLM in numpy."""
    for seed in range(100, 105):
        check_numpy(family, seed=seed, count=40)
