"""Laws of tiles: each pixel written once, everything on the grid, the halo always there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unnoise.images.image import Image
from unnoise.images.pixel_mask import PixelMask
from unnoise.models.tiles import choose, mirror, read_marks, read_tile, tiles

Shape = tuple[int, ...]


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Shape, Shape, Shape, Shape]:
    """(shape, tile, halo, grid) in one to three dimensions; nothing need divide anything."""
    n = draw(st.integers(1, 3))

    def each(low: int, high: int) -> Shape:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    return each(1, 40), each(5, 50), each(0, 20), each(1, 8)


@given(cuts())
@settings(deadline=None)
def test_every_pixel_is_written_exactly_once(cut: tuple[Shape, Shape, Shape, Shape]) -> None:
    written = np.zeros(cut[0], int)
    for tile in tiles(*cut):
        assert all(0 <= w.start < w.stop <= n for w, n in zip(tile.write, cut[0], strict=True))
        written[tile.write] += 1
    assert (written == 1).all()


@given(cuts())
@settings(deadline=None)
def test_regions_lie_on_the_grid_with_the_halo_on_both_sides(
    cut: tuple[Shape, Shape, Shape, Shape],
) -> None:
    shape, length, halo, grid = cut
    for tile in tiles(*cut):
        for read, keep, write, size, most, reach, period in zip(
            tile.read, tile.keep, tile.write, shape, length, halo, grid, strict=True
        ):
            assert read.start % period == 0
            assert read.stop % period == 0
            assert keep.stop - keep.start == write.stop - write.start < most + period
            assert read.start + keep.start == write.start  # the same pixels, counted twice
            # The halo, or as much of it as there is in the image and its mirrored margin.
            low, high = -period, math.ceil(size / period) * period + period
            assert low <= read.start <= max(write.start - reach, low)
            assert min(write.stop + reach, high) <= read.stop <= high
            assert read.stop - read.start < most + 2 * reach + 4 * period  # and little more


@given(st.integers(1, 12), st.integers(-60, 60), st.integers(0, 60))
def test_mirror_is_numpys_reflection_however_far(size: int, start: int, length: int) -> None:
    before, after = 60, 120
    padded = np.pad(np.arange(size), (before, after), mode="reflect")
    expected = padded[before + start : before + start + length]
    found = mirror(start, start + length, size)
    np.testing.assert_array_equal(found, expected)
    assert np.issubdtype(found.dtype, np.integer)


@pytest.mark.parametrize("ndim", [2, 3])
def test_pixels_and_marks_of_a_tile_are_those_of_the_mirrored_image(ndim: int) -> None:
    rng = np.random.default_rng(5)
    x, excluded = rng.normal(size=(2, 3, 9, 11)), rng.random((2, 3, 9, 11)) < 0.3
    block = x[:, None, :, None] if ndim == 2 else x[None, None]  # STCZYX
    image = Image(block, "STCZYX")
    mask = PixelMask.of_planes(block, excluded.reshape(block.shape), None)
    margin = [(0, 0)] * 4 + [(4, 4)] * 2
    for tile in tiles(block.shape[-ndim:], (3, 5, 4)[-ndim:], (1, 2, 1)[-ndim:], (1, 2, 2)[-ndim:]):
        at = {"S": 1 % block.shape[0], "T": 0, "Z": 0}
        found = read_tile(image, at, tile, ndim)
        around = [slice(r.start + 4, r.stop + 4) for r in tile.read[-2:]]
        whole = np.pad(block, margin, mode="reflect")[at["S"], 0][..., *around]
        if ndim == 2:
            np.testing.assert_array_equal(found, whole[:, 0])
            assert read_marks(image, at, tile) is None
            marks = read_marks(replace(image, mask=mask), at, tile)
            padded = np.pad(excluded.reshape(block.shape), margin, mode="reflect")
            np.testing.assert_array_equal(marks, padded[at["S"], 0][:, 0][..., *around])
        else:
            planes = mirror(tile.read[0].start, tile.read[0].stop, 3)
            np.testing.assert_array_equal(found, whole[:, planes])


def blurred(block: np.ndarray, grid: Shape) -> np.ndarray:
    """Like a net: zeros beyond the block, a kernel, pooling on the grid, back, a kernel."""
    kernel = np.random.default_rng(1).normal(size=(5, 5))
    y = ndimage.correlate(block, kernel, mode="constant")
    for axis, period in enumerate(grid):
        cells = np.add.reduceat(y, np.arange(0, y.shape[axis], period), axis)
        y = np.repeat(cells, period, axis)
    return ndimage.correlate(y, kernel, mode="constant")


@pytest.mark.parametrize("tile", [(8, 8), (16, 24), (5, 100), (200, 200)])
@pytest.mark.parametrize("grid", [(1, 1), (4, 8), (3, 2)])
@pytest.mark.parametrize("shape", [(50, 61), (3, 40), (16, 16), (1, 9), (1, 1)])
def test_a_net_applied_tile_by_tile_gives_the_untiled_result(
    shape: Shape, grid: Shape, tile: Shape
) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    margins = [(g, -n % g + g) for n, g in zip(shape, grid, strict=True)]
    inside = tuple(slice(g, g + n) for n, g in zip(shape, grid, strict=True))
    expected = blurred(np.pad(x, margins, mode="reflect"), grid)[inside]
    halo = tuple(2 + g - 1 + 2 for g in grid)  # what `blurred` can reach
    result = np.full(shape, np.nan)
    for piece in tiles(shape, tile, halo, grid):
        places = [mirror(r.start, r.stop, n) for r, n in zip(piece.read, shape, strict=True)]
        result[piece.write] = blurred(x[np.ix_(*places)], grid)[piece.keep]
    np.testing.assert_allclose(result, expected, atol=1e-12)


@given(
    shape=st.lists(st.integers(1, 3000), min_size=1, max_size=3),
    steps=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    grid=st.lists(st.integers(1, 16), min_size=3, max_size=3),
    max_pixels=st.floats(1, 1e8),
)
@settings(deadline=None)
def test_chosen_tiles_fit_the_memory_unless_they_are_the_smallest(
    shape: list[int], steps: list[int], grid: list[int], max_pixels: float
) -> None:
    n = len(shape)
    period = tuple(grid[:n])
    halo = tuple(s * g for s, g in zip(steps, period, strict=False))  # on the grid
    tile = choose(tuple(shape), halo, period, max_pixels)
    whole = tuple(math.ceil(s / g) * g for s, g in zip(shape, period, strict=True))
    assert all(t % g == 0 and g <= t <= w for t, g, w in zip(tile, period, whole, strict=True))

    def pixels(side: Shape) -> int:
        sides = zip(side, halo, whole, period, strict=True)
        return math.prod(min(t + 2 * h, w + 2 * g) for t, h, w, g in sides)

    assert pixels(tile) <= max_pixels or tile == period
    if pixels(whole) <= max_pixels:
        assert tile == whole
    if tile != whole and pixels(tile) <= max_pixels:  # twice as long in some dimension is too much
        doubled = [
            (*tile[:a], min(2 * tile[a], whole[a]), *tile[a + 1 :])
            for a in range(n)
            if tile[a] < whole[a]
        ]
        assert any(pixels(side) > max_pixels for side in doubled)
    first = next(tiles(tuple(shape), tile, halo, period))  # what is read is what was counted
    assert math.prod(r.stop - r.start for r in first.read) <= pixels(tile)


def test_a_tile_may_take_exactly_as_much_as_there_is() -> None:
    assert choose((10,), (1,), (1,), 6) == (4,)  # 4 pixels and a halo of 1 on both sides
    assert choose((10,), (0,), (1,), 4) == (4,)
    assert choose((10,), (20,), (1,), 12) == (10,)  # beyond the image only a period is read


@pytest.mark.parametrize("shape", [(16, 512, 512), (32, 512, 512), (20, 128, 128), (64, 256, 256)])
def test_stacks_compute_few_pixels_for_nothing(shape: Shape) -> None:
    """With 2 GB for a tile of the default 3D net, the halos cost less than 1.5 times the stack."""
    halo, grid = (23, 47, 47), (4, 8, 8)
    tile = choose(shape, halo, grid, 2e9 / 290)
    read = sum(
        math.prod(r.stop - r.start for r in piece.read) for piece in tiles(shape, tile, halo, grid)
    )
    assert read < 2.5 * math.prod(shape)
