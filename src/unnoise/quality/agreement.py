"""How many flips and rotations a result is averaged over: as many as still help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unnoise.images.image import Image
from unnoise.models.build import ready
from unnoise.models.model import Model, Passes
from unnoise.models.units import to_net
from unnoise.quality.region import predictions, read_beside, read_piece, somewhere

TILES, SIDE = 4, 128
"""Pieces on which passes are compared, and their side."""
LOSS = 0.02
"""What may be lost against all symmetries, in dB."""
COUNTS = (1, 2, 3, 4)
"""Numbers of passes that are tried, before all of them."""


def passes_needed(
    model: Model, images: Sequence[Image], repeated: Sequence[float], device: torch.device
) -> Passes | None:
    """The least number of passes whose mean is as good as that of all, up to `LOSS`.

    Passes disagree by their variance v. The mean of n of them has the squared error of the mean of
    all N and ``v (1 / n - 1 / N)`` more. What that error is, is told by the noise: an estimate of
    the least error has a squared error of the noise variance times its slope (Tweedie's formula:
    Robbins 1956; Efron, Journal of the American Statistical Association 2011).

    Parameters
    ----------
    model : Model
        Trained, with its noise.
    images : sequence of Image
        Its training images.
    repeated : sequence of float
        By channel, the share of its noise that a result repeats
        (`unnoise.quality.noise_passthrough.dependence`).
    device : torch.device
        Where to compute.

    Returns
    -------
    Passes or None
        None where all are taken: little is known, or they disagree too much.
    """
    directed = any(len(m.symmetries) < 8 for m, _ in model.members)
    if directed or model.noise is None or not model.noise.known:
        return None
    rng = np.random.default_rng([model.config.training.seed, 12])
    # A second net whose passes are known (NL-Ridge: one) has no say in those of the first.
    known = model.second is not None and model.second.model.passes is not None
    nets = [(m, share, ready(m, device)) for m, share in model.members[: 1 if known else None]]
    whole = sum(share for _, share, _ in nets)
    disagreement, strength = np.zeros(len(model.channels)), np.zeros(len(model.channels))
    for _ in range(TILES):
        which, at, part = somewhere(images, model.ndim, rng)
        tile = {}
        for letter, region in part.items():
            spare = max(region.stop - region.start - SIDE, 0)
            first = region.start + int(rng.integers(spare + 1))
            tile[letter] = slice(first, min(first + SIDE, region.stop))
        noisy = read_piece(images[which], at, tile, model)
        straight, turned = np.zeros(noisy.shape), np.zeros(noisy.shape)
        for m, share, net in nets:
            x = to_net(m, noisy, device, read_beside(images[which], at, tile, m))
            with torch.inference_mode():
                straight += share * predictions(net, x, m)
                quarter = net(torch.rot90(x, 1, (-2, -1)))
                turned += share * predictions(lambda y: torch.rot90(y, -1, (-2, -1)), quarter, m)
        disagreement += ((straight - turned) ** 2).mean((1, 2)) / 2
        strength += [
            float(noise.variance(values / whole).mean())
            for noise, values in zip(model.noise.known, straight, strict=True)
        ]
    error = np.maximum(repeated, 0) * strength
    if not (error > 0).all():
        return None
    ratio = float((disagreement / error).max())
    most = 10 ** (LOSS / 10) - 1
    counts = (n for n in COUNTS if ratio * (1 / n - 1 / 8) <= most)
    count = next(counts, None)
    return None if count is None else Passes(count, ratio)
