"""Test inputs are the same in every language."""

from edgecompress.numerics.lcg import lcg_bytes, lcg_inputs


def test_first_bytes_follow_the_formula():
    """The first byte after seed 1 is (1664525 + 1013904223) >> 24."""
    assert lcg_bytes(1, 1)[0] == (1664525 + 1013904223) >> 24


def test_inputs_are_cut_from_one_sequence():
    """Two inputs together are the bytes of one longer input."""
    assert b"".join(lcg_inputs(7, [3, 5])) == lcg_bytes(7, 8)
