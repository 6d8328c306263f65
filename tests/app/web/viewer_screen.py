"""A viewer as somebody sees it, for the tests of the viewer in a browser."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow


class Seen:
    """A viewer of a page, as somebody sees it."""

    def __init__(self, page: Any, address: str, query: str = "") -> None:
        self.page = page
        page.goto(address + query)
        self.stage = page.locator(".viewer .stage")
        page.wait_for_selector(".viewer .zooms output:not(:empty)")
        self.settle()

    def settle(self) -> None:
        """Until every tile that was asked for is there and drawn."""
        self.page.wait_for_timeout(60)
        self.page.wait_for_selector('.viewer .stage[aria-busy="false"]')
        self.page.evaluate(
            "() => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 30)))"
        )

    def pixels(self) -> NDArray:
        """What the canvas shows, without what lies over it."""
        data = self.page.evaluate(
            "() => document.querySelector('.viewer canvas').toDataURL().split(',')[1]"
        )
        return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def readout(self) -> str:
        return str(self.page.locator(".viewer .readout").text_content())

    def place(self, dx: float = 0.0, dy: float = 0.0) -> tuple[int, int]:
        """The image pixel (y, x) under a place beside the middle of the canvas."""
        box = self.stage.bounding_box()
        x, y = box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy
        self.page.mouse.move(x - 3, y)
        self.page.mouse.move(x, y)
        self.page.wait_for_selector('.viewer .readout[aria-busy="false"]')
        words = self.readout().replace(",", "").replace(":", "").split()
        return int(words[3]), int(words[1])

    def percent(self) -> float:
        return float(self.page.locator(".viewer .percent").text_content().split()[0])

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def mode(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settle()


def middle(seen: Seen) -> tuple[float, float]:
    box = seen.stage.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
