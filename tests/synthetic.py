"""Scenes and noises made by formula, so that a test knows the truth behind its image.

``seed`` is a number or a generator that is drawn from further.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

Seed = int | np.random.Generator
Shape = tuple[int, ...]


# Scenes


def smooth(
    shape: Shape,
    width: float | Shape = 4,
    seed: Seed = 0,
    *,
    mean: float = 0.0,
    sd: float = 1.0,
    mode: str = "reflect",
) -> NDArray:
    """Gaussian structures of a width in pixels, of a standard deviation about a mean."""
    z = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width, mode=mode)
    return np.asarray(mean + sd * z / z.std())


def between(low: float, high: float, shape: Shape, width: float = 4, seed: Seed = 0) -> NDArray:
    """Gaussian structures whose darkest and brightest pixels are given."""
    z = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return np.asarray(low + (high - low) * (z - z.min()) / np.ptp(z))


def specimen(slices: int, seed: Seed = 1) -> NDArray:
    """Slices of 128 x 128 pixels that change slowly along Z, of mean 100."""
    z = ndimage.gaussian_filter(white((slices, 128, 128), seed), (2, 5, 5))
    return np.asarray(100 + 40 * z / z.std())


# Noises


def white(shape: Shape, seed: Seed = 0) -> NDArray:
    """Independent normal noise of unit variance."""
    return np.random.default_rng(seed).normal(size=shape)


def averaged(shape: Shape, length: int, axis: int, seed: Seed = 0) -> NDArray:
    """Noise of unit variance: a moving average along an axis."""
    noise = ndimage.uniform_filter1d(white(shape, seed), length, axis=axis, mode="wrap")
    return noise * length**0.5


def blurred(shape: Shape, seed: Seed = 0) -> NDArray:
    """Noise of unit variance: the mean of 3x3 pixels."""
    mean = ndimage.uniform_filter(white(shape, seed), (1,) * (len(shape) - 2) + (3, 3))
    return np.asarray(3 * mean)


def photons(
    shape: Shape, light: float | NDArray = 20, seed: Seed = 0, dtype: str = "uint16"
) -> NDArray:
    """Photon counts of an even light, or of a scene."""
    return np.random.default_rng(seed).poisson(light, shape).astype(dtype)


# Both


def photon_ground(shape: Shape = (64, 72), seed: Seed = 0) -> NDArray:
    """Photon counts of a smooth ground, 30 on average."""
    rng = np.random.default_rng(seed)
    light = smooth(shape, seed=rng, mean=30, sd=8, mode="wrap")
    return rng.poisson(light).astype(np.float32)


def scanned(scene: NDArray, shift: float) -> NDArray:
    """Odd rows so many pixels to the right, as a scan in both directions leaves them."""
    result = scene.copy()
    offset = (0,) * (scene.ndim - 1) + (shift,)
    result[..., 1::2, :] = ndimage.shift(scene, offset, order=5, mode="mirror")[..., 1::2, :]
    return result


def jpeg(picture: NDArray, quality: int) -> NDArray:
    """A picture as JPEG gives it back."""
    stream = io.BytesIO()
    Pillow.fromarray(picture.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.array(Pillow.open(stream))


def camera(electrons: NDArray, gain: float, offset: float, read: float, seed: Seed = 0) -> NDArray:
    """Counts of a camera: variance = gain (mean - offset) + read^2."""
    rng = np.random.default_rng(seed)
    counts = gain * rng.poisson(electrons) + offset
    return counts + rng.normal(0, read, electrons.shape)


def frames(
    n: int, electrons: NDArray, gain: float, offset: float, read: float, seed: Seed = 0
) -> NDArray:
    """Frames of a camera of one scene, in whole grey levels."""
    still = np.broadcast_to(electrons, (n, *electrons.shape))
    return np.rint(camera(still, gain, offset, read, seed)).astype(np.uint16)


def clean_and_noisy(size: int, sigma: float = 0.5, seed: int = 0) -> tuple[NDArray, NDArray]:
    """A smooth square of unit variance that joins at its edges, and the same with white noise."""
    rng = np.random.default_rng(seed)
    clean = smooth((size, size), seed=rng, mode="wrap")
    return clean, clean + sigma * white(clean.shape, rng)
