"""`instant` where neighbours share their noise: what the net is told, and that it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import unnoise
from synthetic import smooth
from tiny import CPU
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.build import build_net
from unnoise.models.folder import load, save
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.nets.gaussian_denoiser import GaussianNet, lags
from unnoise.noise.correlated_noise import drawn
from unnoise.noise.correlation import apart
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import VarianceCurve
from unnoise.training.finish import finish
from unnoise.training.instant import (
    VstCalibration,
    _every,
    told_correlation,
    with_stabilizer,
)
from unnoise.training.noise_tables import with_autocorrelation
from unnoise.training.plan import plan

SIGMA = 20.0
RHO = np.outer([0.2, 0.6, 1.0, 0.6, 0.2], [0.15, 0.5, 1.0, 0.5, 0.15])
ROW = np.array([[0.3, 0.65, 1.0, 0.65, 0.3]])


def scene(shape: tuple[int, ...] = (96, 104)) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    edges = smooth(shape[-2:], 6, rng, mode="wrap") > 0
    return np.asarray(60 + 100 * edges + 30 * smooth(shape[-2:], 3, rng, sd=1, mode="wrap"))


def noisy(rho: NDArray = RHO, shape: tuple[int, ...] = (96, 104)) -> NDArray[np.float64]:
    return scene(shape) + SIGMA * drawn(rho, shape, np.random.default_rng(1))


def told(array: NDArray, *shapes: NDArray | None, axes: str | None = None) -> Model:
    """A model of `instant` that knows the noise."""
    image = Image.from_array(array, axes)
    model = plan([image], Config(method="instant"))
    n = len(model.channels)
    curve = VarianceCurve((0.0,), (SIGMA**2,))
    noise = ImageNoise((curve,) * n, (0.02,) * n, ("YX",) * n, autocorrelation=shapes)
    return with_stabilizer(replace(model, noise=noise), [image])


def test_what_is_told_are_the_lags_of_the_net() -> None:
    found = dict(zip(lags(), told_correlation(RHO), strict=True))
    assert found[0, 1] == 0.5
    assert found[1, 0] == 0.6
    assert found[2, -2] == pytest.approx(0.2 * 0.15)
    assert found[3, 0] == found[0, 6] == 0
    assert told_correlation(None) == [0.0] * len(lags())


@pytest.mark.parametrize("rho", [RHO, ROW, ROW.T])
def test_a_net_that_is_told_does_better(rho: NDArray) -> None:
    y, clean = noisy(rho), scene()
    before, white, known = (
        float(np.mean((result - clean) ** 2))
        for result in (
            y,
            predict_array(told(y, None), y, device="cpu"),
            predict_array(told(y, rho), y, device="cpu"),
        )
    )
    assert known < 0.75 * white
    assert known < 0.4 * before


def test_a_level_that_is_right_is_kept() -> None:
    y = noisy()
    run = VstCalibration([Image.from_array(y)], told(y, RHO), CPU)
    for _ in run:
        pass
    model = run.model()
    net = build_net(model)
    sigma = np.exp(model.weights["log_sigma"].numpy()) * model.affine.std[0]
    np.testing.assert_allclose(sigma, SIGMA, rtol=1e-5)
    assert not model.weights["shift"].any()
    assert net.rho[0, 0] == 0.5  # type: ignore[union-attr,index]


def test_a_level_that_is_far_too_low_is_raised() -> None:
    """Pixels that are further apart than the correlation do not tell each other's noise."""
    y = noisy(shape=(160, 160))
    model = told(y, RHO)
    low = {**model.weights, "log_sigma": model.weights["log_sigma"] - 0.5}
    run = VstCalibration([Image.from_array(y)], model.with_weights(low), CPU)
    for _ in run:
        pass
    raised = run.model().weights["log_sigma"] - low["log_sigma"]
    assert 0.3 <= float(raised.mean()) <= 0.6


def test_patches_of_pixels_apart() -> None:
    """Every pixel of a patch is so far from the next, and every phase has its turn."""
    patches = np.arange(7 * 6 * 4).reshape(7, 1, 6, 4)
    found = _every((3, 2), patches)
    assert found.shape == (7, 1, 2, 2)
    for i, part in enumerate(found):
        y, x = divmod(i % 6, 2)
        np.testing.assert_array_equal(part[0], patches[i, 0][y::3, x::2])


@pytest.mark.parametrize(("rho", "expected"), [(RHO, (3, 3)), (ROW, (1, 3)), (ROW.T, (3, 1))])
def test_how_far_apart_pixels_are_judged(rho: NDArray, expected: tuple[int, int]) -> None:
    assert apart([rho]) == expected
    run = VstCalibration([Image.from_array(noisy(rho))], told(noisy(rho), rho), CPU)
    sides = zip((96, 104), expected, strict=True)
    assert run._x.shape[2:] == tuple(min(64, n // step) for n, step in sides)


def test_every_channel_has_its_own_correlation() -> None:
    y = np.stack([noisy(RHO), noisy(ROW)])
    both = predict_array(told(y, RHO, ROW, axes="CYX"), y, axes="CYX", device="cpu")
    for channel, rho in enumerate((RHO, ROW)):
        alone = predict_array(told(y[channel], rho), y[channel], device="cpu")
        np.testing.assert_allclose(both[channel], alone, atol=0.05)


def test_tiles_change_nothing_but_the_order_of_sums() -> None:
    y = np.tile(noisy(), (4, 4)).astype(np.float32)
    model, image = told(y, RHO), Image.from_array(y)
    whole, parts = np.zeros(y.shape), np.zeros(y.shape)
    for out, tile in ((whole, y.shape), (parts, (96, 128))):
        for block in predict(model, image, tile=tile, device="cpu"):
            out[block.where["Y"], block.where["X"]] = block.values[0, 0, 0, 0]
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-3)


def test_a_folder_keeps_what_was_told(tmp_path: Path) -> None:
    y = noisy()
    model = told(y, RHO)
    save(tmp_path / "m", model)
    again = load(tmp_path / "m")
    assert again.noise is not None
    np.testing.assert_array_equal(again.noise.autocorrelation[0], RHO)  # type: ignore[arg-type]
    first, second = (predict_array(m, y, device="cpu") for m in (model, again))
    np.testing.assert_array_equal(first, second)


def test_a_folder_with_the_net_of_earlier_versions(tmp_path: Path) -> None:
    """It had three levels and knew white noise only; its folders have no ``rho``."""
    y = noisy()
    model = told(y, None)
    with torch.random.fork_rng(devices=[]):
        small = GaussianNet((4, 6, 8), (1, 1, 2), (1, 1), told=False)
    own = {k: w for k, w in model.weights.items() if not k.startswith("net.") and k != "rho"}
    save(tmp_path / "m", model.with_weights({**own, **small.state_dict(prefix="net.")}))
    again = load(tmp_path / "m")
    net = build_net(again)
    assert net.net.told is None  # type: ignore[union-attr]
    assert np.isfinite(predict_array(again, y, device="cpu")).all()


def test_pixels_that_are_no_measurement_come_back() -> None:
    y = noisy()
    y[:, -20:] = np.nan
    image = Image.from_array(y.astype(np.float32))
    model = unnoise.train(y.astype(np.float32), method="instant")
    clean = model.predict(image, device="cpu")
    assert np.isnan(clean[:, -20:]).all()
    assert np.isfinite(clean[:, :-20]).all()


def test_the_gain_of_correlated_noise_is_about_right() -> None:
    """What neighbours know of the noise counts: without, the gain would be far too large."""
    y = noisy()
    image = Image.from_array(y)
    model, _, _ = finish(told(y, RHO), [image], (), CPU)
    clean = predict_array(model, y, dtype=np.float64, device="cpu")
    assert model.record is not None
    repeated = model.record.dependence[0]
    noise = y - scene()
    truth = float(((clean - scene()) * noise).mean() / SIGMA**2)
    assert repeated == pytest.approx(truth, abs=0.1)
    assert repeated > 0.05


def test_measured_correlation_is_what_the_net_is_told() -> None:
    y = scene((256, 256)) + SIGMA * drawn(ROW, (256, 256), np.random.default_rng(2))
    image = Image.from_array(y)
    model = plan([image], Config(method="instant"))
    told_of = dict(zip(lags(), model.weights["rho"][0].tolist(), strict=True))
    assert told_of[0, 1] == pytest.approx(0.65, abs=0.2)
    assert with_autocorrelation(model, ()).weights["rho"] is model.weights["rho"]
