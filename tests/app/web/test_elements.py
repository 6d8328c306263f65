"""The page is for everybody: axe-core finds nothing, in light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .test_pages import DONE, denoise, noisy

pytestmark = pytest.mark.gui
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 400)]


def faults(page: Any) -> list[str]:
    """What axe-core finds of WCAG 2.2 A and AA, and of good practice."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    return [
        f"{one['id']}: {node['html'][:200]} {node['any'][:1]}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ]


def every_look(page: Any) -> Iterator[tuple[str, int]]:
    """The page in every theme and width."""
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        yield scheme, width


def checked(page: Any) -> None:
    """Nothing is wrong, and nothing is wider than the window."""
    for look in every_look(page):
        assert faults(page) == [], (look, "\n".join(faults(page)))
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, look


def test_nobody_is_left_out(serve: Callable, visit: Callable) -> None:
    server = serve()
    noisy(server.workspace / "a.ome.tif")
    (server.workspace / "broken.tif").write_bytes(b"II*\0")
    page = visit(server)
    page.wait_for_selector("text=Nothing yet")
    checked(page)
    page.goto(f"{server.origin}/image?place=broken.tif")
    page.wait_for_selector("[role=alert]")
    checked(page)
    page.goto(f"{server.origin}/image?place=a.ome.tif")
    page.wait_for_selector(".verdict")
    for summary in page.query_selector_all("summary"):
        summary.click()
    checked(page)
    denoise(page)
    checked(page)
    page.wait_for_selector("text=Download", timeout=DONE)
    checked(page)
    page.click("text=Images and jobs")
    page.wait_for_selector("table")
    checked(page)


def test_the_way_in_is_for_everybody_too(serve: Callable, browser: Any, tmp_path: Path) -> None:
    server = serve("--password", "a long password")
    page = browser.new_page()
    page.goto(server.origin)
    checked(page)
    page.fill("#secret", "wrong password")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    checked(page)
    page.fill("#secret", "a long password")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Denoise images')")
    page.context.close()
