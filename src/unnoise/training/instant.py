"""The method ``instant``: the variance-stabilising transform of the shipped net, set to an image.

The first guess is the noise that was measured. It is then refined on the image itself by the error
of the prediction of hidden pixels, which needs no clean image (Herbreteau and Unser, Noise2VST,
ICCV 2025; J-invariance: Batson and Royer, ICML 2019).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.config.sections import Training
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.robust_sigma import noise_sigma
from unnoise.models.build import ready
from unnoise.models.model import Model
from unnoise.nets.gaussian_denoiser import lags
from unnoise.nets.variance_stabilized import KNOTS, VarianceStabilized, interpolate
from unnoise.training.crops import Patches, crops_of
from unnoise.training.losses import mean as mean_error
from unnoise.training.methods.b2u import donut_mean
from unnoise.training.optimizer import OPTIMIZERS
from unnoise.training.progress import Progress
from unnoise.training.run import Run

STEPS = 60
"""Steps of the calibration: about 3 s of one core."""
BATCH = 6
ADAM = Training(learning_rate=0.08, betas=(0.9, 0.95), weight_decay=0.0)
BENDS = 8
"""Parameters of the refinement per channel, spread over the signals of the image."""
START = 0.1
"""First value of the refinement: noise is measured too weak where it is clipped, seldom too
strong, and too much smoothing is nearer to the optimum than too little."""
MOST = 0.7
"""Largest logarithm of the refinement, a factor of 2: on W2S, where clipping hides noise, 1.9 was
the most. Small bright spots cannot be predicted from around, which looks like more noise: up to 8
times as much, and then their flux came out up to 13 % too large."""
CELL = 4
"""One pixel in every cell of this side is hidden."""
WIN = 0.002
"""The refinement must lower the risk by this share: a pixel that is hidden is not one that is seen,
and where the first guess was right (white noise of one level) that feigned a gain of 0.1 % and cost
0.15 dB; where it was wrong (clipped dark pixels, W2S fields 001, 005, 013) 0.25 to 1.2 % were up to
2 dB."""
N_JUDGES = 24
"""Patches on which the first guess and the refinement are compared."""
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
    """
    rng = np.random.default_rng([model.config.training.seed, 6])
    patches = crops_of(images, model).batch(64, rng)
    seen = patches.noisy
    used = np.ones(seen.shape, np.bool_) if patches.excluded is None else ~patches.excluded
    noise = model.noise.models if model.noise else (None,) * len(model.channels)
    knots, log_sigma = [], []
    for place, (c, known) in enumerate(zip(model.channels, noise, strict=True)):
        mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
        values = seen[:, place][used[:, place]]
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
        From `unnoise.training.plan.plan`, for the method ``instant`` or ``adapted``.
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
        self._crops = crops_of(images, model)
        seed = model.config.training.seed
        self._rng = np.random.default_rng([seed, 7])
        net = ready(model, device)
        assert isinstance(net, VarianceStabilized)
        self._net = net.requires_grad_(False)
        self._first = net.log_sigma.clone()
        # The neighbours of a hidden pixel tell its noise then, so it cannot be a judge.
        self._correlated = bool(net.rho.any())
        patches = self._crops.batch(N_JUDGES, np.random.default_rng([seed, 8]))
        self._judges = torch.from_numpy(patches.noisy).to(device)
        self._used = self._of(patches)
        self._bends = torch.full((net.channels, BENDS), START, device=device, requires_grad=True)
        self._at = self._places(self._judges)
        self._optimizer = OPTIMIZERS["adam"]([self._bends], ADAM)
        self._sum = torch.zeros_like(self._bends, requires_grad=False)
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
            if self._correlated:
                self.step = STEPS - 1
            else:
                self._advance()
            self.step += 1
            if self.step == STEPS:
                self._finish()
            self.seconds += time.perf_counter() - started
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
        rows = zip(self._net.knots, self._at, bends.clamp(-MOST, MOST), strict=True)
        return self._first + torch.stack([interpolate(k, a, b, flat=True) for k, a, b in rows])

    def _advance(self) -> None:
        """One step of Adam on fresh patches."""
        patches = self._crops.batch(BATCH, self._rng)
        x = torch.from_numpy(patches.noisy).to(self.device)
        phase = [int(v) for v in self._rng.integers(CELL, size=2)]
        self._net.log_sigma = self._refined(self._bends)
        loss = self._risk(x, phase, self._of(patches))[0]
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        done = self.step / STEPS
        self._optimizer.param_groups[0]["lr"] = ADAM.learning_rate * (1 - done) ** 0.5
        self._optimizer.step()
        if self.step + 1 > STEPS * 0.6:  # the mean of the last steps is steadier than the last one
            self._sum += self._bends.detach()

    def _of(self, patches: Patches) -> Tensor | None:
        """Which pixels of patches are measurements; None for all."""
        if patches.excluded is None:
            return None
        return torch.from_numpy(~patches.excluded).to(self.device)

    def _risk(
        self, x: Tensor, phase: Sequence[int], used: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean squared error at hidden pixels, the predictions there and the noisy values.

        Where pixels are no measurement their noisy values are NaN.
        """
        mask = torch.zeros(x.shape[2:], dtype=torch.bool, device=x.device)
        mask[phase[0] :: CELL, phase[1] :: CELL] = True
        predicted = self._net(torch.where(mask, donut_mean(x), x))[..., mask]
        noisy = x[..., mask]
        if used is None:
            return ((noisy - predicted) ** 2).mean(), predicted, noisy
        some = used[..., mask]
        error = mean_error((noisy - predicted) ** 2, some.to(noisy))
        return error, predicted, noisy.masked_fill(~some, torch.nan)

    def _finish(self) -> None:
        """Take the refinement if it predicts hidden pixels better than the first guess."""
        refined = self._sum / (STEPS - int(STEPS * 0.6))
        options = [self._refined(torch.zeros_like(refined)), self._refined(refined)]
        options = options[:1] if self._correlated else options
        # patches of a small image show the same pixels, which tell as much as one of them
        copies = 1 + (N_JUDGES - 1) * self._crops.overlap()
        risks, shifts = [], []
        with torch.inference_mode():
            for option in options:
                self._net.log_sigma = option
                found = [self._risk(self._judges, phase, self._used) for phase in ((0, 1), (2, 3))]
                predicted, noisy = (torch.cat([f[i] for f in found], -1) for i in (1, 2))
                shift = self._shifts(predicted, noisy, copies)
                shift = torch.zeros_like(shift) if self._correlated else shift
                # The shift undoes a bias, so that must not decide: with few photons a refinement
                # won by its bias that let single bright pixels pass.
                risks.append(self._shifted_risk(predicted, noisy, shift))
                shifts.append(shift)
        best = int(risks[-1] < risks[0] * (1 - WIN))
        self._net.log_sigma = options[best].clone()
        self._net.shift = shifts[best]
        self.history = [
            {"step": 0, "seconds": 0.0, "held_out": risks[0]},
            {"step": STEPS, "seconds": round(self.seconds, 3), "held_out": risks[best]},
        ]
        self._best = {k: v.cpu().clone() for k, v in self._net.state_dict().items()}

    def _shifts(self, predicted: Tensor, noisy: Tensor, copies: float) -> Tensor:
        """What to add to the results of every channel, shape (channels, KNOTS)."""
        rows = zip(self._net.knots, predicted.unbind(1), noisy.unbind(1), strict=True)
        return torch.stack([_shift(k, p.flatten(), y.flatten(), copies) for k, p, y in rows])

    def _shifted_risk(self, predicted: Tensor, noisy: Tensor, shift: Tensor) -> float:
        """Mean squared error at hidden pixels once the bias is taken off."""
        rows = zip(predicted.unbind(1), self._net.knots, shift, strict=True)
        bias = torch.stack([interpolate(p, k, row, flat=True) for p, k, row in rows], 1)
        return float(((noisy - predicted - bias) ** 2).nanmean())

    def model(self) -> Model:
        """The calibrated model; before the end, that of the first guess."""
        if self._best is None:
            return self._model
        held_out = self.history[-1]["held_out"]
        return self._model.with_weights(self._best, steps=self.step, held_out=held_out)

    def state(self) -> dict[str, Any]:
        """Nothing but the step: a calibration takes seconds and starts anew."""
        return {"step": 0}

    def restore(self, state: dict[str, Any]) -> None:
        """Start anew.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
        if state != {"step": 0}:
            raise InputError("the saved state does not fit its model; start anew")


def _shift(knots: Tensor, predicted: Tensor, noisy: Tensor, copies: float = 1.0) -> Tensor:
    """What to add to results so that, at every signal, they have the mean of the noisy pixels.

    Noise has zero mean and a hidden pixel cannot see its own: so the mean difference at a
    predicted value is the bias of the way back. It is smoothed and shrunk by its own error, of
    pixels that occur so many times each.
    """
    some = noisy.isfinite()
    if not some.all():
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
