"""Training to the end or to Ctrl-C, with what belongs to it: choice, saving, logs, report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unnoise.app.events import Event, Interrupt, Message, Saved, Stopped
from unnoise.app.files import REPORTING, Reading, Reporting
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.noise.inspect import NoiseReport
from unnoise.report import Page
from unnoise.report import write as write_page
from unnoise.report.middle_plane import show_training
from unnoise.report.result_page import DenoisedPlane, RunFacts, of_results
from unnoise.training.adapted import Adaptation
from unnoise.training.auto import Auto, Choice
from unnoise.training.held_out import finished, of_camera
from unnoise.training.loggers import make as make_logger
from unnoise.training.loop import Run
from unnoise.training.plan import describe, plan
from unnoise.training.runs import AnyRun

SAVE_EVERY = 60.0
"""Seconds between two saves of a running training."""


def choose(images: Sequence[Image], settings: Config | Auto) -> Choice:
    """The settings as they are, or those that auto chooses for the images."""
    return settings.resolve(images) if isinstance(settings, Auto) else Choice(settings, (), "")


def verdict(run: AnyRun) -> list[str]:
    """What a finished run says about itself, beyond its loss."""
    told = []
    if isinstance(run, Run) and run.stopped:
        told.append(f"stopped early at step {run.step}: the held-out loss no longer falls")
    if isinstance(run, Adaptation):
        told.append(_road(run.model()))
    found = run.model().origin.get("calibration")
    if found:
        told.append(
            f"uncertainty on held-out pixels: {found['inside_50']:.0%} inside the 50 % interval, "
            f"{found['inside_95']:.0%} inside the 95 % interval, variance "
            f"{found['variance_ratio']:.2f} times the predicted one"
        )
    return told


def _road(model: Model) -> str:
    """Which road the user gets, and why."""
    risks = ", ".join(f"{name} {value:.5g}" for name, value in model.origin["risks"].items())
    road = model.origin["road"]
    if model.partner is not None:
        road += f" ({model.partner.share:.0%} of the latter)"
    return f"road taken: {road}, by the estimated risk on held-out pixels ({risks})"


def planned(
    images: Sequence[Image],
    targets: Sequence[Image] | None,
    choice: Choice,
    reading: Reading,
) -> Model:
    """The model a run starts from, with what resuming needs to read the images again."""
    model = plan(images, choice.config, targets, choice.reports)
    of_camera(model, images[0].alpha)  # refuses a camera that does not fit before any training
    return replace(model, origin={**model.origin, "reading": vars(reading)})


def description(images: Sequence[Image], model: Model) -> Message:
    """What is about to be trained."""
    names = images[0].name if len(images) == 1 else f"{len(images)} images"
    return Message(f"{names}: {describe(model, images)}")


def notes(images: Sequence[Image]) -> Generator[Message]:
    """What the readers want people to know."""
    for image in images:
        if "note" in image.metadata:
            yield Message(f"{image.name}: {image.metadata['note']}")


def train(
    run: AnyRun,
    folder: Path,
    images: Sequence[Image],
    reports: Sequence[NoiseReport],
    *,
    why: str = "",
    fresh: bool,
    reporting: Reporting = REPORTING,
) -> Generator[Event]:
    """Train to the end or to Ctrl-C, saving now and then.

    Whatever is in the folder stays until there is something trained to replace it with.
    """
    saved, saved_step = time.monotonic(), 0 if fresh else run.step
    logged = len(run.history)
    names = run.model().origin.get("loggers", ())
    place = Path(f"{os.path.abspath(folder)}.logs")  # the folder itself is replaced whole
    if names:
        place.mkdir(parents=True, exist_ok=True)
    try:
        loggers = [make_logger(name, place, run.model().config.values()) for name in names]
    except InputError:
        with contextlib.suppress(OSError):
            place.rmdir()  # unless it holds an earlier log
        raise

    def save(model: Model | None = None) -> None:
        nonlocal fresh, saved, saved_step
        done = model is not None
        checkpoint.save(folder, model or run.model(), run, finished=done, fresh=fresh)
        fresh, saved, saved_step = False, time.monotonic(), run.step

    try:
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
                for line in run.history[logged:]:
                    for logger in loggers:
                        logger.log(line)
                logged = len(run.history)
                if interrupt.requested and run.fraction < 1:
                    save()
                    yield Stopped(
                        f"stopped at step {run.step}; {folder} holds a usable model: go on with "
                        f"unnoise train --resume {folder}"
                    )
                    return
                # What ended may be another net than what a run goes on from (adapted), and the
                # last save is no older than this.
                if run.fraction < 1 and time.monotonic() - saved > SAVE_EVERY:
                    save()
            model, told, reports = finished(run.model(), images, reports, run.device)
            told = [*verdict(run), *told]
            save(model)
    except KeyboardInterrupt:
        left = f"{folder} holds the model of step {saved_step}"
        yield Stopped(f"stopped at once; {left if saved_step else 'no model was written'}")
        return
    finally:
        for logger in loggers:
            logger.close()
    for logger in loggers:
        if logger.problem:
            yield Message(logger.problem)
    yield from (Message(line) for line in told)
    yield Saved(folder)
    if reporting.wanted:
        lines = [line for line in (why, *told) if line]

        def page() -> Page:
            shown = [show_training(model, image, str(run.device)) for image in images[:1]]
            runs = [facts(images, model, run.history)]
            return page_of(runs, shown, reports, lines, reporting, "Training")

        yield from reported(folder / "report.html", page)


def facts(
    images: Sequence[Image], model: Model, history: Sequence[Mapping[str, float]] = ()
) -> RunFacts:
    """What the report tells of the training of a model."""
    names = ", ".join(image.name for image in images[:3])
    names += f" and {len(images) - 3} more" if len(images) > 3 else ""
    return RunFacts(names, model.config.to_yaml(), model.config.training.seed, history)


def page_of(
    runs: Sequence[RunFacts],
    shown: Sequence[DenoisedPlane],
    reports: Sequence[NoiseReport],
    why: Sequence[str],
    reporting: Reporting,
    what: str,
) -> Page:
    """The report of one or several runs."""
    first = shown[0].title if shown else ""
    return of_results(
        shown,
        reports,
        title=f"{what}: {first}" + (f" and {len(shown) - 1} more" if len(shown) > 1 else ""),
        why=why,
        runs=runs,
        command=reporting.command,
    )


def reported(path: Path, page: Callable[[], Page]) -> Generator[Event]:
    """Write the report; the results are safe already, so whatever fails only costs the report."""
    try:
        write_page(path, page())
    except Exception as error:
        yield Message(f"no report was written: {error}")
        return
    yield Saved(path)
