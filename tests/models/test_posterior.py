"""Laws of the pixel itself: no say in its own weight, used where it helps, left out where not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy import ndimage

import unnoise
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.posterior import CERTAIN, Centre, Region, Verdict, fit
from unnoise.models.predict import predict
from unnoise.noise.density import NoiseModel
from unnoise.noise.local_mean import reach, surroundings
from unnoise.noise.models import Curve, PoissonGauss

UNIT = Curve((0.0, 1.0), (1.0, 1.0))


def constant(variance: float) -> Curve:
    return Curve((0.0, 1.0), (variance, variance))


def around(
    values: NDArray, width: float, inside: list[NDArray[np.bool_]] | None
) -> tuple[NDArray, NDArray]:
    """Mean and worth of the surroundings, pixel by pixel."""
    radius = int(3 * width + 0.5)
    grids = np.indices(values.shape)
    there = np.ones(values.shape, bool)
    for axis, flags in enumerate(inside or []):
        there &= flags[grids[axis]]
    mean, count = np.zeros(values.shape), np.zeros(values.shape)
    for at in np.ndindex(*values.shape):
        away = [g - p for g, p in zip(grids, at, strict=True)]
        near = np.all([np.abs(a) <= radius for a in away], axis=0) & there
        near[at] = False
        weight = np.exp(-sum(a**2 for a in away) / (2 * width**2))[near]
        mean[at] = (weight * values[near]).sum() / weight.sum()
        count[at] = max(weight.sum() ** 2 / (weight**2).sum(), 1.0)
    return mean, count


@pytest.mark.parametrize(("shape", "width"), [((17, 12), 2.0), ((30, 9), 4.0), ((5, 8, 9), 2.0)])
@pytest.mark.parametrize("partly", [False, True])
def test_surroundings_equal_a_loop(shape: tuple[int, ...], width: float, partly: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape)
    inside = None
    kept = tuple(slice(None) for _ in shape)
    if partly:  # what lies outside is mirrored and has no say; what is said of it is not used
        inside = [(np.arange(n) >= 2) & (np.arange(n) < n - 1) for n in shape]
        kept = tuple(slice(2, n - 1) for n in shape)
    mean, count = surroundings(values, width, inside)
    expected, worth = around(values, width, inside)
    assert np.allclose(mean[kept], expected[kept], rtol=1e-9, atol=1e-9)
    assert np.allclose(count[kept], worth[kept], rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (16, 16), (1, 16, 16)])
def test_surroundings_of_tiny_and_huge_values_are_finite(shape: tuple[int, ...]) -> None:
    for values in (np.zeros(shape), np.full(shape, 1e6)):
        mean, count = surroundings(values, 8.0)
        assert np.isfinite(mean).all()
        assert (count >= 1).all()
        if values.size > 1:
            assert np.allclose(mean, values, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 26), (6, 12, 13)])
def test_the_pixel_has_no_say_in_its_own_prior(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    noisy, blind = 2 * rng.normal(size=shape), np.zeros(shape)
    centre = Centre((UNIT,), (UNIT,), (2.0,), 2.0, 0.0)
    before = centre.prior(0, noisy, blind)
    for at in [tuple(n // 2 for n in shape), (0,) * len(shape), tuple(n - 1 for n in shape)]:
        changed = noisy.copy()
        changed[at] += 50
        after = centre.prior(0, changed, blind)
        assert after[at] == pytest.approx(before[at], abs=1e-9)
        beside = (*at[:-1], at[-1] - 1 if at[-1] else 1)
        assert after[beside] > before[beside] + 1  # its neighbours do hear of it


def test_apply_is_the_mean_weighted_by_the_two_variances() -> None:
    """f + t / (t + s) (y - f) with t known: residuals of one size everywhere."""
    noisy = np.where(np.indices((40, 40)).sum(0) % 2, 3.0, -3.0)
    centre = Centre((UNIT,), (UNIT,), (2.0,), 4.0, 0.0)
    clean, error = centre.apply(noisy[None], np.zeros((1, 40, 40)))
    assert np.allclose(clean[0], 8 / 9 * noisy)  # t = 9 - 1
    assert np.allclose(error[0] ** 2, 8 / 9)
    strict = dataclasses.replace(centre, strictness=2.0)
    assert (np.abs(strict.apply(noisy[None], np.zeros((1, 40, 40)))[0]) < np.abs(clean)).all()


def test_the_noise_is_no_less_than_in_calm_places() -> None:
    centre = Centre((constant(1.0),), (constant(5.0),), (2.0,), 2.0, 0.0)
    assert np.all(centre.noise(0, np.zeros((4, 4))) == 5)


# --- choosing -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class World:
    """A clean image, its noisy version, and a prediction that sees neither its own pixel."""

    truth: NDArray
    region: Region

    def error(self, centre: Centre | None) -> float:
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


def fitted(w: World, model: NoiseModel) -> tuple[Centre | None, Verdict]:
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
        assert "left out" in verdict.why


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
    from unnoise.models.posterior import _stein  # the sum itself, without the choice of the best

    centre = Centre((constant(9.0),), (constant(1e-9),), (2.0,), 2.0, 0.0)
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
        centre = Centre((model,), (flat,), (8.0,), width, 0.0)
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


# --- the file -----------------------------------------------------------------------------------


def example(channels: int = 1) -> Centre:
    model = PoissonGauss(2.0, 3.0, 4.0)
    ceiling = Curve((0.0, 10.0, 30.0), (1.0, 2.0, 9.0))
    return Centre((model,) * channels, (ceiling,) * channels, (2.5,) * channels, 4.0, 1.0)


def test_to_dict_and_back() -> None:
    values = example(2).to_dict()
    assert yaml.safe_load(yaml.safe_dump(values)) == values
    assert Centre.from_dict(values) == example(2)


TINY = Config().set("net.filters=4", "net.depth=1", "training.steps=2")


@pytest.fixture(scope="module")
def picture() -> NDArray:
    rng = np.random.default_rng(0)
    return rng.poisson(20 + 10 * np.sin(np.arange(80) / 3), (70, 80)).astype(np.float32)


@pytest.fixture(scope="module")
def model(picture: NDArray) -> Model:
    centre = Centre((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    return dataclasses.replace(unnoise.train(picture, config=TINY), centre=centre)


def test_the_model_folder_keeps_it(model: Model, picture: NDArray, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = unnoise.load(tmp_path / "m")
    assert again.centre == model.centre
    assert np.array_equal(again.predict(picture), model.predict(picture))
    without = dataclasses.replace(model, centre=None)
    assert not np.array_equal(without.predict(picture), model.predict(picture))
    without.save(tmp_path / "without")
    assert "centre" not in yaml.safe_load((tmp_path / "without" / "config.yaml").read_text())
    assert unnoise.load(tmp_path / "without").centre is None


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no models": lambda v: v.pop("models"),
    "empty": lambda v: v.update(models=[], ceilings=[], scatter=[]),
    "unknown kind": lambda v: v["models"][0].update(kind="magic"),
    "a ceiling that is no curve": lambda v: v.update(ceilings=v["models"]),
    "NaN in a model": lambda v: v["models"][0].update(gain=math.nan),
    "two scatters": lambda v: v["scatter"].append(1.0),
    "negative scatter": lambda v: v.update(scatter=[-1.0]),
    "NaN scatter": lambda v: v.update(scatter=[math.nan]),
    "width 0": lambda v: v.update(width=0),
    "width NaN": lambda v: v.update(width=math.nan),
    "huge width": lambda v: v.update(width=1e9),
    "strictness of words": lambda v: v.update(strictness="much"),
    "strictness NaN": lambda v: v.update(strictness=math.nan),
    "negative strictness": lambda v: v.update(strictness=-1.0),
    "a list": lambda v: v.update(models=3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_values_are_refused(model: Model, tmp_path: Path, damage: str) -> None:
    model.save(tmp_path / "m")
    path = tmp_path / "m" / "config.yaml"
    values = yaml.safe_load(path.read_text())
    DAMAGES[damage](values["centre"])
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="damaged"):
        unnoise.load(tmp_path / "m")


@pytest.mark.parametrize("centre", [None, 3, [], "text"])
def test_what_is_no_mapping_is_refused(model: Model, tmp_path: Path, centre: object) -> None:
    model.save(tmp_path / "m")
    path = tmp_path / "m" / "config.yaml"
    values = yaml.safe_load(path.read_text()) | {"centre": centre}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="damaged"):
        unnoise.load(tmp_path / "m")


# --- tiles --------------------------------------------------------------------------------------


def whole(
    model: Model, x: NDArray | Image, tile: tuple[int, ...] | None
) -> tuple[NDArray, NDArray]:
    """Result and expected error of all blocks together."""
    image = x if isinstance(x, Image) else Image.from_array(x)
    out = np.full(image.shape, np.nan)
    error = np.full(image.shape, np.nan)
    for block in predict(model, image, tile=tile):
        at = tuple(block.where[k] for k in image.axes)
        inner = tuple(0 if k not in image.axes else slice(None) for k in "STCZYX")
        out[at] = block.values[inner]
        assert block.error is not None
        error[at] = block.error[inner]
    return out, error


def test_tiles_do_not_change_the_result(model: Model, picture: NDArray) -> None:
    assert reach(2.0) == 6
    one, error = whole(model, picture, tuple(picture.shape))
    for tile in ((32, 48), (16, 16)):
        other, spread = whole(model, picture, tile)
        assert np.allclose(one, other, rtol=1e-4, atol=1e-3)
        assert np.allclose(error, spread, rtol=1e-3, atol=1e-3)
    assert np.isfinite(one).all()
    assert (error >= 0).all()


def test_tiles_in_3d() -> None:
    noisy = np.random.default_rng(0).poisson(20, (18, 40, 44)).astype(np.float32)
    x = Image.from_array(noisy, "ZYX")
    plain = unnoise.train(x, config=TINY.replace(ndim=3))
    centre = Centre((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    model = dataclasses.replace(plain, centre=centre)
    one, error = whole(model, x, tuple(x.shape))
    other, spread = whole(model, x, (8, 16, 32))
    assert np.allclose(one, other, rtol=1e-4, atol=1e-3)
    assert np.allclose(error, spread, rtol=1e-3, atol=1e-3)


def test_the_net_of_a_copied_channel_is_not_touched() -> None:
    """A constant channel is copied; the pixel itself concerns the other one."""
    x = np.random.default_rng(0).poisson(20, (2, 64, 64)).astype(np.float32)
    x[0] = 7
    centre = Centre((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    plain = unnoise.train(Image.from_array(x, "CYX"), config=TINY)
    model = dataclasses.replace(plain, centre=centre)
    assert model.channels == (1,)
    (block,) = predict(model, Image.from_array(x, "CYX"))
    assert (block.values[0, 0, 0] == 7).all()
    assert block.error is not None
    assert (block.error[0, 0, 0] == 0).all()
    assert (block.error[0, 0, 1] > 0).any()


def test_only_blind_spots_take_the_pixel_back() -> None:
    with pytest.raises(InputError, match="centre"):
        Config.preset(method="n2n").set("centre=true")
    for method in ("n2v", "n2v2"):
        assert Config.preset(method=method).set("centre=true").centre
