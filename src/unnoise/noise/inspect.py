"""What the noise of an image is: measured in seconds, and turned into advice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image, as_image
from unnoise.noise import fixed_pattern as detector
from unnoise.noise import still_frames
from unnoise.noise.advice import Advice, advise
from unnoise.noise.channel import ChannelNoise, measure_channel, plain, sentence, together
from unnoise.noise.excluded_pixels import looked_at, with_mask
from unnoise.noise.planes import neighboring_planes

SMALLEST = 16
STILL = 0.3
"""Correlation over time of a still scene from which a pattern of the detector is believed."""


@dataclass(frozen=True)
class NoiseReport:
    """What the noise of an image is, and what to do about it.

    Attributes
    ----------
    name, axes, shape, dtype
        The image.
    channels : tuple of ChannelNoise
        One for every channel that varies.
    repeats : Repeats or None
        Whether neighbouring frames along `repeats_axis` show the same scene, in all channels.
    repeats_axis : str or None
        ``T`` or ``S``.
    fixed_pattern : FixedPattern or None
        What stays in place over frames.
    excluded : mapping of str to int
        Pixels that are no measurement and were left out, by kind: ``nan``, ``nodata``, ``given``,
        ``padding``, ``outliers``.
    advice : Advice
        Method, mask, warnings.

    Examples
    --------
    >>> import numpy as np
    >>> import unnoise
    >>> y = np.random.default_rng(0).normal(100, 5, (128, 128))
    >>> report = unnoise.inspect(y)
    >>> report.correlated, report.method, round(report.channels[0].curve.level ** 0.5)
    (False, 'n2v', 5)
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    channels: tuple[ChannelNoise, ...]
    repeats: still_frames.Repeats | None
    repeats_axis: str | None
    fixed_pattern: detector.FixedPattern | None
    excluded: Mapping[str, int]
    advice: Advice

    @property
    def correlation_axes(self) -> tuple[str, ...]:
        """Axes along which the noise of any channel is correlated, in the order TZYX."""
        found = {axis for channel in self.channels for axis in channel.axes}
        return tuple(axis for axis in "TZYX" if axis in found)

    @property
    def missing(self) -> int:
        """NaN and infinite pixels."""
        return self.excluded.get("nan", 0)

    @property
    def correlated(self) -> bool:
        """Whether the noise is correlated along any axis."""
        return bool(self.correlation_axes)

    @property
    def method(self) -> str:
        """The method to use."""
        return self.advice.method

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "image": self.name,
            "axes": self.axes,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "correlated": self.correlated,
            "correlation_axes": list(self.correlation_axes),
            "method": self.method,
            "advice": dataclasses.asdict(self.advice),
            "missing": self.missing,
            "excluded": dict(self.excluded),
            "repeats": self.repeats and plain(self.repeats) | {"line": self.repeats.line()},
            "repeats_axis": self.repeats_axis,
            "fixed_pattern": self.fixed_pattern and plain(self.fixed_pattern),
            "channels": [channel.to_dict() for channel in self.channels],
        }

    def to_json(self) -> str:
        """The report as JSON; what is not finite becomes null."""
        text = json.dumps(self.to_dict())
        return json.dumps(json.loads(text, parse_constant=lambda name: None), indent=1)

    def sentences(self) -> list[str]:
        """What was found besides the numbers, in plain words."""
        lines: list[str | None] = [
            f"channel {channel.name}: {text}" if len(self.channels) > 1 else text
            for channel in self.channels
            for finding in channel.found.values()
            for part in (finding if isinstance(finding, tuple) else (finding,))[:3]
            if (text := sentence(part))
        ]
        if self.repeats is not None:  # whose line says more than what was found
            lines.append(self.repeats.line())
        if self.fixed_pattern is not None:
            lines.append(sentence(self.fixed_pattern))
        return [text for text in dict.fromkeys(lines) if text]


def inspect(
    image: Image | NDArray, *, axes: str | None = None, mask: Image | NDArray | None = None
) -> NoiseReport:
    """Measure the noise of an image and say which method suits it.

    Parameters
    ----------
    image : Image or ndarray
        Noisy image; large ones are sampled. Noise is measured where pixels are measurements, not
        in padding, NaN and outliers.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
    mask : Image or ndarray, optional
        Nonzero where pixels are measurements, as for `unnoise.with_mask`.

    Returns
    -------
    NoiseReport
        Noise curve, correlation, artefacts and advice for every channel.

    Raises
    ------
    InputError
        If the image is too small or constant.

    Examples
    --------
    >>> import numpy as np
    >>> import unnoise
    >>> from scipy import ndimage
    >>> white = np.random.default_rng(0).normal(0, 9, (128, 128))
    >>> rows = ndimage.uniform_filter1d(white, 5, axis=1) + 100
    >>> report = unnoise.inspect(rows)
    >>> report.correlated, report.correlation_axes
    (True, ('X',))
    """
    opened = as_image(image, axes)
    opened = looked_at(opened) if mask is None else with_mask(opened, mask)
    shape = as_image(image, axes).shape
    assert opened.mask is not None
    n = opened.sizes
    if min(n["Y"], n["X"]) < SMALLEST:
        raise InputError(
            f"{opened.name} is {n['Y']}x{n['X']} pixels, too small to measure noise; it takes "
            f"{SMALLEST}x{SMALLEST}"
        )
    channels = tuple(
        found
        for c in range(n["C"])
        if c != opened.alpha and (found := measure_channel(opened, c)) is not None
    )
    if not channels:
        raise InputError(
            f"{opened.name} is constant, so it has no noise to measure; check that the right "
            f"file, channel or axes were given"
        )
    if opened.is_rgb:
        channels = together(opened, channels)
    axis = next((k for k in "TS" if n[k] > 1), None)
    repeats = fixed = None
    looks: list[still_frames.Repeats] = []
    if axis is not None:
        frames = (neighboring_planes(opened, channel.index, axis) for channel in channels)
        looks = [still_frames.repeats(each) for each in frames]
        repeats = still_frames.worst(looks)
        if repeats.still:
            neighbours = neighboring_planes(opened, channels[0].index, axis, alone=True)
            distinct = neighbours[list(looks[0].distinct)]  # copies would look like a pattern
            if repeats.verdict == "repeats":  # nor is noise that frames share one
                fixed = detector.fixed_pattern(distinct)
            certain = fixed is not None and (fixed.found or len(distinct) < 4)
            channels = tuple(_at_rest(channel, certain) for channel in channels)
    return NoiseReport(
        name=opened.name,
        axes=opened.axes,
        shape=shape,
        dtype=str(opened.dtype),
        channels=channels,
        repeats=repeats,
        repeats_axis=axis,
        fixed_pattern=fixed,
        excluded=opened.mask.counts,
        advice=advise(
            opened,
            channels,
            repeats,
            axis,
            opened.mask.notes,
            shares_noise=still_frames.shares_noise(looks),
        ),
    )


def _at_rest(channel: ChannelNoise, certain: bool) -> ChannelNoise:
    """A channel of a still scene, whose texture is alike over time as a fixed pattern would be.

    From four frames on the search for a fixed pattern decides; from fewer only much counts.
    """
    acf = channel.correlation
    if acf is None or "T" not in acf.excess or (certain and acf.excess["T"][0] > STILL):
        return channel
    excess = {k: v for k, v in acf.excess.items() if k != "T"}
    return dataclasses.replace(channel, correlation=dataclasses.replace(acf, excess=excess))
