"""The slider that compares a picture before and after; ``before_after_slider.js`` makes it move.

Without scripts, and on paper, the same elements are a plain row of labelled images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unnoise.report.embedded_images import View
from unnoise.report.page_parts import Picture
from unnoise.report.templates import fill

if TYPE_CHECKING:
    from markupsafe import Markup

LABELS = {
    "noisy": "Noisy",
    "clean": "Clean",
    "residual": "Residual",
    "uncertainty": "Uncertainty",
    "leak": "Residual structure",
    "novelty": "Novelty",
}

MEANINGS = {
    "noisy": "Brightness in image units; noisy and clean share this scale.",
    "residual": "Noisy minus clean. It should look like noise, with no edges or texture of the "
    "specimen.",
    "uncertainty": "The spread of the result at every pixel, in image units.",
    "leak": "Where the residual resembles the picture: signal that was removed with the noise.",
    "novelty": "Where the picture is unlike what the model has learned: trust it less there.",
}

MICROMETRE = ("um", "\u03bcm", "micron", "microns", "micrometer", "micrometre")


def slider(picture: Picture, views: tuple[View, ...], number: int) -> Markup:
    """A picture with its views as HTML; `number` tells the sliders of a page apart."""
    return fill(
        "before_after_slider.html.jinja",
        picture=picture,
        views=views,
        number=number,
        labels=LABELS,
        meanings=MEANINGS,
        limits={"leak": picture.leak_limit, "novelty": picture.novelty_limit},
        compared=picture.clean is not None,
        size=picture.noisy.shape,
        pixel=_pixel_size(picture),
        not_finite=np.count_nonzero(~np.isfinite(picture.noisy)),
    )


def _pixel_size(picture: Picture) -> tuple[float, str] | None:
    """A usable pixel size with the usual spelling of micrometres, of which files have several."""
    if picture.pixel_size is None or not 0 < picture.pixel_size[0] < np.inf:
        return None
    value, unit = picture.pixel_size
    return value, "\u00b5m" if unit.lower() in MICROMETRE else unit
