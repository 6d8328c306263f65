"""Laws of missing pixels: counted, refused with their number, or filled from their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import unnoise
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.missing import checked, count, fill


class Untouchable:
    """An array that must not be read."""

    shape = (64, 64)

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)

    def __getitem__(self, where: Any) -> np.ndarray:
        raise AssertionError("read")


def ramp(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100.0 + 2.0 * y - 3.0 * x


def holes(shape: tuple[int, ...], share: float = 0.05, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "?"])
def test_integers_have_no_missing_pixels_and_are_not_read(dtype: str) -> None:
    image = Image.from_array(Untouchable(dtype))
    assert count(image) == 0
    assert checked(image) is image
    assert checked(image, nan="fill") is image


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("axes", ["YX", "TZYX", "YXC", "XCSYTZ"])
def test_every_missing_pixel_is_counted_and_the_message_says_so(axes: str, dtype: Any) -> None:
    shape = tuple({"Y": 40, "X": 50}.get(letter, 2) for letter in axes)
    x = np.ones(shape, dtype)
    spots = np.argwhere(holes(shape))
    assert len(spots) >= 3
    for i, spot in enumerate(spots):
        x[tuple(spot)] = (np.nan, np.inf, -np.inf)[i % 3]
    image = Image.from_array(x, axes)
    assert count(image) == len(spots)
    with pytest.raises(InputError, match=f"{len(spots):,} NaN or infinite pixels of {x.size:,}"):
        checked(image)
    full = checked(image, nan="fill")
    assert count(full) == 0
    assert (full.axes, full.dtype) == (axes, np.dtype(dtype))
    assert checked(full) is full


@pytest.mark.parametrize(
    "axes", ["YX", "XY", "YXC", "CYX", "SYX", "TCZYX", "ZCYX", "TZCYX", "ZYXC"]
)
def test_filling_is_plane_by_plane_and_leaves_finite_pixels_alone(axes: str) -> None:
    sizes = {"Y": 48, "X": 64}
    shape = tuple(sizes.get(letter, 2) for letter in ax.CANONICAL if letter in axes)
    level = 1000.0 * np.arange(np.prod(shape[:-2]))  # planes differ far more than neighbours
    truth = (level[:, None, None] + ramp()).reshape(shape)
    own = [letter for letter in ax.CANONICAL if letter in axes]
    truth = truth.transpose([own.index(letter) for letter in axes]).astype(np.float32)
    bad = holes(truth.shape)
    x = np.where(bad, np.float32(np.nan), truth)
    kept = x.copy()
    result = np.asarray(checked(Image.from_array(x, axes), nan="fill").data)
    np.testing.assert_array_equal(result[~bad], truth[~bad])
    # Neighbours differ by at most 5; a hole at the border of the ramp is off by a few of them.
    assert np.abs(result - truth)[bad].max() <= 10
    assert np.abs(result - truth)[bad].mean() <= 1.5
    np.testing.assert_array_equal(x, kept)  # the caller's array is not written to


@pytest.mark.parametrize("value", [0.0, -3.5, 1e6])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_holes_in_a_constant_become_the_constant(value: float, bad: float) -> None:
    plane = np.full((60, 70), value)
    plane[holes(plane.shape, 0.3)] = bad
    plane[10:50, 5:45] = bad  # far wider than the first Gaussian
    np.testing.assert_allclose(fill(plane), value, rtol=1e-9)


def test_a_large_hole_in_a_ramp_is_bridged_from_all_sides() -> None:
    truth = ramp((64, 64))
    x = truth.copy()
    x[24:40, 24:40] = np.nan
    error = np.abs(fill(x) - truth)
    assert error[x == x].max() == 0
    assert error.max() <= 5 * 8  # never further than the slope times the way to the rim
    assert abs(error[31:33, 31:33].mean()) <= 5  # symmetric surroundings: right in the middle


@pytest.mark.parametrize("corner", [(0, 0), (63, 0), (20, 63)])
def test_one_finite_pixel_fills_its_plane(corner: tuple[int, int]) -> None:
    plane = np.full((64, 64), np.nan, np.float32)
    plane[corner] = 7
    np.testing.assert_allclose(fill(plane), 7, rtol=1e-6)


def test_a_plane_without_finite_pixels_takes_the_mean_of_the_rest() -> None:
    x = np.random.default_rng(0).normal(50, 2, (3, 32, 32))
    x[1] = np.nan
    assert np.isnan(fill(x[1])).all()
    result = np.asarray(checked(Image.from_array(x, "ZYX"), nan="fill").data)
    np.testing.assert_allclose(result[1], x[[0, 2]].mean())
    np.testing.assert_array_equal(result[[0, 2]], x[[0, 2]])


def test_nothing_finite_and_unknown_choices_are_refused() -> None:
    x = np.full((32, 32), np.nan)
    with pytest.raises(InputError, match="no finite pixel"):
        checked(Image.from_array(x), nan="fill")
    with pytest.raises(InputError, match=r"'drop'.*refuse or fill"):
        checked(Image.from_array(np.ones((32, 32))), nan="drop")


def test_python_calls_refuse_missing_pixels_and_fill_them_on_request() -> None:
    x = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    model = unnoise.train(x, steps=1)
    x[5, 5] = np.nan
    for call in (unnoise.denoise, unnoise.train, model.predict):
        with pytest.raises(InputError, match=r"1 NaN or infinite pixels.*unnoise\.fill_missing"):
            call(x)
    filled = unnoise.fill_missing(x)
    assert np.isfinite(model.predict(filled)).all()
    assert np.isnan(x[5, 5])
    stack = np.stack([x, x])
    assert np.array_equal(unnoise.fill_missing(stack, axes="ZYX")[1], filled)


def test_wide_holes_take_as_few_filters_as_narrow_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """No filter ever becomes as wide as a hole: that took minutes."""
    widths = []
    filtered = ndimage.gaussian_filter

    def counted(values: np.ndarray, sigma: float, **options: Any) -> np.ndarray:
        widths.append(sigma)
        return filtered(values, sigma, **options)

    monkeypatch.setattr(ndimage, "gaussian_filter", counted)
    plane = np.full((600, 600), np.nan)
    plane[:40, :40] = 3.0
    np.testing.assert_allclose(fill(plane), 3.0)
    assert len(widths) <= 8
    assert max(widths) <= 8
