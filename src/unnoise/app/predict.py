"""One image through a model into its file, with what the report shows of it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import numpy as np

from unnoise.app.events import Event, Message, Predicting, Saved
from unnoise.app.files import Writing
from unnoise.images import formats as io
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict
from unnoise.report.middle_plane import MOST_CHANNELS, MiddlePlane, show
from unnoise.report.result_page import DenoisedPlane

MOST_SHOWN = 8
"""Images of a run that the report shows."""


def predict_file(
    model: Model,
    image: Image,
    target: Path,
    spread: Path | None,
    writing: Writing,
    device: str,
    shown: list[DenoisedPlane] | None = None,
) -> Generator[Event]:
    """Denoise one image into its file, and its standard deviations into another.

    What there is to show of it is appended to `shown`.
    """
    wants = shown is not None and len(shown) < MOST_SHOWN
    plane = MiddlePlane(image, model.channels[:MOST_CHANNELS]) if wants else None
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(
            io.create(target, image, dtype=writing.type_of(image), overwrite=writing.overwrite)
        )
        std = spread and stack.enter_context(
            io.create(spread, image, dtype=np.dtype(np.float32), overwrite=writing.overwrite)
        )
        job = predict(model, image, device=device, tta=writing.tta, backend=writing.backend)
        for block in job:
            out.write(block.where, block.values)
            if std:
                assert block.std is not None
                std.write(block.where, block.std)
            if plane is not None:
                plane.take(block)
            yield Predicting(target, block.done, block.total)
    yield Saved(target)
    if spread:
        yield Saved(spread)
    if plane is not None and shown is not None:
        rounded = writing.type_of(image).kind in "ui"
        try:
            shown.append(show(model, plane, device, rounded=rounded))
        except Exception as error:  # the result is safe, so whatever fails only costs the report
            yield Message(f"{image.name} is left out of the report: {error}")
