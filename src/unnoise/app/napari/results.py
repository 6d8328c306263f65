"""What a job has made, as layers beside those that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import ref

import numpy as np

from unnoise.app.events import Preview
from unnoise.app.napari import layers as la
from unnoise.app.napari.choices import SHOWS, Choice
from unnoise.images.image import Image

PLACE = ("scale", "translate", "rotate", "shear", "affine")
"""Where a layer lies: what a result shares with its source, now and whenever it changes."""
COVERING = "translucent", "translucent_no_depth", "opaque"
"""Blendings with which a result hides what lies below it."""
LOOKS = ("contrast_limits", "gamma")
"""What a result shares of the looks too, so that both can be compared."""
COPIED = (*PLACE, "units", "axis_labels", "blending", "opacity", "colormap", *LOOKS)
RESIDUAL = 3.0
"""Standard deviations at either end of the grey scale of a residual."""


@dataclass(frozen=True)
class Target:
    """A layer that is being denoised, as it was when that began.

    Attributes
    ----------
    layer : weakref to napari.layers.Image
    name : str
    about : dict
        Its `COPIED` attributes.
    axes : str
    channel : int or None
        Which channel of the image it shows, where there are several layers.
    rgb : bool
    noisy : array
        Its pixels, of the full resolution.
    metadata : dict
    """

    layer: Any
    name: str
    about: dict[str, Any]
    axes: str
    channel: int | None
    rgb: bool
    noisy: Any
    metadata: dict[str, Any]


def targets(choice: Choice, image: Image) -> list[Target]:
    """The layers of a choice, with all that their results take over."""
    found = []
    for layer in choice.layers:
        channel = choice.channel(layer)
        axes = image.axes if channel is None else image.axes.replace("C", "")
        names = [name for name in COPIED if not (layer.rgb and name in (*LOOKS, "colormap"))]
        about = {name: getattr(layer, name) for name in names}
        pixels, metadata = la.pixels_of(layer), dict(layer.metadata)
        name = str(layer.name)
        found.append(Target(ref(layer), name, about, axes, channel, layer.rgb, pixels, metadata))
    return found


def add_result(
    viewer: Any,
    made: Sequence[Target],
    noisy: Image,
    result: Image,
    *,
    word: str = "denoised",
    about: dict[str, Any] | None = None,
) -> list[Any]:
    """Show a result: a layer for each that it was made of, right above it.

    Parameters
    ----------
    viewer : napari.Viewer
    made : sequence of Target
    noisy, result : Image
        The image that was denoised, and what came of it.
    word : str
        What is added to the names.
    about : dict, optional
        What the metadata of the layers say of the job.

    Returns
    -------
    list of napari.layers.Image
    """
    clean = noisy.with_data(la.arranged(result, noisy.axes))
    added = []
    for target in made:
        pixels = la.of_layer(clean.data, clean.axes, target.axes, target.channel)
        metadata = {**target.metadata, **(about or {}), SHOWS: "result"}
        metadata[la.KEY] = la.Source(clean, target.channel, pixels=None)
        added.append(_add(viewer, target, pixels, word, target.about, metadata, (*PLACE, *LOOKS)))
        source = target.layer()
        if source is not None and target.about["blending"] not in COVERING:
            source.visible = False  # their sum would be seen
    return added


def add_residual(viewer: Any, made: Sequence[Target], results: Sequence[Any]) -> list[Any]:
    """Show what was taken away, noisy minus clean, on a grey scale around zero."""
    import dask.array as da

    added = []
    for target, layer in zip(made, results, strict=True):
        noisy, clean = (da.asarray(one) for one in (target.noisy, la.pixels_of(layer)))
        residual = (noisy.astype(np.float64) - clean.astype(np.float64)).astype(np.float32)
        spread = _spread(residual, target.axes)
        about = {name: value for name, value in target.about.items() if name in COPIED[:7]}
        if not target.rgb:
            about |= {"contrast_limits": (-spread, spread), "colormap": "gray"}
        else:  # colours have no sign: 0 is grey
            residual = np.clip(residual / (2 * spread) + 0.5, 0, 1)
        shows = {SHOWS: "residual"}
        added.append(_add(viewer, target, residual, "residual", about, shows, PLACE))
    return added


def add_uncertainty(viewer: Any, made: Sequence[Target], noisy: Image, spread: Image) -> list[Any]:
    """Show the standard deviation of every pixel, from zero on."""
    added = []
    wide = replace(noisy, data=la.arranged(spread, noisy.axes), metadata={})
    for target in made:
        pixels = la.of_layer(wide.data, wide.axes, target.axes, target.channel)
        about = {name: value for name, value in target.about.items() if name in COPIED[:7]}
        if not target.rgb:
            top = la.limits(wide, target.channel or 0)[1]
            about |= {"contrast_limits": (0.0, top), "colormap": "magma"}
        shows = {SHOWS: "uncertainty", la.KEY: la.Source(wide, target.channel)}
        added.append(_add(viewer, target, pixels, "uncertainty", about, shows, PLACE))
    return added


def show_preview(
    viewer: Any, target: Target, preview: Preview, layer: Any = None, *, is_first: bool = True
) -> Any:
    """Show what a running job makes of a piece, in its place; the layer of before takes it over.

    The first channel covers the noisy image, and the others are added to it as their images are.

    Returns
    -------
    napari.layers.Image or None
        None where the last axes of the layer are not Y and X, or its channel is not shown.
    """
    letters = target.axes.replace("C", "") if target.rgb else target.axes
    if letters[-2:] != "YX":
        return None
    pixels = preview.clean
    if target.rgb:
        pixels = np.clip(pixels[..., :3] / _white(target.noisy), 0, 1)
    elif pixels.ndim == 3:
        channel = target.channel or 0
        if channel >= pixels.shape[-1]:
            return None
        pixels = pixels[..., channel]
    scale = np.asarray(target.about["scale"])[-2:]
    if layer is not None and layer in viewer.layers:
        layer.data = pixels
        return layer
    matrix = np.asarray(target.about["affine"].affine_matrix)[-3:, -3:]
    turned = np.asarray(target.about["rotate"])[-2:, -2:]
    # Of several axes napari lists the shears pair by pair, that of Y and X last.
    shear = float(np.asarray(target.about["shear"]).ravel()[-1])
    corner = turned @ [[1, shear], [0, 1]] @ (scale * preview.origin)
    place = np.asarray(target.about["translate"])[-2:] + corner
    kept = {n: target.about[n] for n in ("colormap", *LOOKS) if n in target.about}
    if not is_first:
        kept["blending"] = target.about["blending"]
    return viewer.add_image(
        pixels,
        name=f"{target.name} (preview)",
        rgb=target.rgb,
        scale=scale,
        translate=place,
        rotate=turned,
        shear=[shear],
        affine=matrix,
        units=target.about["units"][-2:],
        metadata={SHOWS: "preview"},
        **kept,
    )


def _add(
    viewer: Any,
    target: Target,
    pixels: Any,
    word: str,
    about: dict[str, Any],
    metadata: dict[str, Any],
    linked: Sequence[str],
) -> Any:
    """Add a layer right above its source, or above all, and keep both in the same place."""
    from napari.experimental import link_layers

    source = target.layer()
    name = f"{target.name} {word}"
    layer = viewer.add_image(pixels, name=name, rgb=target.rgb, metadata=metadata, **about)
    if source is None or source not in viewer.layers:
        return layer
    if metadata[SHOWS] == "result":
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(source) + 1)
    for name in PLACE:  # it may have been moved in the meantime
        setattr(layer, name, getattr(source, name))
    names = [name for name in linked if not (target.rgb and name in LOOKS)]
    link_layers([source, layer], names)
    return layer


def _spread(residual: Any, axes: str) -> float:
    """Where the grey scale of a residual ends, told by the middle of its middle plane."""
    middle = []
    for letter, n in zip(axes, residual.shape, strict=True):
        side = la.LOOK if letter in "YX" else n if letter == "C" else 1
        start = max((n - side) // 2, 0)
        middle.append(slice(start, start + side))
    values = np.asarray(residual[tuple(middle)], np.float64)
    values = values[np.isfinite(values)]
    return float(RESIDUAL * values.std()) or 1.0 if values.size else 1.0


def _white(pixels: Any) -> float:
    """The value of white in a photograph."""
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "ui" else 1.0
