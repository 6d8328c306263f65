"""Laws of training around pixels that are no measurement, for every method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

import unnoise
from tiny import CPU, finish, tiny
from unnoise.images.image import Image
from unnoise.noise.excluded_pixels import with_mask
from unnoise.training.crops import MOST_EXCLUDED, Crops
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan
from unnoise.training.start import start


def scene(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    return rng.poisson(100 + 20 * smooth / smooth.std()).astype(np.float32)


def spoilt(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A picture with padding, NaN and a hot pixel, and where it is to come back as it was."""
    x = scene(shape)
    kept = np.zeros(shape, bool)
    kept[..., :20] = True
    kept[..., 40:43, 50] = True
    x[..., :20] = -500
    x[..., 40:43, 50] = np.nan
    x[..., 30, 40] = 9e4
    return x, kept


METHODS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("n2v", {"steps": 2}, (64, 80)),
    ("n2v", {"steps": 2}, (12, 48, 56)),
    ("n2v2", {"steps": 2}, (64, 80)),
    ("structn2v", {"steps": 2}, (64, 80)),
    ("b2u", {"steps": 2}, (64, 80)),
    ("r2r", {"steps": 2}, (64, 80)),
    ("adapted", {"steps": 4}, (64, 80)),
    ("refined", {"steps": 4}, (64, 80)),
    ("gaussian", {}, (64, 80)),
    ("tv", {}, (64, 80)),
]


@pytest.mark.parametrize(("method", "options", "shape"), METHODS)
def test_every_method_keeps_what_is_no_measurement_and_replaces_outliers(
    method: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    x, kept = spoilt(shape)
    axes = "ZYX"[-len(shape) :]
    result = unnoise.denoise(x, axes=axes, method=method, **options)
    np.testing.assert_array_equal(result[kept], x[kept])
    assert np.isfinite(result[~kept]).all()
    assert (result[..., 30, 40] < 1000).all()


@pytest.mark.parametrize("method", ["n2n", "care"])
def test_pairs_leave_out_what_either_image_lacks(method: str) -> None:
    first, kept = spoilt((64, 80))
    second = scene((64, 80))
    second[:, 60:] = np.nan
    model = unnoise.train(first, second, method=method, steps=2)
    assert np.isfinite(model.affine.mean).all()
    assert all(torch.isfinite(w).all() for w in model.weights.values())
    np.testing.assert_array_equal(model.predict(first)[kept], first[kept])


def test_statistics_are_those_of_the_measurements() -> None:
    x, kept = spoilt((64, 80))
    model = plan([with_mask(x)], unnoise.Config(method="n2v"))
    used = ~kept
    used[30, 40] = False
    np.testing.assert_allclose(model.affine.mean, x[used].mean(), rtol=1e-6)
    np.testing.assert_allclose(model.affine.std, x[used].std(), rtol=1e-6)


def test_nothing_excluded_is_a_target_and_crops_are_mostly_measurements() -> None:
    x = scene((96, 200))
    x[:, :150] = 0
    image = with_mask(x)
    model = plan([image], unnoise.Config(method="n2v"))
    run = start([image], model, torch.device("cpu"))
    crops: Crops = run.crops  # type: ignore[attr-defined]
    rng = np.random.default_rng(1)
    patches = crops.batch(16, rng)
    assert patches.excluded is not None
    assert patches.excluded.mean() <= MOST_EXCLUDED
    for noisy, target, weight in run._held_out:  # type: ignore[attr-defined]
        assert weight.flatten(1).any(1).all()
        assert len(noisy) == len(target) == len(weight)
    step = run._prepared(patches, run.generator, torch.device("cpu"))  # type: ignore[attr-defined]
    weight = step.measured(run.method.batch(step))[2]  # type: ignore[attr-defined]
    assert not weight[torch.from_numpy(patches.excluded)].any()
    assert weight.any()


def test_pictures_without_excluded_pixels_train_as_if_none_were_looked_for() -> None:
    x = scene((64, 64))
    weights = [
        unnoise.train(image, method="n2v", steps=2).weights
        for image in (x, unnoise.with_mask(x, np.ones(x.shape)))
    ]
    assert Image.from_array(x).mask is None
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


@pytest.mark.parametrize("padding", [0, np.nan])
def test_a_validation_passes_over_batches_without_a_measurement(padding: float) -> None:
    x = scene((64, 64))
    x[5:] = padding
    image = with_mask(x, axes="YX")
    run = TrainingRun([image], plan([image], tiny(steps=1, batch_size=1)), CPU)
    assert all(len(noisy) for noisy, _, _ in run._held_out)
    finish(run)
    assert run.best is not None
    assert math.isfinite(run.best)
