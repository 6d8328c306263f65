"""Large images are searched where they are read, with the same results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise import excluded_pixels, lazy_mask, planes
from unnoise.noise.excluded_pixels import looked_at, with_mask
from unnoise.noise.lazy_mask import LazyMask
from unnoise.noise.planes import run_places, spread_places

rng = np.random.default_rng(0)


class Spied:
    """Pixels that note how many were asked for."""

    def __init__(self, pixels: NDArray) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.asked = 0

    def __getitem__(self, index: Any, /) -> NDArray:
        block = np.asarray(self.pixels[index])
        self.asked += block.size
        return block


def movie(dtype: str = "float32") -> NDArray:
    """Frames with padding that moves, a dropped frame, missing and hot pixels."""
    x = np.random.default_rng(1).poisson(60, (6, 72, 80)).astype(dtype)
    for t in range(6):
        x[t, :, : 12 + 2 * t] = 0
        x[t, 40, 50 + t] = 5000
    x[3] = 0
    if dtype == "float32":
        x[1, 20:30, 40:60] = np.nan
    return x


IMAGES: dict[str, tuple[NDArray | np.ma.MaskedArray, str, dict[str, Any]]] = {
    "movie": (movie(), "TYX", {}),
    "stack": (movie("uint16"), "ZYX", {}),
    "filled": (movie(), "TYX", {"nan": "fill", "keep_outliers": True}),
    "nodata": (movie("uint16"), "SYX", {"nodata": 61}),
    "given": (movie("uint16"), "TYX", {"mask": np.arange(72 * 80).reshape(72, 80) % 7}),
    "hidden": (np.ma.masked_greater(movie("uint16"), 70), "TYX", {}),
    "channels": (movie("uint16"), "CYX", {}),
    "clean": (np.random.default_rng(2).poisson(60, (2, 72, 80)), "ZYX", {}),
}


def lazy(monkeypatch: pytest.MonkeyPatch, x: NDArray, axes: str, **options: Any) -> Image:
    monkeypatch.setattr(excluded_pixels, "ALL", 0)
    image = with_mask(x, axes=axes, **options)
    assert isinstance(image.mask, LazyMask)
    return image


def agree(image: Image, other: Image, where: dict[str, Any]) -> None:
    np.testing.assert_array_equal(image.read(where), other.read(where))
    for name in ("excluded", "kept"):
        a, b = (getattr(one, name)(where) for one in (image, other))
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", IMAGES)
def test_planes_are_what_the_search_of_the_whole_finds(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    x, axes, options = IMAGES[name]
    whole = with_mask(x, axes=axes, **options)
    image = lazy(monkeypatch, x, axes, **options)
    n = image.sizes
    for _ in range(12):
        where: dict[str, Any] = {}
        for k in axes:
            a, b = sorted(rng.integers(0, n[k] + 1, 2))
            where[k] = slice(int(a), max(int(b), int(a) + 1), int(rng.integers(1, 4)))
        if all(len(range(n[k])[where[k]]) for k in axes):
            agree(image, whole, where)
    agree(image, whole, {})
    np.testing.assert_array_equal(image.read(alone=True), whole.read(alone=True))
    assert dict(image.mask.counts) == dict(whole.mask.counts)  # type: ignore[union-attr]


def test_cells_of_wide_planes_agree_wherever_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.random.default_rng(3).poisson(60, (420, 380)).astype(np.float32)
    x[:, :110] = 0
    x[300, 300], x[255, 256] = 9000, 9000
    x[100:140, 200:320] = np.nan
    whole = with_mask(x)
    monkeypatch.setattr(lazy_mask, "WHOLE", 0)
    monkeypatch.setattr(lazy_mask, "CELL", 256)
    image = lazy(monkeypatch, x, "YX")
    assert set(image.mask._cells) == {(0, 0), (0, 1), (1, 0), (1, 1)}  # type: ignore[union-attr]
    np.testing.assert_array_equal(image.excluded(), whole.excluded())
    np.testing.assert_array_equal(image.kept(), whole.kept())
    both = image.read()
    near = np.ones(x.shape, np.bool_)
    near[:, :50] = False  # far inside, a filling is the mean of the cell
    np.testing.assert_array_equal(both[0, 0, 0, 0][near], whole.read()[0, 0, 0, 0][near])
    assert np.isfinite(both).all()
    again = lazy(monkeypatch, x, "YX")
    order = [(y, x0) for y in range(0, 420, 90) for x0 in range(0, 380, 110)]
    for y, x0 in reversed(order):
        where = {"Y": slice(y, y + 90), "X": slice(x0, x0 + 110)}
        np.testing.assert_array_equal(
            again.read(where), both[..., y : y + 90, x0 : x0 + 110], "the order of reading"
        )


def test_transparency_is_not_searched_and_frames_of_its_number_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.random.default_rng(7).poisson(60, (3, 2, 64, 72)).astype(np.uint16)
    x[:, 1, :, 20:] = 0  # transparent there: padding, were it a picture
    x[1, 0, 30, 40] = 9000
    image = replace(Image.from_array(x, "TCYX"), alpha=1)
    found = lazy(monkeypatch, image, "TCYX").excluded()  # type: ignore[arg-type]
    assert found is not None
    assert np.argwhere(found).tolist() == [[0, 1, 0, 0, 30, 40]]


def test_only_what_is_read_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_mask, "LOOK", 3 * 64 * 64)
    pixels = Spied(np.random.default_rng(4).poisson(60, (50, 64, 64)))
    image = lazy(monkeypatch, Image(pixels, "TYX"), "TYX")  # type: ignore[arg-type]
    assert pixels.asked <= 3 * 64 * 64
    assert not image.mask.notes  # type: ignore[union-attr]
    before = pixels.asked
    image.read({"T": 11, "Y": slice(3, 9)})
    image.excluded({"T": 11, "Y": slice(3, 9)})
    assert pixels.asked - before <= 64 * 64 + 6 * 64


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_mask, "KEPT", 3000)
    x = movie("uint16")
    whole = with_mask(x, axes="TYX")
    image = lazy(monkeypatch, x, "TYX")
    agree(image, whole, {})
    agree(image, whole, {"T": slice(4, None, -1)})
    mask: Any = image.mask
    assert mask._bytes == sum(found.nbytes for found in mask._found.values()) <= 3000


@pytest.mark.parametrize("name", IMAGES)
def test_notes_are_those_of_the_whole_where_all_parts_were_looked_at(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    x, axes, options = IMAGES[name]
    whole, image = with_mask(x, axes=axes, **options), lazy(monkeypatch, x, axes, **options)
    assert whole.mask is not None
    assert image.mask is not None
    told = [f"of {len(x)} parts that were looked at, {line}" for line in whole.mask.notes]
    assert list(image.mask.notes) == told
    assert bool(told) == (name != "clean")


def test_a_cell_of_a_wide_plane_without_measurements_is_read_as_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no other plane that could stand in for it."""
    monkeypatch.setattr(lazy_mask, "WHOLE", 0)
    monkeypatch.setattr(lazy_mask, "CELL", 128)
    x = np.random.default_rng(8).poisson(60, (100, 300)).astype(np.float32)
    x[:, :200] = np.nan
    image = lazy(monkeypatch, x, "YX")
    found = image.read()[0, 0, 0, 0]
    assert not found[:, :128].any()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, 200:], x[:, 200:])


def test_as_many_cells_and_finds_are_kept_as_there_is_room_for_the_last_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lazy_mask, "WHOLE", 0)
    monkeypatch.setattr(lazy_mask, "CELL", 64)
    x = np.random.default_rng(9).poisson(60, (60, 256)).astype(np.float32)
    x[::7, ::5] = np.nan
    whole = with_mask(x)
    monkeypatch.setattr(lazy_mask, "CELLS", 2)
    pixels = Spied(x)
    image = lazy(monkeypatch, Image(pixels, "YX"), "YX")  # type: ignore[arg-type]
    agree(image, whole, {})
    mask: Any = image.mask
    assert list(mask._cells) == [(0, 2), (0, 3)]
    monkeypatch.setattr(lazy_mask, "KEPT", 1)
    for cell in (0, 1, 3):
        where = {"X": slice(64 * cell, 64 * cell + 9)}
        agree(image, whole, where)
        before = pixels.asked
        agree_on_marks = image.excluded(where)
        assert agree_on_marks is not None
        assert pixels.asked == before, "what was found last is kept, whatever its size"


def test_what_cannot_be_denoised_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_mask, "MOST", 2)
    x = np.full((9, 20, 20), np.nan)
    with pytest.raises(InputError, match="no pixel that is a measurement"):
        lazy(monkeypatch, x, "ZYX")
    x[6, 3, 3] = 1.0
    assert lazy(monkeypatch, x, "ZYX").read().size
    counts = np.full((9, 20, 20), 7, np.uint16)
    with pytest.raises(InputError, match="no pixel that is a measurement"):
        lazy(monkeypatch, counts, "ZYX", nodata=7)
    counts[6, 3, 3] = 8
    assert lazy(monkeypatch, counts, "ZYX", nodata=7).read().size
    known = np.zeros((9, 20, 20))
    with pytest.raises(InputError, match="no pixel that is a measurement"):
        lazy(monkeypatch, counts, "ZYX", mask=known)
    known[6, 3, 3] = 1
    assert lazy(monkeypatch, counts, "ZYX", mask=known).read().size
    x = np.random.default_rng(5).normal(9, 1, (9, 20, 20))
    assert lazy(monkeypatch, x, "ZYX", nan="refuse").excluded() is None
    x[8, 1, 1] = np.inf
    with pytest.raises(InputError, match=r"has 1 NaN or infinite pixels of 3,600"):
        lazy(monkeypatch, x, "ZYX", nan="refuse")


def test_measures_of_neighbouring_frames_know_what_is_excluded_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(excluded_pixels, "ALL", 0)
    monkeypatch.setattr(planes, "MAX_PLANES", 4)
    x = np.random.default_rng(6).poisson(60, (60, 40, 48)).astype(np.float32)
    x[:, 7, 9:12] = np.nan
    part = looked_at(Image.from_array(x, "TYX"))
    for place in (*spread_places(part), *run_places(part, "T")):
        marks = part.excluded({"T": place["T"]})
        assert marks is not None
        assert marks.sum() == 3


def test_threads_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = movie("uint16").repeat(3, 0)
    whole = with_mask(x, axes="TYX").read()
    image = lazy(monkeypatch, x, "TYX")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda t: image.read({"T": t % 18}), range(54)))
    for t, frame in enumerate(found):
        np.testing.assert_array_equal(frame, whole[:, t % 18 : t % 18 + 1])
