"""Training methods: each turns noisy patches into (input, target, weight).

Where does a new one go? Into a file beside these, with a function ``build(config, ndim, noise)``,
and as one entry, which names that function, into `unnoise.config.methods.METHODS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.training.methods.r2r import NoiseTable
from unnoise.training.methods.step import Batch, Step


class TrainingMethod(Protocol):
    """What the training loop asks of a method."""

    def batch(self, step: Step) -> Batch:
        """(input, target, weight) to train on."""

    def validation(self, step: Step) -> Batch:
        """(input, target, weight) whose weight is at the held-out pixels only."""


def build(config: Config, ndim: int, noise: Sequence[NoiseTable] = ()) -> TrainingMethod:
    """The method of the settings.

    Parameters
    ----------
    config : Config
        Settings.
    ndim : int
        Dimensions of the net.
    noise : sequence of NoiseTable
        The noise by channel, where it is known.

    Raises
    ------
    InputError
        If the method is not trained, or needs noise that is not known.
    """
    if not config.entry.build:
        raise InputError(f"the method {config.method} has nothing to train; choose another method")
    module, name = config.entry.build.split(":")
    return cast(TrainingMethod, getattr(import_module(module), name)(config, ndim, noise))
