"""After training: what the net makes of pixels it never had as targets."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.config.methods import BLIND_SPOT
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model, ready
from unnoise.models.posterior import Region, Verdict, fit
from unnoise.noise.camera.file import Camera
from unnoise.noise.density import NoiseModel
from unnoise.noise.inspect import NoiseReport, inspect
from unnoise.noise.local_mean import surroundings
from unnoise.noise.models import Curve
from unnoise.quality.training_record import UNKNOWN, remember
from unnoise.training.crops import held_out, key_of
from unnoise.training.methods import METHODS, Step

BUDGET = 2**19
"""Pixels of all regions together: some seconds."""
SIDES = {2: (512, 512), 3: (16, 176, 176)}
KNOTS = 97


def finished(
    model: Model,
    images: Sequence[Image],
    reports: Sequence[NoiseReport],
    device: torch.device,
) -> tuple[Model, list[str], Sequence[NoiseReport]]:
    """What is still to do with a trained model, and what to tell about it.

    Parameters
    ----------
    model : Model
        Trained.
    images : sequence of Image
        Its training images.
    reports : sequence of NoiseReport
        What was measured before; measured now where it is needed and missing.
    device : torch.device
        Where to compute.
    """
    reports = reports or measured(images)
    noise = of_camera(model, images[0].alpha) or noise_models(reports, model)
    told = []
    config = model.config
    wanted = config.method in BLIND_SPOT and (config.centre or config.noise_model is not None)
    if wanted and any(n is None for n in noise):
        told = ["the pixel itself is left out: the noise could not be measured"]
    blind = config.method in BLIND_SPOT
    along = independent(reports) if wanted and not told else ()
    pieces = regions(model, images, device, along) if blind else None
    if wanted and not told and pieces is not None:
        model, verdict = with_centre(model, pieces, [n for n in noise if n is not None])
        told = [verdict.why]
    repeated = dependence(model, images, noise, device)
    memory = None
    if pieces is not None:
        memory = [memorised(parts, n) for parts, n in zip(pieces, noise, strict=True)]
    seed = model.config.training.seed
    known = remember(images, reports, model.channels, noise, repeated, seed, memory)
    axes = "".join(k for k in "YX" if any(k in c for c in known.correlated))
    if axes and config.is_shipped:
        told.append(
            f"the noise is correlated along {' and '.join(axes)}, which the shipped net takes for "
            f"structure; use --method auto"
        )
    return replace(model, origin={**model.origin, "known": known.to_dict()}), told, reports


def independent(reports: Sequence[NoiseReport]) -> tuple[str, ...]:
    """Axes of space along which no report says that noise is correlated."""
    correlated = {axis for report in reports for axis in report.correlation_axes}
    return tuple(axis for axis in "ZYX" if axis not in correlated)


def of_camera(model: Model, alpha: int | None) -> list[NoiseModel | None] | None:
    """The noise models of the camera file in the settings, one per denoised channel.

    Raises
    ------
    InputError
        If the file cannot be read, or is for another number of channels.
    """
    if model.config.noise_model is None:
        return None
    colours = [c for c in range(model.n_channels) if c != alpha]
    models = Camera.load(model.config.noise_model).models(len(colours))
    return [models[colours.index(c)] for c in model.channels]


def memorised(pieces: Sequence[Region], noise: NoiseModel | None) -> tuple[float, float]:
    """How much of the noise the weights know, and its standard error, in noise variances.

    Pixels that were training targets have smaller residuals than held-out ones by what the net
    learned by heart. The residual of a plain mean of the neighbours has the same noise of the pixel
    and learned nothing: taken off, most of the scatter goes (a control variate).
    """
    held, trained = [], []
    for piece in pieces:
        y = piece.noisy
        variance = np.full(y.shape, y.var()) if noise is None else noise.variance(piece.seen)
        plain = surroundings(y, 1.0)[0]
        difference = ((y - piece.seen) ** 2 - (y - plain) ** 2) / variance
        held.append(difference[piece.held_out])
        trained.append(difference[~piece.held_out])
    h, t = np.concatenate(held), np.concatenate(trained)
    if len(h) < 30:
        return UNKNOWN
    error = float(np.hypot(h.std() / np.sqrt(len(h)), t.std() / np.sqrt(len(t))))
    return float(h.mean() - t.mean()), error


def dependence(
    model: Model,
    images: Sequence[Image],
    noise: Sequence[NoiseModel | None],
    device: torch.device,
) -> list[float]:
    """Share of the noise of a pixel that its own estimate repeats, per channel.

    The divergence of Stein's estimate by a random direction (Ramani, Blu, Unser, IEEE Transactions
    on Image Processing 2008): ``E z (g(y + e z) - g(y)) / (e E z^2)``.
    """
    rng = np.random.default_rng([model.config.training.seed, 5])
    where, at, corner, sides = _somewhere(images, model.ndim, rng)
    noisy = _read(images[where], at, corner, sides, model).astype(np.float64)
    scale = np.array(
        [
            np.sqrt(float(n.variance(y).mean()) if n is not None else float(y.var()))
            for n, y in zip(noise, noisy, strict=True)
        ]
    ).reshape(-1, *(1,) * model.ndim)
    z = scale * rng.standard_normal(noisy.shape)
    members = [(m, share, ready(m, device)) for m, share in model.members]

    def result(y: NDArray) -> NDArray[np.float64]:
        parts = []
        for m, share, net in members:
            x = torch.from_numpy(m.affine.select(list(m.channels)).apply(y))
            with torch.inference_mode():
                values = _values(net, x.unsqueeze(1 if m.is_one_by_one else 0).to(device), m)
            parts.append(share * (values if m.centre is None else m.centre.apply(y, values)[0]))
        return np.asarray(np.sum(parts, axis=0))

    step = 0.1
    change = (result(noisy + step * z) - result(noisy)) / step
    axes = tuple(range(1, noisy.ndim))
    ratio = (z * change).mean(axes) / np.maximum((z**2).mean(axes), 1e-300)
    return [float(v) for v in ratio]


def measured(images: Sequence[Image]) -> list[NoiseReport]:
    """What can be measured of the first, the middle and the last image."""
    found = []
    for i in sorted({0, len(images) // 2, len(images) - 1}):
        with contextlib.suppress(InputError):
            found.append(inspect(images[i]))
    return found


def with_centre(
    model: Model, pieces: Sequence[Sequence[Region]], noise: Sequence[NoiseModel]
) -> tuple[Model, Verdict]:
    """The model with the pixel itself brought back, where held-out pixels show that it helps.

    Parameters
    ----------
    model : Model
        Trained with n2v, n2v2 or structn2v.
    pieces : sequence of sequences of Region
        From `regions`.
    noise : sequence of noise models
        One per denoised channel.
    """
    centre, verdict = fit(noise, pieces)
    described = {
        "used": verdict.used,
        "risk_blind": verdict.risk_blind,
        "risk": verdict.risk,
        "change": verdict.change,
    }
    return replace(model, centre=centre, origin={**model.origin, "centre": described}), verdict


def regions(
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    along: Collection[str] = (),
) -> list[list[Region]]:
    """Pieces of the training images with predictions, for every denoised channel.

    Parameters
    ----------
    model : Model
        Trained with n2v, n2v2 or structn2v.
    images : sequence of Image
        Its training images.
    device : torch.device
        Where to compute.
    along : collection of str
        Axes along which noise is independent, so that pairs of neighbours say something; those that
        structN2V hides along are not among them whatever is said.
    """
    assert model.config.method in BLIND_SPOT
    net = ready(model, device)
    method = METHODS[model.config.method](model.config, model.ndim)
    seed = model.config.training.seed
    generator = torch.Generator(device).manual_seed(seed + 2)
    rng = np.random.default_rng([seed, 2])
    found: list[list[Region]] = [[] for _ in model.channels]
    struct = _footprint(method, model.ndim)
    axes = [a for a, k in enumerate("ZYX"[-model.ndim :]) if k in along and struct.shape[a] == 1]
    spent = 0
    seen: set[tuple[object, ...]] = set()
    while spent < BUDGET:
        where, at, corner, sides = _somewhere(images, model.ndim, rng)
        key = (where, *at.values(), *corner)
        if key in seen:  # small images have few places
            break
        seen.add(key)
        noisy = _read(images[where], at, corner, sides, model)
        held = np.stack(
            [
                held_out(corner, sides, (seed, *key_of(where, at, model.ndim, None), c))
                for c in model.channels
            ]
        )
        x, mask = (
            torch.from_numpy(a).unsqueeze(1 if model.is_one_by_one else 0).to(device)
            for a in (model.affine.select(list(model.channels)).apply(noisy), held)
        )
        step = Step(x, x, mask, generator, 1.0, net)
        hidden = method.validation(step)[0]
        with torch.inference_mode():
            plain, blind = (_values(net, t, model) for t in (x, hidden))
        noisy = noisy.astype(np.float64)
        pairs = np.full((len(noisy), model.ndim, 2, *sides), np.nan)
        for axis, first in lattices(sides, axes, struct.shape, rng):
            with torch.inference_mode():
                residual = noisy - _values(net, _without(x, first, axis, struct), model)
            both = np.stack([residual, np.roll(residual, -1, axis + 1)], 1)
            pairs[:, axis] = np.where(first, both, pairs[:, axis])
        for c in range(len(model.channels)):
            found[c].append(Region(noisy[c], plain[c], held[c], blind[c], pairs[c]))
        spent += math.prod(sides) * len(model.channels)
    return found


def _footprint(method: object, ndim: int) -> NDArray[np.bool_]:
    """What is hidden with a spot: itself, or more with structN2V."""
    struct: torch.Tensor | None = getattr(method, "struct", None)
    return np.ones((1,) * ndim, np.bool_) if struct is None else struct.cpu().numpy()


def lattices(
    shape: Sequence[int],
    axes: Sequence[int],
    footprint: Sequence[int],
    rng: np.random.Generator,
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Pixels to hide together with the next one along an axis, and the footprints of both.

    One pixel in 16 at a time or fewer, so that little more than the pair is hidden from a
    prediction; two to four lattices for every axis of a large piece, more of a small one.

    Parameters
    ----------
    shape : sequence of int
        Of the piece, 2 or 3 dimensions.
    axes : sequence of int
        Along which there are pairs; the footprint is one pixel long there.
    footprint : sequence of int
        Sides of what is hidden with a spot.
    rng : numpy.random.Generator
        Which lattices.

    Yields
    ------
    axis, mask : int, ndarray of bool of the given shape
        The first pixel of every pair. There is a pixel before it and one after the pair.

    Examples
    --------
    >>> axis, mask = next(lattices((9, 9), [1], (1, 1), np.random.default_rng(0)))
    >>> axis, bool(mask[:, 0].any()), bool(mask[:, 7:].any())
    (1, False, False)
    """
    free = {2: 3, 3: 1}[len(shape)]
    for axis in axes:
        cell = [4 if a == axis else side + free for a, side in enumerate(footprint)]
        places = list(itertools.product(*map(range, cell)))
        n = min(max(2 * BUDGET // math.prod(shape), 1), len(places) // 2, 8)
        for which in rng.choice(len(places), n, replace=False):
            mask = np.zeros(shape, np.bool_)
            mask[tuple(slice(o, None, c) for o, c in zip(places[which], cell, strict=True))] = True
            for end in (slice(1), slice(max(shape[axis] - 2, 0), None)):
                mask[(slice(None),) * axis + (end,)] = False
            yield axis, mask


def _without(
    x: torch.Tensor, first: NDArray[np.bool_], axis: int, footprint: NDArray[np.bool_]
) -> torch.Tensor:
    """Planes without either pixel of the pairs: the first takes the value before the pair, the
    second the one after it, and so do their footprints.
    """
    second = np.roll(first, 1, axis)
    for pixels, back in ((first, 1), (second, -1)):
        hidden = torch.from_numpy(ndimage.binary_dilation(pixels, footprint)).to(x.device)
        x = torch.where(hidden, x.roll(back, 2 + axis), x)
    return x


def _values(net: torch.nn.Module, x: torch.Tensor, model: Model) -> NDArray[np.float64]:
    """Predictions in image units, shape (channels, *space)."""
    y = net(x)
    if model.config.is_probabilistic:
        y = y.chunk(2, 1)[0]
    y = y.float().cpu().squeeze(1 if model.is_one_by_one else 0).numpy()
    return model.affine.select(list(model.channels)).invert(y)


def _somewhere(
    images: Sequence[Image], ndim: int, rng: np.random.Generator
) -> tuple[int, dict[str, int], tuple[int, ...], tuple[int, ...]]:
    """A random image, position along S, T and Z, corner and sides of a piece."""
    which = int(rng.integers(len(images)))
    n = images[which].sizes
    letters = "ZYX"[-ndim:]
    sides = tuple(min(n[k], side) for k, side in zip(letters, SIDES[ndim], strict=True))
    corner = tuple(
        int(rng.integers(n[k] - side + 1)) for k, side in zip(letters, sides, strict=True)
    )
    at = {k: int(rng.integers(n[k])) for k in "ST"}
    at["Z"] = corner[0] if ndim == 3 else int(rng.integers(n["Z"]))
    return which, at, corner, sides


def _read(
    image: Image,
    at: dict[str, int],
    corner: tuple[int, ...],
    sides: tuple[int, ...],
    model: Model,
) -> NDArray:
    """The denoised channels of a piece, shape (channels, *space)."""
    where: dict[str, int | slice] = dict(at)
    for k, start, side in zip("ZYX"[-model.ndim :], corner, sides, strict=True):
        where[k] = slice(start, start + side)
    block: NDArray = image.read(where)[0, 0][list(model.channels)]
    return block if model.ndim == 3 else block[:, 0]


def noise_models(reports: Sequence[NoiseReport], model: Model) -> list[NoiseModel | None]:
    """The measured noise of every denoised channel: the mean of what the reports say.

    None for a channel whose noise could not be measured.
    """
    found: list[NoiseModel | None] = []
    for c in model.channels:
        curves = [
            channel.curve
            for report in reports
            for channel in report.channels
            if channel.index == c and channel.curve is not None
        ]
        if not curves:
            found.append(None)
            continue
        low = min(float(curve.signal.min()) for curve in curves)
        high = max(float(curve.signal.max()) for curve in curves)
        span = max(high - low, 1e-6 * abs(high) + 1e-9)
        # Dense where the picture is, since a line bends where it meets its floor; and beyond, as
        # lines go on where no place is calm: bright spots seldom are.
        inside = np.linspace(low - span / 2, high, KNOTS)
        knots = np.append(inside, high + span * np.array([0.5, 1.0, 2.0]))
        found.append(Curve(knots, np.mean([curve.at(knots) for curve in curves], axis=0)))
    return found
