"""Laws of intervals: digits follow the width, and zero decides."""

from __future__ import annotations

import math

import pytest

from unnoise.noise.confidence_interval import Interval


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(2.0134, 1.98, 2.05), "2.013 (1.980 to 2.050)"),
        (Interval(1234.5, 1200, 1270), "1234 (1200 to 1270)"),
        (Interval(0, 0, 0), "0 (0 to 0)"),
        (Interval(3.0, 1.0, math.inf), "3 (1 to inf)"),
    ],
)
def test_digits_follow_the_width(interval: Interval, text: str) -> None:
    assert str(interval) == text


def test_zero_decides() -> None:
    assert Interval.around(0.3, 0.2).significant
    assert Interval.around(-0.3, 0.2).significant
    assert not Interval.around(0.1, 0.2).significant
    assert not Interval(0.1, 0.0, 0.2).significant
