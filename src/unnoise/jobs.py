"""Whole jobs from files to files, as generators of events; every front end wraps these.

Closing a generator cancels its job: temporary files go, finished files stay.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from unnoise import checkpoint, io
from unnoise.config import Config
from unnoise.device import pick
from unnoise.errors import InputError
from unnoise.image import Image
from unnoise.missing import checked
from unnoise.model import Model
from unnoise.plan import choose_ndim, describe, plan
from unnoise.predict import predict
from unnoise.train import Progress, Run

SAVE_EVERY = 60.0
"""Seconds between two saves of a running training."""


@dataclass(frozen=True)
class Message:
    """Something worth telling."""

    text: str


@dataclass(frozen=True)
class Predicting:
    """A piece of an image is done."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Saved:
    """A result lies on disk."""

    path: Path


@dataclass(frozen=True)
class Stopped:
    """The job was stopped early; the text says what is left."""

    text: str


Event = Message | Progress | Predicting | Saved | Stopped


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
        seen: dict[Path, Path] = {}
        for source, path in zip(inputs, paths, strict=True):
            if path in seen:
                raise InputError(
                    f"{source} and {seen[path]} would both be written to {path}; denoise them in "
                    f"two runs with different -o"
                )
            seen[path] = source
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


@dataclass
class Interrupt:
    """Turns the first Ctrl-C (or SIGTERM) within a ``with`` into a request; the second one kills.

    A front end without signals sets `requested` itself.
    """

    requested: bool = False
    _old: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._old:
            signal.signal(*self._old.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def denoise_files(
    inputs: Sequence[str | Path],
    config: Config,
    *,
    reading: Reading,
    writing: Writing,
    each: bool = False,
    save_model: str | None = None,
    device: str = "auto",
) -> Iterator[Event]:
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
    for image, target in zip(images, targets, strict=True):
        io.create(target, image, dtype=writing.type_of(image), overwrite=writing.overwrite)
    pick(device)
    groups = _groups(images, each, config)
    models = [plan([images[i] for i in group], config) for group in groups]
    if save_model and len(groups) > 1:
        raise InputError(
            f"the images need {len(groups)} models, so one --save-model folder cannot hold them; "
            f"leave it out, or denoise alike images in one run"
        )
    if save_model:
        checkpoint.check_place(Path(save_model), overwrite=writing.overwrite)
    for group, model in zip(groups, models, strict=True):
        members = [images[i] for i in group]
        names = members[0].name if len(members) == 1 else f"{len(members)} images"
        yield Message(f"{names}: {describe(model, members)}")
        run = Run(members, model, pick(device))
        interrupt = Interrupt()
        with interrupt:
            for progress in run:
                yield progress
                if interrupt.requested:
                    break
            if interrupt.requested:
                folder = Path(save_model) if save_model else _free(targets[group[0]])
                checkpoint.save(folder, run.model(), run)
                yield Stopped(
                    f"stopped at step {run.step}; the model so far is in {folder}: go on with "
                    f"unnoise train --resume {folder}, or use it with unnoise predict {folder}"
                )
                return
        trained = run.model()
        if save_model:
            checkpoint.save(save_model, trained)
            yield Saved(Path(save_model))
        for i in group:
            yield from _predict_file(trained, images[i], targets[i], writing, device)


def train_files(
    inputs: Sequence[str | Path],
    folder: str | Path,
    config: Config,
    *,
    reading: Reading,
    overwrite: bool = False,
    device: str = "auto",
) -> Iterator[Event]:
    """Train one model on all files and write its folder.

    Raises
    ------
    InputError
        Before any training, if an input or the folder cannot be used.
    """
    place = Path(folder)
    checkpoint.check_place(place, overwrite=overwrite)
    images = [reading.open(path) for path in io.find(inputs)]
    model = plan(images, config)
    model = replace(model, origin={**model.origin, "reading": vars(reading)})
    names = images[0].name if len(images) == 1 else f"{len(images)} images"
    yield Message(f"{names}: {describe(model, images)}")
    yield from _train(Run(images, model, pick(device)), place)


def resume(
    folder: str | Path, inputs: Sequence[str | Path] = (), *, device: str = "auto"
) -> Iterator[Event]:
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
    run = checkpoint.load_run(place, [reading.open(path) for path in paths], pick(device))
    yield Message(f"{place}: going on after step {run.step}")
    yield from _train(run, place)


def predict_files(
    folder: str | Path,
    inputs: Sequence[str | Path],
    *,
    reading: Reading,
    writing: Writing,
    device: str = "auto",
) -> Iterator[Event]:
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
    for path, target in zip(paths, targets, strict=True):
        image = io.open(path, axes=reading.axes)
        model.check(image)
        io.create(target, image, dtype=writing.type_of(image), overwrite=writing.overwrite)
    for path, target in zip(paths, targets, strict=True):
        yield from _predict_file(model, reading.open(path), target, writing, device)


def _train(run: Run, folder: Path) -> Iterator[Event]:
    """Train to the end or to Ctrl-C, saving now and then."""
    saved = time.monotonic()
    with Interrupt() as interrupt:
        checkpoint.save(folder, run.model(), run)
        for progress in run:
            yield progress
            if interrupt.requested:
                break
            if time.monotonic() - saved > SAVE_EVERY:
                checkpoint.save(folder, run.model(), run)
                saved = time.monotonic()
        if interrupt.requested and run.fraction < 1:
            checkpoint.save(folder, run.model(), run)
            yield Stopped(
                f"stopped at step {run.step}; {folder} holds a usable model: go on with unnoise "
                f"train --resume {folder}"
            )
            return
        checkpoint.save(folder, run.model(), run, finished=True)
    yield Saved(folder)


def _predict_file(
    model: Model, image: Image, target: Path, writing: Writing, device: str
) -> Iterator[Event]:
    """Denoise one image into its file."""
    dtype = writing.type_of(image)
    with io.create(target, like=image, dtype=dtype, overwrite=writing.overwrite) as out:
        for block in predict(model, image, device=device, tta=writing.tta):
            out.write(block.where, block.values)
            yield Predicting(target, block.done, block.total)
    yield Saved(target)


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
