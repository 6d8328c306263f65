"""Which of several models is the best for an image, judged without the truth.

Where the noise variance v is known, the risk of any result f(y) is, but for a constant,
``E (y - f)^2 + 2 E v df/dy`` (Stein, Annals of Statistics 1981), the divergence by a random
direction (Ramani, Blu, Unser, IEEE TIP 2008). Behind a blind spot the second part is 0. The first
is taken at pixels that were never a training target, so that noise known by heart does not count.
Errors of v touch only the second part, and of two models only its difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.image import Image
from unnoise.model import Model
from unnoise.noise.density import Model as NoiseModel
from unnoise.sampling import held_out, key_of

SIDE = 512
"""Side of the piece of a plane that models are judged on."""
PROBES = 2
"""Random directions per piece."""
STEP = 0.1
"""Length of a direction, in standard deviations of the noise."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of an image.

    Attributes
    ----------
    noisy : ndarray, float32, shape (c, y, x)
        All channels, image units.
    held_out : ndarray of bool, shape (c, y, x)
        Pixels that were never a training target.
    """

    noisy: NDArray[np.float32]
    held_out: NDArray[np.bool_]


def pieces(images: Sequence[Image], seed: int) -> list[Piece]:
    """Pieces out of the middle planes of the first and the last image."""
    found = []
    for which in sorted({0, len(images) - 1}):
        image = images[which]
        n = image.sizes
        at = {k: n[k] // 2 for k in "STZ"}
        sides = tuple(min(n[k], SIDE) for k in "YX")
        y, x = ((n[k] - side) // 2 for k, side in zip("YX", sides, strict=True))
        where: dict[str, int | slice] = {
            **at,
            "Y": slice(y, y + sides[0]),
            "X": slice(x, x + sides[1]),
        }
        noisy = image.read(where)[0, 0][:, 0].astype(np.float32)
        keys = [(seed, *key_of(which, at, 2, None), c) for c in range(n["C"])]
        found.append(Piece(noisy, np.stack([held_out((y, x), sides, key) for key in keys])))
    return found


def risk(
    model: Model,
    places: Sequence[Piece],
    noise: Sequence[NoiseModel],
    device: torch.device,
    seed: int = 0,
) -> float:
    """Estimated mean squared error of a model's results, in normalised units, plus the noise.

    Parameters
    ----------
    model : Model
        Two-dimensional.
    places : sequence of Piece
        From `pieces`, with the seed of the training.
    noise : sequence of noise models
        One per denoised channel, image units.
    device : torch.device
        Where to compute.
    seed : int
        Seed of the random directions; the same for all models, so that their scatter cancels.

    Examples
    --------
    >>> import unnoise
    >>> from unnoise.noise.models import PoissonGauss
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> model = unnoise.train(noisy, method="gaussian")
    >>> places = pieces([Image.from_array(noisy)], 0)
    >>> risk(model, places, [PoissonGauss(0.0, 0.0, 25.0)], torch.device("cpu")) < 1.1
    True
    """
    rng = np.random.default_rng([seed, 9])
    channels = list(model.channels)
    std = model.affine.std[channels].reshape(-1, 1, 1)

    def result(noisy: NDArray) -> NDArray[np.float64]:
        image = Image.from_array(noisy.astype(np.float32), axes="CYX")
        clean = model.predict(image, device=str(device), dtype=np.float64)
        return np.asarray(clean[channels])

    residual, repeated = [], []
    for piece in places:
        clean = result(piece.noisy)
        y = piece.noisy[channels].astype(np.float64)
        held = piece.held_out[channels]
        residual.append(((((y - clean) / std) ** 2)[held]).mean())
        variance = np.stack([n.variance(p) for n, p in zip(noise, clean, strict=True)])
        sigma = np.sqrt(np.maximum(variance, 1e-12))
        for _ in range(PROBES):
            z = rng.standard_normal(y.shape)
            moved = piece.noisy.astype(np.float64)
            moved[channels] += STEP * sigma * z
            change = (result(moved) - clean) / STEP
            repeated.append((sigma * z * change / std**2).mean())
    return float(np.mean(residual) + 2 * np.mean(repeated))
