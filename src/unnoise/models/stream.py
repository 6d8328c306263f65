"""Images of any size: the plan of pieces that are predicted each by itself, in any order, anywhere.

A piece is made of whole chunks of the result, so nobody else writes to its chunks. The plan follows
from the model, the sizes of the image and those chunks alone, not from the memory that is free: so
a run that goes on, or a hundred machines that share one, have the same pieces and the same tiles,
and the result is the same to the last bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unnoise.errors import InputError
from unnoise.models.frame_tiles import Block, Ready
from unnoise.models.tiles import Tile

ROOM = {2: 400e6, 3: 800e6}
"""Bytes that a tile may take, by the dimensions of the net."""
ORDER = "STZYX"


@dataclass(frozen=True)
class Plan:
    """How an image is cut into pieces, and pieces into tiles.

    Attributes
    ----------
    sizes, sides : tuple of int
        Of the image and of a piece, along S, T, Z, Y and X.
    tile : tuple of int
        Kept part of a tile, (y, x) or (z, y, x).

    Examples
    --------
    >>> plan = Plan((1, 1, 1, 100, 64), (1, 1, 1, 60, 64), (60, 64))
    >>> plan.count, plan.where(1)["Y"]
    (2, slice(60, 100, None))
    """

    sizes: tuple[int, ...]
    sides: tuple[int, ...]
    tile: tuple[int, ...]

    @classmethod
    def of(cls, ready: Ready, chunks: Mapping[str, int]) -> Plan:
        """The plan for a model and an image.

        Parameters
        ----------
        ready : Ready
            Model and image.
        chunks : mapping
            Sides of what only one may write at a time, by letter; 1 where one is missing.
        """
        n, ndim = ready.image.sizes, ready.model.ndim
        jobs = [ready.jobs[i] for i in range(len(ready.model.levels))]
        every = [job.side(ROOM[ndim]) for job in jobs]
        room = dict(
            zip(ORDER[-ndim:], (min(sides) for sides in zip(*every, strict=True)), strict=True)
        )
        is_whole = any(job.is_whole for job in jobs)
        sides, tile = {}, []
        for k in ORDER:
            chunk = min(chunks.get(k, 1), n[k])
            sides[k] = chunk
            if k not in room:
                continue
            if is_whole or room[k] >= n[k]:
                sides[k] = n[k]
            elif room[k] > chunk:
                sides[k] = room[k] // chunk * chunk
            parts = -(-sides[k] // room[k])  # of a large chunk, all alike
            tile.append(-(-sides[k] // parts))
        return cls(tuple(n[k] for k in ORDER), tuple(sides.values()), tuple(tile))

    @property
    def _steps(self) -> tuple[int, ...]:
        return tuple(-(-size // side) for size, side in zip(self.sizes, self.sides, strict=True))

    @property
    def count(self) -> int:
        """Pieces in all."""
        return math.prod(self._steps)

    @property
    def tiles_per_piece(self) -> int:
        """Tiles of the largest pieces."""
        sides = (*(1,) * (5 - len(self.tile)), *self.tile)
        return math.prod(-(-a // b) for a, b in zip(self.sides, sides, strict=True))

    def where(self, number: int) -> dict[str, slice]:
        """The region of a piece."""
        at = np.unravel_index(number, self._steps)
        starts = [int(i) * side for i, side in zip(at, self.sides, strict=True)]
        ends = zip(starts, self.sides, self.sizes, strict=True)
        stops = [min(start + side, size) for start, side, size in ends]
        return {k: slice(a, b) for k, a, b in zip(ORDER, starts, stops, strict=True)}

    def blocks(self, ready: Ready, number: int) -> Generator[Block]:
        """Denoise a piece, tile by tile."""
        return self.stream(ready, [number])

    def stream(self, ready: Ready, numbers: Iterable[int]) -> Generator[Block]:
        """Denoise pieces one after the other; those to come are read while one is computed."""
        return ready.stream(self._frames(ready, numbers))

    def block_count(self, number: int) -> int:
        """How many blocks a piece gives."""
        where = self.where(number)
        lengths = [where[k].stop - where[k].start for k in ORDER]
        sides = (*(1,) * (5 - len(self.tile)), *self.tile)
        return math.prod(-(-a // b) for a, b in zip(lengths, sides, strict=True))

    def _frames(
        self, ready: Ready, numbers: Iterable[int]
    ) -> Iterator[tuple[dict[str, int], list[Tile]]]:
        """The frames of pieces, with the tiles in each."""
        ndim = ready.model.ndim
        for number in numbers:
            where = self.where(number)
            region = tuple(where[k] for k in ORDER[-ndim:])
            places = [range(where[k].start, where[k].stop) for k in ORDER[: 5 - ndim]]
            for place in itertools.product(*places):
                at = dict(zip("STZ", (*place, 0)[:3], strict=True))
                yield at, ready.jobs[ready.level(at["S"], at["T"])].cut(region, self.tile)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {name: list(getattr(self, name)) for name in ("sizes", "sides", "tile")}

    @classmethod
    def from_dict(cls, values: Any, place: str) -> Plan:
        """Read what `to_dict` gave, and `place` kept.

        Raises
        ------
        InputError
            If it is damaged.
        """
        try:
            found = cls(*(tuple(map(int, values[name])) for name in ("sizes", "sides", "tile")))
            lengths = {len(found.sizes), len(found.sides)}
            if lengths != {len(ORDER)} or min(*found.sizes, *found.sides, *found.tile) < 1:
                raise ValueError
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"the plan in {place} is damaged; begin anew with --overwrite"
            ) from error
        return found
