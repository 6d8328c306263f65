"""What the two frames of a pair have in common: how bright each is, and what of the scene stayed.

Noise2Noise takes pairs for two looks at one signal. Where a lamp flickers, a dye bleaches or the
exposures differ they are not, and a net trained on them gives every frame the brightness of its
neighbour; what moves or fires comes out as a mean over both. So the second image is brought to the
brightness of the first before it is a target, and places that changed are no targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.noise.frame_comparison import (
    Brightness,
    changes,
    compare,
    is_blank,
    is_copy,
    match,
)
from unnoise.noise.planes import neighboring_planes, plane_at
from unnoise.noise.still_frames import Repeats, repeats

WIDEST = 512
"""Largest side of what is compared of frames for their brightness."""
CHANGED = 0.5
"""Share of a scene that may change: without the rest there would be nothing to learn from."""

Place = tuple[int, int, int, int, int]
"""Image, S, T, Z and channel."""


@dataclass(frozen=True)
class Relation:
    """How a patch and its partner go together; arrays that broadcast to (c, *patch).

    ``target * gain + offset`` is as bright as the patch; ``ignored`` are pixels that are no target.
    """

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    ignored: NDArray[np.bool_]


@dataclass
class FramePairs:
    """What the frames of pairs have in common; looked at when a pair is first drawn.

    Attributes
    ----------
    images : sequence of Image
        The first images.
    partners : sequence of Image
        The second images; `images` again for pairs along an axis.
    axis : str or None
        Along which the partner lies `step` further on.
    step : int
        1, or so many frames that their noise is independent.
    spread : float
        How much more the means of 4x4 pixels vary than those of white noise.
    notes : tuple of str
        What people should know.
    masks_changes : bool
        Whether places that changed are left out.
    """

    images: Sequence[Image]
    partners: Sequence[Image]
    axis: str | None = None
    step: int = 1
    spread: float = 1.0
    notes: tuple[str, ...] = ()
    masks_changes: bool = True
    _known: dict[Place, Brightness | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        images: Sequence[Image],
        partners: Sequence[Image] | None,
        axis: str | None,
        channels: Sequence[int],
    ) -> FramePairs:
        """Look at some pairs of the first, the middle and the last image, in every channel.

        Raises
        ------
        InputError
            If they do not show the same scene, or all frames share their noise.
        """
        seconds = images if partners is None else partners
        step = 1
        notes: dict[str, list[int]] = {}  # and the channels of which they are true
        spreads, changed = [1.0], [0.0]
        looked = sorted({0, len(images) // 2, len(images) - 1})
        for i, channel in product(looked, channels):
            frames = _frames(images[i], seconds[i], axis, channel)
            look = repeats(frames)
            _check(look, images[i], seconds[i], axis)
            if axis and look.verdict == "dependent" and look.step:
                step = max(step, look.step)
            for note in _notes(look, axis):
                notes.setdefault(note, []).append(channel)
            changed.append(look.changed)
            if look.verdict not in ("too few", "duplicates"):
                spreads.append(compare(frames[look.distinct[0]], frames[look.distinct[-1]]).spread)
        short = [image for image in images if axis and image.sizes[axis] <= step]
        if short and axis:
            raise InputError(
                f"{short[0].name} has {short[0].sizes[axis]} frames along {axis}, of which only "
                f"those {step} apart have independent noise, so it holds no pairs; choose another "
                f"method, or leave it to --method auto"
            )
        masks = max(changed) <= CHANGED
        told = tuple(_told(note, true, channels, images[0]) for note, true in notes.items())
        return cls(images, seconds, axis, step, max(spreads), told, masks)

    def usable(self, which: int, at: Mapping[str, int], channels: Sequence[int]) -> bool:
        """Whether the planes at a place are a pair: no copies, none of them blank."""
        return all(self._brightness((which, at["S"], at["T"], at["Z"], c)) for c in channels)

    def relation(
        self,
        which: int,
        at: Mapping[str, int],
        channels: Sequence[int],
        affine: ChannelStatistics,
        patches: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> Relation:
        """How normalised patches (c, *patch) of a pair go together; `at` is their first plane."""
        noisy, target = patches
        planes = noisy.reshape(len(channels), -1, *noisy.shape[-2:])
        others = target.reshape(planes.shape)
        gain = np.ones((*planes.shape[:2], 1, 1), np.float32)
        offset, ignored = np.zeros_like(gain), np.zeros(planes.shape, np.bool_)
        for i, k in np.ndindex(*planes.shape[:2]):
            c = channels[i]
            light = self._brightness((which, at["S"], at["T"], at["Z"] + k, c))
            if light is None:
                ignored[i, k] = True
                continue
            if light.differs:
                mean, std = affine.mean[c], affine.std[c]
                gain[i, k] = light.gain
                offset[i, k] = (light.gain * mean + light.offset - mean) / std
            if self.masks_changes:
                d = others[i, k] * gain[i, k] + offset[i, k] - planes[i, k]
                ignored[i, k] = changes(d.astype(np.float64), self.spread)
        full = (*noisy.shape[:-2], 1, 1)
        return Relation(gain.reshape(full), offset.reshape(full), ignored.reshape(noisy.shape))

    def _brightness(self, place: Place) -> Brightness | None:
        """How bright the partner is; None if the two are no pair."""
        if place not in self._known:
            which, s, t, z, c = place
            at = {"S": s, "T": t, "Z": z}
            beside = {k: i + self.step * (k == self.axis) for k, i in at.items()}
            a = _plane(self.images[which], at, c)
            b = _plane(self.partners[which], beside, c)
            useless = is_copy(a, b) or is_blank(a) or is_blank(b)
            self._known[place] = None if useless else match(a, b)
        return self._known[place]


def _plane(image: Image, at: Mapping[str, int], channel: int) -> NDArray:
    """The middle of a plane."""
    return plane_at(image, {**image.middle(WIDEST), **at, "C": channel})


def _frames(image: Image, partner: Image, axis: str | None, channel: int) -> NDArray:
    """Neighbouring frames, or one of each image of a pair."""
    if axis is not None:
        return neighboring_planes(image, channel, axis)
    return np.stack([_plane(x, x.middle(), channel) for x in (image, partner)])


def _check(look: Repeats, image: Image, partner: Image, axis: str | None) -> None:
    """Refuse what cannot be learned from.

    Raises
    ------
    InputError
    """
    pair = f"neighbouring frames of {image.name} along {axis}"
    pair = pair if axis else f"{image.name} and its target {partner.name}"
    if look.verdict == "different" and look.changed > CHANGED:
        raise InputError(
            f"{pair} do not show the same scene ({look.changed:.0%} of it differs by more than "
            f"noise), so Noise2Noise cannot learn from them; give two looks at one scene, or leave "
            f"the method to auto"
        )
    if axis and look.verdict == "dependent" and not look.step and len(look.distinct) > 2:
        raise InputError(
            f"the noise of {pair} is not independent (they look like running means over "
            f"{look.averaged:.0f} frames or more), so Noise2Noise would keep it; give the frames "
            f"as recorded, or leave the method to auto"
        )


def _told(note: str, true: Sequence[int], channels: Sequence[int], image: Image) -> str:
    """A note, and of which channels it is true where that is not all of them."""
    some = sorted(set(true))
    if len(some) == len(channels):
        return note
    names = image.channel_names or tuple(str(c + 1) for c in range(image.sizes["C"]))
    return f"channel {', '.join(names[c] for c in some)}: {note}"


def _notes(look: Repeats, axis: str | None) -> list[str]:
    """What people should know about pairs before they are learned from."""
    notes = list(look.peculiarities)
    if axis and look.verdict == "dependent" and look.step:
        notes.append(
            f"frames {look.step} apart along {axis}, whose noise is independent, are pairs"
        )
    if look.verdict == "slowly changing":
        share = f"{look.changed:.2g}" if look.changed < 0.01 else f"{look.changed:.0%}"
        end = (
            "those places are no targets"
            if look.changed <= CHANGED
            else "Noise2Noise will blur them; --method auto does not"
        )
        notes.append(f"{share} of the scene differs between the two of a pair: {end}")
    return notes
