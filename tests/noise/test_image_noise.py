"""The noise of the images of a model: the mean of the reports, or that of the camera file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import unnoise
from synthetic import photon_ground
from tiny import CPU, two_steps, untrained
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.camera.file import Camera
from unnoise.noise.image_noise import ImageNoise, image_noise, inspect_images
from unnoise.noise.inspect import inspect
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.finish import finish


def test_noise_models_are_the_mean_of_the_reports() -> None:
    rng = np.random.default_rng(0)
    images = [Image.from_array(100 + 5 * rng.normal(size=(96, 96))) for _ in range(2)]
    reports = [inspect(image) for image in images]
    (noise,) = image_noise(images, (0,), reports).models
    assert noise is not None
    at = np.linspace(90, 110, 7)
    curves = [report.channels[0].curve for report in reports]
    expected = np.mean([c.at(at) for c in curves if c is not None], axis=0)
    assert np.allclose(noise.variance(at), expected, rtol=0.02)
    assert np.allclose(noise.variance(at), 25, rtol=0.15)


@pytest.mark.parametrize(("unit", "offset"), [(1e-17, 0), (1e-30, 0), (1e30, 0), (1, 1e12)])
def test_the_curve_of_fluxes_and_of_large_offsets_is_not_flat(unit: float, offset: float) -> None:
    light = np.linspace(2, 100, 128)
    y = np.random.default_rng(0).poisson(np.tile(light, (128, 1))) * unit + offset
    (noise,) = image_noise([Image.from_array(y)], (0,), [inspect(y)]).models
    assert noise is not None
    at = np.array([20, 50, 90])
    assert np.allclose(noise.variance(at * unit + offset) / unit**2, at, rtol=0.2)


def test_noise_models_of_a_channel_that_is_copied_are_left_out() -> None:
    x = np.stack([np.full((64, 64), 7.0), photon_ground((64, 64))])
    image = Image.from_array(x, "CYX")
    model, _ = untrained(x, two_steps(), "CYX")
    (noise,) = image_noise([image], model.channels, [inspect(image)]).models
    assert noise is not None
    assert float(noise.variance(30.0)) == pytest.approx(30, rel=0.4)


def camera(path: Path, *gains: float) -> str:
    Camera(tuple(PoissonGauss(gain, 0.0, 1.0) for gain in gains)).save(path)
    return f"noise_model={path}"


def test_a_camera_leaves_out_alpha_and_copied_channels(tmp_path: Path) -> None:
    four = Image.from_array(np.stack([photon_ground(seed=s) for s in range(4)]), "CYX")
    image = dataclasses.replace(four, alpha=1)
    three = camera(tmp_path / "three.json", 1, 2, 3).partition("=")[2]
    found = image_noise([image], (0, 3), [], three)
    assert found.models == (PoissonGauss(1.0, 0.0, 1.0), PoissonGauss(3.0, 0.0, 1.0))
    with pytest.raises(InputError, match="3 channels but the image has 4"):
        image_noise([four], (0, 3), [], three)
    one = camera(tmp_path / "one.json", 5).partition("=")[2]
    assert image_noise([four], (0, 3), [], one).models == (PoissonGauss(5.0, 0.0, 1.0),) * 2
    assert image_noise([four], (0, 3), []).models == (None, None)


def test_the_camera_travels_with_the_model(tmp_path: Path) -> None:
    """It is read once, at planning: its file may be gone by the end of the training."""
    config = two_steps("n2v", camera(tmp_path / "c.json", 1.0))
    model, image = untrained(photon_ground((96, 96)), config)
    (tmp_path / "c.json").unlink()
    model, told, _ = finish(model, [image], (), CPU)
    assert model.noise is not None
    assert model.noise.models == (PoissonGauss(1.0, 0.0, 1.0),)
    assert len(told) == 1


def test_a_camera_that_does_not_fit_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unnoise.training.loop import TrainingRun

    def never(self: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(TrainingRun, "advance", never)
    config = two_steps("n2v", camera(tmp_path / "two.json", 1, 2))
    with pytest.raises(InputError, match="2 channels but the image has 1"):
        unnoise.train(photon_ground(), config=config)
    gone = config.set(f"noise_model={tmp_path / 'gone.json'}")
    with pytest.raises(InputError, match="no such camera file"):
        unnoise.train(photon_ground(), config=gone)


def test_measured_leaves_out_what_cannot_be() -> None:
    good = Image.from_array(photon_ground())
    flat = Image.from_array(np.zeros((32, 32)))
    small = Image.from_array(np.random.default_rng(0).normal(size=(8, 8)))
    assert len(inspect_images([good])) == 1
    assert len(inspect_images([flat, good, small])) == 1
    assert inspect_images([flat, small]) == []
    assert len(inspect_images([good] * 9)) == 3


def noise_of(image: Image) -> ImageNoise:
    return image_noise([image], (0,), [inspect(image)])


def test_the_error_and_the_axes_are_those_of_the_reports() -> None:
    rng = np.random.default_rng(0)
    image = Image.from_array(rng.normal(100, 5, (96, 96)).astype(np.float32))
    (channel,) = inspect(image).channels
    found = noise_of(image)
    assert channel.curve is not None
    assert found.relative_error == (pytest.approx(channel.curve.level_error),)
    assert (found.correlated, found.independent) == (("",), ("Z", "Y", "X"))
    white = np.random.default_rng(0).normal(size=(128, 132))
    rows = Image.from_array(100 + sum(np.roll(white, k, axis=1) for k in range(4)))
    assert noise_of(rows).correlated == ("X",)
    assert noise_of(rows).independent == ("Z", "Y")


def test_without_reports_nothing_is_claimed_of_the_noise() -> None:
    found = image_noise([Image.from_array(photon_ground())], (0,), [])
    assert (found.models, found.relative_error, found.correlated) == ((None,), (1.0,), ("",))
    assert found.known == []


def test_to_dict_and_back_through_files() -> None:
    found = dataclasses.replace(
        image_noise(
            [Image.from_array(photon_ground())], (0,), [inspect(Image.from_array(photon_ground()))]
        ),
        autocorrelation=(np.array([[0.25, 1.0, 0.25]]),),
    )
    values = found.to_dict()
    for again in (yaml.safe_load(yaml.safe_dump(values)), json.loads(json.dumps(values))):
        assert ImageNoise.from_dict(again).to_dict() == values
