"""An image on the page: alone, or noisy beside clean."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from unnoise.app.web.gallery import Picture
from unnoise.app.web.site import Site
from unnoise.app.web.viewer import Viewer
from unnoise.report.colour import Scale

TILES = "/tiles"


def show(
    site: Site, noisy: Picture, *, clean: Picture | None = None, spread: Picture | None = None
) -> Viewer:
    """Show an image, with its result where there is one.

    Raises
    ------
    InputError
        If one of them is not there.
    """
    return Viewer(
        site.gallery.name(noisy),
        clean=None if clean is None else site.gallery.name(clean),
        uncertainty=None if spread is None else site.gallery.name(spread),
        base=TILES,
        label=noisy.path.name,
    )


def picture_of(plane: NDArray, scale: Scale) -> str:
    """A plane as a picture within the page."""
    buffer = io.BytesIO()
    levels = np.ascontiguousarray(scale.levels(plane))
    Pillow.fromarray(levels).save(buffer, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
