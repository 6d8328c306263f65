"""Predictions that are made in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.app.pieces import Work
from unnoise.models import stream

from .piecewise import prediction


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """The prediction of a small stack, 16 pieces of a TIFF."""
    monkeypatch.setattr(stream, "ROOM", {2: 0.4e6})
    return prediction(tmp_path)


@pytest.fixture
def zarr_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """The same of a Zarr folder, which several machines may write to."""
    monkeypatch.setattr(stream, "ROOM", {2: 0.4e6})
    return prediction(tmp_path, ".zarr")
