"""Make the screenshots of docs/napari.md, in napari, of simulated cells; takes some minutes.

xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots/napari_widget.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtWidgets import QApplication

from unnoise.app import preview

# Previews are left out where they would take more than a small share of the time: of a picture of
# one that is not so.
preview.SHARE = 1.0
HERE = Path(__file__).parent
SIZE = 1280, 900


def wait(done: Callable[[], Any], seconds: float) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def shoot(viewer: Any, name: str) -> None:
    """A picture of the whole window."""
    wait(lambda: False, 1)
    viewer.window.screenshot(str(HERE / f"napari_{name}.png"), size=None, flash=False)


def main() -> None:
    """A running training; a result beside the noisy image and the residual."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*SIZE)
    viewer.open_sample("unnoise", "cells")
    _, widget = viewer.window.add_plugin_dock_widget("unnoise", "Denoise")
    widget.budget.setCurrentIndex(widget.budget.findData("five"))
    widget.uncertain.setChecked(True)  # a training that is not given up as needless
    wait(lambda: "noise:" in widget.verdict.text(), 120)
    viewer.reset_view()
    widget.denoise()
    wait(lambda: widget.job.preview is not None and len(widget.job.history) > 3, 600)
    shoot(viewer, "running")
    widget.stop()
    wait(lambda: widget.job.is_over and widget.start_button.isEnabled(), 60)
    for layer in viewer.layers[1:]:
        viewer.layers.remove(layer)
    widget.uncertain.setChecked(False)
    widget.budget.setCurrentIndex(widget.budget.findData("instant"))
    wait(lambda: "instant" in widget.verdict.text(), 60)
    widget.denoise()
    wait(lambda: widget.job.is_over, 600)
    wait(lambda: widget.residual_button.isEnabled(), 10)
    widget.residual_button.click()
    grid = getattr(viewer, "canvas", viewer).grid
    grid.enabled, grid.shape = True, (3, 1)
    viewer.reset_view()
    shoot(viewer, "result")
    viewer.close()


if __name__ == "__main__":
    main()
