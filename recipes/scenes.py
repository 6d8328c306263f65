"""Clean scenes to learn from: dead leaves and simulated fluorescence and electron microscopy.

Every scene is a float32 array around 0 to 255, made from its seed alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Scene = NDArray[np.float32]


def dead_leaves(side: int, rng: np.random.Generator) -> Scene:
    """Shapes that cover one another, with sizes of a power law (Lee, Mumford, Huang, IJCV 2001).

    Statistics of edges and occlusions are those of photographs. The shapes are textured and the
    whole is a little blurred, as by a lens.
    """
    big = 2 * side  # drawn finer than shown, so that edges are smooth
    image = np.zeros((big, big), np.float32)
    bare = np.ones((big, big), bool)
    grain = _texture(big, rng)
    y, x = np.mgrid[:big, :big].astype(np.float32)
    for _ in range(4000):
        # p(r) ~ r**-3 between the limits: as many small areas as large ones
        low, high = 3.0, big / 3
        r = 1 / math.sqrt(rng.uniform(1 / high**2, 1 / low**2))
        cy, cx = rng.uniform(-r, big + r, 2)
        top, left = max(int(cy - 1.5 * r), 0), max(int(cx - 1.5 * r), 0)
        box = np.s_[top : int(cy + 1.5 * r) + 2, left : int(cx + 1.5 * r) + 2]
        if not bare[box].any():
            continue
        dy, dx = y[box] - cy, x[box] - cx
        angle = rng.uniform(0, np.pi)
        u = (dx * np.cos(angle) + dy * np.sin(angle)) / r
        v = (dy * np.cos(angle) - dx * np.sin(angle)) / (r * rng.uniform(0.4, 1.0))
        power = rng.choice([2.0, 2.0, 8.0])  # ellipses, and now and then a rounded box
        leaf = (np.abs(u) ** power + np.abs(v) ** power < 1) & bare[box]
        shade = rng.uniform(0, 255) + rng.uniform(-60, 60) * u + rng.normal() * 12 * grain[box]
        image[box][leaf] = shade[leaf]
        bare[box][leaf] = False
        if not bare.any():
            break
    image[bare] = rng.uniform(0, 255)
    image = gaussian_filter(image, rng.uniform(0.6, 2.0))
    small = image.reshape(side, 2, side, 2).mean((1, 3))
    return np.clip(small, 0, 255).astype(np.float32)


def _texture(side: int, rng: np.random.Generator) -> Scene:
    """A random field with a power-law spectrum, standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    shape = frequency.shape
    white = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    spectrum = white * frequency ** -rng.uniform(0.6, 2.0)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (side, side))
    return (field / field.std()).astype(np.float32)


def spots(side: int, rng: np.random.Generator) -> Scene:
    """Point-like emitters and vesicles of different brightness."""
    image = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        n = int(side**2 * 10 ** rng.uniform(-3.3, -1.8))
        at = rng.integers(0, side, (2, n))
        layer = np.zeros_like(image)
        np.add.at(layer, tuple(at), rng.gamma(1.5, 1.0, n).astype(np.float32))
        image += gaussian_filter(layer, rng.uniform(0.3, 4.0))
    return image


def filaments(side: int, rng: np.random.Generator) -> Scene:
    """Smooth curves, such as microtubules and actin, alone or in bundles."""
    image = np.zeros((side, side), np.float32)
    drift = rng.uniform(0, 2 * np.pi)
    spread = rng.uniform(0.2, 3.0)
    for _ in range(int(rng.integers(8, 120))):
        steps = int(rng.integers(side, 6 * side))
        turn = gaussian_filter(rng.standard_normal(steps), rng.uniform(8, 60), mode="wrap")
        turn *= rng.uniform(0.002, 0.05) / max(float(turn.std()), 1e-6)
        angle = drift + spread * rng.normal() + np.cumsum(turn)
        y = rng.uniform(0, side) + np.cumsum(0.5 * np.sin(angle))
        x = rng.uniform(0, side) + np.cumsum(0.5 * np.cos(angle))
        inside = (y >= 0) & (y < side - 1) & (x >= 0) & (x < side - 1)
        np.add.at(
            image,
            (y[inside].round().astype(int), x[inside].round().astype(int)),
            np.float32(rng.gamma(3.0, 0.3)),
        )
    return gaussian_filter(image, rng.uniform(0.3, 1.2))


def membranes(side: int, rng: np.random.Generator) -> Scene:
    """Borders of cells: level lines of a smooth random field, with grain inside the cells."""
    field = gaussian_filter(rng.standard_normal((side, side)), rng.uniform(4, 18), mode="wrap")
    field /= field.std()
    lines = np.exp(-((field - rng.normal() * 0.3) ** 2) / rng.uniform(0.005, 0.06))
    inside = gaussian_filter(rng.standard_normal((side, side)), rng.uniform(0.8, 4))
    inside /= inside.std()
    body = rng.uniform(0, 0.4) * (field > 0) + rng.uniform(0, 0.15) * inside
    return (lines + body).astype(np.float32)


def nuclei(side: int, rng: np.random.Generator) -> Scene:
    """Ellipses with chromatin inside, some of them overlapping, some out of focus."""
    image = np.zeros((side, side), np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    chromatin = gaussian_filter(rng.standard_normal((side, side)), rng.uniform(1, 4))
    chromatin /= chromatin.std()
    size = rng.uniform(5, 40)
    for _ in range(int(rng.integers(4, max(6, int(0.5 * (side / size) ** 2))))):
        cy, cx = rng.uniform(0, side, 2)
        a, b = size * rng.uniform(0.6, 1.4, 2)
        angle = rng.uniform(0, np.pi)
        u = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / a
        v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / b
        # a soft edge one pixel wide
        body = np.clip((1 - np.hypot(u, v)) * min(a, b), 0, 1)
        image += body * rng.uniform(0.3, 1.5) * (1 + rng.uniform(0.05, 0.35) * chromatin)
    return image


def microscopy(side: int, rng: np.random.Generator) -> Scene:
    """One or two of the structures above, background, a point-spread function, any contrast."""
    kinds = [spots, filaments, membranes, nuclei, lattices]
    image = np.zeros((side, side), np.float32)
    for kind in rng.choice(len(kinds), int(rng.integers(1, 3)), replace=False):
        part = kinds[kind](side, rng)
        top = float(np.quantile(part, 0.995)) or 1.0
        image += part / top * rng.uniform(0.3, 1.0)
    haze = gaussian_filter(image, rng.uniform(6, 25)) + 0.3 * _texture(side, rng) * rng.uniform(
        0, 0.2
    )
    image = gaussian_filter(image, rng.uniform(0.5, 2.2)) + rng.uniform(0, 0.8) * haze
    image -= image.min()
    image /= float(np.quantile(image, 0.999)) or 1.0
    # Behind a variance-stabilising transform intensities look like their square roots.
    image = np.clip(image, 0, 1.3) ** rng.choice([0.5, 0.7, 1.0])
    if rng.random() < 0.25:
        image = 1.1 - image  # electron microscopy: dark on bright
    return (255 * image).astype(np.float32)


def lattices(side: int, rng: np.random.Generator) -> Scene:
    """Columns of atoms: two kinds of spots on an oblique lattice, on ground that changes slowly."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle, step = rng.uniform(0, np.pi), rng.uniform(5, 16)
    shear, ratio = rng.uniform(0.9, 1.7), rng.uniform(0.7, 1.3)
    drift = 1.5 * _texture(side, rng) * rng.uniform(0, 1)
    u = ((x + drift) * np.cos(angle) + y * np.sin(angle)) / step
    v = ((x + drift) * np.cos(angle + shear) + y * np.sin(angle + shear)) / (step * ratio)
    width = rng.uniform(0.12, 0.22)

    def columns(shift: float) -> Scene:
        off = [(p + shift + 0.5) % 1 - 0.5 for p in (u, v)]
        found: Scene = np.exp(-(off[0] ** 2 + off[1] ** 2) / (2 * width**2))
        return found

    image = columns(0.0) + rng.uniform(0, 0.8) * columns(0.5)
    thick = gaussian_filter(rng.standard_normal((side, side)), rng.uniform(10, 40), mode="wrap")
    image *= np.clip(0.6 + 0.4 * thick / thick.std(), 0, None)
    return image.astype(np.float32)


def warped(image: Scene, side: int, rng: np.random.Generator) -> Scene:
    """A crop of a picture, smaller by a random factor of 1 to 2."""
    factor = rng.uniform(1.0, 2.0)
    blurred = gaussian_filter(image, 0.4 * (factor - 1))
    room = np.array(image.shape) - factor * side - 1
    if (room <= 0).any():
        return blurred[:side, :side]
    start = rng.uniform(0, room)
    grid = np.arange(side, dtype=np.float32) * factor
    where = np.meshgrid(start[0] + grid, start[1] + grid, indexing="ij")
    return map_coordinates(blurred, where, order=1).astype(np.float32)
