"""Fractions matter where the error of rounding is not small beside what is left of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.fractions import needs_fractions


def counts(mean: float, contrast: float = 0.5, dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    """Photons of stripes around a mean."""
    x = np.arange(96) / 96 * 6 * np.pi
    clean = np.broadcast_to(mean * (1 + contrast * np.sin(x)), (96, 96))
    return np.random.default_rng(seed).poisson(clean).astype(dtype)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mean", [0.05, 0.5, 2, 5, 8])
def test_few_counts_need_them(mean: float, seed: int) -> None:
    assert needs_fractions(Image.from_array(counts(mean, seed=seed)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mean", [12, 50, 1000])
def test_many_counts_do_not(mean: float, seed: int) -> None:
    assert not needs_fractions(Image.from_array(counts(mean, seed=seed)))


def test_after_ideal_averaging_rounding_costs_most_of_what_it_gained() -> None:
    """The reason for it all, without the code under test: the mean of 32 frames of 2 photons."""
    clean = 2 * (1 + 0.5 * np.sin(np.arange(96) / 5))
    mean = np.random.default_rng(0).poisson(clean, (32, 96, 96)).mean(0)
    exact, rounded = (np.mean((x - clean) ** 2) for x in (mean, np.rint(mean)))
    assert rounded > 2 * exact
    assert needs_fractions(Image.from_array(counts(2)))


@pytest.mark.parametrize(
    "pixels",
    [
        counts(2).astype(np.float32),
        np.full((64, 64), 3, np.uint8),
        np.zeros((64, 64), np.uint16),
        counts(2) + 100,
        counts(2) * 10,
        np.where(np.arange(96) < 20, 60, counts(2)).astype(np.uint16),
    ],
    ids=["floats", "constant", "blank", "on a pedestal", "gain of 10", "much contrast"],
)
def test_all_else_keeps_its_type(pixels: np.ndarray) -> None:
    assert not needs_fractions(Image.from_array(pixels))


def test_photographs_keep_their_type_and_one_channel_is_enough() -> None:
    dim, bright = counts(2, dtype="uint8"), counts(60, dtype="uint8")
    assert not needs_fractions(Image.from_array(np.stack([dim] * 3, -1), "YXC"))
    assert needs_fractions(Image.from_array(np.stack([bright, dim]), "CYX"))
    assert not needs_fractions(Image.from_array(np.stack([bright, bright]), "CYX"))


def test_pixels_that_cannot_be_read_are_told_of_elsewhere() -> None:
    class Broken:
        shape, dtype = (8, 8), np.dtype(np.uint8)

        def __getitem__(self, index: object) -> np.ndarray:
            raise InputError("damaged")

    assert not needs_fractions(Image(Broken(), "YX"))
