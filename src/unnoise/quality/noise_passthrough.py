"""How much of an image's noise comes through a model: by its own pixel, or memorised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.models.build import ready
from unnoise.models.model import Model
from unnoise.models.predict import predict
from unnoise.models.units import to_net
from unnoise.noise.correlated_noise import drawn
from unnoise.noise.density import NoiseModel
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.local_mean import local_mean
from unnoise.quality.region import Region, part_of, predictions, read_beside, read_piece, somewhere

UNKNOWN = (0.01, 0.02)
"""What is memorised where it cannot be measured: little, give or take."""
SIDE = 256
"""Side of the plane that is enough for a mean of two nets: twice the passes, and the share is then
known to 0.002."""


def memorised(pieces: Sequence[Region], noise: NoiseModel | None) -> tuple[float, float]:
    """How much of the noise the weights know, and its standard error, in noise variances.

    Pixels that were training targets have smaller residuals than held-out ones by what the net
    memorised. The residual of a plain mean of the neighbours has the same noise of the pixel
    and learned nothing: taken off, most of the scatter goes (a control variate).
    """
    found = []
    for piece in pieces:
        y = piece.noisy
        variance = np.full(y.shape, y.var()) if noise is None else noise.variance(piece.seen)
        plain = local_mean(y, 1.0)[0]
        found.append((((y - piece.seen) ** 2 - (y - plain) ** 2) / variance).ravel())
    differences, held = np.concatenate(found), np.concatenate([p.held_out.ravel() for p in pieces])
    h, t = differences[held], differences[~held]
    if len(h) < 30:
        return UNKNOWN
    error = float(np.hypot(h.std() / np.sqrt(len(h)), t.std() / np.sqrt(len(t))))
    return float(h.mean() - t.mean()), error


def dependence(
    model: Model,
    images: Sequence[Image],
    noise: ImageNoise,
    device: torch.device,
) -> list[float]:
    """Share of the noise of a pixel that its own estimate repeats, per channel.

    The divergence of Stein's estimate by a random direction (Ramani, Blu, Unser, IEEE Transactions
    on Image Processing 2008): ``E z (g(y + e z) - g(y)) / (e E z^2)``, where z has the variance of
    the noise at every pixel and, where it is known, its autocorrelation: ``E z J z = tr(J S)`` for
    z of covariance S. So what a result knows of the noise of a pixel by its neighbours counts too.
    """
    rng = np.random.default_rng([model.config.training.seed, 5])
    which, at, part = somewhere(images, model.ndim, rng)
    if model.second is not None and model.ndim == 2:
        part = {k: slice(own.start, min(own.stop, own.start + SIDE)) for k, own in part.items()}
    noisy = read_piece(images[which], at, part, model).astype(np.float64)
    members = [
        (m, share, ready(m, device), read_beside(images[which], at, part, m))
        for m, share in model.members
    ]
    channels = list(model.channels)

    def joined(y: NDArray) -> NDArray[np.float64]:
        """The result where other frames are joined; their noise stays as it is."""
        around, only = part_of(images[which], {**at, **part}, model)
        place = {k: only.get(k, 0) for k in "STZ"}
        pixels = around.read().astype(np.float64)
        pixels[place["S"], place["T"], channels, place["Z"]] = y
        clean = np.empty(pixels.shape)
        noised = around.with_data(pixels)
        for block in predict(model, noised, device=str(device), only=only, shifted=False):
            clean[ax.index(ax.CANONICAL, block.where)] = block.values
        found: NDArray[np.float64] = clean[place["S"], place["T"], channels, place["Z"]]
        return found

    def result(y: NDArray) -> NDArray[np.float64]:
        if model.joined is not None:
            return joined(y)
        total = np.zeros(y.shape)
        for m, share, net, beside in members:
            with torch.inference_mode():
                values = predictions(net, to_net(m, y, device, beside), m)
            total += share * (values if m.posterior is None else m.posterior.apply(y, values)[0])
        return total

    clean = result(noisy)
    scale = np.stack(
        [
            np.full(y.shape, y.std()) if n is None else np.sqrt(_kernel(n, y, x))
            for n, y, x in zip(noise.models, noisy, clean, strict=True)
        ]
    )
    shapes = noise.autocorrelation or (None,) * len(noisy)
    z = scale * np.stack([drawn(rho, noisy.shape[1:], rng) for rho in shapes])
    step = 0.1
    change = (result(noisy + step * z) - clean) / step
    axes = tuple(range(1, noisy.ndim))
    ratio = (z * change).mean(axes) / np.maximum((z**2).mean(axes), 1e-300)
    return [float(v) for v in ratio]


def _kernel(noise: NoiseModel, noisy: NDArray, clean: NDArray) -> NDArray[np.float64]:
    """By pixel, the weight of the slope of a result in its covariance with the noise.

    ``cov(g(y), y) = E k(y) g'(y)`` with ``k(y) = v + m3 / (2 v) (y - x)`` for noise of variance v
    and third moment m3 around x: exactly for normal and gamma noise (speckle), else to second order
    (Stein, Approximate Computation of Expectations, 1986, chapter 6). Exponential families have
    ``m3 = v dv/dx``. With one strength for all pixels the noise of bright speckle was drawn in dark
    places, and a gain of 15 dB was taken for one of 2.
    """
    variance = noise.variance(clean)
    step = 0.1 * np.sqrt(variance)
    slope = (noise.variance(clean + step) - noise.variance(clean - step)) / (2 * step)
    return np.asarray(np.maximum(variance + slope / 2 * (noisy - clean), 0.01 * variance))
