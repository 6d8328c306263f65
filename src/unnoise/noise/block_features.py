"""What tells noise from texture in the symmetric and the antisymmetric part of blocks.

Both parts are independent under normal noise, however it is correlated, at every place and every
scale. So what their energies have in common over blocks, and their squares at single places, is
texture; and noise with a short correlation loses most where pixels are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SCALES = (1, 2, 4)
"""Sides of the squares of pixels that are averaged."""
MANY = 800
"""Blocks that are looked at place by place."""


def energies(x: NDArray) -> NDArray[np.float64]:
    """Mean squares of all, of differences along both axes, along X and along Y, by block."""
    along_x, along_y = np.diff(x, axis=2), np.diff(x, axis=1)
    fine = np.diff(along_x, axis=1)
    return np.stack(
        [
            (x**2).mean((1, 2)),
            (fine**2).mean((1, 2)) / 4,
            (along_x**2).mean((1, 2)) / 2,
            (along_y**2).mean((1, 2)) / 2,
        ]
    )


def common(logs: NDArray) -> NDArray[np.float64]:
    """What both parts have in common over blocks, shape (part, kind, block), and how they vary.

    Ratios of energies tell texture; their correlation between the parts is 0 for noise alone.
    """
    all_, fine, x, y = np.moveaxis(logs, 1, 0)
    found = []
    for value in (all_ - fine, all_, fine, all_ - x, all_ - y, x - fine, y - fine):
        a, b = value - value.mean(1, keepdims=True)
        own = (a**2).mean(), (b**2).mean()
        found += [(a * b).mean() / np.sqrt(own[0] * own[1] + 1e-12), np.log(sum(own) / 2 + 1e-4)]
    return np.array(found)


def coarse(
    parts: tuple[NDArray, NDArray],
    energy: NDArray,
    groups: list[list[NDArray[np.intp]]],
    usable: NDArray,
    tiny: float,
) -> NDArray[np.float64]:
    """What is left of blocks whose pixels are averaged, and how much single places stand out.

    Averaging takes most from noise with a short correlation, and least from texture.
    """
    found: list[NDArray[np.float64]] = []
    unit = float(energy[:, 0, usable].mean()) or 1.0
    energy, tiny = energy / unit, tiny / unit
    small = [(p / np.sqrt(unit)).astype(np.float32) for p in parts]
    for by in SCALES:
        if by > 1:
            small = [_halved(p) for p in small]
            own = np.stack([energies(p) for p in small])
            for chosen in groups:
                left = sum(own[k][:, chosen[k]].mean(1) for k in (0, 1)) + tiny
                all_ = sum(energy[k, 0, chosen[k]].mean() for k in (0, 1)) + tiny
                found.append(np.log(left / all_))
            found.append(common(np.log(own + tiny)[:, :, usable]))
        for chosen in groups[1:]:
            found.append(_places(small, chosen))
    return np.concatenate(found)


def _halved(x: NDArray) -> NDArray:
    """Means of 2x2 pixels."""
    rows = x[:, ::2] + x[:, 1::2]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) / 4)


def _places(parts: Sequence[NDArray], chosen: list[NDArray[np.intp]]) -> NDArray[np.float64]:
    """How far squares go together in both parts, and how heavy their tails are, by place.

    Both parts of normal noise are independent; those of an edge or a spot lie at the same places.
    """
    at = chosen[0][:: max(len(chosen[0]) // MANY, 1)]
    near = [p[at] for p in parts]
    fine = [p[:, 1:, 1:] - p[:, 1:, :-1] - p[:, :-1, 1:] + p[:, :-1, :-1] for p in near]
    found = []
    for pair in (near, fine):
        a, b = (np.square(p).reshape(len(at), -1) for p in pair)
        a, b = (p / np.maximum(p.mean(1, keepdims=True), 1e-30) for p in (a, b))
        found += [np.log(np.vdot(a, b) / a.size + 0.1)]
        found += [np.log((np.vdot(a, a) + np.vdot(b, b)) / (2 * a.size) + 0.1)]
    return np.array(found)
