"""Whether frames are joined with those beside them, and how far: what predicts hidden pixels best.

A hidden pixel of the centre cannot be seen by the result, and its neighbours in time have noise of
their own. So its squared error is the risk plus the noise, frame by frame or joined (J-invariance:
Batson and Royer, ICML 2019), and the same pixels judge both. Where frames share noise this would
not hold: there they are not joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours
from unnoise.models.joined_frames import Surroundings, Window, packed
from unnoise.models.model import Model
from unnoise.models.record import MOST_SKEWED, JoinedFrames
from unnoise.models.tile_results import Member, mean
from unnoise.models.tiles import Tile, read_tile
from unnoise.models.units import from_net, to_net
from unnoise.nets.variance_stabilized import VarianceStabilized, blurred
from unnoise.noise import correlation
from unnoise.training.blur_share import WIDTHS, blur_share
from unnoise.training.frame_noise import shared, skewness
from unnoise.training.methods.b2u import donut_mean
from unnoise.training.weighed import LEAST_SHARE

REACHES = (1, 2, 4, 8)
"""Frames before and after that are tried."""
FEWEST = 3
"""Frames along an axis from which they are joined."""
PIECES, SIDE = 8, 128
"""Tiles on which that is compared, and their side: each about 0.1 s of one core."""
DARK = 0.7
"""Share of the variance that cannot be predicted from which frames are joined with a blur: movies
of 10 photons where they are brightest have 0.77 to 0.89, of 5 photons 0.91 to 0.97."""
MORE = 8
"""Tiles beside these where noise is so strong that a few say little."""
BLURS = (0.7, *WIDTHS)
"""Standard deviations in pixels of a blur: of many frames as one a pixel knows more."""
CELL = 2
"""One pixel in every cell of this side is hidden."""
SURE = 2.0
"""Standard errors by which the error must be less than frame by frame, and ..."""
WIN = 0.0005
"""... by this share, the noise included."""
SHARED = (0.1, 0.3)
"""Share of the noise that frames have in common from which it is counted, and from which they are
not joined: less may be a strength that was measured wrong, and with more (running means, fixed
patterns) hidden pixels are told by their own noise."""


@dataclass(frozen=True)
class _Place:
    """A tile of a frame in the training images, and how far apart its pixels are taken."""

    image: Image
    at: dict[str, int]
    tile: Tile
    apart: tuple[int, int]

    def window(self, joined: JoinedFrames, channels: Sequence[int]) -> Window:
        """It and the frames around it."""
        surroundings = Surroundings(joined, self.image, channels)
        found = surroundings.window(self.at, surroundings.around(self.at), self.tile)
        y, x = self.apart
        marks = found.excluded
        return replace(
            found,
            pixels=found.pixels[..., ::y, ::x],
            excluded=None if marks is None else marks[..., ::y, ::x],
        )

    def beside(self, model: Model) -> list[NDArray]:
        """It in the frames that the net of a model sees."""
        if model.context is None:
            return []
        y, x = self.apart
        axis, frames = model.context[0], Neighbours(self.image, *model.context, model.channels)
        places = [place[axis] for place in frames.frames(self.at)]
        read = {
            i: read_tile(self.image, {**self.at, axis: i}, self.tile, 2, alone=True)[..., ::y, ::x]
            for i in places
        }
        return [read[i] for i in places]


def with_joined_frames(
    model: Model, images: Sequence[Image], device: torch.device
) -> tuple[Model, str]:
    """The model, with neighbours where they help, and what to tell about it (if anything).

    Parameters
    ----------
    model : Model
        Calibrated, of the shipped net, and perhaps with a second one; of a single group of images.
    images : sequence of Image
        Its training images.
    device : torch.device
        Where to compute.
    """
    wanted = model.config.neighbours
    axes = [axis for axis in "TZ" if max(image.sizes[axis] for image in images) >= FEWEST]
    if model.config.context is not None:  # 0 frames: frame by frame
        axes = [wanted[0]] if wanted is not None and wanted[0] in axes else []
    best, told = None, ""
    for axis in axes:
        own = [image for image in images if image.sizes[axis] >= FEWEST]
        found = _Trial(model, own, axis, device).best(wanted and wanted[1])
        if isinstance(found, str):
            told = told or found
        elif best is None or found[1] < best[1]:
            best = found
    if best is None:
        return model, told
    model, _ = best
    assert model.joined is not None
    told = model.joined.line()
    if model.second is not None:
        told += f"; the net that was trained here has {model.second.share:.0%} of the mean with it"
    return model, told


class _Trial:
    """Frames joined along one axis in different ways, on the same hidden pixels."""

    def __init__(
        self, model: Model, images: Sequence[Image], axis: str, device: torch.device
    ) -> None:
        self._model, self._axis, self._device = model, axis, device
        rng = np.random.default_rng([model.config.training.seed, 14, "TZ".index(axis)])
        shapes = model.noise.autocorrelation if model.noise else ()
        # Neighbours tell the noise of a hidden pixel where it is correlated; pixels further apart
        # do not: they make a smaller image, whose noise is white and as strong.
        apart = correlation.apart([rho for rho in shapes if rho is not None])
        if apart != (1, 1):
            white = {**model.weights, "rho": torch.zeros_like(model.weights["rho"])}
            self._judged = model.with_weights(white)
        else:
            self._judged = model
        places = _places(images, model, apart, rng)
        self._places = list(itertools.islice(places, PIECES))
        self._more = itertools.islice(places, MORE)
        self._longest = max(image.sizes[axis] for image in images) - 1

    def best(self, forced: int | None) -> tuple[Model, float] | str:
        """The model with frames joined at the least risk, and that; or why there are none."""
        bins = int(self._model.weights["bins"])
        first = JoinedFrames(self._axis, min(forced or 2, self._longest), bins=bins)  # type: ignore[arg-type]
        alone = self._errors(None)
        dark = bool(alone.mean() > DARK) and self._judged is self._model
        if dark:
            self._places += list(self._more)
            alone = self._errors(None)
        common = self._shared(first)
        if common > SHARED[1]:
            return (
                f"every frame is denoised by itself, as neighbouring frames along {self._axis} "
                f"share {common:.0%} of their noise"
            )
        first = replace(first, shared=common if common > SHARED[0] else 0.0)
        first = self._skewed(first)
        tried = {first: self._errors(first)}

        def less(found: JoinedFrames, than: JoinedFrames, errors: float) -> bool:
            """Whether one has less risk than another, by so many standard errors."""
            if found not in tried:
                tried[found] = self._errors(found)
            change = tried[found] - tried[than]
            return bool(change.mean() < -errors * change.std() / len(change) ** 0.5)

        best = first
        matched = replace(best, matched=True)
        if self._axis == "T" and less(matched, best, SURE):
            best = matched
        if not forced and not dark:
            for reach in REACHES:
                other = replace(best, reach=reach)
                if reach <= self._longest and less(other, best, 0.0 if reach < best.reach else 1.0):
                    best = other
        for smaller in () if dark else (1, 2):
            if smaller < bins:
                other = self._skewed(replace(best, bins=smaller))
                if less(other, best, SURE):
                    best = other
                    break
        if dark:
            reaches = {min(reach, self._longest) for reach in REACHES} if not forced else {forced}
            sides = [side for side in (1, 2, 4) if side <= best.bins]
            several = itertools.product(sorted(reaches), sides)
            mixed = dict(self._mixed(replace(best, reach=r, bins=b)) for r, b in several)  # type: ignore[arg-type]
            tried |= mixed
            best = min([best, *mixed], key=lambda one: float(tried[one].mean()))
        change = tried[best] - alone
        risk, single = float(tried[best].mean()), float(alone.mean())
        least = max(SURE * float(change.std()) / len(change) ** 0.5, WIN * single)
        if not forced and risk > single - least:
            return (
                f"every frame is denoised by itself, as those beside it along {self._axis} do not "
                f"help to predict hidden pixels"
            )
        model = replace(self._model, joined=replace(best, alone=single, risk=risk))
        if model.second is not None:
            share = self._share(best)
            kept = replace(model.second, share=share)
            model = replace(model, second=kept if share >= LEAST_SHARE else None)
            model = model if model.second else replace(model, choice=None)
        return model, risk

    def _mixed(self, joined: JoinedFrames) -> tuple[JoinedFrames, NDArray[np.float64]]:
        """With the share that a blur of joined frames has in the result, and its errors."""
        channels = list(self._model.channels)
        model = replace(self._judged, joined=replace(joined, blur=((1.0, 1.0),) * len(channels)))
        net = Member.of(model, 1.0, self._device, "torch").net
        assert isinstance(net, VarianceStabilized)
        std = model.affine.std[channels][:, None, None]
        found: dict[float | None, list[torch.Tensor]] = {width: [] for width in (None, *BLURS)}
        for window, noisy, hidden in self._hidden(joined):
            inside = [np.ones(n, np.bool_) for n in noisy.shape[1:]]
            with torch.inference_mode():
                *parts, plain = packed(net, model, window, self._device, inside).chunk(4, 1)
                results: dict[float | None, torch.Tensor] = {None: net.denoised(*parts)}
                for width in BLURS:
                    widths = torch.full_like(net.blur_width, width / int(net.bins))
                    results[width] = net.spread(blurred(plain, widths))
            for key, result in results.items():
                error = (noisy[channels] - from_net(model, result)) / std
                found[key].append(torch.from_numpy(error[:, hidden]))
        shares, widths = blur_share(lambda width: torch.cat(found[width], 1), widths=BLURS)
        blur = tuple(zip(shares.tolist(), widths.tolist(), strict=True))
        errors = []
        for i, own in enumerate(found[None]):
            both = [torch.lerp(own[c], found[w][i][c], s) for c, (s, w) in enumerate(blur)]
            errors.append(torch.cat(both).square().numpy())
        joined = replace(joined, blur=blur if shares.any() else ())
        return joined, np.concatenate([part[np.isfinite(part)] for part in errors])

    def _share(self, joined: JoinedFrames) -> float:
        """Weight of the second net in the mean with joined frames that predicts hidden pixels best.

        The squared error is a parabola in the weight, as that of `adapted` is. Of pixels apart from
        each other the second net, which saw them all, knows nothing: it keeps its weight or goes.
        """
        second = self._model.second
        assert second is not None
        alone = self._residuals(joined)
        if self._judged is not self._model:
            both = self._residuals(joined, second.share)
            return second.share if (both**2).mean() < (alone**2).mean() else 0.0
        change = alone - self._residuals(joined, 1.0)
        bend = max(float((change**2).mean()), 1e-12)
        share = float((alone * change).mean()) / bend
        doubt = float((alone * change - share * change**2).std()) / len(change) ** 0.5 / bend
        return float(np.clip(share - doubt, 0.0, 1.0))

    def _errors(self, joined: JoinedFrames | None) -> NDArray[np.float64]:
        """Squared errors at hidden pixels, in normalised units."""
        return self._residuals(joined) ** 2

    def _residuals(
        self, joined: JoinedFrames | None, share: float | None = None
    ) -> NDArray[np.float64]:
        """Noisy less predicted values of hidden pixels, as `_by_place`, one after the other."""
        return np.concatenate([row[np.isfinite(row)] for row in self._by_place(joined, share)])

    def _by_place(
        self, joined: JoinedFrames | None, share: float | None = None
    ) -> list[NDArray[np.float64]]:
        """Noisy less predicted values of hidden pixels; with a `share`, of a mean with the second.

        By tile, shape (channels, n), NaN where pixels are no measurement. Joined frames are tried
        without the second net, and frame by frame as the model is.
        """
        model, channels = self._judged, list(self._model.channels)
        if joined is not None:
            second = model.second if share is not None else None
            if second is not None and share is not None:
                second = replace(second, share=share)
            model = replace(model, second=second)
        model = replace(model, joined=joined, mean_correction=None)
        members = [Member.of(m, share, self._device, "torch") for m, share in model.members]
        std = model.affine.std[channels][:, None, None]
        found = []
        # Frame by frame the window serves for its centre alone.
        windows = self._hidden(joined or JoinedFrames(self._axis, 1))  # type: ignore[arg-type]
        for place, (window, noisy, hidden) in zip(self._places, windows, strict=True):
            shape = noisy.shape[1:]
            tile = Tile(*(tuple(slice(0, n) for n in shape),) * 3)
            seen = window.pixels[window.centre]
            results = [
                m.result(seen, place.beside(m.model), tile, shape, False, window) for m in members
            ]
            clean = mean(members, results)[0][0]
            found.append(((noisy - clean)[channels] / std)[:, hidden])
        return found

    def _hidden(
        self, joined: JoinedFrames
    ) -> Iterator[tuple[Window, NDArray[np.float64], NDArray[np.bool_]]]:
        """Tiles of frames whose centre has hidden pixels, that centre, and which are hidden.

        Where pixels are no measurement the centre is NaN.
        """
        for i, place in enumerate(self._places):
            window = place.window(joined, list(self._model.channels))
            noisy = window.pixels[window.centre].astype(np.float64)
            y, x = divmod(i % CELL**2, CELL)
            hidden = np.zeros(noisy.shape[1:], np.bool_)
            hidden[y::CELL, x::CELL] = True
            around = donut_mean(torch.from_numpy(noisy)[None])[0].numpy()
            seen = window.pixels.astype(np.float64)
            seen[window.centre] = np.where(hidden, around, noisy)
            if window.excluded is not None:
                noisy[window.excluded[window.centre]] = np.nan
            yield replace(window, pixels=seen), noisy, hidden

    def _shared(self, joined: JoinedFrames) -> float:
        """Which share of their noise neighbouring frames have in common."""
        model, channels = self._judged, list(self._model.channels)
        weights = (model.weights[name].cpu().numpy() for name in ("knots", "log_sigma"))
        variances = [partial(_variance, *curve) for curve in zip(*weights, strict=True)]
        tiles = []
        for place in self._places:
            window = place.window(joined, channels)
            pixels = window.pixels[:, channels].astype(np.float64)
            tile = np.stack([model.affine.select(channels).apply(frame) for frame in pixels])
            if window.excluded is not None:
                tile[window.excluded[:, channels]] = np.nan
            tiles.append(tile)
        return shared(tiles, variances)

    def _skewed(self, joined: JoinedFrames) -> JoinedFrames:
        """With the skewness of the noise."""
        found = skewness(self._stabilised(replace(joined, reach=2)))
        return replace(joined, skewness=float(np.clip(found, -MOST_SKEWED, MOST_SKEWED)))

    def _stabilised(self, joined: JoinedFrames) -> Iterator[NDArray[np.float64]]:
        """Tiles of neighbouring frames, shape (n, c, y, x), with noise of strength 1."""
        model = replace(self._judged, joined=joined)
        net = Member.of(model, 1.0, self._device, "torch").net
        assert isinstance(net, VarianceStabilized)
        for place in self._places:
            window = place.window(joined, model.channels)
            x = [
                to_net(model, frame[list(model.channels)], self._device) for frame in window.pixels
            ]
            with torch.inference_mode():
                yield net.prepared(torch.cat(x)).double().cpu().numpy()


def _variance(
    knots: NDArray[np.float32], log_sigma: NDArray[np.float32], signal: NDArray
) -> NDArray[np.float64]:
    """Of the noise at signals, all in normalised units."""
    return np.asarray(np.exp(2 * np.interp(signal, knots, log_sigma)))


def _places(
    images: Sequence[Image], model: Model, apart: tuple[int, int], rng: np.random.Generator
) -> Iterator[_Place]:
    """Tiles anywhere in the images, without an end."""
    grid = 16 * 4
    while True:
        image = images[int(rng.integers(len(images)))]
        n, parts = image.sizes, []
        at = {k: int(rng.integers(n[k])) for k in "STZ"}
        for k, step in zip("YX", apart, strict=True):
            length = min(SIDE, max(n[k] // step // grid, 1) * grid) * step
            start = int(rng.integers(max(n[k] - length, 0) + 1))
            parts.append(slice(start, start + length))
        region = tuple(parts)
        yield _Place(image, at, Tile(region, region, region), apart)
