"""A tile for which there is no memory is computed as two halves, which give the same result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unnoise import errors
from unnoise.models.tiles import Tile, cut

WORDS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")
"""How PyTorch says it on CUDA and MPS, on Linux, and on Windows, and how ONNX Runtime does."""


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that there is no memory.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    True
    >>> is_out_of_memory(RuntimeError("shapes do not fit"))
    False
    """
    return isinstance(problem, MemoryError) or any(word in str(problem).lower() for word in WORDS)


def longest(piece: Tile) -> int:
    """The dimension along which a tile is halved."""
    lengths = [part.stop - part.start for part in piece.write]
    return lengths.index(max(lengths))


def halved(
    piece: Tile, shape: tuple[int, ...], halo: tuple[int, ...], grid: tuple[int, ...]
) -> list[Tile]:
    """The two halves of a tile; none where it cannot become smaller.

    Examples
    --------
    >>> [whole] = cut((slice(0, 40),), (40,), (40,), (4,), (4,))
    >>> [half.write for half in halved(whole, (40,), (4,), (4,))]
    [(slice(0, 20, None),), (slice(20, 40, None),)]
    >>> halved(cut((slice(0, 4),), (4,), (4,), (4,), (4,)).__next__(), (4,), (4,), (4,))
    []
    """
    axis = longest(piece)
    sides = [part.stop - part.start for part in piece.write]
    if sides[axis] <= grid[axis]:
        return []
    sides[axis] = -(-sides[axis] // (2 * grid[axis])) * grid[axis]
    return list(cut(piece.write, shape, tuple(sides), halo, grid))


def joint(parts: Sequence[NDArray | None], axis: int) -> NDArray | None:
    """Halves put together; None where there is nothing of a kind."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis) if known else None


def warn() -> None:
    """Say that tiles became smaller."""
    errors.warn(
        "there was not enough memory for a tile, so its halves are computed one by one: the result "
        "is the same and takes longer; close other programs, or choose --device cpu"
    )
