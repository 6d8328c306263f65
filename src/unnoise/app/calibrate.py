"""The job that measures the noise of a camera from files and writes its camera file."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.events import Event, Message, Saved
from unnoise.app.files import notes
from unnoise.app.sources import Sources
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.axes import middle
from unnoise.images.image import Image
from unnoise.images.robust_sigma import noise_sigma
from unnoise.noise.camera import calibrate
from unnoise.noise.camera.file import Camera, check_place
from unnoise.noise.camera.repeats import single_frame
from unnoise.noise.density import NoiseModel
from unnoise.noise.planes import block_means

MAX_VALUES = 60_000_000
"""Values per channel that are looked at; of more, rows around the middle are taken (240 MB)."""
DARK_STRUCTURE = 0.5
"""Standard deviation of a dark picture's blocks, in those of its noise, below which it is flat."""


@dataclass(frozen=True)
class _Frames:
    """Frames of one level (t, c, z, y, x), and the files they came from."""

    pixels: NDArray
    names: tuple[str, ...]

    @property
    def level(self) -> float:
        return float(self.pixels.mean(dtype=np.float64))

    @property
    def depth(self) -> int:
        return int(self.pixels.shape[2])

    def slices(self) -> _Frames:
        """The slices of a single frame as the repeats."""
        return _Frames(self.pixels.swapaxes(0, 2), self.names)


def calibrate_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    axes: str | None = None,
    kind: str = "auto",
    overwrite: bool = False,
) -> Generator[Event]:
    """Measure the noise from repeated frames, with dark frames if there are any.

    A file with several time points or samples is a stack of repeats. Files without these are sorted
    into levels by their mean; where no level has several, or their depths differ, the Z slices of
    a file are repeats. The darkest stack counts as dark frames if there are brighter ones and it
    shows no structure.

    Parameters
    ----------
    inputs : sequence of path
        Files, folders or patterns.
    out : path
        The camera file, ``.json``.
    axes : str, optional
        Axes that override those of the files.
    kind : str
        As for `unnoise.noise.camera.calibrate.from_stacks`.
    overwrite : bool
        Whether an existing camera file may be replaced.

    Raises
    ------
    InputError
        Before any pixel is read, if the place cannot be written; if the frames cannot be used.
    """
    calibrate.check_kind(kind)
    place = Path(out)
    check_place(place, overwrite=overwrite)
    paths = formats.find(inputs)
    images = formats.open_all(paths, axes=axes)
    Sources(paths, images).refuse(place, "the camera file")
    _check_alike(images)
    yield from notes(images)
    stacks = _stacks(images)
    if all(len(stack.pixels) < 2 for stack in stacks):
        stacks = [stack.slices() for stack in stacks]
    lonely = [stack for stack in stacks if len(stack.pixels) < 2]
    stacks = [stack for stack in stacks if len(stack.pixels) >= 2]
    if not stacks:
        raise single_frame(", ".join(name for s in lonely[:3] for name in s.names))
    for stack in lonely:
        yield Message(f"{stack.names[0]} is a single frame of its level and is left out")
    dark = _dark(stacks)
    if dark is not None:
        yield Message(
            f"{len(dark.pixels)} frames at level {dark.level:.4g} are taken as dark frames "
            f"({_listed(dark.names)})"
        )
        stacks = [stack for stack in stacks if stack is not dark]
    models: list[NoiseModel] = []
    told: list[str] = []
    channels = stacks[0].pixels.shape[1]
    names = images[0].channel_names
    for c in range(channels):
        if c == images[0].alpha:
            continue
        name = f"channel {names[c] if c < len(names) else c}" if channels > 1 else ""
        model, fit = calibrate.from_stacks(
            [_channel(s, c) for s in stacks],
            dark=None if dark is None else _channel(dark, c),
            kind=kind,
            names=[f"the frames of {name}{' of ' * bool(name)}{_listed(s.names)}" for s in stacks],
        )
        models.append(model)
        which = f"{name}: " if name else ""
        lines = [which + line for line in (f"noise model {model.kind}", *fit.lines())]
        yield from map(Message, lines)
        told += lines
    source = f"{len(paths)} file{'s' * (len(paths) > 1)}: {_listed([p.name for p in paths])}"
    Camera(tuple(models), source, tuple(told)).save(place, overwrite=overwrite)
    yield Saved(place)


def _check_alike(images: Sequence[Image]) -> None:
    """All frames must show the same pixels of the same channels."""
    first = images[0]
    for image in images:
        if any(image.sizes[k] != first.sizes[k] for k in "CYX"):
            raise InputError(
                f"{image.name} (axes {image.axes}, shape {image.shape}) and {first.name} (axes "
                f"{first.axes}, shape {first.shape}) differ in size or channels; give frames of "
                f"one camera with the same settings"
            )


def _stacks(images: Sequence[Image]) -> list[_Frames]:
    """Frames by level."""
    several = [_read(image, len(images)) for image in images]
    ready = [frames for frames in several if len(frames.pixels) > 1]
    single = [frames for frames in several if len(frames.pixels) == 1]
    if len({frames.depth for frames in single}) > 1:  # then they repeat no others
        ready += [frames.slices() for frames in single if frames.depth > 1]
        single = [frames for frames in single if frames.depth == 1]
    levels: list[list[_Frames]] = []
    for frames in sorted(single, key=lambda f: f.level):
        if not levels or _is_step(levels[-1][-1], frames):
            levels.append([])
        levels[-1].append(frames)
    if len(levels) > 1 and not _is_flat(levels[0]):  # one scene whose light changes
        levels = [[frames for level in levels for frames in level]]
    position = {frames.names[0]: i for i, frames in enumerate(several)}
    for level in levels:
        level.sort(key=lambda f: position[f.names[0]])  # the order of recording, for drift
        pixels = np.concatenate([frames.pixels for frames in level])
        ready.append(_Frames(pixels, tuple(f.names[0] for f in level)))
    return ready


def _read(image: Image, files: int) -> _Frames:
    """All frames of a file, of rows around the middle if it is very large."""
    n = image.sizes
    share = MAX_VALUES / max(files * n["S"] * n["T"] * n["Z"] * n["Y"] * n["X"], 1)
    rows = min(max(int(n["Y"] * share), 16), n["Y"])
    block = image.read({"Y": middle(n["Y"], rows)})
    if image.dtype.kind == "f" and not np.isfinite(block).all():
        raise InputError(
            f"{image.name} has NaN or infinite pixels, and a camera gives none; calibrate with the "
            f"frames as they were recorded"
        )
    return _Frames(block.reshape(-1, *block.shape[2:]), (image.name,))  # (s t, c, z, y, x)


def _channel(stack: _Frames, c: int) -> NDArray:
    """Frames of a channel, (t, y, x) or (t, z, y, x)."""
    frames = stack.pixels[:, c]
    return frames[:, 0] if frames.shape[1] == 1 else frames


def _is_step(low: _Frames, high: _Frames) -> bool:
    """Whether two frames, sorted by level, belong to different levels.

    Their levels differ by more than half the standard deviation of their difference's noise, which
    is measured from pixel to pixel so that a different scene or brightness does not count.
    """
    a, b = (f.pixels.astype(np.float64) for f in (low, high))
    return bool(high.level - low.level > max(0.5 * noise_sigma(b - a), 1e-9 * abs(low.level)))


def _is_flat(level: Sequence[_Frames]) -> bool:
    """Whether frames show no structure: blocks of their mean hardly differ."""
    pixels = np.concatenate([frames.pixels for frames in level]).astype(np.float64)
    side = min(16, *pixels.shape[-2:])
    blocks = block_means(pixels.mean(axis=0), side)
    # Nothing robust here: hot pixels count in the blocks, so they must count as noise too.
    noise = float(np.diff(pixels, axis=-1).std()) / np.sqrt(2)
    spread = float((blocks - blocks.mean(axis=(-2, -1), keepdims=True)).std())
    return bool(spread <= DARK_STRUCTURE * noise)


def _dark(stacks: Sequence[_Frames]) -> _Frames | None:
    """The darkest of several stacks, if it is clearly darker and shows no structure."""
    if len(stacks) < 2:
        return None
    first, second = sorted(stacks, key=lambda s: s.level)[:2]
    ends = [_Frames(s.pixels[:1], s.names) for s in (first, second)]
    return first if _is_flat([first]) and _is_step(*ends) else None


def _listed(names: Sequence[str]) -> str:
    more = f", ... {os.fspath(names[-1])}" if len(names) > 3 else ""
    return ", ".join(names[: 2 if more else 3]) + more
