"""Which frames beside one are joined with it, and a tile of all of them as one for the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.record import JoinedFrames
from unnoise.models.tiles import Tile, read_marks, read_tile
from unnoise.models.units import to_net
from unnoise.nets.joined_frames import Frames, joined
from unnoise.nets.variance_stabilized import VarianceStabilized, interpolate
from unnoise.noise.frame_comparison import is_blank, is_copy, match

WIDEST = 512
"""Side of the middle of a frame whose brightness is compared with that of others."""
AS_IS = (1.0, 0.0)
"""Gain and offset of a frame that is as bright as another."""

Light = tuple[tuple[float, float], ...]
"""By denoised channel, the gain and the offset that make a frame as bright as the centre."""


@dataclass(frozen=True, eq=False)
class Window:
    """A tile of a frame and of those beside it.

    Attributes
    ----------
    pixels : ndarray, shape (n, c, y, x)
        All channels, image units.
    centre : int
        Which of them is denoised.
    lights : sequence of Light
        How bright they are.
    excluded : ndarray of bool, shape (n, c, y, x), or None
        Pixels that are no measurement; None where all are.
    """

    pixels: NDArray
    centre: int
    lights: Sequence[Light]
    excluded: NDArray[np.bool_] | None = None


class Surroundings:
    """The frames of an image that are joined with each.

    Frames that bring no noise of their own in one of the channels, copies and blank ones, are left
    out.

    Parameters
    ----------
    joined : JoinedFrames
        Along which axis, and how far.
    image : Image
        Noisy image.
    channels : sequence of int
        Those that are denoised.
    """

    def __init__(self, joined: JoinedFrames, image: Image, channels: Sequence[int]) -> None:
        self.joined, self._image, self._channels = joined, image, list(channels)
        self._planes: dict[tuple[int, ...], NDArray] = {}
        self._lights: dict[tuple[tuple[int, ...], tuple[int, ...]], Light] = {}

    def around(
        self, at: Mapping[str, int], alike: Sequence[int] | None = None
    ) -> list[tuple[int, Light]]:
        """Positions along the axis of the frames to be joined, the frame itself among them.

        Parameters
        ----------
        at : mapping
            Position of the frame along S, T and Z.
        alike : sequence of int, optional
            Positions of frames of the same brightness, to choose from; by default all.
        """
        axis, reach = self.joined.axis, self.joined.reach
        places = list(range(self._image.sizes[axis])) if alike is None else list(alike)
        middle = places.index(at[axis])
        chosen = [(at[axis], (AS_IS,) * len(self._channels))]
        known = [self._plane(at)]
        if all(is_blank(plane) for plane in known[0]):
            return chosen
        for place in [*places[middle + 1 :][:reach], *places[:middle][::-1][:reach]]:
            other = {**at, axis: place}
            plane = self._plane(other)
            if any(_tells(plane, seen) for seen in known) or any(map(is_blank, plane)):
                continue
            known.append(plane)
            chosen.append((place, self._light(at, other)))
        self._forget()
        return sorted(chosen)

    def window(
        self, at: Mapping[str, int], frames: Sequence[tuple[int, Light]], piece: Tile
    ) -> Window:
        """A tile of frames that `around` named."""
        axis = self.joined.axis
        pixels, marks = [], []
        for place, _ in frames:
            pixels.append(read_tile(self._image, {**at, axis: place}, piece, 2))
            marks.append(read_marks(self._image, {**at, axis: place}, piece))
        some = [mark for mark in marks if mark is not None]
        excluded = None
        if some:
            none = np.zeros_like(some[0])
            excluded = np.stack([none if mark is None else mark for mark in marks])
        centre = [place for place, _ in frames].index(at[axis])
        return Window(np.stack(pixels), centre, [light for _, light in frames], excluded)

    def _plane(self, at: Mapping[str, int]) -> NDArray:
        """The middle of the denoised channels of a frame."""
        key = _key(at)
        if key not in self._planes:
            where = {**self._image.middle(WIDEST), **at}
            self._planes[key] = self._image.read(where)[0, 0, self._channels, 0]
        return self._planes[key]

    def _light(self, at: Mapping[str, int], other: Mapping[str, int]) -> Light:
        """Gain and offset that make another frame as bright as one."""
        if not self.joined.matched:
            return (AS_IS,) * len(self._channels)
        first, last = sorted((at, other), key=_key)  # the same wherever a run begins
        pair = _key(first), _key(last)
        if pair not in self._lights:
            found = map(match, self._plane(first), self._plane(last))
            self._lights[pair] = tuple(
                (f.gain, f.offset) if f.differs and f.gain > 0 else AS_IS for f in found
            )
        if first is at:
            return self._lights[pair]
        return tuple((1 / gain, -offset / gain) for gain, offset in self._lights[pair])

    def _forget(self) -> None:
        """Keep no more planes, and pairs of them, than the next frames need."""
        spare = len(self._planes) - 2 * (2 * self.joined.reach + 1)
        for key in list(self._planes)[: max(spare, 0)]:
            del self._planes[key]
        self._lights = {
            pair: light for pair, light in self._lights.items() if set(pair) <= set(self._planes)
        }


def _tells(plane: NDArray, other: NDArray) -> bool:
    """Whether one of the channels of a frame, shape (c, y, x), is a copy."""
    return any(is_copy(a, b) for a, b in zip(plane, other, strict=True))


def _key(at: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(int(at[k]) for k in "STZ")


def packed(
    net: VarianceStabilized,
    model: Model,
    window: Window,
    device: torch.device,
    inside: Sequence[NDArray[np.bool_]],
) -> Tensor:
    """A window as the mean of its frames, the variance of that, and events, for `unpacked`.

    Parameters
    ----------
    net : VarianceStabilized
        The net of the model.
    model : Model
        With joined frames.
    window : Window
        Tile of frames.
    device : torch.device
        Where to compute.
    inside : sequence of ndarray of bool
        Rows and columns of the tile that are not mirrored.

    Returns
    -------
    Tensor, shape (1, 3 * channels, y, x)
        In squares of pixels where the net takes means of such. Where a blur has a share of the
        result, 4 * channels: the mean without a transform is the last part.
    """
    assert model.joined is not None
    channels, bins = list(model.channels), int(net.bins)
    x = torch.cat([to_net(model, _matched(window, k, channels), device) for k in _all(window)])
    plain = net.averaged(x)
    z = net.stabilise(plain)
    used: NDArray | None = None
    if window.excluded is not None:
        used = ~window.excluded[:, channels]
        n, c, height, width = used.shape
        used = np.all(used.reshape(n, c, height // bins, bins, width // bins, bins), (3, 5))
    inside = [np.asarray(part.reshape(-1, bins).all(1)) for part in inside]
    results = []
    for i in range(len(channels)):
        strength = [_strength(net, model, i, light[i]) for light in window.lights]
        marks = None if used is None else torch.from_numpy(used[:, i]).to(device)
        mixed = plain[:, i] if net.blur_share.any() else None
        frames = Frames(z[:, i], window.centre, strength, marks, model.joined.skewness, mixed)
        shared = model.joined.shared
        found = joined(frames, inside=inside, shared=shared, rho=net.rho[i])
        results.append([part for part in found if part is not None])
    return torch.stack([part for parts in zip(*results, strict=True) for part in parts])[None]


def unpacked(net: VarianceStabilized, z: Tensor) -> Tensor:
    """What the net makes of `packed` frames, as of a single one."""
    return net.denoised(*z.chunk(4 if net.blur_share.any() else 3, 1))


def _all(window: Window) -> range:
    return range(len(window.pixels))


def _matched(window: Window, k: int, channels: Sequence[int]) -> NDArray:
    """The denoised channels of a frame, as bright as the centre."""
    pixels: NDArray = window.pixels[k, list(channels)]
    if all(light == AS_IS for light in window.lights[k]):
        return pixels
    gain, offset = (np.array(part)[:, None, None] for part in zip(*window.lights[k], strict=True))
    return np.asarray(pixels.astype(np.float64) * gain + offset)


def _strength(net: VarianceStabilized, model: Model, i: int, light: tuple[float, float]) -> float:
    """Variance of the noise of a frame made as bright as the centre, against that of the centre.

    At the mean of the images, which is 0 in normalised units: one number for all tiles.
    """
    if light == AS_IS:
        return 1.0
    gain, offset = light
    c = model.channels[i]
    mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
    at = torch.tensor([0.0, ((mean - offset) / gain - mean) / std]).to(net.knots)
    sigma = interpolate(at, net.knots[i], net.log_sigma[i], flat=True).exp()
    return float((gain * sigma[1] / sigma[0]) ** 2)
