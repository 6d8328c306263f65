"""Which frames stand beside a frame of a movie or stack, and the frame with them as an image.

What stands beside a frame is seen while the frame itself is hidden. So a copy of it, as cameras and
screen recorders write for frames that they dropped, must not stand there: its noise is the same.
Nor do blank frames. Beyond the ends of a movie frames are mirrored, the frame itself left out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.pixel_mask import PixelMask

SIDE = 64
"""By the middle of so many pixels frames are known to be copies; by all, where it is constant."""
BLANK = b""
"""The digest of a frame on which every pixel has the same value."""


class Neighbours:
    """The frames beside every frame of an image, which are looked at only when asked for.

    Parameters
    ----------
    image : Image
        Movie or stack.
    axis : str
        ``T`` or ``Z``.
    reach : int
        So many before, and so many after.

    Examples
    --------
    >>> movie = np.random.default_rng(0).normal(size=(5, 16, 16))
    >>> movie[3] = movie[2]
    >>> beside = Neighbours(Image.from_array(movie, axes="TYX"), "T", 2)
    >>> beside({"T": 0}), beside({"T": 2})
    ([2, 1, 1, 2], [0, 1, 4, 0])
    """

    def __init__(self, image: Image, axis: str, reach: int) -> None:
        self.image, self.axis, self.reach = image, axis, reach
        self._digests: dict[tuple[int, ...], bytes] = {}

    def __call__(self, at: Mapping[str, int]) -> list[int]:
        """Positions along the axis: those before the frame in their order, then those after it.

        Parameters
        ----------
        at : mapping
            The frame: positions along S, T and Z, 0 where they are not named.

        Raises
        ------
        InputError
            If all frames are copies of this one.
        """
        own, n = at.get(self.axis, 0), self.image.sizes[self.axis]
        before = list(itertools.islice(self._distinct(at, range(own - 1, -1, -1)), self.reach))
        after = list(itertools.islice(self._distinct(at, range(own + 1, n)), self.reach))
        if not before and not after:
            before = self._others(at)
        sides = []
        for side, other in ((before, after), (after, before)):
            more = other[len(side) : self.reach]  # mirrored at the frame
            side = [*side, *more]
            sides.append(side + [(side or other)[-1]] * (self.reach - len(side)))
        return [*reversed(sides[0]), *sides[1]]

    def frames(self, at: Mapping[str, int]) -> list[dict[str, int]]:
        """The same as positions along every axis that `at` names."""
        return [{**at, self.axis: i} for i in self(at)]

    def _distinct(self, at: Mapping[str, int], order: range) -> Iterator[int]:
        """Frames that are neither blank nor copies of this one or of the last of them."""
        own = last = self._digest(at, at.get(self.axis, 0))
        for i in order:
            found = self._digest(at, i)
            if found not in (own, last, BLANK):
                last = found
                yield i

    def _others(self, at: Mapping[str, int]) -> list[int]:
        """Any frame that does not tell the noise of this one; next to a blank frame, all do."""
        own = self._digest(at, at.get(self.axis, 0))
        for i in range(self.image.sizes[self.axis]):
            if i != at.get(self.axis, 0) and (own == BLANK or self._digest(at, i) != own):
                return [i]
        raise InputError(
            f"all frames of {self.image.name} along {self.axis} are copies of one, so none can be "
            f"looked at beside another; leave out the context"
        )

    def _digest(self, at: Mapping[str, int], i: int) -> bytes:
        """What tells a frame from others that are no copies of it."""
        n = self.image.sizes
        place = {k: at.get(k, n[k] // 2) for k in "STZ"} | {self.axis: i}
        key = tuple(place.values())
        if key not in self._digests:
            middle: ax.Where = {**place, **{k: ax.middle(n[k], SIDE) for k in "YX"}}
            blocks = (self.image.original(part) for part in (middle, place))
            block = next((b for b in blocks if not _is_constant(b)), None)
            digest = BLANK if block is None else hashlib.blake2b(block.tobytes()).digest()[:16]
            self._digests[key] = digest
        return self._digests[key]


def _is_constant(block: NDArray) -> bool:
    """Whether every pixel has the same value, or none has one."""
    first = block.flat[0]
    return bool(np.isnan(block).all() if np.isnan(first) else (block == first).all())


def surrounded(image: Image, where: ax.Where, axis: str, reach: int) -> Image:
    """A part of one frame with the same part of the frames beside it, as an image in memory.

    Parameters
    ----------
    image : Image
        Movie or stack.
    where : mapping
        The part, an integer along `axis`.
    axis, reach
        As of `Neighbours`.

    Returns
    -------
    Image
        Of ``2 * reach + 1`` frames, STCZYX; the frame itself is the one in the middle.
    """
    at = {k: v for k, v in where.items() if isinstance(v, int)}
    beside = Neighbours(image, axis, reach)(at)
    order = [*beside[:reach], at[axis], *beside[reach:]]
    frames = [image.part({**where, axis: i}) for i in order]
    along = ax.CANONICAL.index(axis)
    block = np.concatenate([frame.read() for frame in frames], along)
    if all(frame.excluded() is None for frame in frames):
        return replace(frames[0], data=block)
    nothing = np.zeros(frames[0].shape, np.bool_)
    excluded, kept = (
        np.concatenate([nothing if m is None else m for m in marks], along)
        for marks in zip(*((f.excluded(), f.kept()) for f in frames), strict=True)
    )
    return replace(frames[0], data=block, mask=PixelMask.of_planes(block, excluded, kept))
