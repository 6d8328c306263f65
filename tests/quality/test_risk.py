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
from unnoise.noise.correlated_noise import drawn
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss
from unnoise.quality import risk
from unnoise.quality.risk import HELD_OUT, SIDE, Piece, RiskEstimate, estimate_risk, judging_pieces
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
    noise: ImageNoise | None = None

    def predict(self, image: Image, *, dtype: Any, **options: Any) -> NDArray:
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


def test_an_offset_of_the_grey_levels_changes_no_risk() -> None:
    """As of pixels of 32 bits: in single precision an offset of 1e9 would leave steps of 64."""
    clean, noisy = simulated(0.0, 100.0, 0)
    here, away = (
        judged(
            Filter(blur(1.0), ChannelStatistics(np.array([70.0 + offset]), np.array([30.0]))),
            noisy.round().astype(np.float64) + offset,
            clean + offset,
        )
        for offset in (0.0, 1e9)
    )
    assert away.risk == pytest.approx(here.risk, rel=1e-5)
    assert away.covariance.sum() == pytest.approx(here.covariance.sum(), rel=1e-5)


def test_the_noisy_image_itself_has_twice_the_noise_and_a_blind_result_none_more() -> None:
    clean, noisy = simulated(0.0, 100.0, 0)
    share = 100 / 30**2
    assert judged(Filter(lambda p: p), noisy, clean).risk == pytest.approx(2 * share, rel=0.08)
    truth = judged(Filter(lambda p: clean), noisy, clean)
    assert not truth.covariance.any()
    assert truth.risk == pytest.approx(share, rel=0.15)


def test_rare_bright_outliers_that_a_result_keeps_are_counted() -> None:
    """Clipped noise: most pixels are 0, and the slope of the result is 0 at almost all."""
    amount, shape, scale, dark = scene(SIDE) / 60, 0.2, 5.0, 0.5
    above = [stats.gamma.sf(dark / amount, k, scale=scale) for k in (shape, shape + 1)]
    mean = amount * shape * scale * above[1] - dark * above[0]

    def keeps(plane: NDArray) -> NDArray:
        return np.where(plane > 4, plane, blur(2.0)(plane))

    found, true = [], []
    for seed in range(3):
        drawn = np.random.default_rng(seed).gamma(shape, scale, amount.shape)
        noisy = np.maximum(amount * drawn - dark, 0).astype(np.float32)
        affine = ChannelStatistics(np.array([noisy.mean()]), np.array([noisy.std()]))
        risks = [judged(Filter(f, affine), noisy, mean).risk for f in (blur(2.0), keeps)]
        errors = [((f(noisy) - mean) ** 2).mean() / noisy.var() for f in (blur(2.0), keeps)]
        assert errors[1] > 3 * errors[0]
        found.append(risks[1] - risks[0])
        true.append(errors[1] - errors[0])
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.2)


def test_noise_is_dealt_among_pixels_of_like_intensity() -> None:
    clean, noisy = simulated(3.0, 9.0, 0)
    (place,) = places(noisy, clean, Filter(blur(1.0)))
    some = place.noise[0] != 0
    assert some.mean() == pytest.approx(len(risk.PHASES) / risk.CELL**2)
    noise, signal = place.noise[0][some], clean[some]
    levels = np.array_split(np.argsort(signal, kind="stable"), 4)
    found = [noise[level].var() for level in levels]
    expected = [3 * signal[level].mean() + 9 for level in levels]
    assert found == pytest.approx(expected, rel=0.4)  # of 256 calm residuals each
    residual = (noisy - clean)[some]
    assert abs(np.corrcoef(noise, residual)[0, 1]) < 5 / some.sum() ** 0.5


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
    assert place.noise[place.noise != 0].var() == pytest.approx(100, rel=0.15)


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
    one, same, other = (judged(Filter(blur(1.0)), noisy, clean, s).risk for s in (4, 4, 5))
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
    first = RiskEstimate.of(rng.normal(size=5000), 0.0)
    assert first.best_share(first) == 0
    worse = RiskEstimate.of(first.residual + rng.normal(size=5000), 0.0)
    assert first.best_share(worse) == pytest.approx(0, abs=0.03)
    assert first.best_share(RiskEstimate.of(first.residual / 2, 0.0)) == 1


def test_a_result_without_a_finite_risk_has_no_part_in_a_mean() -> None:
    rng = np.random.default_rng(0)
    first = RiskEstimate.of(rng.normal(size=5000), 0.0)
    assert first.best_share(RiskEstimate.of(first.residual, np.nan)) == 0
    broken = np.where(np.arange(5000) == 7, np.nan, first.residual)
    assert first.best_share(RiskEstimate.of(broken, 0.0)) == 0


# How sure it is


def test_the_gain_over_another_result_is_as_sure_as_repetitions_say() -> None:
    gains, errors, true = [], [], []
    for seed in range(30):
        clean, noisy = simulated(3.0, 9.0, seed)
        one, two = (judged(Filter(blur(w)), noisy, clean, seed) for w in (1.0, 1.5))
        gain, error = one.gain_over(two)
        assert gain == pytest.approx(two.risk - one.risk)
        assert two.gain_over(one) == pytest.approx((-gain, error))
        gains.append(gain)
        errors.append(error)
        squares = [((blur(w)(noisy) - clean) ** 2).mean() / 30**2 for w in (1.5, 1.0)]
        true.append(squares[0] - squares[1])
    scatter = np.std(np.subtract(gains, true), ddof=1)
    # Blocks do not show by how much the noise that is drawn is too strong everywhere.
    assert 0.5 * scatter < np.median(errors) < 1.6 * scatter
    assert abs(np.mean(np.subtract(gains, true))) < 4 * scatter / np.sqrt(30)


def test_of_equal_results_the_gain_is_none_and_of_one_block_nobody_knows() -> None:
    one = RiskEstimate.of(np.array([1.0, 2.0, 3.0]), 0.5)
    assert one.gain_over(one) == (0, 0)
    alone = RiskEstimate.of(np.array([1.0]), 0.0)
    assert alone.gain_over(RiskEstimate.of(np.array([2.0]), 0.0)) == (3, np.inf)


# Correlated noise

ALONG_X = np.array([[0.3, 0.6, 1.0, 0.6, 0.3]])
ALL_AROUND = np.exp(-(np.add.outer(*[np.arange(-3.0, 4) ** 2] * 2) / 2))


def spread(rho: NDArray, strength: float, seed: int) -> tuple[NDArray, NDArray]:
    """A clean image, and one with noise of that autocorrelation."""
    clean, rng = scene(), np.random.default_rng(seed)
    return clean, (clean + strength * drawn(rho, clean.shape, rng)).astype(np.float32)


def judged_as(rho: NDArray | None, width: float, noisy: NDArray, mean: NDArray) -> RiskEstimate:
    noise = ImageNoise((PoissonGauss(0.0, 0.0, 144.0),), (0.02,), ("X",), ("Y",), (rho,))
    blind: Any = Filter(lambda plane: mean, noise=noise)
    pieces = judging_pieces([Image.from_array(noisy)], blind, CPU)
    model: Any = Filter(blur(width))
    return estimate_risk(model, pieces, CPU)


@pytest.mark.parametrize("rho", [ALONG_X, ALL_AROUND], ids=["along X", "all around"])
def test_risk_less_correlated_noise_is_the_true_error(rho: NDArray) -> None:
    """The best width is found too, where the risk for white noise takes the narrowest."""
    found, blind, true = np.zeros((3, 6, len(WIDTHS)))
    for seed in range(6):
        clean, noisy = spread(rho, 12.0, seed)
        for i, width in enumerate(WIDTHS):
            found[seed, i] = judged_as(rho, width, noisy, clean).risk
            blind[seed, i] = judged_as(None, width, noisy, clean).risk
            true[seed, i] = (((blur(width)(noisy) - clean) / 30) ** 2).mean()
    scatter = found.std(0, ddof=1) / np.sqrt(6)
    errors = true.mean(0)
    assert (np.abs(found.mean(0) - 144 / 30**2 - errors) < 5 * scatter + 0.05 * errors).all()
    best = found.mean(0).argmin()
    assert errors[best] < 1.02 * errors.min()
    assert errors[blind.mean(0).argmin()] > 1.1 * errors.min()


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
        assert piece.held_out.mean() == pytest.approx(1 / HELD_OUT, rel=0.2)
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
    crops = Crops([image], affine, patch=(16, 16), channels=tuple(range(n)), seed=7, box=HELD_OUT)
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


def test_drawn_noise_has_the_measured_strength_unless_that_is_far_off() -> None:
    """Of a prediction that does not know a texture of a quarter of the noise."""
    clean, noisy = simulated(0.0, 100.0, 0)
    wrong = clean + 5 * np.random.default_rng(1).choice([-1, 1], clean.shape)

    def strength(told: float | None) -> float:
        noise = ImageNoise((PoissonGauss(0.0, 0.0, told),), (0.02,), ("",)) if told else None
        model: Any = Filter(lambda plane: wrong, noise=noise)
        (piece,) = judging_pieces([Image.from_array(noisy)], model, CPU)
        return float((piece.noise**2).sum() / (piece.noise != 0).sum())

    assert strength(None) == pytest.approx(125, rel=0.1)
    assert strength(100.0) == pytest.approx(100, rel=0.05)
    assert strength(10.0) == pytest.approx(125 / risk.TRUSTED, rel=0.1)
