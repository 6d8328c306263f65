"""A model of counts does not clip results of images that have pixels below 0."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import unnoise
from synthetic import between, photons
from tiny import tiny
from unnoise.images.image import Image
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.negative_pixels import negative_channels, unclipped
from unnoise.models.predict import predict_array


def sparse(seed: int) -> np.ndarray:
    """Counts of 0.2 photons, of which many results are near 0."""
    return photons((96, 96), between(0.0, 0.4, (96, 96)), seed).astype(np.float32)


def clipping(model: unnoise.Model, less: float = 0.25) -> unnoise.Model:
    """The model with a correction that takes something away and clips at 0."""
    n = len(model.channels)
    own = MeanCorrection(at=((0.0,),) * n, add=((0.0,),) * n, less=(less,) * n)
    return replace(model, mean_correction=replace(own, averaged=own))


def test_counts_less_their_background_keep_their_mean() -> None:
    noisy = sparse(0)
    model = clipping(unnoise.train(noisy, method="gaussian"))
    masked = np.ma.array(noisy - 9 * (noisy == noisy.max()), mask=noisy == noisy.max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.predict(noisy).min() == 0
        assert model.predict(masked)[~masked.mask].min() == 0  # what is hidden has no say
    shifted = noisy - 0.5
    for tta in (False, True):
        with pytest.warns(UserWarning, match="has pixels below 0") as told:
            result = model.predict(shifted, tta=tta)
        assert len(told) == 1
        assert result.min() < 0
        assert result.mean() == pytest.approx(shifted.mean(), abs=0.01)  # it was 0.3 too high


def test_counts_of_other_groups_are_not_clipped_either() -> None:
    model = clipping(unnoise.train(sparse(0), method="gaussian"))
    image = Image.from_array(sparse(0) - 0.5)
    found = unclipped(replace(model, others=(model,)), image)
    assert not any(part.mean_correction.less for part in (found, *found.others))


def test_an_image_to_which_noise_was_added_is_treated_as_the_image() -> None:
    model = clipping(unnoise.train(sparse(0), method="gaussian"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predict_array(model, sparse(0) - 0.5, shifted=False).min() == 0


def test_results_in_the_units_of_clean_images_are_clipped_as_those() -> None:
    noisy = sparse(1)
    model = unnoise.train(noisy - 0.5, 2 * sparse(2), config=tiny("care", steps=1))
    assert clipping(model).predict(noisy - 0.5).min() == 0


def test_channels_are_told_apart() -> None:
    noisy = np.stack([sparse(4), sparse(5)])
    model = clipping(unnoise.train(noisy, axes="CYX", method="gaussian"))
    shifted = noisy - np.float32([0.5, 0])[:, None, None]
    with pytest.warns(UserWarning, match="has pixels below 0"):
        result = model.predict(shifted, axes="CYX")
    assert result[0].min() < 0 == result[1].min()


def test_unsigned_integers_are_not_looked_at() -> None:
    class Unread:
        shape, dtype = (64, 64), np.dtype(np.uint16)

        def __getitem__(self, index: object) -> np.ndarray:
            raise AssertionError(index)

    assert not negative_channels(Image(Unread(), "YX", {})).any()
