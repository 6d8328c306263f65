"""A model: settings, statistics, weights and noise; what training makes and prediction applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.images.image import Image
from unnoise.images.levels import ALIKE, Level, brightness, distance, nearest
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.posterior import Posterior
from unnoise.models.provenance import Provenance
from unnoise.models.record import JoinedFrames, PosteriorTest, TrainingRecord
from unnoise.nets.gaussian_denoiser import turned
from unnoise.noise.image_noise import ImageNoise

FAR = 5 / 3 * ALIKE
"""Farther than this from the statistics of the training images, in brightness, it is said."""
FRAMES = 16
"""Frames of an image that are looked at for that."""
SAME = 0.05
"""Correlations that differ by less are the same: as exactly are they measured."""


@dataclass(frozen=True)
class EnsembleMember:
    """A second model, whose results are averaged in.

    Attributes
    ----------
    model : Model
        For the same channels, dimensions and units; it has no second model itself. At its borders
        an image is mirrored by the grid that both nets have in common.
    share : float
        Weight of its results, 0 to 1; those of the first model have the rest.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).normal(size=(48, 48)).astype(np.float32)
    >>> runs = (unnoise.train(noisy, steps=2, method="n2v", seed=s) for s in (0, 1))
    >>> one, two = (replace(model, mean_correction=None) for model in runs)
    >>> both = replace(one, second=EnsembleMember(two, 0.25)).predict(noisy)
    >>> bool(np.allclose(both, 0.75 * one.predict(noisy) + 0.25 * two.predict(noisy), atol=1e-5))
    True
    """

    model: Model
    share: float


@dataclass(frozen=True)
class Choice:
    """Which of several trained candidates a model is, and the estimated risk of each by name."""

    candidate: str
    risks: Mapping[str, float]


@dataclass(frozen=True)
class Passes:
    """How many symmetries are averaged unless all are asked for (`unnoise.quality.agreement`).

    Attributes
    ----------
    count : int
        Flips and rotations.
    disagreement : float
        Variance of a result over them, as a share of its expected squared error.
    """

    count: int
    disagreement: float


@dataclass(frozen=True)
class Coverage:
    """How predicted spreads compare with held-out pixels (`unnoise.training.losses`).

    Attributes
    ----------
    variance_ratio : float
        Actual over predicted variance.
    inside_50, inside_95 : float
        Shares of pixels inside the 50 % and 95 % intervals.
    """

    variance_ratio: float
    inside_50: float
    inside_95: float

    def __str__(self) -> str:
        return (
            f"{self.inside_50:.0%} inside the 50 % interval, {self.inside_95:.0%} inside the 95 % "
            f"interval, variance {self.variance_ratio:.2f} times the predicted one"
        )


@dataclass(frozen=True, repr=False)
class Model:
    """A trained denoiser, as data. `unnoise.Model` adds `predict`, `uncertainty` and `save`.

    Attributes
    ----------
    config : Config
        Every setting, with ``ndim`` and ``training.steps`` or ``training.minutes`` resolved.
    affine : ChannelStatistics
        Per-channel statistics of the training data.
    channels : tuple of int
        The channels that are denoised; the others (constant, transparency) are copied.
    patch : tuple of int
        Shape of the training patches, (y, x) or (z, y, x).
    weights : mapping of str to Tensor
        Weights of the net, on the CPU.
    target_affine : ChannelStatistics, optional
        Statistics of the clean images (CARE), whose units the result has.
    noise : ImageNoise, optional
        The noise of the training images, or of their camera; None until it was measured.
    posterior : Posterior, optional
        How the noisy pixel itself is used beside its blind prediction.
    posterior_test : PosteriorTest, optional
        Why it is used or not.
    record : TrainingRecord, optional
        What later results are judged by; None before the end of the training.
    choice : Choice, optional
        Of a model that won against other candidates (adapted).
    coverage : Coverage, optional
        Of a net that predicts a spread.
    second : EnsembleMember, optional
        A second model; the result is the weighted mean of the two.
    mean_correction : MeanCorrection, optional
        What keeps the mean; of a mean of two models, that of the result.
    passes : Passes, optional
        Over how many flips and rotations results are averaged by default; None for all.
    joined : JoinedFrames, optional
        Which frames beside it a frame is joined with; None: frame by frame.
    level : Level, optional
        Of a model for images of very different brightness, which of them it is for.
    others : tuple of Model
        The models for those of other brightness; they have no others themselves.
    provenance : Provenance
        Images, versions, steps.

    Examples
    --------
    >>> import numpy as np, unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
    >>> model = unnoise.train([noisy], steps=2)
    >>> model.predict(noisy).dtype
    dtype('uint16')
    """

    config: Config
    affine: ChannelStatistics
    channels: tuple[int, ...]
    patch: tuple[int, ...]
    weights: Mapping[str, Tensor]
    target_affine: ChannelStatistics | None = None
    noise: ImageNoise | None = None
    posterior: Posterior | None = None
    posterior_test: PosteriorTest | None = None
    record: TrainingRecord | None = None
    choice: Choice | None = None
    coverage: Coverage | None = None
    second: EnsembleMember | None = None
    mean_correction: MeanCorrection | None = None
    passes: Passes | None = None
    joined: JoinedFrames | None = None
    level: Level | None = None
    others: tuple[Model, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def ndim(self) -> int:
        """Space dimensions of the net."""
        return len(self.patch)

    @property
    def is_one_by_one(self) -> bool:
        """Whether channels pass the net one by one instead of all at once."""
        if self.config.entry.is_stabilized:  # every channel has a transform of its own
            return False
        return self.config.net is None or self.config.net.channels == "independent"

    @property
    def context(self) -> tuple[str, int] | None:
        """Axis and number of the frames before and after that its net sees; None for one frame."""
        return None if self.config.net is None else self.config.neighbours

    @property
    def symmetries(self) -> tuple[tuple[int, bool], ...]:
        """The (turns, flip) in YX that keep the direction of structured noise."""
        every = self.config.symmetries(self.ndim)
        told = self.weights.get("rho")
        if told is None or not told.any():
            return every
        return tuple(s for s in every if (turned(told, *s) - told).abs().max() < SAME)

    @property
    def members(self) -> list[tuple[Model, float]]:
        """The models whose weighted results make the result, and their weights."""
        if self.second is None:
            return [(self, 1.0)]
        share = self.second.share
        other = self.second.model
        noise = other.noise or (self.noise if other.context else None)
        other = replace(other, passes=other.passes or self.passes, noise=noise)
        return [(replace(self, second=None, others=()), 1 - share), (other, share)]

    @property
    def levels(self) -> list[Model]:
        """The models for images of every brightness, each by itself."""
        return [replace(self, others=()), *self.others] if self.others else [self]

    def level_of(self, image: Image, s: int, t: int) -> int:
        """Which of the models is for the brightness of a frame."""
        return nearest(image, [m.level for m in self.levels if m.level is not None], s, t)

    @property
    def n_channels(self) -> int:
        """Channels of the images the model was made for, copied ones included."""
        return len(self.affine.mean)

    def with_weights(self, weights: Mapping[str, Tensor], **origin: Any) -> Model:
        """The same model with other weights, and what changes of its provenance."""
        return replace(self, weights=weights, provenance=replace(self.provenance, **origin))

    def __repr__(self) -> str:
        """What it is, in a line: settings and weights would fill pages."""
        count = sum(
            weight.numel() for member, _ in self.members for weight in member.weights.values()
        )
        facts = [
            f"method {self.config.method}",
            f"{self.ndim}D",
            _count(self.n_channels, "channel"),
        ]
        facts += [f"{count:,} weights", _count(self.provenance.steps, "step")]
        return f"<unnoise model: {', '.join(facts)}>"

    def check(self, image: Image) -> None:
        """Refuse an image that the model was not made for.

        Raises
        ------
        ModelError
            For another number of channels, too few dimensions or too small an image.
        """
        n = image.sizes
        if n["C"] != self.n_channels:
            raise ModelError(
                f"the model was trained on {_count(self.n_channels, 'channel')} but {image.name} "
                f"has {_count(n['C'], 'channel')} (axes {image.axes}, shape {image.shape}); train "
                f"a model on such images, or give its axes with --axes"
            )
        if self.ndim == 3 and n["Z"] == 1:
            raise ModelError(
                f"the model is three-dimensional but {image.name} has no Z slices (axes "
                f"{image.axes}, shape {image.shape}); give the right --axes or train a 2D model"
            )
        known = {member.context for part in self.levels for member, _ in part.members}
        along = sorted(context[0] for context in known if context and n[context[0]] == 1)
        if along:
            raise ModelError(
                f"the model looks at neighbouring frames along {along[0]} but {image.name} "
                f"has a single one (axes {image.axes}, shape {image.shape}); give the right --axes "
                f"or train a model without --context"
            )

    def unlike(self, image: Image) -> str | None:
        """One sentence on an image whose brightness is far from that of the training images."""
        copied = copied_noise(self, image)
        if copied:
            return copied
        n = image.sizes
        places = [(s, t) for s in range(n["S"]) for t in range(n["T"])]
        for at in places[:: -(-len(places) // FRAMES)]:
            model = self.levels[self.level_of(image, *at)] if self.others else self
            use = np.isin(np.arange(n["C"]), model.channels)
            known = model.affine.mean, np.where(use, model.affine.std, 0.0)
            found = brightness(image, *at)
            if distance(found, *known) > FAR:
                c = max(model.channels, key=lambda c: distance(found.only(c), *known))
                return (
                    f"{image.name} is far in brightness from the images that the model was trained "
                    f"on (mean {found.mean[c]:.4g} and standard deviation {found.std[c]:.3g}, "
                    f"there {known[0][c]:.4g} and {known[1][c]:.3g}), so the result may be poor; "
                    f"train on images like it, or use unnoise denoise"
                )
        return None

    def check_probabilistic(self) -> None:
        """Refuse a model without uncertainties.

        Raises
        ------
        ModelError
            If the net predicts no scale.
        """
        if not self.config.is_probabilistic:
            raise ModelError(
                "the model predicts no uncertainty; train one with --set training.loss=gaussian "
                "(or laplace)"
            )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def asks_nlridge(model: Model) -> bool:
    """Whether NL-Ridge is a candidate beside the net of a model once that is trained (r2r).

    Where noise is correlated, and the net sees planes one by one, as NL-Ridge does.
    """
    settings = model.config.recorruption
    alone = model.ndim == 2 and model.context is None
    return bool(settings and settings.nlridge and settings.correlated and alone)


def copied_noise(model: Model, image: Image) -> str | None:
    """One sentence on channels that are copied, as they were constant in training, and are not now.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).normal(size=(2, 48, 48))
    >>> model = unnoise.train(noisy * [[[1]], [[0]]], axes="CYX", method="gaussian")
    >>> str(copied_noise(model, Image.from_array(noisy, axes="CYX")))[:43]
    'channel 2 of the image was the same everywh'
    """
    copied = {*range(model.n_channels)} - {*model.channels, image.alpha}
    if not copied:
        return None
    std = brightness(image).std
    varies = [c + 1 for c in sorted(copied) if std[c] > 0]
    if not varies:
        return None
    one = len(varies) == 1
    which = f"channel{'' if one else 's'} {', '.join(map(str, varies))}"
    return (
        f"{which} of {image.name} {'was' if one else 'were'} the same everywhere in the images "
        f"that the model was trained on, so {'it stays' if one else 'they stay'} as noisy as "
        f"before; train on images like it, or use unnoise denoise"
    )
