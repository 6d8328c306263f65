"""Axis letters. This is the only module that knows what S, T, C, Z, Y and X mean.

Inside unnoise every block of pixels has the canonical order ``STCZYX`` with all six dimensions:
S independent samples, T time, C channels, Z, Y and X space. Files keep their own order; the
functions here lead from one to the other and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import AxesError, expect

CANONICAL = "STCZYX"
SUGGESTIONS = {
    2: ("YX",),
    3: ("ZYX", "TYX", "CYX", "SYX"),
    4: ("ZCYX", "TCYX", "TZYX", "CZYX"),
    5: ("TZCYX", "TCZYX"),
}
"""Axes of images without colour by their number of dimensions, the most likely first."""

Where = Mapping[str, "int | slice"]
"""A region of an image: letter -> integer or slice; letters left out mean everything."""


def check(axes: str, shape: tuple[int, ...]) -> str:
    """Return `axes` in upper case, or say why it cannot describe an array of this shape.

    Raises
    ------
    AxesError
        For unknown or repeated letters, a wrong number of letters, or missing Y or X.

    Examples
    --------
    >>> check("zyx", (12, 512, 512))
    'ZYX'
    """
    expect("axes", axes, str, "letters like 'ZYX'")
    letters = axes.upper()
    unknown = sorted(set(letters) - set(CANONICAL))
    if unknown:
        raise AxesError(
            f"axes '{axes}' contain {', '.join(unknown)}, but only the letters {CANONICAL} are "
            f"known{_try(shape)}"
        )
    if len(set(letters)) != len(letters):
        raise AxesError(f"axes '{axes}' name a letter twice{_try(shape)}")
    if "Y" not in letters or "X" not in letters:
        raise AxesError(f"axes '{axes}' lack Y or X{_try(shape)}")
    if len(letters) != len(shape):
        raise AxesError(
            f"axes '{axes}' name {len(letters)} dimensions but the image has {len(shape)} "
            f"{shape}{_try(shape)}"
        )
    return letters


def _try(shape: tuple[int, ...]) -> str:
    """The remedy at the end of a sentence: the flags that would fit a shape."""
    choices = suggestions(shape)
    return f"; try {' or '.join(f'--axes {c}' for c in choices)}" if choices else ""


def suggestions(shape: tuple[int, ...]) -> list[str]:
    """Axes that would be sensible for an array of this shape, the most likely first."""
    if len(shape) in (3, 4) and shape[-1] in (3, 4):
        return complete("YXC".rjust(len(shape), "?"))
    return list(SUGGESTIONS.get(len(shape), ()))


def infer(shape: tuple[int, ...], *, smallest: int = 16) -> str:
    """Axes of a bare array where only one reading is possible.

    Two dimensions are YX. Three dimensions that end in 1, 3 or 4 are YXC, because X would be too
    small to be an image otherwise. Dimensions of length 1 before these may have any letter.
    Everything else is ambiguous.

    Raises
    ------
    AxesError
        With the flags that would resolve the ambiguity.

    Examples
    --------
    >>> infer((512, 512)), infer((512, 512, 3)), infer((1, 512, 512))
    ('YX', 'YXC', 'SYX')
    """
    for tail, sizes in (("YX", None), ("YXC", (1, 3, 4))):
        ones, own = shape[: -len(tail)], shape[-len(tail) :]
        fits = len(own) == len(tail) and (sizes is None or own[-1] in sizes)
        large = sizes is None or min(own[:2], default=0) >= smallest
        large = large and not (ones and own[1] in (1, 3, 4))  # (1, 512, 3) may be a row of colours
        letters = [a for a in CANONICAL if a not in tail][: len(ones)]
        if fits and large and set(ones) <= {1} and len(letters) == len(ones):
            return "".join(letters) + tail
    raise ambiguous(shape)


def complete(pattern: str) -> list[str]:
    """Axes that fill the ``?`` of a pattern with letters it lacks, the most likely first.

    Examples
    --------
    >>> complete("?CYX"), complete("?YXC")
    (['ZCYX', 'TCYX', 'SCYX'], ['ZYXC', 'TYXC', 'SYXC'])
    """
    count = pattern.count("?")
    free = [letter for letter in ("ZTCS" if count == 1 else "TZCS") if letter not in pattern]
    fills = [iter(fill) for fill in combinations(free, count)]
    return ["".join(next(fill) if p == "?" else p for p in pattern) for fill in fills][:4]


def ambiguous(shape: tuple[int, ...], axes: str = "") -> AxesError:
    """The error for axes that cannot be known, with the exact flags to choose from.

    `axes` is what is known so far, with ``?`` for each unknown dimension.
    """
    known = f" (known so far: '{axes}')" if axes else ""
    choices = complete(axes) if axes else suggestions(shape)
    if not choices:
        return AxesError(
            f"an array of shape {shape} cannot be read as an image of axes {CANONICAL}; give 2 to "
            f"6 dimensions"
        )
    return AxesError(
        f"the axes of the image of shape {shape} are ambiguous{known}; say which they are with "
        + " or ".join(f"--axes {c}" for c in choices)
        + " (Z stack, T movie, C channels, S independent images)"
    )


def sizes(axes: str, shape: tuple[int, ...]) -> dict[str, int]:
    """Size of each canonical letter, 1 for the ones the image lacks.

    Examples
    --------
    >>> sizes("CYX", (2, 64, 32))
    {'S': 1, 'T': 1, 'C': 2, 'Z': 1, 'Y': 64, 'X': 32}
    """
    own = dict(zip(axes, shape, strict=True))
    return {letter: own.get(letter, 1) for letter in CANONICAL}


def index(axes: str, where: Where) -> tuple[slice, ...]:
    """The index tuple, in the order of `axes`, of a region; integers become slices of length 1.

    Examples
    --------
    >>> index("ZYX", {"Z": 3, "X": slice(0, 8)})
    (slice(3, 4, None), slice(None, None, None), slice(0, 8, None))
    """
    region = (where.get(letter, slice(None)) for letter in axes)
    return tuple(r if isinstance(r, slice) else slice(r, r + 1 or None) for r in region)


def middle(size: int, side: int, grid: int = 1) -> slice:
    """So much of the middle of an axis, or all of it; where it starts is a multiple of `grid`.

    Examples
    --------
    >>> middle(100, 40), middle(30, 40), middle(100, 40, grid=16)
    (slice(30, 70, None), slice(0, 30, None), slice(16, 56, None))
    """
    side = min(side, size)
    start = (size - side) // 2 // grid * grid
    return slice(start, start + side)


def to_canonical(block: NDArray, axes: str) -> NDArray:
    """View a block in the order of `axes` as STCZYX, with dimensions of length 1 added.

    Examples
    --------
    >>> to_canonical(np.zeros((7, 9, 3)), "YXC").shape
    (1, 1, 3, 1, 7, 9)
    """
    order = [axes.index(letter) for letter in CANONICAL if letter in axes]
    missing = tuple(i for i, letter in enumerate(CANONICAL) if letter not in axes)
    return np.expand_dims(block.transpose(order), missing)


def from_canonical(block: NDArray, axes: str) -> NDArray:
    """View an STCZYX block in the order of `axes`; the inverse of `to_canonical`.

    Examples
    --------
    >>> from_canonical(np.zeros((1, 1, 3, 1, 7, 9)), "YXC").shape
    (7, 9, 3)
    """
    missing = tuple(i for i, letter in enumerate(CANONICAL) if letter not in axes)
    kept = [letter for letter in CANONICAL if letter in axes]
    return block.squeeze(missing).transpose([kept.index(letter) for letter in axes])
