from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy import ndimage

from unnoise.noise.artifacts.earlier_processing import demosaic, interpolated, jpeg
from unnoise.noise.channel import sentence

SEEDS = range(4)


def scene(seed: int, side: int = 256) -> np.ndarray:
    """A clean photo-like picture: 1/f texture and edges, 20..235."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    f[0, 0] = 1
    waves = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) / f**1.3, (side, side))
    y, x = np.mgrid[:side, :side]
    waves = waves / waves.std() + (y > 100 + 0.3 * x) * 1.5 + (np.hypot(y - 90, x - 150) < 40)
    waves = (waves - waves.min()) / np.ptp(waves)
    return 20 + 215 * waves


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image.clip(0, 255).round().astype(np.uint8)).save(
        buffer, "JPEG", quality=quality
    )
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("quality", [75, 25])
@pytest.mark.parametrize("noise", [0, 5, 20])
def test_jpeg_is_found_with_its_grid(seed, quality, noise) -> None:
    image = scene(seed) + np.random.default_rng(seed).normal(0, noise, (256, 256))
    coded = compressed(image, quality)
    result = jpeg(coded)
    assert result.found
    assert result.phase == (0, 0)
    assert jpeg(coded[3:, 6:]).phase == (5, 2)
    if quality == 25:
        assert result.step > 15
        assert result.strong
    assert not jpeg(image.clip(0, 255).round().astype(np.uint8)).found


def test_jpeg_of_bundled_photos() -> None:
    for name in ("camera", "chelsea", "coffee", "brick", "gravel"):
        image = getattr(skimage.data, name)()
        gray = image if image.ndim == 2 else image[..., 1]
        assert not jpeg(gray).found, name
        assert jpeg(compressed(gray, 75)).found, name


@pytest.mark.parametrize("seed", SEEDS)
def test_pure_noise_carries_no_traces(seed) -> None:
    rng = np.random.default_rng(seed)
    for image in (
        rng.normal(size=(256, 256)),
        rng.poisson(0.2, (256, 256)),
        rng.poisson(5, (200, 300)),
        rng.poisson(100, (256, 256)).astype(np.uint16),
    ):
        assert not jpeg(image).found
        assert not demosaic(image).found
        assert not interpolated(image).found
        assert sentence(interpolated(image)) is None


def mosaic(rgb: np.ndarray) -> np.ndarray:
    """Bayer RGGB and bilinear interpolation, by normalised convolution."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    masks = (
        (y % 2 == 0) & (x % 2 == 0),
        (y + x) % 2 == 1,
        (y % 2 == 1) & (x % 2 == 1),
    )
    kernels = {1: np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4.0}
    full = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4.0
    planes = [
        ndimage.convolve(rgb[..., c] * masks[c], kernels.get(c, full), mode="mirror")
        for c in range(3)
    ]
    return np.stack(planes, -1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [0, 3, 10])
def test_bilinear_demosaicing_is_found_with_its_phase(seed, noise) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.stack([scene(seed)] * 3, -1) + rng.normal(0, noise, (256, 256, 3))
    camera = mosaic(rgb).round()
    assert demosaic(camera[..., 1]).pattern == "checkerboard"
    assert sum(demosaic(camera[..., 1]).phase) == 1
    assert sum(demosaic(camera[1:, :, 1]).phase) in (0, 2)
    for channel, phase in ((0, (0, 0)), (2, (1, 1))):
        assert demosaic(camera[..., channel]).phase == phase
        assert demosaic(camera[..., channel]).found
    assert not demosaic(rgb.round()[..., 1]).found


def doubled(image: np.ndarray) -> np.ndarray:
    h, w = image.shape
    out = np.zeros((2 * h - 1, 2 * w - 1))
    out[::2, ::2] = image
    out[1::2] = (out[:-1:2] + out[2::2]) / 2
    out[:, 1::2] = (out[:, :-1:2] + out[:, 2::2]) / 2
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [0, 3, 10])
def test_bilinear_enlargement_by_two_is_found(seed, noise) -> None:
    image = scene(seed, 200) + np.random.default_rng(seed).normal(0, noise, (200, 200))
    result = interpolated(doubled(image).round())
    assert result.factor == 2
    assert result.periodic
    assert "by about 2" in result.line()
    assert not interpolated(image.round()).found


@pytest.mark.parametrize("factor", [1.5, 3.0])
@pytest.mark.parametrize("order", [1, 3])
def test_factor_of_other_enlargements(factor, order) -> None:
    image = scene(0, 200) + np.random.default_rng(0).normal(0, 5, (200, 200))
    result = interpolated(ndimage.zoom(image, factor, order=order).round())
    assert result.found
    assert result.factor == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [0.5, 3, 10])
def test_blurred_scene_with_independent_noise_is_not_called_interpolated(seed, noise) -> None:
    blurred = ndimage.gaussian_filter(scene(seed), 2)
    image = blurred + np.random.default_rng(seed).normal(0, noise, blurred.shape)
    assert not interpolated(image).found
    assert not interpolated(image.round()).found


def test_smoothed_noise_is_found_by_its_missing_fine_detail() -> None:
    noise = np.random.default_rng(0).normal(1000, 300, (256, 256))
    result = interpolated(ndimage.gaussian_filter(noise, 1.2))
    assert result.found
    assert not result.periodic
    assert result.drop > 24


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (16, 16), (64, 64), (8, 300)])
@pytest.mark.parametrize("value", [0, 65535, np.nan])
def test_constant_and_tiny_planes_show_nothing(shape, value) -> None:
    plane = np.full(shape, value, np.float32)
    for result in (jpeg(plane), demosaic(plane), interpolated(plane)):
        assert not result.found


def test_real_microscope_pictures_show_no_traces(shared_data) -> None:
    from skimage.io import imread

    files = sorted(shared_data.glob("w2s/*__noisy.png"))[::3] + sorted(
        shared_data.glob("em_nogt/*__noisy.*")
    )
    assert files
    for file in files:
        image = imread(file)
        for trace in (jpeg, demosaic, interpolated):
            assert not trace(image).found, (file.name, trace.__name__)
