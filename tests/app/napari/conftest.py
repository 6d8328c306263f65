"""A viewer whose settings are its own, with the plugin of this checkout."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before napari is imported: it reads and writes the settings of the user otherwise.
SETTINGS = tempfile.TemporaryDirectory()
os.environ.setdefault("NAPARI_CONFIG", os.path.join(SETTINGS.name, "settings.yaml"))
MANIFEST = Path(__file__).parents[3] / "src" / "unnoise" / "app" / "napari" / "napari.yaml"


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer that knows the plugin."""
    import npe2

    manager = npe2.PluginManager.instance()
    if "unnoise" not in manager:  # not installed, or without its entry point
        manager.register(npe2.PluginManifest.from_file(MANIFEST))
    return make_napari_viewer()


@pytest.fixture
def denoise(viewer: Any, qtbot: Any, few_steps: None) -> Any:
    """The dock widget; calibrations are over at once."""
    _, widget = viewer.window.add_plugin_dock_widget("unnoise", "Denoise")
    qtbot.waitUntil(widget.isVisible if viewer.window._qt_window.isVisible() else lambda: True)
    return widget
