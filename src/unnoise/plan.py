"""From images and settings to an untrained model: dimensions, patch, statistics, budget."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch

from unnoise.config import Config
from unnoise.errors import InputError
from unnoise.image import Image
from unnoise.model import Model, new_weights
from unnoise.normalize import fit

MIN_SIDE = 16
"""Smallest image in Y and X."""
MIN_SLICES = 16
"""From this many Z slices on, a 3D net is chosen by itself."""
DEFAULT_STEPS = {2: 2200, 3: 500}
"""Steps that take about two minutes on two cores with the default net."""


def plan(images: Sequence[Image], config: Config | None = None) -> Model:
    """Resolve everything a run needs to know, and return the model it starts from.

    Raises
    ------
    InputError
        If there are no images, they differ in channels, or one is too small or constant.
    """
    config = config or Config()
    if not images:
        raise InputError("there are no images to train on; give at least one")
    _check_alike(images)
    ndim = config.ndim or choose_ndim(images)
    config = config.replace(ndim=ndim, training=_lengths(config, ndim))
    patch = choose_patch(images, ndim, config)
    affine = fit(images)
    alpha = images[0].alpha
    channels = tuple(int(c) for c in np.flatnonzero(affine.std) if c != alpha)
    if not channels:
        raise InputError("every colour channel is constant, so there is nothing to denoise")
    weights = new_weights(config, ndim, channels)
    return Model(config, affine, channels, patch, weights, _origin(images))


def _lengths(config: Config, ndim: int) -> dict[str, int | None]:
    """Patch, batch and steps, where the settings leave them open."""
    t = config.training
    return {
        "patch": t.patch or {2: 64, 3: 32}[ndim],
        "steps": t.steps or (None if t.minutes else DEFAULT_STEPS[ndim]),
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


def choose_ndim(images: Sequence[Image]) -> int:
    """3 if every image has at least `MIN_SLICES` slices, otherwise 2: slice by slice."""
    return 3 if min(image.sizes["Z"] for image in images) >= MIN_SLICES else 2


def choose_patch(images: Sequence[Image], ndim: int, config: Config) -> tuple[int, ...]:
    """The patch of the settings, shrunk to the smallest image.

    Raises
    ------
    InputError
        For a 3D net on images with fewer than 4 slices.
    """
    smallest = {k: min(image.sizes[k] for image in images) for k in "ZYX"}
    assert config.training.patch is not None
    side = _shrink(config.training.patch, min(smallest["Y"], smallest["X"]), MIN_SIDE)
    if ndim == 2:
        return (side, side)
    if smallest["Z"] < 4:
        thin = min(images, key=lambda image: image.sizes["Z"])
        raise InputError(
            f"{thin.name} has {smallest['Z']} Z slices (axes {thin.axes}), too few for a 3D net, "
            f"which needs 4; leave out --3d, or give the right axes with --axes"
        )
    return (_shrink(config.training.patch_z, smallest["Z"], 4), side, side)


def _shrink(wanted: int, available: int, grain: int) -> int:
    """The wanted length, or as much of the available one as is a multiple of `grain`."""
    return wanted if available >= wanted else available // grain * grain


def describe(model: Model, images: Sequence[Image]) -> str:
    """One line for people: what was chosen and why."""
    n = images[0].sizes
    budget = model.config.training
    length = f"{budget.minutes:g} min" if budget.minutes else f"{budget.steps} steps"
    if model.ndim == 3:
        kind = f"3D net ({n['Z']} Z slices)"
    elif n["Z"] > 1:
        kind = f"2D net slice by slice ({n['Z']} Z slices; --3d for a 3D net)"
    else:
        kind = "2D net"
    channels = f", {len(model.channels)} channels one by one" if len(model.channels) > 1 else ""
    if model.is_joint and channels:
        channels = f", {len(model.channels)} channels together"
    copied = model.n_channels - len(model.channels)
    channels += f", {copied} constant or transparency channel copied" if copied else ""
    patch = "x".join(str(p) for p in model.patch)
    return f"axes {images[0].axes}, {kind}{channels}, patches {patch}, {length}"


def fingerprint(images: Sequence[Image]) -> str:
    """A short hash of axes, shapes, types and a sample of the pixels of training images."""
    digest = hashlib.sha256()
    for image in images:
        n = image.sizes
        digest.update(f"{image.axes} {image.shape} {image.dtype.str};".encode())
        middle: dict[str, int | slice] = {k: n[k] // 2 for k in "STZY"}
        digest.update(np.ascontiguousarray(image.read(middle)).tobytes())
    return digest.hexdigest()[:16]


def _origin(images: Sequence[Image]) -> dict[str, object]:
    first = images[0]
    return {
        "axes": first.axes,
        "dtype": str(first.dtype),
        "scale": {k: float(v) for k, v in first.scale.items()},
        "units": dict(first.units),
        "data": [
            {
                "path": str(i.path.absolute()) if i.path else None,
                "axes": i.axes,
                "shape": list(i.shape),
            }
            for i in images
        ],
        "fingerprint": fingerprint(images),
        "versions": {
            "unnoise": version("unnoise"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
