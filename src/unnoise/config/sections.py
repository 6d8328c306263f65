"""The sections of the settings, every one with its default."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

REPLACEMENT_ALIASES = {
    "uniform_withCP": "uniform_with_centre",
    "uniform_withoutCP": "uniform",
    "normal_withoutCP": "normal_without_centre",
}
"""The reference implementation's names of what replaces a hidden pixel."""

SPREADS = {"gaussian": 1.0, "laplace": 2.0}
"""Losses for which the net predicts a mean and a scale; variance in units of the squared scale."""

MAX_MEAN = 6.25
"""Percent up to which `mean` is safe: at 25 % the hidden noise can be solved for, at 6.25 % not."""
MOST_CONTEXT = 8
"""Frames on either side that a result may look at."""


class Frozen(BaseModel):
    """Settings cannot change once made, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def _explained(self, values: Mapping[str, Any], indent: int = 0) -> list[str]:
        """The lines of a YAML text: a comment and a line for every setting."""
        lines: list[str] = []
        for name, value in values.items():
            inner = getattr(self, name)
            if isinstance(inner, Frozen):
                summary = (inner.__doc__ or "").strip().splitlines()[0]
                lines += ["", *_comment(summary, indent), f"{name}:", *inner._explained(value, 2)]
            else:
                lines += _comment(type(self).model_fields[name].description, indent)
                text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False)
                lines.append(f"{' ' * indent}{name}: {text.removesuffix('...' + chr(10)).strip()}")
        return lines


def _comment(text: str | None, indent: int) -> list[str]:
    lines = textwrap.wrap(" ".join((text or "").replace("`", "").split()), 94 - indent)
    return [" " * indent + "# " + line for line in lines]


def _text(name: str) -> str:
    """A name that a file of settings can hold."""
    if name.encode("utf-8", "ignore").decode() != name:
        raise ValueError(f"{name!r} holds bytes that are no text; give the file another name")
    return name


FileName = Annotated[str, AfterValidator(_text)]


class Mask(Frozen):
    """Which pixels are hidden and what replaces them (n2v, n2v2, structn2v).

    Examples
    --------
    >>> Mask(replacement="uniform_withCP").replacement
    'uniform_with_centre'
    """

    percent: Annotated[float, Field(ge=0.05, le=50)] = 25.0
    """Share of hidden pixels in percent. Dense masks win at equal time (docs/benchmarks.md)."""
    pattern: Literal["stratified", "grid"] = "stratified"
    """One random spot in every box of a grid, or a lattice with a random phase."""
    replacement: Literal[
        "uniform",
        "uniform_with_centre",
        "normal_without_centre",
        "normal_additive",
        "normal_fitted",
        "identity",
        "mean",
        "median",
    ] = "uniform"
    """What replaces a hidden pixel: a neighbour (uniform, uniform_with_centre,
    normal_without_centre), a random number (normal_additive, normal_fitted), the mean or median of
    the neighbours, or the pixel itself (identity)."""
    radius: Annotated[int, Field(ge=1, le=15)] = 2
    """Half side, in pixels, of the window that replacements are drawn from."""
    struct: str | list[Any] | None = None
    """structN2V: pixels hidden around every spot, as horizontal:9, vertical:9, cross:5, square:3,
    z:3, or as nested lists of 0 and 1 with odd sides."""

    @field_validator("replacement", mode="before")
    @classmethod
    def _alias(cls, value: Any) -> Any:
        return REPLACEMENT_ALIASES.get(value, value) if isinstance(value, str) else value

    @field_validator("struct", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Arrays as lists of numbers, which a file of settings can hold."""
        if isinstance(value, list | tuple):
            return [cls._plain(one) for one in value]
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


class Revisible(Frozen):
    """Blind2Unblind (Wang et al., CVPR 2022): grid masks and the weight of the visible output."""

    side: Annotated[int, Field(ge=2, le=8)] = 2
    """Side of the cells in which one pixel is hidden; the published side is 4."""
    phases: Annotated[int, Field(ge=1)] = 1
    """How many of the side ** ndim phases of the grid are drawn for a patch in a step. All of them
    is the published method; each costs as much as a step of Noise2Void."""
    beta: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (2.0, 20.0)
    """Weight of the visible output at the start and at the end."""
    ramp: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """Share of the run after which the weight rises."""
    eta: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the blind loss beside the re-visible one."""


class Recorruption(Frozen):
    """Recorrupted-to-Recorrupted (Pang et al., CVPR 2021): how a noisy image is split in two."""

    kind: Literal["auto", "gaussian", "thinning", "multiplied"] = "auto"
    """Normal noise is added to one part and taken from the other (gaussian), every photon goes to
    one of the two (thinning; Monroy et al., CVPR 2025), or every electron of a camera that
    multiplies them does (multiplied: EMCCD). auto: what
    the noise was found to be: counts of photons, multiplied electrons, or else gaussian."""
    alpha: Annotated[float, Field(gt=0, le=10)] = 0.5
    """Share of the noise that is added to the input at first (gaussian). The variance of the input
    is then 1 + alpha**2 times, that of the target 1 + 1 / alpha**2 times that of the image."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the photons in the target (thinning, multiplied); 0.2 is as alpha = 0.5."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of alpha that is left at the end of a run; 1: it stays. With thinning, share follows
    as ``alpha**2 = share / (1 - share)``."""
    correlated: bool | None = None
    """Whether what is added is correlated as the noise was measured to be (gaussian); None: where
    it is. Patches are then turned by half turns only."""
    nlridge: bool = True
    """Whether the result is the mean with that of nlridge where noise is correlated; of planes, and
    without a context."""


class Pairs(Frozen):
    """Noise2Noise (Lehtinen et al., ICML 2018): where the second noisy image comes from."""

    axis: Literal["S", "T", "Z"] | None = None
    """Neighbours along this axis are two looks at the same scene; None: a second set of files."""
    both_directions: bool = True
    """Whether either image of a pair may be input and target."""


class Net(Frozen):
    """The U-Net. The defaults are the fast net; the preset ``paper`` is the reference's."""

    depth: Annotated[int, Field(ge=1, le=6)] = 2
    """Number of poolings."""
    filters: Annotated[int, Field(ge=1, le=512)] = 32
    """Filters of the first level; they double with every pooling."""
    kernel: Literal[3, 5, 7] = 3
    """Side of the convolution kernels."""
    convs: Annotated[int, Field(ge=1, le=4)] = 2
    """Convolutions per level."""
    unshuffle: Literal[1, 2, 4] = 2
    """Side of the YX cells that a stem moves into channels; 1 is the reference net."""
    pool: Literal["max", "blur"] = "max"
    """Maximum pooling, or the anti-aliased MaxBlurPool of N2V2."""
    z_poolings: Annotated[int, Field(ge=0, le=6)] | None = None
    """How many of the poolings of a 3D net, the deepest, also halve Z; all unless set."""
    upsample: Literal["nearest", "linear"] = "nearest"
    """Interpolation on the way up."""
    top_skip: bool = True
    """The skip connection of the highest level; N2V2 drops it (skip_skipone)."""
    batch_norm: bool = False
    """Batch normalisation after every convolution."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of activations dropped while training."""
    residual: bool = False
    """Whether the net predicts a correction that is added to its input."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "leaky_relu"
    """Activation inside the net."""
    last_activation: Literal["linear", "relu"] = "linear"
    """Activation of the output, which is in normalised units."""
    channels: Literal["independent", "separate", "joint"] = "independent"
    """Channels pass one net one by one (independent), each has a net of its own (separate), or one
    net sees all (joint), which leaks their noise into each other."""


class Training(Frozen):
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
    loss: Literal["mse", "mae", "gaussian", "laplace"] = "mse"
    """Error where there is a target; with gaussian or laplace, the negative log-likelihood of a
    predicted mean and scale, which gives an uncertainty."""
    eps: Annotated[float, Field(gt=0)] = 1e-3
    """Smallest predicted scale, in normalised units."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimiser; sgd has Nesterov momentum 0.9."""
    learning_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    """Highest learning rate. With AdamW 3e-3 diverged after 1,000 steps."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.99,
    )
    """Decay rates of the moments of Adam and AdamW."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Weight decay, decoupled in AdamW."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the run in which the learning rate rises."""
    schedule: Literal["cosine", "plateau", "halving", "constant"] = "cosine"
    """The learning rate after the warm-up: to zero as a cosine, times `plateau_factor` when the
    held-out loss stops falling, halved after 20, 40, 60 and 80 % of the run, or constant."""
    plateau_patience: Annotated[int, Field(ge=1)] = 10
    """Validations without a lower held-out loss before the plateau schedule acts."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor of the plateau schedule."""
    validate_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between validations; 20 evenly spaced ones (fewer in short runs) unless set."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Early stopping: validations without a significantly lower held-out loss (95 % confidence,
    paired by patch) before the run ends; None trains to the end of the budget."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights; 0 keeps the weights themselves."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the maps in a step; weights, loss and optimiser are float32. auto takes 16 bits where
    the processor computes with them (CPUs in 2D only), 0.5 to 0.7 of the time of float32
    (docs/performance.md)."""
    held_out: Annotated[int, Field(ge=4)] = 64
    """One pixel in so many is never a target, and judges the result: one in every square, in 3D
    cube, of about so many (50 are 49, in 3D 64)."""
    augment: bool = True
    """Flips and rotations by 90 degrees in YX, as far as a structN2V mask allows them."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""


SECTIONS = {
    "mask": Mask,
    "b2u": Revisible,
    "recorruption": Recorruption,
    "pairs": Pairs,
    "net": Net,
}
"""The sections that some methods lack."""


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, those of `over` winning."""
    result = dict(under)
    for key, value in over.items():
        plain = value.model_dump() if isinstance(value, BaseModel) else value
        below = result.get(key)
        nested = isinstance(below, Mapping) and isinstance(plain, Mapping)
        result[key] = merged(below, plain) if nested else plain  # type: ignore[arg-type]
    return result


def nearest(loc: tuple[int | str, ...], outermost: type[BaseModel]) -> str:
    """A hint at the setting that was probably meant."""
    import difflib

    sections: dict[str, Any] = {**SECTIONS, "training": Training}
    model = sections.get(str(loc[0]), outermost) if len(loc) > 1 else outermost
    close = difflib.get_close_matches(str(loc[-1]), model.model_fields, 1, 0.5)
    return (
        f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(model.model_fields)}"
    )
