"""Zoom levels against means of blocks, with copies in the file, without, and of huge images."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from unnoise.app import pyramid
from unnoise.app.pyramid import TILE, Place, Pyramid, means
from unnoise.images import formats
from unnoise.images.image import Image

FIRST = Place(0, 0, 0, (0,))
"""The first channel of the first plane."""


def by_loop(plane: NDArray, steps: int) -> NDArray:
    """The definition, block by block."""
    if steps == 1:
        return plane
    tall, wide = (-(-n // steps) for n in plane.shape)
    result = np.empty((tall, wide))
    for i in range(tall):
        for j in range(wide):
            block = plane[i * steps : (i + 1) * steps, j * steps : (j + 1) * steps]
            good = block[~np.isnan(block)] if block.dtype.kind == "f" else block
            result[i, j] = good.mean() if good.size else np.nan
    return result


def whole(found: Pyramid, level: int, place: Place) -> tuple[NDArray, float]:
    """A level out of its tiles."""
    height, width = found.shape(level)
    shares, rows = [], []
    for y in range(0, height, TILE):
        row = []
        for x in range(0, width, TILE):
            part = slice(y, min(y + TILE, height)), slice(x, min(x + TILE, width))
            block, share = found.read(level, *part, place)
            shares.append(share)
            row.append(block)
        rows.append(np.concatenate(row, axis=2))
    return np.concatenate(rows, axis=1), min(shares)


def wait(look: Callable[[], float]) -> None:
    """Until an overview is exact."""
    end = time.monotonic() + 60
    while look() < 1:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(1, 1), (13, 7), (16, 24)])
def test_means_are_those_of_blocks(steps: int, dtype: type, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    plane = (rng.random(shape) * 1000).astype(dtype)
    if np.dtype(dtype).kind == "f":
        plane[rng.random(shape) < 0.3] = np.nan
    found = means(plane[None], (steps, steps))[0]
    np.testing.assert_allclose(found, by_loop(plane, steps), rtol=1e-6)


def test_levels_end_with_one_tile() -> None:
    for side, levels in ((1, 1), (256, 1), (257, 2), (512, 2), (513, 3), (20_000, 8)):
        found = Pyramid(Image(np.broadcast_to(np.uint8(0), (3, side)), "YX"))
        assert found.levels == levels
        assert max(found.shape(levels - 1)) <= TILE


def test_every_level_of_a_stack_is_the_mean_of_its_plane() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60_000, (2, 3, 2, 301, 530)).astype(np.uint16)
    found = Pyramid(Image.from_array(pixels, axes="TZCYX"))
    for level in range(found.levels):
        block, share = whole(found, level, Place(0, 1, 2, (1, 0)))
        assert share == 1
        for got, c in zip(block, (1, 0), strict=True):
            np.testing.assert_allclose(got, by_loop(pixels[1, 2, c], 2**level), rtol=1e-5)


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, pixels: NDArray) -> None:
        self.pixels, self.shape, self.dtype, self.read = pixels, pixels.shape, pixels.dtype, 0

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray:
        block = self.pixels[index]
        self.read += block.size
        return block


@pytest.mark.parametrize("many", [2**20, 2**28])
def test_an_overview_is_coarse_at_first_and_exact_in_the_end(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(pyramid, "MANY", many)
    monkeypatch.setattr(pyramid, "WHOLE", 2**16)
    monkeypatch.setattr(pyramid, "AT_ONCE", 2**16)
    rng = np.random.default_rng(0)
    slow = np.sin(np.arange(2500) / 400)
    plane = 100 + 50 * slow[:, None] * slow + rng.normal(0, 5, (2500, 2500))
    data = Counted(plane.astype(np.float32))
    found = Pyramid(Image(data, "YX"))
    top, place = found.levels - 1, Place(0, 0, 0, (0,))
    expected = by_loop(data.pixels, 2**top)
    block, share = whole(found, top, place)
    assert share < 1
    assert np.abs(block[0] - expected).mean() < 10  # of +-50
    wait(lambda: whole(found, top, place)[1])
    np.testing.assert_allclose(whole(found, top, place)[0][0], expected, rtol=1e-5)
    read = data.read
    for level in range(2, found.levels):
        whole(found, level, place)
    assert data.read == read  # all of it comes from memory
    assert read < 1.2 * plane.size


def test_what_nobody_looks_at_is_not_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "WHOLE", 2**16)
    monkeypatch.setattr(pyramid, "AT_ONCE", 2**16)
    monkeypatch.setattr(pyramid, "PATIENCE", 0.0)
    data = Counted(np.zeros((3000, 3000), np.uint8))
    found, place = Pyramid(Image(data, "YX")), Place(0, 0, 0, (0,))
    assert whole(found, found.levels - 1, place)[1] < 1
    before = -1
    while data.read != before:
        before = data.read
        time.sleep(0.05)
    assert data.read < data.pixels.size / 2
    wait(lambda: whole(found, found.levels - 1, place)[1])  # whoever looks again has it go on


def test_overviews_of_many_planes_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "AT_ONCE", 2**16)
    monkeypatch.setattr(pyramid, "KEPT", 2**22)
    found = Pyramid(Image(np.broadcast_to(np.uint8(3), (30, 1024, 1024)), "ZYX"))
    for z in range(30):
        block, _ = whole(found, found.levels - 1, Place(0, 0, z, (0,)))
        assert (block == 3).all()
    kept = found._overviews.values()
    assert 2**21 <= sum(one.nbytes for one in kept) <= 2**22


def test_an_error_of_the_file_is_told_to_whoever_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "WHOLE", 2**16)
    monkeypatch.setattr(pyramid, "AT_ONCE", 2**16)

    class Broken(Counted):
        def __getitem__(self, index: tuple[slice, ...]) -> NDArray:
            block = super().__getitem__(index)
            if block.size > 2000:
                raise ValueError("damaged")
            return block

    found = Pyramid(Image(Broken(np.zeros((3000, 3000), np.uint8)), "YX"))
    place = Place(0, 0, 0, (0,))
    with pytest.raises(ValueError, match="damaged"):
        wait(lambda: whole(found, found.levels - 1, place)[1])


@pytest.mark.parametrize("sizes", [((300, 200), (150, 100)), ((301, 203), (150, 101))])
def test_copies_of_a_file_are_used(tmp_path: Path, sizes: tuple[tuple[int, int], ...]) -> None:
    path = tmp_path / "a.ome.tif"
    rng = np.random.default_rng(0)
    with tifffile.TiffWriter(path, ome=True) as file:
        first = rng.integers(0, 99, sizes[0]).astype(np.uint8)
        second = rng.integers(100, 200, sizes[1]).astype(np.uint8)
        file.write(first, subifds=1, metadata={"axes": "YX"})
        file.write(second, subfiletype=1)
    found, place = Pyramid(formats.open(path)), Place(0, 0, 0, (0,))
    np.testing.assert_array_equal(whole(found, 0, place)[0][0], first)
    block = whole(found, 1, place)[0][0]
    assert block.shape == found.shape(1)
    tall, wide = second.shape
    np.testing.assert_array_equal(block[:tall, :wide], second)
    assert block.min() >= 100


def test_a_copy_of_another_factor_is_shown_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    y, x = np.mgrid[:900, :1200]
    with tifffile.TiffWriter(path) as file:
        file.write((y + x).astype(np.uint16), subifds=1, metadata=None)
        file.write((y + x)[1::3, 1::3].astype(np.uint16), subfiletype=1)
    found = Pyramid(formats.open(path))
    block = whole(found, 2, Place(0, 0, 0, (0,)))[0][0]
    expected = by_loop((y + x).astype(float), 4)
    assert np.abs(block - expected).max() <= 4


@pytest.mark.parametrize("height", [3, 20, 33])
def test_a_thin_image_that_unnoise_wrote_is_shown_in_place(tmp_path: Path, height: int) -> None:
    ramp = np.tile(np.arange(4500, dtype=np.float32), (height, 1))
    formats.save(tmp_path / "a.ome.zarr", Image.from_array(ramp))
    found = Pyramid(formats.open(tmp_path / "a.ome.zarr"))
    for level in range(found.levels):
        block = whole(found, level, FIRST)[0][0]
        middles = np.arange(block.shape[1] - 1) * 2**level + (2**level - 1) / 2
        assert np.abs(block[:, :-1] - middles).max() < 0.01


def shrunk(plane: NDArray, down: int, right: int) -> Image:
    """A copy in which each pixel is the mean of so many."""
    tall, wide = plane.shape
    return Image(plane.reshape(tall // down, down, wide // right, right).mean((1, 3)), "YX")


@pytest.mark.parametrize("factors", [[(2, 4), (4, 16)], [(4, 2), (16, 4)], [(64, 64)], [(3, 3)]])
@pytest.mark.parametrize("at_once", [2**16, 2**20])
def test_copies_of_any_factors_are_shown_in_place(
    monkeypatch: pytest.MonkeyPatch, factors: list[tuple[int, int]], at_once: int
) -> None:
    monkeypatch.setattr(pyramid, "AT_ONCE", at_once)
    y, x = np.mgrid[:768, :1536].astype(np.float32)
    for ramp in (y, x):  # each value is a place
        copies = [shrunk(ramp, *pair) for pair in factors]
        monkeypatch.setattr(formats, "smaller", lambda image, copies=copies: copies)
        found = Pyramid(Image(ramp, "YX"))
        for level in range(found.levels):
            wait(lambda level=level, found=found: whole(found, level, FIRST)[1])
            seen = whole(found, level, FIRST)[0]
            off = seen - means(ramp[None], (2**level, 2**level))
            assert np.abs(off).max() <= 2**level
