"""Whole jobs from files to files, as generators of events; every front end wraps these.

Closing a generator cancels its job: temporary files go, finished files stay.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from unnoise.app.events import Event, Interrupt, Message, Saved, Stopped
from unnoise.app.files import (
    REPORTING,
    Reading,
    Reporting,
    Writing,
    check_outputs,
    open_targets,
    typed,
)
from unnoise.app.predict import predict_file
from unnoise.app.train import (
    choose,
    description,
    facts,
    notes,
    page_of,
    planned,
    reported,
    train,
    verdict,
)
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import formats as io
from unnoise.images.image import Image
from unnoise.images.missing import checked
from unnoise.models import backends
from unnoise.models import folder as checkpoint
from unnoise.models.model import Model
from unnoise.nets.device import pick
from unnoise.noise.inspect import NoiseReport
from unnoise.report.result_page import DenoisedPlane, RunFacts
from unnoise.training.auto import Auto
from unnoise.training.held_out import finished, of_camera
from unnoise.training.plan import choose_ndim
from unnoise.training.runs import AnyRun, start


def denoise_files(
    inputs: Sequence[str | Path],
    settings: Config | Auto,
    *,
    reading: Reading,
    writing: Writing,
    targets: Sequence[str | Path] | None = None,
    each: bool = False,
    save_model: str | None = None,
    device: str = "auto",
    reporting: Reporting = REPORTING,
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
    paths = io.find(inputs)
    seconds = io.find(targets or [])
    results = writing.paths(paths, seconds)
    spreads = writing.spreads(paths, results, seconds)
    if writing.uncertainty is not None:
        settings = _with_uncertainty(settings)
    config = settings.provisional if isinstance(settings, Auto) else settings
    images = [reading.open(path) for path in paths]
    partners = yield from open_targets(paths, targets, reading, config)
    writing = typed(writing, config, partners)
    check_outputs(images, results, spreads, writing)
    yield from notes(images)
    groups = _groups(images, each, config)
    members = [
        ([images[i] for i in group], [partners[i] for i in group] if partners else None)
        for group in groups
    ]
    choices = [choose(pair[0], settings) for pair in members]
    models = [
        planned(*pair, choice, reading) for pair, choice in zip(members, choices, strict=True)
    ]
    for model in models:
        backends.check_model(model, writing.backend)  # before any training
    if save_model and len(groups) > 1:
        raise InputError(
            f"the images need {len(groups)} models, so one --save-model folder cannot hold them; "
            f"leave it out, or denoise alike images in one run"
        )
    if save_model:
        checkpoint.check_place(Path(save_model), overwrite=writing.overwrite)
    shown: list[DenoisedPlane] | None = [] if reporting.wanted else None
    measured: list[NoiseReport] = []
    runs: list[RunFacts] = []
    lines: list[str] = []
    for group, pair, model, choice in zip(groups, members, models, choices, strict=True):
        if choice.why:
            yield Message(choice.why)
        yield description(pair[0], model)
        run = start(pair[0], model, pick(device), pair[1])
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
                if interrupt.requested:
                    break
            final = run.model()
            if run.fraction == 1:
                final, told, found = finished(final, pair[0], choice.reports, run.device)
                told = [*verdict(run), *told]
                yield from (Message(line) for line in told)
                measured += found
                runs.append(facts(pair[0], final, run.history))
                lines += [line for line in (choice.why, *told) if line]
            if save_model and run.fraction == 1:
                checkpoint.save(save_model, final, run, finished=True, fresh=True)
                yield Saved(Path(save_model))
            for i in [] if interrupt.requested else group:
                job = predict_file(final, images[i], results[i], spreads[i], writing, device, shown)
                with contextlib.closing(job):
                    for event in job:
                        yield event
                        if interrupt.requested:
                            break
                if interrupt.requested:
                    break
            if interrupt.requested:
                folder = Path(save_model) if save_model else _free(results[group[0]])
                yield _stopped(run, final, folder)
                return
    if shown is not None:
        path = reporting.place(results, overwrite=writing.overwrite)
        page = partial(page_of, runs, shown, measured, lines, reporting, "Denoising")
        yield from reported(path, page)


def _with_uncertainty(settings: Config | Auto) -> Config | Auto:
    """The settings with a loss that predicts a spread; only asked for, never by itself."""
    config = settings.provisional if isinstance(settings, Auto) else settings
    if config.is_probabilistic:
        return settings
    if config.is_classical or config.method in ("b2u", "r2r"):
        raise InputError(f"the method {config.method} predicts no uncertainty; choose n2v")
    if config.training.loss != "mse":
        raise InputError(
            f"the loss {config.training.loss} predicts no uncertainty; choose gaussian or laplace"
        )
    if isinstance(settings, Auto):
        return replace(settings, assignments=(*settings.assignments, "training.loss=gaussian"))
    return config.replace(training={"loss": "gaussian"})


def _stopped(run: AnyRun, model: Model, folder: Path) -> Stopped:
    """Keep what was trained, and say how to use it."""
    done = run.fraction == 1
    checkpoint.save(folder, model, run, finished=done, fresh=True)
    on = "" if done else f"go on with unnoise train --resume {folder}, or "
    return Stopped(
        f"stopped at step {run.step}; the model so far is in {folder}: {on}use it with unnoise "
        f"predict {folder} IMAGES"
    )


def train_files(
    inputs: Sequence[str | Path],
    folder: str | Path,
    settings: Config | Auto,
    *,
    reading: Reading,
    targets: Sequence[str | Path] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    loggers: Sequence[str] = (),
    reporting: Reporting = REPORTING,
) -> Generator[Event]:
    """Train one model on all files and write its folder.

    Raises
    ------
    InputError
        Before any training, if an input or the folder cannot be used.
    """
    place = Path(folder)
    checkpoint.check_place(place, overwrite=overwrite)
    paths = io.find(inputs)
    images = [reading.open(path) for path in paths]
    config = settings.provisional if isinstance(settings, Auto) else settings
    partners = yield from open_targets(paths, targets, reading, config)
    yield from notes(images)
    chosen = choose(images, settings)
    model = planned(images, partners, chosen, reading)
    model = replace(model, origin={**model.origin, "loggers": list(loggers)})
    if chosen.why:
        yield Message(chosen.why)
    yield description(images, model)
    run = start(images, model, pick(device), partners)
    yield from train(
        run, place, images, chosen.reports, why=chosen.why, fresh=True, reporting=reporting
    )


def resume(
    folder: str | Path,
    inputs: Sequence[str | Path] = (),
    *,
    targets: Sequence[str | Path] | None = None,
    device: str = "auto",
    reporting: Reporting = REPORTING,
) -> Generator[Event]:
    """Go on with an interrupted training; the result is that of the uninterrupted run.

    Raises
    ------
    InputError
        If the folder cannot go on, or its images are gone or changed.
    """
    place = Path(folder)
    model = checkpoint.load(place)
    if not checkpoint.is_resumable(place):
        yield Message(f"{place} is finished: nothing is left to train")
        return
    paths = io.find(inputs) if inputs else checkpoint.data_paths(place, model)
    reading = Reading(**model.origin.get("reading", {}))
    images = [reading.open(path) for path in paths]
    partners = None
    if targets is not None:
        partners = yield from open_targets(paths, targets, reading, model.config)
    elif model.origin.get("targets"):
        names = checkpoint.data_paths(place, model, "targets")
        partners = [reading.open(path) for path in names]
    of_camera(model, images[0].alpha)  # its file may be gone by now
    run = checkpoint.load_run(place, model, images, pick(device), partners)
    yield Message(f"{place}: going on after step {run.step}")
    yield from train(run, place, images, (), fresh=False, reporting=reporting)


def predict_files(
    folder: str | Path,
    inputs: Sequence[str | Path],
    *,
    reading: Reading,
    writing: Writing,
    device: str = "auto",
    reporting: Reporting = REPORTING,
) -> Generator[Event]:
    """Denoise files with a trained model.

    Raises
    ------
    InputError
        Before any work, if the model, an input or an output place cannot be used.
    """
    backends.check(writing.backend, device)
    model = checkpoint.load(folder)
    for member, _ in model.members:
        backends.check_model(member, writing.backend)
    if writing.uncertainty is not None:
        model.check_probabilistic()
    if writing.dtype is None and "target_dtype" in model.origin and model.target_affine:
        writing = replace(writing, dtype=str(model.origin["target_dtype"]))
    paths = io.find(inputs)
    results = writing.paths(paths)
    spreads = writing.spreads(paths, results)
    pick(device)
    images = [io.open(path, axes=reading.axes) for path in paths]
    for image in images:
        model.check(image)
    check_outputs(images, results, spreads, writing)
    shown: list[DenoisedPlane] | None = [] if reporting.wanted else None
    for image, result, spread in zip(images, results, spreads, strict=True):
        image = checked(image, reading.nan)
        yield from notes([image])
        yield from predict_file(model, image, result, spread, writing, device, shown)
    if shown is not None:
        path = reporting.place(results, overwrite=writing.overwrite)
        lines = [f"with the model {folder}"]
        runs = [facts(images, model)]
        page = partial(page_of, runs, shown, [], lines, reporting, "Prediction")
        yield from reported(path, page)


def _groups(images: Sequence[Image], each: bool, config: Config) -> list[list[int]]:
    """Indices of images that can share a model."""
    if each:
        return [[i] for i in range(len(images))]
    groups: dict[tuple[int, int | None, int], list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        groups[image.sizes["C"], image.alpha, choose_ndim([image], config)].append(i)
    return list(groups.values())


def _free(target: Path) -> Path:
    """A model folder beside a result that does not exist yet."""
    stem = target.with_suffix("")
    names = (stem.with_name(f"{stem.name}{n}.model") for n in ("", *map(str, range(2, 1000))))
    return next(name for name in names if not name.exists())
