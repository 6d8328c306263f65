"""The risk of a model: its mean squared error on an image, estimated without the truth.

The mean squared error of any result f(y) is, but for the noise, ``E (y - f)^2 + 2 cov(f, y)``, the
covariance penalty of Efron (JASA 2004): what a result repeats of the noise of its own pixel, it
does not show in its residual. Behind a blind spot it is 0. The residual is taken at pixels that
were never a training target, so that memorised noise does not count.

The covariance is measured by drawing the noise of single pixels anew: ``cov = E f(y') r``, where
y' has m + r in the place of the pixel, m is a prediction of the pixel while it is hidden (the mean
of its neighbours stands in its place), and r one of its residuals at pixels of like intensity. So
noise of any distribution is judged by what it is, and a noise model has a say in its strength
alone: Stein's formula, with slopes for the covariance, holds for normal noise only, and praised a
net by a quarter of the noise that let the rare bright outliers of dark pixels pass, 4 dB
worse than the others (W2S field 009). Residuals come from calm places, as elsewhere they hold what
the prediction does not know. And the other pixels stay as they are: around a scene that is all
blind prediction, without its texture, nets repeat half as much (`camera`, where this way finds 0.86
of the true covariance for every candidate, and their differences right).

Where noise is correlated a result knows the noise of a pixel from its neighbours too, so that of
all pixels is moved at once, by draws b of the measured strength and autocorrelation, and the
covariance is ``E b (f(y + e b) - f(y)) / e`` (Ramani, Blu, Unser, IEEE Transactions on Image
Processing 2008, for white noise). Here the noise must be normal, and its model right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.images.axes import middle
from unnoise.images.held_out import held_out as held_out_pixels
from unnoise.images.held_out import plane_key
from unnoise.images.image import Image
from unnoise.images.neighbours import surrounded
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.noise.correlated_noise import drawn
from unnoise.noise.density import NoiseModel
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.local_mean import local_mean
from unnoise.noise.planes import calmest
from unnoise.quality import blocks
from unnoise.quality.region import Frames, among
from unnoise.quality.risk_estimate import RiskEstimate

SIDE = 512
"""Side of the piece of a plane that models are judged on."""
HELD_OUT = 9
"""One pixel in so many must never have been a training target. With one in 64 the difference of
two risks erred by a third of the risk (256x256, noise of 0.6 of the variance)."""
CELL = 4
PHASES = ((0, 0), (1, 2), (2, 1), (3, 3))
"""In every cell of this side the noise of one pixel at a time is drawn anew."""
LIKE = 512
"""Pixels of like intensity, among which residuals are dealt out ..."""
CALM = 0.5
"""... from this share of them, those of the calmest surroundings."""
TRUSTED = 1.4
"""By this factor, up or down, the measured noise variance may correct theirs. On textured
photographs they were 1.3 times too strong, on W2S the measured one was right to 1 %."""
AROUND = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
"""The mean of the neighbours, which stands in the place of a hidden pixel."""
NUDGE = 0.3
"""By this share of its strength correlated noise is moved."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of an image, and noise to judge models with.

    Attributes
    ----------
    noisy : ndarray, float32 or float64, shape (c, y, x)
        All channels, image units; `float64` where 32 bits would round off what differs.
    held_out : ndarray of bool, shape (c, y, x)
        Pixels that were never a training target.
    redrawn : ndarray, float64, shape (denoised channels, y, x)
        Values with other noise of the kind that the noisy pixels have there.
    noise : ndarray, float64, of the shape of `redrawn`
        That noise.
    correlated : bool
        Whether neighbours share it. If not, only pixels of `PHASES` have any.
    frames : (Image, dict), optional
        It among neighbouring frames, for nets that see them, and which it is.
    """

    noisy: NDArray
    held_out: NDArray[np.bool_]
    redrawn: NDArray[np.float64]
    noise: NDArray[np.float64]
    correlated: bool = False
    frames: Frames | None = None

    def moved(self, channels: Sequence[int]) -> Iterator[tuple[NDArray, NDArray[np.float64]]]:
        """Images with other noise, and for every pixel the factor of its change.

        In the mean over the pixels whose factor is not zero, factor times change of the result is
        the covariance of result and noise.
        """
        if self.correlated:
            parts = [(np.ones(self.noise.shape, np.bool_), self.noise / NUDGE)]
        else:
            parts = [(at, self.noise * at) for at in phases(self.noise.shape)]
        for at, factor in parts:
            other = self.noisy.astype(np.float64)
            other[channels] = np.where(at, self.redrawn, other[channels])
            yield other, factor


def phases(shape: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """Pixels that are hidden, or whose noise is drawn anew, at once."""
    for row, column in PHASES:
        at = np.zeros(shape, np.bool_)
        at[..., row::CELL, column::CELL] = True
        yield at


def judging_pieces(
    images: Sequence[Image],
    model: Model,
    device: torch.device,
    seed: int = 0,
    context: tuple[str, int] | None = None,
    *,
    held_out: int = HELD_OUT,
) -> list[Piece]:
    """Pieces out of the middle planes of the first and the last image.

    Parameters
    ----------
    images : sequence of Image
        The training images.
    model : Model
        Two-dimensional, one of those to judge; it predicts pixels that are hidden from it.
    device : torch.device
        Where to compute.
    seed : int
        Seed of the training, which says what was held out, and of the dealing; all models are
        judged with the same noise, so that scatter cancels.
    context : (str, int), optional
        That of a model which sees neighbouring frames.
    held_out : int
        One pixel in so many was never a target.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> model = unnoise.train(noisy, method="instant")
    >>> (piece,) = judging_pieces([Image.from_array(noisy)], model, torch.device("cpu"))
    >>> piece.noise.shape
    (1, 64, 64)
    """
    rng = np.random.default_rng([seed, 9])
    found = []
    for which in sorted({0, len(images) - 1}):
        image = images[which]
        part = image.middle(SIDE)
        noisy = _narrow(image.read(part)[0, 0, :, 0])
        corner = tuple(middle(image.sizes[k], SIDE).start for k in "YX")
        key = seed, *plane_key(which, image.middle(), 2, None)
        keys = [(*key, c) for c in range(len(noisy))]
        held = np.stack([held_out_pixels(corner, noisy.shape[1:], k, held_out) for k in keys])
        marks = image.excluded(part)
        if marks is not None:
            held &= ~marks[0, 0, :, 0]
        make = _correlated if shaped(model.noise) else _independent
        redrawn, noise = make(model, noisy, device, rng)
        frames = None
        if context is not None:
            frames = surrounded(image, part, *context, model.channels), dict([context])
        found.append(Piece(noisy, held, redrawn, noise, make is _correlated, frames))
    return found


def _independent(
    model: Model, noisy: NDArray, device: torch.device, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels with other noise, and that noise, out of the residuals of hidden pixels."""
    channels = list(model.channels)
    around = ndimage.convolve(noisy.astype(np.float64), AROUND[None], mode="mirror")
    mean = np.zeros((len(channels), *noisy.shape[1:]))
    for at in phases(noisy.shape):
        hidden = np.where(at, around, noisy).astype(noisy.dtype)
        mean += _result(model, hidden, device, None, False) * at[channels]
    some = np.logical_or.reduce(list(phases(noisy.shape[1:])))
    known = model.noise.models if model.noise else (None,) * len(mean)
    rows = zip(noisy[channels] - mean, mean, known, strict=True)
    noise = np.stack([_dealt(r, m, some, n, rng) for r, m, n in rows])
    return mean + noise, noise


def _correlated(
    model: Model, noisy: NDArray, device: torch.device, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels whose noise is moved, and by which noise, of the measured strength and shape."""
    assert model.noise is not None
    mean = _result(model, noisy, device, None, False)
    rows = zip(mean, model.noise.known, model.noise.autocorrelation, strict=True)
    noise = np.stack([np.sqrt(n.variance(m)) * drawn(rho, m.shape, rng) for m, n, rho in rows])
    return noisy[list(model.channels)] + NUDGE * noise, noise


def shaped(noise: ImageNoise | None) -> bool:
    """Whether noise is known to be correlated, and how."""
    return bool(
        noise is not None and noise.known and any(rho is not None for rho in noise.autocorrelation)
    )


def _dealt(
    residual: NDArray,
    signal: NDArray,
    some: NDArray[np.bool_],
    noise: NoiseModel | None,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Residuals of calm places, dealt out among pixels of like signal; 0 but at `some` pixels.

    How calm a place is is told by its neighbours, so a residual has no say in its own choice. They
    get the strength that was measured, unless it is far from theirs.
    """
    flat, signal = residual[some], signal[some]
    around = local_mean(np.where(some, residual**2, 0.0), 3.0)[0] / local_mean(some, 3.0)[0]
    restless = around[some]
    dealt = np.empty(flat.size)
    order = np.argsort(signal, kind="stable")
    for group in np.array_split(order, max(order.size // LIKE, 1)):
        calm = group[calmest(restless[group], CALM)]
        pool = flat[calm] - flat[calm].mean()
        if noise is not None and pool.any():
            ratio = float(noise.variance(signal[group]).mean() / (pool**2).mean())
            pool *= math.sqrt(min(max(ratio, 1 / TRUSTED), TRUSTED))
        dealt[group] = rng.choice(pool, len(group))
    out = np.zeros(residual.shape)
    out[some] = dealt
    return out


def estimate_risk(model: Model, pieces: Sequence[Piece], device: torch.device) -> RiskEstimate:
    """Estimate the risk of a model's results, averaged over symmetries as the user gets them.

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
    >>> model, cpu = unnoise.train(noisy, method="gaussian"), torch.device("cpu")
    >>> pieces = judging_pieces([Image.from_array(noisy)], model, cpu)
    >>> estimate_risk(model, pieces, cpu).risk < 1.2
    True
    """
    channels = list(model.channels)
    std = model.affine.std[channels].reshape(-1, 1, 1)
    residual, block, covariance, redrawn = [], [], [], []
    first = 0
    for piece in pieces:
        clean = _result(model, piece.noisy, device, piece.frames, None)
        held = piece.held_out[channels]
        length = blocks.side(clean.shape[1:])
        labels = blocks.labels(clean.shape[1:], length)
        residual.append(((piece.noisy[channels] - clean) / std)[held])
        block.append(first + np.broadcast_to(labels, held.shape)[held])
        product, count = np.zeros((2, *labels.shape))
        for other, factor in piece.moved(channels):
            # The first result knows nothing of this noise: taking it off only removes scatter. One
            # orientation is enough, as the covariance of a mean is the mean of the covariances.
            other = other if piece.frames else other.astype(piece.noisy.dtype)
            change = _result(model, other, device, piece.frames, False) - clean
            product += (change * factor / std**2).sum(0)
            count += (factor != 0).sum(0)
        covariance.append(blocks.sums(product, length))
        redrawn.append(blocks.sums(count, length))
        first += len(redrawn[-1])
    return RiskEstimate(
        np.concatenate(residual),
        np.concatenate(block),
        np.concatenate(covariance),
        np.concatenate(redrawn),
    )


def _narrow(values: NDArray) -> NDArray:
    """In 32 bits, unless an offset, as that of pixels of 32 bits, leaves too few for the rest."""
    with np.errstate(over="ignore"):
        single, double = values.astype(np.float32), values.astype(np.float64)
    return double if np.abs(single - double).max() > 1e-5 * double.std() else single


def _result(
    model: Model, noisy: NDArray, device: torch.device, frames: Frames | None, tta: bool | None
) -> NDArray[np.float64]:
    """The denoised channels of a piece."""
    if frames is not None:
        return among(frames, noisy, model, device, tta=tta)
    image = Image.from_array(noisy, axes="CYX")
    where = str(device)
    clean = predict_array(model, image, device=where, dtype=np.float64, tta=tta, shifted=False)
    return np.asarray(clean[list(model.channels)])
