"""Laws of the passes over symmetries: fewer where they agree, all where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthetic import between
from tiny import CPU
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model, Passes
from unnoise.models.predict import predict_array
from unnoise.quality.agreement import passes_needed
from unnoise.quality.noise_passthrough import dependence
from unnoise.training.plan import plan


@pytest.fixture(scope="module")
def known() -> tuple[Image, np.ndarray, Model]:
    scene = between(20, 60, (96, 80), width=4)
    noisy = np.random.default_rng(0).normal(scene, 5).astype(np.float32)
    image = Image.from_array(noisy)
    return image, scene, plan([image], Config(method="instant"))


def test_what_is_lost_stays_within_the_bound(known: tuple[Image, np.ndarray, Model]) -> None:
    image, scene, model = known
    assert model.noise is not None
    repeated = dependence(model, [image], model.noise, CPU)
    passes = passes_needed(model, [image], repeated, CPU)
    assert passes is not None
    assert 1 <= passes.count <= 4
    assert passes == passes_needed(model, [image], repeated, CPU)
    found = replace(model, passes=passes)
    some, every = (predict_array(found, image, dtype=float, tta=tta) for tta in (None, True))
    errors = [((clean - scene) ** 2).mean() for clean in (some, every)]
    # 0.02 dB are expected; on this small and very smooth scene it may be five times as much
    assert errors[0] < errors[1] * 10**0.015


def test_disagreement_asks_for_more_passes(known: tuple[Image, np.ndarray, Model]) -> None:
    image, _, model = known
    low, high = (passes_needed(model, [image], [share], CPU) for share in (0.01, 100.0))
    assert low is None
    assert high is not None
    assert high.count == 1
    assert passes_needed(replace(model, noise=None), [image], [0.1], CPU) is None


def test_all_or_one_can_be_asked_for(known: tuple[Image, np.ndarray, Model]) -> None:
    image, _, model = known
    one = replace(model, passes=Passes(1, 0.0))
    results = {tta: predict_array(one, image, dtype=float, tta=tta) for tta in (None, False, True)}
    assert np.array_equal(results[None], results[False])
    assert not np.array_equal(results[None], results[True])
    every = predict_array(model, image, dtype=float, tta=None)
    assert np.array_equal(results[True], every)
