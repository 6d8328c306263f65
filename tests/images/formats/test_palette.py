"""What a palette is for is told alike for PNG and TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from unnoise.errors import InputError
from unnoise.images import formats

RNG = np.random.default_rng(0)
RAMP = np.arange(256)
COLOURS = RNG.integers(0, 256, (3, 256))
NOISE = np.clip(RNG.normal(120, 30, (48, 40)), 0, 255).astype(np.uint8)
CELLS = np.kron(RNG.integers(0, 40, (6, 5)), np.ones((8, 8), int)).astype(np.uint8)
JET = (np.clip(2 - np.abs(4 * RAMP / 255 - np.array([[3], [2], [1]])), 0, 1) * 255).astype(int)


def write(path: Path, pixels: np.ndarray, colours: np.ndarray) -> None:
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, colormap=(colours * 257).astype(np.uint16), metadata=None)
    else:
        image = Pillow.fromarray(pixels)
        image.putpalette(colours.T.astype(np.uint8).tobytes())
        image.save(path)


@pytest.fixture(params=["a.png", "a.tif"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@pytest.mark.parametrize("colours", [np.stack([RAMP * 0, RAMP, RAMP * 0]), JET])
def test_a_lookup_table_shows_intensities_which_stay_with_it(
    path: Path, colours: np.ndarray
) -> None:
    write(path, NOISE, colours)
    image = formats.open(path)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data[...], NOISE)
    again = path.with_name(f"b{path.suffix}")
    formats.save(again, image.data[...], like=image)
    with Pillow.open(path) as old, Pillow.open(again) as new:
        assert (new.mode, new.getpalette()) == ("P", old.getpalette())
        np.testing.assert_array_equal(np.asarray(new), NOISE)


def test_grey_levels_in_any_order_are_grey_levels(path: Path) -> None:
    grey = np.repeat(RNG.permutation(256)[None], 3, axis=0)
    write(path, NOISE, grey)
    image = formats.open(path)
    assert (image.axes, image.dtype) == ("YX", np.uint8)
    np.testing.assert_array_equal(image.data[...], grey[0][NOISE])


def test_a_photograph_of_few_colours_becomes_rgb(path: Path) -> None:
    write(path, NOISE, COLOURS)
    image = formats.open(path)
    assert (image.axes, image.is_rgb) == ("YXC", True)
    np.testing.assert_array_equal(image.data[...], np.moveaxis(COLOURS[:, NOISE], 0, -1))
    formats.save(path.with_name("b.tif"), image.data[...], like=image)
    np.testing.assert_array_equal(formats.open(path.with_name("b.tif")).data[...], image.data[...])


@pytest.mark.parametrize("pixels", [CELLS, NOISE // 64])
def test_labels_are_refused(path: Path, pixels: np.ndarray) -> None:
    write(path, pixels, COLOURS)
    with pytest.raises(InputError, match=r"a\.\w+ holds indexed colours in areas .* convert it to"):
        formats.open(path)
    np.testing.assert_array_equal(formats.open(path, labels=True).data[...], pixels)


def test_a_short_lookup_table_is_made_whole(path: Path) -> None:
    green = np.zeros((3, 16), int)
    green[1] = np.arange(16) * 17
    if path.suffix == ".tif":
        green = np.pad(green, ((0, 0), (0, 240)), "edge")  # tifffile writes no palettes of 4 bit
    write(path, NOISE // 16, green)
    image = formats.open(path)
    np.testing.assert_array_equal(image.data[...], NOISE // 16)
    for name in ("b.tif", "b.png"):
        out = formats.create(path.with_name(name), image)
        assert set(out.lost) <= {"software"}
        with out:
            out.write({}, image.read())
        with Pillow.open(path.with_name(name)) as new:
            shown = np.asarray(new.convert("RGB"))
        np.testing.assert_array_equal(shown, np.moveaxis(green[:, NOISE // 16], 0, -1))
    assert formats.create(path.with_name("b.npy"), image).lost[-1] == "lookup table"
