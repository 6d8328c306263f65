"""What was measured of the noise, as a page of the report."""

from __future__ import annotations

import datetime
import math
import platform
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from unnoise.noise.channel import ChannelNoise
from unnoise.noise.inspect import NoiseReport
from unnoise.report.page_parts import Chart, HeatMap, Number, Page, Picture, Section, Series


def of_noise(
    reports: Sequence[NoiseReport], pictures: Sequence[NDArray | None], command: str = ""
) -> Page:
    """The page of an inspection of one or several images.

    Parameters
    ----------
    reports : sequence of NoiseReport
    pictures : sequence of ndarray, shape (y, x), or None
        A plane of each to show.
    command : str
        What repeats it.
    """
    what = reports[0].name if len(reports) == 1 else f"{len(reports)} images"
    return Page(
        title=f"Noise of {what}",
        verdict="; ".join(
            dict.fromkeys(
                f"noise {kind_of(r)}; method {r.advice.automatic}: {r.advice.why}" for r in reports
            )
        ),
        sections=tuple(
            section
            for report, picture in zip(reports, pictures, strict=True)
            for section in (_first_section(report, picture), *noise_sections([report]))
        ),
        warnings=tuple(dict.fromkeys(w for report in reports for w in report.advice.warnings)),
        versions=versions(),
        command=command,
        created=now(),
    )


def _first_section(report: NoiseReport, picture: NDArray | None) -> Section:
    """What the image is, and what to do with it."""
    return Section(
        report.name,
        pictures=() if picture is None else (Picture(report.name, picture),),
        numbers=(
            Number("axes, shape, type", f"{report.axes} {report.shape} {report.dtype}"),
            Number("method", report.advice.automatic, meaning=report.advice.why),
            Number("options", report.advice.command, meaning="what --method auto would use"),
        ),
        text=tuple(report.sentences()),
    )


def kind_of(report: NoiseReport) -> str:
    """Independent, or correlated along which axes."""
    if report.correlated:
        return f"correlated along {' and '.join(report.correlation_axes)}"
    return "independent from pixel to pixel"


def noise_sections(reports: Sequence[NoiseReport]) -> tuple[Section, ...]:
    """Noise curve and autocorrelation of every channel."""
    return tuple(_noise_section(r, channel) for r in reports for channel in r.channels)


def _noise_section(report: NoiseReport, channel: ChannelNoise) -> Section:
    which = f", channel {channel.name}" if len(report.channels) > 1 else ""
    charts: list[Chart | HeatMap] = []
    curve, acf = channel.curve, channel.correlation
    if curve is not None:
        x = np.linspace(curve.signal.min(), curve.signal.max(), 50)
        measured = Series(
            "measured",
            curve.signal,
            curve.variance,
            curve.variance - 1.96 * curve.error,
            curve.variance + 1.96 * curve.error,
            style="points",
        )
        charts.append(
            Chart(
                "Noise variance against intensity",
                "intensity (grey levels)",
                "variance",
                (measured, Series("used", x, curve.at(x))),
                note="A straight line is what photons and a linear camera give.",
            )
        )
    if acf is not None:
        charts.append(
            HeatMap(
                "Autocorrelation of the noise",
                acf.rho,
                note="Independent noise has no colour away from lag 0. Smooth texture that was "
                "left shows as a round glow.",
            )
        )
    return Section(
        f"Noise of {report.name}{which}",
        numbers=tuple(noise_numbers(channel)),
        charts=tuple(charts),
    )


def noise_numbers(channel: ChannelNoise) -> list[Number]:
    """The measured noise of a channel as text."""
    curve, acf = channel.curve, channel.correlation
    numbers = []
    if curve is not None:
        half = 1.96 * curve.level_error / 2 * math.sqrt(curve.level)
        sd = math.sqrt(curve.level)
        numbers.append(
            Number(
                "noise, standard deviation",
                f"{sd:.3g} grey levels",
                f"{max(sd - half, 0):.3g} to {sd + half:.3g}",
                "mean over the picture",
            )
        )
        if curve.is_signal_dependent and curve.square is None:
            numbers += [
                Number(
                    "gain",
                    f"{curve.gain:.3g} grey levels per electron",
                    f"{curve.gain_low:.3g} to {curve.gain_high:.3g}",
                    "variance grows by this with every grey level",
                ),
                Number("offset", f"{curve.offset:.4g}", meaning="grey level without light"),
                Number(
                    "read noise",
                    f"{curve.read_noise:.3g} grey levels",
                    meaning="one picture cannot tell a larger offset from more read noise",
                ),
            ]
        if not curve.is_line:
            numbers.append(
                Number(
                    "curve",
                    "no straight line" if curve.square is None else "bends upwards",
                    meaning="stretched, clipped or mixed noise"
                    if curve.square is None
                    else "multiplicative noise, such as speckle",
                )
            )
        numbers.append(
            Number(
                "contrast-to-noise ratio", f"{channel.snr:.1f} dB", meaning="above 40: nearly clean"
            )
        )
    if acf is not None:
        for letter, (value, error) in acf.excess.items():
            numbers.append(
                Number(
                    f"correlation along {letter}",
                    f"{value:+.3f}",
                    f"{value - 1.96 * error:+.3f} to {value + 1.96 * error:+.3f}",
                    "between neighbouring pixels, beyond that of texture; above 0.065 the method "
                    "must model it",
                )
            )
    return numbers


def versions() -> dict[str, str]:
    """What computed this."""
    names = ("unnoise", "torch", "numpy", "scipy")
    return {**{name: version(name) for name in names}, "python": platform.python_version()}


def now() -> str:
    """The time for people."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
