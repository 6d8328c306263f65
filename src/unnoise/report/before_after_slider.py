"""The before/after viewer of a picture as HTML; ``report.js`` brings it to life.

Without scripts, and on paper, the same elements are a plain row of labelled images.
"""

from __future__ import annotations

import numpy as np

from unnoise.report.embedded_images import Layer, View
from unnoise.report.number_format import escape, short
from unnoise.report.page_parts import Picture

LABELS = {
    "noisy": "Noisy",
    "clean": "Clean",
    "residual": "Residual",
    "uncertainty": "Uncertainty",
    "leak": "Leak map",
    "novelty": "Novelty",
}

MEANINGS = {
    "noisy": "Brightness in image units; noisy and clean share this scale.",
    "residual": "Noisy minus clean. It should look like noise, with no edges or texture of the "
    "specimen.",
    "uncertainty": "The spread of the result at every pixel, in image units.",
    "leak": "Where the residual resembles the picture: signal that went with the noise.",
    "novelty": "Where the picture is unlike what the model has learned: trust it less there.",
}


def viewer(picture: Picture, views: tuple[View, ...], number: int) -> str:
    """A picture with its views as HTML; `number` tells the viewers of a page apart."""
    compared = picture.clean is not None
    size = ""
    if pixel := _pixel_size(picture):
        size = f' data-pixel="{pixel[0]:.6g}" data-unit="{escape(pixel[1])}"'
    stage = "".join(_view(view, picture.title) for view in views)
    if len(views) == 2:
        detail = views[1]
        stage += (
            f'<div class="frame" hidden data-x="{detail.corner[1]}" data-y="{detail.corner[0]}" '
            f'data-width="{detail.width}" data-height="{detail.height}"></div>'
        )
    split = (
        f'<div class="split"><label for="split{number}">Noisy</label>'
        f'<input type="range" id="split{number}" min="0" max="100" step="0.5" value="50" '
        f'aria-label="Share of the picture that is shown noisy, in percent">'
        f'<label for="split{number}">Clean</label></div>'
        if compared
        else ""
    )
    handle = '<div class="divider"><span class="handle"></span></div>' if compared else ""
    corners = (
        '<span class="corner left">Noisy</span><span class="corner right">Clean</span>'
        if compared
        else ""
    )
    keys = "".join(_key(picture, v, layer) for v in views for layer in v.layers if _is_keyed(layer))
    return f"""<figure class="viewer"{size}>
<figcaption>{escape(picture.title)}</figcaption>
<div class="tools">
<div class="group" role="group" aria-label="What is shown">{_modes(views[0], compared)}</div>
{_view_buttons(views)}
<div class="group zooms" role="group" aria-label="Zoom">
<button type="button" data-zoom="out" aria-label="Zoom out" title="Zoom out (-)">\u2212</button>
<output class="percent" title="Size of an image pixel on the screen">100 %</output>
<button type="button" data-zoom="in" aria-label="Zoom in" title="Zoom in (+)">+</button>
<button type="button" data-zoom="fit" title="Show all (0)">Fit</button>
</div></div>
<div class="stage" tabindex="0" role="group" aria-label="{escape(picture.title)}: drag to move, \
plus and minus to zoom, arrow keys to move, 0 to show all">
{stage}{handle}{corners}<div class="bar" hidden><i></i><b></b></div></div>
{split}
<div class="keys">{keys}</div>
<p class="hint"><span class="by-mouse">Click the picture, zoom with the wheel or + and \u2212, \
move with a drag or the arrow keys.</span><span class="by-touch">Pinch to zoom.</span></p>
{"".join(_note(picture, view) for view in views)}
</figure>"""


def _modes(view: View, compared: bool) -> str:
    """Buttons that choose the layer; noisy and clean are one button where both are there."""
    names = [layer.name for layer in view.layers if layer.name != "clean"]
    labels = {**LABELS, "noisy": "Before / after" if compared else "Noisy"}
    return "".join(
        f'<button type="button" data-mode="{name}" aria-pressed="{str(not i).lower()}">'
        f"{labels[name]}</button>"
        for i, name in enumerate(names)
    )


def _view_buttons(views: tuple[View, ...]) -> str:
    if len(views) == 1:
        return ""
    labels = {"whole": "Whole picture", "detail": "Detail"}
    buttons = "".join(
        f'<button type="button" data-show="{view.name}" aria-pressed="{str(not i).lower()}">'
        f"{labels[view.name]}</button>"
        for i, view in enumerate(views)
    )
    return f'<div class="group" role="group" aria-label="Part of the picture">{buttons}</div>'


def _view(view: View, title: str) -> str:
    where = "" if view.name == "whole" else " (detail)"
    images = "".join(
        f'<div class="layer" data-layer="{layer.name}">'
        f'<img src="{layer.uri}" width="{view.width}" height="{view.height}" decoding="async" '
        f'alt="{escape(title)}: {LABELS[layer.name].lower()}{where}" draggable="false">'
        f"<span>{LABELS[layer.name]}{where}, {short(layer.scale.low)} to {short(layer.scale.high)}"
        f"</span></div>"
        for layer in view.layers
    )
    return (
        f'<div class="view" data-view="{view.name}" data-width="{view.width}" '
        f'data-height="{view.height}" data-factor="{view.factor}">{images}</div>'
    )


def _is_keyed(layer: Layer) -> bool:
    return layer.name != "clean"  # it shares the key of the noisy layer


def _key(picture: Picture, view: View, layer: Layer) -> str:
    """The colour bar of a layer with its ends, and what the layer means."""
    limit: float | None = getattr(picture, f"{layer.name}_limit", None)
    above = f" Beyond {short(limit)} it is worth a look." if limit else ""
    return (
        f'<div class="key" data-view="{view.name}" data-layer="{layer.name}" hidden>'
        f"<span>{short(layer.scale.low)}</span>"
        f'<i class="ramp {layer.scale.ramp}"></i><span>{short(layer.scale.high)}</span>'
        f"<p>{MEANINGS[layer.name]}{above}</p></div>"
    )


def _note(picture: Picture, view: View) -> str:
    """What a view leaves out."""
    height, width = picture.noisy.shape[:2]
    more = ""
    if pixel := _pixel_size(picture):
        more += f" Pixel size {short(pixel[0])} {escape(pixel[1])}."
    if picture.noisy.ndim == 3 and picture.clean is not None:
        more += " The residual is the mean of its three colours."
    if lost := int(np.count_nonzero(~np.isfinite(picture.noisy))):
        more += f" {lost} values are not finite."
    if view.name == "detail":
        y, x = view.corner
        text = (
            f"The part with most structure in full resolution: x {x} to {x + view.width - 1}, "
            f"y {y} to {y + view.height - 1}."
        )
    elif view.factor > 1:
        text = (
            f"{width} \u00d7 {height} pixels, averaged over {view.factor} \u00d7 {view.factor}: "
            f"noise looks weaker here than it is.{more}"
        )
    else:
        text = f"{width} \u00d7 {height} pixels, all of them shown.{more}"
    return f'<p class="note" data-view="{view.name}">{text}</p>'


MICROMETRE = ("um", "\u03bcm", "micron", "microns", "micrometer", "micrometre")


def _pixel_size(picture: Picture) -> tuple[float, str] | None:
    """A usable pixel size with the usual spelling of micrometres, of which files have several."""
    if picture.pixel_size is None or not 0 < picture.pixel_size[0] < np.inf:
        return None
    value, unit = picture.pixel_size
    return value, "\u00b5m" if unit.lower() in MICROMETRE else unit
