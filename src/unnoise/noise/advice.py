"""From measurements to advice: which method, which mask, what will not work and why."""

from __future__ import annotations

import timeit
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.config import struct_mask as structure
from unnoise.config.methods import DEFAULT_STEPS, MIN_SLICES
from unnoise.images.image import Image
from unnoise.noise.channel import ChannelNoise
from unnoise.noise.clipping import declipping
from unnoise.noise.correlation import FADE
from unnoise.noise.frame_context import FrameContext, frame_context
from unnoise.noise.still_frames import Repeats

WIDE = 0.7
"""A mask in two directions costs much detail: its linear risk must be this much lower."""
ALONG = 1.1
"""A mask along one axis may cost a tenth more than a linear prediction knows: nets lose less."""
CLEAN = 40.0
"""Contrast over noise in dB from which an image is nearly clean."""
STEP_FLOPS = {2: 4.2e9, 3: 1.7e10}
"""Floating point operations of a step of the default nets."""
ADAPTED = 0.35
"""Time of `adapted` over what is expected of n2v: 62 s for 512x512 on one busy core of two."""
EFFICIENCY = 0.5
"""Speed of training on two cores over that of a small matrix product, within a factor of two."""


@dataclass(frozen=True)
class Advice:
    """What to do with an image.

    Attributes
    ----------
    method : str
        ``n2v``, ``n2v2``, ``structn2v`` or ``n2n``.
    settings : tuple of str
        Settings that belong to it, as ``mask.struct=...`` for ``--set``.
    why : str
        One line for people.
    mask : nested list or None
        The structN2V footprint, drawn from the measured correlation.
    pairs : str or None
        The axis of repeats for Noise2Noise.
    context : FrameContext or None
        Neighbouring frames that a self-trained net should see.
    near_clean : bool
        Whether there is little noise to remove.
    warnings : tuple of str
        What will not work and why.
    seconds : float
        Expected time of the default training on this machine.
    pretrained : bool
        Whether the assumptions of the pretrained net hold, so that ``auto`` takes `adapted`, or
        `instant` where there is little time, in the place of n2v.
    """

    method: str
    settings: tuple[str, ...]
    why: str
    mask: list[Any] | None = None
    pairs: str | None = None
    context: FrameContext | None = None
    near_clean: bool = False
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    pretrained: bool = False

    @property
    def automatic(self) -> str:
        """The method that ``auto`` takes without a budget."""
        return "adapted" if self.pretrained else self.method

    @property
    def command(self) -> str:
        """Options of the command line that ask for the same."""
        options = f"--method {self.automatic}"
        if self.automatic != self.method:  # it makes such settings itself
            return options
        return options + "".join(f" --set '{setting}'" for setting in self.settings)


def advise(
    image: Image,
    channels: Sequence[ChannelNoise],
    repeats: Repeats | None,
    repeats_axis: str | None,
    excluded: Sequence[str],
    *,
    shares_noise: bool = False,
) -> Advice:
    """Choose a method from what was measured; frames of any channel may share noise."""
    ndim = 3 if image.sizes["Z"] >= MIN_SLICES else 2
    axes = {axis for channel in channels for axis in channel.axes}
    near_clean = all(c.snr > CLEAN for c in channels)
    plain = Advice(
        method="n2v",
        settings=(),
        why="",
        near_clean=near_clean,
        warnings=_warnings(channels, excluded),
        seconds=seconds(ndim),
    )
    context = _context(image, channels, repeats_axis if shares_noise else None, ndim)
    # Neighbours as targets are for correlated noise: as input they tell more, and what moves unseen
    # is not blurred (still, drifting and beating movies: +1 to 2 dB at equal time).
    seen = context is not None and context.axis == repeats_axis and not axes & set("YX")
    still = repeats is not None and repeats.verdict == "repeats" and repeats_axis not in axes
    if still and not seen:
        return replace(
            plain,
            method="n2n",
            settings=(f"pairs.axis={repeats_axis}",),
            why=f"frames along {repeats_axis} show the same scene, so each can be learned from "
            f"its neighbour (Noise2Noise)",
            pairs=repeats_axis,
        )
    if axes & set("YX") or (ndim == 3 and "Z" in axes):
        found = _correlated(channels, axes, ndim, plain)
    elif near_clean:
        found = replace(
            plain, why="there is little noise to remove (contrast over noise above 40 dB)"
        )
    else:
        shared = ", though frames share a part of it, which will stay"
        where = shared if "T" in axes else " in every slice" if "Z" in axes else ""
        why = "; ".join(
            [
                f"noise independent from pixel to pixel{where}",
                *(repeats.peculiarities if repeats else ()),
            ]
        )
        found = replace(plain, why=why)
    if context is not None:
        settings, why = (*found.settings, context.setting), f"{found.why}; {context.line}"
        found = replace(found, settings=settings, why=why, context=context)
    suits = suits_pretrained(channels, ndim)
    return replace(
        found,
        pretrained=suits,
        seconds=plain.seconds * (ADAPTED if suits else 1),
    )


def _context(
    image: Image,
    channels: Sequence[ChannelNoise],
    copied: str | None,
    ndim: int,
) -> FrameContext | None:
    """Neighbouring frames whose noise is independent, so not along `copied`, and that tell more."""
    shared = {axis for channel in channels for axis in channel.axes} | {copied}
    axes = [axis for axis in ("TZ" if ndim == 2 else "T") if axis not in shared]
    if any(channel.curve is None for channel in channels):
        return None
    variances = {c.index: c.curve.level for c in channels if c.curve is not None}
    return frame_context(image, variances, axes)


def suits_pretrained(channels: Sequence[ChannelNoise], ndim: int) -> bool:
    """Whether the pretrained net is for such noise: of planes, and measured where correlated."""
    return ndim == 2 and all(
        set(c.axes) <= set("YX") and (not c.axes or (c.curve is not None)) for c in channels
    )


def _correlated(
    channels: Sequence[ChannelNoise], axes: set[str], ndim: int, plain: Advice
) -> Advice:
    """structN2V with the measured mask, unless that would hide more picture than noise."""
    named = " and ".join(axis for axis in "ZYX" if axis in axes and (axis != "Z" or ndim == 3))
    mask = joined([m for c in channels if c.correlation if (m := c.correlation.mask()) is not None])
    if ndim == 3 and "Z" in axes:
        deep = max(c.correlation.reach("Z") for c in channels if c.correlation)
        mask = np.stack([mask] * (2 * deep + 1))
    probes = [(c.blind, c.masked) for c in channels if c.blind and c.masked]
    narrow = sum(size > 1 for size in mask.shape) == 1
    with_mask, without = sum(m.risk for _, m in probes), sum(b.risk for b, _ in probes)
    footprint: list[Any] = mask.astype(int).tolist()
    if probes and with_mask > (ALONG if narrow else WIDE) * max(without, 0.0):
        # On four photographs N2V2, whose net cannot follow noise from pixel to pixel, was 0.3 dB
        # better than Noise2Void at equal time where noise was spread in both directions.
        return replace(
            plain,
            method="n2v" if narrow else "n2v2",
            why=f"noise correlated along {named}, but weak against the detail: hiding the "
            f"neighbours too would lose more picture than noise, so part of the noise stays",
            mask=footprint,
        )
    return replace(
        plain,
        method="structn2v",
        settings=(f"mask.struct={footprint}".replace(" ", ""),),
        why=f"noise correlated along {named}: its neighbours are hidden too (structN2V, mask "
        f"{structure.describe(mask)} drawn from the measured correlation)",
        mask=footprint,
    )


def joined(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The union of masks that share their centre; the centre alone of none.

    Examples
    --------
    >>> joined([np.ones((1, 5), bool), np.ones((3, 1), bool)]).astype(int).tolist()
    [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]]
    """
    every = [np.ones((1, 1), np.bool_), *masks]
    shape = [max(m.shape[axis] for m in every) for axis in (0, 1)]
    union = np.zeros(shape, np.bool_)
    for m in every:
        y, x = ((shape[axis] - m.shape[axis]) // 2 for axis in (0, 1))
        union[y : y + m.shape[0], x : x + m.shape[1]] |= m
    return union


def _warnings(channels: Sequence[ChannelNoise], excluded: Sequence[str]) -> tuple[str, ...]:
    """What will not work and why, each once."""
    found: list[tuple[object, str]] = []
    for c in channels:
        saturation, weak = c.found["saturation"], c.correlation.weak if c.correlation else ()
        sharpened = c.correlation.sharpened if c.correlation else ()
        dark, bright = _shifts(c)
        found += [
            (
                saturation.clipped_bottom,
                f"{saturation.bottom_share:.1%} of the pixels are clipped at the dark end: their "
                f"noise is not zero-mean, so dark parts come out too bright{dark}",
            ),
            (
                saturation.clipped_top,
                f"{saturation.top_share:.1%} of the pixels are saturated: what is above cannot be "
                f"restored, and bright parts come out too dark{bright}",
            ),
            (
                weak,
                f"noise is weakly correlated along {' and '.join(weak)}: a trace of it will stay",
            ),
            (
                sharpened,
                f"noise is sharpened along {' and '.join(sharpened)} (neighbours differ by more "
                f"than independent noise does): a part of it can be predicted and stays; denoise "
                f"the image before it is sharpened",
            ),
            (
                c.found["jpeg"].found,
                "the image was compressed as JPEG: what is left of the noise is not "
                "independent, so part of it stays; denoise the uncompressed file",
            ),
            (
                c.found["interpolated"].found or c.found["demosaic"].found,
                "the pixels were interpolated (resampled or demosaiced), which spreads "
                "noise over neighbours; denoise the raw file where there is one",
            ),
            (
                c.curve is None or c.correlation is None,
                f"the noise of channel {c.name} could not be measured: too few pixels "
                f"that are neither constant nor clipped",
            ),
        ]
    found += [
        (
            any(c.correlation is not None and c.correlation.fade <= FADE for c in channels),
            "nothing here differs from pixel to pixel by more than the scene does: noise blurred "
            "over many pixels, if there is any, cannot be told from it and stays",
        ),
        *((True, note) for note in excluded),
    ]
    return tuple(dict.fromkeys(text for holds, text in found if holds))


def _shifts(channel: ChannelNoise) -> tuple[str, str]:
    """By how much dark and bright parts are shifted, in words; nothing where it is not known."""
    if channel.curve is None or channel.found["excess_noise"].found:
        return "", ""
    found = declipping(channel.curve, channel.found["saturation"])
    if found is None:
        return "", ""
    told = (f", by up to {v:.2g} grey levels (declip=true takes that back)" for v in found.most)
    dark, bright = (text if v > 0 else "" for text, v in zip(told, found.most, strict=True))
    return dark, bright


def seconds(ndim: int) -> float:
    """Expected time of the default training, from the speed of a matrix product here."""
    n = 128
    a = np.ones((n, n), np.float32)
    # Milliseconds in all; the fastest was not disturbed by other programs.
    best = min(timeit.repeat(lambda: a @ a, repeat=60, number=1))
    speed = 2 * n**3 / max(best, 1e-6)
    return float(DEFAULT_STEPS[ndim] * STEP_FLOPS[ndim] / (EFFICIENCY * speed))
