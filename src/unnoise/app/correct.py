"""The job that makes the pixels of a camera alike: offset, gain and hot pixels."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app import dry_run
from unnoise.app.events import Event, Message
from unnoise.app.files import OutputOptions
from unnoise.app.outputs import check_outputs
from unnoise.app.predict import copy_file
from unnoise.app.sources import Sources
from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.models.claim import all_claimed
from unnoise.noise.camera.pixel_maps import PixelMaps

MOST_FRAMES = 400
"""Frames of a kind that are read: a variance is then known to 7 %."""


def correct_files(
    inputs: Sequence[str | Path],
    dark: Sequence[str | Path],
    flat: Sequence[str | Path] = (),
    *,
    axes: str | None = None,
    writing: OutputOptions,
    dry: bool = False,
) -> Generator[Event]:
    """Write images as a camera of equal pixels would have seen them.

    Parameters
    ----------
    inputs : sequence of path
        Images of the camera.
    dark, flat : sequence of path
        Frames without light, and frames of even light.
    axes : str, optional
        Axes of the images, that override those of their files.
    writing : OutputOptions
        Where and how results are written.
    dry : bool
        Whether only what would be done is told.

    Raises
    ------
    InputError
        Before anything is written, if frames or images do not fit.
    """
    if writing.out is None:
        raise InputError("name the corrected file, or a folder for several, with -o")
    images = formats.open_all(formats.find(inputs), axes=axes)
    frames = [_opened(dark), _opened(flat) if flat else []]
    places = writing.paths(images, Sources(images, *frames))
    maps = PixelMaps.from_frames(
        _read(frames[0], "the dark frames"),
        _read(frames[1], "the evenly lit frames") if flat else None,
    )
    corrected = [maps.corrected(image) for image in images]
    nothing = [None] * len(places)
    with all_claimed(places):
        yield from check_outputs(corrected, places, nothing, writing)
        yield from map(Message, maps.lines())
        if dry:
            yield from dry_run.of_files(dry_run.Places(corrected, places, nothing, writing))
            return
        for image, place in zip(corrected, places, strict=True):
            yield from copy_file(image, place, writing)


def _opened(paths: Sequence[str | Path]) -> list[Image]:
    """The images of frames."""
    found = formats.find(paths)
    try:
        return formats.open_all(found)
    except AxesError:  # planes without a name are frames here
        return formats.open_all(found, axes="TYX")


def _read(images: Sequence[Image], name: str) -> NDArray:
    """Frames (t, y, x) of images, along any of their axes."""
    frames: list[NDArray] = []
    for image in images:
        n = image.sizes
        if n["C"] > 1:
            raise InputError(f"{name} ({image.name}) have channels; give those of one camera")
        for s, t, z in np.ndindex(n["S"], n["T"], n["Z"]):
            if len(frames) < MOST_FRAMES:
                frames.append(image.original({"S": s, "T": t, "Z": z})[0, 0, 0, 0])
    if len({frame.shape for frame in frames}) > 1:
        raise InputError(f"{name} differ in size; give frames of the same region")
    return np.stack(frames)
