"""What a run would do: files read and written, method and why, time and memory.

A job comes here after all its refusals, where its work would begin.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unnoise.app.amounts import at_most
from unnoise.app.events import Event, Facts, Failed, Message, Warned
from unnoise.app.files import InputOptions, OutputOptions, notes
from unnoise.app.info import BASE, HELD, memory_of
from unnoise.app.telling import introduced
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.training import levels
from unnoise.training.auto import MethodChoice
from unnoise.training.duration import expected_duration, expected_prediction, in_words
from unnoise.training.plan import describe

Plans = Sequence[tuple[list[int], tuple[MethodChoice, Model]]]
"""Numbers of the images that share a model, and that model before its training."""


@dataclass(frozen=True)
class Places:
    """Where what is read comes from, and where what is made would go.

    Attributes
    ----------
    images : sequence of Image
    results : sequence of Path or None
        None where images are only learned from.
    spreads : sequence of Path or None
        Of the standard deviations.
    writing : OutputOptions
    model : str or None
        The folder of the trained model, where it is kept.
    """

    images: Sequence[Image]
    results: Sequence[Path | None]
    spreads: Sequence[Path | None]
    writing: OutputOptions
    model: str | None = None

    def lines(self) -> Iterator[str]:
        """What would be read and written."""
        for image, result, spread in zip(self.images, self.results, self.spreads, strict=True):
            also = f" and {spread}" if spread else ""
            makes = (
                f"give {result}{also} ({self.writing.type_of(image, result)})"
                if result
                else "be read"
            )
            yield f"{image.path or image.name} ({_size(image)}) would {makes}"
        if self.model:
            yield f"the model would be kept in {self.model}"

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        files = [
            {
                "input": str(image.path or image.name),
                "axes": image.axes,
                "shape": list(image.shape),
                "dtype": str(image.dtype),
                "output": result and str(result),
                "output_dtype": result and str(self.writing.type_of(image, result)),
                "uncertainty": spread and str(spread),
            }
            for image, result, spread in zip(self.images, self.results, self.spreads, strict=True)
        ]
        return {"files": files, "model": self.model}


def of_denoising(
    plans: Plans, places: Places, partners: Sequence[Image] | None, device: torch.device
) -> Generator[Event]:
    """What ``denoise`` would do."""
    groups: list[dict[str, Any]] = []
    for numbers, (choice, model) in plans:
        images = [places.images[i] for i in numbers]
        own = None if partners is None else [partners[i] for i in numbers]
        groups.append((yield from _of_group(images, model, choice, device, own)))
    yield from _summed(places, groups)


def of_training(
    images: Sequence[Image],
    model: Model,
    choice: MethodChoice,
    device: torch.device,
    folder: Path,
    partners: Sequence[Image] | None,
) -> Generator[Event]:
    """What ``train`` would do."""
    group = yield from _of_group(images, model, choice, device, partners)
    nothing = [None] * len(images)
    yield from _summed(Places(images, nothing, nothing, OutputOptions(), str(folder)), [group])


def of_prediction(
    model: Model,
    places: Places,
    reading: InputOptions,
    device: torch.device,
    tolerant: bool,
    refuse: Callable[[int, Image], None],
) -> Generator[Event]:
    """What ``predict`` would do; images that do not fit the model, or that `refuse` refuses by
    their numbers, are told as they would fail.
    """
    good: list[int] = []
    checked: list[Image] = []
    for i, image in enumerate(places.images):
        try:
            model.check(image)
            own = reading.check(image)
            refuse(i, own)
        except InputError as error:
            if not tolerant or isinstance(error.__cause__, OSError):
                raise
            yield Failed(image.path or Path(image.name), str(error))
            continue
        yield from notes([own])
        unlike = model.unlike(own)
        if unlike:
            yield Warned(unlike)
        good.append(i)
        checked.append(own)
    results, spreads = [places.results[i] for i in good], [places.spreads[i] for i in good]
    group = {
        "method": model.config.method,
        "why": None,
        "plan": [],
        "images": [image.name for image in checked],
        "memory": max((memory_of(model, image, str(device)) for image in checked), default=0),
        "seconds": round(expected_prediction(model, checked, device), 1) if checked else None,
    }
    yield from _summed(Places(checked, results, spreads, places.writing), [group])


def of_files(places: Places) -> Generator[Event]:
    """What a job would do that reads and writes files, and no more."""
    sizes = [math.prod(image.shape) * image.dtype.itemsize for image in places.images]
    memory = int(BASE + min(2 * max(sizes, default=0), HELD))
    yield from _summed(places, [{"memory": memory, "seconds": None}])


def _of_group(
    images: Sequence[Image],
    model: Model,
    choice: MethodChoice,
    device: torch.device,
    partners: Sequence[Image] | None,
) -> Generator[Event, None, dict[str, Any]]:
    """What is told of images that share a model."""
    yield from introduced(images, model, choice)
    duration = expected_duration(model, images, device, partners)
    return {
        "method": model.config.method,
        "why": choice.why or None,
        "plan": [describe(own, parts) for own, (parts, _) in levels.groups_of(model, images)],
        "images": [image.name for image in images],
        "memory": max(memory_of(model, image, str(device)) for image in images),
        "seconds": None if duration is None else round(duration.whole, 1),
    }


def _summed(places: Places, groups: Sequence[dict[str, Any]]) -> Generator[Event]:
    """Files, time and memory of all, for people and for programs."""
    yield from map(Message, places.lines())
    memory = max((group["memory"] for group in groups), default=0)
    known = [group["seconds"] for group in groups if group["seconds"] is not None]
    seconds = sum(known) if known and len(known) == len(groups) else None
    time = "" if seconds is None else f"{in_words(seconds)} and "
    yield Message(f"this would take {time}{at_most(memory)} of memory on this machine")
    yield Message("nothing was written: this was a dry run")
    facts = {**places.facts(), "groups": list(groups), "memory": memory, "seconds": seconds}
    yield Facts("dry_run", facts)


def _size(image: Image) -> str:
    return f"{image.axes} {'x'.join(map(str, image.shape))}, {image.dtype}"


@contextlib.contextmanager
def leaving_no_folders(*places: str | Path | None) -> Iterator[None]:
    """Take away the folders that checks of places have made on their way."""
    missing = {
        folder
        for place in places
        if place is not None and "://" not in str(place)
        for folder in (Path(place), *Path(place).parents)
        if not folder.exists()
    }
    try:
        yield
    finally:
        for folder in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
