"""Tiles of images with many channels take little memory, and show the mean of all."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from unnoise.app.web import rendering, tiles
from unnoise.app.web.tiles import Opened
from unnoise.images.image import Image

from .test_tiles import get, page, picture


def test_a_mean_of_many_channels_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TOGETHER", 3)
    rng = np.random.default_rng(0)
    noisy = rng.normal(100, 9, (11, 300, 280)).astype(np.float32)
    clean = np.full_like(noisy, 100)
    clean[4, 5], noisy[7, 6], clean[7, 6] = np.nan, np.inf, np.inf
    app = page({name: Image(p, "CYX") for name, p in (("noisy", noisy), ("clean", clean))})
    residual, spread = get(
        app,
        "/noisy/tile/0/0/0?mode=residual&other=clean&high=9",
        "/noisy/tile/0/1/1?mode=uncertainty&high=150",
    )
    expected = rendering.difference(noisy[:, :256, :256], clean[:, :256, :256], 9)
    assert (picture(residual) == expected).all()
    assert (picture(spread) == rendering.amount(noisy[:, 256:, 256:], 150)).all()


@pytest.mark.parametrize("level", [0, 2])
def test_many_channels_take_little_memory(level: int) -> None:
    """All 400 of a tile in 32 bits would be 105 MB, and were taken up to ten times."""
    pixels = np.broadcast_to(np.uint8(3), (400, 1024, 1024))
    opened = Opened(Image(pixels, "CYX"))
    opened.pyramid  # noqa: B018
    tracemalloc.start()
    try:
        assert len(opened.sample) == 400
        kept, _ = tracemalloc.get_traced_memory()
        tiles._tile(opened, None, (level, 0, 0), (0, 0, 0), (), "uncertainty", 9.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10e6
    assert peak < 150e6
