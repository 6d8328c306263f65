"""Noise whose neighbours are correlated, to learn from: white noise, filtered or resampled.

Every field is a float32 array of strength 1, with its autocorrelation at the lags that the net is
told. What is done to fields is what is done to images: blurred, shifted, resampled, binned,
scanned, demosaiced, sharpened, compressed; or a random short kernel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from unnoise.nets.gaussian_denoiser import lags

Field = NDArray[np.float32]
LEAST = -0.35
"""Smallest correlation with a neighbour: sharpened noise."""
GREATEST = 0.82
"""Largest one."""


def gaussian(white: Field, rng: np.random.Generator) -> Field:
    """Blurred alike in all directions, or differently along Y and X."""
    sigma = rng.uniform(0.3, 1.0, 2)
    if rng.random() < 0.6:
        sigma[1] = sigma[0]
    return ndimage.gaussian_filter(white, sigma, mode="wrap")


def shifted(white: Field, rng: np.random.Generator) -> Field:
    """Linear interpolation at a fixed place between pixels."""
    for axis in (0, 1):
        part = rng.uniform(0, 0.5) if rng.random() < 0.8 else 0.0
        white = (1 - part) * white + part * np.roll(white, 1, axis)
    return white


def resampled(white: Field, rng: np.random.Generator) -> Field:
    """Enlarged, turned or sheared a little, by linear or cubic interpolation."""
    side = white.shape[0]
    scale, angle = rng.uniform(0.5, 1.0), rng.uniform(-0.3, 0.3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([side, side]) / 2
    return ndimage.affine_transform(
        white, turn, middle - turn @ middle, order=int(rng.choice([1, 3])), mode="grid-wrap"
    )


def binned(white: Field, rng: np.random.Generator) -> Field:
    """Running means along one axis or both."""
    size = rng.integers(1, 6, 2) if rng.random() < 0.5 else np.full(2, rng.integers(2, 4))
    return ndimage.uniform_filter(white, size, mode="wrap")


def scanned(white: Field, rng: np.random.Generator) -> Field:
    """A slow detector behind a scanning beam: every pixel keeps a share of the one before it."""
    keep = rng.uniform(0.1, 0.8)
    axis = int(rng.random() < 0.3)  # 1: along Y
    frequency = np.fft.fftfreq(white.shape[0])
    response = 1 / (1 - keep * np.exp(-2j * np.pi * frequency))
    shape = (-1, 1) if axis else (1, -1)
    return np.fft.ifft2(np.fft.fft2(white) * response.reshape(shape)).real.astype(np.float32)


def random_kernel(white: Field, rng: np.random.Generator) -> Field:
    """A kernel of up to 5x5 random weights that fall off from the centre."""
    half = rng.integers(0, 3, 2)
    if not half.any():
        half[1] = 1
    y, x = np.mgrid[-half[0] : half[0] + 1, -half[1] : half[1] + 1]
    kernel = np.exp(-np.hypot(y, x) / rng.uniform(0.4, 1.5)) * rng.normal(0.6, 0.6, y.shape)
    kernel[half[0], half[1]] += 0.5
    if rng.random() < 0.5:
        kernel = kernel + kernel[::-1, ::-1]
    return ndimage.convolve(white, kernel, mode="wrap")


def demosaiced(white: Field, rng: np.random.Generator) -> Field:
    """One colour of a Bayer mosaic, interpolated; then perhaps softened or sharpened."""
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    mosaic = np.zeros_like(white)
    if rng.random() < 0.5:  # red or blue: every fourth pixel
        mosaic[::2, ::2] = white[::2, ::2]
    else:  # green: every second one
        mosaic[::2, ::2], mosaic[1::2, 1::2] = white[::2, ::2], white[1::2, 1::2]
        kernel = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    field = ndimage.convolve(mosaic, kernel, mode="wrap")
    luma = rng.uniform(0, 0.6)  # the other colours have a share in what is seen
    field = field + luma * ndimage.convolve(np.roll(mosaic, (1, 0), (0, 1)), kernel, mode="wrap")
    soft = ndimage.gaussian_filter(field, rng.uniform(0.3, 0.8), mode="wrap")
    return field + rng.uniform(-1.0, 0.7) * (soft - field)


def compressed(white: Field, rng: np.random.Generator) -> Field:
    """Softened or demosaiced, then without the weak cosine coefficients of blocks of 8x8."""
    field = (gaussian, demosaiced, shifted)[int(rng.integers(3))](white, rng)
    side = field.shape[0]
    blocks = field.reshape(side // 8, 8, side // 8, 8)
    found = fft.dctn(blocks, axes=(1, 3), norm="ortho")
    step = rng.uniform(0.2, 1.2) * field.std() * (1 + np.add.outer(np.arange(8), np.arange(8)) / 7)
    found = np.round(found / step[None, :, None, :]) * step[None, :, None, :]
    return fft.idctn(found, axes=(1, 3), norm="ortho").reshape(side, side)


MAKERS = {
    gaussian: 0.2, shifted: 0.1, resampled: 0.12, binned: 0.1, scanned: 0.15,
    random_kernel: 0.13, demosaiced: 0.12, compressed: 0.08,
}  # fmt: skip
"""How often a field is made by each."""


def autocorrelation(field: Field) -> NDArray[np.float64]:
    """Correlation at `lags`, of a field without borders."""
    power = np.abs(np.fft.fft2(field - field.mean())) ** 2
    covariance = np.fft.ifft2(power).real
    return np.array([covariance[lag] for lag in lags()]) / covariance[0, 0]


def correlated(side: int, rng: np.random.Generator) -> tuple[Field, NDArray[np.float32]]:
    """A field of noise and its autocorrelation; in a third of them a part is white."""
    makers, shares = list(MAKERS), np.array(list(MAKERS.values()))
    while True:
        white = rng.standard_normal((side, side), np.float32)
        field = makers[int(rng.choice(len(makers), p=shares / shares.sum()))](white, rng)
        field = field / field.std()
        if rng.random() < 0.33:
            part = rng.uniform(0.2, 0.8)
            field = part * field + (1 - part) * rng.standard_normal(field.shape, np.float32)
        rho = autocorrelation(field)
        if rho.min() > LEAST and rho.max() < GREATEST:
            return (field / field.std()).astype(np.float32), rho.astype(np.float32)
