"""The pixel itself is used where it helps, and left out where not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.models.posterior import Posterior
from unnoise.models.record import PosteriorTest
from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import PoissonGauss, VarianceCurve
from unnoise.quality.region import Region
from unnoise.training.center_pixel import CERTAIN, fit

UNIT = VarianceCurve((0.0, 1.0), (1.0, 1.0))


def constant(variance: float) -> VarianceCurve:
    return VarianceCurve((0.0, 1.0), (variance, variance))


@dataclasses.dataclass(frozen=True)
class World:
    """A clean image, its noisy version, and a prediction that sees neither its own pixel."""

    truth: NDArray
    region: Region

    def error(self, centre: Posterior | None) -> float:
        """True mean squared error."""
        x = self.region.blind
        if centre is not None:
            x = centre.apply(self.region.noisy[None], x[None])[0][0]
        return float(((x - self.truth) ** 2).mean())


def world(
    noise: Callable[[NDArray, np.random.Generator], NDArray],
    lost: float = 0.0,
    level: float = 50.0,
    size: int = 160,
    seed: int = 0,
) -> World:
    """Smooth ground that the prediction knows, and on the left half texture that it has lost."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(size, size)), 12, mode="wrap")
    known = level * (1 + 0.2 * smooth / smooth.std())
    texture = ndimage.gaussian_filter(rng.normal(size=(size, size)), 0.8, mode="wrap")
    texture *= lost / texture.std()
    texture[:, size // 2 :] = 0
    truth = np.maximum(known + texture, 0.02 * level)
    noisy = noise(truth, rng)
    held = rng.random(truth.shape) < 0.1
    noisy = noisy.astype(np.float64)
    return World(truth, Region(noisy, known, held, known, pairs(noisy - known)))


def pairs(residual: NDArray) -> NDArray:
    """Of every pixel and the next one along each axis, where there is one."""
    found = np.full((residual.ndim, 2, *residual.shape), np.nan)
    found[0, 0, :-1], found[0, 1, :-1] = residual[:-1], residual[1:]
    found[1, 0, :, :-1], found[1, 1, :, :-1] = residual[:, :-1], residual[:, 1:]
    return found


def gaussian(x: NDArray, rng: np.random.Generator) -> NDArray:
    return x + 3 * rng.normal(size=x.shape)


def photons(x: NDArray, rng: np.random.Generator) -> NDArray:
    return rng.poisson(x)


NOISES: dict[str, tuple[Any, NoiseModel]] = {
    "gaussian": (gaussian, constant(9.0)),
    "photons": (photons, PoissonGauss(1.0, 0.0, 0.0)),
}


def fitted(w: World, model: NoiseModel) -> tuple[Posterior | None, PosteriorTest]:
    return fit((model,), [[w.region]])


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("seed", [0, 1])
def test_lost_texture_comes_back(name: str, seed: int) -> None:
    noise, model = NOISES[name]
    w = world(noise, lost=9.0, seed=seed)
    centre, verdict = fitted(w, model)
    assert centre is not None
    assert verdict.used
    assert w.error(centre) < 0.7 * w.error(None)
    assert "is used" in verdict.why
    # What the held-out pixels said is what the truth says; pairs err on the side of caution.
    variance = float(model.variance(w.truth).mean())
    change = (w.error(centre) - w.error(None)) / variance
    assert verdict.risk - verdict.risk_blind == pytest.approx(change, abs=0.3)
    assert change - 3 * verdict.error < verdict.change < 0.4 * change
    assert verdict.risk_blind == pytest.approx(w.error(None) / variance, rel=0.15)


def test_the_expected_error_is_the_true_one() -> None:
    w = world(gaussian, lost=9.0)
    centre, _ = fitted(w, constant(9.0))
    assert centre is not None
    clean, error = centre.apply(w.region.noisy[None], w.region.blind[None])
    half = slice(8, 72)
    true = math.sqrt(((clean[0] - w.truth)[:, half] ** 2).mean())
    assert math.sqrt((error[0][:, half] ** 2).mean()) == pytest.approx(true, rel=0.15)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("factor", [1, 1 / 2, 1 / 4, 1 / 10])
def test_a_perfect_prediction_stays(name: str, factor: float) -> None:
    """Also where the noise model says that there is far less noise than there is."""
    noise, _ = NOISES[name]
    small = constant(9 * factor) if name == "gaussian" else PoissonGauss(factor, 0.0, 0.0)
    for seed in (0, 1, 2):
        w = world(noise, seed=seed)
        centre, verdict = fitted(w, small)
        assert w.error(None) == 0
        assert centre is None, verdict
        assert not verdict.used
        assert "is not used" in verdict.why


@pytest.mark.parametrize("factor", [1 / 4, 1 / 10])
def test_a_noise_model_that_is_far_too_small_does_no_harm(factor: float) -> None:
    w = world(gaussian, lost=2.0)
    centre, _ = fitted(w, constant(9 * factor))
    assert w.error(centre) <= 1.02 * w.error(None)


def squares(shape: tuple[int, ...]) -> NDArray:
    """0 and 1 in squares of 40 pixels."""
    return (np.indices(shape) // 40).sum(0) % 2


def corners(shape: tuple[int, ...]) -> NDArray:
    """0 in the middle and 1 in the corners, as where a vignetting has been corrected."""
    y, x = (2 * (i + 0.5) / n - 1 for i, n in zip(np.indices(shape), shape, strict=True))
    return np.asarray((y**2 + x**2) / 2)


@pytest.mark.parametrize("where", [squares, corners])
@pytest.mark.parametrize("factor", [1.15, 1.6, 3.0])
@pytest.mark.parametrize("believed", ["least", "mean"])
def test_locally_stronger_noise_does_not_come_back(
    where: Callable[[tuple[int, ...]], NDArray], factor: float, believed: str
) -> None:
    """The noise model knows the mean of the variance, or its least value."""

    def uneven(x: NDArray, rng: np.random.Generator) -> NDArray:
        return x + 3 * (1 + (factor - 1) * where(x.shape)) * rng.normal(size=x.shape)

    for seed in (0, 1, 2):
        w = world(uneven, seed=seed)
        variance = 9 * (1 + (factor - 1) * where(w.truth.shape)) ** 2
        _, verdict = fitted(w, constant(variance.min() if believed == "least" else variance.mean()))
        assert not verdict.used, verdict


@pytest.mark.parametrize("where", [squares, corners])
@pytest.mark.parametrize("believed", ["least", "mean"])
def test_uneven_noise_and_lost_texture_do_no_harm(
    where: Callable[[tuple[int, ...]], NDArray], believed: str
) -> None:
    """What comes back of the noise is weighed by what it is; what is worth it still comes back."""
    gains = []
    for factor in (1.3, 2.0, 5.0):

        def uneven(x: NDArray, rng: np.random.Generator, factor: float = factor) -> NDArray:
            return x + 3 * (1 + (factor - 1) * where(x.shape)) * rng.normal(size=x.shape)

        for lost in (2.0, 3.5, 7.0, 9.0):
            w = world(uneven, lost=lost)
            variance = 9 * (1 + (factor - 1) * where(w.truth.shape)) ** 2
            level = variance.min() if believed == "least" else variance.mean()
            centre, verdict = fitted(w, constant(float(level)))
            assert w.error(centre) <= 1.01 * w.error(None), (factor, lost, verdict)
            gains.append(w.error(centre) / w.error(None))
    assert min(gains) < 0.5


def test_without_pairs_the_pixel_is_left_out() -> None:
    """Along an axis of correlated noise there are none: it would look like lost texture."""
    w = world(gaussian, lost=9.0)
    r = w.region
    for axes in ([0], [1], [0, 1]):
        kept = r.pairs.copy()
        kept[axes] = np.nan
        centre, verdict = fit((constant(9.0),), [[dataclasses.replace(r, pairs=kept)]])
        assert (centre is None) == (axes == [0, 1]), verdict
        assert ("along no axis" in verdict.why) == (centre is None)


def test_held_out_pixels_have_a_veto() -> None:
    """Pairs that agree by chance or correlation, while the pixel itself is nothing but noise."""
    w = world(gaussian, lost=0.0)
    r = w.region
    restless = r.noisy + 12 * np.sign(r.noisy - r.seen)
    feigned = np.where(np.isfinite(r.pairs), 5.0, np.nan)
    centre, verdict = fit(
        (constant(9.0),), [[dataclasses.replace(r, pairs=feigned, seen=restless)]]
    )
    assert verdict.change + CERTAIN * verdict.error < 0
    assert centre is None
    assert "on held-out pixels the estimated squared error rises" in verdict.why


@pytest.mark.parametrize("lost", [0.0, 3.0])
def test_the_estimated_change_is_the_true_one_on_average(lost: float) -> None:
    """Of given settings, whatever the gate would say: means over worlds agree within chance."""
    from unnoise.training.center_pixel import _stein

    centre = Posterior((constant(9.0),), (constant(1e-9),), (2.0,), 2.0, 0.0)
    found = []
    for seed in range(12):
        w = world(gaussian, lost=lost, size=96, seed=seed)
        estimate, error = _stein(centre, [[w.region]])
        at = w.region.held_out
        clean = centre.apply(w.region.noisy[None], w.region.blind[None])[0][0]
        true = ((clean - w.truth)[at] ** 2 - (w.region.blind - w.truth)[at] ** 2).mean() / 9
        found.append((estimate - true, error))
    differences, errors = np.array(found).T
    assert abs(differences.mean()) < 3 * errors.mean() / math.sqrt(len(found))
    assert differences.std() < 2 * errors.mean()


def test_photons_of_mean_a_fifth_keep_their_mean() -> None:
    """The weight must not know the pixel's own noise; counts of 0 and 1 would show it."""
    w = world(photons, lost=0.1, level=0.2, size=256)
    model = PoissonGauss(1.0, 0.0, 0.0)
    flat = constant(1e-9)
    for width in (2.0, 8.0):
        centre = Posterior((model,), (flat,), (8.0,), width, 0.0)
        clean, _ = centre.apply(w.region.noisy[None], w.region.blind[None])
        weight = np.abs(clean[0] - w.region.blind).mean()
        assert weight > 1e-3  # something did come back
        expected = w.truth.mean()
        assert clean.mean() == pytest.approx(expected, rel=0.02)
    chosen, _ = fitted(w, model)
    if chosen is not None:
        clean, _ = chosen.apply(w.region.noisy[None], w.region.blind[None])
        assert clean.mean() == pytest.approx(w.truth.mean(), rel=0.02)


def test_channels_of_any_brightness_count_alike() -> None:
    """Another unit of the grey levels changes no decision."""
    w = world(gaussian, lost=9.0)
    r = w.region
    for scale in (1e-3, 1e3):
        values = (scale * r.noisy, scale * r.seen, r.held_out, scale * r.blind)
        bright = Region(*values, scale * r.pairs)
        both, verdict = fit((constant(9.0), constant(9 * scale**2)), [[r], [bright]])
        one, alone = fitted(w, constant(9.0))
        assert both is not None
        assert one is not None
        assert (both.width, both.strictness) == (one.width, one.strictness)
        assert verdict.risk == pytest.approx(alone.risk, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e6, 65535.0])
def test_constant_and_tiny_regions_are_left_alone(value: float) -> None:
    flat = np.full((16, 16), value)
    held = np.zeros(flat.shape, bool)
    held[::4, ::4] = True
    centre, verdict = fit((UNIT,), [[Region(flat, flat, held, flat, pairs(flat - flat))]])
    assert centre is None
    assert np.isfinite([verdict.risk, verdict.risk_blind, verdict.error, verdict.change]).all()
