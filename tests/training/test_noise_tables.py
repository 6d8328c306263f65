"""The noise of a run of r2r: measured, or of a camera, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from tiny import seeded, tiny
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import Clipped, PoissonGauss
from unnoise.training.methods.r2r import SIGNALS, additive
from unnoise.training.noise_tables import noise_tables
from unnoise.training.plan import plan


def noisy_image(shape: tuple[int, ...], sd: float = 12.0, **options: Any) -> Image:
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 180, shape[-1])
    return Image.from_array((ramp + rng.normal(0, sd, shape)).astype(np.float32), **options)


def planned(image: Image, config: Config | None = None) -> Model:
    return plan([image], config or tiny("r2r"))


def test_the_measured_noise_is_that_of_the_image() -> None:
    model = planned(noisy_image((96, 96)))
    (noise,) = noise_tables(model)
    std = model.affine.std[0]
    middle = len(SIGNALS) * 3 // 7
    assert SIGNALS[middle] == pytest.approx(0, abs=1e-9)
    assert noise.variance[middle] * std**2 == pytest.approx(144, rel=0.1)
    assert noise.autocorrelation is None
    assert model.config.recorruption is not None
    assert model.config.recorruption.correlated is False
    assert len(model.config.symmetries(2)) == 8
    assert model.noise is not None
    json.dumps(model.noise.to_dict())  # plain values


def test_only_r2r_measures() -> None:
    assert planned(noisy_image((32, 32)), Config()).noise is None


def test_every_channel_has_its_own_table_and_constant_ones_have_none() -> None:
    rng = np.random.default_rng(0)
    y = np.stack([rng.normal(100, 5, (64, 64)), np.full((64, 64), 7.0), rng.normal(9, 2, (64, 64))])
    model = planned(Image.from_array(y, axes="CYX"))
    assert model.channels == (0, 2)
    for noise in noise_tables(model):  # noise alone: its variance is the normalised one
        assert np.median(noise.variance) == pytest.approx(1, rel=0.15)


def test_correlation_is_measured_and_can_be_left_out() -> None:
    rng = np.random.default_rng(0)
    y = ndimage.uniform_filter1d(rng.normal(size=(128, 128)), 3, axis=1) * 10 + 100
    model = planned(Image.from_array(y))
    (noise,) = noise_tables(model)
    assert noise.autocorrelation is not None
    r, c = (n // 2 for n in noise.autocorrelation.shape)
    assert noise.autocorrelation[r, c] == 1
    assert noise.autocorrelation[r, c + 1] == pytest.approx(2 / 3, abs=0.08)
    assert noise.autocorrelation[r, c + 2] == pytest.approx(1 / 3, abs=0.08)
    assert abs(noise.autocorrelation[r + 1, c]) < 0.08
    assert model.config.symmetries(2) == ((0, False), (2, False))
    without = planned(Image.from_array(y), tiny("r2r").replace(recorruption={"correlated": False}))
    assert noise_tables(without)[0].autocorrelation is None
    photons = Config(method="r2r").set("recorruption.kind=thinning")
    white = Image.from_array(rng.normal(size=(128, 128)))
    with pytest.raises(InputError, match="is not correlated as far as can be measured"):
        planned(white, tiny("r2r").replace(recorruption={"correlated": True}))
    with pytest.raises(InputError, match="is correlated, which photons are not"):
        planned(Image.from_array(y), photons)


def test_correlation_between_slices_is_part_of_a_3d_net_only() -> None:
    rng = np.random.default_rng(0)
    y = ndimage.uniform_filter1d(rng.normal(size=(20, 96, 96)), 2, axis=0) * 10 + 100
    stack = Image.from_array(y, axes="ZYX")
    (noise,) = noise_tables(planned(stack, tiny("r2r").replace(ndim=3)))
    assert noise.autocorrelation is not None
    z, r, c = (n // 2 for n in noise.autocorrelation.shape)
    assert noise.autocorrelation[z, r, c] == 1
    assert noise.autocorrelation[z + 1, r, c] == pytest.approx(0.5, abs=0.1)
    assert abs(noise.autocorrelation[z, r, c + 1]) < 0.08
    np.testing.assert_array_equal(noise.autocorrelation, noise.autocorrelation[::-1, ::-1, ::-1])
    assert noise_tables(planned(stack, tiny("r2r").replace(ndim=2)))[0].autocorrelation is None


def test_a_camera_file_comes_before_what_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    Camera((PoissonGauss(2.0, 50.0, 36.0),)).save(path)
    model = planned(noisy_image((48, 48)), tiny("r2r").replace(noise_model=str(path)))
    (noise,) = noise_tables(model)
    mean, std = model.affine.mean[0], model.affine.std[0]
    signal = mean + std * SIGNALS
    inside = signal > 40
    expected = 2 * (signal - 50) + 36
    np.testing.assert_allclose(noise.variance[inside] * std**2, expected[inside], rtol=1e-9)
    # Read noise counts as light: 2 (s - 50) + 36 = 2 (s - 32).
    assert noise.gain * std == pytest.approx(2)
    assert noise.offset * std + mean == pytest.approx(32)


def test_photons_are_found_in_an_image_of_counts() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(5, 60, 128) + np.zeros((128, 128)))
    image = Image.from_array((3 * counts + 20).astype(np.uint16))
    model = planned(image, tiny("r2r").replace(recorruption={"kind": "thinning"}))
    (noise,) = noise_tables(model)
    mean, std = model.affine.mean[0], model.affine.std[0]
    assert noise.gain * std == pytest.approx(3, rel=0.15)
    assert noise.offset * std + mean == pytest.approx(20, abs=20)


@pytest.mark.parametrize("photons", [0.2, 3.0])
def test_counts_are_thinned_without_asking(photons: float) -> None:
    counts = np.random.default_rng(0).poisson(photons, (128, 128))
    model = planned(Image.from_array((5 * counts).astype(np.uint16)))
    assert model.config.recorruption is not None
    assert model.config.recorruption.kind == "thinning"
    (noise,) = noise_tables(model)
    assert noise.gain * model.affine.std[0] == pytest.approx(5)
    for other in (5 * counts + 100, np.round(7 * counts + 30 * np.sin(counts))):
        config = planned(Image.from_array(other.astype(np.float32))).config
        assert config.recorruption is not None
        assert config.recorruption.kind == "gaussian"


@pytest.mark.parametrize("signal", [4.0, 15.0, 50.0])
def test_clipped_pixels_are_drawn_anew_before_their_noise_is_split(signal: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(0, 80, 256), (256, 1))
    model = planned(Image.from_array(rng.normal(clean, 20).clip(0).round().astype(np.float32)))
    assert model.noise is not None
    assert isinstance(model.noise.models[0], Clipped)
    tables = noise_tables(model)
    mean, std = float(model.affine.mean[0]), float(model.affine.std[0])
    flat = (rng.normal(signal, 20, (40, 64, 64)).clip(0) - mean) / std
    split = additive(0.5, tables)(torch.from_numpy(flat), torch.zeros(40).long(), seeded())
    one, two = (part.numpy() * std + mean for part in split)
    assert one.mean() == pytest.approx(signal, abs=0.6), "of the pixels it is up to 6 more"
    assert two.mean() == pytest.approx(signal, abs=0.6)
    assert two.var() == pytest.approx(400 * 5, rel=0.1)
    parts = np.digitize(one, np.quantile(one, [0.1, 0.5, 0.9]))
    told = [two[parts == k].mean() - signal for k in range(4)]
    assert np.abs(told).max() < 2.5, "nearly nothing of 20"


def multiplied_electrons() -> Image:
    rng = np.random.default_rng(0)
    electrons = rng.poisson(np.linspace(0.3, 12, 256) + np.zeros((256, 256)))
    y = 30 + 8 * rng.standard_gamma(electrons + 1e-9) + rng.normal(0, 2, electrons.shape)
    return Image.from_array(y.astype(np.float32))


def test_multiplied_electrons_are_found_and_split_as_such() -> None:
    model = planned(multiplied_electrons())
    assert model.config.recorruption is not None
    assert model.config.recorruption.kind == "multiplied"
    (noise,) = noise_tables(model)
    mean, std = model.affine.mean[0], model.affine.std[0]
    assert noise.gain * std == pytest.approx(8, rel=0.15)
    assert noise.offset * std + mean == pytest.approx(30, abs=4)
    assert noise.read_variance is not None
    gaussian = planned(multiplied_electrons(), tiny("r2r").set("recorruption.kind=gaussian"))
    assert gaussian.config.recorruption is not None
    assert gaussian.config.recorruption.kind == "gaussian"


def test_other_noise_is_normal_unless_told_and_never_multiplied() -> None:
    model = planned(noisy_image((96, 96)))
    assert model.config.recorruption is not None
    assert model.config.recorruption.kind == "gaussian"
    with pytest.raises(InputError, match="not that of a camera which multiplies electrons"):
        planned(noisy_image((96, 96)), tiny("r2r").set("recorruption.kind=multiplied"))


def test_without_photons_nothing_is_thinned() -> None:
    with pytest.raises(InputError, match="does not grow with the signal"):
        planned(noisy_image((96, 96)), tiny("r2r").replace(recorruption={"kind": "thinning"}))


def test_noise_that_cannot_be_measured_is_refused() -> None:
    y = np.zeros((32, 32), np.float32)
    y[3, 3] = 1  # every block is constant but for one pixel
    y[16:] = 1
    with pytest.raises(InputError, match=r"could not be measured.*--noise-model"):
        planned(Image.from_array(y))
