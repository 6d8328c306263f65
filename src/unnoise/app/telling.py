"""What a job tells of its models and results: announcements, verdicts, and the report."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from unnoise.app.events import Event, Judged, Message, Saved, Trained, Warned
from unnoise.app.files import ReportOptions
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.noise.channel import sentence
from unnoise.noise.inspect import NoiseReport
from unnoise.quality.assess import Assessment
from unnoise.quality.verdict import verdict
from unnoise.report.page import write as write_page
from unnoise.report.result_page import DenoisedPlane, RunFacts, of_results
from unnoise.training import levels
from unnoise.training.auto import MethodChoice
from unnoise.training.duration import expected_duration, is_long
from unnoise.training.plan import describe
from unnoise.training.run import Run


def introduced(images: Sequence[Image], model: Model, choice: MethodChoice) -> Generator[Message]:
    """What is about to be trained, and why."""
    groups = levels.groups_of(model, images)
    if len(groups) > 1:
        yield Message(levels.describe_groups([group for _, group in groups]))
    if choice.why:
        yield Message(choice.why)
    yield from shifted_rows(choice.reports)
    for own, (parts, _) in groups:
        names = parts[0].name if len(parts) == 1 else f"{len(parts)} images"
        yield Message(f"{names}: {describe(own, parts)}")


def announced(
    images: Sequence[Image],
    model: Model,
    choice: MethodChoice,
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> Generator[Message]:
    """What is about to be trained, why, and how long it will take."""
    yield from introduced(images, model, choice)
    if any(is_long(own, parts) for own, (parts, _) in levels.groups_of(model, images)):
        expected = expected_duration(model, images, device, targets)
        if expected is not None:
            yield Message(f"expected time: {expected}")


def shifted_rows(reports: Sequence[NoiseReport]) -> Iterator[Warned]:
    """Where odd rows are shifted against even ones, which no method undoes by itself."""
    for report in reports:
        lines = (sentence(channel.found["scan"]) for channel in report.channels)
        yield from (Warned(f"{report.name}: {line}") for line in [*filter(None, lines)][:1])


def called(image: Image) -> str:
    """The file of an image, with its series where there are several."""
    return image.name if image.path is None else str(image.path.parent / image.name)


def trained(model: Model, images: Sequence[Image], run: Run) -> Trained:
    """What there is to say of a finished run."""
    return Trained(
        model.config.method,
        None if model.choice is None else model.choice.candidate,
        tuple(map(called, images)),
        run.step,
        run.seconds,
    )


def judged(image: Image, model: Model, shown: DenoisedPlane | None, *, seconds: float) -> Judged:
    """What is known of a result from its plane."""
    channels: Sequence[Assessment] = () if shown is None else shown.assessments
    known = [None if a.gain is None or not a.gain.consistent else a.gain.psnr for a in channels]
    names = () if shown is None else shown.names
    return Judged(
        image=called(image),
        method=model.config.method,
        verdict=verdict(channels),
        gains=tuple(zip(names, known, strict=False)),
        warnings=() if shown is None else shown.warnings,
        seconds=seconds,
        axes=image.axes,
    )


def facts(
    images: Sequence[Image], model: Model, history: Sequence[Mapping[str, float]] = ()
) -> RunFacts:
    """What the report tells of the training of a model."""
    names = ", ".join(image.name for image in images[:3])
    names += f" and {len(images) - 3} more" if len(images) > 3 else ""
    return RunFacts(names, model.config.to_yaml(), model.config.training.seed, history)


def reported(
    path: Path,
    what: str,
    reporting: ReportOptions,
    runs: Sequence[RunFacts],
    shown: Iterable[DenoisedPlane],
    reports: Sequence[NoiseReport],
    why: Sequence[str],
) -> Generator[Event]:
    """Write the report of one or several runs.

    The results are safe already, so whatever fails, showing them too, only costs the report.
    """
    try:
        planes = list(shown)
        more = f" and {len(planes) - 1} more" if len(planes) > 1 else ""
        title = f"{what}: {planes[0].title if planes else ''}{more}"
        command = reporting.command
        page = of_results(planes, reports, title=title, why=why, runs=runs, command=command)
        write_page(path, page)
    except Exception as error:
        yield Message(f"no report was written: {error}")
        return
    yield Saved(path, "report")
