"""Simulated movies with truth: photons of scenes that are still, move, blink, beat and bleach."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHAPE = (16, 128, 128)
"""Frames and pixels of a movie."""
DEVELOPMENT, REPORT = 1000, 2000
"""What is added to seeds: the scenes that methods were chosen on, and those that are reported."""
READ = 2.0
"""Standard deviation of the read noise, in photons."""


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> NDArray:
    z = ndimage.gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    return z / z.std()


def tissue(rng: np.random.Generator, side: int) -> NDArray:
    """Cells with texture and fibres on an uneven background, 0 to 1."""
    coarse, fine = _smooth(rng, (side, side), 9.0), _smooth(rng, (side, side), 1.2)
    cells = np.clip(coarse - 0.3, 0, 1.2) * (1 + 0.35 * fine)
    fibres = np.exp(-((_smooth(rng, (side, side), 7.0) / 0.08) ** 2))
    scene = 0.25 + 0.08 * _smooth(rng, (side, side), 25.0) + cells + 0.5 * fibres
    return np.clip(scene / np.quantile(scene, 0.999), 0.02, 1)


def _spots(centres: NDArray, strength: NDArray, width: float, shape: tuple[int, int]) -> NDArray:
    """Gaussian spots of given peaks."""
    image, reach = np.zeros(shape), int(4 * width) + 1
    for (y, x), peak in zip(centres, strength, strict=True):
        iy, ix = round(float(y)), round(float(x))
        rows = np.arange(max(iy - reach, 0), min(iy + reach + 1, shape[0]))
        columns = np.arange(max(ix - reach, 0), min(ix + reach + 1, shape[1]))
        if len(rows) and len(columns):
            profile = (
                np.exp(-((a - c) ** 2) / (2 * width**2)) for a, c in ((rows, y), (columns, x))
            )
            image[np.ix_(rows, columns)] += peak * np.outer(*profile)
    return image


def still(rng: np.random.Generator) -> NDArray:
    """Nothing moves."""
    return np.repeat(tissue(rng, SHAPE[1])[None], SHAPE[0], 0)


def _moved(rng: np.random.Generator, speed: float) -> NDArray:
    """A scene that drifts by so many pixels a frame in a direction of its own."""
    wide = tissue(rng, 2 * SHAPE[1])
    angle = rng.uniform(0, 2 * np.pi)
    spectrum = np.fft.fft2(wide)
    step = speed * np.array([np.sin(angle), np.cos(angle)])
    inner = slice(SHAPE[1] // 2, SHAPE[1] // 2 + SHAPE[1])
    frames = [
        np.fft.ifft2(ndimage.fourier_shift(spectrum, t * step)).real[inner, inner]
        for t in range(SHAPE[0])
    ]
    return np.clip(frames, 0.01, None)


def drift(rng: np.random.Generator) -> NDArray:
    """The whole scene drifts by 0.1 pixels a frame."""
    return _moved(rng, 0.1)


def fast_drift(rng: np.random.Generator) -> NDArray:
    """The whole scene drifts by 0.5 pixels a frame."""
    return _moved(rng, 0.5)


def calcium(rng: np.random.Generator) -> NDArray:
    """Neurons that flash up and fade over some frames."""
    n = 30
    centres = rng.uniform(0, SHAPE[1], (n, 2))
    trace = np.zeros((SHAPE[0] + 30, n))
    spikes = rng.random(trace.shape) < 0.05
    for t in range(1, len(trace)):
        trace[t] = trace[t - 1] * np.exp(-1 / 3) + spikes[t] * rng.uniform(0.3, 1, n)
    ground = 0.5 * tissue(rng, SHAPE[1])
    base = rng.uniform(0.05, 0.2, n)
    frames = [
        ground + _spots(centres, base + 0.5 * trace[30 + t], 2.5, SHAPE[1:])
        for t in range(SHAPE[0])
    ]
    return np.array(frames)


def beating(rng: np.random.Generator) -> NDArray:
    """A part of the scene swells and shrinks, 12 frames a beat, by up to 3 pixels."""
    scene = tissue(rng, SHAPE[1])
    y, x = np.indices(scene.shape, float)
    centre = rng.uniform(45, 83, 2)
    dy, dx = y - centre[0], x - centre[1]
    inside = np.exp(-((np.hypot(dy, dx) / 35) ** 4))
    frames = []
    for t in range(SHAPE[0]):
        swell = 0.07 * np.sin(2 * np.pi * t / 12) * inside
        frames.append(
            ndimage.map_coordinates(scene, [y - swell * dy, x - swell * dx], order=3, mode="mirror")
        )
    return np.clip(frames, 0.01, None)


def particles(rng: np.random.Generator) -> NDArray:
    """Particles that diffuse over a still background."""
    n = 30
    steps = rng.normal(0, 0.8, (SHAPE[0], n, 2))
    paths = rng.uniform(0, SHAPE[1], (n, 2)) + np.cumsum(steps, 0)
    peaks = rng.uniform(0.2, 0.8, n)
    ground = 0.5 * tissue(rng, SHAPE[1])
    return np.array([ground + _spots(path, peaks, 1.5, SHAPE[1:]) for path in paths])


def bleaching(rng: np.random.Generator) -> NDArray:
    """A still scene that loses 3 % of its brightness a frame, above an even background."""
    fade = 0.97 ** np.arange(SHAPE[0])
    return 0.05 + 0.95 * tissue(rng, SHAPE[1]) * fade[:, None, None]


def flicker(rng: np.random.Generator) -> NDArray:
    """A still scene under a lamp that flickers by 10 %."""
    lamp = np.exp(rng.normal(0, 0.1, SHAPE[0]))
    return tissue(rng, SHAPE[1]) * lamp[:, None, None]


SCENES: dict[str, Callable[[np.random.Generator], NDArray]] = {
    scene.__name__: scene
    for scene in (still, drift, fast_drift, calcium, beating, particles, bleaching, flicker)
}
SLOW = ("still", "drift", "calcium", "bleaching", "flicker")
"""The movies that are still or slow."""


def movie(name: str, seed: int, light: float, *, counted: bool = False) -> tuple[NDArray, NDArray]:
    """Expected photons of a movie, and a noisy recording of it as a camera writes it.

    Parameters
    ----------
    name : str
        Out of `SCENES`.
    seed : int
        Of the scene and of the noise.
    light : float
        Photons where the scene is 1.
    counted : bool
        Photons one by one, as detectors of single photons do, with no offset and no read noise.
    """
    rng = np.random.default_rng([seed, sorted(SCENES).index(name)])
    photons = light * SCENES[name](rng)
    counts = rng.poisson(photons)
    if counted:
        return photons, counts.astype(np.uint16)
    counts = counts + rng.normal(0, READ, photons.shape)
    return photons, np.clip(np.rint(100 + counts), 0, 65535).astype(np.uint16)


EVENTS = ("flash", "calcium", "particle")
"""A flash of one frame, a spike that fades, and a particle that moves 2 pixels a frame."""
FRAMES, AT, SIDE, APART = 17, 8, 192, 18
"""Frames of a movie of events, when they happen, its side, and their distance in pixels."""


def events(
    kind: str, snr: float, seed: int, *, light: float = 40.0, width: float = 1.5
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """A still movie without and with events in the same noise, the events, and where they are.

    Parameters
    ----------
    kind : str
        Out of `EVENTS`.
    snr : float
        Peak of an event over the standard deviation of the noise under it.
    seed : int
        Of the scene and of the noise.
    light : float
        Photons where the scene is 1.
    width : float
        Standard deviation of an event in pixels.

    Returns
    -------
    tuple of ndarray
        Noisy movies without and with events, expected photons of the events, and their centres.
    """
    rng = np.random.default_rng([seed, 77])
    scene = 0.6 * light * tissue(rng, SIDE)
    grid = np.arange(APART // 2, SIDE - APART // 2 + 1, APART)
    centres = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2) + rng.uniform(
        -3, 3, (len(grid) ** 2, 2)
    )
    under = scene[tuple(np.rint(centres).astype(int).clip(0, SIDE - 1).T)]
    peaks, shown = snr * np.sqrt(under + READ**2), np.zeros((FRAMES, SIDE, SIDE))
    angles = rng.uniform(0, 2 * np.pi, len(centres))
    step = 2 * np.stack([np.sin(angles), np.cos(angles)], 1)
    for t in range(FRAMES):
        if kind == "flash" and t == AT:
            shown[t] = _spots(centres, peaks, width, (SIDE, SIDE))
        if kind == "calcium" and t >= AT:
            shown[t] = _spots(centres, peaks * np.exp(-(t - AT) / 3), width, (SIDE, SIDE))
        if kind == "particle":
            shown[t] = _spots(centres + (t - AT) * step, peaks, width, (SIDE, SIDE))
    without = rng.poisson(scene, shown.shape) + rng.normal(0, READ, shown.shape)
    noisy = [100 + without, 100 + without + rng.poisson(shown)]
    plain, lit = (np.rint(movie).clip(0, 65535).astype(np.uint16) for movie in noisy)
    return plain, lit, shown, centres
