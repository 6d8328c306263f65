"""Collecting and judging the plane that a report shows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import unnoise
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import EnsembleMember, Model
from unnoise.models.posterior import Posterior
from unnoise.models.predict import predict, predict_array
from unnoise.noise.noise_models import PoissonGauss, VarianceCurve
from unnoise.report import middle_plane as results
from unnoise.report.middle_plane import MiddlePlane, show, show_training
from unnoise.report.result_page import DenoisedPlane, quality_numbers

TINY = Config().set("net.filters=4", "net.depth=1", "training.steps=1", "training.patch=32")


def image(axes: str, shape: tuple[int, ...], seed: int = 0) -> Image:
    return Image.from_array(np.random.default_rng(seed).poisson(20, shape).astype(np.float32), axes)


def train(x: Image, *settings: str) -> Model:
    return unnoise.train(x, config=TINY.set(*settings))


def with_centre(model: Model) -> Model:
    n = len(model.channels)
    centre = Posterior(
        (PoissonGauss(1.0, 0.0, 0.0),) * n,
        (VarianceCurve((0.0,), (1e-6,)),) * n,
        (2.0,) * n,
        2.0,
        0.0,
    )
    return dataclasses.replace(model, posterior=centre)


CASES = [
    ("YX", (40, 52), "ndim=2"),
    ("TYX", (3, 40, 48), "ndim=2"),
    ("ZYX", (5, 36, 40), "ndim=2"),
    ("ZYX", (17, 36, 40), "ndim=3"),
    ("YXC", (40, 44, 3), "ndim=2"),
    ("STCZYX", (3, 2, 2, 3, 32, 36), "ndim=2"),
]


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("axes", "shape", "ndim"), CASES)
def test_the_plane_is_the_middle_of_the_result(
    axes: str, shape: tuple[int, ...], ndim: str, centre: bool
) -> None:
    x = image(axes, shape)
    model = train(x, ndim)
    model = with_centre(model) if centre else model
    plane = MiddlePlane(x, model.channels)
    whole = np.full([x.sizes[k] for k in "STCZYX"], np.nan)
    for block in predict(model, x, tile=(16, 16, 16)[: model.ndim]):
        plane.take(block)
        at = [block.where.get(k, slice(None)) for k in "STCZYX"]
        at = [slice(a, a + 1) if isinstance(a, int) else a for a in at]
        whole[tuple(at)] = block.values
    n = x.sizes
    middle = whole[n["S"] // 2, n["T"] // 2, :, n["Z"] // 2]
    assert np.array_equal(plane.clean, middle.astype(np.float32))
    canonical = x.read()
    assert np.array_equal(plane.noisy, canonical[n["S"] // 2, n["T"] // 2, :, n["Z"] // 2])
    assert (plane.error is not None) == centre
    if plane.error is not None:
        assert (plane.error >= 0).all()
        assert (plane.error > 0).any()


def test_only_the_middle_of_a_large_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "WHOLE", 24)
    x = image("YX", (40, 53))
    model = train(x)
    plane = MiddlePlane(x, model.channels)
    for block in predict(model, x, tile=(16, 16)):
        plane.take(block)
    clean = predict_array(model, x)
    assert np.allclose(plane.clean[0], clean[8:32, 14:38])
    assert np.array_equal(plane.noisy[0], x.read()[0, 0, 0, 0, 8:32, 14:38])


def test_copied_channels_are_not_shown() -> None:
    pixels = np.random.default_rng(0).poisson(20, (3, 40, 40)).astype(np.float32)
    pixels[1] = 7
    x = Image.from_array(pixels, "CYX")
    model = train(x)
    assert model.channels == (0, 2)
    shown = one(model, x)
    assert shown.names == ("1", "3")
    assert shown.noisy.shape == (2, 40, 40)
    assert len(shown.assessments) == 2


def one(model: Model, x: Image) -> DenoisedPlane:
    plane = MiddlePlane(x, model.channels)
    for block in predict(model, x):
        plane.take(block)
    return show(model, plane, "cpu")


def test_what_is_judged_is_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "SIDE", 32)
    x = image("YX", (41, 60))
    shown = one(train(x), x)
    assert shown.judged == (slice(4, 36), slice(14, 46))
    (found,) = shown.assessments
    assert found.novelty.shape == (32, 32)
    assert found.before is not None  # a 2D net can denoise the two copies
    assert shown.noisy.shape == (1, 41, 60)


def test_the_copies_of_a_mean_pass_both_models_without_their_pixels() -> None:
    """The Fourier ring correlation is that of the result the user gets, not of one member."""
    x = image("YX", (64, 64))
    first = with_centre(train(x))
    other = with_centre(train(image("YX", (64, 64), seed=1), "training.steps=3"))
    alone = dataclasses.replace(first, posterior=None)
    blind = dataclasses.replace(other, posterior=None)
    curves = []
    for model in (
        dataclasses.replace(first, second=EnsembleMember(other, 0.5)),
        dataclasses.replace(alone, second=EnsembleMember(blind, 0.5)),
        first,
    ):
        (found,) = one(model, x).assessments
        assert found.after is not None
        curves.append(found.after.correlation)
    assert np.array_equal(curves[0], curves[1])
    assert not np.array_equal(curves[0], curves[2])


def test_a_model_that_remembers_nothing_shows_without_judging() -> None:
    x = image("YX", (40, 40))
    model = train(x)
    shown = one(dataclasses.replace(model, record=None), x)
    assert shown.assessments == ()
    assert shown.clean.shape == (1, 40, 40)


def test_3d_and_joint_nets_are_judged_without_copies() -> None:
    x = image("ZYX", (17, 40, 40))
    (found,) = one(train(x, "ndim=3"), x).assessments
    assert found.before is None
    rgb = image("YXC", (40, 40, 3))
    shown = one(train(rgb, "net.channels=joint"), rgb)
    assert shown.is_rgb
    assert [a.before for a in shown.assessments] == [None] * 3


def test_clean_targets_have_other_units_so_nothing_is_judged() -> None:
    x = image("YX", (48, 48))
    truth = np.full((48, 48), 0.5) + np.random.default_rng(1).normal(0, 0.1, (48, 48))
    model = unnoise.train(x, truth, config=Config.preset(method="care").set(*TINY_SETTINGS))
    assert one(model, x).assessments == ()


@pytest.mark.parametrize("method", ["gaussian", "n2v"])
def test_only_of_nets_an_image_can_be_unlike_the_training_images(method: str) -> None:
    seen = Image.from_array(np.random.default_rng(0).normal(100, 5, (64, 64)))
    other = Image.from_array(np.random.default_rng(1).normal(100, 25, (64, 64)))
    settings = () if method == "gaussian" else TINY_SETTINGS
    shown = one(unnoise.train(seen, config=Config(method=method).set(*settings)), other)
    (found,) = shown.assessments
    names = [number.name for number in quality_numbers(found)]
    told = any("unlike the training images" in line for line in found.warnings)
    known = ("unlike the training images" in names, told, found.novelty is not None)
    assert known == (method == "n2v",) * 3


TINY_SETTINGS = ("net.filters=4", "net.depth=1", "training.steps=1", "training.patch=32")


def test_the_title_names_the_place() -> None:
    x = image("STCZYX", (3, 2, 1, 3, 32, 36))
    shown = one(train(x, "ndim=2"), x)
    assert shown.title == "the image (S 2 of 3, T 2 of 2, Z 2 of 3)"


def test_the_pixel_size_is_that_along_x_with_its_unit() -> None:
    x = image("YX", (40, 40))
    model = train(x)
    assert one(model, x).pixel_size == (0.0, "pixel")
    sized = dataclasses.replace(x, scale={"X": 0.5, "Y": 2.0}, units={"X": "micron"})
    assert one(model, sized).pixel_size == (0.5, "micron")


@pytest.mark.parametrize(("axes", "shape", "ndim"), CASES)
def test_a_training_shows_the_middle_of_an_image(
    axes: str, shape: tuple[int, ...], ndim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "SIDE", 32)
    x = image(axes, shape)
    model = train(x, ndim)
    shown = show_training(model, x, "cpu")
    n = x.sizes
    y, left = ((n[k] - 32) // 2 for k in "YX")
    middle = x.read()[n["S"] // 2, n["T"] // 2, :, n["Z"] // 2, y : y + 32, left : left + 32]
    assert np.array_equal(shown.noisy, middle)
    assert shown.clean.shape == shown.noisy.shape
    assert all(a.novelty.shape == (32, 32) for a in shown.assessments)
