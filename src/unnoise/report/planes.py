"""From a model to a result file, and what there is to show of it afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Message, Predicting, Saved
from unnoise.app.files import Writing
from unnoise.images import formats
from unnoise.images.axes import middle
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import Block, predict
from unnoise.quality.assess import assess
from unnoise.quality.training_record import Known
from unnoise.report.result_page import Shown, scale_of

MOST_SHOWN = 8
"""Images of a run that the report shows."""
MOST_CHANNELS = 4
SIDE = 1024
"""Side of the middle of the plane that is judged: some seconds."""
WHOLE = 2048
"""Side of the plane that is shown."""


@dataclass
class Plane:
    """The middle plane of an image, collected from the blocks of its prediction."""

    image: Image
    channels: tuple[int, ...]
    at: dict[str, int] = field(init=False)
    corner: tuple[int, int] = field(init=False)
    clean: NDArray[np.float32] = field(init=False)
    error: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self.at = self.image.middle()
        y, x = (middle(self.image.sizes[k], WHOLE) for k in "YX")
        self.corner = (y.start, x.start)
        shape = (len(self.channels), y.stop - y.start, x.stop - x.start)
        self.clean = np.zeros(shape, np.float32)

    def take(self, block: Block) -> None:
        """Keep what a block holds of the plane."""
        index = []
        for k in "STZ":
            start, _ = _span(block.where.get(k, slice(None)), self.image.sizes[k])
            at = self.at[k] - start
            if not 0 <= at < block.values.shape["STCZYX".index(k)]:
                return
            index.append(at)
        target, source = [], []
        for k, low, size in zip("YX", self.corner, self.clean.shape[1:], strict=True):
            start, stop = _span(block.where.get(k, slice(None)), self.image.sizes[k])
            first, last = max(start, low), min(stop, low + size)
            if first >= last:
                return
            target.append(slice(first - low, last - low))
            source.append(slice(first - start, last - start))
        s, t, z = index
        channels = list(self.channels)
        self.clean[:, *target] = block.values[s, t, channels, z][:, *source]
        if block.error is not None:
            if self.error is None:
                self.error = np.zeros_like(self.clean)
            self.error[:, *target] = block.error[s, t, channels, z][:, *source]

    def noisy(self) -> NDArray:
        """The same pixels of the image, shape (c, y, x)."""
        where = self.image.middle(WHOLE)
        return np.asarray(self.image.read(where)[0, 0, list(self.channels), 0])


def _span(region: int | slice, size: int) -> tuple[int, int]:
    """First position and the one after the last."""
    if isinstance(region, slice):
        start, stop, _ = region.indices(size)
        return start, stop
    return region, region + 1


def predict_file(
    model: Model,
    image: Image,
    target: Path,
    spread: Path | None,
    writing: Writing,
    device: str,
    shown: list[Shown] | None = None,
) -> Generator[Event]:
    """Denoise one image into its file, and its standard deviations into another.

    What there is to show of it is appended to `shown`.
    """
    wants = shown is not None and len(shown) < MOST_SHOWN
    plane = Plane(image, model.channels[:MOST_CHANNELS]) if wants else None
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(
            formats.create(target, image, dtype=writing.type_of(image), overwrite=writing.overwrite)
        )
        std = spread and stack.enter_context(
            formats.create(spread, image, dtype=np.dtype(np.float32), overwrite=writing.overwrite)
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


def show(model: Model, plane: Plane, device: str, *, rounded: bool = False) -> Shown:
    """Judge the plane of a result, its middle if it is large."""
    image, noisy = plane.image, plane.noisy()
    height, width = noisy.shape[1:]
    cut = (middle(height, SIDE), middle(width, SIDE))
    known = Known.from_dict(model.origin["known"]) if "known" in model.origin else None
    blind = replace(model, centre=None, partner=None)
    assessments = []
    for i, c in enumerate(plane.channels):
        if known is None or model.target_affine is not None:
            break

        def denoise(part: NDArray, channel: int = c) -> NDArray[np.float64]:
            """Another noisy version of the plane, denoised without the pixel itself."""
            return _denoised(blind, image, channel, part, device)

        assessments.append(
            assess(
                noisy[i][cut],
                plane.clean[i][cut],
                known,
                model.channels.index(c),
                error=None if plane.error is None else plane.error[i][cut],
                # A 3D net needs the slices around, a joint one the other channels.
                denoise=denoise if model.ndim == 2 and model.is_one_by_one else None,
                rounded=rounded,
                seed=model.config.training.seed,
            )
        )
    names = image.channel_names
    return Shown(
        title=_title(image, plane.at),
        noisy=noisy,
        clean=plane.clean,
        error=plane.error,
        names=tuple(names[c] if c < len(names) else str(c + 1) for c in plane.channels),
        is_rgb=image.is_rgb and len(plane.channels) == 3,
        pixel_size=scale_of(image),
        assessments=tuple(assessments),
        judged=cut,
    )


def _denoised(
    model: Model, image: Image, channel: int, part: NDArray, device: str
) -> NDArray[np.float64]:
    """A plane of one channel through the net, in floats."""
    n = image.sizes["C"]
    planes = np.zeros((n, *part.shape))
    planes[channel] = part
    whole = Image(planes, "CYX")
    out = np.zeros(part.shape)
    for block in predict(model, whole, device=device):
        out[block.where["Y"], block.where["X"]] = block.values[0, 0, channel, 0]
    return out


def _title(image: Image, at: dict[str, int]) -> str:
    """The file, and which plane of it."""
    places = [f"{k} {at[k] + 1} of {image.sizes[k]}" for k in "STZ" if image.sizes[k] > 1]
    return image.name + (f" ({', '.join(places)})" if places else "")


def show_training(model: Model, image: Image, device: str) -> Shown:
    """A training image through the finished model, for the report of a training.

    Only the middle of its middle plane, or of the slices around it, is denoised.
    """
    block = image.read(image.middle(SIDE, depth=32 if model.ndim == 3 else 1))
    part = replace(image, data=block, axes="STCZYX", path=image.path)
    plane = Plane(part, model.channels[:MOST_CHANNELS])
    for piece in predict(model, part, device=device):
        plane.take(piece)
    return show(model, plane, device)
