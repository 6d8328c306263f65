"""Whether a model that was read is one: numbers that fit each other, are finite and make sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unnoise.images.normalization import ChannelStatistics
from unnoise.models.build import empty_net
from unnoise.models.model import Model
from unnoise.models.record import WIDEST_BLUR

LARGEST_PATCH = 2**16
LIMITS = {"blur_share": (0, 1), "blur_width": (0.1, WIDEST_BLUR), "rho": (-2, 2)}
"""Between what the values of a transform for the shipped net lie."""
MOST_PASSES = 4


def fault(model: Model) -> str:
    """What is wrong with a model of a folder, in a few words; nothing for a whole one."""
    members = [member for part in model.levels for member, _ in part.members]
    if any(np.ndim(member.affine.mean) != 1 for member in members):
        return "mean must be a list of numbers"
    for part in model.levels:
        if part.n_channels != model.n_channels or (model.others and part.level is None):
            return "its groups do not fit each other"
        if part.level is not None and len(part.level.mean) != model.n_channels:
            return "the statistics of its groups have another number of channels"
        for member, _ in part.members:
            found = _fault(member, grouped=bool(model.others))
            if found:
                return found
        if part.second is not None:
            twin = part.second.model
            fits = (
                0 <= part.second.share <= 1
                and twin.channels == part.channels
                and len(twin.patch) == len(part.patch)
                and twin.n_channels == part.n_channels
                and twin.target_affine is None is part.target_affine
            )
            if not fits:
                return "its two models do not fit each other"
    return ""


def _fault(model: Model, *, grouped: bool) -> str:
    """The same of one model without others."""
    n, channels = model.n_channels, model.channels
    for what, statistics in (("", model.affine), (" of targets", model.target_affine)):
        if statistics is not None and not _are_statistics(statistics, n):
            return f"the mean and std{what} must be a finite number per channel, std not below 0"
    if not channels or len(set(channels)) != len(channels) or not all(0 <= c < n for c in channels):
        return f"channels must be different numbers below {n}"
    # A group may have a channel that varies in other groups alone.
    if not grouped and not (model.affine.std[list(channels)] > 0).all():
        return "the std of channels to denoise must be above 0"
    if len(model.patch) not in (2, 3) or not all(0 < p <= LARGEST_PATCH for p in model.patch):
        return "patch must be 2 or 3 lengths"
    counts = [
        *([] if model.posterior is None else [len(model.posterior.models)]),
        *([] if model.noise is None else [len(model.noise.models)]),
        *([] if model.mean_correction is None else [len(model.mean_correction.at)]),
        *([len(model.joined.blur)] if model.joined is not None and model.joined.blur else []),
        *([] if model.record is None else map(len, vars(model.record).values())),
    ]
    if any(count != len(channels) for count in counts):
        return "noise and record must be of as many channels as there are to denoise"
    if model.passes is not None and not 1 <= model.passes.count <= MOST_PASSES:
        return f"passes must be 1 to {MOST_PASSES}"
    if model.joined is not None and not model.config.is_shipped:
        return "only models of the shipped net join neighbouring frames"
    return _fault_of_weights(model, model.weights)


def _are_statistics(found: ChannelStatistics, n: int) -> bool:
    shapes = {np.shape(found.mean), np.shape(found.std)}
    return (
        shapes == {(n,)}
        and bool(np.isfinite([found.mean, found.std]).all())
        and bool((found.std >= 0).all())
    )


def _fault_of_weights(model: Model, weights: Mapping[str, Tensor]) -> str:
    """Names, shapes and types are compared with an empty net, so that no false size is made."""
    if model.config.net is not None and model.config.net.channels == "separate":
        # A net for each of thousands of channels takes long to make, without memory too.
        one = empty_net(replace(model, channels=model.channels[:1])).state_dict()
        if len(weights) != len(model.channels) * len(one):
            return "the weights do not fit the net that config.yaml describes"
    wanted = empty_net(model).state_dict()
    if set(weights) != set(wanted):
        return "the weights do not fit the net that config.yaml describes"
    for name, weight in weights.items():
        like = wanted[name]
        if weight.shape != like.shape or weight.is_floating_point() != like.is_floating_point():
            return "the weights do not fit the net that config.yaml describes"
        if weight.dtype.itemsize < 2 or not bool(torch.isfinite(weight.float()).all()):
            return f"weights must be finite numbers of 16 bits at least ({name})"
        if name.endswith("running_var") and bool((weight < 0).any()):
            return f"variances must not be below 0 ({name})"
        if name == "bins" and int(weight) not in (1, 2, 4):
            return "bins must be 1, 2 or 4"
        low, high = LIMITS.get(name, (-np.inf, np.inf))
        if not bool(((weight >= low) & (weight <= high)).all()):
            return f"{name} must be from {low:g} to {high:g}"
        if name == "knots" and not bool((torch.diff(weight) > 0).all()):
            return "the knots of the transform must rise"
        if model.config.is_classical and float(weight.min()) <= 0:
            return f"parameters of filters must be above 0 ({name})"
    return ""
