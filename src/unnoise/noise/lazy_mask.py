"""Pixels that are no measurement in images that are too large to be searched beforehand.

Every plane, or every cell of a wide one, is searched when it is first read: in training where the
crops are, in prediction tile by tile. Some are looked at in advance, for what the user should know
and for what can only be judged by others. What is found in a cell follows from the image and that
look alone, so it does not depend on who reads what, and when.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.pixel_mask import DEPTH, Key, Picks, PixelMask, PlaneMask
from unnoise.noise.mask_search import Search, Tally

WHOLE = 2**20
"""Planes of up to so many pixels are searched whole, larger ones in cells ..."""
CELL, MARGIN = 1024, DEPTH
"""... of this side, with so many pixels around them, from where excluded ones may be filled."""
LOOK, FEWEST, MOST = 2**24, 2, 16
"""Pixels that are looked at in advance, in so many cells of every channel."""
KEPT, CELLS, FILLED = 2**27, 32, 2**22
"""Bytes of what was found, and cells, that are kept, and bytes of filled planes in each."""
FAR = 64
"""So far along an axis a plane is looked for that stands in for one without measurements."""


class Found(NamedTuple):
    """What a plane of a cell holds: excluded pixels, if any, and whether nothing else."""

    mask: PlaneMask | None
    is_empty: bool

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, at least."""
        mask = self.mask
        arrays = (mask.excluded, mask.replaced, mask.at, mask.values) if mask is not None else ()
        return 200 + sum(a.nbytes for a in arrays if a is not None)


class LazyMask:
    """The excluded pixels of a large image, searched where it is read; used as a `PixelMask`.

    Parameters
    ----------
    image : Image
        Without a mask.
    given : ndarray of bool, STCZYX, or None
        Pixels that the caller excludes.

    Raises
    ------
    InputError
        If no pixel is a measurement, or some are NaN and to be refused.
    """

    is_empty = False
    """Nobody knows yet."""

    def __init__(self, image: Image, given: NDArray[np.bool_] | None) -> None:
        n = image.sizes
        self.image, self.given, self.wanted = image, given, image.wanted
        self.nodata = image.nodata if image.wanted.nodata is None else image.wanted.nodata
        self.size = n["Y"], n["X"]
        self.sides = self.size if math.prod(self.size) <= WHOLE else (CELL, CELL)
        self.lowest: dict[int, list[tuple[float, float]]] = {}
        self._forget()
        tally, parts = self._look()
        counts = {name: getattr(tally, name) for name in ("nan", "nodata", "given", "outliers")}
        self.counts = counts | {"padding": sum(tally.padding.values())}
        lines = tally.notes(self.wanted.nan, self.wanted.keep_outliers)
        self.notes = tuple(f"of {parts} parts that were looked at, {line}" for line in lines)

    def _forget(self) -> None:
        """Begin without what was found, which can be found again."""
        self._lock, self._bytes = threading.RLock(), 0
        self._found: OrderedDict[tuple[int, ...], Found] = OrderedDict()
        self._cells: OrderedDict[tuple[int, int], _Cell] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        left = ("_lock", "_bytes", "_found", "_cells")
        return {name: value for name, value in vars(self).items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def marks(self, picks: Picks, *, kept: bool = False) -> NDArray[np.bool_] | None:
        """As `PixelMask.marks`."""
        out = None
        for cell, inside, at in self._touched(picks):
            marks = cell.mask.marks(inside, kept=kept)
            if marks is not None:
                out = np.zeros([len(p) for p in picks], np.bool_) if out is None else out
                out[at] = marks
        return out

    def filled(
        self,
        block: NDArray,
        picks: Picks,
        raw: Callable[[Key], NDArray] | None = None,
        *,
        alone: bool = False,
    ) -> NDArray:
        """As `PixelMask.filled`; planes are read cell by cell."""
        new = block
        for cell, inside, at in self._touched(picks):
            part = block[at]
            filled = cell.mask.filled(part, inside, cell.raw, alone=alone)
            if filled is not part:
                new = np.array(block) if new is block else new
                new[at] = filled
        return new

    def _touched(self, picks: Picks) -> Iterator[tuple[_Cell, Picks, tuple[slice, ...]]]:
        """The cells of a region: each, the region in it, and where that lies in the block."""
        held = [p // side for p, side in zip(picks[4:], self.sides, strict=True)]
        for number in itertools.product(*(np.unique(h).tolist() for h in held)):
            cell = self._cell(number)
            at = [np.flatnonzero(h == i) for h, i in zip(held, number, strict=True)]
            own = zip(picks[4:], at, cell.start, strict=True)
            inside = (*picks[:4], *(p[where] - start for p, where, start in own))
            places = (slice(int(where[0]), int(where[-1]) + 1) for where in at)
            yield cell, inside, (*(slice(None),) * 4, *places)

    def _cell(self, number: tuple[int, int]) -> _Cell:
        """A cell; the last ones are kept with their fillings."""
        with self._lock:
            cell = self._cells.pop(number, None) or _Cell(self, number)
            self._cells[number] = cell
            while len(self._cells) > CELLS:
                self._cells.popitem(last=False)
            return cell

    def found(self, cell: _Cell, key: Key) -> Found:
        """What a plane of a cell holds."""
        name = (*cell.number, *key)
        with self._lock:
            if name in self._found:
                self._found.move_to_end(name)
                return self._found[name]
        if key[2] == self.image.alpha:
            return Found(None, is_empty=False)
        found = Found(*cell.search().single(key, self.wanted.keep_outliers, self.lowest))
        self._keep(name, found)
        return found

    def _keep(self, name: tuple[int, ...], found: Found) -> None:
        with self._lock:
            if name not in self._found:
                self._found[name] = found
                self._bytes += found.nbytes
            while len(self._found) > 1 and self._bytes > KEPT:
                self._bytes -= self._found.popitem(last=False)[1].nbytes

    def _look(self) -> tuple[Tally, int]:
        """Search some cells of every channel, spread over the image."""
        n = self.image.sizes
        grid = [-(-size // side) for size, side in zip(self.size, self.sides, strict=True)]
        every = (n["S"], n["T"], n["Z"], *grid)
        channels = [c for c in range(n["C"]) if c != self.image.alpha]
        pixels = math.prod(map(min, self.size, self.sides))
        count = int(np.clip(LOOK // (pixels * len(channels)), FEWEST, MOST))
        count = min(count, math.prod(every))
        which = ((np.arange(count) + 0.5) * math.prod(every) / count).astype(int)
        tally, constant = Tally(), list[tuple[_Cell, Key, float]]()
        for s, t, z, i, j in np.stack(np.unravel_index(which, every), 1).tolist():
            cell = self._cell((i, j))
            search = cell.search()
            for c in channels:
                key = (s, t, c, z)
                search.plane(key, self.wanted.keep_outliers)
                if key not in search.constant:
                    self._keep((i, j, *key), Found(search.planes.get(key), key in search.empty))
            constant += [(cell, key, value) for key, value in search.constant.items()]
            for c, known in search.lowest.items():
                self.lowest.setdefault(c, []).extend(known)
            search.tally.pixels = len(channels) * math.prod(cell.mask.size)
            tally.add(search.tally)
        for cell, key, value in constant:  # what they are is told by the others
            if self.found(cell, key).is_empty:
                more = math.prod(cell.mask.size)
                tally.padding[value] = tally.padding.get(value, 0) + more
        self._check(tally)
        return tally, count * len(channels)

    def _check(self, tally: Tally) -> None:
        """Errors for images that cannot be denoised; where one is near, all pixels are read."""
        refuse = self.wanted.nan == "refuse" and self.image.dtype.kind == "f"
        if not refuse and tally.nan + tally.nodata + tally.given < tally.pixels:
            return
        bad, some = 0, False
        for where in self._pieces():
            block = self.image.original(where)[0, 0, 0, 0]
            known = np.isfinite(block)
            bad += known.size - int(known.sum())
            if self.given is not None:
                known &= ~self.given[ax.index(ax.CANONICAL, where)][0, 0, 0, 0]
            if self.nodata is not None:
                known &= block != self.nodata
            some = some or bool(known.any())
            if some and not refuse:
                return
        if not some:
            raise InputError(
                f"{self.image.name} has no pixel that is a measurement, so there is nothing to "
                f"denoise"
            )
        if bad:
            raise InputError(
                f"{self.image.name} has {bad:,} NaN or infinite pixels of "
                f"{math.prod(self.image.shape):,}; keep or fill them instead of refusing"
            )

    def _pieces(self) -> Iterator[dict[str, int | slice]]:
        """All of the image but its transparency, in regions of some pixels."""
        n = self.image.sizes
        for s, t, c, z in np.ndindex(n["S"], n["T"], n["C"], n["Z"]):
            for y, x in itertools.product(range(0, n["Y"], CELL), range(0, n["X"], CELL)):
                window = {"Y": slice(y, y + CELL), "X": slice(x, x + CELL)}
                if c != self.image.alpha:
                    yield {"S": s, "T": t, "C": c, "Z": z, **window}


class _Cell:
    """A cell with what is around it, and its mask, whose planes are searched when asked for."""

    def __init__(self, whole: LazyMask, number: tuple[int, int]) -> None:
        regions = []
        for i, side, size in zip(number, whole.sides, whole.size, strict=True):
            margin = MARGIN if side < size else 0
            regions.append(slice(max(i * side - margin, 0), min((i + 1) * side + margin, size)))
        self.number, self.start = number, tuple(r.start for r in regions)
        self.window = whole.image.window(dict(zip("YX", regions, strict=True)))
        given = whole.given
        self._given = None if given is None else given[:, :, :, :, regions[0], regions[1]]
        self._whole = whole
        n = self.window.sizes
        planes, stand_ins = _Planes(whole, self), _StandIns(whole, self)
        self.mask = PixelMask(
            (n["Y"], n["X"]), planes, stand_ins=stand_ins, frames=n["T"], cache=FILLED
        )

    def search(self) -> Search:
        """A search of its planes."""
        return Search(self.window, self._given, self._whole.nodata, self._whole.wanted.nan)

    def raw(self, key: Key) -> NDArray:
        """A plane as it is."""
        where = dict(zip("STCZ", key, strict=True))
        return np.asarray(self.window.original(where)[0, 0, 0, 0])


class _OfCell(Mapping[Key, Any]):
    """What is known of the planes of a cell, found when it is asked for."""

    def __init__(self, whole: LazyMask, cell: _Cell) -> None:
        self._whole, self._cell = whole, cell

    def __len__(self) -> int:
        return 1  # not known, but something

    def __iter__(self) -> Iterator[Key]:
        raise TypeError("planes that are searched when they are read cannot be listed")


class _Planes(_OfCell):
    """Planes with excluded pixels."""

    def __contains__(self, key: object) -> bool:
        return self._whole.found(self._cell, key).mask is not None  # type: ignore[arg-type]

    def __getitem__(self, key: Key) -> PlaneMask:
        found = self._whole.found(self._cell, key).mask
        if found is None:
            raise KeyError(key)
        return found


class _StandIns(_OfCell):
    """For planes without any measurement the one that mirrors them about the last with some."""

    def __contains__(self, key: object) -> bool:
        return self._whole.found(self._cell, key).is_empty  # type: ignore[arg-type]

    def __getitem__(self, key: Key) -> Key:
        if key not in self:
            raise KeyError(key)
        n = self._whole.image.sizes
        for axis, letter in ((3, "Z"), (1, "T"), (0, "S")):

            def other(i: int, axis: int = axis) -> Key:
                return (*key[:axis], i, *key[axis + 1 :])  # type: ignore[return-value]

            def is_full(i: int, size: int = n[letter]) -> bool:
                return 0 <= i < size and other(i) not in self

            near = (i for d in range(1, FAR) for i in (key[axis] - d, key[axis] + d))
            rim = next((i for i in near if is_full(i)), None)
            if rim is not None:
                back = 2 * rim - key[axis] + (1 if key[axis] > rim else -1)
                return other(back if is_full(back) else rim)
        raise KeyError(key)
