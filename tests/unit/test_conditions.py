"""What speaks against numbers that were read from a clock."""

import pytest

from edgecompress.conditions import Conditions, drift_of, judge

CALM = Conditions(threads=1, cpu_over_wall=0.99, drift=1.0, khz_before=1000, khz_after=1000, thermal_status=0, battery_saver=False)


def test_calm_conditions_are_valid():
    """Nothing against it, nothing said."""
    assert judge(CALM).valid
    assert judge(CALM).reasons == ()


def test_what_is_unknown_speaks_neither_way():
    """A phone that hides everything is not flagged for it."""
    assert judge(Conditions()).valid


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu_over_wall": 0.5}, "50 % of the time"),
        ({"drift": 1.2}, "1.20 times as long"),
        ({"khz_after": 900}, "from 1,000 to 900 kHz"),
        ({"thermal_status": 2}, "thermal status 2"),
        ({"battery_saver": True}, "battery saver"),
    ],
)
def test_each_disturbance_is_said(change, words):
    """Each of the five makes the numbers invalid, alone, with its own sentence."""
    validity = judge(CALM.model_copy(update=change))
    assert not validity.valid
    assert len(validity.reasons) == 1
    assert words in validity.reasons[0]


def test_the_limits_themselves_are_allowed():
    """95 % and 1.05 are still good."""
    assert judge(CALM.model_copy(update={"cpu_over_wall": 0.95, "drift": 1.05})).valid


def test_drift_is_second_half_over_first():
    """By hand: five ones, five twos; the middle of an odd count belongs to neither half."""
    assert drift_of([1.0] * 5 + [2.0] * 5) == 2.0
    assert drift_of([1.0] * 5 + [50.0] + [2.0] * 5) == 2.0
    assert drift_of([1.0] * 9) is None
    assert drift_of([0.0] * 10) is None
