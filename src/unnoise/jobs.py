"""Whole jobs from files to files, as generators of events; every front end wraps these.

Closing a generator cancels its job: temporary files go, finished files stay.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unnoise import checkpoint, io
from unnoise.calibration import Calibration
from unnoise.config import Config
from unnoise.device import pick
from unnoise.errors import InputError
from unnoise.events import Event, Interrupt, Message, Predicting, Saved, Stopped
from unnoise.image import Image
from unnoise.loggers import make as make_logger
from unnoise.missing import checked
from unnoise.model import Model
from unnoise.places import Reading, Writing, check_outputs, open_targets, typed
from unnoise.plan import choose_ndim, describe, plan
from unnoise.predict import predict
from unnoise.training import Run, start

SAVE_EVERY = 60.0
"""Seconds between two saves of a running training."""


def denoise_files(
    inputs: Sequence[str | Path],
    config: Config,
    *,
    reading: Reading,
    writing: Writing,
    targets: Sequence[str | Path] | None = None,
    each: bool = False,
    save_model: str | None = None,
    device: str = "auto",
) -> Generator[Event]:
    """Train on the files themselves and write their clean versions.

    Files with the same channels and dimensions share one model, unless `each` is set.

    Raises
    ------
    InputError
        Before any training, if an input or an output place cannot be used.
    """
    paths = io.find(inputs)
    seconds = io.find(targets or [])
    results = writing.paths(paths, seconds)
    spreads = writing.spreads(paths, results, seconds)
    if writing.uncertainty is not None and not config.is_probabilistic:
        config = _with_uncertainty(config)
    images = [reading.open(path) for path in paths]
    partners = yield from open_targets(paths, targets, reading, config)
    writing = typed(writing, config, partners)
    check_outputs(images, results, spreads, writing)
    yield from _notes(images)
    groups = _groups(images, each, config)
    members = [
        ([images[i] for i in group], [partners[i] for i in group] if partners else None)
        for group in groups
    ]
    models = [_plan(*pair, config, reading) for pair in members]
    if save_model and len(groups) > 1:
        raise InputError(
            f"the images need {len(groups)} models, so one --save-model folder cannot hold them; "
            f"leave it out, or denoise alike images in one run"
        )
    if save_model:
        checkpoint.check_place(Path(save_model), overwrite=writing.overwrite)
    for group, pair, model in zip(groups, members, models, strict=True):
        yield _description(pair[0], model)
        run = start(pair[0], model, pick(device), pair[1])
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
                if interrupt.requested:
                    break
            if run.fraction == 1:
                yield from _verdict(run)
            if save_model and run.fraction == 1:
                checkpoint.save(save_model, run.model(), run, finished=True, fresh=True)
                yield Saved(Path(save_model))
            for i in [] if interrupt.requested else group:
                job = _predict_file(run.model(), images[i], results[i], spreads[i], writing, device)
                with contextlib.closing(job):
                    for event in job:
                        yield event
                        if interrupt.requested:
                            break
                if interrupt.requested:
                    break
            if interrupt.requested:
                folder = Path(save_model) if save_model else _free(results[group[0]])
                yield _stopped(run, folder)
                return


def _with_uncertainty(config: Config) -> Config:
    """The settings with a loss that predicts a spread; only asked for, never by itself."""
    if config.is_classical or config.method == "b2u":
        raise InputError(f"the method {config.method} predicts no uncertainty; choose n2v")
    if config.training.loss != "mse":
        raise InputError(
            f"the loss {config.training.loss} predicts no uncertainty; choose gaussian or laplace"
        )
    return config.replace(training={"loss": "gaussian"})


def _verdict(run: Run | Calibration) -> Generator[Event]:
    """What a finished run says about itself, beyond its loss."""
    if isinstance(run, Run) and run.stopped:
        yield Message(f"stopped early at step {run.step}: the held-out loss no longer falls")
    found = run.model().origin.get("calibration")
    if found:
        yield Message(
            f"uncertainty on held-out pixels: {found['inside_50']:.0%} inside the 50 % interval, "
            f"{found['inside_95']:.0%} inside the 95 % interval, variance "
            f"{found['variance_ratio']:.2f} times the predicted one"
        )


def _stopped(run: Run | Calibration, folder: Path) -> Stopped:
    """Keep what was trained, and say how to use it."""
    finished = run.fraction == 1
    checkpoint.save(folder, run.model(), run, finished=finished, fresh=True)
    on = "" if finished else f"go on with unnoise train --resume {folder}, or "
    return Stopped(
        f"stopped at step {run.step}; the model so far is in {folder}: {on}use it with unnoise "
        f"predict {folder} IMAGES"
    )


def _plan(
    images: Sequence[Image], targets: Sequence[Image] | None, config: Config, reading: Reading
) -> Model:
    """The model a run starts from, with what resuming needs to read the images again."""
    model = plan(images, config, targets)
    return replace(model, origin={**model.origin, "reading": vars(reading)})


def _description(images: Sequence[Image], model: Model) -> Message:
    names = images[0].name if len(images) == 1 else f"{len(images)} images"
    return Message(f"{names}: {describe(model, images)}")


def train_files(
    inputs: Sequence[str | Path],
    folder: str | Path,
    config: Config,
    *,
    reading: Reading,
    targets: Sequence[str | Path] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    loggers: Sequence[str] = (),
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
    partners = yield from open_targets(paths, targets, reading, config)
    yield from _notes(images)
    model = _plan(images, partners, config, reading)
    model = replace(model, origin={**model.origin, "loggers": list(loggers)})
    yield _description(images, model)
    run = start(images, model, pick(device), partners)
    yield from _train(run, place, fresh=True)


def resume(
    folder: str | Path,
    inputs: Sequence[str | Path] = (),
    *,
    targets: Sequence[str | Path] | None = None,
    device: str = "auto",
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
    run = checkpoint.load_run(place, model, images, pick(device), partners)
    yield Message(f"{place}: going on after step {run.step}")
    yield from _train(run, place, fresh=False)


def predict_files(
    folder: str | Path,
    inputs: Sequence[str | Path],
    *,
    reading: Reading,
    writing: Writing,
    device: str = "auto",
) -> Generator[Event]:
    """Denoise files with a trained model.

    Raises
    ------
    InputError
        Before any work, if the model, an input or an output place cannot be used.
    """
    model = checkpoint.load(folder)
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
    for image, result, spread in zip(images, results, spreads, strict=True):
        image = checked(image, reading.nan)
        yield from _notes([image])
        yield from _predict_file(model, image, result, spread, writing, device)


def _train(run: Run | Calibration, folder: Path, *, fresh: bool) -> Generator[Event]:
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

    def save(finished: bool = False) -> None:
        nonlocal fresh, saved, saved_step
        checkpoint.save(folder, run.model(), run, finished=finished, fresh=fresh)
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
                if time.monotonic() - saved > SAVE_EVERY:
                    save()
            save(finished=True)
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
    yield from _verdict(run)
    yield Saved(folder)


def _predict_file(
    model: Model,
    image: Image,
    target: Path,
    spread: Path | None,
    writing: Writing,
    device: str,
) -> Generator[Event]:
    """Denoise one image into its file, and its standard deviations into another."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(
            io.create(target, image, dtype=writing.type_of(image), overwrite=writing.overwrite)
        )
        std = spread and stack.enter_context(
            io.create(spread, image, dtype=np.dtype(np.float32), overwrite=writing.overwrite)
        )
        for block in predict(model, image, device=device, tta=writing.tta):
            out.write(block.where, block.values)
            if std:
                assert block.std is not None
                std.write(block.where, block.std)
            yield Predicting(target, block.done, block.total)
    yield Saved(target)
    if spread:
        yield Saved(spread)


def _notes(images: Sequence[Image]) -> Generator[Message]:
    """What the readers want people to know."""
    for image in images:
        if "note" in image.metadata:
            yield Message(f"{image.name}: {image.metadata['note']}")


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
