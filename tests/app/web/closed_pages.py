"""Visits to all pages without a browser, and what is left of them.

    python tests/app/web/closed_pages.py WORKSPACE VISITS

It prints how many objects of NiceGUI and of our pages there are after two rounds of visits, and
after all, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from nicegui import Client

from unnoise.app.session.request import Request
from unnoise.app.web import server
from unnoise.app.web.pages import application
from unnoise.app.web.settings import Settings
from unnoise.app.web.site import Site
from unnoise.app.web.workspace import Workspace

OURS = ("unnoise.app.web.", "nicegui.")


def alive() -> dict[str, int]:
    """How many objects there are of every class of NiceGUI and of the page."""
    gc.collect()
    kinds = Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())
    return {kind: count for kind, count in sorted(kinds.items()) if kind.startswith(OURS)}


async def visits(site: Site, count: int) -> list[dict[str, int]]:
    """What is alive after two rounds of visits, and after all of them."""
    app = application(site)
    made = f"{site.workspace.results / 'made'}/"
    job = site.queue.submit(Request((str(site.workspace.root / "a.npy"),), out=made))
    site.queue.stop(job.id)
    found = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as browser,
    ):
        for number in range(count):
            for place in ("/", "/image?place=a.npy", f"/job/{job.id}", "/image?place=none.npy"):
                (await browser.get(place)).raise_for_status()
            if number in (1, count - 1):
                await asyncio.sleep(0)
                Client.prune_instances(client_age_threshold=0)
                await asyncio.sleep(0.2)  # their loops end
                found.append(alive())
    return found


def main(workspace: Path, count: int) -> None:
    """Open a site, and close all pages."""
    np.save(workspace / "a.npy", np.random.default_rng(0).normal(9, 1, (16, 16)))
    place = Workspace(workspace)
    place.prepare()
    with Site.opened(Settings(workspace), place) as site, server._settled():
        print(json.dumps(asyncio.run(visits(site, count))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
