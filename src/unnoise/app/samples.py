"""Sample images made by code, each with the truth behind its noise: to try things out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Facts, Message, Saved
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image

GAIN, READ_NOISE, OFFSET = 2.0, 2.0, 100.0
"""The simulated camera: counts per electron, electrons, counts."""


@dataclass(frozen=True)
class Sample:
    """A noisy image whose truth is known.

    Attributes
    ----------
    name : str
    noisy, truth : Image
        The recording, and the mean of many such recordings.
    suffix : str
        Of the file that it belongs into.
    """

    name: str
    noisy: Image
    truth: Image
    suffix: str = ".tif"


def sample(name: str, *, seed: int = 0) -> Sample:
    """Make a sample; the seed changes its noise, and nothing else.

    Parameters
    ----------
    name : str
        Out of `SAMPLES`.
    seed : int

    Raises
    ------
    InputError
        If there is no such sample.

    Examples
    --------
    >>> found = sample("movie")
    >>> found.noisy.axes, found.noisy.shape, found.truth.shape, found.noisy.dtype
    ('TYX', (12, 128, 128), (12, 128, 128), dtype('uint16'))
    """
    if name not in SAMPLES:
        raise InputError(f"there is no sample '{name}'; choose {', '.join(SAMPLES)}, or all")
    return SAMPLES[name].make(name, np.random.default_rng((seed, 1)))


def write(names: Sequence[str], folder: Path, *, overwrite: bool = False) -> Generator[Event]:
    """Write samples, or ``all``, and their truths, as ``NAME.tif`` and ``NAME_truth.tif``.

    Raises
    ------
    InputError
        If there is no such sample, or a file exists; nothing is written then.
    """
    chosen = SAMPLES if "all" in names else dict.fromkeys(names)
    found = [(sample(name), folder / name) for name in chosen]
    places = [
        (place.with_suffix(one.suffix), place.with_name(f"{one.name}_truth.tif"))
        for one, place in found
    ]
    for place in (place for pair in places for place in pair):
        if place.exists() and not overwrite:
            raise InputError(f"{place} exists; add --overwrite or choose another folder with -o")
    told = []
    for (one, _), pair in zip(found, places, strict=True):
        about = SAMPLES[one.name].about
        yield Message(f"{one.name}: {about}")
        for image, place in zip((one.noisy, one.truth), pair, strict=True):
            formats.save(place, np.asarray(image.data), like=image, overwrite=overwrite)
            yield Saved(place)
        told.append(
            {"name": one.name, "about": about, "image": str(pair[0]), "truth": str(pair[1])}
        )
    yield Facts("samples", told)


def camera(
    photons: NDArray,
    *,
    gain: float = GAIN,
    read_noise: float = READ_NOISE,
    offset: float = OFFSET,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """What a scientific camera records of an expected number of photons per pixel.

    ``counts = gain * (Poisson(photons) + Normal(0, read_noise)) + offset``, rounded and clipped to
    16 bits (the EMVA 1288 model without dark current).

    Parameters
    ----------
    photons : ndarray
        Expected photo-electrons per pixel.
    gain : float
        Counts per electron.
    read_noise : float
        Standard deviation of the read noise in electrons.
    offset : float
        Counts at darkness.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    ndarray of uint16
        Recorded counts; their mean is ``gain * photons + offset``.

    Examples
    --------
    >>> counts = camera(np.full((64, 64), 50.0), rng=np.random.default_rng(0))
    >>> counts.dtype, abs(float(counts.mean()) - 200) < 1
    (dtype('uint16'), True)
    """
    electrons = rng.poisson(photons) + rng.normal(0, read_noise, np.shape(photons))
    return np.clip(np.rint(gain * electrons + offset), 0, 65535).astype(np.uint16)


def _field(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random field of zero mean and unit variance."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _specimen(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Cells with a texture, and filaments between them: from 0 to about 1."""
    rng = np.random.default_rng(seed)
    cells = 1 / (1 + np.exp(-12 * (_field(shape, 12, rng) - 0.7)))
    filaments = np.exp(-((_field(shape, 7, rng) / 0.12) ** 2))  # where a field crosses zero
    texture = 1 + 0.35 * _field(shape, 1.5, rng)
    return np.clip(0.03 + 0.45 * cells * texture + 0.5 * filaments * (1 - 0.7 * cells), 0, None)


def _recorded(
    name: str, photons: NDArray[np.float64], axes: str, rng: np.random.Generator, **scale: float
) -> Sample:
    """A specimen under the simulated camera; pixel sizes in µm, times in seconds."""
    step = {axis: scale[axis] for axis in axes if axis in scale}
    units = {axis: "s" if axis == "T" else "µm" for axis in step}
    noisy, truth = (
        replace(Image.from_array(pixels, axes), scale=step, units=units)
        for pixels in (camera(photons, rng=rng), (GAIN * photons + OFFSET).astype(np.float32))
    )
    return Sample(name, noisy, truth)


def _cells(name: str, rng: np.random.Generator) -> Sample:
    return _recorded(name, 25 * _specimen((256, 256), 1), "YX", rng, Y=0.1, X=0.1)


def _movie(name: str, rng: np.random.Generator) -> Sample:
    """Still cells, and bright vesicles that wander over them."""
    t, y, x = 12, 128, 128
    own = np.random.default_rng(2)
    steps = own.normal(0, 1.2, (t, 25, 2))
    steps[0] = own.uniform(0, (y, x), (25, 2))
    paths = np.cumsum(steps, axis=0)
    rows, columns = np.ogrid[:y, :x]
    photons = np.repeat(15 * _specimen((1, y, x), 3), t, axis=0)
    for frame, places in zip(photons, paths, strict=True):
        for row, column in places:
            frame += 25 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2))
    return _recorded(name, photons, "TYX", rng, T=0.5, Y=0.1, X=0.1)


def _stack(name: str, rng: np.random.Generator) -> Sample:
    return _recorded(name, 12 * _specimen((16, 96, 96), 4), "ZYX", rng, Z=0.3, Y=0.1, X=0.1)


def _photograph(name: str, rng: np.random.Generator) -> Sample:
    """Means of 2x2 pixels of a picture that scikit-image brings, whose own noise is small then."""
    from skimage import data

    picture = np.asarray(data.astronaut(), np.float64)  # type: ignore[no-untyped-call]
    y, x, c = picture.shape
    small = picture.reshape(y // 2, 2, x // 2, 2, c).mean(axis=(1, 3))
    truth, gain = 20 + small * 150 / 255, 255 / 100  # dark and bright ends leave noise its room
    counts = camera(truth / gain, gain=gain, read_noise=1.0, offset=0.0, rng=rng)
    noisy = np.minimum(counts, 255).astype(np.uint8)
    clean = Image.from_array(truth.astype(np.float32), "YXC")
    return Sample(name, Image.from_array(noisy, "YXC"), clean, ".png")


def _correlated(name: str, rng: np.random.Generator) -> Sample:
    """Noise as strong as that of the camera, but blurred, as interpolation leaves it."""
    one = _cells(name, rng)
    truth = np.asarray(one.truth.data, np.float64)
    deviation = np.sqrt(GAIN * (truth - OFFSET) + (GAIN * READ_NOISE) ** 2)
    noisy = np.rint(truth + deviation * _field(truth.shape, 0.8, rng)).clip(0, 65535)
    return replace(one, noisy=replace(one.noisy, data=noisy.astype(np.uint16)))


@dataclass(frozen=True)
class _Kind:
    """What a sample shows, and what makes it."""

    about: str
    make: Callable[[str, np.random.Generator], Sample]


SAMPLES = {
    "cells": _Kind("cells and filaments, 256x256 pixels, up to 30 photons a pixel", _cells),
    "movie": _Kind("vesicles that move over cells, 12 frames of 128x128 pixels", _movie),
    "stack": _Kind("a volume of 16 slices of 96x96 pixels, up to 15 photons a pixel", _stack),
    "photograph": _Kind(
        "a photograph in colour in dim light, 256x256 pixels of 8 bits", _photograph
    ),
    "correlated": _Kind("the cells with noise that neighbouring pixels share", _correlated),
}
"""The samples by name."""
