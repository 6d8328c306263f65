"""Multiplied electrons are told from photons by the skewness of a picture's noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data

from unnoise.noise.excess_noise import measure

Noisy = Callable[[NDArray, np.random.Generator], NDArray]


def scene(name: str) -> NDArray:
    """A photograph as a microscope would see it: blurred by two pixels."""
    picture = getattr(data, name)().astype(float)[:384, :384]
    return np.asarray(ndimage.gaussian_filter(picture, 1.5))


def multiplied(s: NDArray, rng: np.random.Generator, gain: float = 10.0) -> NDArray:
    electrons = rng.poisson(s / gain)
    return 20 + gain * rng.standard_gamma(electrons + 1e-9) + rng.normal(0, 3, s.shape)


OTHERS: dict[str, Noisy] = {
    "photons": lambda s, rng: 20 + 10.0 * rng.poisson(s / 10) + rng.normal(0, 3, s.shape),
    "photons alone": lambda s, rng: 25.0 * rng.poisson(s / 25),
    "normal": lambda s, rng: s + rng.normal(0, 25, s.shape),
    "cut off at 0": lambda s, rng: (0.3 * s + rng.normal(0, 20, s.shape)).clip(0),
    "saturated": lambda s, rng: (10.0 * rng.poisson(s / 10)).clip(0, 150),
    "rounded": lambda s, rng: np.round(s + rng.normal(0, 2, s.shape)),
    "clean": lambda s, rng: s,
}


@pytest.mark.parametrize("name", ["camera", "coins"])
def test_electrons_that_were_multiplied_are_found_with_gain_offset_and_read_noise(
    name: str,
) -> None:
    found = measure(multiplied(scene(name), np.random.default_rng(0))[None])
    assert found.found
    assert found.ratio == pytest.approx(1.5, abs=0.2)
    assert found.gain == pytest.approx(10, rel=0.1)
    assert found.offset == pytest.approx(20, abs=4)
    assert found.read_variance < 100
    assert "EMCCD" in found.line()


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["camera", "coins"])
def test_other_noise_is_not(name: str, kind: str) -> None:
    noisy = OTHERS[kind](scene(name), np.random.default_rng(1))
    assert not measure(noisy[None]).found


@pytest.mark.parametrize("name", ["camera", "coins", "brick", "grass", "text", "moon"])
def test_nor_is_sharp_texture(name: str) -> None:
    """Details of a pixel or two are skewed as well."""
    picture = getattr(data, name)().astype(float)[:384, :384]
    rng = np.random.default_rng(2)
    for gain in (5.0, 20.0):
        noisy = gain * rng.poisson(picture / gain) + rng.normal(0, 5, picture.shape)
        assert not measure(noisy[None]).found


def test_units_and_offsets_change_nothing() -> None:
    y = multiplied(scene("camera"), np.random.default_rng(0))[None]
    one, two = measure(y), measure(1e-4 * y - 7)
    assert two.found
    assert two.ratio == pytest.approx(one.ratio, rel=1e-6)
    assert two.gain == pytest.approx(1e-4 * one.gain, rel=1e-6)
    assert two.offset == pytest.approx(1e-4 * one.offset - 7, rel=1e-6)


def test_pixels_that_are_no_measurement_do_not_count() -> None:
    y = multiplied(scene("camera"), np.random.default_rng(0))[None]
    excluded = np.zeros(y.shape, bool)
    excluded[:, 100:160, 100:200] = True
    spoilt = np.where(excluded, 1.0, y)
    found = measure(spoilt, excluded)
    assert found.found
    assert found.gain == pytest.approx(measure(y).gain, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 3, 40), (2, 32, 32)])
def test_little_says_nothing(shape: tuple[int, ...]) -> None:
    assert not measure(np.random.default_rng(0).poisson(3.0, shape)).found
    assert not measure(np.full(shape, 7.0)).found
