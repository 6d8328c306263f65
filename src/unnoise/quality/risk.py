"""Which of several models is the best for an image, judged without the truth.

The mean squared error of any result f(y) is, but for the noise, ``E (y - f)^2 + 2 cov(f, y)``, the
covariance penalty of Efron (JASA 2004): what a result repeats of the noise of its own pixel, it
does not show in its residual. Behind a blind spot it is 0. The residual is taken at pixels that
were never a training target, so that noise known by heart does not count.

The covariance is measured by drawing the noise of single pixels anew: ``cov = E f(y') r``, where
y' has m + r in the place of the pixel, m is a blind prediction, and r one of its residuals at
pixels of like intensity. So noise of any distribution is judged by what it is, and no noise model
has a say: Stein's formula, with slopes for the covariance, holds for normal noise only, and praised
a net by a quarter of the noise that let the rare bright outliers of clipped dark pixels pass, 4 dB
worse than the others (W2S field 009). Residuals come from calm places, as elsewhere they hold what
the prediction does not know. And the other pixels stay as they are: around a scene that is all
blind prediction, without its texture, nets repeat half as much (`camera`, where this way finds
0.86 of the true covariance for every road, and their differences right).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.noise.local_mean import surroundings
from unnoise.noise.plane_parts import calmest
from unnoise.training.crops import held_out, key_of

SIDE = 512
"""Side of the piece of a plane that models are judged on."""
CELL = 4
PHASES = ((0, 0), (1, 2), (2, 1), (3, 3))
"""In every cell of this side the noise of one pixel at a time is drawn anew."""
LIKE = 1024
"""Pixels of like intensity, among which residuals are dealt out ..."""
CALM = 0.25
"""... from this share of them, those of the calmest surroundings."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of an image.

    Attributes
    ----------
    noisy : ndarray, float32, shape (c, y, x)
        All channels, image units.
    held_out : ndarray of bool, shape (c, y, x)
        Pixels that were never a training target.
    mean : ndarray, float64, shape (denoised channels, y, x), optional
        A blind prediction.
    noise : ndarray, float64, of the shape of `mean`, optional
        Noise of the kind that the noisy pixels have around it.
    """

    noisy: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    mean: NDArray[np.float64] | None = None
    noise: NDArray[np.float64] | None = None


def pieces(images: Sequence[Image], seed: int) -> list[Piece]:
    """Pieces out of the middle planes of the first and the last image, without mean and noise."""
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


def with_noise(
    places: Sequence[Piece], blind: Model, device: torch.device, seed: int = 0
) -> list[Piece]:
    """The pieces with a blind prediction and noise to add to it.

    Parameters
    ----------
    places : sequence of Piece
        From `pieces`.
    blind : Model
        Two-dimensional; its results do not use the pixel itself.
    device : torch.device
        Where to compute.
    seed : int
        Seed of the dealing; all models are judged with the same noise, so that scatter cancels.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> blind = unnoise.train(noisy, method="n2v", steps=2)
    >>> cpu = torch.device("cpu")
    >>> (place,) = with_noise(pieces([Image.from_array(noisy)], 0), blind, cpu)
    >>> place.noise.shape
    (1, 64, 64)
    """
    rng = np.random.default_rng([seed, 9])
    channels = list(blind.channels)
    found = []
    for place in places:
        mean = _result(blind, place.noisy, device)
        residual = place.noisy[channels] - mean
        noise = [_dealt(r, m, rng) for r, m in zip(residual, mean, strict=True)]
        found.append(replace(place, mean=mean, noise=np.stack(noise)))
    return found


def _dealt(residual: NDArray, signal: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Residuals of calm places, dealt out among pixels of like signal.

    How calm a place is is told by its neighbours, so a residual has no say in its own choice.
    """
    around, _ = surroundings(residual**2, 3.0)
    order = np.argsort(signal, axis=None, kind="stable")
    flat, restless = residual.ravel(), around.ravel()
    out = np.empty(residual.size)
    for group in np.array_split(order, max(order.size // LIKE, 1)):
        calm = group[calmest(restless[group], CALM)]
        out[group] = rng.choice(flat[calm] - flat[calm].mean(), len(group))
    return out.reshape(residual.shape)


@dataclass(frozen=True, eq=False)
class Judged:
    """What the estimate of a model's risk is made of, in normalised units.

    Attributes
    ----------
    residual : ndarray, float64, shape (n,)
        Noisy less clean values at the held-out pixels.
    repeated : float
        Covariance of the result with the noise of its own pixel.

    Examples
    --------
    >>> one, two = Judged(np.array([0.0, 2.0]), 0.0), Judged(np.array([1.0, 0.0]), 0.0)
    >>> share = one.best_share(two)
    >>> round(share, 3), round(one.with_share(two, share).risk, 3)
    (0.8, 0.4)
    """

    residual: NDArray[np.float64]
    repeated: float

    @property
    def risk(self) -> float:
        """Estimated mean squared error plus the noise."""
        return float(np.mean(self.residual**2) + 2 * self.repeated)

    def with_share(self, other: Judged, share: float) -> Judged:
        """The weighted mean of two results: both parts are linear in the result."""
        return Judged(
            (1 - share) * self.residual + share * other.residual,
            (1 - share) * self.repeated + share * other.repeated,
        )

    def best_share(self, other: Judged) -> float:
        """Weight of another result, 0 to 1, with which the mean has the least risk.

        The risk is a parabola in the weight, whose bend is the mean squared difference.
        """
        difference = self.residual - other.residual
        bend = float(np.mean(difference**2))
        slope = float(np.mean(self.residual * difference)) + self.repeated - other.repeated
        return min(max(slope / bend, 0.0), 1.0) if bend > 0 else 0.0


def judge(model: Model, places: Sequence[Piece], device: torch.device) -> Judged:
    """Estimate the risk of a model's results.

    Parameters
    ----------
    model : Model
        Two-dimensional.
    places : sequence of Piece
        From `with_noise`, with the seed of the training.
    device : torch.device
        Where to compute.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> blind = unnoise.train(noisy, method="n2v", steps=2)
    >>> cpu = torch.device("cpu")
    >>> places = with_noise(pieces([Image.from_array(noisy)], 0), blind, cpu)
    >>> judge(unnoise.train(noisy, method="gaussian"), places, cpu).risk < 1.1
    True
    """
    channels = list(model.channels)
    std = model.affine.std[channels].reshape(-1, 1, 1)
    residual, repeated = [], []
    for place in places:
        clean = _result(model, place.noisy, device)
        y = place.noisy[channels].astype(np.float64)
        residual.append(((y - clean) / std)[place.held_out[channels]])
        assert place.mean is not None
        assert place.noise is not None
        for row, column in PHASES:
            at = (slice(None), slice(row, None, CELL), slice(column, None, CELL))
            other = y.copy()
            other[at] = (place.mean + place.noise)[at]
            whole = place.noisy.copy()
            whole[channels] = other
            # The first result knows nothing of this noise: taking it off only removes scatter.
            change = _result(model, whole, device) - clean
            repeated.append((change * place.noise / std**2)[at].ravel())
    return Judged(np.concatenate(residual), float(np.concatenate(repeated).mean()))


def _result(model: Model, noisy: NDArray, device: torch.device) -> NDArray[np.float64]:
    """The denoised channels of a piece."""
    image = Image.from_array(noisy.astype(np.float32), axes="CYX")
    clean = model.predict(image, device=str(device), dtype=np.float64)
    return np.asarray(clean[list(model.channels)])
