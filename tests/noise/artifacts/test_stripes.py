from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from unnoise.noise.artifacts.stripes import periodic, stripes
from unnoise.noise.channel import sentence

SEEDS = range(4)


def clean(seed: int) -> list[np.ndarray]:
    """Images without line noise: white, Poisson, correlated, a scene with edges, photos."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    edges = 100.0 * (y > 128) + 60 * (x > 0.7 * y) + 10 * ((y // 90) % 2)
    return [
        rng.normal(size=(256, 256)),
        rng.poisson(0.2, (256, 200)),
        rng.poisson(5, (64, 64)),
        rng.poisson(100, (200, 300)).astype(np.uint16),
        ndimage.gaussian_filter(rng.normal(size=(256, 256)), 1),
        edges + rng.normal(0, 3, (256, 256)),
        skimage.data.camera()[::2, ::2] + rng.normal(0, 5, (256, 256)),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_images_without_stripes_show_none(seed) -> None:
    for k, image in enumerate(clean(seed)):
        result = stripes(image)
        assert not result.found, k
        assert sentence(result) is None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("amount", [0.15, 0.5, 1.0])
def test_rows_columns_and_both(seed, amount) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(1e6, 2, (300, 256))
    rows, columns = (rng.normal(0, 2 * amount, shape) for shape in ((300, 1), (1, 256)))
    for pattern, direction in ((rows, "rows"), (columns, "columns"), (rows + columns, "both")):
        result = stripes(noise + pattern)
        assert result.direction == direction
        assert direction.split("s")[0].capitalize() in result.line() or direction == "both"
    result = stripes(noise + rows)
    assert result.rows == pytest.approx(rows.std(), rel=0.25)
    assert result.rows_share == pytest.approx(rows.std() / 2, rel=0.25)


def test_stripes_in_counts_and_on_a_scene() -> None:
    rng = np.random.default_rng(0)
    gain = 1 + 0.1 * rng.normal(size=(1, 256))
    assert stripes(rng.poisson(100 * gain, (256, 256)).astype(np.uint16)).direction == "columns"
    photo = skimage.data.camera().astype(float)
    photo = photo + rng.normal(0, 10, photo.shape) + rng.normal(0, 5, (512, 1))
    assert stripes(photo).direction == "rows"


@pytest.mark.parametrize("seed", SEEDS)
def test_images_without_a_pattern_have_no_peaks(seed) -> None:
    for k, image in enumerate(clean(seed)):
        assert periodic(image) == (), k


@pytest.mark.parametrize("seed", SEEDS)
def test_random_rows_and_columns_are_not_periodic(seed) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(256, 256)) + rng.normal(size=(256, 1)) + rng.normal(size=(1, 256))
    assert periodic(image) == ()


@pytest.mark.parametrize(("fy", "fx"), [(0.125, 0.0), (0.0, 0.2), (0.15, 0.31), (0.3, -0.11)])
@pytest.mark.parametrize("shape", [(256, 256), (200, 300)])
def test_wave_is_found_with_frequency_and_amplitude(fy, fx, shape) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = 3 * np.cos(2 * np.pi * (fy * y + fx * x) + 1)
    image = 1000 + np.random.default_rng(0).poisson(100, shape) + wave
    peaks = periodic(image)
    assert len(peaks) == 1
    peak = peaks[0]
    sign = 1 if peak.fy * fy + peak.fx * fx > 0 else -1  # a wave has two signs
    assert sign * peak.fy == pytest.approx(fy, abs=0.6 / shape[0])
    assert sign * peak.fx == pytest.approx(fx, abs=0.6 / shape[1])
    # Between two bins a Hann window loses up to 1.4 dB per axis.
    assert 3 * 0.7 < peak.amplitude < 3 * 1.15
    angle = np.degrees(np.arctan2(fy, fx)) % 180
    assert min(abs(peak.direction - angle), 180 - abs(peak.direction - angle)) < 3
    assert f"{1 / peak.frequency:.3g} pixels" in peak.line()


def test_wave_on_a_photo() -> None:
    photo = skimage.data.camera() + np.random.default_rng(0).normal(0, 5, (512, 512))
    y, x = np.mgrid[:512, :512]
    peaks = periodic(photo + 4 * np.sin(2 * np.pi * (0.21 * x + 0.08 * y)))
    assert [(round(abs(p.fy), 2), round(abs(p.fx), 2)) for p in peaks] == [(0.08, 0.21)]


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (64, 64), (8, 300)])
@pytest.mark.parametrize("value", [0, 65535, np.nan])
def test_constant_and_tiny_planes_show_nothing(shape, value) -> None:
    plane = np.full(shape, value, np.float32)
    assert not stripes(plane).found
    assert periodic(plane) == ()


def test_missing_pixels_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(128, 128)) + rng.normal(size=(128, 1))
    image[rng.random(image.shape) < 0.01] = np.nan
    assert stripes(image).direction == "rows"
