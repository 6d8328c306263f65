"""Every setting of a run, with its default. The only module that holds defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unnoise.errors import InputError


class _Frozen(BaseModel):
    """Settings cannot change once made, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BlindSpots(_Frozen):
    """Which pixels are hidden and what replaces them.

    Examples
    --------
    >>> BlindSpots().percent
    25.0
    """

    percent: Annotated[float, Field(ge=0.05, le=50)] = 25.0
    """Share of hidden pixels in percent. Dense masks win at equal time (docs/benchmarks.md)."""
    replacement: Literal["uniform"] = "uniform"
    """What replaces a hidden pixel."""
    radius: Annotated[int, Field(ge=1, le=15)] = 2
    """Half side, in pixels, of the window that replacements are drawn from."""


class Net(_Frozen):
    """The U-Net. The defaults are the fast net; ``Config.preset("paper")`` is the reference's."""

    depth: Annotated[int, Field(ge=1, le=6)] = 2
    """Number of poolings."""
    filters: Annotated[int, Field(ge=1, le=512)] = 32
    """Filters of the first level; they double with every pooling."""
    kernel: Literal[3, 5, 7] = 3
    """Side of the convolution kernels."""
    unshuffle: Literal[1, 2, 4] = 2
    """Side of the YX cells that a stem moves into channels; 1 is the reference net."""
    batch_norm: bool = False
    """Batch normalisation after every convolution."""
    residual: bool = False
    """Whether the net predicts a correction that is added to its input."""
    activation: Literal["relu", "leaky_relu"] = "leaky_relu"
    """Activation inside the net."""
    last_activation: Literal["linear", "relu"] = "linear"
    """Activation of the output, which is in normalised units."""
    channels: Literal["independent", "joint"] = "independent"
    """Independent channels pass the net one by one; a joint net sees all, and leaks their noise."""


class Training(_Frozen):
    """The loop and its budget."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in optimiser steps; when neither this nor `minutes` is set, a number that
    takes about two minutes on two CPU cores."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Length of the run in minutes of wall time; the schedule fits itself to it."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Patches per step. Small batches win on CPUs: 4 beat 8 by 0.1 dB at equal pixels."""
    patch: Annotated[int, Field(ge=16)] | None = None
    """Side of the square patches in Y and X; 64 in 2D and 32 in 3D unless set."""
    patch_z: Annotated[int, Field(ge=4)] = 16
    """Length of 3D patches in Z."""
    loss: Literal["mse", "mae"] = "mse"
    """Error on the blind spots."""
    learning_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    """Highest learning rate of AdamW. 3e-3 diverged after 1,000 steps."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the run in which the learning rate rises; then it falls to zero as a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Decoupled weight decay."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    augment: bool = True
    """Flips and rotations by 90 degrees in YX."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""


class Config(_Frozen):
    """All settings of a run.

    Examples
    --------
    >>> config = Config.preset("paper")
    >>> config.net.filters, config.training.batch_size, config.training.steps
    (96, 128, 80000)
    """

    method: Literal["n2v"] = "n2v"
    """Training method."""
    ndim: Literal[2, 3] | None = None
    """Dimensions of the net: 2, 3, or chosen from the number of Z slices."""
    blind_spots: BlindSpots = BlindSpots()
    net: Net = Net()
    training: Training = Training()

    @classmethod
    def preset(cls, name: str) -> Config:
        """Settings by name: ``fast`` (the default) or ``paper``.

        Raises
        ------
        InputError
            For an unknown name; the known ones are listed.
        """
        if name not in PRESETS:
            raise InputError(f"unknown preset '{name}'; the presets are {', '.join(PRESETS)}")
        return cls.parse(PRESETS[name])

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Config:
        """Check plain values, e.g. those of a YAML file.

        Raises
        ------
        InputError
            Naming the setting that is unknown or out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            subject = f"setting '{where}'" if where else "the settings"
            raise InputError(f"{subject}: {first['msg']}") from error

    def replace(self, **changes: dict[str, Any] | Any) -> Config:
        """A copy with changed settings; nested ones as dictionaries, None values left alone.

        Examples
        --------
        >>> Config().replace(training={"steps": 10}).training.steps
        10
        """
        values = self.model_dump()
        for key, change in changes.items():
            if isinstance(change, dict) and isinstance(values.get(key), dict):
                values[key] |= {k: v for k, v in change.items() if v is not None}
            elif change is not None:
                values[key] = change
        return self.parse(values)

    def to_yaml(self) -> str:
        """The settings as YAML, every default included."""
        return str(yaml.safe_dump(self.model_dump(), sort_keys=False))


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    # The BSD68 recipe of the reference notebook: 200 epochs of 400 steps. Its learning rate was
    # halved on plateaus; ours falls as a cosine. Its window included the centre; ours never does.
    "paper": {
        "blind_spots": {"percent": 0.198, "radius": 2},
        "net": {
            "depth": 2,
            "filters": 96,
            "kernel": 3,
            "unshuffle": 1,
            "batch_norm": True,
            "residual": True,
            "activation": "relu",
        },
        "training": {
            "steps": 80_000,
            "batch_size": 128,
            "learning_rate": 4e-4,
            "weight_decay": 0.0,
        },
    },
}
