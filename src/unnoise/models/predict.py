"""Prediction: tiles in, clean tiles out, as a generator that closing cancels."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import warn
from unnoise.images import axes as ax
from unnoise.images.image import Image, masked_as
from unnoise.images.pixel_types import pixel_type
from unnoise.models.frame_tiles import Block, Job, Ready
from unnoise.models.model import Model, copied_noise
from unnoise.models.rounding_loss import RoundingLoss
from unnoise.nets.device import select_device
from unnoise.noise.excluded_pixels import with_mask


def predict(
    model: Model,
    image: Image,
    *,
    device: str = "auto",
    tile: tuple[int, ...] | None = None,
    tta: bool | None = False,
    backend: str = "torch",
    only: Mapping[str, int] | None = None,
    shifted: bool = True,
) -> Generator[Block]:
    """Denoise an image piece by piece.

    Parameters
    ----------
    model : Model
        Trained model.
    image : Image
        Noisy image; only the pieces needed are read.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    tile : tuple of int, optional
        Tile shape (y, x) or (z, y, x); by default as large as the free memory allows.
    tta : bool or None
        Average over the eight flips and rotations in YX, or those that keep the direction of
        structured noise. With None, of the shipped net over as many as still help.
    backend : str
        ``torch``; ``onnx`` for ONNX Runtime on the CPU, whose results agree to about 1e-6 of the
        standard deviation of the image; or ``bfloat16``, where the processor computes with it: in
        about half the time, and results agree to about 0.1 % of the standard deviation.
    only : mapping, optional
        Positions along S, T or, of planes, Z that alone are denoised.
    shifted : bool
        Whether a model of counts keeps results below 0 where the image has pixels below 0. False
        where noise was added to an image, whose results are compared with those of the image.

    Yields
    ------
    Block
        Every pixel of the image, or of the frame, exactly once. The result does not depend on
        `tile`.

    Raises
    ------
    ModelError
        If the model does not fit the image, or makes NaN or infinities of it.
    InputError
        If the backend is not installed, or not for the device or the net.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(40, 64)).astype(np.uint16)
    >>> model = unnoise.train([noisy], steps=2)
    >>> [b.values.shape for b in predict(model, Image.from_array(noisy), tile=(32, 64))]
    [(1, 1, 1, 1, 32, 64), (1, 1, 1, 1, 8, 64)]
    """
    ready = Ready(model, image, device=device, tta=tta, backend=backend, shifted=shifted)
    n = image.sizes
    wanted = {k: range(n[k]) if only is None or k not in only else [only[k]] for k in "STZ"}
    depths = wanted["Z"] if model.ndim == 2 else [0]
    frames = list(itertools.product(wanted["S"], wanted["T"]))
    levels = [ready.level(*frame) for frame in frames]
    plans = {level: ready.jobs[level].tiles(tile) for level in sorted(set(levels))}
    total, done = sum(len(depths) * len(plans[level]) for level in levels), 0
    places = (
        ({"S": s, "T": t, "Z": z}, plans[level])
        for (s, t), level in zip(frames, levels, strict=True)
        for z in depths
    )
    with contextlib.closing(ready.stream(places)) as blocks:
        for block in blocks:
            done += 1
            yield replace(block, done=done, total=total)


def pixels_to_compute(model: Model, image: Image, *, device: str = "auto") -> int:
    """How many pixels of a channel pass the nets of a model once, halos of tiles included.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
    >>> model = unnoise.train(noisy, method="gaussian")
    >>> pixels_to_compute(model, Image.from_array(noisy))
    4356
    """
    n = image.sizes
    plan = Job.of(model, image, select_device(device), "torch").tiles()
    sizes = [math.prod(r.stop - r.start for r in piece.read) for piece in plan]
    return int(sum(sizes)) * n["S"] * n["T"] * (n["Z"] if model.ndim == 2 else 1)


def tile_memory(model: Model, image: Image, *, device: str = "auto") -> float:
    """Bytes that the largest tile of an image takes in the nets of a model.

    Examples
    --------
    >>> import unnoise
    >>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
    >>> tile_memory(unnoise.train(noisy, method="gaussian"), Image.from_array(noisy)) < 1e6
    True
    """
    job = Job.of(model, image, select_device(device), "torch")
    largest = max(math.prod(r.stop - r.start for r in piece.read) for piece in job.tiles())
    return float(largest * max(member.memory for member in job.members))


def predict_array(
    model: Model,
    image: Image | NDArray,
    *,
    axes: str | None = None,
    mask: Image | NDArray | None = None,
    device: str = "auto",
    dtype: DTypeLike | None = None,
    tta: bool | None = False,
    backend: str = "torch",
    shifted: bool = True,
) -> NDArray:
    """Denoise an image in memory.

    Parameters
    ----------
    model : Model
        Trained model.
    image : Image or ndarray
        Noisy image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
    mask : Image or ndarray, optional
        Nonzero where pixels are measurements, as for `unnoise.with_mask`.
    device, tta, backend, shifted
        As for `predict`.
    dtype : dtype, optional
        Type of the result; by default that of the image, rounded and clipped to its range.

    Returns
    -------
    ndarray
        Clean image with the shape and axes of the input; a masked array for a masked array.

    Raises
    ------
    ModelError
        If the model does not fit the image.
    """
    opened = with_mask(image, mask, axes=axes)
    return _arrays(model, opened, [dtype], device, tta, backend, shifted=shifted)[0]


def predict_with_uncertainty(
    model: Model,
    image: Image | NDArray,
    *,
    axes: str | None = None,
    mask: Image | NDArray | None = None,
    device: str = "auto",
    tta: bool | None = False,
) -> tuple[NDArray, NDArray[np.float32]]:
    """Denoise an image in memory, with a standard deviation for every pixel.

    Returns
    -------
    tuple of ndarray
        Clean image, with the type of the input, and standard deviation, float32, in its units.

    Raises
    ------
    ModelError
        If the model does not fit the image or predicts no uncertainty.
    """
    model.check_probabilistic()
    opened = with_mask(image, mask, axes=axes)
    clean, std = _arrays(model, opened, [None, np.float32], device, tta)
    return clean, std


def _arrays(
    model: Model,
    image: Image,
    dtypes: Sequence[DTypeLike | None],
    device: str,
    tta: bool | None,
    backend: str = "torch",
    *,
    shifted: bool = True,
) -> list[NDArray]:
    """The clean image and, with a second type, its standard deviation; None keeps the type."""
    out = [np.empty(image.shape, pixel_type(image.dtype if t is None else t)) for t in dtypes]
    rounding = {c: RoundingLoss() for c in model.channels}  # a bright one hides what others lose
    options = {"device": device, "tta": tta, "backend": backend, "shifted": shifted}
    for block in predict(model, image, **options):  # type: ignore[arg-type]
        pixels = [image.finished(block.values, block.where, out[0].dtype, block.copied)]
        if len(out) > 1:
            assert block.std is not None
            pixels.append(image.spread(block.std, block.where))
        if out[0].dtype.kind in "ui":
            noisy, excluded = image.read(block.where), image.excluded(block.where)
            for c, loss in rounding.items():
                marks = None if excluded is None else excluded[:, :, c]
                loss.see(noisy[:, :, c], block.values[:, :, c], pixels[0][:, :, c], marks)
        for whole, values in zip(out, pixels, strict=True):
            region = ax.index(image.axes, block.where)
            whole[region] = ax.from_canonical(values, image.axes)
    copied = copied_noise(model, image)
    if copied:
        warn(copied)
    large = [c for c, loss in rounding.items() if loss.is_large]
    if large:
        worst = max(large, key=lambda c: rounding[c].share)
        what = "the result" if len(rounding) == 1 else f"channel {worst + 1} of the result"
        warn(rounding[worst].line(out[0].dtype, what))
    return [masked_as(image, whole) for whole in out]
