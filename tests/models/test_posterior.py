"""Laws of the pixel itself: no say in its own weight; the same in tiles and from a file."""

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

import unnoise
from tiny import tiny
from unnoise.config.config import Config
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.posterior import Posterior
from unnoise.models.predict import predict, predict_array
from unnoise.noise.local_mean import local_mean, reach
from unnoise.noise.noise_models import PoissonGauss, VarianceCurve

UNIT = VarianceCurve((0.0, 1.0), (1.0, 1.0))


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
    mean, count = local_mean(values, width, inside)
    expected, worth = around(values, width, inside)
    assert np.allclose(mean[kept], expected[kept], rtol=1e-9, atol=1e-9)
    assert np.allclose(count[kept], worth[kept], rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (16, 16), (1, 16, 16)])
def test_surroundings_of_tiny_and_huge_values_are_finite(shape: tuple[int, ...]) -> None:
    for values in (np.zeros(shape), np.full(shape, 1e6)):
        mean, count = local_mean(values, 8.0)
        assert np.isfinite(mean).all()
        assert (count >= 1).all()
        if values.size > 1:
            assert np.allclose(mean, values, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 26), (6, 12, 13)])
def test_the_pixel_has_no_say_in_its_own_prior(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    noisy, blind = 2 * rng.normal(size=shape), np.zeros(shape)
    centre = Posterior((UNIT,), (UNIT,), (2.0,), 2.0, 0.0)
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
    centre = Posterior((UNIT,), (UNIT,), (2.0,), 4.0, 0.0)
    clean, error = centre.apply(noisy[None], np.zeros((1, 40, 40)))
    assert np.allclose(clean[0], 8 / 9 * noisy)  # t = 9 - 1
    assert np.allclose(error[0] ** 2, 8 / 9)
    strict = dataclasses.replace(centre, strictness=2.0)
    assert (np.abs(strict.apply(noisy[None], np.zeros((1, 40, 40)))[0]) < np.abs(clean)).all()


def test_the_noise_is_no_less_than_in_calm_places() -> None:
    centre = Posterior((UNIT,), (VarianceCurve((0.0,), (5.0,)),), (2.0,), 2.0, 0.0)
    assert np.all(centre.noise(0, np.zeros((4, 4))) == 5)


def example(channels: int = 1) -> Posterior:
    model = PoissonGauss(2.0, 3.0, 4.0)
    ceiling = VarianceCurve((0.0, 10.0, 30.0), (1.0, 2.0, 9.0))
    return Posterior((model,) * channels, (ceiling,) * channels, (2.5,) * channels, 4.0, 1.0)


def test_to_dict_and_back() -> None:
    values = example(2).to_dict()
    assert yaml.safe_load(yaml.safe_dump(values)) == values
    assert Posterior.from_dict(values) == example(2)


TINY = tiny(steps=2)


@pytest.fixture(scope="module")
def picture() -> NDArray:
    rng = np.random.default_rng(0)
    return rng.poisson(20 + 10 * np.sin(np.arange(80) / 3), (70, 80)).astype(np.float32)


@pytest.fixture(scope="module")
def model(picture: NDArray) -> Model:
    centre = Posterior((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    return dataclasses.replace(unnoise.train(picture, config=TINY), posterior=centre)


def test_the_model_folder_keeps_it(model: Model, picture: NDArray, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = unnoise.load(tmp_path / "m")
    assert again.posterior == model.posterior
    assert np.array_equal(predict_array(again, picture), predict_array(model, picture))
    without = dataclasses.replace(model, posterior=None)
    assert not np.array_equal(predict_array(without, picture), predict_array(model, picture))
    without.save(tmp_path / "without")
    assert "posterior" not in yaml.safe_load((tmp_path / "without" / "config.yaml").read_text())
    assert unnoise.load(tmp_path / "without").posterior is None


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
    DAMAGES[damage](values["posterior"])
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="damaged"):
        unnoise.load(tmp_path / "m")


@pytest.mark.parametrize("posterior", [None, 3, [], "text"])
def test_what_is_no_mapping_is_refused(model: Model, tmp_path: Path, posterior: object) -> None:
    model.save(tmp_path / "m")
    path = tmp_path / "m" / "config.yaml"
    values = yaml.safe_load(path.read_text()) | {"posterior": posterior}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="damaged"):
        unnoise.load(tmp_path / "m")


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
    centre = Posterior((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    model = dataclasses.replace(plain, posterior=centre)
    one, error = whole(model, x, tuple(x.shape))
    other, spread = whole(model, x, (8, 16, 32))
    assert np.allclose(one, other, rtol=1e-4, atol=1e-3)
    assert np.allclose(error, spread, rtol=1e-3, atol=1e-3)


def test_the_net_of_a_copied_channel_is_not_touched() -> None:
    """A constant channel is copied; the pixel itself concerns the other one."""
    x = np.random.default_rng(0).poisson(20, (2, 64, 64)).astype(np.float32)
    x[0] = 7
    centre = Posterior((PoissonGauss(1.0, 0.0, 0.0),), (UNIT,), (2.0,), 2.0, 0.0)
    plain = unnoise.train(Image.from_array(x, "CYX"), config=TINY)
    model = dataclasses.replace(plain, posterior=centre)
    assert model.channels == (1,)
    (block,) = predict(model, Image.from_array(x, "CYX"))
    assert (block.values[0, 0, 0] == 7).all()
    assert block.error is not None
    assert (block.error[0, 0, 0] == 0).all()
    assert (block.error[0, 0, 1] > 0).any()


def test_only_blind_spots_take_the_pixel_back() -> None:
    with pytest.raises(InputError, match="use_center_pixel"):
        Config.preset(method="n2n").set("use_center_pixel=true")
    for method in ("n2v", "n2v2"):
        assert Config.preset(method=method).set("use_center_pixel=true").use_center_pixel
