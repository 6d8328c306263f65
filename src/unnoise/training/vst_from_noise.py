"""The variance-stabilising transform that the measured noise of the images asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from unnoise.images.image import Image
from unnoise.images.robust_sigma import noise_sigma
from unnoise.models.model import Model
from unnoise.nets.variance_stabilized import KNOTS
from unnoise.noise.density import NoiseModel
from unnoise.training.crops import Crops

BEYOND = 0.25
"""How far the knots go beyond what is seen, as a share of its range."""


def with_stabilizer(model: Model, images: Sequence[Image]) -> Model:
    """The model of a new run with the transform that fits the noise of its images.

    Parameters
    ----------
    model : Model
        Of a method that starts from the weights of the package; its noise was measured.
    images : sequence of Image
        Noisy images.
    """
    noise = model.noise.models if model.noise else (None,) * len(model.channels)
    return with_transform(model, noise, crops_of(images, model))


def with_transform(model: Model, noise: Sequence[NoiseModel | None], crops: Crops) -> Model:
    """The model with the transform that fits the measured noise of every channel.

    Parameters
    ----------
    model : Model
        Of the methods ``instant`` and ``adapted``.
    noise : sequence of noise models or None
        In image units, one per denoised channel; where None, noise of one strength is assumed.
    crops : Crops
        Patches of the images.
    """
    rng = np.random.default_rng([model.config.training.seed, 6])
    seen = crops.batch(64, rng).noisy
    knots, log_sigma = [], []
    for place_, (c, known) in enumerate(zip(model.channels, noise, strict=True)):
        mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
        low, high = (float(v) for v in np.quantile(seen[:, place_], [0.0005, 0.9995]))
        reach = max(high - low, 1e-3) * BEYOND
        at = np.linspace(low - reach, high + reach, KNOTS)
        if known is None:
            sigma = np.full(KNOTS, noise_sigma(seen[:, place_]) or 1e-3)
        else:
            sigma = np.sqrt(known.variance(mean + std * at)) / std
        knots.append(at)
        log_sigma.append(np.log(np.maximum(sigma, 1e-3)))
    weights = {
        **model.weights,
        "knots": torch.tensor(np.array(knots), dtype=torch.float32),
        "log_sigma": torch.tensor(np.array(log_sigma), dtype=torch.float32),
    }
    return replace(model, weights=weights)


def crops_of(images: Sequence[Image], model: Model) -> Crops:
    """Patches of all denoised channels."""
    return Crops(
        images,
        model.affine,
        patch=model.patch,
        channels=model.channels,
        seed=model.config.training.seed,
    )
