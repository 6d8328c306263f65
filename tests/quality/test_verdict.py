"""One word for all channels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import smooth
from unnoise.images.image import Image
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.local_mean import local_mean
from unnoise.noise.noise_models import VarianceCurve
from unnoise.quality.assess import Assessment, assess
from unnoise.quality.training_record import record
from unnoise.quality.verdict import VERDICTS, verdict

SIGMA = 4.0


def scene(width: float = 6.0, contrast: float = 20.0) -> NDArray:
    return smooth((192, 192), width, 0, mean=100, sd=contrast)


def noisy_of(truth: NDArray) -> NDArray:
    return truth + SIGMA * np.random.default_rng(1).normal(size=truth.shape)


def blind(noisy: NDArray) -> NDArray:
    return local_mean(noisy, 1.5)[0]


def judge(noisy: NDArray, clean: NDArray, variance: float | None = SIGMA**2) -> Assessment:
    model = None if variance is None else VarianceCurve((0.0,), (variance,))
    known = record([Image.from_array(noisy)], (0,), [0.0])
    return assess(noisy, clean, ImageNoise((model,), (0.01,), ("",)), known, 0)


def good() -> Assessment:
    noisy = noisy_of(scene())
    return judge(noisy, blind(noisy))


def bad() -> Assessment:
    noisy = noisy_of(scene(2.5, 40.0))
    return judge(noisy, np.full_like(noisy, noisy.mean()))


def test_better_and_worse() -> None:
    assert verdict([good()]) == "better"
    assert verdict([bad()]) == "worse"
    assert {"better", "worse", "unknown", "no signal"} < set(VERDICTS)


def test_without_a_gain_nothing_is_known() -> None:
    assert verdict([]) == "unknown"
    noisy = noisy_of(scene())
    assert verdict([judge(noisy, blind(noisy), None)]) == "unknown"
    kept = judge(noisy, 0.7 * noisy + 0.3 * blind(noisy))  # less was removed than the noise
    assert verdict([kept]) == "unknown"


def test_a_channel_that_loses_a_little_does_not_cost_the_others_their_gain() -> None:
    """Errors add up: 1.3 + 0.1 + 0.1 noise variances are less than three."""
    better = good()
    lost = dataclasses.replace(better, gain=None, ceiling=-1.1)
    assert verdict([lost, better, better]) == "unknown"
    assert verdict([lost, lost, lost]) == "worse"
    assert verdict([better, better, better]) == "better"


def test_a_result_beyond_the_picture_is_worse_whatever_the_noise() -> None:
    noisy = noisy_of(scene())
    found = judge(noisy, blind(noisy) + 100, None)  # five times the contrast
    assert found.gain is None
    assert verdict([found]) == "worse"
    assert any("farther from the clean image" in w for w in found.warnings)


def test_mere_noise_has_no_signal() -> None:
    noisy = noisy_of(np.full((96, 96), 100.0))
    found = judge(noisy, np.full_like(noisy, noisy.mean()))
    assert not found.has_signal
    assert any("nothing in the image rises above its noise" in w for w in found.warnings)
    assert verdict([found]) == "no signal"


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_curve_that_is_far_too_low_makes_no_loss_of_a_gain(share: float) -> None:
    """What was removed is noise that nobody measured, and calm places know better."""
    truth = scene()
    noisy = noisy_of(truth)
    found = judge(noisy, truth, share * SIGMA**2)
    assert found.gain is not None
    assert math.isinf(found.gain.psnr.low)
    assert verdict([found]) == "unknown"
    assert any("no calm places confirm the measurement" in w for w in found.warnings)
    assert not any("do not use it" in w for w in found.warnings)
