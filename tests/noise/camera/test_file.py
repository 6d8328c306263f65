"""Camera files on the disk."""

from __future__ import annotations

import json
from pathlib import Path

from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss


def test_names_whose_bytes_are_no_unicode_are_kept(tmp_path: Path) -> None:
    camera = Camera((PoissonGauss(2.0, 100.0, 9.0),), "z\udcff é.tif", ("k\udcff/b.tif: dark",))
    camera.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text("utf-8"))["source"] == camera.source
    assert Camera.load(tmp_path / "c.json") == camera
