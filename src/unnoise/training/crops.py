"""Random crops straight from the images, and their augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.images.held_out import HELD_OUT_BOX, held_out, plane_key
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.model import Model
from unnoise.training.frame_pairs import FramePairs

TRIES = 2000
"""Places that are tried for a pair that shows one scene twice."""
KNOWN = 2**22
"""Held-out pixels of images of at most so many pixels and channels in all are kept, not made anew
for every crop: 2 % of a step."""
MOST_EXCLUDED, REDRAWS = 0.5, 20
"""Crops with a larger share of pixels that are no measurement are drawn anew, so many times."""


@dataclass(frozen=True)
class PairedImages:
    """Where the second image of every pair comes from.

    Attributes
    ----------
    affine : ChannelStatistics
        Normalisation of the second images.
    images : sequence of Image, optional
        One partner per training image, of the same sizes.
    axis : str, optional
        Instead of `images`: the next position along this axis is the partner.
    frames : FramePairs, optional
        What the two images of a pair have in common, for those that show one scene.
    """

    affine: ChannelStatistics
    images: Sequence[Image] | None = None
    axis: str | None = None
    frames: FramePairs | None = None


@dataclass(frozen=True)
class Patches:
    """A batch, arrays of shape (b, c, *patch) but for the last.

    Attributes
    ----------
    noisy : ndarray, float32
        Normalised values.
    target : ndarray, float32
        Those of the partners; `noisy` itself where there are none.
    held_out : ndarray, bool
        Pixels kept for validation.
    channel : ndarray, int64, shape (b, c)
        Which of the denoised channels every plane is.
    gain, offset : ndarray, float32, shape (b, c, 1, 1) or (b, c, z, 1, 1), optional
        ``target * gain + offset`` is as bright as `noisy`, of pairs that show one scene.
    ignored : ndarray, bool, optional
        Pixels that are no target, as the scene changed there.
    excluded : ndarray, bool, or None
        Pixels that are no measurement, here or in the partner, and the rim around them, whose
        neighbours are filled with their own values; None where all are.
    beside : ndarray, float32, shape (b, frames * c, *patch), optional
        The same place in the frames beside, normalised.
    """

    noisy: NDArray[np.float32]
    target: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    channel: NDArray[np.int64]
    gain: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None
    excluded: NDArray[np.bool_] | None = None
    beside: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Crop:
    """Channels, arrays of a patch, which of its pixels are no measurement (None: all are), and the
    same place in the frames beside.
    """

    channels: list[int]
    parts: tuple[NDArray, ...]
    excluded: NDArray[np.bool_] | None
    beside: NDArray[np.float32] | None


class Crops:
    """Patches from anywhere in the images, normalised, never copied into an array of patches.

    A held-out pixel is one that validation hides and compares; it is never a training target.
    Which pixels are held out is a pure function of the seed and the position, so it costs no
    memory and any crop of any image knows its own.

    Parameters
    ----------
    images : sequence of Image
        Images with the same number of channels.
    affine : ChannelStatistics
        Normalisation.
    patch : tuple of int
        Patch shape (y, x) or (z, y, x).
    channels : sequence of int
        Channels to denoise; constant and transparency channels are left out.
    one_by_one : bool
        Whether a patch holds one of the channels, drawn at random, instead of all.
    symmetries : sequence of (int, bool)
        Quarter turns and flips in YX to draw from; the patch must then be square in YX.
    seed : int
        Seed of the held-out pixels.
    partners : PairedImages, optional
        The second images of pairs.
    box : int
        One pixel in so many is held out.
    context : (str, int), optional
        Axis and number of the frames before and after that are given too.
    """

    def __init__(
        self,
        images: Sequence[Image],
        affine: ChannelStatistics,
        *,
        patch: tuple[int, ...],
        channels: Sequence[int],
        one_by_one: bool = False,
        symmetries: Sequence[tuple[int, bool]] = ((0, False),),
        seed: int,
        partners: PairedImages | None = None,
        box: int = HELD_OUT_BOX,
        context: tuple[str, int] | None = None,
    ) -> None:
        self.images, self.affine, self.patch, self.box = images, affine, patch, box
        self.channels, self.one_by_one = list(channels), one_by_one
        self.symmetries, self.seed, self.partners = list(symmetries), seed, partners
        weights = np.array([math.prod(image.sizes.values()) for image in images], np.float64)
        self._weights = weights / weights.sum()
        self._keeps = weights.sum() <= KNOWN
        self._known: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self._neighbours = (
            [Neighbours(image, *context, self.channels) for image in images] if context else []
        )
        self._frames = 2 * context[1] if context else 0

    def batch(self, size: int, rng: np.random.Generator) -> Patches:
        """Draw `size` patches."""
        shape = (size, 1 if self.one_by_one else len(self.channels), *self.patch)
        noisy = np.empty(shape, np.float32)
        target = noisy if self.partners is None else np.empty(shape, np.float32)
        held = np.empty(shape, np.bool_)
        channel = np.empty(shape[:2], np.int64)
        excluded = np.zeros(shape, np.bool_)
        wholes = [noisy, held, target]
        related = self.partners is not None and self.partners.frames is not None
        if related:
            ones = (*shape[:-2], 1, 1)
            wholes += [np.empty(ones, np.float32), np.empty(ones, np.float32), np.empty_like(held)]
        beside = np.empty((size, self._frames * shape[1], *self.patch), np.float32)
        for i in range(size):
            crop = self._measured(rng)
            channel[i] = crop.channels
            turns, flip = self.symmetries[int(rng.integers(len(self.symmetries)))]

            def turned(part: NDArray, turns: int = turns, flip: bool = flip) -> NDArray:
                return np.rot90(part[..., ::-1] if flip else part, turns, axes=(-2, -1))

            for whole, part in zip(wholes, crop.parts, strict=False):
                whole[i] = turned(part)
            if crop.excluded is not None:
                excluded[i] = turned(crop.excluded)
            if crop.beside is not None:
                beside[i] = turned(crop.beside)
        found = Patches(noisy, target, held, channel, *(wholes[3:] if related else ()))
        found = replace(found, beside=beside) if self._frames else found
        return replace(found, excluded=excluded) if excluded.any() else found

    def _measured(self, rng: np.random.Generator) -> Crop:
        """A crop that is mostly measurement, if one is found."""
        best, least = self._crop(rng), 1.0
        for _ in range(REDRAWS):
            marks = best.excluded
            if marks is None or marks.mean() <= MOST_EXCLUDED:
                break
            crop = self._crop(rng)
            share = 0.0 if crop.excluded is None else float(crop.excluded.mean())
            if share < min(least, float(marks.mean())):
                best, least = crop, share
        return best

    def overlap(self) -> float:
        """Chance that a pixel of a patch also lies in another patch drawn later.

        Examples
        --------
        >>> from unnoise.images.image import Image
        >>> image = Image.from_array(np.zeros((64, 64)))
        >>> one = ChannelStatistics(np.zeros(1), np.ones(1))
        >>> Crops([image], one, patch=(64, 64), channels=[0], seed=0).overlap()
        1.0
        """
        total = 0.0
        for weight, image in zip(self._weights, self.images, strict=True):
            n = image.sizes
            planes = math.prod(n[k] for k in "STZ"[: 5 - len(self.patch)])
            chance = weight**2 / planes / (len(self.channels) if self.one_by_one else 1)
            for letter, size in zip("ZYX"[-len(self.patch) :], self.patch, strict=True):
                starts = n[letter] - size + 1
                covered = np.convolve(np.ones(starts), np.ones(size)) / starts
                # A pixel of a patch is at a position with a chance in proportion to `covered`.
                chance *= float((covered**2).sum() / covered.sum())
            total += chance
        return float(total)

    def _crop(self, rng: np.random.Generator) -> Crop:
        """Noisy values, held-out pixels and partner's values (pairs) of some place.

        Raises
        ------
        InputError
            If no pair can be found that shows one scene twice.
        """
        for _ in range(TRIES):
            found = self._drawn(rng)
            if found is not None:
                return found
        raise InputError(
            "no two images of a pair show the same scene with noise of their own: they are copies, "
            "blank, or differ everywhere; leave the method to auto"
        )

    def _drawn(self, rng: np.random.Generator) -> Crop | None:
        """What `_crop` returns; None where the place drawn holds no pair."""
        which = int(rng.choice(len(self.images), p=self._weights))
        n = self.images[which].sizes
        axis = self.partners.axis if self.partners else None
        frames = self.partners.frames if self.partners else None
        step = frames.step if frames else 1
        at = {k: int(rng.integers(n[k] - step * (k == axis))) for k in "ST"}
        depth, *sides = (1, *self.patch)[-3:]
        y, x = (int(rng.integers(n[k] - size + 1)) for k, size in zip("YX", sides, strict=True))
        z = at["Z"] = int(rng.integers(n["Z"] - depth + 1 - step * (axis == "Z")))
        every = len(self.channels)
        which_channels = [int(rng.integers(every))] if self.one_by_one else list(range(every))
        channels = [self.channels[i] for i in which_channels]
        ndim = len(self.patch)
        if frames is not None and depth == 1 and not frames.usable(which, at, channels):
            return None
        key = (self.seed, *plane_key(which, at, ndim, axis))
        space = tuple(n[letter] for letter in "ZYX"[-ndim:])
        held = [self._held((z, y, x)[-ndim:], space, (*key, c)) for c in channels]
        marks = self._excluded(self.images[which], at, (y, x), channels)
        if frames is not None and marks is not None and not (np.stack(held) & ~marks).any():
            return None  # as below, but before anything is read
        noisy = self._read(self.images[which], at, (y, x), channels, self.affine)
        beside = self._beside(which, at, (y, x), channels)
        if self.partners is None:
            return Crop(which_channels, (noisy, np.stack(held)), marks, beside)
        image = (self.partners.images or self.images)[which]
        there = {k: i + step * (k == axis) for k, i in at.items()}
        target = self._read(image, there, (y, x), channels, self.partners.affine)
        others = self._excluded(image, there, (y, x), channels)
        if others is not None:
            marks = others if marks is None else marks | others
        if frames is None:
            return Crop(which_channels, (noisy, np.stack(held), target), marks, beside)
        seen = frames.relation(which, at, channels, self.affine, (noisy, target))
        judged = np.stack(held) & ~seen.ignored
        if not (judged if marks is None else judged & ~marks).any():
            return None  # nothing to validate on, and little to learn
        parts = (noisy, np.stack(held), target, seen.gain, seen.offset, seen.ignored)
        return Crop(which_channels, parts, marks, beside)

    def _held(
        self, origin: tuple[int, ...], space: tuple[int, ...], key: tuple[int, ...]
    ) -> NDArray[np.bool_]:
        """The held-out pixels of a patch."""
        if not self._keeps:
            return held_out(origin, self.patch, key, self.box)
        if key not in self._known:
            self._known[key] = held_out((0,) * len(space), space, key, self.box)
        at = zip(origin, self.patch, strict=True)
        return self._known[key][tuple(slice(o, o + size) for o, size in at)]

    def _read(
        self,
        image: Image,
        at: dict[str, int],
        corner: tuple[int, int],
        channels: list[int],
        affine: ChannelStatistics,
        alone: bool = False,
    ) -> NDArray[np.float32]:
        """A normalised patch, shape (c, *patch)."""
        block = image.read(self._where(at, corner), alone=alone)[0, 0]
        return affine.select(channels).apply(block[channels].reshape(-1, *self.patch))

    def _beside(
        self, which: int, at: dict[str, int], corner: tuple[int, int], channels: list[int]
    ) -> NDArray[np.float32] | None:
        """The same patch of the frames beside, shape (frames * c, *patch)."""
        if not self._neighbours:
            return None
        frames = self._neighbours[which].frames(at)
        image, affine = self.images[which], self.affine
        read = [self._read(image, f, corner, channels, affine, alone=True) for f in frames]
        return np.concatenate(read)

    def _excluded(
        self, image: Image, at: dict[str, int], corner: tuple[int, int], channels: list[int]
    ) -> NDArray[np.bool_] | None:
        """Pixels of a patch that are no measurement, and their rims, shape (c, *patch)."""
        marks = image.excluded(self._where(at, corner))
        if marks is None:
            return None
        cross = ndimage.generate_binary_structure(2, 1)[None, None]
        rims = np.asarray(ndimage.binary_dilation(marks[0, 0, channels], cross))
        return rims.reshape(-1, *self.patch)

    def _where(self, at: dict[str, int], corner: tuple[int, int]) -> dict[str, int | slice]:
        """The region of a patch."""
        starts = zip("ZYX", (at["Z"], *corner), (1, *self.patch)[-3:], strict=True)
        return {**at, **{k: slice(o, o + size) for k, o, size in starts}}


def crops_of(images: Sequence[Image], model: Model, **options: Any) -> Crops:
    """Patches of the denoised channels as the net of a model takes them."""
    return Crops(
        images,
        model.affine,
        patch=model.patch,
        channels=model.channels,
        seed=model.config.training.seed,
        box=model.config.training.held_out,
        context=model.context,
        **{"one_by_one": model.is_one_by_one} | options,
    )
