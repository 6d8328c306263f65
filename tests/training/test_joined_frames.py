"""Laws of the choice of neighbours: joined where hidden pixels gain, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import averaged, photons, smooth, white
from tiny import CPU
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.record import JoinedFrames
from unnoise.training import joined_frames as trial
from unnoise.training.joined_frames import with_joined_frames
from unnoise.training.plan import plan

SHAPE = (5, 64, 64)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles enough for these scenes."""
    monkeypatch.setattr(trial, "PIECES", 4)
    monkeypatch.setattr(trial, "REACHES", (1, 2))


def tried(pixels: NDArray, axes: str = "TYX", **settings: Any) -> tuple[Model, str]:
    image = Image.from_array(pixels.astype(np.float32), axes)
    return with_joined_frames(plan([image], Config(method="instant", **settings)), [image], CPU)


def still(shape: tuple[int, ...] = SHAPE, noise: NDArray | None = None) -> NDArray:
    """A textured scene, too fine to be told by its surroundings alone."""
    scene = 100 + 10 * smooth(shape[-2:], 1.5)
    return np.asarray(scene + 8 * (white(shape) if noise is None else noise))


@pytest.mark.parametrize("axis", ["T", "Z"])
def test_still_frames_are_joined_as_far_as_they_reach(axis: str) -> None:
    model, told = tried(still(), f"{axis}YX")
    assert model.joined is not None
    assert (model.joined.axis, model.joined.reach) == (axis, 2)
    assert model.joined.risk < model.joined.alone
    assert told == model.joined.line()
    assert f"along {axis}" in told


def test_frames_of_other_scenes_are_not() -> None:
    scenes = np.stack([100 + 30 * smooth(SHAPE[1:], 3, seed) for seed in range(5)])
    model, told = tried(scenes + 8 * white(SHAPE))
    assert model.joined is None
    assert "by itself" in told


def test_running_means_and_copies_are_not() -> None:
    model, told = tried(still(noise=averaged(SHAPE, 3, 0)))
    assert model.joined is None
    assert "share" in told
    model, told = tried(still()[:1].repeat(5, 0))
    assert model.joined is None


def test_a_lamp_that_flickers_is_matched() -> None:
    lamp = np.array([1, 1.3, 0.8, 1.2, 1])[:, None, None]
    scene = np.maximum(60 + 25 * smooth((128, 128), 1.5), 1)
    model, _ = tried(photons((5, 128, 128), scene * lamp))
    assert model.joined is not None
    assert model.joined.matched


def test_the_skewness_of_the_noise_is_measured() -> None:
    """After the transform photons have -1 / (2 sqrt(n)), nearly (Anscombe, Biometrika 1948)."""
    model, _ = tried(still())
    assert model.joined is not None
    assert model.joined.skewness == pytest.approx(0, abs=0.15)  # few pixels
    scene = np.maximum(6 + 2 * smooth((128, 128), 3), 2)
    model, _ = tried(photons((5, 128, 128), scene))
    assert model.joined is not None
    assert model.joined.skewness == pytest.approx(-0.5 / 6**0.5, abs=0.15)


def test_a_blur_of_frames_has_its_share_where_photons_are_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No transform evens out such noise, so it is no sign that frames share it."""
    monkeypatch.setattr(trial, "PIECES", 8)
    scene = np.maximum(0.15 + 0.1 * smooth((96, 96), 4), 0.01)
    model, _ = tried(photons((9, 96, 96), scene))
    assert model.joined is not None
    ((share, width),) = model.joined.blur
    assert share > 0.3
    assert width in trial.BLURS
    assert model.joined.risk < model.joined.alone
    bright, _ = tried(photons((5, 64, 64), 400 * scene[:64, :64]))
    assert bright.joined is None or not bright.joined.blur


def test_the_settings_decide() -> None:
    model, told = tried(still(), context={"T": 0})
    assert model.joined is None
    assert told == ""
    model, _ = tried(still(), context={"T": 1})
    assert model.joined is not None
    assert model.joined.reach == 1


@pytest.mark.parametrize("axes", ["SYX", "CYX"])
def test_samples_and_channels_are_no_neighbours(axes: str) -> None:
    model, told = tried(still(), axes)
    assert model.joined is None
    assert told == ""


@pytest.mark.parametrize(("spread", "expected"), [(1.0, 0.5), (2.0, 0.2), (9.0, 0.0)])
def test_a_second_net_gets_the_weight_that_predicts_hidden_pixels_best(
    monkeypatch: pytest.MonkeyPatch, spread: float, expected: float
) -> None:
    """Of independent errors of variances 1 and s^2 the best mean has the weight 1 / (1 + s^2)."""
    noise, own, other = np.random.default_rng(0).normal(size=(3, 20_000))

    def residuals(self: object, joined: object, share: float | None = None) -> NDArray:
        w = share or 0.0
        return np.asarray(2 * noise + (1 - w) * own + w * spread * other)

    monkeypatch.setattr(trial._Trial, "_residuals", residuals)
    looked = object.__new__(trial._Trial)
    model: Any = SimpleNamespace(second=SimpleNamespace(share=0.7))
    looked._model = looked._judged = model
    found = looked._share(JoinedFrames("T", 1))
    assert expected - 0.1 < found <= expected + 0.02
