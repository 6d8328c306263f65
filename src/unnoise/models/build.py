"""From a model to its net, and the weights a run starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.models.model import Model
from unnoise.nets import pretrained
from unnoise.nets.classical import Filter
from unnoise.nets.device import to_device
from unnoise.nets.gaussian_denoiser import GaussianNet
from unnoise.nets.nl_ridge import NLRidge
from unnoise.nets.own_generator import DrawnFrom
from unnoise.nets.per_channel import PerChannel
from unnoise.nets.unet import UNet
from unnoise.nets.variance_stabilized import VarianceStabilized

DenoisingNet = UNet | PerChannel | Filter | VarianceStabilized
"""What turns noisy patches into clean ones."""
NET = "net."
"""What the names of the weights of the shipped net begin with."""


def build_net(model: Model) -> DenoisingNet:
    """The net of a model with its weights, on the CPU.

    Raises
    ------
    ModelError
        If the weights do not fit the settings.
    """
    net = _net(model.config, model.ndim, model.channels, model.weights)
    if model.weights:
        try:
            net.load_state_dict(dict(model.weights))
        except RuntimeError as error:
            raise ModelError(
                "the weights do not fit the net described in config.yaml, so the model folder is "
                "damaged or was edited; restore it from a copy or train again"
            ) from error
    return net


def empty_net(model: Model) -> DenoisingNet:
    """A net for the settings of a model that takes no memory, to compare shapes with."""
    with torch.device("meta"):
        return _net(model.config, model.ndim, model.channels, model.weights)


def ready(model: Model, device: torch.device) -> DenoisingNet:
    """The net of a model on a device, to predict with."""
    return to_device(build_net(model), device).eval()


def new_weights(config: Config, ndim: int, channels: Sequence[int]) -> dict[str, Tensor]:
    """Weights for a new run: random ones, drawn from the seed, or those of the package."""
    shipped = {}
    if config.is_shipped:
        shipped = {f"{NET}{name}": weight for name, weight in pretrained.gaussian().items()}
    return {**_net(config, ndim, channels, shipped).state_dict(), **shipped}


def _shipped(weights: Mapping[str, Tensor]) -> GaussianNet | None:
    """The net of the weights of a model, which may be those of an earlier version."""
    own = {k.removeprefix(NET): w for k, w in weights.items() if k.startswith(NET)}
    with DrawnFrom(torch.Generator()):
        try:
            return GaussianNet.like(own) if own else None
        except (IndexError, KeyError, TypeError):  # damaged: whoever compares names will say so
            return None


def _net(
    config: Config, ndim: int, channels: Sequence[int], weights: Mapping[str, Tensor] | None = None
) -> DenoisingNet:
    """The net of the settings; the global random state is left as it was."""
    net = config.net
    if config.entry.is_stabilized:
        inner = _shipped(weights or {}) if config.is_shipped else NLRidge()
        return VarianceStabilized(len(channels), inner)
    if net is None:
        return Filter(config.method, ndim)

    def make(width: int = 1) -> UNet:
        return UNet(
            channels=width,
            ndim=ndim,
            outputs=2 if config.is_probabilistic else 1,
            eps=config.training.eps,
            neighbours=2 * config.neighbours[1] if config.neighbours else 0,
            **net.model_dump(exclude={"channels"}),
        )

    with DrawnFrom(torch.Generator().manual_seed(config.training.seed)):
        if net.channels == "separate":
            return PerChannel(make, len(channels))
        return make(len(channels) if net.channels == "joint" else 1)
