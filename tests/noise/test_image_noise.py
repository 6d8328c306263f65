"""The noise of the images of a model: the mean of the reports, or that of the camera file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from scipy import ndimage

import unnoise
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.noise.camera.file import Camera
from unnoise.noise.image_noise import ImageNoise, image_noise, inspect_images
from unnoise.noise.inspect import inspect
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.finish import finish
from unnoise.training.plan import plan

CPU = torch.device("cpu")
TINY = ("net.filters=4", "net.depth=1", "training.steps=2", "training.patch=32")


def tiny(method: str = "n2v", *more: str) -> Config:
    return Config.preset(method=method).set(*TINY, *more)


def scene(shape: tuple[int, ...] = (64, 72), seed: int = 0) -> NDArray:
    """Smooth ground with photon noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 4, mode="wrap")
    return rng.poisson(30 + 8 * smooth / smooth.std()).astype(np.float32)


def model_of(x: NDArray, config: Config, axes: str | None = None) -> tuple[Model, Image]:
    """A model as a run leaves it, untrained: its net is blind whatever its weights are."""
    from unnoise.training.start import start

    image = Image.from_array(x, axes)
    run = start([image], plan([image], config), CPU)
    return run.model(), image


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


def test_noise_models_of_a_channel_that_is_copied_are_left_out() -> None:
    x = np.stack([np.full((64, 64), 7.0), scene((64, 64))])
    image = Image.from_array(x, "CYX")
    model, _ = model_of(x, tiny(), "CYX")
    (noise,) = image_noise([image], model.channels, [inspect(image)]).models
    assert noise is not None
    assert float(noise.variance(30.0)) == pytest.approx(30, rel=0.4)


def camera(path: Path, *gains: float) -> str:
    Camera(tuple(PoissonGauss(gain, 0.0, 1.0) for gain in gains)).save(path)
    return f"noise_model={path}"


def test_a_camera_leaves_out_alpha_and_copied_channels(tmp_path: Path) -> None:
    four = Image.from_array(np.stack([scene(seed=s) for s in range(4)]), "CYX")
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
    config = tiny("n2v", camera(tmp_path / "c.json", 1.0))
    model, image = model_of(scene((96, 96)), config)
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

    monkeypatch.setattr(TrainingRun, "_step", never)
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
    found = image_noise([Image.from_array(scene())], (0,), [])
    assert (found.models, found.relative_error, found.correlated) == ((None,), (1.0,), ("",))
    assert found.known == []


def test_to_dict_and_back_through_files() -> None:
    found = dataclasses.replace(
        image_noise([Image.from_array(scene())], (0,), [inspect(Image.from_array(scene()))]),
        autocorrelation=(np.array([[0.25, 1.0, 0.25]]),),
    )
    values = found.to_dict()
    for again in (yaml.safe_load(yaml.safe_dump(values)), json.loads(json.dumps(values))):
        assert ImageNoise.from_dict(again).to_dict() == values
