"""Images and frames of very different brightness: which of them can share statistics.

The same scene at 10 and at 1,000 ms has a tenth or a hundredth of the contrast. Under statistics
that are common to both, the dim one is next to nothing to a net or a transform. So images, or
frames of a movie, are put into groups of alike mean and contrast, and every group has statistics
of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.images import axes as ax
from unnoise.images.image import Image

ALIKE = 3.0
"""Contrasts that differ by a smaller factor, and means by fewer standard deviations, share
statistics: up to three exposures apart, Noise2Void lost 1 dB in the dim one, at 10 exposures 1.5,
at 100 exposures 5.5 (camera, 300 steps), and most of the first dB to the steps they share."""
MOST = 6
"""Groups at most: every one has a training of its own."""
LOOKS = 64
"""Frames of an image that are looked at for a start."""
PIXELS = 2**18
"""Pixels of a frame that are looked at."""
WIDE, SQUARE = 2**26, 128
"""Of wider planes 16 squares of this side are looked at, as rows would touch all of their tiles."""
CERTAIN = 5.0
"""Standard errors by which the products of neighbours must exceed 0 where there is a picture."""


@dataclass(frozen=True)
class Brightness:
    """Mean and standard deviation per channel of an image or a frame; 0 marks a constant one.

    Attributes
    ----------
    mean, std : ndarray, shape (C,), float64
    has_structure : ndarray of bool, shape (C,)
        Where neighbours are alike: a channel without a picture, nothing but noise, suits any group.
    lowest : ndarray, shape (C,), float64
        The lowest pixel that was looked at; infinite where none is a measurement.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    has_structure: NDArray[np.bool_]
    lowest: NDArray[np.float64]

    def only(self, channel: int) -> Brightness:
        """The same with one channel alone that counts."""
        alone = np.arange(len(self.std)) == channel
        return replace(self, has_structure=alone & self.has_structure)


@dataclass(frozen=True)
class Level:
    """What the images or frames of a group have in common.

    Attributes
    ----------
    mean, std : tuple of float
        Typical values per channel, in the units of the image.
    by_frame : bool
        Whether frames (positions along S and T) belong to groups, instead of whole images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    by_frame: bool = True

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Level:
        """Out of the plain values of a file."""
        mean, std = (tuple(map(float, values[name])) for name in ("mean", "std"))
        if len(mean) != len(std) or not np.isfinite([mean, std]).all():
            raise ValueError("the levels do not fit each other")
        return cls(mean, std, bool(values["by_frame"]))


def brightness(image: Image, s: int | None = None, t: int | None = None) -> Brightness:
    """Mean, standard deviation and whether there is a picture, of an image or one of its frames.

    Large ones are sampled by rows, very wide ones by squares.

    Examples
    --------
    >>> found = brightness(Image.from_array(np.tile(np.arange(64.0), (64, 1))))
    >>> float(found.mean[0]), bool(found.has_structure[0])
    (31.5, True)
    """
    n = image.sizes
    frames = [
        (i, j)
        for i in (range(n["S"]) if s is None else [s])
        for j in (range(n["T"]) if t is None else [t])
    ]
    frames = frames[:: -(-len(frames) // LOOKS)]
    squares = _squares(n["Y"], n["X"])
    looked = n["Y"] * n["X"] if squares is None else len(squares) * SQUARE**2
    step = -(-len(frames) * n["Z"] * looked // PIXELS)
    depth = min(step, n["Z"])
    windows = squares or [{"Y": slice(None, None, -(-step // depth))}]
    blocks, uses = [], []
    for (i, j), window in itertools.product(frames, windows):
        where: ax.Where = {"S": i, "T": j, "Z": slice(depth // 2, None, depth), **window}
        block, excluded = image.read(where)[0, 0], image.excluded(where)
        blocks.append(block)
        uses.append(np.ones(block.shape, np.bool_) if excluded is None else ~excluded[0, 0])
    x = np.stack(blocks, 1).reshape(n["C"], -1, blocks[0].shape[-1]).astype(np.float64)
    use = np.stack(uses, 1).reshape(x.shape)
    both = use[..., 1:] & use[..., :-1]
    count, pairs = (np.maximum(u.sum((1, 2)), 1) for u in (use, both))
    mean = (x * use).sum((1, 2)) / count
    lowest = x.min((1, 2), where=use, initial=np.inf)
    x = (x - mean[:, None, None]) * use
    variance = (x**2).sum((1, 2)) / count
    products = (x[..., 1:] * x[..., :-1]).sum((1, 2)) / pairs
    error = variance / np.sqrt(pairs)
    std = np.sqrt(variance)
    std = np.where(std > 1e-12 * np.abs(mean), std, 0.0)  # rounding leaves so much of a constant
    if image.alpha is not None:
        std[image.alpha] = 0.0
    return Brightness(mean, std, (products > CERTAIN * error) & (std > 0), lowest)


def _squares(height: int, width: int) -> list[dict[str, slice]] | None:
    """Where the squares lie that are looked at of a wide plane; None where rows are."""
    if height * width <= WIDE:
        return None
    at = [[(2 * i + 1) * n // 8 - SQUARE // 2 for i in range(4)] for n in (height, width)]
    corners = itertools.product(*([max(start, 0) for start in starts] for starts in at))
    return [{"Y": slice(y, y + SQUARE), "X": slice(x, x + SQUARE)} for y, x in corners]


def distance(image: Brightness, mean: NDArray, std: NDArray) -> float:
    """How unlike statistics are those of an image: the larger of two ratios, 1 where alike.

    That of the contrasts, and that of the difference of the means to the contrast. Channels without
    a picture do not count.
    """
    use = image.has_structure & (std > 0)
    if not use.any():
        return 1.0
    ratio = image.std[use] / std[use]
    apart = np.abs(image.mean[use] - mean[use]) / std[use]
    return float(np.max([ratio, 1 / ratio, apart]))


def levels(images: Sequence[Image], *, by_frame: bool = True) -> tuple[Level, ...]:
    """The groups that images fall into; none where all of them can share statistics.

    Parameters
    ----------
    images : sequence of Image
        With the same channels.
    by_frame : bool
        Whether the frames of an image may belong to different groups.

    Examples
    --------
    >>> scene = np.random.default_rng(0).poisson(np.tile(np.arange(1.0, 65.0), (64, 1)))
    >>> dim, bright = (Image.from_array(x) for x in (scene, 100.0 * scene))
    >>> levels([dim, dim]), [round(level.mean[0]) for level in levels([dim, bright])]
    ((), [32, 3247])
    """
    found = []
    for image in images:
        places = list(_frames(image)) if by_frame else [(None, None)]
        found += [brightness(image, *at) for at in places[:: -(-len(places) // LOOKS)]]
    groups = [[b for b in found if b.has_structure.any()]]
    while len(groups) < MOST:
        worst, group = max(
            ((_spread(group), i) for i, group in enumerate(groups)), default=(1.0, 0)
        )
        if worst <= ALIKE:
            break
        groups[group : group + 1] = _halves(groups[group])
    if len(groups) == 1:
        return ()
    centres: list[Level] = []
    for _ in range(20):  # until every one is with its nearest
        centres = [_centre(group, by_frame) for group in groups if group]
        groups = [[] for _ in centres]
        for b in found:
            groups[_nearest(b, centres)].append(b)
        if [_centre(group, by_frame) for group in groups if group] == centres:
            break
    order = list(dict.fromkeys(_nearest(b, centres) for b in found))  # as the images come
    return tuple(centres[i] for i in order)


def nearest(image: Image, levels: Sequence[Level], s: int, t: int) -> int:
    """The group of a frame, or of its image where groups consist of images."""
    if len(levels) == 1:
        return 0
    at = (s, t) if levels[0].by_frame else ()
    return _nearest(brightness(image, *at), levels)


def parts(image: Image, levels: Sequence[Level]) -> list[list[Image]]:
    """What of an image belongs to each group: all, some frames, or nothing."""
    found: list[list[Image]] = [[] for _ in levels]
    if not levels[0].by_frame:
        found[nearest(image, levels, 0, 0)].append(image)
        return found
    frames = list(_frames(image))
    places = [nearest(image, levels, *at) for at in frames]
    for group in set(places):
        own = [at for at, place in zip(frames, places, strict=True) if place == group]
        if len(own) == len(frames):
            found[group].append(image)
            continue
        for s in sorted({s for s, _ in own}):
            found[group].append(frames_of(image, s, [t for i, t in own if i == s]))
    return found


@dataclass(frozen=True)
class FrameSelection(Image):
    """Some frames of an image, read when they are asked for.

    Attributes
    ----------
    whole : Image
        The image they come from.
    s : int
        Their position along S.
    frames : tuple of int
        Their positions along T.
    """

    whole: Image | None = None
    s: int = 0
    frames: tuple[int, ...] = field(default=())

    @property
    def name(self) -> str:
        """How messages call it."""
        assert self.whole is not None
        n = self.whole.sizes
        place = f"S {self.s + 1}" if n["S"] > 1 else ""
        if n["T"] > 1:
            shown = ", ".join(str(t + 1) for t in self.frames[:3])
            more = ", ..." if len(self.frames) > 3 else ""
            place += (", " if place else "") + f"T {shown}{more}"
        return f"{self.whole.name} ({place})"

    def read(self, where: ax.Where | None = None, *, alone: bool = False) -> NDArray:
        """Pixels of a region as an STCZYX block in the dtype of the image."""
        assert self.whole is not None
        places = self._places(where or {})
        return np.concatenate([self.whole.read(at, alone=alone) for at in places], axis=1)

    def original(self, where: ax.Where | None = None) -> NDArray:
        """Pixels of a region as they are."""
        assert self.whole is not None
        return np.concatenate([self.whole.original(at) for at in self._places(where or {})], axis=1)

    def excluded(self, where: ax.Where | None = None) -> NDArray[np.bool_] | None:
        """Which pixels of a region are no measurement; None where all are."""
        assert self.whole is not None
        return _joined([self.whole.excluded(at) for at in self._places(where or {})])

    def kept(self, where: ax.Where | None = None) -> NDArray[np.bool_] | None:
        """Which excluded pixels of a region come back as they are; None where none do."""
        assert self.whole is not None
        return _joined([self.whole.kept(at) for at in self._places(where or {})])

    def _places(self, where: ax.Where) -> list[dict[str, int | slice]]:
        """The region in every one of the frames that it takes."""
        chosen = np.array(self.frames)[ax.index("T", where)[0]]
        return [{**where, "S": self.s, "T": int(t)} for t in chosen]


def _joined(marks: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """The marks of frames along T; None where none has any."""
    found = next((mark for mark in marks if mark is not None), None)
    if found is None:
        return None
    none = np.zeros_like(found)
    return np.concatenate([none if mark is None else mark for mark in marks], axis=1)


@dataclass(frozen=True)
class _Pixels:
    """Shape and type of selected frames, whose pixels `FrameSelection` reads."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, index: Any, /) -> Any:
        raise TypeError("selected frames are read by regions")


def frames_of(image: Image, s: int, frames: Sequence[int]) -> Image:
    """Some frames of an image as an image."""
    size = {"S": 1, "T": len(frames)}
    shape = tuple(size.get(k, n) for k, n in zip(image.axes, image.shape, strict=True))
    known = {k: v for k, v in vars(image).items() if k in Image.__dataclass_fields__}
    known["data"] = _Pixels(shape, image.dtype)
    return FrameSelection(**known, whole=image, s=s, frames=tuple(frames))


def selected(image: Image, like: Image) -> Image:
    """The frames of one image that were selected of another."""
    return frames_of(image, like.s, like.frames) if isinstance(like, FrameSelection) else image


def _frames(image: Image) -> Iterator[tuple[int, int]]:
    n = image.sizes
    return ((s, t) for s in range(n["S"]) for t in range(n["T"]))


def _pooled(group: Sequence[Brightness]) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation over all of a group."""
    means, stds = np.array([b.mean for b in group]), np.array([b.std for b in group])
    return means.mean(0), np.sqrt((stds**2).mean(0) + means.var(0))


def _spread(group: Sequence[Brightness]) -> float:
    """How unlike the statistics of a group are those of its worst member."""
    return max((distance(b, *_pooled(group)) for b in group), default=1.0)


def _halves(group: Sequence[Brightness]) -> list[list[Brightness]]:
    """A group in two, where the variances within the two are least: by contrast, or by mean."""
    mean, std = _pooled(group)
    worst = max(group, key=lambda b: distance(b, mean, std))
    use = np.flatnonzero(worst.has_structure & (std > 0))
    c = max(use.tolist(), key=lambda c: distance(worst.only(c), mean, std))
    contrast = np.log([max(b.std[c], 1e-12 * std[c]) for b in group])
    values = contrast if np.ptp(contrast) > np.log(2) else np.array([b.mean[c] for b in group])
    order = np.argsort(values, kind="stable")
    x = values[order]
    within = [x[:i].var() * i + x[i:].var() * (len(x) - i) for i in range(1, len(x))]
    cut = int(np.argmin(within)) + 1
    return [[group[i] for i in order[:cut]], [group[i] for i in order[cut:]]]


def _centre(group: Sequence[Brightness], by_frame: bool) -> Level:
    """Typical values of a group."""
    means, stds = np.array([b.mean for b in group]), np.array([b.std for b in group])
    varying = (stds > 0).sum(0)
    logs = np.log(np.where(stds > 0, stds, 1.0)).sum(0) / np.maximum(varying, 1)
    std = np.where(varying > 0, np.exp(logs), 0.0)
    return Level(tuple(means.mean(0).tolist()), tuple(std.tolist()), by_frame)


def _nearest(image: Brightness, levels: Sequence[Level]) -> int:
    """The level whose means and contrasts are nearest."""

    def away(level: Level) -> float:
        mean, std = np.array(level.mean), np.array(level.std)
        use = (image.std > 0) & (std > 0)
        ratio = np.abs(np.log(np.where(use, image.std, 1) / np.where(use, std, 1)))
        scale = np.where(use, np.maximum(image.std, std), 1)
        return float((use * (ratio + np.abs(image.mean - mean) / scale)).sum())

    return min(range(len(levels)), key=lambda i: away(levels[i]))
