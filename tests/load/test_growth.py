"""The interval of a slope holds the truth, also where values remember those before them."""

from __future__ import annotations

import numpy as np
import pytest

from load.growth import growth


def remembering(r: float, rng: np.random.Generator, n: int = 120) -> np.ndarray:
    """Deviations with a correlation of `r` from one to the next."""
    found = np.zeros(n)
    found[0] = rng.normal() / np.sqrt(1 - r**2)
    for i in range(1, n):
        found[i] = r * found[i - 1] + rng.normal()
    return found


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_the_interval_holds_the_truth(r: float) -> None:
    rng, at = np.random.default_rng(0), np.arange(120) / 120
    found = [growth(at, 3 * at + remembering(r, rng)) for _ in range(60)]
    assert np.mean([g.low <= 3 <= g.high for g in found]) > 0.86
    assert not growth(at, 3000 * at + remembering(r, rng)).is_none


def test_of_few_values_that_remember_no_other_it_is_hardly_wider_than_least_squares() -> None:
    rng, at = np.random.default_rng(1), np.arange(20) / 20
    found = [growth(at, 500 + rng.normal(size=20)) for _ in range(40)]
    width = np.median([g.high - g.low for g in found])
    error = 1 / np.sqrt(20 * np.var(at))
    assert 2 * 2.1 * error < width < 2 * 2.1 * error * 2
    assert np.mean([g.is_none for g in found]) > 0.9


def test_what_never_moves_has_no_slope() -> None:
    assert growth(range(20), [350.0] * 20) == growth(range(20), [7.0] * 20)
    assert growth(range(20), [350.0] * 20).is_none


def test_few_values_tell_nothing() -> None:
    with pytest.raises(ValueError, match="7 values"):
        growth(range(7), range(7))
