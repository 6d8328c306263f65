"""Footprints of structN2V: what is hidden around every blind spot when noise is correlated.

Broaddus, Krull, Weigert, Schmidt, Myers: Removing Structured Noise with Self-Supervised Blind-Spot
Networks, ISBI 2020. A footprint is an array of bool with odd sides, True where pixels are hidden;
the blind spot is at its centre. This module knows NumPy alone, so that settings are checked
without torch; `unnoise.training.masks.blind_spots` applies footprints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError

LONGEST = 63
"""Longest shorthand, in pixels."""


def _cross(n: int) -> NDArray[np.bool_]:
    footprint = np.zeros((n, n), np.bool_)
    footprint[n // 2] = footprint[:, n // 2] = True
    return footprint


SHORTHANDS: dict[str, Callable[[int], NDArray[np.bool_]]] = {
    "horizontal": lambda n: np.ones((1, n), np.bool_),
    "vertical": lambda n: np.ones((n, 1), np.bool_),
    "cross": _cross,
    "square": lambda n: np.ones((n, n), np.bool_),
    "z": lambda n: np.ones((n, 1, 1), np.bool_),
}
"""Footprint of a length by name, in YX or ZYX."""


def parse(struct: str | Sequence[Any] | NDArray, ndim: int) -> NDArray[np.bool_]:
    """Read a footprint from a shorthand or from nested lists of 0 and 1.

    Parameters
    ----------
    struct : str or nested sequence
        A name and an odd length of 3 to 63 pixels: ``horizontal:5`` lies along X, ``vertical:5``
        along Y, ``cross:5`` along both, ``square:5`` fills YX and ``z:5`` lies along Z. Or lists of
        0 and 1 with odd sides: one level lies along X, two are YX and three are ZYX. The element
        at the centre is the blind spot itself and may be either.
    ndim : int
        Space dimensions of the net, 2 or 3; a footprint in YX hides nothing in other slices.

    Returns
    -------
    ndarray of bool, `ndim` dimensions with odd sides
        True at the hidden pixels and at the centre; borders of zeros on both sides are cut off.

    Raises
    ------
    InputError
        If the footprint cannot be read or does not fit the net.

    Examples
    --------
    >>> parse("horizontal:5", 2).shape, parse("horizontal:5", 3).shape
    ((1, 5), (1, 1, 5))
    >>> parse([0, 1, 1, 0, 1, 1, 0], 2)
    array([[ True,  True,  True,  True,  True]])
    """
    footprint = _shorthand(struct) if isinstance(struct, str) else _array(struct)
    if footprint.ndim > ndim:
        raise InputError(
            f"the structure {_shown(struct)} has {footprint.ndim} dimensions but the net has "
            f"{ndim}; use a structure in YX, e.g. horizontal:5, or a 3D net (--3d)"
        )
    footprint = footprint.reshape((1,) * (ndim - footprint.ndim) + footprint.shape)
    centre = tuple(size // 2 for size in footprint.shape)
    footprint[centre] = True
    reach = np.abs(np.argwhere(footprint) - centre).max(0)
    inside = [slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True)]
    footprint = footprint[tuple(inside)]
    if footprint.size == 1:
        raise InputError(
            f"the structure {_shown(struct)} hides nothing besides the blind spot; give at least "
            "one 1 beside its centre, or leave the structure out"
        )
    return np.ascontiguousarray(footprint)


def _shorthand(struct: str) -> NDArray[np.bool_]:
    """A footprint by name and length."""
    name, _, length = struct.partition(":")
    if name not in SHORTHANDS:
        known = ", ".join(f"{shorthand}:5" for shorthand in SHORTHANDS)
        raise InputError(f"unknown structure '{struct}'; use one like {known}, or lists of 0 and 1")
    if not (length.isascii() and length.isdigit()):
        raise InputError(f"the structure '{struct}' lacks its length in pixels; write {name}:5")
    n = int(length)
    if n % 2 == 0 or not 3 <= n <= LONGEST:
        odd = min(max(n | 1, 3), LONGEST)
        raise InputError(
            f"the structure '{struct}' needs an odd length from 3 to {LONGEST}, so that the blind "
            f"spot is at its centre; try {name}:{odd}"
        )
    return SHORTHANDS[name](n)


def _array(struct: Sequence[Any] | NDArray) -> NDArray[np.bool_]:
    """A footprint from nested lists, copied."""
    try:
        values = np.array(struct)
    except ValueError:
        raise InputError(
            f"the rows of the structure {_shown(struct)} differ in length; fill them with 0"
        ) from None
    if not 1 <= values.ndim <= 3 or values.size == 0:
        raise InputError(
            f"the structure {_shown(struct)} must be one to three levels of lists of 0 and 1, e.g. "
            "[1, 1, 0, 1, 1], or a name like horizontal:5"
        )
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise InputError(f"the structure {_shown(struct)} may hold only 0 and 1")
    if any(size % 2 == 0 for size in values.shape):
        raise InputError(
            f"the structure {_shown(struct)} has the sides {_sides(values)}, but all must be odd, "
            "for the blind spot is at the centre; add zeros on one side"
        )
    return values.astype(np.bool_)


def symmetries(struct: NDArray | None) -> tuple[tuple[int, bool], ...]:
    """Symmetries of the square in YX that leave a footprint as it is.

    Images may be augmented by these alone: the others would turn the correlation of the noise
    out of the footprint.

    Parameters
    ----------
    struct : ndarray of bool, or None
        Footprint with odd sides; None has all eight symmetries.

    Returns
    -------
    tuple of (turns, flip)
        Those for which ``np.rot90(a[..., ::-1] if flip else a, turns, axes=(-2, -1))`` equals a,
        the identity first.

    Examples
    --------
    >>> symmetries(parse("horizontal:5", 2))
    ((0, False), (0, True), (2, False), (2, True))
    >>> len(symmetries(None)), len(symmetries(parse([0, 0, 0, 1, 1], 2)))
    (8, 2)
    """
    every = [(turns, flip) for turns in range(4) for flip in (False, True)]
    return tuple(
        (turns, flip)
        for turns, flip in every
        if struct is None
        or np.array_equal(np.rot90(struct[..., ::-1] if flip else struct, turns, (-2, -1)), struct)
    )


def describe(struct: NDArray) -> str:
    """The size of a footprint for people, and how many pixels it has if it is not full.

    Examples
    --------
    >>> describe(parse("horizontal:5", 2)), describe(parse("cross:5", 2))
    ('1x5', '5x5 with 9 pixels')
    """
    pixels = int(np.count_nonzero(struct))
    return _sides(struct) + ("" if pixels == struct.size else f" with {pixels} pixels")


def _sides(array: NDArray) -> str:
    return "x".join(str(size) for size in array.shape)


def _shown(struct: Any) -> str:
    """What was given, short enough for a message."""
    text = f"'{struct}'" if isinstance(struct, str) else " ".join(str(struct).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
