"""``unnoise info``: what files hold, what would be read and written, and what denoising needs."""

from __future__ import annotations

import json
import math
import os
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.app.amounts import amount as amount
from unnoise.app.amounts import at_most
from unnoise.app.files import InputOptions
from unnoise.errors import InputError, UnnoiseError, printable
from unnoise.images import formats
from unnoise.images.formats import unfinished
from unnoise.images.formats.content import about_of
from unnoise.images.formats.registry import split_inside
from unnoise.images.formats.urls import Url
from unnoise.images.image import Image

if TYPE_CHECKING:
    from unnoise.models.model import Model

BASE = 450e6
"""Bytes of Python, PyTorch and the readers before the first pixel."""
HELD = 512e6
"""Bytes of decoded pixels, read and written, that wait at most."""


@dataclass(frozen=True)
class Needs:
    """What denoising one image takes on this machine, by the method that would be chosen.

    Attributes
    ----------
    method : str
    memory : int
        Bytes at most, of the whole program.
    seconds : float or None
        With training, where the method trains; None where it is not known.
    """

    method: str
    memory: int
    seconds: float | None


def run(
    inputs: Sequence[str | Path],
    reading: InputOptions,
    *,
    as_json: bool = False,
    estimate: bool = True,
) -> str:
    """What to print of files.

    Parameters
    ----------
    inputs : sequence of path
    reading : InputOptions
        By default every image of a file is told, those that would be left out too.
    as_json : bool
    estimate : bool
        Whether time and memory are told, for which the noise is measured and a few steps are timed.

    Raises
    ------
    InputError
        If the only file cannot be opened.
    """
    paths = reading.paths(inputs)
    found: list[dict[str, Any]] = []
    members: set[str] = set()  # of images that were told: slices of DICOM, files of OME-TIFF
    for path in paths:
        if os.path.realpath(path) not in members:
            facts, files = _file(path, reading, estimate, alone=len(paths) == 1)
            found.append(facts)
            members |= files
    if as_json:
        return json.dumps(found[0] if len(found) == 1 else found, indent=1)
    return "\n\n".join(map(_text, found))


def _file(
    path: Path, reading: InputOptions, estimate: bool, *, alone: bool
) -> tuple[dict[str, Any], set[str]]:
    """The facts of a file, and the files that hold its images with it."""
    files: set[str] = set()
    known = about_of(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "format": known.name.partition(":")[0] if known else "of another package",
        "reader": known.library if known else None,
        "bytes_on_disk": sum(map(_size, formats.files_of(path))),
        "unfinished": _unfinished(path),
    }
    try:
        chosen = reading.series is not None or reading.positions is not None
        every = reading if chosen else replace(reading, series="all")
        images = every.find([path])
        files = {os.path.realpath(f) for one in images for f in one.metadata.get("files", ())}
        used: Sequence[int] = range(len(images))
        if len(images) > 1 and not chosen:
            try:
                used = formats.numbers(path)
                # As they are opened without --series, which gives the name of the result.
                for number, image in zip(used, reading.find([path]), strict=True):
                    images[number] = replace(images[number], metadata=image.metadata)
            except InputError as error:  # none is meant before one is named
                used, facts["problem"] = (), str(error)
        facts["images"] = [
            _image(image, reading, is_used=i in used, estimate=estimate)
            for i, image in enumerate(images)
        ]
    except InputError as error:
        if alone:
            raise
        facts["problem"] = str(error)
    return facts, files


def _unfinished(path: Path) -> list[dict[str, Any]]:
    """Results of a file that are begun, beside it or in the current folder, and how to go on."""
    file, _ = split_inside(path)
    if isinstance(file, Url):
        return []
    source = str(file.absolute())
    folders = dict.fromkeys((file.absolute().parent, Path.cwd()))
    found = (one for folder in folders for one in unfinished.parts(folder))
    return [
        {
            "result": one.result,
            "model": one.model,
            "pieces_done": one.done,
            "pieces": one.pieces,
            "resume": shlex.join(one.command),
        }
        for one in found
        if source in (one.source, one.result)
    ]


def _image(image: Image, reading: InputOptions, *, is_used: bool, estimate: bool) -> dict[str, Any]:
    """The facts of an image."""
    taken = image.acquisition
    numbers = ("red", "green", "blue", "alpha") if image.is_rgb else map(str, count())
    names = image.channel_names or tuple(islice(numbers, image.sizes["C"]))
    colors = taken.colors or ("",) * len(names)
    channels = [
        {"name": name, "color": color or None} for name, color in zip(names, colors, strict=False)
    ]
    chunks = getattr(image.data, "chunks", None)
    result = formats.output_path(image)
    facts: dict[str, Any] = {
        "name": image.name,
        "axes": image.axes,
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        "pixel_size": {a: [image.scale[a], image.units.get(a, "")] for a in image.scale},
        "channels": channels,
        "date": taken.date or None,
        "objective": taken.as_dict().get("objective"),
        "chunks": list(map(int, chunks)) if chunks else None,
        "bytes_in_memory": math.prod(image.shape) * image.dtype.itemsize,
        "note": image.metadata.get("note"),
        "read": is_used,
        "result": str(result) if is_used else None,
    }
    if is_used and estimate:
        told: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")  # they are of this image, and else would not say so
            try:
                facts["needs"] = asdict(needs(reading.check(image)))
            except UnnoiseError as error:
                facts["needs"] = None
                told = [str(error)]
        told = [*dict.fromkeys(str(one.message) for one in caught), *told]
        facts["note"] = "; ".join(filter(None, [facts["note"], *told])) or None
    return facts


def needs(image: Image) -> Needs:
    """What denoising takes here; the noise is measured and a few steps are timed.

    Raises
    ------
    UnnoiseError
        If nothing can be done with the image.
    """
    from unnoise.nets.device import select_device
    from unnoise.training.auto import Auto
    from unnoise.training.duration import expected_duration
    from unnoise.training.levels import planned

    _, model = planned([image], Auto(), None)
    device = select_device("auto")
    duration = expected_duration(model, [image], device)
    memory = memory_of(model, image, str(device))
    return Needs(model.config.method, memory, None if duration is None else duration.whole)


def memory_of(model: Model, image: Image, device: str) -> int:
    """Bytes at most, of the whole program, while a model predicts an image."""
    from unnoise.models.predict import tile_memory

    result = math.prod(image.shape) * image.dtype.itemsize
    return int(BASE + tile_memory(model, image, device=device) + min(2 * result, HELD))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    path, _ = split_inside(path)
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    places = (Path(root) / name for root, _, names in os.walk(path) for name in names)
    return sum(place.stat().st_size for place in places)


def _text(facts: dict[str, Any]) -> str:
    """The facts of a file for the terminal."""
    lines = [f"{facts['file']}: {facts['format']}, {amount(facts['bytes_on_disk'])} on disk"]
    if "problem" in facts:
        lines.append(f"  cannot be read: {facts['problem']}")
    for image in facts.get("images", ()):
        lines += _lines(image)
    lines += [
        f"  unfinished: {one['pieces_done']} of {one['pieces']} pieces of {one['result']} are "
        f"kept; go on with: {one['resume']}"
        for one in facts["unfinished"]
    ]
    return "\n".join(printable(line) for line in lines)


def _lines(facts: dict[str, Any]) -> list[str]:
    """The facts of an image as lines."""
    size = "x".join(map(str, facts["shape"]))
    rows = [f"  {facts['name']}: axes {facts['axes']}, {size}, {facts['dtype']}, "]
    rows[0] += f"{amount(facts['bytes_in_memory'])} in memory"
    rows[0] += "" if facts["read"] else "; left out unless --series names it"
    step = [
        f"{a} {value[0]:.6g}{' ' * bool(value[1])}{value[1]}"
        for a in facts["axes"]
        for value in filter(None, [facts["pixel_size"].get(a)])
    ]
    channels = [c["name"] + (f" (#{c['color']})" if c["color"] else "") for c in facts["channels"]]
    about = {
        "pixel size": ", ".join(step) or "unknown",
        "channels": ", ".join(channels) if len(channels) > 1 else "",
        "acquired": facts["date"],
        "objective": facts["objective"],
        "chunks": "x".join(map(str, facts["chunks"] or ())),
        "result": facts["result"],
        "needs": _needed(facts.get("needs")),
        "note": facts["note"],
    }
    return [*rows, *(f"    {name:<11}{text}" for name, text in about.items() if text)]


def _needed(found: dict[str, Any] | None) -> str:
    """Memory and time for people."""
    if not found:
        return ""
    from unnoise.training.duration import in_words

    text = f"{at_most(found['memory'])} of memory"
    if found["seconds"] is not None:
        text += f" and {in_words(found['seconds'])} on this machine"
    return f"{text} ({found['method']})"
