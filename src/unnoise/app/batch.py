"""Many images at once: what fails is left behind and named, and a ledger tells what became of each.

The ledger, ``unnoise-run.jsonl`` in the folder of the results, has a line of JSON for every image,
appended when that image is done with; docs/json.md describes it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from unnoise.app.events import Batch, Event, Failed, Judged, Skipped, Warned
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.durable import make_folder
from unnoise.images.formats.urls import Url
from unnoise.images.image import Image
from unnoise.models.claim import tidy
from unnoise.training.plan import choose_ndim

Parameters = ParamSpec("Parameters")
Plans = TypeVar("Plans")
LEDGER = "unnoise-run.jsonl"
PROBED = 32
"""Side of the piece that is read of every image before long work, to see whether it decodes."""


def opened(
    paths: Sequence[Path | Image], reading: InputOptions
) -> tuple[list[Image], list[Failed]]:
    """The images of files, and those that cannot be opened; of a single file that is an error.

    Raises
    ------
    InputError
        If none can be opened.
    """
    try:
        return reading.find(paths), []
    except InputError:
        if len(paths) < 2:
            raise
    failed, good = [], list[Path | Image]()
    for path in paths:
        try:
            reading.find([path])
            good.append(path)
        except InputError as error:
            failed.append(Failed(place(path), str(error)))
    if not good:
        raise InputError(f"none of {len(paths)} files can be opened; the first: {failed[0].text}")
    return reading.find(good), failed


def without_results(
    images: Sequence[Image], results: Sequence[Path], writing: OutputOptions
) -> tuple[list[int], list[Skipped]]:
    """Numbers of the images to work on, and those that are left alone as their result is there."""
    kept, skipped = [], []
    for i, (image, result) in enumerate(zip(images, results, strict=True)):
        if writing.skip_existing and result.exists():
            skipped.append(Skipped(place(image), result))
            tidy(result)
        else:
            kept.append(i)
    return kept, skipped


def readable(
    images: Sequence[Image], numbers: Sequence[int], reading: InputOptions
) -> tuple[list[int], list[Image], list[Failed]]:
    """Numbers of those of some images that decode, these images checked, and the others."""
    kept, checked, failed = [], [], []
    for i in numbers:
        image = images[i]
        try:
            one = reading.check(image)
            one.read(image.middle(PROBED))
        except InputError as error:
            failed.append(Failed(place(image), str(error)))
        else:
            kept.append(i)
            checked.append(one)
    return kept, checked, failed


def possible(
    images: Sequence[Image], plans: Callable[[Sequence[int]], Plans], tolerant: bool
) -> tuple[Plans, list[Failed]]:
    """The plans for images by their numbers, without those for which none can be made.

    Raises
    ------
    InputError
        If one cannot be planned, unless `tolerant`; what is wrong with all is no fault of one.
    """
    try:
        return plans(range(len(images))), []
    except InputError:
        kept, failed = [], []
        for i, image in enumerate(images if tolerant else ()):
            try:
                plans([i])
            except InputError as error:
                failed.append(Failed(place(image), str(error)))
            else:
                kept.append(i)
        if not kept:
            raise
    return plans(kept), failed


def alike(
    images: Sequence[Image], numbers: Sequence[int], each: bool, config: Config
) -> list[list[int]]:
    """Those of some images that can share a model, by their numbers."""
    groups: dict[object, list[int]] = defaultdict(list)
    for i in numbers:
        image = images[i]
        kind = (image.sizes["C"], image.alpha, choose_ndim([image], config))
        groups[i if each else kind].append(i)
    return list(groups.values())


def place(image: Image | Path) -> Path:
    """Where an image came from."""
    return (image.path or Path(image.name)) if isinstance(image, Image) else image


def recorded(
    job: Callable[Parameters, Generator[Event]],
) -> Callable[Parameters, Generator[Event]]:
    """A job whose ledger is written while it runs, from the `Batch` that it tells on.

    A ledger that cannot be written costs a warning, and no result.
    """

    @functools.wraps(job)
    def with_ledger(*given: Parameters.args, **named: Parameters.kwargs) -> Generator[Event]:
        ledger: Path | None = None
        if named.get("dry"):  # which writes nothing
            yield from job(*given, **named)
            return
        with contextlib.closing(job(*given, **named)) as events:
            for event in events:
                if isinstance(event, Batch) and not isinstance(event.folder, Url):
                    ledger = event.folder / LEDGER
                yield event
                line = _line(event)
                if ledger is not None and line is not None:
                    try:
                        _append(ledger, line)
                    except OSError as error:
                        yield Warned(f"{ledger} cannot be written ({error.strerror})")
                        ledger = None

    return with_ledger


def _append(ledger: Path, line: dict[str, Any]) -> None:
    """Add a whole line, which stays whole where others write to the same file, and lasts.

    What a full disk has left of an earlier one stays a line of its own.
    """
    make_folder(ledger.parent)
    text = json.dumps(line, ensure_ascii=True) + "\n"
    file = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        if os.fstat(file).st_size:
            os.lseek(file, -1, os.SEEK_END)
            text = text if os.read(file, 1) == b"\n" else f"\n{text}"
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)


def _line(event: Event) -> dict[str, Any] | None:
    """What a ledger has of an event, or nothing."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if isinstance(event, Failed):
        return {"input": str(event.path), "status": "failed", "why": event.text, "time": now}
    if isinstance(event, Skipped):
        why = f"{event.result} exists"
        own = {"input": str(event.path), "output": str(event.result), "status": "skipped"}
        return {**own, "why": why, "time": now}
    if isinstance(event, Judged) and not event.dropped and event.output is not None:
        return {
            "input": event.image,
            "output": str(event.output),
            "status": "done",
            "method": event.method,
            "verdict": event.verdict,
            "warnings": list(event.warnings),
            "seconds": round(event.seconds, 3),
            "time": now,
        }
    return None
