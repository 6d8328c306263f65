"""Laws of splits: independent noise, unchanged means, known variances."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.quality import gaussian_split, thin


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


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("rate", [0.2, 3.0, 500.0])
def test_thinned_counts_are_independent_poisson_counts(rate: float, share: float) -> None:
    rng = np.random.default_rng(0)
    gain, offset = 2.5, 100.0
    y = rng.poisson(rate, (300, 300)) * gain + offset
    a, b = thin(y, gain, offset, rng, share)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / np.sqrt(y.size)
    for part, x in ((share, a), (1 - share, b)):
        mean = part * rate
        counts = (x - offset) / gain * part
        assert counts.mean() == pytest.approx(mean, abs=4.5 * np.sqrt(mean / y.size))
        assert counts.var() == pytest.approx(mean, rel=0.05)
        np.testing.assert_allclose(counts, np.rint(counts), atol=1e-8)
    np.testing.assert_allclose(share * a + (1 - share) * b, y)


@pytest.mark.parametrize("value", [0, 65535])
def test_integers_and_constants(value: int) -> None:
    x = np.full((16, 16), value, np.uint16)
    a, b = thin(x, 1, 0, np.random.default_rng(0))
    np.testing.assert_allclose((a + b) / 2, x)
    for split in gaussian_split(x, 0, np.random.default_rng(0)):
        np.testing.assert_array_equal(split, x)


def test_values_below_the_offset_have_no_photons() -> None:
    a, b = thin(np.full((4, 4), 90.0), 1, 100, np.random.default_rng(0))
    assert (a == 100).all()
    assert (b == 100).all()


def test_equal_seeds_give_equal_splits() -> None:
    x = np.full((8, 8), 50.0)
    for split in (
        lambda rng: thin(x, 1, 0, rng),
        lambda rng: gaussian_split(x, 1, rng),
    ):
        first, again = split(np.random.default_rng(3)), split(np.random.default_rng(3))
        np.testing.assert_array_equal(first, again)


def test_misuse_is_refused() -> None:
    x, rng = np.ones((8, 8)), np.random.default_rng(0)
    with pytest.raises(InputError, match="gain"):
        thin(x, 0, 0, rng)
    with pytest.raises(InputError, match="share"):
        thin(x, 1, 0, rng, share=1)
    with pytest.raises(InputError, match="variance"):
        gaussian_split(x, np.ones((3, 3)), rng)
