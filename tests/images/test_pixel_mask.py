"""Laws of pixels that are no measurement: what stands in for them, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.pixel_mask import DEPTH, PixelMask, PlaneMask, fill


def ramp(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100.0 + 2.0 * y - 3.0 * x


def holes(shape: tuple[int, ...], share: float = 0.05, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def masked(pixels: np.ndarray, excluded: np.ndarray, replaced: np.ndarray, axes: str) -> Image:
    """An image with the given mask, all of the shape of the pixels."""
    image = Image.from_array(pixels, axes)
    canonical = [ax.to_canonical(a, axes) for a in (pixels, excluded, replaced)]
    planes = {
        key: PlaneMask.of(*(a[key] for a in canonical))
        for key in np.ndindex(*canonical[0].shape[:4])
        if canonical[1][key].any()
    }
    return replace(image, mask=PixelMask(canonical[0].shape[-2:], planes))


def test_pixels_that_are_measurements_stay_and_nothing_is_written_to() -> None:
    truth = ramp().astype(np.float32)
    bad = holes(truth.shape)
    x = np.where(bad, np.float32(np.nan), truth)
    kept = x.copy()
    result = fill(x, bad)
    np.testing.assert_array_equal(result[~bad], truth[~bad])
    # Neighbours differ by at most 5; a hole at the border of the ramp is off by a few of them.
    assert np.abs(result - truth)[bad].max() <= 10
    assert np.abs(result - truth)[bad].mean() <= 1.5
    np.testing.assert_array_equal(x, kept)
    assert result.dtype == x.dtype


@pytest.mark.parametrize("value", [0.0, -3.5, 1e6])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_holes_in_a_constant_become_the_constant(value: float, bad: float) -> None:
    plane = np.full((60, 70), value)
    plane[holes(plane.shape, 0.3)] = bad
    plane[10:50, 5:45] = bad
    np.testing.assert_allclose(fill(plane, ~np.isfinite(plane)), value, rtol=1e-9)


def test_pixels_that_are_kept_are_told_from_those_that_are_replaced() -> None:
    x = ramp()[None, None, None, None]
    excluded, kept = holes(x.shape), holes(x.shape, 0.5, seed=1)
    for given, expected in ((kept, excluded & kept), (None, np.zeros_like(excluded))):
        mask = PixelMask.of_planes(x, excluded, given)
        image = replace(Image.from_array(x[0, 0, 0, 0], "YX"), mask=mask)
        np.testing.assert_array_equal(image.excluded(), excluded)
        found = image.kept()
        np.testing.assert_array_equal(False if found is None else found, expected)


def test_a_lone_hole_is_filled_from_the_pixels_that_touch_it() -> None:
    """On a parabola a mean is too high by the mean squared distance of what it is of."""
    square = np.tile((np.arange(33.0) - 16) ** 2, (33, 1))
    hole = np.zeros((33, 33), bool)
    hole[16, 16] = True
    assert 1 <= fill(square, hole)[16, 16] < 1.5


@pytest.mark.parametrize("side", [40, 20])
def test_padding_continues_the_picture_as_the_mirror_of_numpy_does(side: int) -> None:
    """The rim is repeated, as by ``np.pad(mode="symmetric")``: the oracle; of a picture that is
    narrower than its padding the mirror image has a mirror image.
    """
    inner = np.random.default_rng(0).normal(100, 9, (80, side))
    pad = 30
    for where in ((0, 0), (pad, 0), (0, pad)):
        width = ((0, 0), where)
        truth = np.pad(inner, width, mode="symmetric")
        excluded = np.pad(np.zeros(inner.shape, bool), width, constant_values=True)
        x = np.where(excluded, -1e4, truth)
        np.testing.assert_array_equal(fill(x, excluded), truth)


def test_a_filling_has_the_noise_of_what_is_around() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(50, 7, (128, 128))
    y, xx = np.mgrid[:128, :128]
    outside = np.hypot(y - 64, xx - 64) > 50
    found = fill(np.where(outside, 0, x), outside)
    assert found[outside].std() == pytest.approx(7, rel=0.1)
    assert found[outside].mean() == pytest.approx(50, abs=1)


def test_far_from_all_measurements_the_filling_is_constant() -> None:
    x = np.random.default_rng(0).normal(10, 1, (16, 400))
    excluded = np.zeros(x.shape, bool)
    excluded[:, 100:] = True
    found = fill(x, excluded)[:, 100 + DEPTH + 1 :]
    np.testing.assert_allclose(found, x[:, :100].mean())


@pytest.mark.parametrize("turned", [False, True])
def test_large_planes_are_filled_in_parts_like_small_ones(turned: bool) -> None:
    """Wide ones and tall ones."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 4500)).astype(np.float32)
    excluded = holes(x.shape, 0.01) | (np.arange(4500) % 1500 < 90)
    parts = [slice(1500 * i, 1500 * (i + 1)) for i in range(3)]

    def filled(part: slice) -> np.ndarray:
        plane, marks = x[:, part], excluded[:, part]
        return fill(plane.T, marks.T).T if turned else fill(plane, marks)

    whole = filled(slice(None))
    for part in parts:  # the middle of every part knows nothing of the others
        np.testing.assert_array_equal(filled(part)[:, 300:1200], whole[:, part][:, 300:1200])


@pytest.mark.parametrize("corner", [(0, 0), (63, 0), (20, 63)])
def test_one_measurement_fills_its_plane(corner: tuple[int, int]) -> None:
    plane = np.full((64, 64), np.nan, np.float32)
    plane[corner] = 7
    np.testing.assert_allclose(fill(plane, np.isnan(plane)), 7, rtol=1e-6)


def test_planes_of_nothing_else_become_zeros() -> None:
    assert not fill(np.full((8, 8), np.nan), np.ones((8, 8), bool)).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("axes", ["YX", "TYX", "YXC", "CZYX", "XYT"])
@pytest.mark.parametrize("share", [0.0005, 0.2])
def test_reading_any_region_gives_that_region_of_the_filled_planes(
    axes: str, dtype: Any, share: float
) -> None:
    rng = np.random.default_rng(5)
    shape = tuple({"Y": 60, "X": 70}.get(letter, 3) for letter in axes)
    pixels = rng.integers(0, 100, shape).astype(dtype)
    excluded = holes(shape, share)
    image = masked(pixels, excluded, excluded & holes(shape, 0.5, 1), axes)
    block, bad = (ax.to_canonical(a, axes) for a in (pixels, excluded))
    whole = np.empty_like(block)
    for key in np.ndindex(*block.shape[:4]):  # the oracle: every plane by itself
        whole[key] = fill(block[key], bad[key])
    np.testing.assert_array_equal(image.read(), whole)
    np.testing.assert_array_equal(image.original(), block)
    for _ in range(5):
        start, stop = np.sort(rng.choice(61, 2, replace=False))
        where = {"Y": slice(start, stop), "X": slice(7, 66, 3)}
        part = (..., where["Y"], where["X"])
        np.testing.assert_array_equal(image.read(where), whole[part])
        marks = image.excluded(where)
        assert (marks is None) == (not bad[part].any())
        if marks is not None:
            np.testing.assert_array_equal(marks, bad[part])


def test_results_take_back_what_is_kept_bit_for_bit() -> None:
    rng = np.random.default_rng(6)
    pixels = rng.normal(size=(50, 60)).astype(np.float32)
    excluded = holes(pixels.shape, 0.1)
    replaced = excluded & holes(pixels.shape, 0.5, 1)
    pixels[excluded] = np.frombuffer(b"\x01\x00\xc0\x7f", np.float32)  # a NaN with a payload
    image = masked(pixels, excluded, replaced, "YX")
    clean = np.full((1, 1, 1, 1, 50, 60), 3.0)
    result = image.finished(clean, {}, np.float32)[0, 0, 0, 0]
    kept = excluded & ~replaced
    assert (result[kept].view(np.uint32) == pixels[kept].view(np.uint32)).all()
    assert (result[~kept] == 3).all()
    assert np.isnan(image.spread(clean, {})[0, 0, 0, 0][kept]).all()


def test_a_part_of_an_image_knows_its_own_excluded_pixels() -> None:
    pixels = np.random.default_rng(7).normal(size=(3, 40, 50))
    excluded = holes(pixels.shape, 0.1)
    image = masked(pixels, excluded, np.zeros_like(excluded), "TYX")
    where = {"T": 1, "Y": slice(4, 30), "X": slice(5, 45)}
    part = image.part(where)
    np.testing.assert_array_equal(part.read(), image.read(where))
    marks = part.excluded()
    assert marks is not None
    np.testing.assert_array_equal(marks[0, 0, 0, 0], excluded[1, 4:30, 5:45])


def test_wide_holes_take_as_few_filters_as_narrow_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """No filter ever becomes as wide as a hole: that took minutes."""
    widths = []
    filtered = ndimage.gaussian_filter

    def counted(values: np.ndarray, sigma: float, **options: Any) -> np.ndarray:
        widths.append(sigma)
        return filtered(values, sigma, **options)

    monkeypatch.setattr(ndimage, "gaussian_filter", counted)
    plane = np.ones((400, 400))
    plane[50:350, 50:350] = np.nan
    plane[10, 10] = np.nan
    fill(plane, np.isnan(plane))
    assert max(widths) <= 8


def test_planes_that_were_filled_last_are_kept_and_no_more_of_them() -> None:
    x = np.random.default_rng(8).normal(size=(1, 1, 1, 4, 40, 48))
    bad = holes(x.shape, 0.2)
    whole = PixelMask.of_planes(x, bad, None)
    planes = {key: PlaneMask(plane.excluded) for key, plane in whole.planes.items()}

    def looked_up(cache: int, order: list[int]) -> list[int]:
        mask = PixelMask((40, 48), planes, cache=cache)
        found: list[int] = []

        def raw(key: tuple[int, int, int, int]) -> np.ndarray:
            found.append(key[3])
            return np.asarray(x[key])

        for z in order:
            picks = (*[np.array([0])] * 3, np.array([z]), np.arange(40), np.arange(48))
            block = mask.filled(x[:, :, :, z : z + 1], picks, raw)
            np.testing.assert_array_equal(block[0, 0, 0, 0], fill(x[0, 0, 0, z], bad[0, 0, 0, z]))
        return found

    two = 2 * x[0, 0, 0, 0].nbytes
    assert looked_up(two, [0, 1, 0, 1, 0, 2, 0, 2, 1, 0]) == [0, 1, 2, 1, 0]
    assert looked_up(0, [0, 0, 1, 1, 0]) == [0, 1, 0], "the last one stays, however large"
