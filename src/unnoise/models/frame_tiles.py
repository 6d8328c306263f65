"""The nets of a model, ready for tiles of the frames of an image in any order."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.images.axes import Where
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours
from unnoise.models import backends
from unnoise.models.joined_frames import Light, Surroundings, Window
from unnoise.models.model import Model
from unnoise.models.negative_pixels import told, unclipped
from unnoise.models.overlap import ahead
from unnoise.models.short_of_memory import halved, is_out_of_memory, joint, longest, warn
from unnoise.models.tile_results import Member, Result, mean
from unnoise.models.tiles import Tile, choose, cut, read_beside, read_tile, tiles
from unnoise.models.units import check_finite
from unnoise.nets.classical import Filter
from unnoise.nets.device import free_memory, keep_memory, release_memory, select_device

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
    copied : tuple of int
        Channels that are copied; `values` has them to the digits of float64.
    done, total : int
        Pieces finished so far and in all.
    """

    where: Where
    values: NDArray[np.float64]
    done: int
    total: int
    std: NDArray[np.float64] | None = None
    error: NDArray[np.float64] | None = None
    copied: tuple[int, ...] = ()


class Seen(NamedTuple):
    """What the nets see of a tile: itself, by member the tile in the frames beside it, and with
    those that are joined, which are named for parts of the tile.
    """

    noisy: NDArray
    beside: list[list[NDArray]]
    window: Window | None
    joined: list[tuple[int, Light]] | None


class Ready:
    """A model that is ready for the frames of an image, in any order.

    Parameters
    ----------
    model, image, device, tta, backend, shifted
        As for `predict`.

    Attributes
    ----------
    jobs : dict of int to Job
        For every level of brightness its nets, made when they are asked for.
    """

    def __init__(
        self,
        model: Model,
        image: Image,
        *,
        device: str = "auto",
        tta: bool | None = False,
        backend: str = "torch",
        shifted: bool = True,
    ) -> None:
        model.check(image)
        backends.check(backend, device)
        for part in model.levels:
            backends.check_model(part, backend)
        self.image, self.tta = image, tta
        self.model = unclipped(model, image) if shifted else model
        if self.model is not model:
            told(image)
        where_to = select_device("cpu" if backend == "onnx" else device)
        self.jobs = _Jobs(lambda level: Job.of(self.model.levels[level], image, where_to, backend))
        self._levels: dict[tuple[int, int], int] = {}
        self._around: tuple[Mapping[str, int], list[tuple[int, Light]] | None] = ({}, None)
        keep_memory()  # 0.8 of the time: the next tile needs maps of the same sizes

    def level(self, s: int, t: int) -> int:
        """Which of the models is for a frame."""
        if not self.model.others:
            return 0
        if (s, t) not in self._levels:
            self._levels[s, t] = self.model.level_of(self.image, s, t)
        return self._levels[s, t]

    def blocks(self, at: Mapping[str, int], plan: Sequence[Tile]) -> Generator[Block]:
        """Tiles of the frame at a place along S, T and, of planes, Z."""
        return self.stream([(at, plan)])

    def stream(
        self, frames: Iterable[tuple[Mapping[str, int], Sequence[Tile]]]
    ) -> Generator[Block]:
        """Tiles of frames one after the other; those to come are read while one is computed."""
        pieces = ((at, plan, i) for at, plan in frames for i in range(len(plan)))
        seen = ((at, plan, i, self._seen(at, plan[i])) for at, plan, i in pieces)
        last: tuple[int, ...] | None = None
        with contextlib.closing(ahead(seen)) as found:
            for at, plan, i, noisy in found:
                if self.model.ndim == 3 and last not in (None, noisy.noisy.shape):
                    release_memory()  # in 2D, where maps are smaller, it would cost more than it is
                last = noisy.noisy.shape
                job = self.jobs[self.level(at["S"], at["T"])]
                block = self._block(job, at, plan[i], noisy)
                own = job.members[0].model.channels
                copied = tuple(c for c in range(self.image.sizes["C"]) if c not in own)
                yield replace(block, done=i + 1, total=len(plan), copied=copied)

    def _block(self, job: Job, at: Mapping[str, int], piece: Tile, seen: Seen) -> Block:
        """A tile as a block; where there is no memory for it, of two that are half as large.

        Linux gives more memory than it has, and kills who uses it; so the tile is measured before.
        """
        halves = [] if job.is_whole else halved(piece, job.shape, job.halo, job.grid)
        try:
            if halves and job.memory(piece) > free_memory(job.device):
                raise MemoryError
            where, (results, error) = job.result(self.image, at, piece, self.tta, seen)
        except (MemoryError, RuntimeError) as problem:
            if not halves or not is_out_of_memory(problem):
                raise
        else:
            std = results[1] if len(results) > 1 else None
            std, error = (p if p is None else _canonical(p, piece) for p in (std, error))
            return Block(where, _canonical(results[0], piece), 0, 0, std, error)
        release_memory()  # which the error's own frames held until here
        warn()
        # Not `_near`: whoever reads ahead is at another frame there.
        near = seen.joined
        made = [self._block(job, at, h, job.seen(self.image, at, h, near)) for h in halves]
        where = {**made[0].where, **dict(zip("ZYX"[-job.ndim :], piece.write, strict=True))}
        axis = longest(piece) - job.ndim
        values = np.concatenate([block.values for block in made], axis)
        return Block(
            where,
            values,
            0,
            0,
            joint([block.std for block in made], axis),
            joint([block.error for block in made], axis),
        )

    def _seen(self, at: Mapping[str, int], piece: Tile) -> Seen:
        """What the nets see of a tile of a frame."""
        job = self.jobs[self.level(at["S"], at["T"])]
        return job.seen(self.image, at, piece, self._near(at))

    def _near(self, at: Mapping[str, int]) -> list[tuple[int, Light]] | None:
        """The frames that are joined with a frame, looked for once; None where none are."""
        level = self.level(at["S"], at["T"])
        around = self.jobs[level].surroundings
        if around is None:
            return None
        if self._around[0] != at:
            alike = None
            if self.model.others and around.joined.axis == "T":
                every = range(self.image.sizes["T"])
                alike = [u for u in every if self.level(at["S"], u) == level]
            self._around = (dict(at), around.around(at, alike))
        return self._around[1]


class _Jobs(dict[int, "Job"]):
    """Jobs by level, each made when it is first asked for."""

    def __init__(self, make: Callable[[int], Job]) -> None:
        self._make = make

    def __missing__(self, level: int) -> Job:
        self[level] = job = self._make(level)
        return job


@dataclass(frozen=True)
class Job:
    """The nets of a model for an image, and how its tiles must lie.

    Attributes
    ----------
    members : list of Member
    beside : list of Neighbours or None
    ndim : int
    shape : tuple of int
        Of a frame.
    halo, grid : tuple of int
        How far a result looks; the period of all nets.
    device : torch.device
    surroundings : Surroundings or None
        The frames that are joined.
    """

    members: list[Member]
    beside: list[Neighbours | None]
    ndim: int
    shape: tuple[int, ...]
    halo: tuple[int, ...]
    grid: tuple[int, ...]
    device: torch.device
    surroundings: Surroundings | None = None

    @classmethod
    def of(cls, model: Model, image: Image, device: torch.device, backend: str) -> Job:
        """Load the nets."""
        surroundings = None
        if model.joined is not None:
            surroundings = Surroundings(model.joined, image, model.channels)
            if image.sizes[model.joined.axis] == 1:
                model, surroundings = replace(model, joined=None), None
        members = [Member.of(m, share, device, backend) for m, share in model.members]
        beside = [
            Neighbours(image, *m.context, m.channels) if m.context else None
            for m, _ in model.members
        ]
        n, ndim = image.sizes, model.ndim
        shape = tuple(n[letter] for letter in "ZYX"[-ndim:])
        halo = tuple(max(sides) for sides in zip(*(m.halo for m in members), strict=True))
        grid = tuple(
            math.lcm(*periods) for periods in zip(*(m.net.grid for m in members), strict=True)
        )
        return cls(members, beside, ndim, shape, halo, grid, device, surroundings)

    @property
    def is_whole(self) -> bool:
        """Whether only whole planes, or whole stacks, can be denoised."""
        return any(isinstance(m.net, Filter) and m.net.whole for m in self.members)

    def side(self, room: float) -> tuple[int, ...]:
        """The largest tile that needs no more than so many bytes."""
        if self.is_whole:
            return self.shape
        return choose(self.shape, self.halo, self.grid, room / max(m.memory for m in self.members))

    def memory(self, piece: Tile) -> float:
        """Bytes that the nets need for a tile."""
        pixels = math.prod(part.stop - part.start for part in piece.read)
        return float(pixels * max(member.memory for member in self.members))

    def tiles(self, tile: tuple[int, ...] | None = None) -> list[Tile]:
        """The tiles of a frame, by default as large as the free memory allows."""
        if tile is None or self.is_whole:
            room = free_memory(self.device) * MEMORY_SHARE
            cuda = self.device.type == "cuda"
            tile = self.side(room if cuda else min(room, MAX_MEMORY[self.ndim]))
        return list(tiles(self.shape, tile, self._context, self.grid))

    def cut(self, region: tuple[slice, ...], tile: tuple[int, ...]) -> list[Tile]:
        """The tiles of a region of a frame."""
        return list(cut(region, self.shape, tile, self._context, self.grid))

    @property
    def _context(self) -> tuple[int, ...]:
        """What a tile sees around it."""
        return (0,) * self.ndim if self.is_whole else self.halo

    def seen(
        self,
        image: Image,
        at: Mapping[str, int],
        piece: Tile,
        frames: list[tuple[int, Light]] | None,
    ) -> Seen:
        """Read what the nets see of a tile of a frame."""
        window = None
        if self.surroundings is not None and frames is not None:
            window = self.surroundings.window(at, frames, piece)
            noisy = window.pixels[window.centre]
        else:
            noisy = read_tile(image, at, piece, self.ndim)
        beside = []
        for neighbours in self.beside:
            places = neighbours.frames(at) if neighbours else []
            beside.append(read_beside(image, places, piece, self.ndim))
        return Seen(noisy, beside, window, frames)

    def result(
        self, image: Image, at: Mapping[str, int], piece: Tile, tta: bool | None, seen: Seen
    ) -> tuple[Where, Result]:
        """A tile of a frame: where it lies, and its result."""
        noisy, found = seen.noisy, []
        for member, beside in zip(self.members, seen.beside, strict=True):
            found.append(member.result(noisy, beside, piece, self.shape, tta, seen.window))
        where: dict[str, int | slice] = {**at, "Z": slice(at["Z"], at["Z"] + 1)}
        check_finite(image, noisy, [values for results, _ in found for values in results])
        where |= dict(zip("ZYX"[-self.ndim :], piece.write, strict=True))
        return where, mean(self.members, found, tta)


def _canonical(values: NDArray[np.float64], piece: Tile) -> NDArray[np.float64]:
    """The kept part of a tile (c, *space) as an STCZYX block."""
    kept = values[(slice(None), *piece.keep)]
    return kept[None, None] if len(piece.keep) == 3 else kept[None, None, :, None]
