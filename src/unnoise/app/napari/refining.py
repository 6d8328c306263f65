"""Large planes are drawn again while more of them has been read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PAUSE = 700
"""Milliseconds between two looks at what has been read."""
PATIENCE = 20
"""Looks at which nothing of it is shown after which nobody waits for it any more."""


def refine(viewer: Any, levels: Sequence[Any]) -> None:
    """Draw layers anew until what they show is exact.

    Parameters
    ----------
    viewer : napari.Viewer
    levels : sequence of Level
        What a layer of it may show.
    """
    from qtpy.QtCore import QCoreApplication, QTimer  # readers work without a window too

    app = QCoreApplication.instance()
    if app is None:
        return
    timer = QTimer(app)
    layers, unseen = viewer.layers, 0

    def look() -> None:
        nonlocal unseen
        shown = [layer for layer in layers if getattr(layer, "multiscale", False)]
        shown = [one for one in shown if any(one.data[one.data_level] is at for at in levels)]
        unseen = 0 if shown else unseen + 1
        if unseen > PATIENCE:
            timer.stop()
            timer.deleteLater()
        for layer in shown:
            if layer.visible and getattr(layer.data[layer.data_level], "share", 1) < 1:
                layer.refresh()

    timer.timeout.connect(look)
    timer.start(PAUSE)
