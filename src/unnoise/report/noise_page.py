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
from unnoise.report import Chart, HeatMap, Number, Page, Picture, Section, Series


def of_noise(report: NoiseReport, picture: NDArray | None = None, command: str = "") -> Page:
    """The page of an inspection.

    Parameters
    ----------
    report : NoiseReport
    picture : ndarray, shape (y, x), optional
        A plane to show.
    command : str
        What repeats it.
    """
    shown = () if picture is None else (Picture(report.name, picture),)
    first = Section(
        report.name,
        pictures=shown,
        numbers=(
            Number("axes, shape, type", f"{report.axes} {report.shape} {report.dtype}"),
            Number("method", report.advice.automatic, meaning=report.advice.why),
            Number("options", report.advice.command, meaning="what --method auto would use"),
        ),
        text=tuple(report.sentences()),
    )
    return Page(
        title=f"Noise of {report.name}",
        verdict=verdict_of(report),
        sections=(first, *noise_sections([report])),
        warnings=report.advice.warnings,
        versions=versions(),
        command=command,
        created=now(),
    )


def page_of_many(pages: Sequence[Page], command: str = "") -> Page:
    """The pages of several inspections as one."""
    return Page(
        title=f"Noise of {len(pages)} images",
        verdict="; ".join(dict.fromkeys(page.verdict for page in pages)),
        sections=tuple(section for page in pages for section in page.sections),
        warnings=tuple(dict.fromkeys(w for page in pages for w in page.warnings)),
        versions=versions(),
        command=command,
        created=now(),
    )


def verdict_of(report: NoiseReport) -> str:
    """One line on the noise."""
    if report.correlated:
        kind = f"noise correlated along {' and '.join(report.correlation_axes)}"
    else:
        kind = "noise independent from pixel to pixel"
    return f"{kind}; method {report.advice.automatic}: {report.advice.why}"


def noise_sections(reports: Sequence[NoiseReport]) -> tuple[Section, ...]:
    """Noise curve and autocorrelation of every channel."""
    return tuple(_noise_section(r, channel) for r in reports for channel in r.channels)


def _noise_section(report: NoiseReport, channel: ChannelNoise) -> Section:
    many = len(report.channels) > 1
    title = f"Noise of {report.name}" + (f", channel {channel.name}" if many else "")
    charts: list[Chart | HeatMap] = []
    curve, acf = channel.curve, channel.correlation
    if curve is not None:
        x = np.linspace(curve.signal.min(), curve.signal.max(), 50)
        line = curve.at(x)
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
                (measured, Series("used", x, line)),
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
    return Section(title, numbers=tuple(noise_numbers(channel)), charts=tuple(charts))


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
        if curve.is_signal_dependent:
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
                Number("curve", "no straight line", meaning="stretched, clipped or mixed noise")
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
