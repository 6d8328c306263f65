"""What is still to do with a trained model: its noise, the center pixel, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from unnoise.images.image import Image
from unnoise.models.model import Model, asks_nlridge
from unnoise.noise.image_noise import ImageNoise, image_noise, inspect_images
from unnoise.noise.inspect import NoiseReport
from unnoise.quality.agreement import passes_needed
from unnoise.quality.noise_passthrough import dependence, memorised
from unnoise.quality.training_record import record
from unnoise.training.center_pixel import with_posterior
from unnoise.training.declipping import with_declipping
from unnoise.training.held_out_regions import regions
from unnoise.training.joined_frames import with_joined_frames
from unnoise.training.levels import groups_of
from unnoise.training.mean_correction import keeps_mean, with_mean_correction
from unnoise.training.nl_ridge import with_ridge_beside
from unnoise.training.noise_tables import with_autocorrelation


def finish(
    model: Model,
    images: Sequence[Image],
    reports: Sequence[NoiseReport],
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> tuple[Model, list[str], Sequence[NoiseReport]]:
    """What is still to do with a trained model, and what to tell about it.

    Parameters
    ----------
    model : Model
        Trained.
    images : sequence of Image
        Its training images.
    reports : sequence of NoiseReport
        What was measured before; measured now where it is missing.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs.

    Returns
    -------
    model : Model
        With its noise and its record and, where held-out pixels show that it helps, with the center
        pixel used beside its blind prediction.
    told : list of str
        What people should know.
    reports : sequence of NoiseReport
        What was measured.
    """
    if model.others:
        return _finish_groups(model, images, device, targets)
    reports = reports or inspect_images(images)
    if model.noise is None:
        model = replace(model, noise=image_noise(images, model.channels, reports))
    noise = model.noise
    assert noise is not None
    if not noise.autocorrelation:
        model = with_autocorrelation(model, reports)
        noise = model.noise or noise
    told: list[str] = []
    memory = None
    if model.context is not None and _shared(noise, reports, model.context[0]):
        told.append(
            f"neighbouring frames along {model.context[0]} share noise, which the net sees beside "
            f"a pixel, so a part of it stays; leave out the context"
        )
    if model.config.entry.blind_spot:
        wanted = model.config.use_center_pixel or model.config.noise_model is not None
        usable = wanted and bool(noise.known)
        pieces = regions(model, images, device, noise.independent if usable else ())
        if usable:
            model = with_posterior(model, pieces, noise.known)
            assert model.posterior_test is not None
            told.append(model.posterior_test.why)
        elif wanted:
            told.append("each pixel's own value is not used: the noise could not be measured")
        memory = [memorised(parts, n) for parts, n in zip(pieces, noise.models, strict=True)]
    if model.config.is_shipped:
        model, line = with_joined_frames(model, images, device)
        told += [line] if line else []
    if asks_nlridge(model):
        model, line = with_ridge_beside(model, images, reports, device)
        told.append(line)
    if keeps_mean(model):
        model = with_mean_correction(model, images, device, targets)
    if model.config.declip:
        model, lines = with_declipping(model, reports)
        told += lines
    # Frame by frame: what passes disagree by is measured so, too.
    repeated = dependence(replace(model, joined=None), images, noise, device)
    if model.config.entry.is_stabilized:
        # a net that was trained on the image alone needs all symmetries
        passes = passes_needed(model, images, repeated, device)
        model = replace(model, passes=passes)
        if passes is not None:
            told.append(
                f"results are averaged over {passes.count} of 8 flips and rotations, which differ "
                f"by {passes.disagreement:.1%} of the expected squared error; --tta takes all"
            )
    if model.joined is not None:
        repeated = dependence(model, images, noise, device)
    kept = record(
        images,
        model.channels,
        repeated,
        memory,
        has_net=model.config.entry.has_net,
        seed=model.config.training.seed,
    )
    model = replace(model, record=kept)
    return model, told, reports


def _shared(noise: ImageNoise, reports: Sequence[NoiseReport], axis: str) -> bool:
    """Whether neighbours along an axis are known to have noise in common."""
    dependent = any(
        r.repeats is not None and r.repeats.verdict == "dependent" and r.repeats_axis == axis
        for r in reports
    )
    return dependent or any(axis in axes for axes in noise.correlated)


def _finish_groups(
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    targets: Sequence[Image] | None,
) -> tuple[Model, list[str], Sequence[NoiseReport]]:
    """`finish` for the model of every group of alike images."""
    models, told, reports = [], [], list[NoiseReport]()
    for i, (own, (parts, partners)) in enumerate(groups_of(model, images, targets), 1):
        done, lines, measured = finish(own, parts, (), device, partners)
        models.append(done)
        told += [f"group {i}: {line}" for line in lines]
        reports += measured
    return replace(models[0], others=tuple(models[1:])), told, reports
