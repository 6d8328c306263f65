"""Planes as embedded images within a number of bytes, honest about what was left out.

Large pictures are shown twice: whole, averaged over blocks of pixels (which also averages noise, so
the page says so), and as a crop in full resolution where there is most structure.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile
from scipy.ndimage import uniform_filter

from unnoise.report import colour
from unnoise.report.colour import Scale
from unnoise.report.page_parts import Picture

WHOLE_PIXELS = 1024 * 1024
WHOLE_SIDE = 4096
DETAIL_SIDE = 512
DETAIL_SHARE = 0.3
NO_DETAIL_BELOW = 60_000
"""Bytes of a picture under which its detail would be too poor to show noise."""

# A picture takes about this many bytes per pixel and layer; measured on real noisy images.
BYTES_PER_PIXEL = 0.35

WEIGHTS = {
    "novelty": 1.0,
    "leak": 1.0,
    "uncertainty": 1.0,
    "clean": 2.0,
    "residual": 3.0,
    "noisy": 3.0,
}
"""Shares of the bytes, smooth layers first: what they leave is passed on to the noisy ones."""


LABELS = {
    "noisy": "Noisy",
    "clean": "Clean",
    "residual": "Residual",
    "uncertainty": "Uncertainty",
    "leak": "Residual structure",
    "novelty": "Novelty",
}
"""What the layers are called, in the order in which they are shown."""


@dataclass(frozen=True)
class Layer:
    """One embedded image of a view and the meaning of its colours."""

    name: str
    uri: str
    scale: Scale


@dataclass(frozen=True)
class View:
    """The whole picture or its detail.

    `width` and `height` are in blocks of `factor` x `factor` image pixels.
    """

    name: str
    width: int
    height: int
    factor: int
    corner: tuple[int, int]
    layers: tuple[Layer, ...]


def views(picture: Picture, budget: int) -> tuple[View, ...]:
    """The views of a picture, of at most about `budget` bytes together."""
    height, width = picture.noisy.shape[:2]
    arrays = {name: getattr(picture, name, None) for name in WEIGHTS}
    planes: dict[str, NDArray] = {name: a for name, a in arrays.items() if a is not None}
    grey = colour.grey_scale(picture.noisy, picture.clean if picture.has_signal else None)
    count = len(planes) + (picture.clean is not None)
    count *= 2 if picture.noisy.ndim == 3 else 1
    room = (1 - DETAIL_SHARE) * budget / (BYTES_PER_PIXEL * count)
    factor = shrink_factor(height, width, int(min(WHOLE_PIXELS, max(room, 1024))))
    detailed = factor > 1 and budget >= NO_DETAIL_BELOW
    share = DETAIL_SHARE * budget if detailed else 0
    small = {name: block_mean(plane, factor) for name, plane in planes.items()}
    whole = _view("whole", small, factor, (0, 0), picture, grey, int(budget - share))
    if not detailed:
        return (whole,)
    side = int(min(DETAIL_SIDE, np.sqrt(share / (2 * BYTES_PER_PIXEL * count))))
    y, x = most_structure(small.get("clean", small["noisy"]), max(1, side // factor))
    y, x = max(0, min(y * factor, height - side)), max(0, min(x * factor, width - side))
    crop = {name: plane[y : y + side, x : x + side] for name, plane in planes.items()}
    return whole, _view("detail", crop, 1, (y, x), picture, grey, int(share))


def _view(
    name: str,
    planes: dict[str, NDArray],
    factor: int,
    corner: tuple[int, int],
    picture: Picture,
    grey: Scale,
    budget: int,
) -> View:
    """Parts of planes as a view; the limits are those of their picture."""
    tall, wide = planes["noisy"].shape[:2]
    return View(name, wide, tall, factor, corner, _layers(planes, picture, grey, budget))


def shrink_factor(height: int, width: int, pixels: int) -> int:
    """The side of the square blocks that bring a plane below a number of pixels.

    Only whole numbers: other factors would average some pixels more than others, and the noise
    would show a pattern that is not in the data.
    """
    return int(
        max(1, np.ceil(np.sqrt(height * width / pixels)), -(-max(height, width) // WHOLE_SIDE))
    )


def block_mean(plane: NDArray, factor: int) -> NDArray[np.float64]:
    """Means over blocks of ``factor`` x ``factor`` pixels; not-finite pixels do not count.

    Blocks at the far borders may be smaller. Done in strips, so that a large integer image is
    never held in float64 as a whole.
    """
    if factor == 1:
        return np.asarray(plane.astype(np.float64))
    columns = np.arange(0, plane.shape[1], factor)
    rows = []
    for y in range(0, plane.shape[0], factor):
        strip = plane[y : y + factor].astype(np.float64)
        good = np.isfinite(strip)
        total = np.add.reduceat(np.where(good, strip, 0).sum(axis=0), columns, axis=0)
        number = np.add.reduceat(good.sum(axis=0), columns, axis=0)
        rows.append(np.where(number > 0, total / np.maximum(number, 1), np.nan))
    return np.stack(rows)


def most_structure(plane: NDArray[np.float64], side: int) -> tuple[int, int]:
    """The corner (y, x) of the window with most gradient, single extreme pixels apart."""
    grey = plane.mean(axis=2) if plane.ndim == 3 else plane
    some = colour.samples(grey)
    grey = np.where(np.isfinite(grey), grey, np.median(some) if some.size else 0.0)
    slope = np.zeros_like(grey)
    slope[1:] += np.abs(np.diff(grey, axis=0))
    slope[:, 1:] += np.abs(np.diff(grey, axis=1))
    slope = np.minimum(slope, np.percentile(slope, 99))
    tall, wide = min(side, grey.shape[0]), min(side, grey.shape[1])
    # The filter centres a window of n pixels at i from i - n // 2 to i - n // 2 + n - 1.
    density = uniform_filter(slope, (tall, wide), mode="constant")
    density = density[
        tall // 2 : tall // 2 + grey.shape[0] - tall + 1,
        wide // 2 : wide // 2 + grey.shape[1] - wide + 1,
    ]
    y, x = np.unravel_index(int(np.argmax(density)), density.shape)
    return int(y), int(x)


def _layers(
    planes: dict[str, NDArray], picture: Picture, grey: Scale, budget: int
) -> tuple[Layer, ...]:
    """Encode planes one after another; each may use its share of what is left."""
    if "clean" in planes:
        planes = {**planes, "residual": _residual(planes["noisy"], planes["clean"])}
    order = [name for name in WEIGHTS if name in planes]
    left = float(budget)
    found = {}
    for place, name in enumerate(order):
        share = WEIGHTS[name] / sum(WEIGHTS[later] for later in order[place:])
        scale = _scale(name, planes[name], grey, getattr(picture, f"{name}_limit", None))
        uri = encode(planes[name], scale, int(left * share))
        left = max(0.0, left - len(uri) * 3 / 4)
        found[name] = Layer(name, uri, scale)
    return tuple(found[name] for name in LABELS if name in found)


def _residual(noisy: NDArray, clean: NDArray) -> NDArray[np.float64]:
    """Noisy minus clean, averaged over the colours."""
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        difference = noisy.astype(np.float64) - clean.astype(np.float64)
    return np.asarray(difference.mean(axis=2) if difference.ndim == 3 else difference)


def _scale(name: str, plane: NDArray, grey: Scale, limit: float | None) -> Scale:
    """The colours that fit a layer."""
    if name in ("noisy", "clean"):
        return grey
    some = colour.samples(plane)
    if name == "residual" or (name == "leak" and some.size and some.min() < 0):
        return colour.signed_scale(plane, limit)
    return colour.positive_scale(plane, "amount" if name == "uncertainty" else "alarm", limit)


def encode(plane: NDArray, scale: Scale, budget: int) -> str:
    """A plane as a data URI of at most about `budget` bytes before base64.

    The first attempt that fits is taken: without loss, then with fewer colours or as JPEG of
    falling quality, then with half as many pixels per side, and again.
    """
    while True:
        attempts = _jpeg if scale.ramp == "grey" else _fewer_colours
        for kind, data in attempts(plane, scale, budget):
            if len(data) <= budget or min(plane.shape[:2]) <= 4:
                return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        plane = block_mean(plane, 2)


def _jpeg(plane: NDArray, scale: Scale, budget: int) -> Iterable[tuple[str, bytes]]:
    """Grey or RGB pixels: PNG, then JPEG that keeps most of the noise (never below quality 75)."""
    image = Pillow.fromarray(scale.levels(plane))
    yield "png", _save(image, "PNG")
    for quality in (95, 90, 84, 75):
        yield "jpeg", _save(image, "JPEG", quality=quality, subsampling=0, optimize=True)


def _fewer_colours(plane: NDArray, scale: Scale, budget: int) -> Iterable[tuple[str, bytes]]:
    """A colour-mapped plane: PNG with a palette, whose size hardly depends on the colours."""
    for count in (255, 63, 31):  # odd, so that zero is the middle colour of the signed ramp
        image = Pillow.fromarray(scale.levels(plane, count))
        image.putpalette(colour.ramp_colours(scale.ramp, count).tobytes())
        yield "png", _save(image, "PNG")


def _save(image: Pillow.Image, kind: str, **options: int) -> bytes:
    """The bytes of an image file."""
    # An optimised JPEG must fit Pillow's buffer at once: of mere noise it has two bytes per sample.
    most = 2 * len(image.getbands()) * image.width * image.height
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, most)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
