"""What is done with a trained model: its noise, the test of the center pixel, its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training import finish as finishing
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


def camera(path: Path, *gains: float) -> str:
    Camera(tuple(PoissonGauss(gain, 0.0, 1.0) for gain in gains)).save(path)
    return f"noise_model={path}"


@pytest.mark.parametrize("method", ["n2v", "n2n", "b2u", "gaussian"])
def test_what_is_kept(method: str) -> None:
    x = scene((2, 64, 64))
    config = Config.preset(method=method)
    config = config if method == "gaussian" else config.set(*TINY)
    config = config.set("pairs.axis=T") if method == "n2n" else config
    model, image = model_of(x, config, "TYX")
    model, told, reports = finish(model, [image], (), CPU)
    assert told == []
    assert len(reports) == 1
    assert model.noise is not None
    assert model.record is not None
    (noise,) = model.noise.known
    assert float(noise.variance(30.0)) == pytest.approx(30, rel=0.4)
    assert len(model.record.looks) == len(model.record.dependence) == 1
    assert model.posterior is None


@pytest.mark.parametrize("pairing", [["use_center_pixel=true"], "camera"])
def test_finish_asks_the_held_out_pixels(pairing: Any, tmp_path: Path) -> None:
    more = [camera(tmp_path / "c.json", 1.0)] if pairing == "camera" else pairing
    model, image = model_of(scene((96, 96)), tiny("n2v", *more))
    again, told, _ = finish(model, [image], (), CPU)
    assert len(told) == 1
    assert "each pixel's own value is" in told[0]
    assert again.posterior_test is not None
    assert again.posterior_test.used == (again.posterior is not None)
    # The net has learned nothing, so nearly everything it lost can come back.
    assert again.posterior is not None
    if pairing == "camera":
        assert again.posterior.models == (PoissonGauss(1.0, 0.0, 1.0),)


@pytest.mark.parametrize("shape", [(16, 16), (17, 16, 16), (2, 16, 40)])
def test_finish_with_the_smallest_images(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(5, 1, shape)
    model, image = model_of(x, tiny("n2v", "use_center_pixel=true"), "ZYX"[-len(shape) :])
    again, told, _ = finish(model, [image], (), CPU)
    assert len(told) == 1
    assert again.record is not None
    assert np.isfinite(predict_array(again, image)).all()


def test_finish_with_noise_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "inspect_images", lambda images: [])
    model, image = model_of(scene(), tiny("n2v", "use_center_pixel=true"))
    again, told, _ = finish(model, [image], (), CPU)
    assert told == ["each pixel's own value is not used: the noise could not be measured"]
    assert again.posterior is None
    assert again.noise is not None
    assert again.noise.models == (None,)


def test_finish_twice_is_the_same() -> None:
    model, image = model_of(scene((96, 96)), tiny("n2v", "use_center_pixel=true"))
    one, two = (finish(model, [image], (), CPU)[0] for _ in range(2))
    assert one.posterior == two.posterior
    assert one.record == two.record
    assert np.array_equal(predict_array(one, image), predict_array(two, image))
