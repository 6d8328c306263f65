"""Laws of the calibration of classic filters: the least risk, near the best, resumable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from synthetic import clean_and_noisy
from tiny import timeless
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.nets.classical import FILTERS
from unnoise.noise.excluded_pixels import with_mask
from unnoise.training.filter_search import FilterSearch
from unnoise.training.plan import plan
from unnoise.training.start import start

NEEDS = {"wavelet": "pywt", "bm3d": "bm3d"}


def calibration(x: NDArray, method: str = "gaussian", axes: str | None = None) -> FilterSearch:
    if method in NEEDS:
        pytest.importorskip(NEEDS[method], reason=f"{method} needs {NEEDS[method]}")
    images = [Image.from_array(x, axes)]
    return FilterSearch(images, plan(images, Config(method=method)), torch.device("cpu"))


@pytest.mark.parametrize("method", sorted(FILTERS))
def test_it_keeps_the_candidate_of_least_risk(method: str) -> None:
    run = calibration(clean_and_noisy(40)[1], method)
    progress = list(run)
    assert run.fraction == 1
    n = len(progress)
    assert [p.step for p in progress] == list(range(1, n + 1))
    assert {p.steps for p in progress} == {n}
    np.testing.assert_allclose([p.fraction for p in progress], np.arange(1, n + 1) / n)
    assert progress[-1].remaining == pytest.approx(0)
    assert [p.held_out for p in progress] == [line["held_out"] for line in run.history]
    names = set(run.model().weights)
    assert len({tuple(sorted(line.items())) for line in timeless(run.history)}) == n
    best = min(run.history, key=lambda line: line["held_out"])
    model = run.model()
    assert model.provenance.held_out == best["held_out"]
    assert names == set(best) - {"step", "seconds", "held_out"}
    for name in names:
        assert float(model.weights[name]) == pytest.approx(best[name])


def test_half_way_the_model_is_the_best_so_far_and_before_it_is_the_plan() -> None:
    x = clean_and_noisy(40)[1]
    run = calibration(x)
    assert run.model() is run._model
    for progress in run:
        best = min(run.history, key=lambda line: line["held_out"])
        assert float(run.model().weights["sigma"]) == pytest.approx(best["sigma"])
        assert run.model().provenance.steps == progress.step


@pytest.mark.parametrize("stop_at", [1, 5, 12])
def test_going_on_equals_the_uninterrupted_calibration(stop_at: int) -> None:
    x = clean_and_noisy(40)[1]
    whole, broken, resumed = (calibration(x) for _ in range(3))
    list(whole)
    for progress in broken:
        if progress.step == stop_at:
            break
    broken.model()
    resumed.restore(broken.state())
    assert resumed.fraction == broken.fraction
    assert [p.step for p in resumed] == list(range(stop_at + 1, 13))
    assert timeless(resumed.history) == timeless(whole.history)
    assert resumed.model().weights == whole.model().weights


@pytest.mark.parametrize(
    "change",
    [
        {"step": 99},
        {"step": 2},
        {"history": []},
        {"history": None},
        {"step": None},
        {"seconds": float("nan")},
        {"seconds": "soon"},
    ],
)
def test_states_of_something_else_are_refused(change: dict[str, Any]) -> None:
    run = calibration(clean_and_noisy(40)[1])
    next(iter(run))
    with pytest.raises(InputError, match="does not fit its model; calibrate anew"):
        calibration(clean_and_noisy(40)[1]).restore(run.state() | change)
    with pytest.raises(InputError, match="calibrate anew"):
        calibration(clean_and_noisy(40)[1]).restore({"net": {}, "step": 3})


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_the_chosen_blur_is_near_the_best_one(sigma: float) -> None:
    """The oracle knows the truth; the calibration has only the noisy picture."""
    truth, x = clean_and_noisy(128, sigma)
    run = calibration(x)
    list(run)
    tried = [line["sigma"] for line in run.history]
    errors = [np.mean((ndimage.gaussian_filter(x, s) - truth) ** 2) for s in tried]
    chosen = float(run.model().weights["sigma"])
    at = int(np.argmin(np.abs(np.array(tried) - chosen)))
    assert abs(at - int(np.argmin(errors))) <= 1
    assert errors[at] < 1.1 * min(errors) < 0.3 * sigma**2
    # The risk is the error of a prediction that does not see the pixel, plus the noise.
    std = float(run.model().affine.std[0])
    assert run.model().provenance.held_out * std**2 == pytest.approx(
        min(errors) + sigma**2, rel=0.15
    )


def test_the_model_predicts_with_what_was_found() -> None:
    x = clean_and_noisy(64)[1]
    run = calibration(x)
    list(run)
    sigma = float(run.model().weights["sigma"])
    clean = predict_array(run.model(), x, dtype=np.float64)
    inside = (slice(int(4 * sigma) + 1, -int(4 * sigma) - 1),) * 2
    expected = ndimage.gaussian_filter(x, sigma)
    np.testing.assert_allclose(clean[inside], expected[inside], atol=1e-5)


def test_stacks_and_channels() -> None:
    rng = np.random.default_rng(0)
    stack = ndimage.gaussian_filter(rng.normal(size=(16, 24, 24)), 2) * 9
    run = calibration(stack + rng.normal(size=stack.shape), axes="ZYX")
    list(run)
    assert run.model().ndim == 3
    assert predict_array(run.model(), stack, axes="ZYX").shape == stack.shape
    colour = rng.normal(size=(3, 24, 24))
    colour[1] = 4
    run = calibration(colour, axes="CYX")
    list(run)
    assert run.model().channels == (0, 2)
    clean = predict_array(run.model(), colour, axes="CYX")
    assert (clean[1] == 4).all()
    assert (clean[0] != colour[0]).all()


def test_it_is_what_a_classical_model_starts_with() -> None:
    images = [Image.from_array(clean_and_noisy(40)[1])]
    run = start(images, plan(images, Config(method="gaussian")), None)
    assert isinstance(run, FilterSearch)


def test_holes_do_not_weaken_the_blur() -> None:
    """What is filled in repeats the pixels around it; calibrated on that, hardly anything is
    blurred. The oracle knows the truth, and looks at measured pixels alone.
    """
    truth = np.tile(np.sin(np.arange(128) / 25), (128, 1))
    x = truth + np.random.default_rng(0).normal(size=truth.shape)
    mask = np.kron(np.ones((16, 16)), np.pad(np.zeros((4, 4)), (0, 4), constant_values=1)) > 0
    image = with_mask(Image.from_array(x), mask)
    run = FilterSearch([image], plan([image], Config(method="gaussian")), torch.device("cpu"))
    list(run)
    filled = image.read()[0, 0, 0, 0]
    tried = [line["sigma"] for line in run.history]
    errors = [np.mean((ndimage.gaussian_filter(filled, s) - truth)[mask] ** 2) for s in tried]
    chosen = errors[int(np.argmin([line["held_out"] for line in run.history]))]
    assert chosen < 2 * min(errors)  # 7 times, if what is filled in counts


def test_an_image_with_hardly_a_measurement_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(40, 40))
    mask = np.zeros(x.shape, bool)
    mask[3:5, 3:5] = True  # the rims of what is filled in touch all of them
    image = with_mask(Image.from_array(x), mask)
    run = FilterSearch([image], plan([image], Config(method="gaussian")), torch.device("cpu"))
    with pytest.raises(InputError, match="hardly any pixel is a measurement"):
        list(run)


def test_the_seed_chooses_the_patches() -> None:
    images = [Image.from_array(clean_and_noisy(300)[1])]

    def risks(seed: int) -> list[float]:
        config = Config(method="gaussian").replace(training={"seed": seed})
        run = FilterSearch(images, plan(images, config), torch.device("cpu"))
        next(iter(run))
        return [line["held_out"] for line in run.history]

    assert risks(0) == risks(0)
    assert risks(0) != risks(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_channel_is_forgotten_whatever_the_seed(seed: int) -> None:
    """Beside a channel of noise alone, which wants the widest blur, fine lines stay."""
    rng = np.random.default_rng(0)
    lines = np.tile(np.sin(np.arange(128) / 1.5), (128, 1))
    x = np.stack([rng.normal(size=lines.shape), lines + rng.normal(0, 0.1, lines.shape)])
    image = Image.from_array(x, "CYX")
    config = Config(method="gaussian").replace(training={"seed": seed})
    run = FilterSearch([image], plan([image], config), torch.device("cpu"))
    assert len(run._planes) % 2 == 0
    assert max(plane.std() for plane in run._planes) < 1.1
    list(run)
    kept = ndimage.gaussian_filter(lines, float(run.model().weights["sigma"]))
    assert kept.std() > 0.5 * lines.std()
