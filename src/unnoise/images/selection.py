"""Parts of an image along its axes: some channels, frames, slices or positions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.formats import geometry
from unnoise.images.image import ArrayLike, Image, as_part

OPTIONS = {"C": "--channels", "T": "--time", "Z": "--z", "S": "--positions"}
"""The option of the command line that selects along an axis."""
PIECE = re.compile(
    r"\s*((?:-?\d{1,18})?)\s*(?:(:)\s*((?:-?\d{1,18})?)\s*(?::\s*(\d{0,18})\s*)?)?\Z"
)


def numbers(text: str, size: int, option: str) -> list[int]:
    """The positions that a text means: numbers and ranges, counted from 0, as in Python.

    Parameters
    ----------
    text : str
        E.g. ``0,2`` or ``10:20``, whose end does not belong to it.
    size : int
        How many there are.
    option : str
        For messages.

    Raises
    ------
    InputError
        For what is no number or range, is not there, or is named twice.

    Examples
    --------
    >>> numbers("0,2", 4, "--channels"), numbers("1:3,-1", 9, "--z"), numbers(":8:4", 9, "--time")
    ([0, 2], [1, 2, 8], [0, 4])
    """
    found: list[int] = []
    for part in text.split(","):
        match = PIECE.match(part)
        if match is None or not (match[1] or match[2]):
            raise InputError(
                f"{option} {text} is no selection; write numbers from 0 on and ranges, e.g. 0,2 or "
                f"10:20"
            )
        start, is_range, stop, step = match.groups()
        if is_range:
            ends = [int(end) if end else None for end in (start, stop, step)]
            if ends[2] == 0:
                raise InputError(f"{option} {text} has a step of 0; leave it out")
            chosen = list(range(size))[slice(*ends)]
            beyond = not chosen or (ends[1] or 0) > size
        else:
            chosen = [int(start) + size * (int(start) < 0)]
            beyond = not 0 <= chosen[0] < size
        if beyond:
            raise InputError(
                f"{option} {text} goes beyond the image, which has {size} there, counted from 0"
            )
        found += chosen
    if len(set(found)) < len(found):
        raise InputError(f"{option} {text} names a position twice; name each once")
    return found


def select(image: Image, wanted: Mapping[str, str]) -> Image:
    """The part of an image that was asked for, read when its pixels are.

    An axis along which a single position is left is gone. Pixel sizes are those of the part: every
    second plane is twice as far from the next one, and of planes at uneven distances, or in falling
    order, none is known. Headers that travel with the image tell where the part lies.

    Parameters
    ----------
    image : Image
    wanted : mapping
        Letter (C, T, Z or S) -> numbers and ranges, as for `numbers`.

    Raises
    ------
    InputError
        If the image lacks an axis, or what is asked for along it.

    Examples
    --------
    >>> movie = Image.from_array(np.arange(5 * 8 * 8).reshape(5, 8, 8), "TYX")
    >>> part = select(movie, {"T": "1:3"})
    >>> part.shape, int(part.data[0, 0, 0])
    ((2, 8, 8), 64)
    >>> dict(select(replace(movie, scale={"T": 1.5}), {"T": "::2"}).scale)
    {'T': 3.0}
    """
    picks: list[Sequence[int]] = [range(size) for size in image.shape]
    for letter, text in wanted.items():
        option = OPTIONS[letter]
        if letter not in image.axes:
            if text.replace(" ", "") in ("0", ":", "0:1", "0:"):
                continue
            raise InputError(
                f"{image.name} has no axis {letter} (its axes are {image.axes}), so {option} "
                f"cannot select along it; leave it out, or name the axes with --axes"
            )
        picks[image.axes.index(letter)] = numbers(text, image.sizes[letter], option)
    if all(map(_is_all, picks, image.shape)):
        return image
    # One of several leaves no axis: programs that read the result know none of length 1.
    gone = [i for i, pick in enumerate(picks) if len(pick) == 1 < image.shape[i]]
    axes = "".join(a for i, a in enumerate(image.axes) if i not in gone)
    part = as_part(
        _moved(image, picks),
        _Selected(image.data, picks, gone),
        axes,
        lambda marks: marks[np.ix_(*picks)].squeeze(tuple(gone)),
    )
    if "C" in wanted and "C" in image.axes:
        part = _with_channels(part, list(picks[image.axes.index("C")]), image.sizes["C"])
    return part


def _is_all(pick: Sequence[int], count: int) -> bool:
    """Whether positions are all of an axis, in order; headers may tell of billions of them."""
    every = range(count)
    return pick == every or (len(pick) == count and list(pick) == list(every))


def _moved(image: Image, picks: Sequence[Sequence[int]]) -> Image:
    """An image whose pixel sizes and place are those of a part of it."""
    parts = {
        letter: geometry.picks(i, pick)
        for i, (letter, pick) in enumerate(zip(image.axes, picks, strict=True))
        if not _is_all(pick, image.shape[i])
    }
    steps = {letter: part.step for letter, part in parts.items()}
    scale = {a: size * steps.get(a, 1) for a, size in image.scale.items() if steps.get(a, 1)}
    units = {a: unit for a, unit in image.units.items() if steps.get(a, 1)}
    return replace(image, scale=scale, units=units, metadata=geometry.moved(image, parts))


def _with_channels(image: Image, kept: list[int], count: int) -> Image:
    """An image that has lost channels, with what is known of the others."""

    def those(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[c] for c in kept) if len(values) == count else ()

    alpha = kept.index(image.alpha) if image.alpha in kept else None
    colours = [c for c in range(count) if c != image.alpha]
    return replace(
        image,
        channel_names=those(image.channel_names),
        acquisition=replace(image.acquisition, colors=those(image.acquisition.colors)),
        is_rgb=image.is_rgb and kept[: len(colours)] == colours,
        alpha=alpha,
    )


class _Selected:
    """Positions of an array along each of its axes, as an array that is read when asked for."""

    def __init__(
        self, data: ArrayLike, picks: Sequence[Sequence[int]], gone: Sequence[int]
    ) -> None:
        self._data, self._gone = data, gone
        self._picks = [pick if isinstance(pick, range) else np.asarray(pick) for pick in picks]
        self.shape = tuple(len(pick) for i, pick in enumerate(picks) if i not in gone)
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, index: Any, /) -> NDArray:
        given = list(index) if isinstance(index, tuple) else [index]
        dots = next((i for i, part in enumerate(given) if part is Ellipsis), len(given))
        rest = given[dots + 1 :]
        given = given[:dots] + [slice(None)] * (len(self.shape) - dots - len(rest)) + rest
        for i in self._gone:
            given.insert(i, 0)
        index = tuple(given)
        squeezed = tuple(i for i, part in enumerate(index) if not isinstance(part, slice))
        wanted = [
            np.asarray(pick[part] if isinstance(part, slice) else [pick[part]])
            for pick, part in zip(self._picks, index, strict=True)
        ]
        found = np.empty([len(w) for w in wanted], self.dtype)
        # What lies beside one another is read at once.
        runs = [_runs(w) for w in wanted]
        for at in np.ndindex(*map(len, runs)):
            pieces = [run[i] for run, i in zip(runs, at, strict=True)]
            source = tuple(slice(first, first + n) for _, first, n in pieces)
            found[tuple(slice(to, to + n) for to, _, n in pieces)] = self._data[source]
        return np.squeeze(found, squeezed)


def _runs(positions: NDArray) -> list[tuple[int, int, int]]:
    """Where neighbours lie in a selection: where each run begins there, its first, and how many.

    Examples
    --------
    >>> _runs(np.array([4, 5, 6, 9, 2, 3]))
    [(0, 4, 3), (3, 9, 1), (4, 2, 2)]
    """
    if not len(positions):
        return []
    starts = [0, *(np.flatnonzero(np.diff(positions) != 1) + 1)]
    ends = [*starts[1:], len(positions)]
    return [(int(a), int(positions[a]), int(b - a)) for a, b in zip(starts, ends, strict=True)]
