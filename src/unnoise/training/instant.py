"""The methods ``instant`` and ``nlridge``: the transform before a denoiser, set to an image.

The first guess is the noise that was measured. Whether there is more of it in the dark is told by
the image itself: by the error of the prediction of hidden pixels, which needs no clean image
(Herbreteau and Unser, Noise2VST, ICCV 2025; J-invariance: Batson and Royer, ICML 2019).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.robust_sigma import noise_sigma
from unnoise.models.build import ready
from unnoise.models.model import Model
from unnoise.nets.gaussian_denoiser import lags
from unnoise.nets.variance_stabilized import KNOTS, VarianceStabilized, blurred, interpolate
from unnoise.noise import correlation
from unnoise.training.blur_share import DROWNED, blur_share
from unnoise.training.crops import crops_of
from unnoise.training.methods.b2u import donut_mean
from unnoise.training.progress import Progress
from unnoise.training.run import Run

STEPS = 2
"""Steps of the calibration: the first guess and the trials."""
DARK = 0.6
"""Logarithm by which the noise of the darkest pixels is raised in the trial, a factor of 1.8. The
curve of the noise is least sure there, where clipping hides it: on W2S this one number found all
that a free refinement of 8 values did, in a 20th of its time. Such a refinement, or one factor for
all signals, may do harm: edges and spots cannot be predicted from around, which looks like more
noise (white noise on squares: twice the squared error; spots: up to 13 % too much flux)."""
WIN = 0.0005
"""The trial must lower the risk by this share. White noise of one level feigned no gain where it
was tried, and where the first guess was wrong (W2S fields 001, 005, 013) 0.06 to 0.8 % were up to 5
dB."""
FACTORS = (0.15, 0.3, 0.45, 0.6)
"""Of correlated noise, whose strength is less sure, logarithms of one factor for all signals. On
development pictures of SIDD, CC15 and PolyU it gained 2.5, 0.4 and 0.5 dB; edges may feign more,
and so does texture: none where the correlation itself is doubtful."""
SURE = 2.0
"""Standard errors by which it must lower the risk. Not of correlated noise: there every second
pixel or fewer are left to judge by, and noise that is taken too weak stays (SIDD +0.3 dB)."""
BINS = (2, 4)
"""Sides of squares of pixels that are averaged where that predicts hidden pixels better ..."""
STRONG = 0.6
"""... and noise is at least this share of the variance of the image. The transform stabilises
nothing at less than a photon a pixel: squares gained 0.2 to 2.7 dB there. Where there is less noise
a chance of a hidden pixel may decide (W2S field 001_0: -0.2 dB at 0.57)."""
BENDS = 8
"""Places per channel between which a change fades, spread over the signals of the image."""
CELL = 2
"""One pixel in every cell of this side is hidden. With cells of 4, differences were 2 to 3 times
less sure for the same work, and the shift cost 0.05 dB of chance."""
SPARSE = 4
"""Side of the cells in which one pixel is hidden, where a blur is compared: what stands in for
hidden pixels has less noise, on which the net counts."""
STRAIGHT = 0.02
"""Range of the logarithm of noise of one strength, which has no curve to be unsure of."""
PIECES = 16
"""Patches on which transforms are compared: each time about 0.1 s of one core."""
BEYOND = 0.25
"""How far the knots go beyond what is seen, as a share of its range."""


def with_stabilizer(model: Model, images: Sequence[Image]) -> Model:
    """The model of a new run with the transform that the noise of its images asks for.

    Parameters
    ----------
    model : Model
        Of a method that starts from the weights of the package. Where the noise of a channel was
        not measured, noise of one strength is assumed.
    images : sequence of Image
        Noisy images.

    Raises
    ------
    InputError
        If hardly any pixel of a channel has measurements on all sides.
    """
    rng = np.random.default_rng([model.config.training.seed, 6])
    patches = crops_of(images, model).batch(64, rng)
    seen, excluded = patches.noisy, patches.excluded
    noise = model.noise.models if model.noise else (None,) * len(model.channels)
    knots, log_sigma = [], []
    for place, (c, known) in enumerate(zip(model.channels, noise, strict=True)):
        mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
        values = seen[:, place] if excluded is None else seen[:, place][~excluded[:, place]]
        if not len(values):
            raise InputError(
                f"hardly any pixel of channel {c} has measurements on all sides, so there is "
                f"nothing to learn; cut out the rows and columns that hold none"
            )
        low, high = (float(v) for v in np.quantile(values, [0.0005, 0.9995]))
        reach = max(high - low, 1e-3) * BEYOND
        at = np.linspace(low - reach, high + reach, KNOTS)
        if known is None:
            sigma = np.full(KNOTS, noise_sigma(seen[:, place]) or 1e-3)
        else:
            sigma = np.sqrt(known.variance(mean + std * at)) / std
        knots.append(at)
        log_sigma.append(np.log(np.maximum(sigma, 1e-3)))
    shapes = (model.noise.autocorrelation if model.noise else ()) or (None,) * len(model.channels)
    told = [told_correlation(shape) for shape in shapes]
    rows = {"knots": np.array(knots), "log_sigma": np.array(log_sigma), "rho": np.array(told)}
    found = {name: torch.tensor(row, dtype=torch.float32) for name, row in rows.items()}
    return replace(model, weights={**model.weights, **found})


def told_correlation(rho: NDArray | None) -> list[float]:
    """What the net is told of an autocorrelation: its values at the lags that the net knows.

    Parameters
    ----------
    rho : ndarray with odd sides, shape (y, x), or None
        By lag, 1 in the centre; beyond its sides 0. None for white noise.

    Examples
    --------
    >>> told_correlation(np.array([[0.2, 1.0, 0.2]]))[:3]
    [0.2, 0.0, 0.0]
    """
    if rho is None:
        return [0.0] * len(lags())
    y, x = (side // 2 for side in rho.shape)
    inside = [abs(i) <= y and abs(j) <= x for i, j in lags()]
    return [
        float(rho[y + i, x + j]) if at else 0.0 for (i, j), at in zip(lags(), inside, strict=True)
    ]


class VstCalibration(Run):
    """The calibration of the transform, in the shape of a training run.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`, for the method ``instant``, ``adapted`` or ``nlridge``.
    device : torch.device
        Where to compute.
    targets : None
        As every run takes them; this one knows no pairs.

    Examples
    --------
    >>> from unnoise.config.config import Config
    >>> from unnoise.training.plan import plan
    >>> image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    >>> run = VstCalibration([image], plan([image], Config(method="instant")), torch.device("cpu"))
    >>> next(iter(run)).step
    1
    """

    work = "calibrating"

    def __init__(
        self,
        images: Sequence[Image],
        model: Model,
        device: torch.device,
        targets: Sequence[Image] | None = None,
    ) -> None:
        self._model, self.device = model, device
        net = ready(model, device)
        assert isinstance(net, VarianceStabilized)
        self._net = net.requires_grad_(False)
        self._first, self._rho = net.log_sigma.clone(), net.rho
        net.bins = torch.ones_like(net.bins)  # the model of a run that goes on may be calibrated
        net.blur_share = torch.zeros_like(net.blur_share)
        self._correlated = bool(net.rho.any())
        self._doubtful = model.noise is not None and model.noise.doubtful
        self._straight = self._first.amax(1) - self._first.amin(1) < STRAIGHT
        if self._correlated:  # its one strength may be wrong
            self._straight.zero_()
        # Neighbours tell the noise of a hidden pixel where it is correlated. Pixels further apart
        # do not: they make a smaller image, whose noise is white and as strong.
        shapes = model.noise.autocorrelation if model.noise else ()
        apart = correlation.apart([rho for rho in shapes if rho is not None])
        net.rho = torch.zeros_like(net.rho)
        least = [min(image.sizes[k] for image in images) for k in "YX"]
        sides = zip(model.patch, least, apart, strict=True)
        patch = tuple(min(p * step, n // step * step) for p, n, step in sides)
        crops = crops_of(images, replace(model, patch=patch))
        # patches of a small image show the same pixels, which tell as much as one of them
        self._copies = max(1 + (PIECES - 1) * crops.overlap() / math.prod(apart), 1.0)
        patches = crops.batch(PIECES, np.random.default_rng([model.config.training.seed, 8]))
        self._x = torch.from_numpy(_every(apart, patches.noisy)).to(device)
        self._excluded: Tensor | None = None
        if patches.excluded is not None:
            self._excluded = torch.from_numpy(_every(apart, patches.excluded)).to(device)
        self._at = self._places(self._x)
        self._bends = torch.zeros_like(self._at)
        self._errors = torch.empty(0)
        self.history: list[dict[str, Any]] = []
        self._best: dict[str, Tensor] | None = None

    @property
    def fraction(self) -> float:
        """Share of the steps that were made."""
        return self.step / STEPS

    def __iter__(self) -> Iterator[Progress]:
        """Refine the transform, yielding after every step."""
        while self.step < STEPS:
            started = time.perf_counter()
            with torch.inference_mode():
                if self.step == 0:
                    self._errors, self._net.shift = self._judged(self._bends)
                else:
                    self._try_all()
            self.step += 1
            self.seconds += time.perf_counter() - started
            seconds, risk = round(self.seconds, 3), float(self._errors.nanmean())
            place = self.step if self.step == STEPS else 0
            self.history.append({"step": place, "seconds": seconds, "held_out": risk})
            if self.step == STEPS:
                self._net.log_sigma, self._net.rho = self._refined(self._bends), self._rho
                self._best = {k: v.cpu().clone() for k, v in self._net.state_dict().items()}
            yield self.progress()

    def _places(self, x: Tensor) -> Tensor:
        """Where the refinement bends, shape (channels, BENDS): denser where there are pixels."""
        shares = torch.linspace(0.002, 0.998, BENDS, device=x.device)
        smooth = donut_mean(donut_mean(x)).transpose(0, 1).flatten(1)
        # torch.quantile takes 16 million values at most
        quantiles = torch.quantile(smooth[:, :: max(smooth.shape[1] // 2**20, 1)], shares, dim=1).T
        even = torch.lerp(quantiles[:, :1], quantiles[:, -1:], torch.linspace(0, 1, BENDS).to(x))
        # equal places would make segments without length
        return (quantiles + even) / 2 + torch.arange(BENDS, device=x.device) * 1e-4

    def _refined(self, bends: Tensor) -> Tensor:
        """Logarithm of the noise at the knots."""
        rows = zip(self._net.knots, self._at, bends, strict=True)
        return self._first + torch.stack([interpolate(k, a, b, flat=True) for k, a, b in rows])

    def _try_all(self) -> None:
        """Raise the noise in the dark or, of correlated noise, everywhere."""
        if self._correlated:
            for factor in () if self._doubtful else FACTORS:
                self._try(torch.full_like(self._bends, factor))
        else:
            if not self._straight.all():
                bends = self._bends.clone()
                bends[:, 0] = DARK
                self._try(bends)
            if self._errors.nanmean() > STRONG:
                for bins in BINS:
                    self._average(bins)
            if self._errors.nanmean() > DROWNED:
                self._mix()

    def _try(self, bends: Tensor) -> None:
        """Change the noise in those channels whose hidden pixels say so."""
        errors, shift = self._judged(bends)
        change = errors - self._errors
        mean, count = change.nanmean(1), change.isfinite().sum(1).clamp(min=1)
        spread = (change - mean[:, None]).square().nanmean(1).sqrt()
        sure = (0 if self._correlated else SURE) * spread * (self._copies / count).sqrt()
        better = ~self._straight & (mean < -sure) & (mean < -WIN * self._errors.nanmean(1))
        self._bends = torch.where(better[:, None], bends, self._bends)
        self._errors = torch.where(better[:, None], errors, self._errors)
        self._net.shift = torch.where(better[:, None], shift, self._net.shift)

    def _average(self, bins: int) -> None:
        """Average squares of pixels where hidden pixels are predicted better so."""
        before, self._net.bins = self._net.bins, torch.tensor(bins, device=self.device)
        errors, shift = self._judged(self._bends)
        if errors.nanmean() < self._errors.nanmean():
            self._errors, self._net.shift = errors, shift
        else:
            self._net.bins = before

    def _mix(self) -> None:
        """Give a blur its share where noise is so strong that it may know as much as the net."""
        self._net.log_sigma = self._refined(self._bends)
        self._net.blur_share, self._net.blur_width = blur_share(self._residuals)

    def _residuals(self, width: float | None) -> Tensor:
        """Noisy less predicted values of hidden pixels, by the net or by a blur.

        Of fewer pixels at a time, more than once: so the rest is noise as it was.
        """
        denoise: Callable[[Tensor], Tensor] = self._net
        if width is not None:
            denoise = partial(blurred, width=torch.full_like(self._net.blur_width, width))
        parts = [self._hidden(denoise, SPARSE, first) for first in range(0, SPARSE**2, SPARSE)]
        return torch.cat([noisy - predicted for predicted, noisy in parts], 1)

    def _judged(self, bends: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors at hidden pixels, shape (channels, n), and the shift of every channel.

        The shift undoes a bias, so that is taken off and cannot decide: with few photons a
        refinement won by its bias that let single bright pixels pass. Where pixels are no
        measurement their errors are NaN.
        """
        self._net.log_sigma = self._refined(bends)
        before, self._net.shift = self._net.shift, torch.zeros_like(self._net.shift)
        predicted, noisy = self._hidden(self._net)
        self._net.shift = before
        shift = torch.zeros_like(self._net.knots)
        if not self._correlated:
            pairs = zip(self._net.knots, predicted, noisy, strict=True)
            shift = torch.stack([_shift(k, p, y, self._copies) for k, p, y in pairs])
            # A straight way back has no bias; what seems to be one there is texture (0.1 dB).
            shift = shift.masked_fill(self._straight[:, None], 0)
        rows = zip(predicted, self._net.knots, shift, strict=True)
        bias = torch.stack([interpolate(p, k, row, flat=True) for p, k, row in rows])
        return (noisy - predicted - bias) ** 2, shift

    def _hidden(
        self, denoise: Callable[[Tensor], Tensor], cell: int = CELL, first: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Predictions of hidden pixels and their noisy values, shape (channels, n).

        Where pixels are no measurement their noisy values are NaN.
        """
        mask = torch.zeros(len(self._x), 1, *self._x.shape[2:], dtype=torch.bool)
        for i, one in enumerate(mask):
            y, x = divmod((first + i) % cell**2, cell)
            one[:, y::cell, x::cell] = True
        mask = mask.to(self.device)
        predicted = denoise(torch.where(mask, donut_mean(self._x), self._x))
        noisy = self._x
        if self._excluded is not None:
            noisy = noisy.masked_fill(self._excluded, torch.nan)
        hidden = mask[:, 0]
        return predicted.transpose(0, 1)[:, hidden], noisy.transpose(0, 1)[:, hidden]

    def model(self) -> Model:
        """The calibrated model; before the end, that of the first guess."""
        if self._best is None:
            return self._model
        held_out = self.history[-1]["held_out"]
        return self._model.with_weights(self._best, steps=self.step, held_out=held_out)

    def state(self) -> dict[str, Any]:
        """The first guess: a calibration takes seconds and starts anew."""
        return {"step": 0, "log_sigma": self._first.cpu()}

    def restore(self, state: dict[str, Any]) -> None:
        """Start anew.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        first = state.get("log_sigma", self._first)
        if state.get("step") != 0 or np.shape(first) != self._first.shape:
            raise InputError("the saved state does not fit its model; start anew")
        self._first = first.to(self._first)


def _every(apart: Sequence[int], patches: NDArray) -> NDArray:
    """Of patches (n, c, y, x) pixels so far apart in Y and X, of each patch another phase."""
    phases = list(np.ndindex(*apart))
    which = (phases[i % len(phases)] for i in range(len(patches)))
    parts = (p[:, y :: apart[0], x :: apart[1]] for p, (y, x) in zip(patches, which, strict=True))
    return np.stack(list(parts))


def _shift(knots: Tensor, predicted: Tensor, noisy: Tensor, copies: float = 1.0) -> Tensor:
    """What to add to results so that, at every signal, they have the mean of the noisy pixels.

    Noise has zero mean and a hidden pixel cannot see its own: so the mean difference at a
    predicted value is the bias of the way back. It is smoothed and shrunk by its own error, of
    pixels that occur so many times each.
    """
    some = noisy.isfinite()
    predicted, noisy = predicted[some], noisy[some]
    if len(noisy) < 2:
        return torch.zeros_like(knots)
    edges = torch.quantile(predicted, torch.linspace(0, 1, 17, device=predicted.device))
    which = torch.bucketize(predicted, edges[1:-1])
    found = torch.bincount(which, minlength=16)
    count, kept = found.clamp(min=1), found > 0
    difference = noisy - predicted
    mean = torch.bincount(which, difference, minlength=16) / count
    variance = torch.bincount(which, (difference - mean[which]) ** 2, minlength=16) / count
    error = copies * variance / count
    mean = mean * mean**2 / (mean**2 + 2 * error + 1e-12)
    centre = torch.bincount(which, predicted, minlength=16) / count
    at = centre[kept] + torch.arange(int(kept.sum()), device=centre.device) * 1e-6
    if len(at) < 2:
        return torch.zeros_like(knots)
    return interpolate(knots, at, mean[kept], flat=True)
