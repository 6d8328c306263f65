"""What is done with a trained model: its noise, the test of the center pixel, its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from synthetic import photon_ground, smooth, white
from tiny import CPU, two_steps, untrained
from unnoise.config.config import Config
from unnoise.models.predict import predict_array
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.quality.gain import gain
from unnoise.training import finish as finishing
from unnoise.training.finish import finish


def camera(path: Path, *gains: float) -> str:
    Camera(tuple(PoissonGauss(gain, 0.0, 1.0) for gain in gains)).save(path)
    return f"noise_model={path}"


@pytest.mark.parametrize("method", ["n2v", "n2n", "b2u", "gaussian"])
def test_what_is_kept(method: str) -> None:
    x = photon_ground((2, 64, 64))
    config = Config.preset(method=method) if method == "gaussian" else two_steps(method)
    config = config.set("pairs.axis=T") if method == "n2n" else config
    model, image = untrained(x, config, "TYX")
    model, told, reports = finish(model, [image], (), CPU)
    assert told == []
    assert len(reports) == 1
    assert model.noise is not None
    assert model.record is not None
    (noise,) = model.noise.known
    assert float(noise.variance(30.0)) == pytest.approx(30, rel=0.4)
    assert len(model.record.looks) == len(model.record.dependence) == 1
    assert model.posterior is None


@pytest.mark.parametrize("frames", [1, 4])
def test_noise_that_neighbouring_frames_share_is_named_where_they_are_seen(frames: int) -> None:
    still = np.broadcast_to(smooth((96, 96), 5, mean=100, sd=20), (12, 96, 96))
    noise = ndimage.uniform_filter1d(white((12, 96, 96)), frames, axis=0) * frames**0.5
    for reach in (0, 1):
        config = two_steps("n2v", f"context={{T: {reach}}}")
        model, image = untrained(still + 10 * noise, config, "TYX")
        _, told, _ = finish(model, [image], (), CPU)
        expected = frames > 1 and reach > 0
        assert any("along T share noise" in line for line in told) == expected


@pytest.mark.parametrize("pairing", [["use_center_pixel=true"], "camera"])
def test_finish_asks_the_held_out_pixels(pairing: Any, tmp_path: Path) -> None:
    more = [camera(tmp_path / "c.json", 1.0)] if pairing == "camera" else pairing
    model, image = untrained(photon_ground((96, 96)), two_steps("n2v", *more))
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
    model, image = untrained(x, two_steps("n2v", "use_center_pixel=true"), "ZYX"[-len(shape) :])
    again, told, _ = finish(model, [image], (), CPU)
    assert len(told) == 1
    assert again.record is not None
    assert np.isfinite(predict_array(again, image)).all()


def test_finish_with_noise_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "inspect_images", lambda images: [])
    model, image = untrained(photon_ground(), two_steps("n2v", "use_center_pixel=true"))
    again, told, _ = finish(model, [image], (), CPU)
    assert told == ["each pixel's own value is not used: the noise could not be measured"]
    assert again.posterior is None
    assert again.noise is not None
    assert again.noise.models == (None,)


def test_finish_twice_is_the_same() -> None:
    model, image = untrained(photon_ground((96, 96)), two_steps("n2v", "use_center_pixel=true"))
    one, two = (finish(model, [image], (), CPU)[0] for _ in range(2))
    assert one.posterior == two.posterior
    assert one.record == two.record
    assert np.array_equal(predict_array(one, image), predict_array(two, image))


@pytest.mark.parametrize("looks", [1, 4])
def test_the_gain_over_speckle_is_known(looks: int) -> None:
    """Bright places hold the noise, and dark ones the slopes of a stabilised net."""
    scene = data.coins()[60:220, 60:220].astype(np.float64)
    truth = (ndimage.gaussian_filter(scene, 1) / 255) ** 2 / 2 + 0.003
    noisy = truth * np.random.default_rng(looks).gamma(looks, 1 / looks, truth.shape)
    model, image = untrained(noisy.astype(np.float32), Config.preset(method="instant"))
    model, _, _ = finish(model, [image], (), CPU)
    assert model.noise is not None
    assert model.record is not None
    result = predict_array(model, image)
    variance = model.noise.known[0].variance(result)
    found = gain(
        noisy,
        result,
        variance,
        relative_error=model.noise.relative_error[0],
        correction=2 * model.record.dependence[0] * float(variance.mean()),
    )
    true = 10 * np.log10(np.mean((noisy - truth) ** 2) / np.mean((result - truth) ** 2))
    assert true > 7
    assert 2 < found.psnr.low < true < found.psnr.high
