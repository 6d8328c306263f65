"""Laws of what happens after training: held-out pixels, the noise that is used, what is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import unnoise
from synthetic import smooth
from tiny import CPU, NET, tiny
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.posterior import Centre
from unnoise.noise.camera.file import Camera
from unnoise.noise.inspect import inspect
from unnoise.noise.models import Curve, PoissonGauss
from unnoise.quality.training_record import Known
from unnoise.training import held_out as selfcheck
from unnoise.training.held_out import (
    dependence,
    finished,
    lattices,
    measured,
    noise_models,
    of_camera,
    regions,
)
from unnoise.training.plan import plan

TINY = (*NET, "training.steps=2", "training.patch=32", "training.batch_size=2")


def scene(shape: tuple[int, ...] = (64, 72), seed: int = 0) -> NDArray:
    """Smooth ground with photon noise."""
    rng = np.random.default_rng(seed)
    light = smooth(shape, seed=rng, mean=30, sd=8, mode="wrap")
    return rng.poisson(light).astype(np.float32)


def model_of(x: NDArray, config: Config, axes: str | None = None) -> tuple[Model, Image]:
    """A model as a run leaves it, untrained: its net is blind whatever its weights are."""
    from unnoise.training.runs import start

    image = Image.from_array(x, axes)
    run = start([image], plan([image], config), CPU)
    return run.model(), image


# --- dependence ---------------------------------------------------------------------------------


class Scaled(torch.nn.Module):
    """A net that repeats its input by a share, or a blur of it without its middle."""

    def __init__(self, share: float | None) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.share is not None:
            return self.share * x
        kernel = torch.ones(1, 1, *(3,) * (x.ndim - 2))
        kernel.view(-1)[kernel.numel() // 2] = 0
        conv = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv3d
        return conv(x, kernel / kernel.sum(), padding=1)


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, 1.0), (0.4, 0.4), (0.0, 0.0), (None, 0.0), (-0.5, -0.5)]
)
@pytest.mark.parametrize("shape", [(72, 80), (18, 32, 36)])
def test_dependence_is_the_share_of_the_pixel_in_its_estimate(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], share: float | None, expected: float
) -> None:
    axes = "ZYX"[-len(shape) :]
    model, image = model_of(scene(shape), tiny("n2v", f"ndim={len(shape)}"), axes)
    monkeypatch.setattr(selfcheck, "ready", lambda model, device: Scaled(share))
    for noise in (Curve((0.0,), (30.0,)), None):
        (found,) = dependence(model, [image], [noise], CPU)
        assert found == pytest.approx(expected, abs=0.04)


def test_dependence_per_channel_counts_the_pixel_brought_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A blind net with a centre of a known weight: t / (t + s) with t = 3 s."""
    s = 25.0
    x = 100 + np.sqrt(4 * s) * np.random.default_rng(0).normal(size=(2, 96, 96))
    model, image = model_of(x, tiny(), "CYX")
    monkeypatch.setattr(selfcheck, "ready", lambda model, device: Scaled(0.0))  # predicts the mean
    noise = Curve((0.0,), (s,))
    assert dependence(model, [image], [noise, noise], CPU) == pytest.approx([0, 0], abs=1e-9)
    centre = Centre((noise, noise), (noise, noise), (2.0, 2.0), 8.0, 0.0)
    again = dataclasses.replace(model, centre=centre)
    assert dependence(again, [image], [noise, noise], CPU) == pytest.approx([0.75, 0.75], abs=0.05)


# --- held-out pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["n2v", "n2v2", "structn2v"])
def test_the_blind_prediction_does_not_see_its_pixel(method: str) -> None:
    """Changing the held-out pixels changes what the net sees of them, but not the blind values."""
    more = ("mask.struct=horizontal:5",) if method == "structn2v" else ()
    config = Config.parse(
        {"method": method, "mask": {"struct": "horizontal:5"}} if more else {"method": method}
    )
    config = config.set(*TINY)
    x = scene()
    model, image = model_of(x, config)
    ((region,),) = regions(model, [image], CPU)
    assert region.noisy.shape == x.shape
    assert np.array_equal(region.noisy, x)
    assert 0.005 < region.held_out.mean() < 0.2
    changed = x.copy()
    # Far from each other, so that no other held-out pixel hears of it; values within the range.
    rows, columns = np.nonzero(region.held_out)
    picked = [0]
    for i in range(1, len(rows)):
        if all(max(abs(rows[i] - rows[j]), abs(columns[i] - columns[j])) > 24 for j in picked):
            picked.append(i)
    at = (rows[picked], columns[picked])
    changed[at] = 3 * changed[at] + 40
    ((other,),) = regions(model, [Image.from_array(changed)], CPU)
    assert np.array_equal(other.held_out, region.held_out)
    assert np.allclose(other.blind[at], region.blind[at], rtol=1e-5, atol=1e-4)
    assert not np.allclose(other.seen[at], region.seen[at], rtol=1e-3)


@pytest.mark.parametrize(
    ("method", "shape"),
    [("n2v", (64, 64)), ("n2v", (16, 32, 32)), ("n2v2", (64, 64)), ("structn2v", (64, 64))],
)
def test_of_a_pair_neither_prediction_knows_either_pixel(
    method: str, shape: tuple[int, ...]
) -> None:
    """Nor, with structN2V, what is hidden with it: only the residual of a changed pixel changes."""
    x = scene(shape)
    letters = "ZYX"[-len(shape) :]
    struct = {"mask": {"struct": "horizontal:5"}} if method == "structn2v" else {}
    config = Config.parse({"method": method, **struct}).set(*TINY)
    model, _ = model_of(x, config, letters)

    def pairs(noisy: NDArray) -> NDArray:
        ((region,),) = regions(model, [Image.from_array(noisy, letters)], CPU, letters)
        return region.pairs

    plain = pairs(x)
    for axis in range(len(shape) - bool(struct)):
        known = np.argwhere(np.isfinite(plain[axis, 0]))
        first = tuple(known[len(known) // 2])
        second = tuple(v + (a == axis) for a, v in enumerate(first))
        beside = [(0, 0), *([(0, 2), (0, -1)] if struct else [])]
        for which, place in enumerate((first, second)):
            changed = x.copy()
            for offset in beside:
                changed[tuple(np.add(place, offset) if struct else place)] += 5 * x.std()
            found = pairs(changed)[axis][(slice(None), *first)]
            expected = plain[axis][(slice(None), *first)].copy()
            expected[which] += 5 * x.std()
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-3 * float(x.std()))


@pytest.mark.parametrize(
    ("shape", "footprint"), [((30, 41), (1, 1)), ((9, 30, 31), (1, 1, 1)), ((30, 41), (1, 5))]
)
def test_pairs_are_far_from_each_other_and_within_the_piece(
    shape: tuple[int, ...], footprint: tuple[int, ...]
) -> None:
    axes = [a for a, side in enumerate(footprint) if side == 1]
    seen = dict.fromkeys(axes, 0)
    for axis, first in lattices(shape, axes, footprint, np.random.default_rng(0)):
        seen[axis] += 1
        where = np.argwhere(first)
        assert len(where) > 3
        assert where[:, axis].min() >= 1  # one before the first, one after the second
        assert where[:, axis].max() <= shape[axis] - 3
        steps = np.abs(where[:, None] - where[None])
        apart = steps.any(-1)
        for a, side in enumerate(footprint):
            along = steps[..., a][apart]
            least = 4 if a == axis else side + 1  # so that footprints leave something between them
            assert ((along == 0) | (along >= least)).all()
    assert min(seen.values()) >= 2


def test_pairs_are_hidden_only_where_noise_is_independent() -> None:
    x = scene((64, 64))
    struct = Config.parse({"method": "structn2v", "mask": {"struct": "horizontal:5"}}).set(*TINY)
    for config, along, expected in (
        (tiny(), "ZYX", [True, True]),
        (tiny(), "ZY", [True, False]),
        (tiny(), "Z", [False, False]),
        (tiny(), (), [False, False]),
        (struct, "ZYX", [True, False]),
    ):
        model, image = model_of(x, config)
        ((region,),) = regions(model, [image], CPU, along)
        assert [bool(np.isfinite(p).any()) for p in region.pairs] == expected


@pytest.mark.parametrize(("shape", "axes"), [((50, 61), "YX"), ((17, 33, 35), "ZYX")])
def test_regions_of_odd_sizes(shape: tuple[int, ...], axes: str) -> None:
    x = scene(shape)
    model, image = model_of(x, tiny(), axes)
    assert model.ndim == len(shape)
    for region in regions(model, [image], CPU)[0]:
        assert (
            region.blind.shape == region.seen.shape == region.held_out.shape == region.noisy.shape
        )
        assert np.isfinite(region.blind).all()


def test_regions_stay_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "BUDGET", 4000)
    monkeypatch.setattr(selfcheck, "SIDES", {2: (32, 32), 3: (8, 16, 16)})
    model, image = model_of(scene((3, 96, 96)), tiny(), "TYX")
    (found,) = regions(model, [image], CPU)
    assert 4 <= len(found) <= 5
    assert len({r.noisy.tobytes() for r in found}) == len(found)


# --- the noise that is used ---------------------------------------------------------------------


def test_noise_models_are_the_mean_of_the_reports() -> None:
    rng = np.random.default_rng(0)
    images = [Image.from_array(100 + 5 * rng.normal(size=(96, 96))) for _ in range(2)]
    reports = [inspect(image) for image in images]
    model, _ = model_of(scene(), tiny())
    (noise,) = noise_models(reports, model)
    assert noise is not None
    at = np.linspace(90, 110, 7)
    curves = [report.channels[0].curve for report in reports]
    expected = np.mean([c.at(at) for c in curves if c is not None], axis=0)
    assert np.allclose(noise.variance(at), expected, rtol=0.02)
    assert np.allclose(noise.variance(at), 25, rtol=0.15)
    assert noise_models((), model) == [None]


def test_noise_models_of_a_channel_that_is_copied_are_left_out() -> None:
    x = np.stack([np.full((64, 64), 7.0), scene((64, 64))])
    image = Image.from_array(x, "CYX")
    model, _ = model_of(x, tiny(), "CYX")
    (noise,) = noise_models([inspect(image)], model)
    assert noise is not None
    assert float(noise.variance(30.0)) == pytest.approx(30, rel=0.4)


def camera(path: Path, *gains: float) -> str:
    Camera(tuple(PoissonGauss(gain, 0.0, 1.0) for gain in gains)).save(path)
    return f"noise_model={path}"


def test_of_camera_leaves_out_alpha_and_copied_channels(tmp_path: Path) -> None:
    model, _ = model_of(np.stack([scene(seed=s) for s in range(4)]), tiny(), "CYX")
    config = model.config.set(camera(tmp_path / "three.json", 1, 2, 3))
    model = dataclasses.replace(model, config=config, channels=(0, 3))
    found = of_camera(model, 1)
    assert found == [PoissonGauss(1.0, 0.0, 1.0), PoissonGauss(3.0, 0.0, 1.0)]
    with pytest.raises(InputError, match="3 channels but the image has 4"):
        of_camera(model, None)
    one = dataclasses.replace(model, config=config.set(camera(tmp_path / "one.json", 5)))
    assert of_camera(one, None) == [PoissonGauss(5.0, 0.0, 1.0)] * 2
    assert of_camera(dataclasses.replace(model, config=tiny()), None) is None


def test_a_camera_that_does_not_fit_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unnoise.training.loop import Run

    def never(self: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(Run, "_step", never)
    config = tiny("n2v", camera(tmp_path / "two.json", 1, 2))
    with pytest.raises(InputError, match="2 channels but the image has 1"):
        unnoise.train(scene(), config=config)
    gone = config.set(f"noise_model={tmp_path / 'gone.json'}")
    with pytest.raises(InputError, match="no such camera file"):
        unnoise.train(scene(), config=gone)


def test_measured_leaves_out_what_cannot_be() -> None:
    good = Image.from_array(scene())
    flat = Image.from_array(np.zeros((32, 32)))
    small = Image.from_array(np.random.default_rng(0).normal(size=(8, 8)))
    assert len(measured([good])) == 1
    assert len(measured([flat, good, small])) == 1
    assert measured([flat, small]) == []
    assert len(measured([good] * 9)) == 3


# --- finished -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["n2v", "n2n", "b2u", "gaussian"])
def test_finished_remembers(method: str) -> None:
    x = scene((2, 64, 64))
    config = Config.preset(method=method)
    config = config if method == "gaussian" else config.set(*TINY)
    config = config.set("pairs.axis=T") if method == "n2n" else config
    model, image = model_of(x, config, "TYX")
    model, told, reports = finished(model, [image], (), CPU)
    assert told == []
    assert len(reports) == 1
    known = Known.from_dict(model.origin["known"])
    assert known.noise[0] is not None
    assert float(known.noise[0].variance(30.0)) == pytest.approx(30, rel=0.4)
    assert len(known.familiar) == len(known.dependence) == 1
    assert model.centre is None


@pytest.mark.parametrize("pairing", [["centre=true"], "camera"])
def test_finished_asks_the_held_out_pixels(pairing: Any, tmp_path: Path) -> None:
    more = [camera(tmp_path / "c.json", 1.0)] if pairing == "camera" else pairing
    model, image = model_of(scene((96, 96)), tiny("n2v", *more))
    again, told, _ = finished(model, [image], (), CPU)
    assert len(told) == 1
    assert "the pixel itself is" in told[0]
    assert set(again.origin["centre"]) == {"used", "risk_blind", "risk", "change"}
    assert again.origin["centre"]["used"] == (again.centre is not None)
    # The net has learned nothing, so nearly everything it lost can come back.
    assert again.centre is not None
    if pairing == "camera":
        assert again.centre.models == (PoissonGauss(1.0, 0.0, 1.0),)


@pytest.mark.parametrize("shape", [(16, 16), (17, 16, 16), (2, 16, 40)])
def test_finished_with_the_smallest_images(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(5, 1, shape)
    model, image = model_of(x, tiny("n2v", "centre=true"), "ZYX"[-len(shape) :])
    again, told, _ = finished(model, [image], (), CPU)
    assert len(told) == 1
    Known.from_dict(again.origin["known"])
    assert np.isfinite(again.predict(image)).all()


def test_finished_with_noise_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "measured", lambda images: [])
    model, image = model_of(scene(), tiny("n2v", "centre=true"))
    again, told, _ = finished(model, [image], (), CPU)
    assert told == ["the pixel itself is left out: the noise could not be measured"]
    assert again.centre is None
    assert Known.from_dict(again.origin["known"]).noise == (None,)


def test_finished_twice_is_the_same() -> None:
    model, image = model_of(scene((96, 96)), tiny("n2v", "centre=true"))
    one, two = (finished(model, [image], (), CPU)[0] for _ in range(2))
    assert one.centre == two.centre
    assert one.origin["known"] == two.origin["known"]
    assert np.array_equal(one.predict(image), two.predict(image))


def test_regions_are_in_image_units() -> None:
    """Away from the border, where prediction mirrors, they are what the model predicts."""
    x = scene()
    model, image = model_of(x, tiny())
    ((region,),) = regions(model, [image], CPU)
    inner = (slice(24, -24), slice(24, -24))
    assert np.allclose(region.seen[inner], model.predict(image)[inner], rtol=1e-4, atol=1e-3)
