"""Pixels that are decoded when needed, of which only the last used ones stay."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images.formats import reader
from unnoise.images.formats.reader import Pixels, PlanePixels, needs, picked
from unnoise.images.pixel_types import check_pixels

U2 = np.dtype("u2")


def test_pixels_are_decoded_once_while_few_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def pixels(number: int) -> Pixels:
        def load() -> np.ndarray:
            calls.append(number)
            return np.full(4, number, "u1")

        return Pixels(load, (4,), np.dtype("u1"))

    several = [pixels(i) for i in range(3)]
    assert [int(p[2]) for p in several * 2] == [0, 1, 2] * 2
    assert calls == [0, 1, 2]
    monkeypatch.setattr(reader, "MAX_OPEN", 2)
    assert [int(p[2]) for p in several] == [0, 1, 2]
    assert len(reader._open) <= 2
    monkeypatch.setattr(reader, "MAX_DECODED", 4)
    assert [int(p[2]) for p in several] == [0, 1, 2]
    assert len(reader._open) == 1
    before = len(calls)
    assert int(several[2][0]) == 2
    assert len(calls) == before, "the last used one stays"


def test_a_map_is_opened_anew_after_much_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a map counts as memory of the process, until the map is closed."""
    monkeypatch.setattr(reader, "MAX_MAPPED", 30)
    np.arange(40, dtype="u1").tofile(tmp_path / "a")
    maps: list[weakref.ref[np.memmap]] = []

    def load() -> np.memmap:
        found = np.memmap(tmp_path / "a", "u1", "r")
        maps.append(weakref.ref(found))
        return found

    pixels = Pixels(load, (40,), np.dtype("u1"))
    kept = pixels[:4]
    found = np.concatenate([kept, *(pixels[i : i + 4].copy() for i in range(4, 40, 4))])
    np.testing.assert_array_equal(found, np.arange(40))
    assert len(maps) == 2
    np.testing.assert_array_equal(kept, np.arange(4), "pixels that are in use stay")
    del kept
    gc.collect()
    assert maps[0]() is None


def test_reloading_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No callback, and when the pixels go no array, whatever the number of reloads."""
    monkeypatch.setattr(reader, "MAX_OPEN", 1)
    several = [Pixels(lambda: np.ones(4, "u1"), (4,), np.dtype("u1")) for _ in range(3)]
    gc.collect()  # what other tests left may go at any time
    finalizers = len(weakref.finalize._registry)  # type: ignore[attr-defined]
    for pixels in several * 20:
        assert int(pixels[0]) == 1
    assert len(weakref.finalize._registry) <= finalizers  # type: ignore[attr-defined]
    assert [weakref.getweakrefcount(pixels) for pixels in several] == [0, 0, 1]
    del several, pixels
    gc.collect()
    assert len(reader._open) == 0


class Stack:
    """A stack of planes of which each is its number, and what was asked of it."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "u2") -> None:
        self.array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        self.loaded: list[tuple[int, ...]] = []
        self.opened = self.closed = 0

    def pixels(self, plane: int = 2) -> PlanePixels:
        @contextmanager
        def opened(path: Path) -> Iterator[Callable[[tuple[int, ...]], np.ndarray]]:
            self.opened += 1
            yield load
            self.closed += 1

        def load(index: tuple[int, ...]) -> np.ndarray:
            self.loaded.append(index)
            return self.array[index].copy()

        return PlanePixels(
            Path("a.toy"), "toy", opened, self.array.shape, self.array.dtype, plane=plane
        )


@pytest.mark.parametrize(
    "index",
    [
        (slice(None),) * 4,
        (slice(1, 2), slice(0, 3, 2), slice(2, 5), slice(None, None, 2)),
        (1, slice(None), 3, slice(1, 4)),
        (..., slice(2)),
        (0, ..., 1),
        1,
        (slice(0, 0), 1),
        (slice(None), slice(5, 2)),
        (-1, -1, -1, -1),
        (slice(None), [2, 0]),
    ],
    ids=str,
)
def test_planes_are_indexed_like_an_array(index: object) -> None:
    stack = Stack((2, 3, 5, 4))
    for plane in (2, 3):
        found = stack.pixels(plane)[index]
        np.testing.assert_array_equal(found, stack.array[index])
        assert found.dtype == stack.array.dtype


def test_only_planes_that_are_asked_for_are_read_and_only_once() -> None:
    stack = Stack((4, 3, 5, 4))
    pixels = stack.pixels()
    pixels[1:3, 2:, :2, :2], pixels[2:, 2, 3:, 3:]
    assert stack.loaded == [(1, 2), (2, 2), (3, 2)]
    assert (stack.opened, stack.closed) == (1, 0)
    del pixels
    gc.collect()
    assert stack.closed == 1


def test_planes_and_files_that_were_not_used_for_long_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_RECENT", 80)  # two planes of 40 bytes
    stack = Stack((3, 5, 4))
    pixels = stack.pixels()
    for i in (0, 1, 0, 2, 0, 1):
        pixels[i]
    assert stack.loaded == [(0,), (1,), (2,), (1,)]
    assert reader._held["bytes"] == sum(plane.nbytes for plane in reader._recent.values()) == 80
    monkeypatch.setattr(reader, "MAX_OPEN", 1)
    other = Stack((3, 5, 4))
    assert int(other.pixels()[2, 0, 0]) == 40
    assert stack.closed == 1
    assert int(pixels[2, 0, 0]) == 40
    assert stack.opened == 2


def test_places_among_billions_take_no_memory() -> None:
    """A description of 1 kB may tell of so many planes."""
    pixels = PlanePixels(
        Path("a.toy"),
        "toy",
        lambda path: nullcontext(lambda index: np.full((4, 5), index[0] % 1000)),
        (2**40, 4, 5),
        np.dtype("u2"),
    )
    assert pixels[2**40 - 4 : 2**40 : 2, 1:, 0].tolist() == [[772] * 3, [774] * 3]
    assert pixels[-1, 0, 0] == 775
    with pytest.raises(IndexError):
        pixels[2**40]


@pytest.mark.parametrize(
    "part",
    [slice(None), slice(-3, None), slice(8, 2, -2), 3, -1, np.int64(4), [1, 5], np.arange(9) > 6],
    ids=str,
)
def test_places_are_those_of_numpy(part: Any) -> None:
    np.testing.assert_array_equal(picked(9, part), np.arange(9)[part])
    assert picked(9, part).ndim == np.arange(9)[part].ndim


@pytest.mark.parametrize("shape", [(2**40, 2**40), (10**400, 1)])
def test_more_pixels_than_any_disk_holds_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="more pixels than any disk holds"):
        check_pixels(shape, np.dtype("u1"), "a.toy")
    check_pixels((2**30, 2**30), np.dtype("u1"), "a.toy")


def test_maps_are_not_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(60.0).reshape(3, 5, 4))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    before = set(reader._recent)
    pixels = PlanePixels(
        tmp_path / "a.npy", "NPY", lambda path: nullcontext(mapped.__getitem__), (3, 5, 4), "f8"
    )
    np.testing.assert_array_equal(pixels[:, 1:3], mapped[:, 1:3])
    assert set(reader._recent) == before


def test_what_goes_wrong_in_a_plane_names_the_file() -> None:
    def wrong(index: tuple[int, ...]) -> np.ndarray:
        if index == (0,):
            return np.zeros((5, 3))
        raise KeyError("chunk")

    pixels = PlanePixels(Path("a.toy"), "toy", lambda path: nullcontext(wrong), (2, 5, 4), "u1")
    with pytest.raises(InputError, match=r"a\.toy cannot be read as toy.*\(5, 3\).*\(5, 4\)"):
        pixels[0]
    with pytest.raises(InputError, match=r"a\.toy cannot be read as toy.*chunk"):
        pixels[1]


def test_memory_that_a_header_asks_for_ends_in_a_sentence_that_others_can_go_on_from() -> None:
    """A decoder that asks for 8 GB, of a file of 550 bytes."""

    def wrong(index: tuple[int, ...]) -> np.ndarray:
        return np.empty(2**60, "u1")

    pixels = PlanePixels(Path("a.toy"), "toy", lambda path: nullcontext(wrong), (2, 5, 4), "u1")
    with pytest.raises(InputError, match=r"a\.toy asks for more memory than is free.*close") as why:
        pixels[0]
    assert isinstance(why.value, MemoryError)  # smaller tiles are tried then


class Lazy:
    """A plane that turns out to be smaller than it says."""

    shape = (5, 4)

    def __getitem__(self, region: object) -> np.ndarray:
        return np.ones((1, 4))


def test_a_lazy_plane_that_is_smaller_than_it_says_is_damage() -> None:
    pixels = PlanePixels(
        Path("a.toy"), "toy", lambda path: nullcontext(lambda index: Lazy()), (2, 5, 4), "u1"
    )
    assert pixels[0, 2:3].shape == (1, 4)
    with pytest.raises(InputError, match=r"a\.toy cannot be read as toy.*\(1, 4\).*\(5, 4\)"):
        pixels[0]


def test_two_threads_read_one_file_in_turn() -> None:
    stack = Stack((40, 5, 4))
    pixels = stack.pixels()
    with ThreadPoolExecutor(4) as threads:
        for i, plane in enumerate(threads.map(lambda i: pixels[i % 40], range(200))):
            np.testing.assert_array_equal(plane, stack.array[i % 40])
    assert sorted(stack.loaded) == [(i,) for i in range(40)]


def test_a_missing_library_is_told_with_what_to_install() -> None:
    with pytest.raises(InputError, match=r"no_such_library.*pip install 'unnoise\[formats\]'"):
        needs("no_such_library", "formats")


def test_more_planes_than_memory_has_are_a_sentence() -> None:
    planes = PlanePixels(Path("a.toy"), "toy", lambda _: nullcontext(None), (2**50, 4, 5), U2)
    with pytest.raises(reader.TooLarge, match=r"^a\.toy asks for more memory than is free"):
        planes[:]
    wide = PlanePixels(Path("a.toy"), "toy", lambda _: nullcontext(None), (1, 2**30, 2**30), U2)
    with pytest.raises(reader.TooLarge, match=r"^a\.toy asks for more memory than is free"):
        wide[:]
