"""From measurements and results to the pages of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unnoise.noise.inspect import NoiseReport
from unnoise.quality.assess import Assessment
from unnoise.report.noise_page import noise_sections, now, versions
from unnoise.report.page_parts import Chart, Number, Page, Picture, Section, Series
from unnoise.training.history import Record, kept, losses_of

LIMITS = {"novelty": 1.0, "leak": 1.5}
"""Where the maps begin to mean something."""


@dataclass(frozen=True, eq=False)
class DenoisedPlane:
    """A plane before and after, with what is known about it.

    Attributes
    ----------
    title : str
        File and place of the plane.
    noisy, clean : ndarray, shape (c, y, x)
        The denoised channels in image units.
    names : tuple of str
        Of the channels.
    is_rgb : bool
        Whether the three channels are one picture.
    pixel_size : (float, str)
        0 where it is not known.
    assessments : tuple of Assessment
        One per channel, or none where nothing is known of the noise.
    judged : (slice, slice)
        The part of the plane, in y and x, that the assessments are about.
    remark : str
        What endangers the result beyond the assessments.
    """

    title: str
    noisy: NDArray
    clean: NDArray
    names: tuple[str, ...]
    is_rgb: bool
    pixel_size: tuple[float, str]
    assessments: tuple[Assessment, ...]
    judged: tuple[slice, slice]
    remark: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of all channels, each once, and of which channel it is unless it is of all."""
        found: dict[str, list[str]] = {self.remark: []} if self.remark else {}
        for name, assessment in zip(self.names, self.assessments, strict=False):
            for text in dict.fromkeys(assessment.warnings):
                found.setdefault(text, []).append(name)
        count = len(self.assessments)
        return tuple(
            text if len(names) in (0, count) else f"channel {', '.join(names)}: {text}"
            for text, names in found.items()
        )


@dataclass(frozen=True)
class RunFacts:
    """How one model came about.

    Attributes
    ----------
    images : str
        The images it was trained on, for people.
    settings : str
        As YAML.
    seed : int
    history : sequence of mapping
        The records of its validations; none for a model of an earlier run.
    """

    images: str
    settings: str
    seed: int
    history: Sequence[Record] = ()


def of_results(
    shown: Sequence[DenoisedPlane],
    reports: Sequence[NoiseReport],
    *,
    title: str,
    why: Sequence[str] = (),
    runs: Sequence[RunFacts] = (),
    command: str = "",
) -> Page:
    """The page of what was denoised or trained, by one or several models."""
    sections = [section for s in shown for section in _result_sections(s)]
    sections += noise_sections(reports)

    def named(heading: str, run: RunFacts) -> str:
        return f"{heading} of {run.images}" if len(runs) > 1 else heading

    sections += [
        Section(named("Training", run), charts=(_loss_chart(run.history),))
        for run in runs
        if run.history
    ]
    seeds = {run.seed for run in runs}
    warnings = [f"{s.title}: {w}" for s in shown for w in s.warnings]
    warnings += [w for report in reports for w in report.advice.warnings]
    return Page(
        title=title,
        verdict=_verdict(shown, why),
        sections=tuple(sections),
        warnings=tuple(dict.fromkeys(warnings)),
        settings=tuple((named("Settings", run), run.settings) for run in runs),
        versions=versions(),
        seed=seeds.pop() if len(seeds) == 1 else None,  # several are in their settings
        command=command,
        created=now(),
    )


def _verdict(shown: Sequence[DenoisedPlane], why: Sequence[str]) -> str:
    """Gain and method in one line."""
    found = [a for s in shown for a in s.assessments if a.gain is not None]
    parts = []
    if found:  # of an image without signal, the gain is how flat the result is
        nothing = "nothing in the image rises above its noise"
        parts = [f"estimated {found[0].gain}" if found[0].has_signal else nothing]
    return "; ".join([*parts, *dict.fromkeys(why)]) or "finished"


def _result_sections(shown: DenoisedPlane) -> list[Section]:
    """Pictures, numbers and charts of a plane."""
    part = (slice(None), *shown.judged)
    noisy, clean = shown.noisy[part], shown.clean[part]
    spreads = [a.error for a in shown.assessments if a.error is not None]
    error = np.stack(spreads) if spreads and len(spreads) == len(shown.names) else None
    found: Sequence[Assessment | None] = shown.assessments or [None] * len(shown.names)
    pictures, label = [], shown.title
    if noisy.shape != shown.noisy.shape:  # the whole first, then the part with maps
        pictures += _pictures(shown, label, shown.noisy, shown.clean, None, [None] * len(found))
        label += ", middle"
    pictures += _pictures(shown, label, noisy, clean, error, found)
    quality = [
        Section(
            f"Quality, {shown.title}" + (f", channel {name}" if len(shown.names) > 1 else ""),
            numbers=tuple(quality_numbers(one)),
            charts=tuple(_charts(one)),
        )
        for name, one in zip(shown.names, shown.assessments, strict=False)
    ]
    return [Section(shown.title, pictures=tuple(pictures)), *quality]


def _pictures(
    shown: DenoisedPlane,
    title: str,
    noisy: NDArray,
    clean: NDArray,
    error: NDArray | None,
    found: Sequence[Assessment | None],
) -> list[Picture]:
    """One picture per channel, or one of all three colours."""

    def picture(label: str, which: slice, before: NDArray, after: NDArray) -> Picture:
        known = [a for a in found[which] if a is not None]
        about = shown.assessments[which]
        novel = [a.novelty for a in known if a.novelty is not None]
        leaks = [a.residual_structure.map for a in known if a.residual_structure is not None]
        return Picture(
            label,
            before,
            after,
            uncertainty=None if error is None else error[which].mean(0),
            novelty=np.max(novel, axis=0) if novel else None,
            leak=np.max(leaks, axis=0) if leaks else None,
            novelty_limit=LIMITS["novelty"],
            leak_limit=LIMITS["leak"],
            pixel_size=shown.pixel_size,
            has_signal=not about or any(a.has_signal for a in about),
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
                if found.gain.consistent and math.isfinite(found.gain.psnr.value + low)
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
                    "signal-to-error ratio",
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
                "independent noise is white; denoisers leave some, judge by the size",
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
                meaning="of two noisier copies of the image; consistency, not truth",
            )
        )
    if found.novel_share is not None:
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
            note="Should include 0 everywhere. Bins are of the result; where the central pixel is "
            "used (posterior), the ends bend a little by construction.",
        )
    ]
    if found.before is not None and found.after is not None:
        charts.append(
            Chart(
                "Fourier ring correlation of two noisier copies",
                "frequency (cycles per pixel)",
                "correlation",
                (
                    Series("noisy", found.before.frequency, found.before.correlation),
                    Series("denoised", found.after.frequency, found.after.correlation),
                    Series("1/7", [0, 0.5], [1 / 7, 1 / 7]),
                ),
                note="The copies are the image plus and minus random noise of the measured "
                "variance, which makes their noise uncorrelated. Where the denoised curve is above "
                "the noisy one, the results agree more than the copies do: by true detail, or by "
                "detail that is invented alike in both.",
            )
        )
    return charts


def _loss_chart(history: Sequence[Record]) -> Chart:
    """Losses against steps, and the validation whose weights are kept."""
    series = []
    for losses in losses_of(history):
        if any(map(math.isfinite, losses.training)):
            series.append(Series(losses.label("training"), losses.step, losses.training))
        band = (losses.low, losses.high) if any(map(math.isfinite, losses.low)) else (None, None)
        series.append(Series(losses.label("held out"), losses.step, losses.held_out, *band))
    if ring := kept(history):
        step, loss, label = ring
        series.append(Series(label, [step], [loss], style="points"))
    return Chart(
        "Loss against steps",
        "step",
        "loss (normalised units)",
        tuple(series),
        note="Held-out pixels are never training targets. The loss includes the noise, so it "
        "cannot reach 0.",
    )
