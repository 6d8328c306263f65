"""What the noise of an image is: measured in seconds, and turned into advice."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image, as_image
from unnoise.noise import correlation
from unnoise.noise import fixed_pattern as detector
from unnoise.noise import linear_probe as probe
from unnoise.noise import photon_transfer as curve
from unnoise.noise import still_frames as frames
from unnoise.noise.advice import Advice, advise
from unnoise.noise.artifacts import histogram as levels
from unnoise.noise.artifacts import pixels
from unnoise.noise.artifacts import processing as traces
from unnoise.noise.artifacts import stripes as lines
from unnoise.noise.planes import missing as count_missing
from unnoise.noise.planes import run
from unnoise.noise.planes import sampled as sampled

SMALLEST = 16
LEAST_HIGH = 0.3
"""Below this share of white noise's, high frequencies say too little of correlated noise."""
STILL = 0.3
"""Correlation over time of a still scene from which a pattern of the detector is believed."""


@dataclass(frozen=True)
class ChannelNoise:
    """The noise of one channel.

    Attributes
    ----------
    index : int
        Position along C.
    name : str
        Name of the channel, or its number.
    curve : PhotonTransfer or None
        Noise variance against intensity; None where nothing could be measured.
    correlation : Correlation or None
        Autocorrelation of the noise.
    blind, masked : Probe or None
        What linear predictions reach, without and with the measured mask.
    found : mapping of str to object
        Saturation, quantisation, bad pixels, constant background, stripes, periodic lines, traces
        of JPEG, demosaicing and interpolation; each has ``found`` and ``line()``.
    contrast : float
        Robust range of the picture, from the 0.5 to the 99.5 percentile.
    """

    index: int
    name: str
    curve: curve.PhotonTransfer | None
    correlation: correlation.Correlation | None
    blind: probe.Probe | None
    masked: probe.Probe | None
    found: dict[str, Any]
    contrast: float

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes along which the noise is correlated."""
        return self.correlation.along if self.correlation else ()

    @property
    def snr(self) -> float:
        """Contrast over the mean standard deviation of the noise, in dB; NaN if not measured."""
        if self.curve is None or self.contrast <= 0:
            return math.nan
        return 10 * math.log10(self.contrast**2 / max(self.curve.level, 1e-300))


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
        Whether neighbouring frames along `repeats_axis` show the same scene.
    repeats_axis : str or None
        ``T`` or ``S``.
    fixed_pattern : FixedPattern or None
        What stays in place over frames.
    missing : int
        NaN and infinite pixels; of images above 64 million pixels those that were looked at.
    advice : Advice
        Method, mask, warnings.

    Examples
    --------
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
    repeats: frames.Repeats | None
    repeats_axis: str | None
    fixed_pattern: detector.FixedPattern | None
    missing: int
    advice: Advice

    @property
    def correlation_axes(self) -> tuple[str, ...]:
        """Axes along which the noise of any channel is correlated, in the order TZYX."""
        found = {axis for channel in self.channels for axis in channel.axes}
        return tuple(axis for axis in "TZYX" if axis in found)

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
            "repeats": None if self.repeats is None else _plain(self.repeats),
            "repeats_axis": self.repeats_axis,
            "fixed_pattern": None if self.fixed_pattern is None else _plain(self.fixed_pattern),
            "channels": [_channel(channel) for channel in self.channels],
        }

    def to_json(self) -> str:
        """The report as JSON; what is not finite becomes null."""
        return json.dumps(_finite(self.to_dict()), indent=1)

    def sentences(self) -> list[str]:
        """What was found besides the numbers, in plain words."""
        lines = []
        for channel in self.channels:
            for finding in channel.found.values():
                parts = finding if isinstance(finding, tuple) else (finding,)
                for text in filter(None, (part.line() for part in parts[:3])):
                    many = len(self.channels) > 1
                    lines.append(f"channel {channel.name}: {text}" if many else text)
        for extra in (self.repeats, self.fixed_pattern):
            if extra is not None and (text := extra.line()):
                lines.append(text)
        return list(dict.fromkeys(lines))


def inspect(image: Image | NDArray, *, axes: str | None = None) -> NoiseReport:
    """Measure the noise of an image and say which method suits it.

    Parameters
    ----------
    image : Image or ndarray
        Noisy image; large ones are sampled. Missing pixels (NaN) are counted and filled.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

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
    >>> import unnoise
    >>> from scipy import ndimage
    >>> white = np.random.default_rng(0).normal(0, 9, (128, 128))
    >>> rows = ndimage.uniform_filter1d(white, 5, axis=1) + 100
    >>> report = unnoise.inspect(rows)
    >>> report.correlated, report.correlation_axes
    (True, ('X',))
    """
    opened = as_image(image, axes)
    n = opened.sizes
    if min(n["Y"], n["X"]) < SMALLEST:
        raise InputError(
            f"{opened.name} is {n['Y']}x{n['X']} pixels, too small to measure noise; it takes "
            f"{SMALLEST}x{SMALLEST}"
        )
    missing = count_missing(opened)
    channels = tuple(
        found
        for c in range(n["C"])
        if c != opened.alpha and (found := _inspect_channel(opened, c)) is not None
    )
    if not channels:
        raise InputError(
            f"{opened.name} is constant, so it has no noise to measure; check that the right "
            f"file, channel or axes were given"
        )
    axis = next((k for k in "TS" if n[k] > 1), None)
    repeats = fixed = None
    if axis is not None:
        neighbours = run(opened, channels[0].index, axis)
        # Without a variance: that of single pixels follows the signal, its mean misleads.
        repeats = frames.repeats(neighbours)
        if repeats.still:
            fixed = detector.fixed_pattern(neighbours)
            certain = fixed.found or len(neighbours) < 4
            channels = tuple(_at_rest(channel, certain) for channel in channels)
    advice = advise(opened, channels, repeats, axis, missing)
    return NoiseReport(
        name=opened.name,
        axes=opened.axes,
        shape=opened.shape,
        dtype=str(opened.dtype),
        channels=channels,
        repeats=repeats,
        repeats_axis=axis,
        fixed_pattern=fixed,
        missing=missing,
        advice=advice,
    )


def _inspect_channel(image: Image, c: int) -> ChannelNoise | None:
    """The noise of one channel; None if it is constant."""
    raw = sampled(image, c)
    planes = np.asarray(raw, np.float64)
    span = float(np.ptp(planes))
    if span == 0:
        return None
    if not 1e-100 < span < 1e100:
        raise InputError(
            f"the values of {image.name} span {span:.3g}, whose square no number holds; scale them "
            f"to about 1 first"
        )
    runs = {k: run(image, c, k) for k in "ZT" if image.sizes[k] > 1}
    acf = correlation.measure(planes)
    for letter, neighbours in runs.items():
        along = correlation.measure(np.asarray(neighbours, np.float64), letter)
        if acf is not None and along is not None:
            acf = acf.joined(along, letter)
    photon = _curve(planes, acf)
    blind = masked = None
    if acf is not None and photon is not None:
        blind = probe.linear(planes, photon.level, acf.neighbours)
        mask = acf.mask()
        if mask is not None:
            masked = probe.linear(planes, photon.level, acf.neighbours, mask)
    names = image.channel_names
    return ChannelNoise(
        index=c,
        name=names[c] if c < len(names) else str(c + 1),
        curve=photon,
        correlation=acf,
        blind=blind,
        masked=masked,
        found=_artefacts(raw, None if photon is None else math.sqrt(photon.level)),
        contrast=float(np.subtract(*np.percentile(planes, (99.5, 0.5)))),
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


def _curve(planes: NDArray, acf: correlation.Correlation | None) -> curve.PhotonTransfer | None:
    """Noise against intensity, by the way that the correlation allows."""
    if acf is None or not acf.along:
        return curve.measure(planes)
    share = correlation.high_share(acf.neighbours)
    if share > LEAST_HIGH:
        return curve.measure(planes, spread=share)
    return curve.of_blocks(acf.signal, acf.variance * (1 - acf.texture))


def _artefacts(planes: NDArray, noise: float | None) -> dict[str, Any]:
    """Everything else that is special in the pixels."""
    middle = planes[len(planes) // 2]
    return {
        "saturation": levels.saturation(planes),
        "quantisation": levels.quantisation(planes, noise=noise),
        "bad_pixels": pixels.bad_pixels(planes),
        "background": pixels.background(planes),
        "stripes": lines.stripes(middle),
        "periodic": lines.periodic(middle),
        "jpeg": traces.jpeg(middle),
        "demosaic": traces.demosaic(middle),
        "interpolated": traces.interpolated(middle),
    }


def _channel(channel: ChannelNoise) -> dict[str, Any]:
    """A channel as plain values."""
    photon, acf = channel.curve, channel.correlation
    values: dict[str, Any] = {
        "index": channel.index,
        "name": channel.name,
        "contrast": channel.contrast,
        "snr_db": channel.snr,
        "noise_sd": None,
        "correlated": bool(channel.axes),
        "correlation_axes": list(channel.axes),
        "found": {
            name: [_plain(part) for part in finding]
            if isinstance(finding, tuple)
            else _plain(finding)
            for name, finding in channel.found.items()
        },
    }
    if photon is not None:
        values |= {
            "noise_sd": math.sqrt(photon.level),
            "noise_sd_relative_error": photon.level_error / 2,
            "gain": photon.gain,
            "gain_interval": [photon.gain_low, photon.gain_high],
            "offset": photon.offset,
            "read_noise": photon.read_noise,
            "signal_dependent": photon.is_signal_dependent,
            "line": photon.is_line,
            "curve": {
                "signal": photon.signal.tolist(),
                "variance": photon.variance.tolist(),
                "error": photon.error.tolist(),
            },
        }
    if acf is not None:
        r = len(acf.rho) // 2
        values["autocorrelation"] = {
            "y": acf.rho[r:, r].tolist(),
            "x": acf.rho[r, r:].tolist(),
            "excess": {k: list(v) for k, v in acf.excess.items()},
        }
        mask = acf.mask()
        values["mask"] = None if mask is None else mask.astype(int).tolist()
    return values


def _plain(found: Any) -> dict[str, Any]:
    """A finding as plain values with its verdict."""
    values = dataclasses.asdict(found) | {"found": bool(found.found), "line": found.line()}
    return {
        k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in values.items()
    }


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no NumPy numbers."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
