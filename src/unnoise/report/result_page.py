"""From measurements and results to the pages of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unnoise.noise.inspect import NoiseReport
from unnoise.report import Chart, Number, Page, Picture, Section, Series
from unnoise.report.noise_page import noise_sections, now, versions

if TYPE_CHECKING:
    from unnoise.quality.assess import Assessment

LIMITS = {"novelty": 1.0, "leak": 1.5}
"""Where the maps begin to mean something."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A plane before and after, with what is known about it.

    Attributes
    ----------
    title : str
        File and place of the plane.
    noisy, clean : ndarray, shape (c, y, x)
        The denoised channels in image units.
    error : ndarray, shape (c, y, x), or None
        Expected standard deviation of the result around the clean image.
    names : tuple of str
        Of the channels.
    is_rgb : bool
        Whether the three channels are one picture.
    pixel_size : (float, str) or None
    assessments : tuple of Assessment
        One per channel, or none where nothing is known of the noise.
    judged : (slice, slice)
        The part of the plane, in y and x, that the assessments are about.
    """

    title: str
    noisy: NDArray
    clean: NDArray
    error: NDArray | None
    names: tuple[str, ...]
    is_rgb: bool
    pixel_size: tuple[float, str] | None
    assessments: tuple[Assessment, ...]
    judged: tuple[slice, slice]


def of_results(
    shown: Sequence[Shown],
    reports: Sequence[NoiseReport],
    *,
    title: str,
    why: Sequence[str] = (),
    history: Sequence[Mapping[str, float]] = (),
    settings: str = "",
    seed: int | None = None,
    command: str = "",
) -> Page:
    """The page of a run that denoised or trained."""
    sections = [section for s in shown for section in _result_sections(s)]
    sections += noise_sections(reports)
    if history:
        sections.append(_training(history))
    warnings = [f"{s.title}: {w}" for s in shown for a in s.assessments for w in a.warnings]
    warnings += [w for report in reports for w in report.advice.warnings]
    return Page(
        title=title,
        verdict=_verdict(shown, why),
        sections=tuple(sections),
        warnings=tuple(dict.fromkeys(warnings)),
        settings=settings,
        versions=versions(),
        seed=seed,
        command=command,
        created=now(),
    )


def _verdict(shown: Sequence[Shown], why: Sequence[str]) -> str:
    """Gain and method in one line."""
    gains = [str(a.gain) for s in shown for a in s.assessments if a.gain is not None]
    parts = [f"estimated {gains[0]}"] if gains else []
    return "; ".join([*parts, *why]) or "finished"


def _result_sections(shown: Shown) -> list[Section]:
    """Pictures, numbers and charts of a plane."""
    part = (slice(None), *shown.judged)
    noisy, clean = shown.noisy[part], shown.clean[part]
    spreads = [a.error for a in shown.assessments if a.error is not None]
    error = np.stack(spreads) if spreads and len(spreads) == len(shown.names) else None
    found: Sequence[Assessment | None] = shown.assessments or [None] * len(shown.names)
    pictures = []
    if noisy.shape != shown.noisy.shape:  # the whole first, then the part with maps
        pictures += _pictures(
            shown, shown.title, shown.noisy, shown.clean, None, [None] * len(found)
        )
    label = shown.title if not pictures else f"{shown.title}, middle"
    pictures += _pictures(shown, label, noisy, clean, error, found)
    sections = [Section(shown.title, pictures=tuple(pictures))]
    for name, one in zip(shown.names, shown.assessments, strict=False):
        title = f"Quality, {shown.title}" + (f", channel {name}" if len(shown.names) > 1 else "")
        sections.append(
            Section(title, numbers=tuple(quality_numbers(one)), charts=tuple(_charts(one)))
        )
    return sections


def _pictures(
    shown: Shown,
    title: str,
    noisy: NDArray,
    clean: NDArray,
    error: NDArray | None,
    found: Sequence[Assessment | None],
) -> list[Picture]:
    """One picture per channel, or one of all three colours."""

    def picture(label: str, which: slice, before: NDArray, after: NDArray) -> Picture:
        known = [a for a in found[which] if a is not None]
        leaks = [a.residual_structure.map for a in known if a.residual_structure is not None]
        return Picture(
            label,
            before,
            after,
            uncertainty=None if error is None else error[which].mean(0),
            novelty=np.max([a.novelty for a in known], axis=0) if known else None,
            leak=np.max(leaks, axis=0) if leaks else None,
            novelty_limit=LIMITS["novelty"],
            leak_limit=LIMITS["leak"],
            pixel_size=shown.pixel_size,
        )

    if shown.is_rgb:
        colours = [np.moveaxis(a, 0, -1) for a in (noisy, clean)]
        return [picture(title, slice(None), colours[0], colours[1])]
    return [
        picture(
            f"{title}, channel {name}" if len(shown.names) > 1 else title,
            slice(i, i + 1),
            noisy[i],
            clean[i],
        )
        for i, name in enumerate(shown.names)
    ]


def quality_numbers(found: Assessment) -> list[Number]:
    """The judgement of a result as text."""
    numbers = []
    if found.gain is not None:
        low, high = found.gain.psnr.low, found.gain.psnr.high
        numbers.append(
            Number(
                "estimated gain",
                f"{found.gain.psnr.value:.1f} dB"
                if found.gain.consistent and math.isfinite(found.gain.psnr.value)
                else str(found.gain),
                f"{low:.1f} to {high:.1f} dB"
                if math.isfinite(low + high)
                else (f"at least {low:.1f} dB" if math.isfinite(low) else ""),
                "PSNR over the noisy image, from the noisy data alone (95 % interval)",
            )
        )
        if found.gain.consistent and found.gain.snr > 0 and math.isfinite(found.gain.snr):
            numbers.append(
                Number(
                    "signal over error",
                    f"{10 * math.log10(found.gain.snr):.1f} dB",
                    meaning="variance of the result over its estimated squared error",
                )
            )
    if found.whiteness is not None:
        numbers.append(
            Number(
                "largest correlation in what was removed",
                f"{found.whiteness.largest:+.3f}",
                f"white noise stays below {found.whiteness.limit:.3f}",
                "independent noise is white; nets leave some, judge by the size",
            )
        )
    if found.residual_structure is not None:
        c = found.residual_structure.correlation
        numbers.append(
            Number(
                "structure in what was removed",
                f"{c.value:+.3f}",
                f"{c.low:+.3f} to {c.high:+.3f}",
                "correlation of its energy with edges; above 0, structure was lost",
            )
        )
    bias = found.bias
    numbers.append(
        Number(
            "change of the mean",
            f"{-bias.total_relative:+.2%}",
            f"{-bias.total.high:+.3g} to {-bias.total.low:+.3g} grey levels",
            "0 is right: intensities can be compared",
        )
    )
    if found.before is not None:
        numbers.append(
            Number(
                "resolution (FRC 1/7)",
                f"{_pixels(found.resolution_before)} before, "
                f"{_pixels(found.resolution_after)} after",
                meaning="of two halves of the light; consistency, not truth",
            )
        )
    numbers.append(
        Number(
            "unlike the training images",
            f"{found.novel_share:.1%}",
            meaning="of the pixels; about 1 % is chance",
        )
    )
    return numbers


def _pixels(resolution: float | None) -> str:
    return "not crossed" if resolution is None else f"{resolution:.1f} pixels"


def _charts(found: Assessment) -> list[Chart]:
    """Bias by intensity, and Fourier ring correlation."""
    bias = found.bias
    charts = [
        Chart(
            "Mean change by intensity",
            "intensity of the result (grey levels)",
            "result less noisy",
            (Series("change", bias.centre, -bias.mean, -bias.high, -bias.low, style="points"),),
            note="Should include 0 everywhere. Bins are of the result; where it keeps the pixel "
            "itself, the ends bend a little by construction.",
        )
    ]
    if found.before is not None and found.after is not None:
        charts.append(
            Chart(
                "Fourier ring correlation of two halves",
                "frequency (cycles per pixel)",
                "correlation",
                (
                    Series("noisy", found.before.frequency, found.before.correlation),
                    Series("denoised", found.after.frequency, found.after.correlation),
                    Series("1/7", [0, 0.5], [1 / 7, 1 / 7]),
                ),
                note="Where the denoised curve is above the noisy one, the net added consistency: "
                "true detail or habit.",
            )
        )
    return charts


def _training(history: Sequence[Mapping[str, float]]) -> Section:
    """Losses against steps."""
    lines = [line for line in history if "step" in line]
    step = [line["step"] for line in lines]

    def column(name: str) -> list[float]:
        return [float(line.get(name, math.nan)) for line in lines]

    series = []
    if any(math.isfinite(v) for v in column("loss")):
        series.append(Series("training", step, column("loss")))
    low, high = column("held_out_low"), column("held_out_high")
    band = (low, high) if any(map(math.isfinite, low)) else (None, None)
    series.append(Series("held out", step, column("held_out"), *band))
    chart = Chart(
        "Loss against steps",
        "step",
        "loss (normalised units)",
        tuple(series),
        note="Held-out pixels are never training targets. The loss includes the noise, so it "
        "cannot reach 0.",
    )
    return Section("Training", charts=(chart,))


def scale_of(image: Any) -> tuple[float, str] | None:
    """Pixel size and unit of an image, for a scale bar."""
    size = image.scale.get("X")
    return None if not size else (float(size), str(image.units.get("X", "pixel")))
