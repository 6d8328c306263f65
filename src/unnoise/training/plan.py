"""From images and settings to an untrained model: dimensions, patch, statistics, budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unnoise.config import struct_mask as structure
from unnoise.config.config import Config
from unnoise.config.methods import ADAPTED_STEPS, DEFAULT_STEPS, MIN_SLICES
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.normalization import channel_statistics
from unnoise.models.build import new_weights
from unnoise.models.model import Model
from unnoise.models.provenance import Provenance
from unnoise.noise.image_noise import image_noise, inspect_images
from unnoise.noise.inspect import NoiseReport
from unnoise.training.instant import with_stabilizer
from unnoise.training.noise_tables import with_autocorrelation, with_split_noise

MIN_SIDE = 16
"""Smallest image in Y and X."""

CALIBRATION_SIDE = {2: 256, 3: 96}
"""Side of the patches on which classic filters are calibrated."""


def plan(
    images: Sequence[Image],
    config: Config | None = None,
    targets: Sequence[Image] | None = None,
    reports: Sequence[NoiseReport] = (),
) -> Model:
    """Resolve everything a run needs to know, and return the model it starts from.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    config : Config, optional
        Settings.
    targets : sequence of Image, optional
        The second images of pairs (n2n, care), one per image.
    reports : sequence of NoiseReport
        What was measured of the images; measured now where it is needed and missing.

    Raises
    ------
    InputError
        If there are no images, they differ in channels, one is too small or constant, or pairs
        are missing, superfluous or do not fit, or noise that the method needs cannot be measured.
    """
    config = config or Config()
    if not images:
        raise InputError("there are no images to train on; give at least one")
    _check_alike(images)
    _check_pairs(images, targets, config)
    _check_context(images, config)
    ndim = choose_ndim(images, config)
    config = config.replace(ndim=ndim)
    if config.is_trained:
        config = config.replace(training=_lengths(config, ndim))
    patch = choose_patch(images, ndim, config)
    _check_batch_norm(config, patch)
    # Noisy pairs share their statistics; clean images have their own, which the result takes.
    supervised = config.entry.pairs == "clean"
    affine = channel_statistics([*images, *([] if supervised else targets or [])])
    target_affine = channel_statistics(targets) if supervised and targets else None
    varying = affine.std if target_affine is None else affine.std * target_affine.std
    channels = tuple(int(c) for c in np.flatnonzero(varying) if c != images[0].alpha)
    if not channels:
        raise InputError("every colour channel is constant, so there is nothing to denoise")
    noise = None
    if reports or needs_noise(config):
        reports = reports or inspect_images(images)
        shaped = config.recorruption is not None or config.entry.draws_noise
        noise = image_noise(images, channels, reports, config.noise_model, shaped=shaped)
    model = Model(
        config,
        affine,
        channels,
        patch,
        new_weights(config, ndim, channels),
        target_affine,
        noise,
        provenance=Provenance.of(images, targets),
    )
    if config.entry.is_stabilized:
        return with_stabilizer(with_autocorrelation(model, reports or ()), images)
    if model.context is not None:  # what frames do not share is told from noise
        model = with_autocorrelation(model, reports)
    return with_split_noise(model, images[0].name, reports)


def needs_noise(config: Config) -> bool:
    """Whether a run starts from the noise of its images."""
    entry = config.entry
    measured = config.recorruption is not None or entry.is_stabilized or entry.draws_noise
    compares = config.net is not None and config.neighbours is not None
    return measured or compares or config.noise_model is not None


def _check_pairs(images: Sequence[Image], targets: Sequence[Image] | None, config: Config) -> None:
    """Methods that learn from pairs need them, others must not get any."""
    axis = config.pairs.axis if config.pairs else None
    if targets is not None and not config.needs_pairs:
        raise InputError(
            f"the method {config.method} learns from noisy images alone; leave out the targets, "
            f"or choose the method n2n (noisy targets) or care (clean ones)"
        )
    if axis is not None:
        if targets is not None:
            raise InputError(
                "pairs come from a second set of images or from an axis; give one of the two"
            )
        if axis == "Z" and config.ndim == 3:
            raise InputError("pairs along Z need a 2D net; add --2d")
        for image in images:
            if image.sizes[axis] < 2:
                raise InputError(
                    f"{image.name} has a single position along {axis} (axes {image.axes}), so it "
                    f"holds no pairs; choose another axis, or give the right axes with --axes"
                )
    elif config.needs_pairs and targets is None:
        what = "clean images (--targets FOLDER)"
        if config.entry.pairs == "noisy":
            what = "second noisy images (--targets FOLDER, or --pairs T for repeats along T)"
        raise InputError(f"the method {config.method} needs {what}")
    if targets is not None and len(images) != len(targets):
        raise InputError(
            f"there are {len(images)} images but {len(targets)} targets; give one for each"
        )
    for image, target in zip(images, targets or images, strict=True):
        if image.sizes != target.sizes:
            raise InputError(
                f"{image.name} (axes {image.axes}, shape {image.shape}) and its target "
                f"{target.name} (axes {target.axes}, shape {target.shape}) differ in size; pairs "
                f"must show the same pixels"
            )


def _check_context(images: Sequence[Image], config: Config) -> None:
    """Neighbouring frames can be looked at only where there are several."""
    for image in images:
        if config.neighbours is not None and image.sizes[config.neighbours[0]] < 2:
            axis = config.neighbours[0]
            raise InputError(
                f"{image.name} has a single position along {axis} (axes {image.axes}), so there "
                f"are no neighbouring frames to look at; leave out --context, or give the right "
                f"axes with --axes"
            )


def _lengths(config: Config, ndim: int) -> dict[str, int | None]:
    """Patch, batch and steps, where the settings leave them open."""
    t = config.training
    full_size = config.net is not None and config.net.unshuffle == 1
    steps = max(DEFAULT_STEPS[ndim] // (4 if full_size else 1), 1)  # its steps take 4 to 5 times
    if config.is_shipped:
        steps = ADAPTED_STEPS
    return {
        "patch": t.patch or {2: 64, 3: 32}[ndim],
        "steps": t.steps or (None if t.minutes else steps),
    }


def _check_alike(images: Sequence[Image]) -> None:
    first = images[0]
    for image in images:
        n = image.sizes
        if n["C"] != first.sizes["C"]:
            raise InputError(
                f"{image.name} has {n['C']} channels but {first.name} has {first.sizes['C']}; "
                f"train on images with the same channels"
            )
        if min(n["Y"], n["X"]) < MIN_SIDE:
            raise InputError(
                f"{image.name} is {n['Y']}x{n['X']} pixels in Y and X (axes {image.axes}, shape "
                f"{image.shape}), smaller than the {MIN_SIDE} pixels a net needs to learn from; "
                f"check its axes (--axes) or give a larger image"
            )


def choose_ndim(images: Sequence[Image], config: Config) -> int:
    """3 if every image has at least `MIN_SLICES` slices, otherwise 2: slice by slice.

    Always 2 where slices are the pairs of Noise2Noise or the context, and for methods that work on
    planes.
    """
    if config.ndim is not None:
        return config.ndim
    axes = [config.pairs.axis if config.pairs else None, (config.neighbours or [None])[0]]
    flat = config.entry.planes_only or "Z" in axes
    return 3 if not flat and min(image.sizes["Z"] for image in images) >= MIN_SLICES else 2


def choose_patch(images: Sequence[Image], ndim: int, config: Config) -> tuple[int, ...]:
    """The patch of the settings, shrunk to the smallest image.

    Raises
    ------
    InputError
        For a 3D net on images with fewer than 4 slices.
    """
    smallest = {k: min(image.sizes[k] for image in images) for k in "ZYX"}
    if config.is_classical:
        sides = (
            min(CALIBRATION_SIDE[ndim], smallest["Y"]),
            min(CALIBRATION_SIDE[ndim], smallest["X"]),
        )
        return sides if ndim == 2 else (min(16, smallest["Z"]), *sides)
    wanted = config.training.patch or 64  # instant has no training to set it
    side = _shrink(wanted, min(smallest["Y"], smallest["X"]), MIN_SIDE)
    if ndim == 2:
        return (side, side)
    if smallest["Z"] < 4:
        thin = min(images, key=lambda image: image.sizes["Z"])
        raise InputError(
            f"{thin.name} has {smallest['Z']} Z slices (axes {thin.axes}), too few for a 3D net, "
            f"which needs 4; leave out --3d, or give the right axes with --axes"
        )
    return (_shrink(config.training.patch_z, smallest["Z"], 4), side, side)


def _check_batch_norm(config: Config, patch: tuple[int, ...]) -> None:
    """Batch normalisation needs two values per filter on the deepest level of the net."""
    net = config.net
    if net is None or not net.batch_norm:
        return
    deep = net.depth if net.z_poolings is None else net.z_poolings
    cell = (2**deep, *[net.unshuffle * 2**net.depth] * 2)[-len(patch) :]
    values = math.prod(math.ceil(p / c) for p, c in zip(patch, cell, strict=True))
    if values * config.training.batch_size * (config.b2u.phases if config.b2u else 1) < 2:
        raise InputError(
            "with net.batch_norm a single patch this small leaves the deepest level of the net "
            "one value; choose training.batch_size=2 or more, or a smaller net.depth"
        )


def _shrink(wanted: int, available: int, grain: int) -> int:
    """The wanted length, or as much of the available one as is a multiple of `grain`."""
    return wanted if available >= wanted else available // grain * grain


def describe(model: Model, images: Sequence[Image]) -> str:
    """One line for people: what was chosen and why."""
    n = images[0].sizes
    config = model.config
    if model.ndim == 3:
        kind = f"3D net ({n['Z']} Z slices)"
    elif n["Z"] > 1:
        offer = "" if config.pairs and config.pairs.axis == "Z" else "; --3d for a 3D net"
        kind = f"2D net slice by slice ({n['Z']} Z slices{offer})"
    else:
        kind = "2D net"
    if model.context is not None:
        axis, reach = model.context
        kind += (
            f" that sees {reach} more {'frame' if reach == 1 else 'frames'} either way along {axis}"
        )
    ways = {"independent": "one by one", "separate": "each with its own net", "joint": "together"}
    way = ways[config.net.channels if config.net else "independent"]
    channels = f", {len(model.channels)} channels {way}" if len(model.channels) > 1 else ""
    copied = model.n_channels - len(model.channels)
    channels += f", {copied} constant or transparency channel copied" if copied else ""
    if not config.is_trained:
        kind = "slice by slice" if n["Z"] > 1 and model.ndim == 2 else f"{model.ndim}D"
        return f"{config.method}, axes {images[0].axes}, {kind}{channels}, calibrated on itself"
    budget = config.training
    length = f"{budget.minutes:g} min" if budget.minutes else f"{budget.steps} steps"
    patch = "x".join(str(p) for p in model.patch)
    how, footprint = config.method, config.footprint(model.ndim)
    if footprint is not None:
        how += f" (hides {structure.describe(footprint)} pixels)"
    if config.pairs is not None and config.pairs.axis is not None:
        how += f" (pairs along {config.pairs.axis})"
    return f"{how}, axes {images[0].axes}, {kind}{channels}, patches {patch}, {length}"
