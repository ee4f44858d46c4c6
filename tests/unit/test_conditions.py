"""What speaks against numbers that were read from a clock."""

import pytest

from edgecompress.conditions import Conditions, drift_of, judge, spread_of

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
        ({"spread": 0.011}, "1.1 % longer"),
        ({"clock_over_host": 0.97, "clock_over_host_within": 0.001}, "0.970 times as fast"),
        ({"clock_hz": 16_000_000, "clock_hz_expected": 180_000_000}, "16,000,000 Hz, not at the 180,000,000 Hz"),
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


def test_a_clock_is_doubted_only_beyond_what_is_known_of_it():
    """3 % off with 2 % of uncertainty may be 1 % off, which an RC oscillator is."""
    assert judge(Conditions(clock_over_host=1.03, clock_over_host_within=0.02)).valid
    assert not judge(Conditions(clock_over_host=1.03, clock_over_host_within=0.005)).valid


def test_spread_is_slowest_over_fastest():
    """By hand; one sample has none."""
    assert spread_of([4.0, 5.0, 4.5]) == 0.25
    assert spread_of([4.0]) is None
    assert spread_of([0.0, 1.0]) is None


def test_drift_is_second_half_over_first():
    """By hand: five ones, five twos; the middle of an odd count belongs to neither half."""
    assert drift_of([1.0] * 5 + [2.0] * 5) == 2.0
    assert drift_of([1.0] * 5 + [50.0] + [2.0] * 5) == 2.0
    assert drift_of([1.0] * 9) is None
    assert drift_of([0.0] * 10) is None
