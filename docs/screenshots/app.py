"""Make the screenshots of docs/app.md, in Chromium, of a server with a simulated image.

    python docs/screenshots/app.py

Needs what `make test-gui` installs. Writes app_*.png beside this file: the pages at 1280 pixels,
those of a phone (400 pixels) and dark ones into the folder named with --more.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE = 600_000
"""Milliseconds that a job may take."""


def take(page: Any, name: str, more: Path | None) -> None:
    """A picture of the page for the docs; narrow and dark ones to look at."""
    looks = [(1280, "light", HERE)]
    if more is not None:
        looks += [(w, scheme, more) for w in (1280, 400) for scheme in ("light", "dark")]
    for width, scheme, folder in looks:
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(1500)
        place = folder / (f"app_{name}.png" if folder == HERE else f"{name}_{width}_{scheme}.png")
        page.screenshot(path=place, full_page=True)
        if folder == HERE:  # a third of the bytes, and no difference to be seen
            Image.open(place).convert("RGB").quantize(256).save(place, optimize=True)
    page.set_viewport_size({"width": 1280, "height": 860})
    page.emulate_media(color_scheme="light")


def visit(page: Any, address: str, more: Path | None) -> None:
    """From the first page to a result."""
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.click("a[href*='cells']")
    page.wait_for_selector(".verdict")
    take(page, "image", more)
    page.click("text=More options")
    page.select_option("label:has-text('Method') select", "n2v")
    page.check("input[value=five]")
    page.wait_for_selector(".verdict:has-text('n2v')")
    page.click("button:has-text('Denoise')")
    page.wait_for_selector("figcaption:has-text('So far')")
    page.wait_for_selector("polyline")
    take(page, "running", more)
    page.click("button:has-text('Stop')")
    page.click("text=Denoise it differently")
    page.wait_for_selector(".verdict")
    page.check("input[value=instant]")
    page.click("button:has-text('Denoise')")
    page.wait_for_selector("text=Download")
    take(page, "result", more)
    page.click("text=Images and jobs")
    page.wait_for_selector("table")
    take(page, "home", more)


def main() -> None:
    """Start a server, and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--more", type=Path, help="folder for narrow and dark pictures too")
    more = parser.parse_args().more
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "images"
        unnoise = [sys.executable, "-m", "unnoise"]
        subprocess.run([*unnoise, "samples", "cells", "-o", str(work)], check=True)
        command = [*unnoise, "app", "--workspace", str(work), "--no-browser", "--port", "0"]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
            sync_playwright() as playwright,
        ):
            assert server.stdout is not None
            address = re.search(r"http\S+", server.stdout.readline())
            assert address is not None
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=FLAGS.split()
            )
            try:
                visit(browser.new_page(), address[0], more)
            finally:
                browser.close()
                server.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
