"""An image on the page: zoom, slices, channels, and noisy beside clean."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui
from nicegui.element import Element

STYLE = Path(__file__).with_suffix(".css")


class Viewer(Element, component="viewer.js", dependencies=["tile_canvas.js"]):
    """An image, alone or with its result, drawn from the tiles of `unnoise.app.web.tiles`.

    All that a person does in it (zoom, pan, slices, colours, limits, what is compared) happens in
    the browser, which asks for tiles; nothing of it reaches this object. Leaflet, which NiceGUI
    bundles, was not taken: it shows tiles as elements, so changed colours flicker, and has neither
    a divider between two pictures nor tiles that become exact later.

    Parameters
    ----------
    noisy : str
        Name of the image, as the router of the tiles knows it.
    clean, uncertainty : str, optional
        Names of its result and of the spread of that. With a result of the same sizes there are a
        divider between both, and the residual.
    base : str
        Where the routes of the tiles begin.
    label : str
        What the image is called, for those who cannot see it.

    Examples
    --------
    >>> from unnoise.app.web import tiles
    >>> ui.run_with(app)  # doctest: +SKIP
    >>> app.include_router(tiles.router(lookup))  # doctest: +SKIP
    >>> viewer = Viewer("name-of-noisy", clean="name-of-clean", label="cells.tif")  # doctest: +SKIP
    """

    def __init__(
        self,
        noisy: str,
        *,
        clean: str | None = None,
        uncertainty: str | None = None,
        base: str = "/tiles",
        label: str = "Image",
    ) -> None:
        super().__init__()
        ui.add_css(STYLE)
        self._props["base"], self._props["label"] = base, label
        self.show(noisy, clean=clean, uncertainty=uncertainty)

    def show(self, noisy: str, *, clean: str | None = None, uncertainty: str | None = None) -> None:
        """Show other images, as when a job has its result."""
        named = {"noisy": noisy, "clean": clean, "uncertainty": uncertainty}
        self._props["sources"] = {key: name for key, name in named.items() if name}
        self.update()
