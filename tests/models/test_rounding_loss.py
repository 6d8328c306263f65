"""Dim counts that are rounded to integers lose what denoising gained: that is said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import unnoise
from synthetic import between, photons
from tiny import two_steps
from unnoise.models.rounding_loss import RoundingLoss


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("method", ["instant", "n2v", "gaussian"])
def test_dim_counts_are_warned_about_and_kept_as_float32(method: str) -> None:
    dim = photons((48, 48), between(0.0, 0.4, (48, 48)))
    options = {"config": two_steps()} if method == "n2v" else {"method": method}
    with pytest.warns(UserWarning, match=r"rounded to uint16.* give the image as float32"):
        rounded = unnoise.denoise(dim, **options)
    assert np.unique(rounded).size <= 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = unnoise.denoise(dim.astype(np.float32), **options)
    assert kept.mean() == pytest.approx(dim.mean(), rel=0.2)


@pytest.mark.parametrize(
    ("low", "high", "sigma", "is_large"),
    [
        (0, 0.5, 0.5, True),
        (-2.0, -1.5, 0.6, True),
        (-1000, 1000, 30, False),
        (1000, 1000.3, 30, False),
        (50, 150, 0.3, False),
        (0, 30, 4, False),
    ],
)
def test_much_is_lost_where_neither_contrast_nor_noise_is_large(
    low: float, high: float, sigma: float, is_large: bool
) -> None:
    clean = between(low, high, (64, 64))
    noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
    whole, parts = RoundingLoss(), RoundingLoss()
    whole.see(noisy, clean, np.rint(clean))
    for half in (slice(0, 20), slice(20, 64)):
        parts.see(noisy[half], clean[half], np.rint(clean)[half])
    assert whole.is_large == parts.is_large == is_large
    assert whole.share == pytest.approx(parts.share)
    outlier = noisy.copy()
    outlier[3, 4] = 1e20
    masked = RoundingLoss()
    masked.see(outlier, clean, np.rint(clean), outlier == 1e20)
    assert masked.is_large == is_large


@pytest.mark.parametrize("order", [1, -1])
def test_a_dim_channel_is_named_beside_a_bright_one(order: int) -> None:
    dim = photons((48, 48), between(0.0, 0.4, (48, 48)))
    bright = photons((48, 48), between(200, 1200, (48, 48)))
    noisy = np.stack([dim, bright][::order])
    model = unnoise.train(noisy, axes="CYX", method="gaussian")
    with pytest.warns(UserWarning, match="channel [12] of the result is rounded to uint16") as told:
        model.predict(noisy, axes="CYX")
    assert [str(line.message)[8] for line in told] == ["1" if order == 1 else "2"]
