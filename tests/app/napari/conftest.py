"""A viewer whose settings are its own."""

from __future__ import annotations

import os
import tempfile

# Before napari is imported: it reads and writes the settings of the user otherwise.
SETTINGS = tempfile.TemporaryDirectory()
os.environ.setdefault("NAPARI_CONFIG", os.path.join(SETTINGS.name, "settings.yaml"))
