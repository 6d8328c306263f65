"""Which axes a mask has, and what in it is no answer."""

from __future__ import annotations

import numpy as np
import pytest

import unnoise
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.selection import select
from unnoise.noise import excluded_pixels
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.lazy_mask import LazyMask

PIXELS = np.random.default_rng(0).normal(1000, 40, (4, 4, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(("told", "where"), [("TYX", (0,)), ("ZYX", (slice(None), 0))])
def test_a_mask_that_knows_its_axes_counts_along_those(told: str, where: tuple) -> None:
    mask = np.ones((4, 32, 32), np.uint8)
    mask[0] = 0
    found = with_mask(Image.from_array(PIXELS, "TZYX"), Image.from_array(mask, told)).excluded()
    wanted = np.zeros(PIXELS.shape, bool)
    wanted[where] = True
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_a_mask_of_other_axes_is_one_of_the_planes_of_its_shape() -> None:
    mask = np.ones((4, 32, 32), np.uint8)
    mask[0] = 0
    image = Image.from_array(PIXELS[0], "TYX")
    found = with_mask(image, Image.from_array(mask, "ZYX")).excluded()  # as a file without axes
    assert found.reshape(PIXELS[0].shape)[0].all()
    assert found.sum() == mask[0].size


def test_a_mask_with_nan_is_refused() -> None:
    mask = np.ones((32, 32))
    mask[3, 4] = np.nan
    with pytest.raises(InputError, match="pixels that are NaN; give 0 where"):
        with_mask(Image.from_array(PIXELS[0, 0], "YX"), mask)


def marks_of(image: Image) -> np.ndarray:
    """Excluded pixels in the order of the axes of an image without channels."""
    found = image.excluded()
    return np.zeros(image.shape, bool) if found is None else found.reshape(image.shape)


def marked() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A plane with a NaN, a hot pixel and three of -9999, and two masks of it."""
    plane = PIXELS[0, 0].copy()
    plane[3, 30], plane[20, 20], plane[25, 3:6] = np.nan, 9e4, -9999
    top, left = np.ones(plane.shape, bool), np.ones(plane.shape, bool)
    top[:8], left[:, :2] = False, False
    return plane, top, left


def test_what_an_image_was_told_stays_when_more_is_told() -> None:
    plane, top, left = marked()
    first = with_mask(plane, top, nodata=-9999, nan="fill", keep_outliers=True)
    bad = ~top | (plane == -9999) | (plane == 9e4) | np.isnan(plane)
    np.testing.assert_array_equal(marks_of(first), bad)
    second = with_mask(first, left)
    np.testing.assert_array_equal(marks_of(second), bad | ~left)
    kept = second.kept()
    assert kept is not None
    np.testing.assert_array_equal(kept[0, 0, 0, 0], (bad | ~left) & ~np.isnan(plane))
    np.testing.assert_array_equal(marks_of(with_mask(second, nan="keep")), bad | ~left)
    again = with_mask(second, nan="keep", keep_outliers=False).kept()
    assert again is not None
    np.testing.assert_array_equal(again[0, 0, 0, 0], (bad | ~left) & (plane != 9e4))
    assert with_mask(second, nan="fill", nodata=-9999) is second
    assert not marks_of(with_mask(second, nodata=-1))[25, 4]
    with pytest.raises(InputError, match="1 NaN"):
        with_mask(second, nan="refuse")


def test_other_letters_and_parts_keep_what_an_image_was_told() -> None:
    stack = PIXELS[0]
    known = np.ones(stack.shape, bool)
    known[1, :8], known[3, :, 20:] = False, False
    given = np.ma.MaskedArray(stack, np.broadcast_to(np.arange(32) > 29, stack.shape))
    bad = ~known | given.mask
    image = with_mask(given, known, axes="TYX")
    assert image.with_axes("tyx") is image
    np.testing.assert_array_equal(marks_of(with_mask(image, axes="ZYX")), bad)
    np.testing.assert_array_equal(marks_of(with_mask(select(image, {"T": "3"}))), bad[3])
    np.testing.assert_array_equal(marks_of(with_mask(select(image, {"T": "3,1"}))), bad[[3, 1]])
    corner = image.window({"Y": slice(4, 20), "X": slice(10, 32)})
    np.testing.assert_array_equal(marks_of(with_mask(corner)), bad[:, 4:20, 10:])
    other = with_mask(image.with_data(stack))
    assert other.mask is not None
    assert other.mask.is_empty, "other pixels are told nothing"


def test_results_keep_what_all_masks_exclude() -> None:
    plane, top, left = marked()
    image = with_mask(plane, top)
    model = unnoise.train(image, method="gaussian")
    for result, bad in (
        (model.predict(image, axes="YX"), ~top),
        (model.predict(image, mask=left), ~(top & left)),
        (unnoise.denoise(image, mask=left, method="gaussian"), ~(top & left)),
    ):
        same = (result == plane) | np.isnan(plane)
        assert same[bad].all()
        assert not same[~bad & (plane > 0) & (plane < 5000)].any()
    counts = {
        "one": with_mask(image, left).mask.counts["given"],
        "all": np.count_nonzero(~(top & left) & np.isfinite(plane)),
    }
    assert counts["one"] == counts["all"]


def test_huge_images_are_told_of_masks_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, top, left = marked()
    whole = with_mask(with_mask(plane, top, nodata=-9999), left)
    monkeypatch.setattr(excluded_pixels, "ALL", 500)
    huge = with_mask(with_mask(plane, top, nodata=-9999), left)
    assert isinstance(huge.mask, LazyMask)
    np.testing.assert_array_equal(marks_of(huge), marks_of(whole))
    hidden = np.ma.MaskedArray(plane, ~top)
    looked = excluded_pixels.looked_at(Image.from_array(hidden))
    assert looked.mask is not None
    assert looked.mask.counts["given"] == (~top).sum() - 1, "without the NaN"


def test_masks_of_planes_take_no_memory_of_volumes() -> None:
    image = Image.from_array(np.broadcast_to(PIXELS[0, 0], (50, 32, 32)), "TYX")
    once = with_mask(with_mask(image, np.arange(32) + np.zeros((32, 1)) > 3), np.tri(32) > 0)
    assert once.wanted.given is not None
    assert once.wanted.given.strides[0] == 0
    np.testing.assert_array_equal(marks_of(once)[7], (np.arange(32) < 4) | (np.tri(32) == 0))


@pytest.mark.parametrize("kind", ["hidden", "mask", "nodata", "outlier"])
def test_missing_pixels_are_filled_from_measurements_alone(kind: str) -> None:
    plane = PIXELS[0, 0].copy()
    gone = np.zeros(plane.shape, bool)
    gone[10:12] = kind != "outlier"
    gone[12, 20] = kind == "outlier"
    plane[gone] = 9e4 if kind == "outlier" else -9999
    plane[12, 4:28:3] = np.nan
    plane[12, 19] = plane[13, 20] = np.nan
    given = {
        "hidden": np.ma.MaskedArray(plane, gone),
        "mask": with_mask(plane, ~gone),
        "nodata": with_mask(plane, nodata=-9999),
        "outlier": plane,
    }[kind]
    filled = unnoise.fill_missing(given)
    assert isinstance(filled, np.ma.MaskedArray) == (kind == "hidden")
    if kind == "hidden":
        np.testing.assert_array_equal(filled.mask, gone)
    pixels = np.ma.getdata(filled)
    np.testing.assert_array_equal(pixels[~np.isnan(plane)], plane[~np.isnan(plane)])
    assert np.abs(pixels[np.isnan(plane)] - 1000).max() < 150


def test_planes_without_a_measurement_are_filled_with_the_mean_of_measurements() -> None:
    stack = PIXELS[0, :2].copy()
    hidden = np.zeros(stack.shape, bool)
    hidden[1, :16] = hidden[0, :4] = True
    stack[hidden] = -9999
    stack[1, 16:] = np.nan
    filled = np.ma.getdata(unnoise.fill_missing(np.ma.MaskedArray(stack, hidden), axes="ZYX"))
    np.testing.assert_allclose(filled[1, 16:], PIXELS[0, 0, 4:].mean(), rtol=1e-5)
    np.testing.assert_array_equal(filled[hidden], -9999)


@pytest.mark.parametrize(
    ("axes", "shape", "of_mask", "letters"),
    [
        ("TCYX", (4, 3, 32, 40), (3, 32, 40), "CYX"),
        ("TCYX", (4, 3, 32, 40), (4, 32, 40), "TYX"),
        ("TZYX", (3, 3, 32, 40), (3, 32, 40), "ZYX"),
        ("TYXC", (4, 32, 40, 3), (32, 40, 3), "YXC"),
        ("TCZYX", (4, 2, 3, 32, 40), (2, 3, 32, 40), "CZYX"),
        ("TYX", (3, 1, 40), (3, 1, 40), "TYX"),
    ],
)
def test_a_mask_is_of_the_last_dimensions_with_or_without_channels(
    axes: str, shape: tuple[int, ...], of_mask: tuple[int, ...], letters: str
) -> None:
    rng = np.random.default_rng(1)
    x, known = rng.normal(100, 9, shape), rng.random(of_mask) < 0.8
    bad = np.zeros(shape, bool)
    for at in np.ndindex(*shape):
        bad[at] = not known[tuple(at[axes.index(k)] for k in letters)]
    found = with_mask(x, known, axes=axes).excluded()
    np.testing.assert_array_equal(found, ax.to_canonical(bad, axes))


def test_a_mask_of_channels_or_frames_alike_is_refused_until_it_is_told_which() -> None:
    image = Image.from_array(np.random.default_rng(2).normal(size=(3, 3, 32, 32)), "TCYX")
    mask = np.ones((3, 32, 32), bool)
    mask[1] = False
    with pytest.raises(InputError, match=r"may have the axes CYX or TYX .*from_array\(mask, 'CYX'"):
        with_mask(image, mask)
    frames = marks_of(with_mask(image, Image.from_array(mask, "TYX")))
    assert frames[1].all()
    assert frames.mean() == pytest.approx(1 / 3)
    assert marks_of(with_mask(image, mask[None].repeat(3, 0)))[:, 1].all()


def test_masks_whose_dimensions_have_names_are_laid_on_those() -> None:
    xarray = pytest.importorskip("xarray")
    image = Image.from_array(PIXELS[:, :], "TZYX")
    known = np.ones((4, 32, 32), bool)
    known[2, 5:9, 20:] = False
    found = marks_of(with_mask(image, xarray.DataArray(known, dims=("t", "y", "x"))))
    np.testing.assert_array_equal(found, np.repeat(~known[:, None], 4, 1))
    turned = xarray.DataArray(known[2].T, dims=("x", "y"))
    np.testing.assert_array_equal(marks_of(with_mask(image, turned))[1, 3], ~known[2])
    plain = xarray.DataArray(known)  # dim_0, dim_1, dim_2
    np.testing.assert_array_equal(marks_of(with_mask(image, plain))[3], ~known)
    with pytest.raises(InputError, match="called roi, y, x, which is no part of the axes of"):
        with_mask(image, xarray.DataArray(known, dims=("roi", "y", "x")))
    with pytest.raises(InputError, match=r"axes XY and shape \(30, 32\)"):
        with_mask(image, xarray.DataArray(known[0, :30], dims=("x", "y")))


def test_options_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match=r"nodata is '5' \(str\), which cannot be; give a number"):
        with_mask(PIXELS[0, 0], nodata="5")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"keep_outliers is 'no' \(str\), which cannot be"):
        with_mask(PIXELS[0, 0], keep_outliers="no")  # type: ignore[arg-type]
    for value in (np.float32(5), np.uint8(5), 5):
        assert with_mask(PIXELS[0, 0], nodata=value, keep_outliers=np.bool_(True)).mask is not None


def test_what_a_mask_that_is_a_masked_array_hides_is_no_measurement() -> None:
    mask = np.ma.MaskedArray(np.ones((32, 32), np.uint8), np.tri(32) > 0)
    mask[:3] = 0
    bad = (np.tri(32) > 0) | (np.arange(32) < 3)[:, None]
    for given in (mask, mask.astype(bool), Image.from_array(mask)):
        np.testing.assert_array_equal(marks_of(with_mask(PIXELS[0, 0], given)), bad)
