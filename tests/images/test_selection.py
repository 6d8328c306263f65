"""Parts of an image along its axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.errors import InputError
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image
from unnoise.images.selection import numbers, select

PIXELS = np.random.default_rng(0).integers(0, 999, (5, 4, 3, 8, 9)).astype(np.uint16)


def image() -> Image:
    made = Image.from_array(PIXELS, "TCZYX")
    known = Acquisition(colors=("FF0000", "00FF00", "0000FF", "FFFFFF"))
    return replace(made, channel_names=("a", "b", "c", "d"), acquisition=known)


def test_a_selection_is_what_numpy_takes():
    part = select(image(), {"T": "1:4", "C": "3,0", "Z": "-1"})
    want = PIXELS[1:4][:, [3, 0]][:, :, 2]
    assert (part.axes, part.shape) == ("TCYX", want.shape)
    assert np.array_equal(part.data[:], want)
    assert np.array_equal(part.data[...], want)
    assert np.array_equal(part.data[1, ..., 2:5], want[1, ..., 2:5])
    corner = part.read({"T": 1, "C": 1, "Y": slice(2, 5)})
    assert np.array_equal(corner[0, 0, 0, 0], want[1, 1, 2:5])
    assert part.channel_names == ("d", "a")
    assert part.acquisition.colors == ("FFFFFF", "FF0000")


@given(
    st.lists(st.integers(0, 4), min_size=1, unique=True),
    st.slices(5),
    st.slices(8),
)
def test_any_region_of_any_selection(kept, rows, columns):
    part = select(image(), {"T": ",".join(map(str, kept)), "Z": "1"})
    index = (rows, 0, columns, 3) if len(kept) > 1 else (0, columns, 3)
    want = PIXELS[kept][:, :, 1] if len(kept) > 1 else PIXELS[kept[0], :, 1]
    assert np.array_equal(part.data[index], want[index])


def test_only_what_is_asked_for_is_read():
    asked = []

    class Spy:
        shape, dtype = PIXELS.shape, PIXELS.dtype

        def __getitem__(self, index):
            asked.append(index)
            return PIXELS[index]

    part = select(replace(image(), data=Spy()), {"C": "0,2"})
    part.read({"T": 1, "Y": slice(0, 2)})
    assert asked == [
        (slice(1, 2), slice(c, c + 1), slice(0, 3), slice(0, 2), slice(0, 9)) for c in (0, 2)
    ]


def test_everything_is_the_image_itself():
    whole = image()
    assert select(whole, {"T": ":", "Z": "0:3"}) is whole
    assert select(Image.from_array(PIXELS[0, 0, 0]), {"Z": "0"}).axes == "YX"


def test_colours_of_a_photograph():
    photo = Image.from_array(np.zeros((6, 7, 4), np.uint8), "YXC")
    photo = replace(photo, alpha=3)
    assert photo.is_rgb
    assert select(photo, {"C": "0:3"}).is_rgb
    one = select(photo, {"C": "1,3"})
    assert (one.is_rgb, one.alpha) == (False, 1)
    assert select(photo, {"C": "2"}).axes == "YX"


@pytest.mark.parametrize("text", ["", "a", "1;2", "1:2:0", "1:2:3:4", "0,,1", "1.5"])
def test_what_is_no_selection_is_refused(text):
    with pytest.raises(InputError, match="--time"):
        numbers(text, 9, "--time")


@pytest.mark.parametrize("text", ["9", "-10", "3:12", "9:", "4:4", "20:30"])
def test_what_is_not_there_is_refused(text):
    with pytest.raises(InputError, match="has 9 there"):
        numbers(text, 9, "--time")


def test_a_position_is_named_once():
    with pytest.raises(InputError, match="twice"):
        numbers("1,0:3", 9, "--z")


def test_an_axis_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"no axis T \(its axes are YX\).*--axes"):
        select(Image.from_array(PIXELS[0, 0, 0]), {"T": "0:2"})


@pytest.mark.parametrize(
    ("text", "step"), [("::2", 2), ("1:", 1), ("4", 1), ("0,3", 3), ("0,3,4", 0), ("2,1,0", 0)]
)
def test_sizes_are_those_of_the_part(text, step):
    known = {"scale": {"T": 0.5, "Z": 3.0, "X": 0.1}, "units": {"T": "s", "Z": "µm", "X": "nm"}}
    part = select(replace(image(), **known), {"T": text})
    want = {a: n * step if a == "T" else n for a, n in known["scale"].items()}
    assert part.scale == {a: n for a, n in want.items() if n}
    assert set(part.units) == set(part.scale)
    assert part.metadata.get("lost", []) == ["frame interval"] * (step == 0)
    again = select(replace(image(), **known), {"T": "::2"})
    assert select(again, {"T": "0,2"}).scale["T"] == 2.0


def test_billions_of_positions_cost_nothing() -> None:
    """What headers tell may not be true."""
    endless = np.broadcast_to(PIXELS[0, 0, 0], (2**40, 3, 8, 9))
    whole = Image(endless, "TCYX")
    assert select(whole, {}) is whole
    part = select(whole, {"C": "1"})
    assert part.shape == (2**40, 8, 9)
    assert np.array_equal(part.data[2**39], PIXELS[0, 0, 0])
