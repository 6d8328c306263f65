"""Laws of splits: independent noise, unchanged means, known variances."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.quality.frc import gaussian_split


@pytest.mark.parametrize("shape", [(256, 256), (16, 64, 64)])
def test_gaussian_splits_are_independent_with_twice_the_variance(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    v = rng.uniform(1, 9, shape)
    noise = rng.normal(size=shape) * np.sqrt(v)
    a, b = (s - 100 for s in gaussian_split(100 + noise, v, rng))
    n = a.size
    for x, y in ((a, b), (a**2, b**2)):  # independent, not only uncorrelated
        scaled = np.corrcoef((x / v).ravel(), (y / v).ravel())[0, 1]
        assert abs(scaled) < 4.5 / np.sqrt(n)
    assert (a**2 / v).mean() == pytest.approx(2, rel=0.03)
    np.testing.assert_allclose((a + b) / 2, noise, atol=1e-9)


@pytest.mark.parametrize("value", [0, 65535])
def test_integers_and_constants(value: int) -> None:
    x = np.full((16, 16), value, np.uint16)
    for split in gaussian_split(x, 0, np.random.default_rng(0)):
        np.testing.assert_array_equal(split, x)


def test_equal_seeds_give_equal_splits() -> None:
    x = np.full((8, 8), 50.0)
    first, again = (gaussian_split(x, 1, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_misuse_is_refused() -> None:
    x, rng = np.ones((8, 8)), np.random.default_rng(0)
    with pytest.raises(InputError, match="variance"):
        gaussian_split(x, np.ones((3, 3)), rng)
