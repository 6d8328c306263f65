"""Whole jobs from files to files, as generators of events; every front end wraps these.

Closing a generator cancels its job: temporary files go, finished files stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unnoise import checkpoint, io
from unnoise.config import Config
from unnoise.device import pick
from unnoise.errors import InputError
from unnoise.events import Event, Interrupt, Message, Predicting, Saved, Stopped
from unnoise.image import Image
from unnoise.missing import checked
from unnoise.model import Model
from unnoise.plan import choose_ndim, describe, plan
from unnoise.predict import predict
from unnoise.training import Run

SAVE_EVERY = 60.0
"""Seconds between two saves of a running training."""


@dataclass(frozen=True)
class Reading:
    """How input files are read.

    Attributes
    ----------
    axes : str or None
        Axes that override those of the files.
    nan : str
        ``refuse`` or ``fill``.
    """

    axes: str | None = None
    nan: str = "refuse"

    def open(self, path: Path) -> Image:
        """Open and check an image."""
        return checked(io.open(path, axes=self.axes), self.nan)


@dataclass(frozen=True)
class Writing:
    """Where and how results are written.

    Attributes
    ----------
    out : str or None
        File or folder; by default beside the input.
    dtype : str or None
        Type of the pixels; by default that of the input.
    overwrite : bool
        Whether existing results may be replaced.
    tta : bool
        Average over the eight flips and rotations.
    """

    out: str | None = None
    dtype: str | None = None
    overwrite: bool = False
    tta: bool = False

    def paths(self, inputs: Sequence[Path]) -> list[Path]:
        """The result of every input, refused early if it cannot be written."""
        paths = [io.output_path(path, self.out, several=len(inputs) > 1) for path in inputs]
        sources = {_real(path): path for path in inputs}
        seen: dict[str, Path] = {}
        for source, path in zip(inputs, paths, strict=True):
            real = _real(path)
            if real in seen:
                raise InputError(
                    f"{source} and {seen[real]} would both be written to {path}; denoise them in "
                    f"two runs with different -o"
                )
            if real in sources:
                raise InputError(
                    f"the result of {source} would be written to {path}, which is an input, and "
                    f"inputs are never overwritten; name only the noisy files, or choose a folder "
                    f"with -o"
                )
            seen[real] = source
        return paths

    def type_of(self, image: Image) -> np.dtype:
        """The dtype of the result."""
        try:
            dtype = np.dtype(self.dtype or image.dtype)
        except TypeError as error:
            raise InputError(
                f"unknown dtype '{self.dtype}'; try uint8, uint16 or float32"
            ) from error
        if dtype.kind not in "buif":
            raise InputError(f"an image cannot have dtype {dtype}; try uint8, uint16 or float32")
        return dtype


def _real(path: Path) -> str:
    """One name per file, on disks that ignore case too."""
    return os.path.normcase(os.path.realpath(path))


def denoise_files(
    inputs: Sequence[str | Path],
    config: Config,
    *,
    reading: Reading,
    writing: Writing,
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
    targets = writing.paths(paths)
    images = [reading.open(path) for path in paths]
    _check_outputs(images, targets, writing)
    yield from _notes(images)
    groups = _groups(images, each, config)
    models = [_plan([images[i] for i in group], config, reading) for group in groups]
    if save_model and len(groups) > 1:
        raise InputError(
            f"the images need {len(groups)} models, so one --save-model folder cannot hold them; "
            f"leave it out, or denoise alike images in one run"
        )
    if save_model:
        checkpoint.check_place(Path(save_model), overwrite=writing.overwrite)
    for group, model in zip(groups, models, strict=True):
        members = [images[i] for i in group]
        yield _description(members, model)
        run = Run(members, model, pick(device))
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
                if interrupt.requested:
                    break
            if save_model and run.fraction == 1:
                checkpoint.save(save_model, run.model(), run, finished=True, fresh=True)
                yield Saved(Path(save_model))
            for i in [] if interrupt.requested else group:
                job = _predict_file(run.model(), images[i], targets[i], writing, device)
                with contextlib.closing(job):
                    for event in job:
                        yield event
                        if interrupt.requested:
                            break
                if interrupt.requested:
                    break
            if interrupt.requested:
                yield _stopped(run, Path(save_model) if save_model else _free(targets[group[0]]))
                return


def _stopped(run: Run, folder: Path) -> Stopped:
    """Keep what was trained, and say how to use it."""
    finished = run.fraction == 1
    checkpoint.save(folder, run.model(), run, finished=finished, fresh=True)
    on = "" if finished else f"go on with unnoise train --resume {folder}, or "
    return Stopped(
        f"stopped at step {run.step}; the model so far is in {folder}: {on}use it with unnoise "
        f"predict {folder} IMAGES"
    )


def _plan(images: Sequence[Image], config: Config, reading: Reading) -> Model:
    """The model a run starts from, with what resuming needs to read the images again."""
    model = plan(images, config)
    return replace(model, origin={**model.origin, "reading": vars(reading)})


def _description(images: Sequence[Image], model: Model) -> Message:
    names = images[0].name if len(images) == 1 else f"{len(images)} images"
    return Message(f"{names}: {describe(model, images)}")


def _check_outputs(images: Sequence[Image], targets: Sequence[Path], writing: Writing) -> None:
    """Find out before long work whether all results can be written."""
    needed: dict[Path, int] = defaultdict(int)
    for image, target in zip(images, targets, strict=True):
        dtype = writing.type_of(image)
        output = io.create(target, image, dtype=dtype, overwrite=writing.overwrite)
        output.check()
        needed[target.parent] += output.nbytes
    for folder, size in needed.items():
        if shutil.disk_usage(folder).free < size:
            raise InputError(
                f"no space left on the disk for the results in {folder} (they need "
                f"{size / 1e9:.1f} GB); free some space or choose another place with -o"
            )


def train_files(
    inputs: Sequence[str | Path],
    folder: str | Path,
    config: Config,
    *,
    reading: Reading,
    overwrite: bool = False,
    device: str = "auto",
) -> Generator[Event]:
    """Train one model on all files and write its folder.

    Raises
    ------
    InputError
        Before any training, if an input or the folder cannot be used.
    """
    place = Path(folder)
    checkpoint.check_place(place, overwrite=overwrite)
    images = [reading.open(path) for path in io.find(inputs)]
    yield from _notes(images)
    model = _plan(images, config, reading)
    yield _description(images, model)
    yield from _train(Run(images, model, pick(device)), place, fresh=True)


def resume(
    folder: str | Path, inputs: Sequence[str | Path] = (), *, device: str = "auto"
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
    run = checkpoint.load_run(place, model, images, pick(device))
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
    paths = io.find(inputs)
    targets = writing.paths(paths)
    pick(device)
    images = [io.open(path, axes=reading.axes) for path in paths]
    for image in images:
        model.check(image)
    _check_outputs(images, targets, writing)
    for image, target in zip(images, targets, strict=True):
        image = checked(image, reading.nan)
        yield from _notes([image])
        yield from _predict_file(model, image, target, writing, device)


def _train(run: Run, folder: Path, *, fresh: bool) -> Generator[Event]:
    """Train to the end or to Ctrl-C, saving now and then.

    Whatever is in the folder stays until there is something trained to replace it with.
    """
    saved, saved_step = time.monotonic(), 0 if fresh else run.step

    def save(finished: bool = False) -> None:
        nonlocal fresh, saved, saved_step
        checkpoint.save(folder, run.model(), run, finished=finished, fresh=fresh)
        fresh, saved, saved_step = False, time.monotonic(), run.step

    try:
        with Interrupt() as interrupt:
            for progress in run:
                yield progress
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
    yield Saved(folder)


def _predict_file(
    model: Model, image: Image, target: Path, writing: Writing, device: str
) -> Generator[Event]:
    """Denoise one image into its file."""
    dtype = writing.type_of(image)
    with io.create(target, like=image, dtype=dtype, overwrite=writing.overwrite) as out:
        for block in predict(model, image, device=device, tta=writing.tta):
            out.write(block.where, block.values)
            yield Predicting(target, block.done, block.total)
    yield Saved(target)


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
        groups[image.sizes["C"], image.alpha, config.ndim or choose_ndim([image])].append(i)
    return list(groups.values())


def _free(target: Path) -> Path:
    """A model folder beside a result that does not exist yet."""
    stem = target.with_suffix("")
    names = (stem.with_name(f"{stem.name}{n}.model") for n in ("", *map(str, range(2, 1000))))
    return next(name for name in names if not name.exists())
