"""Where frames beside one show something else: there the frame itself stands in for them.

A net that sees neighbouring frames takes what they agree on. A flash of one frame is not there in
the others, and it is a ghost of it that they bring to the frames beside. The strength of the noise
is known, so whether the scene changed is a test (`unnoise.nets.joined_frames`): from where a change
is seen the net is shown the frame itself instead. Where the frame surely has an event of its own,
what the net took of it for noise comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.models.model import Model
from unnoise.nets.event_height import RESIDUAL, with_events
from unnoise.nets.gaussian_denoiser import lags
from unnoise.nets.joined_frames import ChangeTest, Frames, agreement
from unnoise.nets.variance_stabilized import interpolate

TEST = ChangeTest(seen=(3.7, 4.8), scales=3, more=(1.0, 0.5, 0.0))
"""Chosen on development scenes of benchmarks/context.py. At five scales with (3.2, 4.7) and nothing
more at fine ones, chance cost 0.2 dB of a still movie, and a scene that drifts 0.6 dB; with (4.2,
5.2) flashes of a peak SNR of 3 left 1.5 % in the frame after. Left out, as it helped a movie that
flickers by 0.1 dB and let ghosts of bright events through: trusting frames where most pixels around
have changed. Training with such places, and with synthetic flashes, gained nothing."""
REACH = TEST.reach + RESIDUAL
"""How far in pixels that looks."""
SIGNALS = np.sinh(np.linspace(-6.0, 8.0, 1401))
"""Signals of the tables, in normalised units: from -200 to 1,490 standard deviations."""
LEAST = 1e-3
"""Smallest standard deviation of noise, in normalised units."""


@dataclass(frozen=True, eq=False)
class FrameChanges:
    """What the test knows of the noise of a model, by denoised channel.

    Attributes
    ----------
    transforms : Tensor, shape (c, len(SIGNALS))
        At `SIGNALS` the function that gives noise the strength 1.
    skewness : tuple of float
        Of the noise after it.
    rho : tuple of Tensor, or None where noise is white
        Correlation of the noise at `unnoise.nets.gaussian_denoiser.lags`.
    """

    transforms: Tensor
    skewness: tuple[float, ...]
    rho: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, model: Model, device: torch.device) -> FrameChanges | None:
        """That of a model which sees frames and whose noise is known; None for others."""
        if model.context is None or model.noise is None or not model.noise.known:
            return None
        transforms, skewness = [], []
        for c, noise in zip(model.channels, model.noise.known, strict=True):
            mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
            sigma = np.maximum(np.sqrt(noise.variance(mean + std * SIGNALS)) / std, LEAST)
            steps = np.diff(SIGNALS) * (1 / sigma[1:] + 1 / sigma[:-1]) / 2
            f = np.append(0.0, np.cumsum(steps))
            transforms.append(f - np.interp(0.0, SIGNALS, f))
            # The third cumulant of photons is v dv/dx, and a curved f changes it: to second order
            # v'/v**0.5 + 3 f''/f' v**0.5 is left, and f' = v**-0.5.
            skewness.append(-float(np.interp(0.0, SIGNALS, np.gradient(sigma, SIGNALS))))
        table = torch.from_numpy(np.array(transforms)).float().to(device)
        shapes = model.noise.autocorrelation or (None,) * len(transforms)
        return cls(table, tuple(skewness), tuple(_at_lags(rho, device) for rho in shapes))

    def seen(
        self,
        model: Model,
        own: NDArray,
        beside: Sequence[NDArray],
        inside: Sequence[NDArray[np.bool_]],
    ) -> tuple[Tensor, Tensor]:
        """What the net takes: a frame and those beside it, or itself in their place.

        Parameters
        ----------
        model : Model
            Whose net it is.
        own, beside : ndarray, shape (c, *space), and a sequence of such
            All channels of a tile, image units; half of the frames are before. One that stands
            twice, beyond an end, is the same array.
        inside : sequence of ndarray of bool
            By dimension, which positions of the tile are not mirrored.

        Returns
        -------
        Tensor, Tensor
            The input of the net, as `unnoise.models.units.to_net` gives it; and how surely the
            frame has an event of its own, shape (c, *space).
        """
        affine, device = model.affine.select(list(model.channels)), self.transforms.device
        half, channels = len(beside) // 2, list(model.channels)
        order = {id(frame): frame for frame in (*beside[:half], own, *beside[half:])}
        place = [list(order).index(id(frame)) for frame in (own, *beside)]
        apply = affine.apply
        stack = torch.stack([torch.from_numpy(apply(f[channels])) for f in order.values()])
        stack = stack.to(device)
        weights, event = torch.ones_like(stack), torch.zeros_like(stack[0])
        signals = torch.from_numpy(SIGNALS).to(stack)
        for c, f in enumerate(self.transforms):
            values = interpolate(stack[:, c], signals, f)
            # Planes of a volume are compared one by one.
            sides = values.shape[-2:]
            planes = values.view(len(stack), -1, *sides)
            kept = weights[:, c].view(len(stack), -1, *sides)
            events = event[c].view(-1, *sides)
            for z in range(planes.shape[1]):
                few = Frames(planes[:, z], place[0], [1.0] * len(stack), None, self.skewness[c])
                found = agreement(few, TEST, inside=inside[-2:], rho=self.rho[c])
                kept[:, z], events[z] = found
        shown = torch.lerp(stack[place[0]], stack, weights)  # the frame is itself
        batch = 1 if model.is_one_by_one else 0
        return torch.cat([shown[k].unsqueeze(batch) for k in place], 1), event


def returned(clean: NDArray[np.float64], noisy: NDArray, event: Tensor) -> NDArray[np.float64]:
    """A result (c, *space) whose events have what the net took of them for noise."""
    pixels = (torch.from_numpy(np.asarray(v, np.float64)) for v in (clean, noisy))
    sides = (len(clean), -1, *clean.shape[-2:])
    planes = [v.reshape(sides) for v in (*pixels, event.cpu().double())]
    return np.asarray(with_events(*planes).reshape(clean.shape).numpy())


def _at_lags(rho: NDArray | None, device: torch.device) -> Tensor | None:
    """A correlation in YX at the lags that are looked at; None of white noise."""
    if rho is None:
        return None
    plane = rho if rho.ndim == 2 else rho[len(rho) // 2]
    y, x = (side // 2 for side in plane.shape)
    told = [float(plane[y + i, x + j]) if abs(i) <= y and abs(j) <= x else 0.0 for i, j in lags()]
    return torch.tensor(told, device=device)
