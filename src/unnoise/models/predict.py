"""Prediction: tiles in, clean tiles out, as a generator that closing cancels."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from unnoise.images import axes as ax
from unnoise.images.axes import Where
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours
from unnoise.images.pixel_types import pixel_type
from unnoise.models import backends
from unnoise.models.joined_frames import Surroundings
from unnoise.models.model import Model
from unnoise.models.rounding_loss import RoundingLoss
from unnoise.models.tile_results import Member, Result, mean
from unnoise.models.tiles import Tile, choose, read_tile, tiles
from unnoise.models.units import check_finite
from unnoise.nets.classical import Filter
from unnoise.nets.device import free_memory, keep_memory, select_device
from unnoise.noise.excluded_pixels import with_mask

MEMORY_SHARE = 0.25
"""A tile may take this share of the free memory ..."""
MAX_MEMORY = {2: 400e6, 3: 2e9}
"""... and on CPUs at most this many bytes: the halo of a 1,000-pixel tile costs only a fifth more,
while that of a 3D tile can cost many times its kept part."""


@dataclass(frozen=True)
class Block:
    """A finished piece of the result.

    Attributes
    ----------
    where : mapping
        Region of the image by letter.
    values : ndarray, float64, STCZYX
        Clean pixels in the units of the image.
    std : ndarray, float64, STCZYX, or None
        Standard deviations, if the net predicts them; 0 in copied channels.
    error : ndarray, float64, STCZYX, or None
        Standard deviation of the result around the clean image where the pixel itself was
        used; 0 in copied channels.
    done, total : int
        Pieces finished so far and in all.
    """

    where: Where
    values: NDArray[np.float64]
    done: int
    total: int
    std: NDArray[np.float64] | None = None
    error: NDArray[np.float64] | None = None


def predict(
    model: Model,
    image: Image,
    *,
    device: str = "auto",
    tile: tuple[int, ...] | None = None,
    tta: bool | None = False,
    backend: str = "torch",
    only: Mapping[str, int] | None = None,
) -> Iterator[Block]:
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
    model.check(image)
    backends.check(backend, device)
    for part in model.levels:
        backends.check_model(part, backend)
    where_to = select_device("cpu" if backend == "onnx" else device)
    n = image.sizes
    wanted = {k: range(n[k]) if only is None or k not in only else [only[k]] for k in "STZ"}
    frames = list(itertools.product(wanted["S"], wanted["T"]))
    levels = (
        [model.level_of(image, *frame) for frame in frames] if model.others else [0] * len(frames)
    )
    make = partial(
        _Job.of, image=image, slices=wanted["Z"], tile=tile, device=where_to, backend=backend
    )
    jobs = {level: make(model.levels[level]) for level in sorted(set(levels))}
    keep_memory()  # 0.8 of the time: the next tile needs maps of the same sizes
    total, done = sum(len(jobs[i].depths) * len(jobs[i].plan) for i in levels), 0
    for (s, t), level in zip(frames, levels, strict=True):
        alike = None
        if model.others and jobs[level].surroundings is not None:
            alike = [u for u in range(n["T"]) if model.level_of(image, s, u) == level]
        for where, piece, (results, error) in jobs[level].results(image, s, t, tta, alike):
            done += 1
            std = results[1] if len(results) > 1 else None
            parts = (p if p is None else _canonical(p, piece) for p in (std, error))
            yield Block(where, _canonical(results[0], piece), done, total, *parts)


@dataclass(frozen=True)
class _Job:
    """A model that is ready for an image, and the image's tiles."""

    members: list[Member]
    beside: list[Neighbours | None]
    ndim: int
    shape: tuple[int, ...]
    depths: Sequence[int]
    plan: list[Tile]
    surroundings: Surroundings | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        image: Image,
        slices: Sequence[int],
        tile: tuple[int, ...] | None,
        device: torch.device,
        backend: str,
    ) -> _Job:
        surroundings = None
        if model.joined is not None:
            surroundings = Surroundings(model.joined, image, model.channels)
            if image.sizes[model.joined.axis] == 1:
                model, surroundings = replace(model, joined=None), None
        members = [Member.of(m, share, device, backend) for m, share in model.members]
        beside = [Neighbours(image, *m.context) if m.context else None for m, _ in model.members]
        n, ndim = image.sizes, model.ndim
        shape = tuple(n[letter] for letter in "ZYX"[-ndim:])
        halo = tuple(max(sides) for sides in zip(*(m.halo for m in members), strict=True))
        grid = tuple(
            math.lcm(*periods) for periods in zip(*(m.net.grid for m in members), strict=True)
        )
        if any(isinstance(m.net, Filter) and m.net.whole for m in members):
            tile, halo = shape, (0,) * len(shape)  # they see whole planes, or whole stacks
        elif tile is None:
            room = free_memory(device) * MEMORY_SHARE
            room = room if device.type == "cuda" else min(room, MAX_MEMORY[ndim])
            tile = choose(shape, halo, grid, room / max(m.memory for m in members))
        depths = slices if ndim == 2 else [0]
        plan = list(tiles(shape, tile, halo, grid))
        return cls(members, beside, ndim, shape, depths, plan, surroundings)

    @property
    def pixels(self) -> int:
        """Pixels that pass the nets for one frame, halos included."""
        sizes = [math.prod(r.stop - r.start for r in piece.read) for piece in self.plan]
        return len(self.depths) * int(sum(sizes))

    def results(
        self, image: Image, s: int, t: int, tta: bool | None, alike: Sequence[int] | None
    ) -> Iterator[tuple[Where, Tile, Result]]:
        """The tiles of a frame: where each lies, and its result."""
        around, window = self.surroundings, None
        for z, piece in itertools.product(self.depths, self.plan):
            at = {"S": s, "T": t, "Z": z}
            if around is not None:
                if piece is self.plan[0]:
                    frames = around.around(at, alike if around.joined.axis == "T" else None)
                window = around.window(at, frames, piece)
                noisy = window.pixels[window.centre]
            else:
                noisy = read_tile(image, at, piece, self.ndim)
            found = []
            for member, neighbours in zip(self.members, self.beside, strict=True):
                places = neighbours.frames(at) if neighbours else []
                beside = [read_tile(image, place, piece, self.ndim) for place in places]
                found.append(member.result(noisy, beside, piece, self.shape, tta, window))
            where: dict[str, int | slice] = {**at, "Z": slice(z, z + 1)}
            check_finite(image, noisy, [values for results, _ in found for values in results])
            where |= dict(zip("ZYX"[-self.ndim :], piece.write, strict=True))
            yield where, piece, mean(self.members, found)


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
    job = _Job.of(model, image, range(n["Z"]), None, select_device(device), "torch")
    return job.pixels * n["S"] * n["T"]


def _canonical(values: NDArray[np.float64], piece: Tile) -> NDArray[np.float64]:
    """The kept part of a tile (c, *space) as an STCZYX block."""
    kept = values[(slice(None), *piece.keep)]
    return kept[None, None] if len(piece.keep) == 3 else kept[None, None, :, None]


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
    device, tta, backend
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
    return _arrays(model, opened, [dtype], device, tta, backend)[0]


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
) -> list[NDArray]:
    """The clean image and, with a second type, its standard deviation; None keeps the type."""
    out = [np.empty(image.shape, pixel_type(image.dtype if t is None else t)) for t in dtypes]
    rounding = RoundingLoss()
    for block in predict(model, image, device=device, tta=tta, backend=backend):
        pixels = [image.finished(block.values, block.where, out[0].dtype)]
        if len(out) > 1:
            assert block.std is not None
            pixels.append(image.spread(block.std, block.where))
        if out[0].dtype.kind in "ui":
            noisy, excluded = image.read(block.where), image.excluded(block.where)
            rounding.see(noisy, block.values, pixels[0], excluded)
        for whole, values in zip(out, pixels, strict=True):
            region = ax.index(image.axes, block.where)
            whole[region] = ax.from_canonical(values, image.axes)
    if rounding.is_large:
        warnings.warn(rounding.line(out[0].dtype), stacklevel=4)
    if image.hidden is not None:
        return [np.ma.MaskedArray(whole, image.hidden) for whole in out]
    return out
