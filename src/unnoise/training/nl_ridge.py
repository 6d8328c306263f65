"""NL-Ridge as a candidate: beside instant in ``adapted``, and beside a net that ``r2r`` trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from unnoise.config.config import Config
from unnoise.images.axes import middle
from unnoise.images.image import Image
from unnoise.models.build import NET, new_weights
from unnoise.models.model import Model, Passes
from unnoise.noise.image_noise import image_noise
from unnoise.noise.inspect import NoiseReport
from unnoise.quality import risk
from unnoise.quality.risk import CELL, Piece
from unnoise.training.instant import VstCalibration, with_stabilizer
from unnoise.training.weighed import DOUBT, LEAST_SHARE, STRENGTH, line_of, mean_of

RIDGE = "nlridge"
"""The name of the candidate."""
TRUSTED = 0.5
"""This much of its weight is taken: on W2S (development) the risk said 0.2 where 0.03 was best.
Half of the best weight still has three quarters of the gain."""
LEAST_BESIDE = 0.5
"""Its least weight beside a net that learned to split the measured noise. What the measurement
misses such a net lets pass, and a risk that is drawn from the same measurement does not see it: it
praised the net on all of ten development pictures, where NL-Ridge was better on eight and the half
gained 0.9 dB in the mean (-0.3 to +3.5; docs/benchmarks.md)."""
SIDE = 256
"""Side of the middle of a piece that is enough to judge it, as half of its weight is taken."""


def with_ridge(instant: Model) -> Model:
    """NL-Ridge behind the transform of instant. One pass is enough: eight gain 0.01 dB."""
    # Copies: a file of weights cannot hold one tensor under two names.
    weights = {k: w.clone() for k, w in instant.weights.items() if not k.startswith(NET)}
    config = _config(instant.config)
    return replace(instant, config=config, weights=weights, passes=Passes(1, 0.0))


def _config(other: Config) -> Config:
    """Settings of NL-Ridge beside another method."""
    kept = {"ndim": 2, "noise_model": other.noise_model, "training": {"seed": other.training.seed}}
    return Config.parse({"method": RIDGE, **kept})


def middles(pieces: Sequence[Piece]) -> list[Piece]:
    """The middles of pieces; NL-Ridge sees no neighbouring frames."""
    found = []
    for piece in pieces:
        rows, columns = (middle(n, SIDE, CELL) for n in piece.noisy.shape[1:])
        found.append(
            replace(
                piece,
                noisy=piece.noisy[:, rows, columns],
                held_out=piece.held_out[:, rows, columns],
                redrawn=piece.redrawn[:, rows, columns],
                noise=piece.noise[:, rows, columns],
                frames=None,
            )
        )
    return found


def uncalibrated(
    model: Model, images: Sequence[Image], reports: Sequence[NoiseReport] = ()
) -> Model:
    """NL-Ridge for the images of a net that was trained by splitting noise, and for their noise.

    The curve of that noise: its tails and ends, which are split, make no transform.
    """
    noise, config = model.noise, _config(model.config)
    assert noise is not None
    if reports and config.noise_model is None:
        curves = image_noise(images, model.channels, reports)
        noise = replace(curves, autocorrelation=noise.autocorrelation)
    weights = new_weights(config, 2, model.channels)
    own = replace(model, config=config, weights=weights, noise=noise, passes=Passes(1, 0.0))
    return with_stabilizer(own, images)


def with_ridge_beside(
    model: Model, images: Sequence[Image], reports: Sequence[NoiseReport], device: torch.device
) -> tuple[Model, str]:
    """The mean of a net and of NL-Ridge, and a line that tells it.

    They err in different ways, so each has a half; NL-Ridge has more where the estimated risks say
    so beyond doubt.

    Parameters
    ----------
    model : Model
        Trained by splitting noise (r2r), with `unnoise.models.model.asks_nlridge`.
    images : sequence of Image
        Its training images.
    reports : sequence of NoiseReport
        What was measured of them.
    device : torch.device
        Where to compute.
    """
    run = VstCalibration(images, uncalibrated(model, images, reports), device)
    for _ in run:
        pass
    ridge = run.model()
    t = model.config.training
    pieces = middles(risk.judging_pieces(images, model, device, t.seed, held_out=t.held_out))
    one, two = (risk.estimate_risk(m, pieces, device) for m in (model, ridge))
    names = (model.config.method, RIDGE)
    risks = dict(zip(names, (one.risk, two.risk), strict=True))
    share = min(max(one.best_share(two, DOUBT, STRENGTH), LEAST_BESIDE), 1 - LEAST_SHARE)
    found = mean_of(names, (model, ridge), (one, two), share, risks)
    if share > LEAST_BESIDE:
        return found, line_of(found)
    return found, f"chosen: {' + '.join(names)}, half of each, as the two err in different ways"
