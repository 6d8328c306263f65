"""Training to the end or to Ctrl-C, with what belongs to it: choice, saving, logs, report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from unnoise.app import dry_run, rescue
from unnoise.app.events import (
    Event,
    Interrupt,
    Message,
    Saved,
    Stopped,
)
from unnoise.app.files import REPORT, InputOptions, ReportOptions, notes, open_targets
from unnoise.app.preview import with_previews
from unnoise.app.sources import Sources
from unnoise.app.telling import announced, facts, judged, reported, shifted_rows, trained
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats.registry import split_inside
from unnoise.images.image import Image
from unnoise.models import folder as model_folder
from unnoise.models.claim import claimed
from unnoise.models.model import Model
from unnoise.nets.device import select_device
from unnoise.nets.ranks import Ranks, of_torchrun
from unnoise.noise.inspect import NoiseReport
from unnoise.report.middle_plane import show_training
from unnoise.report.result_page import DenoisedPlane
from unnoise.training import levels
from unnoise.training.auto import Auto, MethodChoice
from unnoise.training.finish import finish
from unnoise.training.loggers import check as check_loggers
from unnoise.training.loggers import make as make_logger
from unnoise.training.resume import FILES, files_of
from unnoise.training.resume import resume as resume_run
from unnoise.training.run import Run
from unnoise.training.start import start

SAVE_EVERY = 60.0
"""Seconds between two saves of a running training."""


def planned(
    images: Sequence[Image],
    targets: Sequence[Image] | None,
    settings: Config | Auto,
    reading: InputOptions,
    loggers: Sequence[str] = (),
) -> tuple[MethodChoice, Model]:
    """The settings as they are, or those that auto chooses, and the model a run starts from.

    The model has what resuming needs to read the images again and to log as before.
    """
    choices, model = levels.planned(images, settings, targets)
    kept = replace(model.provenance, reading=reading.to_dict(), loggers=tuple(loggers))
    choice = choices[0]
    if len(choices) > 1:
        whys = list(dict.fromkeys(c.why for c in choices if c.why))
        if len(whys) > 1:
            whys = [f"group {i}: {c.why}" for i, c in enumerate(choices, 1)]
        why = "; ".join(whys)
        choice = MethodChoice(choice.config, tuple(r for c in choices for r in c.reports), why)
    return choice, replace(model, provenance=kept)


def planned_as(choice: MethodChoice, images: Sequence[Image], reading: InputOptions) -> Model:
    """The model that a run with other settings starts from."""
    _, model = levels.planned(images, choice.config)
    return replace(model, provenance=replace(model.provenance, reading=reading.to_dict()))


def train(
    run: Run,
    folder: Path,
    images: Sequence[Image],
    reports: Sequence[NoiseReport],
    targets: Sequence[Image] | None = None,
    *,
    why: str = "",
    fresh: bool,
    overwrite: bool = True,
    reporting: ReportOptions = REPORT,
) -> Generator[Event]:
    """Train to the end or to Ctrl-C, saving now and then.

    Whatever is in the folder stays until there is something trained to replace it with. What is
    trained and cannot be written there is kept elsewhere.
    """
    ranks = of_torchrun()
    if not ranks.leads:
        _follow(run, ranks)
        return
    saved, saved_step = time.monotonic(), 0 if fresh else run.step
    logged = len(run.history)
    files = {FILES: files_of(run.model(), images, targets)}
    names = run.model().provenance.loggers
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
        nonlocal fresh, saved_step
        state = {**run.state(), **files} if model is None else None
        if fresh:  # another model may have come meanwhile
            model_folder.check_place(folder, overwrite=overwrite)
        model_folder.save(folder, model or run.resumable(), run.history, state, fresh=fresh)
        fresh, saved_step = False, run.step

    def save_at_last(model: Model | None = None) -> None:
        try:
            save(model)
        except InputError as error:
            state = {**run.state(), **files} if model is None else None
            kept = model or run.resumable()
            raise rescue.kept(error, folder, kept, run.history, state) from error

    try:
        with Interrupt() as interrupt:
            # other processes of torchrun count the steps of the leading one alone
            wanted = reporting.preview if ranks.size == 1 else None
            for progress in with_previews(run, images[0], wanted):
                yield progress
                for line in run.history[logged:]:
                    for logger in loggers:
                        logger.log(line)
                logged = len(run.history)
                if ranks.shared(interrupt.requested, run.device):
                    break
                if time.monotonic() - saved > SAVE_EVERY:
                    try:
                        save()
                    except InputError as error:  # the disk may have room again at the end
                        yield Message(f"{error}; the training goes on")
                    saved = time.monotonic()
            if interrupt.requested:  # the last save may have been when it was
                save_at_last()
                yield _going_on(run, folder)
                return
        try:
            asked = not reports  # else `announced` has warned
            model, told, reports = finish(run.model(), images, reports, run.device, targets)
        except KeyboardInterrupt:
            save_at_last()
            yield _going_on(run, folder)
            return
        told = [*run.remarks(), *told]
        with Interrupt() as interrupt:
            save_at_last(model)
        if interrupt.requested:
            text = f"stopped after the last step; {folder} holds the finished model"
            yield Stopped(text, folder)
            return
    except KeyboardInterrupt:
        left = (
            f"{folder} holds the model of step {saved_step}"
            if saved_step
            else "no model was written"
        )
        yield Stopped(f"stopped at once; {left}", folder if saved_step else None)
        return
    finally:
        for logger in loggers:
            logger.close()
    for logger in loggers:
        if logger.problem:
            yield Message(logger.problem)
    yield from map(Message, told)
    if asked:
        yield from shifted_rows(reports)
    yield trained(model, images, run)
    started = time.monotonic()
    shown: list[DenoisedPlane] = []
    try:
        shown.append(show_training(model, images[0], str(run.device), copies=reporting.wanted))
    except Exception as error:  # the model is safe, so whatever fails here only costs this
        yield Message(f"{images[0].name} is not judged, and left out of the report: {error}")
    yield judged(images[0], model, shown[0] if shown else None, seconds=time.monotonic() - started)
    yield Saved(folder, "model")
    if reporting.wanted:
        runs, lines = [facts(images, model, run.history)], [line for line in (why, *told) if line]
        place = folder / "report.html"
        yield from reported(place, "Training", reporting, runs, shown, reports, lines)


def _follow(run: Run, ranks: Ranks) -> None:
    """Share a training that another process of torchrun saves, tells of, and stops."""
    with Interrupt():
        for _ in run:
            if ranks.shared(0.0, run.device):
                return


def _going_on(run: Run, folder: Path) -> Stopped:
    """What is left of a stopped training."""
    end = " (the last one), before the result was tested" if run.fraction == 1 else ""
    return Stopped(
        f"stopped at step {run.step}{end}; {folder} holds a usable model: go on with unnoise train "
        f"--resume {folder}",
        folder,
    )


def train_files(
    inputs: Sequence[str | Path],
    folder: str | Path,
    settings: Config | Auto,
    *,
    reading: InputOptions,
    targets: Sequence[str | Path] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    loggers: Sequence[str] = (),
    reporting: ReportOptions = REPORT,
    dry: bool = False,
) -> Generator[Event]:
    """Train one model on all files and write its folder; a `dry` run tells what it would do.

    Raises
    ------
    InputError
        Before any training, if an input or the folder cannot be used.
    """
    place = Path(folder)
    ranks = of_torchrun()
    check_loggers(loggers)
    with claimed(place) if ranks.leads else contextlib.nullcontext():
        if ranks.leads:
            model_folder.check_place(place, overwrite=overwrite)
        paths = reading.paths(inputs)
        images = reading.find(paths)
        sources = reading.sources(paths, images, targets)
        sources.refuse(place, "the model")
        reporting.check(sources, [], place)
        images = [reading.check(image) for image in images]
        paths = [image.path or Path(image.name) for image in images]
        config = settings.provisional if isinstance(settings, Auto) else settings
        partners = yield from open_targets(paths, targets, reading, config)
        yield from notes(images)
        chosen, model = planned(images, partners, settings, reading, loggers)
        where = ranks.device(select_device(device))
        if ranks.leads:
            needed = model_folder.needed(model)
            model_folder.check_place(place, overwrite=overwrite, nbytes=needed)
            if dry:
                yield from dry_run.of_training(images, model, chosen, where, place, partners)
                return
            yield from announced(images, model, chosen, where, partners)
        run = start(images, model, where, partners)
        yield from map(Message, run.notes())
        yield from train(
            run,
            place,
            images,
            chosen.reports,
            partners,
            why=chosen.why,
            fresh=True,
            overwrite=overwrite,
            reporting=reporting,
        )


def resume(
    folder: str | Path,
    inputs: Sequence[str | Path] = (),
    *,
    targets: Sequence[str | Path] | None = None,
    device: str = "auto",
    reporting: ReportOptions = REPORT,
) -> Generator[Event]:
    """Go on with an interrupted training; the result is that of the uninterrupted run.

    Raises
    ------
    InputError
        If the folder cannot go on, or its images are gone or changed.
    """
    place, ranks = Path(folder), of_torchrun()
    with claimed(place) if ranks.leads else contextlib.nullcontext():
        if ranks.leads:
            model_folder.settle(place)
        model = model_folder.load(place)
        if not model_folder.is_resumable(place):
            yield Message(f"{place} is finished: nothing is left to train")
            return
        try:
            reading = InputOptions(**model.provenance.reading)
        except TypeError as error:
            raise InputError(
                f"{place} does not say how its images were read ({error}); train anew"
            ) from error
        paths = formats.find(inputs) if inputs else _learned(place, model, reading)
        images = [reading.check(image) for image in reading.find(list(dict.fromkeys(paths)))]
        paths = [image.path or Path(image.name) for image in images]
        partners = None
        if targets is not None:
            partners = yield from open_targets(paths, targets, reading, model.config)
        elif model.provenance.targets:
            found = reading.find(_learned(place, model, reading, targets=True))
            partners = [reading.check(image) for image in found]
        reporting.check(Sources(paths, images, partners or (), [reading.mask]), [], place)
        where = ranks.device(select_device(device))
        run = resume_run(place, model, images, where, partners)
        yield Message(f"{place}: going on after step {run.step}")
        yield from train(run, place, images, (), partners, fresh=False, reporting=reporting)


def _learned(
    folder: Path, model: Model, reading: InputOptions, *, targets: bool = False
) -> list[Path]:
    """The files that a model was trained on, each once."""
    paths = model_folder.data_paths(folder, model, targets=targets)
    if reading.positions is not None or reading.series not in (None, "all"):
        paths = [split_inside(path)[0] for path in paths]  # these options tell which are meant
    return list(dict.fromkeys(paths))
