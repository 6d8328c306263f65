"""A verdict in words before anything starts: the image, its noise, and what will be done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unnoise.app import batch
from unnoise.app.amounts import at_most
from unnoise.app.files import notes
from unnoise.app.info import BASE, HELD
from unnoise.app.session.request import Request, named
from unnoise.images.image import Image
from unnoise.models import folder as model_folder
from unnoise.models.model import Model
from unnoise.models.predict import tile_memory
from unnoise.nets.device import return_memory, select_device
from unnoise.noise.inspect import NoiseReport, inspect
from unnoise.report.noise_page import kind_of
from unnoise.training import levels
from unnoise.training.duration import expected_duration, expected_prediction, in_words

MOST, MOST_OPENED = 3, 200
"""Images of several whose noise is measured, and whose sizes are looked at."""


@dataclass(frozen=True)
class Look:
    """What is known before anything starts.

    Attributes
    ----------
    images : int
        How many there are.
    name, axes : str
    shape : tuple of int
    dtype : str
        Of the first image.
    scale, units : dict
        Size of a pixel and its unit, by letter, where they are known.
    channels : tuple of str
        Names of the channels, or their numbers.
    noise : tuple of str
        What the noise is, in words, and what was found besides.
    method, why : str
        What will be done.
    seconds : float or None
        About how long all of it takes on this machine; None where that is not known.
    memory : int
        Bytes at most, of the whole program.
    warnings : tuple of str
        What endangers the result.
    """

    images: int
    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    scale: dict[str, float]
    units: dict[str, str]
    channels: tuple[str, ...]
    noise: tuple[str, ...]
    method: str
    why: str
    seconds: float | None
    memory: int
    warnings: tuple[str, ...] = ()

    def words(self) -> str:
        """All of it as lines to read."""
        size = " x ".join(map(str, self.shape))
        steps = [f"{a} {v:.4g} {self.units.get(a, '')}".strip() for a, v in self.scale.items()]
        about = f"{self.name}: axes {self.axes}, {size}, {self.dtype}"
        time = "" if self.seconds is None else f"{in_words(self.seconds)} and "
        more = f"{self.images - 1} more images" if self.images > 1 else ""
        lines = [
            about + (f"; and {more}" if more else ""),
            f"pixel size: {', '.join(steps) or 'unknown'}",
            f"channels: {', '.join(self.channels)}" if len(self.channels) > 1 else "",
            *(f"noise: {text}" for text in self.noise),
            self.why,
            f"needs {time}{at_most(self.memory)} of memory on this machine",
            *(f"warning: {text}" for text in self.warnings),
        ]
        return "\n".join(line for line in lines if line)


def look(request: Request, images: Sequence[Image] | None = None) -> Look:
    """Look at the first images of a request; takes some seconds, and writes nothing.

    Parameters
    ----------
    request : Request
    images : sequence of Image, optional
        Images in memory, in the place of files.

    Raises
    ------
    InputError
        For what cannot be denoised so.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(100, 5, size=(64, 64)).astype(np.float32)
    >>> found = look(Request(("cells",), method="gaussian"), [Image.from_array(noise)])
    >>> found.method, found.axes, found.seconds is None
    ('gaussian', 'YX', True)
    """
    try:
        return _look(request, images)
    finally:
        return_memory()  # the program goes on: what a net took for a moment is not kept


def _look(request: Request, images: Sequence[Image] | None) -> Look:
    reading = request.reading()
    settings = request.chosen() if request.model is None else None
    given = reading.given(request.inputs if images is None else named(images, request.inputs))
    opened, failed = batch.opened(given[:MOST_OPENED], reading)
    alike = [image for image in opened if _kind(image) == _kind(opened[0])]
    some = [reading.check(image) for image in alike[:MOST]]
    device, seconds = select_device(request.device), None
    reports: tuple[NoiseReport, ...]
    if settings is None:
        model = model_folder.load(request.model or "")
        model.check(some[0])
        why = f"with the model {request.model} ({model.config.method})"
        reports = (inspect(some[0]),)
        seconds = expected_prediction(model, alike, device)
    else:
        choices, model = levels.planned(some, settings)
        reports = tuple(report for choice in choices for report in choice.reports)
        why = choices[0].why or f"{model.config.method}, as asked for"
        # Of several groups it would have to be known to which the others belong.
        expected = expected_duration(model, some if model.others else alike, device)
        seconds = None if expected is None else expected.whole
    if seconds is not None:
        seconds *= len(given) / max(min(len(given), MOST_OPENED), 1)
    first, names = some[0], some[0].channel_names
    warnings = [f"{one.path}: {one.text}" for one in failed]
    warnings += [note.text for note in notes(some)]
    if request.model is not None:
        warnings += filter(None, map(model.unlike, some))
    warnings += [text for report in reports for text in report.advice.warnings]
    return Look(
        max(len(given) - min(len(given), MOST_OPENED) + len(opened), 1),
        first.name,
        first.axes,
        first.shape,
        str(first.dtype),
        dict(first.scale),
        dict(first.units),
        names or tuple(map(str, range(first.sizes["C"]))),
        (kind_of(reports[0]), *reports[0].sentences()) if reports else ("not measurable",),
        model.config.method,
        why,
        seconds,
        _memory(model, some, request.device),
        tuple(dict.fromkeys(warnings)),
    )


def _kind(image: Image) -> tuple[object, ...]:
    """What images have in common that can share a model."""
    return image.sizes["C"], image.alpha, image.sizes["Z"] > 1


def _memory(model: Model, images: Sequence[Image], device: str) -> int:
    """Bytes that the largest of some images takes."""
    most = 0.0
    for image in images:
        result = math.prod(image.shape) * image.dtype.itemsize
        tile = tile_memory(model, image, device=device)
        most = max(most, BASE + tile + min(2 * result, HELD))
    return int(most)
