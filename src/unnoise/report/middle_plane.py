"""The middle plane of a result, collected while it is predicted, and judged for the report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.models.frame_tiles import Block
from unnoise.models.model import Model
from unnoise.models.negative_pixels import unclipped
from unnoise.models.predict import predict, predict_array
from unnoise.quality.assess import assess
from unnoise.quality.region import part_of
from unnoise.report.result_page import DenoisedPlane

MOST_CHANNELS = 4
SIDE = 1024
"""Side of the middle of the plane that is judged: some seconds."""
MOST_EXCLUDED = 0.9
"""Share of pixels that are no measurement from which there is nothing to judge."""
WHOLE = 2048
"""Side of the plane that is shown."""


@dataclass
class MiddlePlane:
    """The middle plane of an image, collected from the blocks of its prediction.

    `noisy` and `clean` have the shape (c, y, x).
    """

    image: Image
    channels: tuple[int, ...]
    where: dict[str, int | slice] = field(init=False)
    noisy: NDArray = field(init=False)
    clean: NDArray[np.float32] = field(init=False)
    excluded: NDArray[np.bool_] | None = field(init=False)
    error: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self.where = self.image.middle(WHOLE)
        self.noisy = self.image.read(self.where)[0, 0, list(self.channels), 0]
        marks = self.image.excluded(self.where)
        self.excluded = None if marks is None else marks[0, 0, list(self.channels), 0]
        self.clean = np.zeros(self.noisy.shape, np.float32)

    def take(self, block: Block) -> None:
        """Keep what a block holds of the plane."""
        target, source = {}, {}
        regions = (ax.index("STZYX", where) for where in (self.where, block.where))
        for k, own, other in zip("STZYX", *regions, strict=True):
            start, stop, _ = other.indices(self.image.sizes[k])
            first, last = max(start, own.start), min(stop, own.stop)
            if first >= last:
                return
            target[k] = slice(first - own.start, last - own.start)
            source[k] = slice(first - start, last - start)
        inside, part = (slice(None), target["Y"], target["X"]), ax.index(ax.CANONICAL, source)
        channels = list(self.channels)
        self.clean[inside] = block.values[part][0, 0, channels, 0]
        if block.error is not None:
            self.error = np.zeros_like(self.clean) if self.error is None else self.error
            self.error[inside] = block.error[part][0, 0, channels, 0]


def show(
    model: Model,
    plane: MiddlePlane,
    device: str,
    *,
    rounded: bool = False,
    copies: bool = True,
) -> DenoisedPlane:
    """Judge the plane of a result, its middle if it is large.

    Without `copies` of it that are noisier, whose Fourier ring correlation takes most of the time.
    """
    image, noisy = plane.image, plane.noisy
    model = for_plane(model, plane)
    height, width = noisy.shape[1:]
    cut = (ax.middle(height, SIDE), ax.middle(width, SIDE))
    blind = _without_posterior(model)
    assessments = []
    for i, c in enumerate(plane.channels):
        if c not in model.channels:
            break
        if model.noise is None or model.record is None or model.target_affine is not None:
            break
        if plane.excluded is not None and plane.excluded[i][cut].mean() > MOST_EXCLUDED:
            break
        # Other noisy versions of the plane are denoised without the posterior.
        denoise = partial(_denoised, blind, image, c, device)
        assessments.append(
            assess(
                noisy[i][cut],
                plane.clean[i][cut],
                model.noise,
                model.record,
                model.channels.index(c),
                error=None if plane.error is None else plane.error[i][cut],
                denoise=denoise if copies and _plane_by_plane(model) else None,
                rounded=rounded,
                excluded=None if plane.excluded is None else plane.excluded[i][cut],
                seed=model.config.training.seed,
            )
        )
    return _denoised_plane(
        plane, assessments=tuple(assessments), judged=cut, remark=_noise_that_stays(model)
    )


def _plane_by_plane(model: Model) -> bool:
    """Whether a plane of one channel can be denoised alone.

    A 3D net needs the slices around, a joint one the other channels, and one with a context frames.
    """
    alone = all(m.context is None for m, _ in model.members)
    return model.ndim == 2 and model.is_one_by_one and alone


def _noise_that_stays(model: Model) -> str:
    """What a method behind the transform cannot do where it does not know the correlation."""
    correlated = () if model.noise is None else model.noise.correlated
    along = [k for k in "YX" if any(k in axes for axes in correlated)]
    told = model.weights.get("rho")
    knows = told is not None and bool(told.any())
    if not along or not model.config.entry.is_stabilized or knows:
        return ""
    return (
        f"the noise is correlated along {' and '.join(along)}, which {model.config.method} takes "
        f"for structure, so it stays; choose the method auto"
    )


def show_unchanged(image: Image, remark: str) -> DenoisedPlane:
    """The plane of an image that was written as it is."""
    plane = MiddlePlane(
        image, tuple(c for c in range(image.sizes["C"]) if c != image.alpha)[:MOST_CHANNELS]
    )
    plane.clean[:] = plane.noisy
    return _denoised_plane(plane, assessments=(), judged=(slice(None), slice(None)), remark=remark)


def _denoised_plane(plane: MiddlePlane, **known: Any) -> DenoisedPlane:
    """A plane with its names and sizes."""
    image, names = plane.image, plane.image.channel_names
    noisy, clean = plane.noisy, plane.clean
    kept = image.kept(plane.where)
    if kept is not None:  # padding and the like is shown as dark as the darkest measurement
        hidden = kept[0, 0, list(plane.channels), 0]
        dark = np.array(
            [p[~h].min() if (~h).any() else 0 for p, h in zip(noisy, hidden, strict=True)]
        )
        noisy, clean = (np.where(hidden, dark[:, None, None], p) for p in (noisy, clean))
    return DenoisedPlane(
        title=_title(image),
        noisy=noisy,
        clean=clean.astype(np.float32),
        names=tuple(names[c] if c < len(names) else str(c + 1) for c in plane.channels),
        is_rgb=image.is_rgb and len(plane.channels) == 3,
        pixel_size=(float(image.scale.get("X", 0)), image.units.get("X", "pixel")),
        **known,
    )


def for_plane(model: Model, plane: MiddlePlane) -> Model:
    """The model for the brightness of the plane."""
    if not model.others:
        return model
    s, t = (ax.index(k, plane.where)[0].start for k in "ST")
    return model.levels[model.level_of(plane.image, s, t)]


def _without_posterior(model: Model) -> Model:
    """The blind predictions alone, of both members of a mean."""
    second = model.second
    if second is not None:
        second = replace(second, model=_without_posterior(second.model))
    return replace(model, posterior=None, second=second)


def _denoised(
    model: Model, image: Image, channel: int, device: str, part: NDArray
) -> NDArray[np.float64]:
    """A plane of one channel through the net, in floats."""
    planes = np.zeros((image.sizes["C"], *part.shape))
    planes[channel] = part
    noised = Image(planes, "CYX")
    as_shown = unclipped(model, image)
    return np.asarray(predict_array(as_shown, noised, device=device, shifted=False)[channel])


def _title(image: Image) -> str:
    """The file, and which plane of it."""
    n = image.sizes
    places = [f"{k} {at + 1} of {n[k]}" for k, at in image.middle().items() if n[k] > 1]
    return image.name + (f" ({', '.join(places)})" if places else "")


def show_training(model: Model, image: Image, device: str, *, copies: bool = True) -> DenoisedPlane:
    """A training image through the finished model, for the report of a training.

    Only the middle of its middle plane, or of the slices around it, is denoised.
    """
    where = image.middle(SIDE, depth=32) if model.ndim == 3 else image.middle(SIDE)
    part, only = part_of(image, where, model)
    plane = MiddlePlane(part, model.channels[:MOST_CHANNELS])
    for piece in predict(model, part, device=device, only=only):
        plane.take(piece)
    return show(model, plane, device, copies=copies)
