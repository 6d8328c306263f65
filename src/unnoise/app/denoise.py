"""Denoising files: train on them, then write their clean versions, all as one stream of events.

As every job of this package, it is cancelled by closing the generator: temporary files go, finished
files stay.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from unnoise.app import rescue
from unnoise.app.events import Event, Interrupt, Message, Saved, Stopped
from unnoise.app.files import (
    REPORT,
    InputOptions,
    OutputOptions,
    ReportOptions,
    check_outputs,
    notes,
    open_targets,
)
from unnoise.app.predict import predict_file
from unnoise.app.train import announced, facts, planned, reported
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models import backends
from unnoise.models import folder as model_folder
from unnoise.models.claim import claimed
from unnoise.models.model import Model
from unnoise.nets.device import select_device
from unnoise.noise.inspect import NoiseReport
from unnoise.report.result_page import DenoisedPlane, RunFacts
from unnoise.training.auto import Auto
from unnoise.training.finish import finish
from unnoise.training.plan import choose_ndim
from unnoise.training.run import Run
from unnoise.training.start import start


def denoise_files(
    inputs: Sequence[str | Path],
    settings: Config | Auto,
    *,
    reading: InputOptions,
    writing: OutputOptions,
    targets: Sequence[str | Path] | None = None,
    each: bool = False,
    save_model: str | None = None,
    device: str = "auto",
    reporting: ReportOptions = REPORT,
) -> Generator[Event]:
    """Train on the files themselves and write their clean versions.

    Files with the same channels and dimensions share one model, unless `each` is set.

    Raises
    ------
    InputError
        Before any training, if an input or an output place cannot be used.
    """
    backends.check(writing.backend, device)
    if writing.backend == "onnx" and isinstance(settings, Auto):
        settings = replace(settings, shipped=False)  # its transform cannot be exported
    paths = formats.find(inputs)
    seconds = formats.find(targets or [])
    opened = reading.find(paths)
    paths = [image.path or Path(image.name) for image in opened]
    results = writing.paths(opened, seconds)
    spreads = writing.spreads(opened, results, seconds)
    if writing.uncertainty is not None:
        settings = _with_uncertainty(settings)
    config = settings.provisional if isinstance(settings, Auto) else settings
    images = [reading.check(image) for image in opened]
    partners = yield from open_targets(paths, targets, reading, config)
    if config.entry.pairs == "clean" and partners:  # the result has their units
        writing = writing.typed(partners[0].dtype)
    not_carried = check_outputs(images, results, spreads, writing)
    yield from notes(images)
    yield from not_carried
    groups = _groups(images, each, config)
    members = [
        ([images[i] for i in group], [partners[i] for i in group] if partners else None)
        for group in groups
    ]
    plans = [planned(*pair, settings, reading) for pair in members]
    for _, model in plans:
        for level in model.levels:
            backends.check_model(level, writing.backend)  # before any training
    if save_model and len(groups) > 1:
        raise InputError(
            f"the images need {len(groups)} models, so one --save-model folder cannot hold them; "
            f"leave it out, or denoise alike images in one run"
        )
    if save_model:
        place, size = Path(save_model), model_folder.needed(plans[0][1])
        model_folder.check_place(place, overwrite=writing.overwrite, nbytes=size)
        with claimed(place):
            pass  # nobody else is at it
    problem: InputError | None = None
    shown: list[DenoisedPlane] | None = [] if reporting.wanted else None
    measured: list[NoiseReport] = []
    runs: list[RunFacts] = []
    lines: list[str] = []
    for group, pair, (choice, model) in zip(groups, members, plans, strict=True):
        yield from announced(pair[0], model, choice)
        run = start(pair[0], model, select_device(device), pair[1])
        yield from map(Message, run.notes())
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
                if interrupt.requested:
                    break
            final = run.model()
            if run.fraction == 1:
                final, told, found = finish(final, pair[0], choice.reports, run.device)
                told = [*run.remarks(), *told]
                yield from map(Message, told)
                measured += found
                runs.append(facts(pair[0], final, run.history))
                lines += [line for line in (choice.why, *told) if line]
            if save_model and run.fraction == 1:
                try:
                    rescue.save(Path(save_model), final, run.history, overwrite=writing.overwrite)
                    yield Saved(Path(save_model))
                except InputError as error:  # the results are still to come
                    problem = error
            for i in group:
                if interrupt.requested:
                    break
                job = predict_file(final, images[i], results[i], spreads[i], writing, device, shown)
                try:
                    with contextlib.closing(job):
                        for event in job:
                            yield event
                            if interrupt.requested:
                                break
                except InputError as error:
                    if save_model:
                        raise
                    raise rescue.kept(error, _free(results[i]), final, run.history) from error
            if interrupt.requested:
                folder = Path(save_model) if save_model else _free(results[group[0]])
                yield _stopped(run, final, folder)
                return
    if shown is not None:
        path = reporting.place(results, overwrite=writing.overwrite)
        yield from reported(path, "Denoising", reporting, runs, shown, measured, lines)
    if problem is not None:
        raise problem


def _with_uncertainty(settings: Config | Auto) -> Config | Auto:
    """The settings with a loss that predicts a spread; only asked for, never by itself."""
    config = settings.provisional if isinstance(settings, Auto) else settings
    if config.is_probabilistic:
        return settings
    if config.net is None or config.entry.only_mse:
        raise InputError(f"the method {config.method} predicts no uncertainty; choose n2v")
    if config.training.loss != "mse":
        raise InputError(
            f"the loss {config.training.loss} predicts no uncertainty; choose gaussian or laplace"
        )
    if isinstance(settings, Auto):
        return replace(settings, assignments=(*settings.assignments, "training.loss=gaussian"))
    return config.replace(training={"loss": "gaussian"})


def _stopped(run: Run, model: Model, folder: Path) -> Stopped:
    """Keep what was trained, and say how to use it."""
    done = run.fraction == 1
    rescue.save(folder, model, run.history, None if done else run.state(), overwrite=True)
    on = "" if done else f"go on with unnoise train --resume {folder}, or "
    return Stopped(
        f"stopped at step {run.step}; the model so far is in {folder}: {on}use it with unnoise "
        f"predict {folder} IMAGES"
    )


def _groups(images: Sequence[Image], each: bool, config: Config) -> list[list[int]]:
    """Indices of images that can share a model."""
    groups: dict[object, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        alike = (image.sizes["C"], image.alpha, choose_ndim([image], config))
        groups[i if each else alike].append(i)
    return list(groups.values())


def _free(target: Path) -> Path:
    """A model folder beside a result that does not exist yet."""
    stem = target.with_suffix("")
    names = (stem.with_name(f"{stem.name}{n}.model") for n in ("", *map(str, range(2, 1000))))
    return next(name for name in names if not name.exists())
