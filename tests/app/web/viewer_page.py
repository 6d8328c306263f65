"""A page with nothing but viewers of made-up images, for the tests of the viewer in a browser.

    python tests/app/web/viewer_page.py

It prints its port. The noisy image says where one is: of channel 0 the pixel (z, y, x) has the
value 1000 z + y + 2 x, and nothing in it is random. The clean one has 500 more.
"""

from __future__ import annotations

import socket
import time

import numpy as np
import uvicorn
from fastapi import FastAPI
from nicegui import ui

from unnoise.app.web import tiles
from unnoise.app.web.viewer import Viewer
from unnoise.images.image import Image

SHAPE = 5, 600, 700
KNOWN = {"scale": {"Y": 0.5, "X": 0.5}, "units": {"X": "µm"}, "channel_names": ("DAPI", "GFP")}


class Slow:
    """A large array each of whose regions takes a while."""

    shape, dtype = (6000, 6000), np.dtype("u2")

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        time.sleep(0.02)
        y, x = (np.arange(n)[part] for n, part in zip(self.shape, index, strict=True))
        return (y[:, None] + x).astype(np.uint16)


def images() -> dict[str, Image]:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    one = 1000 * z + y + 2 * x
    noisy = np.stack([one, one[:, ::-1]], axis=1).astype(np.uint16)
    return {
        "noisy": Image(noisy, "ZCYX", **KNOWN),
        "clean": Image(noisy + np.float32(500), "ZCYX", **KNOWN),
        "spread": Image(np.sqrt(noisy).astype(np.float32), "ZCYX", **KNOWN),
        "grey": Image(noisy[2, 0], "YX"),
        "counts": Image(noisy[2, 0].astype(np.uint32) + 120_456, "YX"),
        "other": Image(noisy[2, 0, :-1], "YX"),
        "slow": Image(Slow(), "YX"),
    }


def application() -> FastAPI:
    app, known = FastAPI(), images()
    app.include_router(tiles.router(lambda name, _: known.get(name)))

    @ui.page("/")
    def page(noisy: str = "noisy", clean: str = "", spread: str = "") -> None:
        ui.add_css(
            ":root { color-scheme: light dark } body { background: light-dark(#fff, #14171a) }"
        )
        with ui.element("main").style("width: 100%"):
            viewer = Viewer(
                noisy, clean=clean or None, uncertainty=spread or None, label="cells.tif"
            )

        ui.button("Result", on_click=lambda: viewer.show("noisy", clean="clean"))

    ui.run_with(app, title="viewer")
    return app


if __name__ == "__main__":
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    free.listen()
    print(free.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(application(), log_level="warning"))
    server.run(sockets=[free])
