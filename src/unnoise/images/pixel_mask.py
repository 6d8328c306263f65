"""Pixels that are no measurement: which they are, what stands in for them, and what comes back.

Padding, nodata, NaN and outliers are *excluded*: nothing is learned from them, and no noise is
measured in them. Whoever reads the image finds plausible values in their place. Most come back as
they were (*kept*); outliers, and NaN on request, come back as results.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CACHE = 2**28
"""Bytes of filled planes that are kept."""
DEPTH = 64
"""Mirrored pixels reach so far into an excluded region; deeper ones are constant."""
CELL = 2048
"""Side of the parts in which large planes are filled."""
SPARSE = 0.002
"""Up to this share of excluded pixels a plane keeps their fillings instead of a filled plane."""
WIDE = 3
"""Regions that hold a square of this side are filled by mirroring, narrower ones by a mean."""
NEARBY, ALIKE = 8, 0.1
"""Frames of a movie, on either side, that are looked at for what they measured in an excluded
region, and how many standard deviations of the picture their means may differ."""

Key = tuple[int, int, int, int]
"""Position along S, T, C, Z."""
Raw = Callable[[Key], NDArray]  # a whole plane as it is


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a search for excluded pixels is told; see `unnoise.with_mask`.

    Attributes
    ----------
    given : ndarray of bool or None
        Pixels that a mask excludes, of the shape of the image.
    nodata, nan, keep_outliers
        Its parameters.
    """

    given: NDArray[np.bool_] | None = None
    nodata: float | None = None
    nan: str = "keep"
    keep_outliers: bool = False


DEFAULT = Wanted()


@dataclass(frozen=True, eq=False)
class PlaneMask:
    """The excluded pixels of one plane.

    Attributes
    ----------
    excluded, replaced : ndarray of uint8, shape (y, ceil(x / 8))
        Packed rows: pixels that are no measurement; those among them that come back as results.
    at : ndarray of int, shape (2, n), or None
        Row and column of every excluded pixel, where there are few.
    values : ndarray, shape (n,), or None
        What stands in for them.
    """

    excluded: NDArray[np.uint8]
    replaced: NDArray[np.uint8] | None = None
    at: NDArray[np.intp] | None = None
    values: NDArray | None = None

    @classmethod
    def of(
        cls, plane: NDArray, excluded: NDArray[np.bool_], replaced: NDArray[np.bool_]
    ) -> PlaneMask:
        """The mask of a plane, shape (y, x)."""
        packed = np.packbits(excluded, axis=-1)
        again = np.packbits(replaced, axis=-1) if replaced.any() else None
        if excluded.mean() > SPARSE:
            return cls(packed, again)
        at = np.stack(np.nonzero(excluded))
        return cls(packed, again, at, fill(plane, excluded)[tuple(at)])


@dataclass(frozen=True, eq=False)
class PixelMask:
    """The excluded pixels of an image.

    Attributes
    ----------
    size : tuple of int
        Pixels along Y and X.
    planes : mapping
        By position along S, T, C, Z; planes without excluded pixels are left out.
    notes : tuple of str
        What was found, in plain words.
    counts : mapping
        Number of pixels by kind: ``nan``, ``nodata``, ``given``, ``padding``, ``outliers``.
    stand_ins : mapping
        Of planes without any measurement, the plane that is read in their place.
    frames : int
        Positions along T, among which a wide region may have been measured at another time.
    cache : int
        Bytes of filled planes that are kept, `CACHE` by default.
    """

    size: tuple[int, int]
    planes: Mapping[Key, PlaneMask] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    stand_ins: Mapping[Key, Key] = field(default_factory=dict)
    frames: int = 1
    cache: int | None = None
    _filled: OrderedDict[tuple[Key, bool], NDArray] = field(default_factory=OrderedDict, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of_planes(
        cls, block: NDArray, excluded: NDArray[np.bool_], kept: NDArray[np.bool_] | None
    ) -> PixelMask:
        """The mask of pixels in memory, STCZYX, filled already, and those that are kept."""
        replaced = excluded if kept is None else excluded & ~kept
        keys = [key for key in np.ndindex(*block.shape[:4]) if excluded[key].any()]
        marked = {}
        for key in keys:
            at = np.stack(np.nonzero(excluded[key]))
            bits, again = (np.packbits(marks[key], axis=-1) for marks in (excluded, replaced))
            marked[key] = PlaneMask(bits, again, at, block[key][tuple(at)])
        return cls(block.shape[-2:], marked)

    def __reduce__(self) -> tuple[Any, ...]:  # without what was filled, and its lock
        return PixelMask, tuple(vars(self).values())[:-2]

    @property
    def is_empty(self) -> bool:
        """Whether all pixels are measurements."""
        return not self.planes

    def marks(self, picks: Picks, *, kept: bool = False) -> NDArray[np.bool_] | None:
        """Excluded pixels of a region, or those of them that come back as they were.

        Parameters
        ----------
        picks : six arrays of int
            Positions along S, T, C, Z, Y, X.
        kept : bool
            Only pixels that come back as they were.

        Returns
        -------
        ndarray of bool, STCZYX, or None
            None where there are none.
        """
        places = self._places(picks)
        if not places:
            return None
        out = np.zeros([len(p) for p in picks], np.bool_)
        for place, key in places:
            plane = self.planes[key]
            bits = plane.excluded[picks[4]]
            if kept and plane.replaced is not None:
                bits = bits & ~plane.replaced[picks[4]]
            out[place] = np.unpackbits(bits, axis=-1, count=self.size[1])[:, picks[5]]
        return out if out.any() else None

    def filled(self, block: NDArray, picks: Picks, raw: Raw, *, alone: bool = False) -> NDArray:
        """A region with its excluded pixels filled.

        Parameters
        ----------
        block : ndarray, STCZYX
            The pixels as they are.
        picks : six arrays of int
            Their positions.
        raw : callable
            A whole plane, by its position.
        alone : bool
            Without pixels of other frames; planes without a measurement are constant.
        """
        places = self._places(picks)
        if not places:
            return block
        block = np.array(block)
        for place, key in places:
            plane = self.planes[key]
            if plane.at is None:
                other = self.stand_ins.get(key, key)
                whole = self._plane(other, raw, alone) if other in self.planes else raw(other)
                if alone and other != key:  # its level, as it may be the frame that is hidden
                    whole = np.full_like(whole, whole.mean(dtype=np.float64))
                block[place] = whole[np.ix_(picks[4], picks[5])]
                continue
            rows, columns = (
                _inverse(pick, size)[at]
                for pick, size, at in zip(picks[4:], self.size, plane.at, strict=True)
            )
            inside = (rows >= 0) & (columns >= 0)
            assert plane.values is not None
            block[(*place, rows[inside], columns[inside])] = plane.values[inside]
        return block

    def _places(self, picks: Picks) -> list[tuple[Key, Key]]:
        """Where in a region there is a plane with excluded pixels, and which."""
        if not self.planes:
            return []
        every = np.ndindex(*(len(p) for p in picks[:4]))
        pairs = ((at, tuple(int(p[i]) for p, i in zip(picks, at, strict=False))) for at in every)
        return [(at, key) for at, key in pairs if key in self.planes]  # type: ignore[misc]

    def _plane(self, key: Key, raw: Raw, alone: bool) -> NDArray:
        """A whole plane, filled; the last ones are kept."""
        with self._lock:
            if (key, alone) in self._filled:
                self._filled.move_to_end((key, alone))
                return self._filled[key, alone]
        plane, excluded = raw(key), self._excluded(key)
        if self.frames > 1 and not alone:
            plane, excluded = self._from_other_frames(key, plane, excluded, raw)
        plane = fill(plane, excluded)
        with self._lock:
            self._filled[key, alone] = plane
            most = CACHE if self.cache is None else self.cache
            while len(self._filled) > 1 and sum(p.nbytes for p in self._filled.values()) > most:
                self._filled.popitem(last=False)
        return plane

    def _excluded(self, key: Key) -> NDArray[np.bool_]:
        """The excluded pixels of a plane."""
        bits = np.unpackbits(self.planes[key].excluded, axis=-1, count=self.size[1])
        return bits.astype(np.bool_)

    def _from_other_frames(
        self, key: Key, plane: NDArray, excluded: NDArray[np.bool_], raw: Raw
    ) -> tuple[NDArray, NDArray[np.bool_]]:
        """Excluded pixels that frames nearby measured, as at the borders of a movie whose motion
        was corrected; only of frames that are as bright.
        """
        plane, todo = np.array(plane), excluded.copy()
        used = plane[~excluded].astype(np.float64)
        for away in range(1, NEARBY + 1):
            for t in (key[1] - away, key[1] + away):
                other = (key[0], t, *key[2:])
                if not 0 <= t < self.frames or other in self.stand_ins:
                    continue
                marks = self._excluded(other) if other in self.planes else None
                known = todo if marks is None else todo & ~marks
                if not known.any():
                    continue
                pixels = raw(other)
                common = ~excluded if marks is None else ~(excluded | marks)
                change = pixels[common].astype(np.float64) - plane[common]
                if common.any() and abs(change.mean()) < ALIKE * max(used.std(), 1e-300):
                    plane[known] = pixels[known]
                    todo &= ~known
        return plane, todo


Picks = tuple[NDArray[np.intp], ...]


class Mask(Protocol):
    """What an image asks of its mask; see `PixelMask`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found, in plain words."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of pixels by kind."""

    @property
    def is_empty(self) -> bool:
        """Whether all pixels are measurements."""

    def marks(self, picks: Picks, *, kept: bool = False) -> NDArray[np.bool_] | None:
        """Excluded pixels of a region, or those of them that come back as they were."""

    def filled(self, block: NDArray, picks: Picks, raw: Raw, *, alone: bool = False) -> NDArray:
        """A region with its excluded pixels filled."""


def _inverse(pick: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Where a position is found among those picked, -1 if not."""
    out = np.full(size, -1)
    out[pick] = np.arange(len(pick))
    return out


def fill(plane: NDArray, excluded: NDArray[np.bool_]) -> NDArray:
    """A plane with its excluded pixels filled from around.

    Holes of one or two pixels take a mean of what surrounds them. Wider regions continue the
    picture as its mirror image, noise and all, as it is continued beyond its own borders: a net
    knows noisy pixels only, so at the rim of a smooth filling it took noise for structure (on noise
    of one tenth of the contrast 1.4 dB were lost in the outermost four pixels, and none with the
    mirror). Far from all measurements the filling is constant.

    Parameters
    ----------
    plane : ndarray, shape (y, x)
    excluded : ndarray of bool, shape (y, x)

    Returns
    -------
    ndarray, of the dtype of `plane`

    Examples
    --------
    >>> plane = np.arange(25.0).reshape(5, 5)
    >>> plane[:, 3:] = np.nan
    >>> fill(plane, np.isnan(plane))[0]
    array([0., 1., 2., 2., 1.])
    """
    if not excluded.any():
        return plane
    known = ~excluded
    out = np.array(plane)
    level = plane[known].mean(dtype=np.float64) if known.any() else 0.0
    if plane.dtype.kind in "ui":
        level = np.rint(level)
    reach = 2 * DEPTH + 2
    for y in range(0, plane.shape[0], CELL):
        for x in range(0, plane.shape[1], CELL):
            cell = (slice(y, y + CELL), slice(x, x + CELL))
            if not excluded[cell].any():
                continue
            wide = (
                slice(max(y - reach, 0), y + CELL + reach),
                slice(max(x - reach, 0), x + CELL + reach),
            )
            filled = _filled(plane[wide], excluded[wide], level)
            inner = tuple(
                slice(c.start - w.start, c.stop - w.start) for c, w in zip(cell, wide, strict=True)
            )
            out[cell] = filled[inner]
    return out


def _filled(plane: NDArray, excluded: NDArray[np.bool_], level: float) -> NDArray:
    """A plane, or a part of it, with its excluded pixels filled."""
    out = np.array(plane)
    if excluded.all():
        out[...] = level
        return out
    square = np.ones((WIDE, WIDE), np.bool_)
    wide = ndimage.binary_opening(np.pad(excluded, WIDE, mode="edge"), square)
    wide = wide[WIDE:-WIDE, WIDE:-WIDE] & excluded
    if wide.any():
        _mirror(out, excluded, wide, level)
    narrow = excluded & ~wide
    if narrow.any():
        _mean(out, excluded, narrow)
    return out


def _mirror(
    out: NDArray, excluded: NDArray[np.bool_], wide: NDArray[np.bool_], level: float
) -> None:
    """Continue the picture into wide regions as its mirror image about their rim."""
    distance, (near_y, near_x) = ndimage.distance_transform_edt(excluded, return_indices=True)
    y, x = np.nonzero(wide)
    ny, nx, d = near_y[y, x], near_x[y, x], distance[y, x]
    # The pixel at distance 1 takes the value of the rim, that at distance 2 the one behind it.
    back = 1 - 1 / d
    my = _inside(ny + np.rint((ny - y) * back).astype(np.intp), out.shape[0])
    mx = _inside(nx + np.rint((nx - x) * back).astype(np.intp), out.shape[1])
    lost = excluded[my, mx]  # as in a narrow bridge between two regions: its rim goes on
    my, mx = np.where(lost, ny, my), np.where(lost, nx, mx)
    values = out[my, mx]
    values[d > DEPTH] = level
    out[y, x] = values


def _inside(at: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Positions mirrored at the borders of a plane."""
    at = np.mod(at, 2 * size)
    return np.where(at >= size, 2 * size - 1 - at, at)


def _mean(out: NDArray, excluded: NDArray[np.bool_], narrow: NDArray[np.bool_]) -> None:
    """Fill small holes by normalised convolution (Knutsson and Westin, CVPR 1993)."""
    known = (~excluded).astype(np.float64)
    values = np.where(excluded, 0, out).astype(np.float64)
    for sigma in (1.0, 2.0, 4.0, 8.0):  # wider where a hole of many lines leaves nothing near
        weight = ndimage.gaussian_filter(known, sigma, mode="constant")
        mean = ndimage.gaussian_filter(values, sigma, mode="constant")
        ready = narrow & (weight > 1e-3)
        found = mean[ready] / weight[ready]
        out[ready] = np.rint(found) if out.dtype.kind in "ui" else found
        narrow = narrow & ~ready
        if not narrow.any():
            return
