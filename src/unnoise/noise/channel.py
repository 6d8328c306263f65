"""The noise of one channel of an image: its curve, its correlation, and what else is special."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise import (
    correlated_curve,
    correlation,
    excess_noise,
    linear_probe,
    photon_transfer,
    scattered_holes,
)
from unnoise.noise.artifacts import bad_pixels, earlier_processing, histogram, scan, stripes
from unnoise.noise.planes import SampledPlanes, neighboring_planes, sampled

DOUBTFUL = 3.0
"""Log odds up to which the other channels of a photograph have a say."""


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
        Saturation, quantisation, bad pixels, constant background, stripes, periodic lines,
        shifted odd rows, copied lines, traces of JPEG, demosaicing and interpolation; each has
        ``found`` and ``line()``.
    contrast : float
        Robust range of the picture, from the 0.5 to the 99.5 percentile.
    """

    index: int
    name: str
    curve: photon_transfer.PhotonTransfer | None
    correlation: correlation.Correlation | None
    blind: linear_probe.Probe | None
    masked: linear_probe.Probe | None
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

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        photon, acf = self.curve, self.correlation
        values: dict[str, Any] = {
            "index": self.index,
            "name": self.name,
            "contrast": self.contrast,
            "snr_db": self.snr,
            "noise_sd": None,
            "correlated": bool(self.axes),
            "correlation_axes": list(self.axes),
            "found": {
                name: [plain(part) for part in finding]
                if isinstance(finding, tuple)
                else plain(finding)
                for name, finding in self.found.items()
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


def measure_channel(image: Image, c: int, odds: float | None = None) -> ChannelNoise | None:
    """The noise of one channel; None if it is constant.

    The log odds that it is correlated may be given, as channels of a photograph share them.
    """
    sample = sampled(image, c)
    planes = np.asarray(sample.filled, np.float64)
    span = float(np.ptp(planes))
    if span == 0:
        return None
    if not 1e-100 < span < 1e100:
        raise InputError(
            f"the values of {image.name} span {span:.3g}, whose square no number holds; scale them "
            f"to about 1 first"
        )
    planes, excluded = scattered_holes.with_noise(planes, sample.excluded)
    acf = correlation.measure(planes, excluded=excluded)
    if acf is not None and odds is not None:
        acf = dataclasses.replace(acf, odds=odds)
    if acf is not None:
        acf = correlated_curve.without_doubt(planes, acf, excluded)
    for letter in (k for k in "ZT" if image.sizes[k] > 1):
        run = np.asarray(neighboring_planes(image, c, letter, alone=True), np.float64)
        along = correlation.measure(run, letter)
        if acf is not None and along is not None:
            acf = acf.joined(along, letter)
    photon = correlated_curve.measure(planes, acf, excluded)
    blind = masked = None
    if acf is not None and photon is not None:
        blind = linear_probe.linear(planes, photon.level, acf.neighbours)
        if (mask := acf.mask()) is not None:
            masked = linear_probe.linear(planes, photon.level, acf.neighbours, mask)
    names = image.channel_names
    measured = np.asarray(sample.measured, np.float64)
    return ChannelNoise(
        index=c,
        name=names[c] if c < len(names) else str(c + 1),
        curve=photon,
        correlation=acf,
        blind=blind,
        masked=masked,
        found=_artefacts(sample, None if photon is None else math.sqrt(photon.level))
        | {"excess_noise": _excess(planes, excluded, photon, acf)},
        contrast=float(np.subtract(*np.percentile(measured, (99.5, 0.5)))),
    )


def together(image: Image, channels: tuple[ChannelNoise, ...]) -> tuple[ChannelNoise, ...]:
    """Channels of a photograph, of which a doubtful verdict is that of all: they share a camera.

    Cameras interpolate colours, so what speaks for correlated noise needs no proof there.
    """
    odds = {c.index: c.correlation.odds - correlation.SURE for c in channels if c.correlation}
    mean = float(np.mean(list(odds.values()))) if odds else 0.0
    sure = correlation.CERTAIN - correlation.SURE
    mean = max(mean, sure) if mean > 0 else mean
    other = {
        c
        for c, own in odds.items()
        if (own * mean < 0 and abs(own) < DOUBTFUL) or 0 < own < min(mean, sure)
    }
    return tuple(
        measure_channel(image, channel.index, mean + correlation.SURE) or channel
        if channel.index in other
        else channel
        for channel in channels
    )


def _artefacts(sample: SampledPlanes, noise: float | None) -> dict[str, Any]:
    """Everything else that is special in the pixels."""
    middle = sample.filled[len(sample.filled) // 2]
    return {
        "saturation": histogram.saturation(sample.measured),
        "quantisation": histogram.quantisation(sample.measured, noise=noise),
        "bad_pixels": bad_pixels.bad_pixels(sample.original),
        "background": bad_pixels.background(sample.original),
        "stripes": stripes.stripes(middle),
        "periodic": stripes.periodic(middle),
        "scan": scan.scan_shift(sample.filled),
        "copied_lines": scan.copied_lines(sample.original[len(sample.original) // 2]),
        "jpeg": earlier_processing.jpeg(middle),
        "demosaic": earlier_processing.demosaic(middle),
        "interpolated": earlier_processing.interpolated(middle),
    }


def _excess(
    planes: NDArray,
    excluded: NDArray[np.bool_] | None,
    photon: photon_transfer.PhotonTransfer | None,
    acf: correlation.Correlation | None,
) -> excess_noise.ExcessNoise:
    """Whether electrons were multiplied; only independent noise on a line can tell."""
    alone = acf is not None and not acf.along and photon is not None and photon.square is None
    return excess_noise.measure(planes, excluded) if alone else excess_noise.ExcessNoise()


def sentence(finding: Any) -> str | None:
    """What a finding says to people; nothing where nothing was found."""
    return finding.line() if finding.found else None


def plain(finding: Any) -> dict[str, Any]:
    """A finding as plain values with its verdict."""
    values = dataclasses.asdict(finding)
    values |= {"found": bool(finding.found), "line": sentence(finding)}
    return {
        k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in values.items()
    }
