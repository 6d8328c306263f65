"""What is known of how an image was taken."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unnoise.images.acquisition import Acquisition, color, positive, rgb

KNOWN = Acquisition(("FF0000", ""), "2020-01-02T03:04:05", "Plan-Apo", 63.0, 1.4)


def test_plain_values_lead_back_to_what_is_known():
    assert Acquisition.of(KNOWN.as_dict()) == KNOWN
    assert Acquisition.of(Acquisition().as_dict()) == Acquisition()


def test_what_does_not_fit_is_left_out():
    found = Acquisition.of({"colors": 3, "magnification": "many", "aperture": -1, "date": 2})
    assert found == Acquisition(date="2")


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_and_numbers_lead_to_one_another(parts):
    assert rgb(color(parts)) == parts
    assert color(f"#{color(parts).lower()}") == color(parts)
    assert color(np.array(parts, np.uint8)) == color(parts)


def test_what_is_known_has_a_name():
    assert KNOWN.names == ("channel colours", "acquisition date", "objective")
    assert Acquisition(("", "")).names == () == Acquisition().names
    assert Acquisition(aperture=0.5).names == ("objective",)


def test_only_positive_finite_numbers_are_sizes():
    assert [positive(v) for v in (1, "2.5", 0, -1, "x", None, float("inf"), float("nan"))] == [
        1.0,
        2.5,
        *[None] * 6,
    ]
