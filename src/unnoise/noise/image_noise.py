"""The noise of the images of a model: measured once, kept with the model as one object."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.camera.file import Camera
from unnoise.noise.channel import ChannelNoise
from unnoise.noise.clipping import declipping
from unnoise.noise.density import NoiseModel
from unnoise.noise.inspect import NoiseReport, inspect
from unnoise.noise.noise_models import EMCCD, VarianceCurve, from_dict
from unnoise.noise.photon_transfer import PhotonTransfer

KNOTS = 97
ROUNDING = 1e-12
"""Least range of the knots over their values: float64 tells them apart, whatever the offset."""
DOUBTFUL = 0.8
"""Believed share of a correlation, as the mean over channels, below which it is doubtful."""


@dataclass(frozen=True, eq=False)
class ImageNoise:
    """The noise of every denoised channel, in their order.

    Attributes
    ----------
    models : tuple of noise models, or None where it could not be measured
        In image units.
    relative_error : tuple of float
        Standard error of the noise variance as a share of it.
    correlated : tuple of str
        Axes along which the noise is correlated, e.g. ``"X"``.
    independent : tuple of str
        Axes of space along which no channel has correlated noise.
    autocorrelation : tuple of ndarray with odd sides, or None
        By lag, 1 in the centre, where a method splits correlated noise (r2r).
    doubtful : bool
        Whether a good part of the correlation may be that of texture.
    """

    models: tuple[NoiseModel | None, ...]
    relative_error: tuple[float, ...]
    correlated: tuple[str, ...]
    independent: tuple[str, ...] = ()
    autocorrelation: tuple[NDArray[np.float64] | None, ...] = ()
    doubtful: bool = False

    @property
    def known(self) -> list[NoiseModel]:
        """The noise models of all channels; empty where one could not be measured."""
        found = [model for model in self.models if model is not None]
        return found if len(found) == len(self.models) else []

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "models": [None if model is None else model.to_dict() for model in self.models],
            "relative_error": list(self.relative_error),
            "correlated": list(self.correlated),
            "independent": list(self.independent),
            "autocorrelation": [None if a is None else a.tolist() for a in self.autocorrelation],
            "doubtful": self.doubtful,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageNoise:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError, KeyError, TypeError, ValueError
            If something is missing or out of range.
        """
        return cls(
            models=tuple(None if v is None else from_dict(v) for v in values["models"]),
            relative_error=tuple(map(float, values["relative_error"])),
            correlated=tuple(map(str, values["correlated"])),
            independent=tuple(map(str, values["independent"])),
            autocorrelation=tuple(
                None if v is None else np.array(v, np.float64) for v in values["autocorrelation"]
            ),
            doubtful=bool(values.get("doubtful", False)),  # folders made before know no doubt
        )


def image_noise(
    images: Sequence[Image],
    channels: Sequence[int],
    reports: Sequence[NoiseReport],
    camera_file: str | None = None,
    *,
    shaped: bool = False,
) -> ImageNoise:
    """The noise of the denoised channels, from the reports or a camera file.

    Parameters
    ----------
    images : sequence of Image
        Noisy images with the same channels.
    channels : sequence of int
        Those that are denoised.
    reports : sequence of NoiseReport
        What was measured of the images.
    camera_file : str, optional
        What `unnoise calibrate` wrote; its noise models take the place of the measured ones.

    shaped : bool
        Whether a model of the shape of the noise is wanted where one is known (r2r), or its
        variance alone. The transform of `instant` is made for curves: with the variance of
        multiplied electrons, which falls to that of the read noise, it let bright outliers of the
        dark pass (W2S 001_0: -1.5 dB; nothing on three others).

    Raises
    ------
    InputError
        If the camera file cannot be read, or is for another number of channels.
    """
    models: list[NoiseModel | None] = []
    errors, axes = [], []
    for c in channels:
        found = [x for report in reports for x in report.channels if x.index == c]
        curves = [x.curve for x in found if x.curve is not None]
        models.append((_shaped(found) if shaped else None) or _curve(found))
        errors.append(float(np.mean([curve.level_error for curve in curves])) if curves else 1.0)
        axes.append("".join(k for k in "TZYX" if any(k in x.axes for x in found)))
    if camera_file is not None:
        first = images[0]
        colours = [c for c in range(first.sizes["C"]) if c != first.alpha]
        of_camera = Camera.load(camera_file).models(len(colours))
        models = [of_camera[colours.index(c)] for c in channels]
    correlated = {axis for report in reports for axis in report.correlation_axes}
    independent = tuple(axis for axis in "ZYX" if axis not in correlated)
    shapes = [x.correlation for report in reports for x in report.channels if x.correlation]
    shares = [acf.share for acf in shapes if {*acf.along} & {*"YX"}]
    doubtful = bool(shares) and float(np.mean(shares)) < DOUBTFUL
    return ImageNoise(tuple(models), tuple(errors), tuple(axes), independent, doubtful=doubtful)


def inspect_images(images: Sequence[Image]) -> list[NoiseReport]:
    """What can be measured of the first, the middle and the last image."""
    found = []
    for i in sorted({0, len(images) // 2, len(images) - 1}):
        with contextlib.suppress(InputError):
            found.append(inspect(images[i]))
    return found


def _shaped(found: Sequence[ChannelNoise]) -> NoiseModel | None:
    """The noise of a channel where more than its variance is known: tails, or ends."""
    multiplied = _multiplied(found)
    if multiplied is not None or len(found) != 1 or found[0].curve is None:
        return multiplied
    clipped = declipping(found[0].curve, found[0].found["saturation"])
    return None if clipped is None or found[0].axes else clipped.model()


def _multiplied(found: Sequence[ChannelNoise]) -> NoiseModel | None:
    """The noise of multiplied electrons, if a channel has it in all images."""
    excess = [x.found["excess_noise"] for x in found]
    if not excess or not all(e.found for e in excess):
        return None
    names = ("gain", "offset", "read_variance")
    return EMCCD(*(float(np.mean([getattr(e, name) for e in excess])) for name in names))


def _curve(found: Sequence[ChannelNoise]) -> NoiseModel | None:
    """The mean curve of a channel; None where it could not be measured."""
    curves = [x.curve for x in found if x.curve is not None]
    return mean_curve(curves) if curves else None


def mean_curve(curves: Sequence[PhotonTransfer]) -> NoiseModel:
    """The mean of several measured curves, as a noise model."""
    low = min(float(curve.signal.min()) for curve in curves)
    high = max(float(curve.signal.max()) for curve in curves)
    span = max(high - low, ROUNDING * abs(high), 1e-300)
    # Dense where the picture is, since a line bends where it meets its floor; and beyond, as
    # lines go on where no place is calm: bright spots seldom are.
    inside = np.linspace(low - span / 2, high, KNOTS)
    knots = np.append(inside, high + span * np.array([0.5, 1.0, 2.0]))
    return VarianceCurve(knots, np.mean([curve.at(knots) for curve in curves], axis=0))
