"""The method ``auto``: look at the noise of the images, then choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.advice import Advice, suits_pretrained
from unnoise.noise.frame_context import FrameContext, common
from unnoise.noise.image_noise import inspect_images
from unnoise.noise.inspect import NoiseReport
from unnoise.training.plan import choose_ndim

MASKED = 13.5
"""Percent of pixels hidden by the spots of a structN2V mask and its footprint together: 1x3 masks
were best at 4.5 % (OCT), 1x9 ones at 1.5 % (stripes)."""

SECONDS = 30.0
"""Up to this budget the shipped net is used as it is; a training needs more."""


PRETRAINED = {
    "instant": "seconds are enough for the shipped net",
    "adapted": "the shipped net and one trained here are weighed",
}
"""Why a method that starts from the weights of the package takes the place of n2v."""


ORDER = ("adapted", "n2v", "gaussian")
"""What is tried where a result is worse than the noisy image: ever less is assumed of the noise
and of the picture. `gaussian` has one parameter, which held-out pixels choose."""
PLACES = {"n2n": 0, "structn2v": 0, "instant": 1, "adapted": 1, "n2v": 2, "n2v2": 2}
"""Where a method goes on in this order: its own kind is not tried twice."""


@dataclass(frozen=True)
class MethodChoice:
    """What was chosen and why.

    Attributes
    ----------
    config : Config
        Settings of the method.
    reports : tuple of NoiseReport
        What was measured; empty where nothing could be.
    why : str
        One line for people.
    """

    config: Config
    reports: tuple[NoiseReport, ...]
    why: str


def choose(images: Sequence[Image], ndim: int | None = None, *, whole: bool = True) -> MethodChoice:
    """Choose a method for images that share a model.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    ndim : int, optional
        Dimensions of the net, where they are given.
    whole : bool
        Whether frames beside each other are neighbours, as they are not in a selection.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(96, 96))
    >>> choice = choose([Image.from_array(noise)])
    >>> choice.config.method, choice.config.use_center_pixel
    ('n2v', True)
    """
    reports = inspect_images(images)  # what is wrong with one that is left out, `plan` will say
    if not reports:
        return MethodChoice(
            _with("n2v", (), ndim), (), "auto: n2v, as the noise could not be measured"
        )
    advised = [report.method for report in reports]
    method = max(sorted(set(advised)), key=advised.count)
    advice = next(report.advice for report in reports if report.method == method)
    if method == "n2n" and any(image.sizes[advice.pairs or "T"] < 2 for image in images):
        method, advice = "n2v", Advice("n2v", (), "not all images have repeats")
    context = common([report.advice.context for report in reports]) if whole else None
    if context is not None:
        alone = any(image.sizes[context.axis] == 1 for image in images)
        context = None if alone or (context.axis == "Z" and ndim == 3) else context
    advice = _seeing(advice, context)
    config = _with(method, advice.settings, ndim)
    line = f"auto: {method}; {advice.why}"
    if len(set(advised)) > 1:
        line += f" (the images differ: {', '.join(advised)})"
    if advice.near_clean:
        line += "; little will change"
    return MethodChoice(config, tuple(reports), line)


def _seeing(advice: Advice, context: FrameContext | None) -> Advice:
    """The advice with another context: that of all images."""
    own = advice.context
    if own is None or own == context:
        return advice
    settings = tuple(s for s in advice.settings if s != own.setting)
    why = advice.why.removesuffix(f"; {own.line}")
    if context is not None:
        settings, why = (*settings, context.setting), f"{why}; {context.line}"
    return replace(advice, settings=settings, why=why, context=context)


def with_pretrained(
    choice: MethodChoice, images: Sequence[Image], minutes: float | None, ndim: int | None
) -> MethodChoice:
    """Put the shipped net in the place of Noise2Void and its kin where its assumptions hold.

    Noise of measured strength and correlation, planes, and a budget in minutes or none: seconds are
    enough for `instant`; with more, a net is trained beside it and weighed against it (`adapted`).
    """
    own = choice.config.method
    if own not in ("n2v", "n2v2", "structn2v") or not choice.reports or choice.config.noise_model:
        return choice
    ndim = ndim or choose_ndim(images, choice.config)
    if not all(suits_pretrained(report.channels, ndim) for report in choice.reports):
        return choice
    method = "instant" if minutes is not None and minutes <= SECONDS / 60 else "adapted"
    why = choice.why.replace(f"auto: {own};", f"auto: {method}, as {PRETRAINED[method]};", 1)
    axes = {axis for report in choice.reports for c in report.channels for axis in c.axes}
    if axes:
        named = " and ".join(axis for axis in "YX" if axis in axes)
        told = f"noise correlated along {named}, which the shipped net is told"
        why = f"auto: {method}, as {PRETRAINED[method]}; {told}"
    return MethodChoice(Config.preset(method=method), choice.reports, why)


def _with(method: str, settings: Sequence[str], ndim: int | None) -> Config:
    """Settings of a method, as advised."""
    config = Config.preset(method=method)
    if ndim == 2 and any(setting.startswith("mask.struct=[[[") for setting in settings):
        # A mask along Z means nothing to a 2D net.
        return Config.preset(method="n2v").set("use_center_pixel=true")
    center = ["use_center_pixel=true"] if config.entry.blind_spot else []
    config = config.set(*settings, *center)
    footprint = config.footprint(ndim or 3)
    if footprint is not None:
        percent = min(25.0, max(0.5, MASKED / int(footprint.sum())))
        config = config.set(f"mask.percent={percent:g}")
    return config


@dataclass(frozen=True)
class Auto:
    """Settings that wait for the images: the method is chosen when these are open.

    Attributes
    ----------
    assignments : tuple of str
        Settings that the user made, as ``mask.percent=5``.
    minutes, steps, seed, ndim
        As on the command line.
    shipped : bool
        Whether the net of the package may be chosen.
    """

    assignments: tuple[str, ...] = ()
    minutes: float | None = None
    steps: int | None = None
    seed: int | None = None
    ndim: int | None = None
    shipped: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be before an image is read; texts become numbers."""
        checked = Config().with_budget(self.minutes, self.steps, self.seed, self.ndim)
        for name, value in {**vars(checked.training), "ndim": checked.ndim}.items():
            if getattr(self, name, None) is not None:
                object.__setattr__(self, name, value)

    @property
    def provisional(self) -> Config:
        """Settings to check before the images are open: those of n2v."""
        return self._budgeted(Config.preset().set(*self.assignments))

    def resolve(self, images: Sequence[Image], *, whole: bool = True) -> MethodChoice:
        """Choose for images that share a model.

        Parameters
        ----------
        images : sequence of Image
            Noisy images.
        whole : bool
            Whether frames beside each other are neighbours, as they are not in a selection.

        Raises
        ------
        InputError
            If settings that the user made do not belong to the method.
        """
        choice = choose(images, self.ndim, whole=whole)
        # Steps and other settings are those of a training.
        if self.shipped and self.steps is None and not self._own_settings:
            choice = with_pretrained(choice, images, self.minutes, self.ndim)
        try:
            config = self._budgeted(choice.config.set(*self.assignments))
        except InputError as error:
            raise InputError(
                f"{error} (auto chose {choice.config.method}; name a method with --method)"
            ) from error
        return MethodChoice(config, choice.reports, choice.why)

    def after(self, choice: MethodChoice, images: Sequence[Image]) -> MethodChoice | None:
        """What to try where `choice` gave results worse than these noisy images; None: nothing.

        Methods that cannot take the settings that the user made are left out.
        """
        last = choice.config.method
        for method in ORDER[PLACES.get(last, len(ORDER)) :]:
            why = f"auto: {method}, as {last} did not help"
            found = MethodChoice(_with(method, (), self.ndim), choice.reports, why)
            if method == "adapted":
                plain = MethodChoice(_with("n2v", (), self.ndim), choice.reports, "")
                given = not self.shipped or self.steps is not None or self._own_settings
                own = plain if given else with_pretrained(plain, images, self.minutes, self.ndim)
                if own.config.method == "n2v":
                    continue
                why = why.replace(method, own.config.method, 1)  # by budget `instant`
                found = MethodChoice(own.config, choice.reports, why)
            try:
                config = self._budgeted(found.config.set(*self.assignments))
            except InputError:
                continue
            return MethodChoice(config, found.reports, found.why)
        return None

    @property
    def _own_settings(self) -> bool:
        """Whether the user made settings that the shipped net does not have."""
        return any(not made.startswith(("context", "declip")) for made in self.assignments)

    def _budgeted(self, config: Config) -> Config:
        minutes, steps = (self.minutes, self.steps) if config.is_trained else (None, None)
        return config.with_budget(minutes, steps, self.seed, self.ndim)
