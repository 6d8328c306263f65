"""What a run makes of a piece of its image while it works, for next to nothing of its time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.app.events import Preview
from unnoise.app.files import PreviewOptions
from unnoise.app.telling import called
from unnoise.errors import NotFiniteError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict
from unnoise.quality.region import part_of
from unnoise.report.middle_plane import MOST_CHANNELS, MiddlePlane
from unnoise.training.progress import Progress
from unnoise.training.run import Run

SHARE = 0.04
"""Of the time of a run that its previews may take (`benchmarks/preview.py`)."""
SIDE, DEPTH = {2: 256, 3: 96}, 8
"""Side of the piece by dimensions of the net, and its slices in 3D; their middle one is shown."""
GUESS = 2.0
"""The first preview is expected to take as long as so many steps; 0.3 to 1.3 were measured."""


def region(image: Image, options: PreviewOptions, ndim: int) -> dict[str, int | slice]:
    """What is shown of an image, in its middle frame and slice."""
    side, sizes = SIDE[ndim], image.sizes
    found: dict[str, int | slice] = image.middle(side, DEPTH if ndim == 3 else None)
    for axis, at in zip("YX", options.centre or (), strict=False):
        start = min(max(at - side // 2, 0), max(sizes[axis] - side, 0))
        found[axis] = slice(start, min(start + side, sizes[axis]))
    return found


def with_previews(
    run: Run,
    image: Image,
    options: PreviewOptions | None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Progress | Preview]:
    """A run, with its result on a piece of an image after validations.

    They are left out where they would take more than `SHARE` of the time of the run. The run and
    all random numbers are the same with and without them.

    Parameters
    ----------
    run : Run
    image : Image
        Of the run.
    options : PreviewOptions or None
        None: no previews.
    clock : callable
        Seconds.
    """
    last, spent, cost = None, 0.0, math.nan
    before: Model | None = None
    for progress in run:
        yield progress
        if options is None or (progress.work, progress.held_out) == last:
            continue
        is_first, last = last is None, (progress.work, progress.held_out)
        if math.isnan(cost):  # none was made, so the whole of the run can pay
            guess = GUESS * progress.seconds / max(progress.step, 1)
            due = guess <= SHARE * (progress.seconds + progress.remaining)
        else:
            due = spent + cost <= SHARE * progress.seconds
        if (is_first and progress.held_out is None) or not due:  # nothing is trained yet
            continue
        started = clock()
        model = run.preview()
        if before is None or not _alike(model, before):
            with contextlib.suppress(NotFiniteError):
                yield _preview(model, image, options, run.device, progress)
            before = model
            cost = clock() - started
        spent += clock() - started


def _preview(
    model: Model, image: Image, options: PreviewOptions, device: torch.device, progress: Progress
) -> Preview:
    """A piece of an image through a model."""
    where = region(image, options, model.ndim)
    part, only = part_of(image, where, model)
    plane = MiddlePlane(part, model.channels[:MOST_CHANNELS])
    for block in predict(model, part, device=str(device), only=only):
        plane.take(block)
    origin = tuple(ax.index("YX", where)[i].start or 0 for i in range(2))
    what = "the shipped net, calibrated" if model.config.is_shipped else "the net in training"
    what = "the result" if progress.fraction == 1 else what
    shown = Preview(
        called(image),
        progress.step,
        progress.fraction,
        (origin[0], origin[1]),
        *_colours(plane),
        what=what,
    )
    return replace(shown, is_rgb=image.is_rgb and shown.clean.shape[-1:] == (3,))


def of_result(plane: MiddlePlane, options: PreviewOptions) -> Preview | None:
    """The piece of a finished result; None where its middle plane was not kept as far as there."""
    image = plane.image
    wanted, own = (ax.index("YX", where) for where in (region(image, options, 2), plane.where))
    inside = []
    for part, kept, n in zip(wanted, own, (image.sizes["Y"], image.sizes["X"]), strict=True):
        (start, stop, _), (first, last, _) = part.indices(n), kept.indices(n)
        if start < first or stop > last:
            return None
        inside.append(slice(start - first, stop - first))
    noisy, clean = _colours(plane, tuple(inside))
    origin = wanted[0].start or 0, wanted[1].start or 0
    is_rgb = image.is_rgb and clean.shape[-1:] == (3,)
    return Preview(called(image), 0, 1.0, origin, noisy, clean, "the result", is_rgb=is_rgb)


def _colours(
    plane: MiddlePlane, inside: tuple[slice, ...] = ()
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noisy and clean pixels (y, x), or (y, x, c) of several channels."""
    found = []
    for pixels in (plane.noisy, plane.clean):
        part = np.moveaxis(pixels[(slice(None), *inside)], 0, -1).astype(np.float32)
        found.append(part[..., 0] if part.shape[-1] == 1 else part)
    return found[0], found[1]


def _alike(model: Model, other: Model) -> bool:
    """Whether two models of a run have the same weights."""
    if model.weights.keys() != other.weights.keys():
        return False
    pairs = ((value, other.weights[name]) for name, value in model.weights.items())
    return all(a is b or torch.equal(a, b) for a, b in pairs)
