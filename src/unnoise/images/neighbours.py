"""Which frames stand beside a frame of a movie or stack, and the frame with them as an image.

What stands beside a frame is seen while the frame itself is hidden. So a copy of it, as cameras and
screen recorders write for frames that they dropped, must not stand there: its noise is the same.
Nor may a frame of which one channel is a copy, as where channels are recorded at different rates;
nor do blank frames. Beyond the ends of a movie frames are mirrored, the frame itself left out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
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
"""The digest of a channel of a frame on which every pixel has the same value."""

Digests = tuple[bytes, ...]
"""What tells a frame from others that are no copies of it, by channel."""


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
    channels : sequence of int, optional
        Those that are looked at; by default all.

    Examples
    --------
    >>> movie = np.random.default_rng(0).normal(size=(5, 16, 16))
    >>> movie[3] = movie[2]
    >>> beside = Neighbours(Image.from_array(movie, axes="TYX"), "T", 2)
    >>> beside({"T": 0}), beside({"T": 2})
    ([2, 1, 1, 2], [0, 1, 4, 0])
    """

    def __init__(
        self, image: Image, axis: str, reach: int, channels: Sequence[int] | None = None
    ) -> None:
        self.image, self.axis, self.reach = image, axis, reach
        self.channels = list(range(image.sizes["C"])) if channels is None else list(channels)
        self._digests: dict[tuple[int, ...], Digests] = {}

    def __call__(self, at: Mapping[str, int]) -> list[int]:
        """Positions along the axis: those before the frame in their order, then those after it.

        Parameters
        ----------
        at : mapping
            The frame: positions along S, T and Z, 0 where they are not named.

        Raises
        ------
        InputError
            If all frames are copies of this one, or a channel of each is.
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
            if found != last and any(found) and not _tells(found, own):
                last = found
                yield i

    def _others(self, at: Mapping[str, int]) -> list[int]:
        """Any frame that does not tell the noise of this one; next to a blank frame, all do."""
        own = self._digest(at, at.get(self.axis, 0))
        for i in range(self.image.sizes[self.axis]):
            if i != at.get(self.axis, 0) and not _tells(self._digest(at, i), own):
                return [i]
        some = " in some channel" if len(self.channels) > 1 else ""
        raise InputError(
            f"all frames of {self.image.name} along {self.axis} are copies of one{some}, so none "
            f"can be looked at beside another; leave out the context{some and ', or that channel'}"
        )

    def _digest(self, at: Mapping[str, int], i: int) -> Digests:
        """What tells a frame from others that are no copies of it."""
        n = self.image.sizes
        place = {k: at.get(k, n[k] // 2) for k in "STZ"} | {self.axis: i}
        key = tuple(place.values())
        if key not in self._digests:
            middle: ax.Where = {**place, **{k: ax.middle(n[k], SIDE) for k in "YX"}}
            found = self._told(middle)
            if BLANK in found:
                wide = self._told(place)
                found = [a or b for a, b in zip(found, wide, strict=True)]
            self._digests[key] = tuple(found)
        return self._digests[key]

    def _told(self, where: ax.Where) -> list[bytes]:
        """The digests of a part of a frame, of a channel that was not measured there, too."""
        digests = _digests(self.image.original(where)[:, :, self.channels])
        marks = self.image.excluded(where)
        if marks is None:
            return digests
        lost = [bool(marks[:, :, c].all()) for c in self.channels]
        return [BLANK if gone else found for gone, found in zip(lost, digests, strict=True)]


def _tells(one: Digests, other: Digests) -> bool:
    """Whether a channel of a frame is a copy, so that it tells the noise of the other."""
    return any(a == b != BLANK for a, b in zip(one, other, strict=True))


def _digests(block: NDArray) -> list[bytes]:
    """By channel of an STCZYX block."""
    channels = (block[:, :, i] for i in range(block.shape[2]))
    return [
        BLANK if _is_constant(c) else hashlib.blake2b(c.tobytes()).digest()[:16] for c in channels
    ]


def _is_constant(block: NDArray) -> bool:
    """Whether every pixel has the same value, or none has one."""
    first = block.flat[0]
    return bool(np.isnan(block).all() if np.isnan(first) else (block == first).all())


def surrounded(
    image: Image,
    where: ax.Where,
    axis: str,
    reach: int,
    channels: Sequence[int] | None = None,
) -> Image:
    """A part of one frame with the same part of the frames beside it, as an image in memory.

    Parameters
    ----------
    image : Image
        Movie or stack.
    where : mapping
        The part, an integer along `axis`.
    axis, reach, channels
        As of `Neighbours`.

    Returns
    -------
    Image
        Of ``2 * reach + 1`` frames, STCZYX; the frame itself is the one in the middle.
    """
    at = {k: v for k, v in where.items() if isinstance(v, int)}
    beside = Neighbours(image, axis, reach, channels)(at)
    order = [*beside[:reach], at[axis], *beside[reach:]]
    frames = [image.part({**where, axis: i}, alone=i != at[axis]) for i in order]
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
