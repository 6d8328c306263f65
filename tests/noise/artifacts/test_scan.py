"""Odd rows shifted against even ones, and copied lines: found, and nowhere else seen."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

import unnoise
from synthetic import averaged, blurred, photons, scanned, smooth, white
from unnoise.noise.artifacts.scan import copied_lines, scan_shift

SHIFTS = [0.3, 0.5, -1.0, 1.3, 2.0, -5.5, 8.0]


def photo() -> np.ndarray:
    return skimage.data.coins()[60:252, 60:252].astype(float)


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_measured_to_a_tenth_of_a_pixel(shift: float) -> None:
    for scene in (photo(), smooth((192, 192), 2, 1, mean=100, sd=40)):
        for noise in (0, 5, 20) if abs(shift) >= 0.5 else (0, 5):
            found = scan_shift(scanned(scene, shift) + noise * white(scene.shape))
            assert found.found, (noise, found)
            assert found.shift == pytest.approx(shift, abs=0.1)
    assert f"{found.shift:+.2f} pixels" in found.line()
    assert "--fix-scan" in found.line()


def test_stacks_and_movies_agree_on_one_shift() -> None:
    """Planes too noisy to tell by themselves tell together; one of many does not speak for all."""
    planes = smooth((8, 96, 96), (0, 3, 3), 2, sd=10)
    found = scan_shift(scanned(planes, 2.0) + 15 * white(planes.shape))
    assert found.found
    assert found.shift == pytest.approx(2, abs=0.2)
    one = planes.copy()
    one[3] = scanned(planes[3], 4.0)
    assert not scan_shift(one + white(planes.shape)).found


def test_pictures_and_noises_without_a_shift_have_none() -> None:
    rng = np.random.default_rng(0)
    shape = (160, 160)
    y, x = np.mgrid[:160, :160]
    pictures = {
        "white": white(shape),
        "blurred": blurred(shape),
        "along X": averaged(shape, 5, 1),
        "rows": photo() + rng.normal(0, 30, (192, 1)),
        "columns": photo() + rng.normal(0, 30, (1, 192)),
        "sparse": photons(shape, 0.1),
        "constant": np.zeros(shape),
        "tiny": white((20, 200)),
        "copied rows": photo()[::2].repeat(2, 0),
        "enlarged": ndimage.zoom(photo(), 2, order=1),
        "mosaic": photo() * np.where((np.mgrid[:192, :192].sum(0) % 2) == 0, 1.0, 0.5),
    }
    names = ("camera", "brick", "grass", "gravel", "text", "moon", "page")
    for name in names:
        picture = getattr(skimage.data, name)()[:256, :256].astype(float)
        pictures |= {name: picture, f"{name} and noise": picture + 10 * white(picture.shape)}
    for period in (3, 5, 9):
        for angle in (15, 45, 75):
            a = np.radians(angle)
            wave = 50 * np.sin(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / period)
            pictures[f"stripes {period} {angle}"] = wave + 20 * white(shape)
    for name, picture in pictures.items():
        assert not scan_shift(picture).found, (name, scan_shift(picture))


def test_real_pictures_have_no_shift(shared_data) -> None:
    paths = [
        p for kind in ("fmd", "w2s", "oct", "photo_polyu") for p in (shared_data / kind).glob("*")
    ]
    pictures = [p for p in sorted(paths) if p.suffix in (".tif", ".png")][::4]
    assert len(pictures) > 5
    for path in pictures:
        if "repeats" not in path.name:
            plane = unnoise.open(path).read({"C": 0})[0, 0, 0]
            assert not scan_shift(plane).found, path


def test_copied_lines_are_named() -> None:
    picture = (photo() + 9 * white((192, 192))).round()
    assert copied_lines(picture).direction == "none"
    rows, columns = picture.copy(), picture.copy()
    rows[1::2] = rows[::2]
    columns[:, 2::2] = columns[:, 1:-1:2]
    assert copied_lines(rows).line().startswith("Every second row is a copy")
    assert copied_lines(columns).line().startswith("Every second column is a copy")
    for nothing in (np.zeros((64, 64)), np.zeros((3, 5)), photons((64, 64), 0.01)):
        assert not copied_lines(nothing).found
    found = unnoise.inspect(rows).channels[0].found
    assert found["copied_lines"].found
    assert not found["scan"].found
