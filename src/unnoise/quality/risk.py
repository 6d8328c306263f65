"""The risk of a model: its mean squared error on an image, estimated without the truth.

The mean squared error of any result f(y) is, but for the noise, ``E (y - f)^2 + 2 cov(f, y)``, the
covariance penalty of Efron (JASA 2004): what a result repeats of the noise of its own pixel, it
does not show in its residual. Behind a blind spot it is 0. The residual is taken at pixels that
were never a training target, so that memorised noise does not count.

The covariance is measured by drawing the noise of single pixels anew: ``cov = E f(y') r``, where
y' has m + r in the place of the pixel, m is a blind prediction, and r one of its residuals at
pixels of like intensity. So noise of any distribution is judged by what it is, and no noise model
has a say: Stein's formula, with slopes for the covariance, holds for normal noise only, and praised
a net by a quarter of the noise that let the rare bright outliers of clipped dark pixels pass, 4 dB
worse than the others (W2S field 009). Residuals come from calm places, as elsewhere they hold what
the prediction does not know. And the other pixels stay as they are: around a scene that is all
blind prediction, without its texture, nets repeat half as much (`camera`, where this way finds
0.86 of the true covariance for every candidate, and their differences right).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.images.axes import middle
from unnoise.images.held_out import held_out, plane_key
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.noise.local_mean import local_mean
from unnoise.noise.planes import calmest

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
    """A piece of an image, and noise to judge models with.

    Attributes
    ----------
    noisy : ndarray, float32, shape (c, y, x)
        All channels, image units.
    held_out : ndarray of bool, shape (c, y, x)
        Pixels that were never a training target.
    mean : ndarray, float64, shape (denoised channels, y, x)
        A blind prediction.
    noise : ndarray, float64, of the shape of `mean`
        Noise of the kind that the noisy pixels have around it.
    """

    noisy: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    mean: NDArray[np.float64]
    noise: NDArray[np.float64]


def judging_pieces(
    images: Sequence[Image], blind: Model, device: torch.device, seed: int = 0
) -> list[Piece]:
    """Pieces out of the middle planes of the first and the last image.

    Parameters
    ----------
    images : sequence of Image
        The training images.
    blind : Model
        Two-dimensional; its results do not use the pixel itself.
    device : torch.device
        Where to compute.
    seed : int
        Seed of the training, which says what was held out, and of the dealing; all models are
        judged with the same noise, so that scatter cancels.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> blind = unnoise.train(noisy, method="n2v", steps=2)
    >>> cpu = torch.device("cpu")
    >>> (piece,) = judging_pieces([Image.from_array(noisy)], blind, cpu)
    >>> piece.noise.shape
    (1, 64, 64)
    """
    rng = np.random.default_rng([seed, 9])
    found = []
    for which in sorted({0, len(images) - 1}):
        image = images[which]
        noisy = image.read(image.middle(SIDE))[0, 0, :, 0].astype(np.float32)
        corner = tuple(middle(image.sizes[k], SIDE).start for k in "YX")
        key = seed, *plane_key(which, image.middle(), 2, None)
        held = np.stack([held_out(corner, noisy.shape[1:], (*key, c)) for c in range(len(noisy))])
        marks = image.excluded(image.middle(SIDE))
        if marks is not None:
            held &= ~marks[0, 0, :, 0]
        mean = _result(blind, noisy, device)
        residual = noisy[list(blind.channels)] - mean
        noise = [_dealt(r, m, rng) for r, m in zip(residual, mean, strict=True)]
        found.append(Piece(noisy, held, mean, np.stack(noise)))
    return found


def _dealt(residual: NDArray, signal: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Residuals of calm places, dealt out among pixels of like signal.

    How calm a place is is told by its neighbours, so a residual has no say in its own choice.
    """
    around, _ = local_mean(residual**2, 3.0)
    order = np.argsort(signal, axis=None, kind="stable")
    flat, restless = residual.ravel(), around.ravel()
    out = np.empty(residual.size)
    for group in np.array_split(order, max(order.size // LIKE, 1)):
        calm = group[calmest(restless[group], CALM)]
        out[group] = rng.choice(flat[calm] - flat[calm].mean(), len(group))
    return out.reshape(residual.shape)


@dataclass(frozen=True, eq=False)
class RiskEstimate:
    """What the estimate of a model's risk is made of, in normalised units.

    Attributes
    ----------
    residual : ndarray, float64, shape (n,)
        Noisy less clean values at the held-out pixels.
    covariance : float
        Covariance of the result with the noise of its own pixel.

    Examples
    --------
    >>> one, two = RiskEstimate(np.array([0.0, 2.0]), 0.0), RiskEstimate(np.array([1.0, 0.0]), 0.0)
    >>> share = one.best_share(two)
    >>> round(share, 3), round(one.with_share(two, share).risk, 3)
    (0.8, 0.4)
    """

    residual: NDArray[np.float64]
    covariance: float

    @property
    def risk(self) -> float:
        """Estimated mean squared error plus the noise."""
        return float(np.mean(self.residual**2) + 2 * self.covariance)

    def with_share(self, other: RiskEstimate, share: float) -> RiskEstimate:
        """The weighted mean of two results: both parts are linear in the result."""
        return RiskEstimate(
            (1 - share) * self.residual + share * other.residual,
            (1 - share) * self.covariance + share * other.covariance,
        )

    def best_share(self, other: RiskEstimate) -> float:
        """Weight of another result, 0 to 1, with which the mean has the least risk.

        The risk is a parabola in the weight, whose bend is the mean squared difference.
        """
        difference = self.residual - other.residual
        bend = float(np.mean(difference**2))
        slope = float(np.mean(self.residual * difference)) + self.covariance - other.covariance
        return min(max(slope / bend, 0.0), 1.0) if bend > 0 else 0.0


def estimate_risk(model: Model, pieces: Sequence[Piece], device: torch.device) -> RiskEstimate:
    """Estimate the risk of a model's results.

    Parameters
    ----------
    model : Model
        Two-dimensional.
    pieces : sequence of Piece
        From `judging_pieces`.
    device : torch.device
        Where to compute.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> blind = unnoise.train(noisy, method="n2v", steps=2)
    >>> cpu = torch.device("cpu")
    >>> pieces = judging_pieces([Image.from_array(noisy)], blind, cpu)
    >>> estimate_risk(unnoise.train(noisy, method="gaussian"), pieces, cpu).risk < 1.1
    True
    """
    channels = list(model.channels)
    std = model.affine.std[channels].reshape(-1, 1, 1)
    residual, covariance = [], []
    for piece in pieces:
        clean = _result(model, piece.noisy, device)
        y = piece.noisy[channels].astype(np.float64)
        residual.append(((y - clean) / std)[piece.held_out[channels]])
        for row, column in PHASES:
            at = (slice(None), slice(row, None, CELL), slice(column, None, CELL))
            other = y.copy()
            other[at] = (piece.mean + piece.noise)[at]
            whole = piece.noisy.copy()
            whole[channels] = other
            # The first result knows nothing of this noise: taking it off only removes scatter.
            change = _result(model, whole, device) - clean
            covariance.append((change * piece.noise / std**2)[at].ravel())
    return RiskEstimate(np.concatenate(residual), float(np.concatenate(covariance).mean()))


def _result(model: Model, noisy: NDArray, device: torch.device) -> NDArray[np.float64]:
    """The denoised channels of a piece."""
    image = Image.from_array(noisy.astype(np.float32), axes="CYX")
    clean = predict_array(model, image, device=str(device), dtype=np.float64)
    return np.asarray(clean[list(model.channels)])
