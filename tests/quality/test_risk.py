"""The estimated risk against the true error of simulated images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats

from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.quality import risk
from unnoise.quality.risk import SIDE, Piece, RiskEstimate, estimate_risk, judging_pieces
from unnoise.training.crops import Crops

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _filters_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters stand in for models here, so that the true error is known."""
    monkeypatch.setattr(risk, "predict_array", lambda m, image, **more: m.predict(image, **more))


WIDTHS = (0.0, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0)
NORMAL = ChannelStatistics(np.array([70.0]), np.array([30.0]))


@dataclass
class Filter:
    """Anything that makes a result out of an image, in the shape of a model."""

    function: Callable[[NDArray], NDArray]
    affine: ChannelStatistics = NORMAL
    channels: tuple[int, ...] = (0,)

    def predict(self, image: Image, *, device: str, dtype: Any) -> NDArray:
        planes = [self.function(p) for p in np.asarray(image.data, np.float64)]
        return np.stack(planes).astype(dtype)


def blur(width: float) -> Callable[[NDArray], NDArray]:
    return lambda plane: ndimage.gaussian_filter(plane, width) if width else plane


def median(plane: NDArray) -> NDArray:
    return np.asarray(ndimage.median_filter(plane, 5))


def scene(side: int = 128) -> NDArray[np.float64]:
    y, x = np.mgrid[:side, :side] / side
    return np.asarray(60 + 40 * np.sin(14 * x) * np.cos(9 * y) + 30 * (np.hypot(x, y) > 0.7))


def simulated(gain: float, read: float, seed: int, side: int = 128) -> tuple[NDArray, NDArray]:
    """A clean image and photons of it, with read noise."""
    clean, rng = scene(side), np.random.default_rng(seed)
    noisy = gain * rng.poisson(clean / gain) if gain else clean
    noisy = noisy + rng.normal(0, np.sqrt(read), clean.shape)
    return clean, noisy.astype(np.float32)


def places(noisy: NDArray, mean: NDArray, model: Filter, seed: int = 0) -> list[Piece]:
    """With a blind prediction that is the mean of the noisy pixels."""
    axes = "CYX" if noisy.ndim == 3 else "YX"
    blind: Any = Filter(lambda plane: mean, model.affine, model.channels)
    return judging_pieces([Image.from_array(noisy, axes)], blind, CPU, seed)


def judged(model: Any, noisy: NDArray, mean: NDArray, seed: int = 0) -> RiskEstimate:
    return estimate_risk(model, places(noisy, mean, model, seed), CPU)


@pytest.mark.parametrize(("gain", "read"), [(0.0, 100.0), (3.0, 9.0)])
def test_risk_less_noise_is_the_true_error(gain: float, read: float) -> None:
    found, true = [], []
    for seed in range(6):
        clean, noisy = simulated(gain, read, seed)
        for width in WIDTHS:
            found.append(judged(Filter(blur(width)), noisy, clean, seed).risk)
            true.append((((blur(width)(noisy) - clean) / 30) ** 2).mean())
    shape = (6, len(WIDTHS))
    risks = np.reshape(found, shape) - (gain * scene().mean() + read) / 30**2
    errors = np.reshape(true, shape)
    scatter = risks.std(0, ddof=1) / np.sqrt(6)
    assert (np.abs(risks.mean(0) - errors.mean(0)) < 5 * scatter + 0.05 * errors.mean(0)).all()
    # In every image it ranks as the truth where that is clear, as all share the same pixels.
    clear = np.abs(np.diff(errors, axis=1)) > 0.1 * errors[:, :1]
    assert clear.sum() >= 12
    assert (np.sign(np.diff(risks)) == np.sign(np.diff(errors)))[clear].all()


def test_the_noisy_image_itself_has_twice_the_noise_and_a_blind_result_none_more() -> None:
    clean, noisy = simulated(0.0, 100.0, 0)
    share = 100 / 30**2
    assert judged(Filter(lambda p: p), noisy, clean).risk == pytest.approx(2 * share, rel=0.08)
    truth = judged(Filter(lambda p: clean), noisy, clean)
    assert truth.covariance == 0
    assert truth.risk == pytest.approx(share, rel=0.15)


def test_rare_bright_outliers_that_a_result_keeps_are_counted() -> None:
    """Clipped noise: most pixels are 0, and the slope of the result is 0 at almost all."""
    amount, shape, scale, dark = scene(SIDE) / 60, 0.2, 5.0, 0.5
    drawn = np.random.default_rng(0).gamma(shape, scale, amount.shape)
    noisy = np.maximum(amount * drawn - dark, 0).astype(np.float32)
    above = [stats.gamma.sf(dark / amount, k, scale=scale) for k in (shape, shape + 1)]
    mean = amount * shape * scale * above[1] - dark * above[0]
    affine = ChannelStatistics(np.array([noisy.mean()]), np.array([noisy.std()]))

    def keeps(plane: NDArray) -> NDArray:
        return np.where(plane > 4, plane, blur(2.0)(plane))

    risks = [judged(Filter(f, affine), noisy, mean).risk for f in (blur(2.0), keeps)]
    errors = [((f(noisy) - mean) ** 2).mean() / noisy.var() for f in (blur(2.0), keeps)]
    assert errors[1] > 3 * errors[0]
    assert risks[1] - risks[0] == pytest.approx(errors[1] - errors[0], rel=0.3)


def test_noise_is_dealt_among_pixels_of_like_intensity() -> None:
    clean, noisy = simulated(3.0, 9.0, 0)
    (place,) = places(noisy, clean, Filter(blur(1.0)))
    order = np.argsort(clean, axis=None, kind="stable")
    levels = np.array_split(order, 4)
    found = [place.noise.ravel()[level].var() for level in levels]
    expected = [3 * clean.ravel()[level].mean() + 9 for level in levels]
    assert found == pytest.approx(expected, rel=0.15)
    residual = (noisy - clean).ravel()
    assert abs(np.corrcoef(place.noise.ravel(), residual)[0, 1]) < 5 / clean.size**0.5


def test_images_count_by_their_pixels() -> None:
    """A small, noisy image beside a large, clean one."""
    arrays, cleans = [], []
    for side, sd in ((256, 2.0), (64, 12.0)):
        cleans.append(scene(side))
        noise = np.random.default_rng(side).normal(0, sd, (side, side))
        arrays.append((cleans[-1] + noise).astype(np.float32))
    images = [Image.from_array(a) for a in arrays]
    by_size: Any = Filter(lambda plane: next(c for c in cleans if c.shape == plane.shape))
    given = judging_pieces(images, by_size, CPU)
    for width in (0.0, 0.6, 1.0, 2.0):
        model: Any = Filter(blur(width))
        pairs = list(zip(arrays, cleans, strict=True))
        errors = [(((blur(width)(a) - c) / 30) ** 2).ravel() for a, c in pairs]
        noises = [(((a - c) / 30) ** 2).ravel() for a, c in pairs]
        expected = np.concatenate(errors).mean() + np.concatenate(noises).mean()
        assert estimate_risk(model, given, CPU).risk == pytest.approx(expected, rel=0.15)


def test_what_the_blind_prediction_does_not_know_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(0)
    texture = np.zeros((128, 128))
    texture[:, 64:] = 20 * rng.choice([-1, 1], (128, 64))
    noisy = (60 + texture + rng.normal(0, 10, texture.shape)).astype(np.float32)
    flat = np.full(texture.shape, 60.0)
    (place,) = places(noisy, flat, Filter(blur(1.0)))
    assert (noisy - flat).var() > 250
    assert place.noise.var() == pytest.approx(100, rel=0.1)


def test_units_do_not_matter() -> None:
    clean, noisy = simulated(0.0, 100.0, 0)
    risks = []
    for a, b in ((1.0, 0.0), (0.01, 5.0), (200.0, -1e4)):
        affine = ChannelStatistics(np.array([70.0 * a + b]), np.array([30.0 * a]))
        moved = (a * noisy.astype(np.float64) + b).astype(np.float32)
        risks.append(judged(Filter(blur(1.0), affine), moved, a * clean + b).risk)
    assert risks == pytest.approx([risks[0]] * 3, rel=0.01)


def test_the_same_seed_draws_the_same_noise() -> None:
    clean, noisy = simulated(3.0, 9.0, 0)
    one, same, other = (judged(Filter(blur(1.0)), noisy, clean, s).covariance for s in (4, 4, 5))
    assert one == same
    assert one != other


def test_only_denoised_channels_count() -> None:
    clean, noisy = simulated(3.0, 9.0, 0)
    both = np.stack([np.full_like(noisy, 9), noisy])
    model = Filter(blur(1.0), ChannelStatistics(np.array([9.0, 70.0]), np.array([0.0, 30.0])), (1,))
    (place,) = places(both, clean, model)
    assert place.noise.shape == (1, 128, 128)
    alone = judged(Filter(blur(1.0)), noisy, clean)
    assert judged(model, both, clean).risk == pytest.approx(alone.risk, rel=0.1)


# Means of two


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_risk_of_a_mean_is_that_of_the_filter_that_means(share: float) -> None:
    clean, noisy = simulated(0.0, 100.0, 0)
    mean = Filter(lambda p: (1 - share) * blur(0.7)(p) + share * median(p))
    first, second = (judged(Filter(f), noisy, clean) for f in (blur(0.7), median))
    expected = judged(mean, noisy, clean).risk
    assert first.with_share(second, share).risk == pytest.approx(expected)


def test_the_best_share_has_the_least_risk_and_nearly_the_least_error() -> None:
    clean, noisy = simulated(0.0, 400.0, 0, SIDE)
    first, second = (judged(Filter(f), noisy, clean) for f in (blur(1.0), median))
    share = first.best_share(second)
    assert second.best_share(first) == pytest.approx(1 - share)
    shares = np.linspace(0, 1, 101)
    risks = [first.with_share(second, w).risk for w in shares]
    assert shares[np.argmin(risks)] == pytest.approx(share, abs=0.006)
    a, b = blur(1.0)(noisy), median(noisy)
    errors = [(((1 - w) * a + w * b - clean) ** 2).mean() for w in shares]
    assert 0.1 < share < 0.9, "or the law would say little"
    assert errors[round(100 * share)] < 1.02 * min(errors) < 0.97 * min(errors[0], errors[-1])


def test_of_a_result_and_itself_or_a_worse_one_the_first_is_kept() -> None:
    rng = np.random.default_rng(0)
    first = RiskEstimate(rng.normal(size=5000), 0.0)
    assert first.best_share(first) == 0
    worse = RiskEstimate(first.residual + rng.normal(size=5000), 0.0)
    assert first.best_share(worse) == pytest.approx(0, abs=0.03)
    assert first.best_share(RiskEstimate(first.residual / 2, 0.0)) == 1


# Pieces


def test_pieces_are_of_the_middle_of_the_first_and_the_last_image() -> None:
    arrays = [np.random.default_rng(i).normal(size=(3, 20 + i, SIDE + 9)) for i in range(3)]
    images = [Image.from_array(a, "ZYX") for a in arrays]
    blind: Any = Filter(blur(1.0))
    found = judging_pieces(images, blind, CPU)
    assert len(found) == 2
    for piece, array in zip(found, (arrays[0], arrays[2]), strict=True):
        expected = array[1, :, 4 : 4 + SIDE].astype(np.float32)
        assert np.array_equal(piece.noisy, expected[None])
        assert piece.noisy.dtype == np.float32
        assert 0 < piece.held_out.mean() < 0.1
    assert len(judging_pieces(images[:1], blind, CPU)) == 1


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (2, 24, 24)), ("TZYX", (2, 3, 24, 24))])
def test_held_out_pixels_are_those_of_training(axes: str, shape: tuple[int, ...]) -> None:
    """Every value occurs once, so a value of a patch tells its place."""
    array = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    image = Image.from_array(array, axes)
    blind: Any = Filter(blur(1.0))
    (piece,) = judging_pieces([image], blind, CPU, 7)
    n = piece.noisy.shape[0]
    affine = ChannelStatistics(np.zeros(n), np.ones(n))
    crops = Crops([image], affine, patch=(16, 16), channels=tuple(range(n)), seed=7)
    patches = crops.batch(60, np.random.default_rng(0))
    seen = dict(zip(patches.noisy.ravel().tolist(), patches.held_out.ravel(), strict=True))
    pairs = [
        (seen[value], held)
        for value, held in zip(piece.noisy.ravel().tolist(), piece.held_out.ravel(), strict=True)
        if value in seen
    ]
    assert len(pairs) > 0.8 * piece.noisy.size
    assert any(held for _, held in pairs)
    assert all(a == b for a, b in pairs)
