"""What tests compare with: definitions in loops over pixels, and the statistics of chance."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats


def within(values: NDArray, expected: float, sigmas: float = 5.0) -> bool:
    """Whether the mean of independent values agrees with an expectation."""
    values = np.ravel(values)
    return bool(abs(values.mean() - expected) < sigmas * values.std() / len(values) ** 0.5)


# Blind spots

EXCLUDE = {  # asymmetric, reaching beyond the window; the centre is written both ways
    2: np.array([[0, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]], np.bool_),
    3: np.array([[[0, 0, 1]], [[0, 1, 1]], [[1, 0, 0]]], np.bool_),
}


def neighbours(
    shape: tuple[int, ...],
    spot: tuple[int, ...],
    radius: int,
    exclude: NDArray | None = None,
    *,
    centre: bool = False,
) -> list[tuple[int, ...]]:
    """Pixels a replacement may read, by the definition, in a loop."""
    found = []
    for q in itertools.product(*(range(n) for n in shape)):
        offset = [b - a for a, b in zip(spot, q, strict=True)]
        if max(abs(o) for o in offset) > radius:
            continue
        if q == spot:
            if centre:
                found.append(q)
            continue
        if exclude is not None:
            at = [o + n // 2 for o, n in zip(offset, exclude.shape, strict=True)]
            if all(0 <= a < n for a, n in zip(at, exclude.shape, strict=True)) and exclude[*at]:
                continue
        found.append(q)
    return found


def lone(shape: tuple[int, ...], spot: tuple[int, ...], n: int = 1) -> torch.Tensor:
    """Masks with one spot."""
    mask = torch.zeros(n, *shape, dtype=torch.bool)
    mask[(slice(None), *spot)] = True
    return mask


def numbered(shape: tuple[int, ...], n: int = 1) -> torch.Tensor:
    """Planes whose values are the numbers of their pixels."""
    return torch.arange(float(np.prod(shape))).view(1, *shape).repeat(n, *[1] * len(shape))


def everywhere(shape: tuple[int, ...], times: int) -> torch.Tensor:
    """Masks with a single spot each, at every place in turn."""
    n = int(np.prod(shape))
    return torch.eye(n, dtype=torch.bool).view(n, *shape).repeat(times, *[1] * len(shape))


def assert_drawn_from(values: NDArray, expected: dict[int, float]) -> None:
    """Chi-square test that pixels were drawn with these probabilities."""
    counts = np.array([(values == pixel).sum() for pixel in expected])
    assert counts.sum() == len(values), "a value came from outside the support"
    p = np.array(list(expected.values()))
    p /= p.sum()
    rare = p * len(values) < 5  # pooled, as the test is only asymptotically right
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        p = np.append(p[~rare], p[rare].sum())
    assert stats.chisquare(counts, p * len(values)).pvalue > 1e-4


def evenly(shape: tuple[int, ...], pixels: list[tuple[int, ...]]) -> dict[int, float]:
    """Equal probabilities of pixels."""
    return {int(np.ravel_multi_index(q, shape)): 1 / len(pixels) for q in pixels}


def under(spots: NDArray, struct: NDArray) -> NDArray:
    """Pixels at spot + offset, in a loop over spots and offsets; spots have planes before space."""
    hidden = np.zeros_like(spots)
    for place in np.argwhere(spots):
        plane, spot = place[: -struct.ndim], place[-struct.ndim :]
        for at in np.argwhere(struct):
            pixel = [int(p + a - n // 2) for p, a, n in zip(spot, at, struct.shape, strict=True)]
            if all(0 <= p < n for p, n in zip(pixel, spots.shape[-struct.ndim :], strict=True)):
                hidden[*plane, *pixel] = True
    return hidden
