"""Large planes in levels: means of squares, whatever part is asked for; the file stays whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.app.napari import layers, levels, refining
from unnoise.app.pyramid import Pyramid

pytestmark = pytest.mark.gui
RNG = np.random.default_rng(0)


def means(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares along the last two axes."""
    *lead, y, x = pixels.shape
    small = pixels.reshape(*lead, y // factor, factor, x // factor, factor)
    return np.rint(small.mean(axis=(-3, -1))).astype(pixels.dtype)


@pytest.mark.parametrize("axes", ["TZYX", "TYXZ", "ZTYX"])
def test_a_level_has_the_means_at_every_place(axes: str) -> None:
    pixels = RNG.integers(0, 999, (3, 4, 64, 96)).astype(np.uint16)  # T, Z, Y, X
    order = ["TZYX".index(letter) for letter in axes]
    image = unnoise.Image.from_array(pixels.transpose(order), axes)
    expected = means(pixels, 2).transpose(order)
    level = levels.Level(Pyramid(image), 1, axes, None)
    assert level.shape == expected.shape
    for index in (1, (slice(None), 2), (0, 0), (slice(0, 2), slice(1, 3), slice(1, 3)), ()):
        assert np.abs(level[index].astype(int) - expected[index]).max() <= 1


def test_channels_and_colours_keep_their_place() -> None:
    pixels = RNG.integers(0, 255, (64, 96, 3)).astype(np.uint8)
    small = means(pixels.transpose(2, 0, 1), 2)
    photo = unnoise.Image.from_array(pixels, "YXC")
    colours = levels.Level(Pyramid(photo), 1, "YXC", None)
    assert np.abs(colours[...].astype(int) - small.transpose(1, 2, 0)).max() <= 1
    stack = unnoise.Image.from_array(pixels.transpose(2, 0, 1), "CYX")
    second = levels.Level(Pyramid(stack), 1, "YX", 1)
    assert np.abs(second[...].astype(int) - small[1]).max() <= 1


def test_a_large_plane_opens_in_levels_and_is_saved_whole(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "LARGE", 2**12)
    monkeypatch.setattr(levels, "SMALLEST", 64)
    pixels = RNG.integers(0, 999, (512, 512)).astype(np.uint16)
    unnoise.save(tmp_path / "a.tif", pixels, axes="YX")
    (layer,) = viewer.open(tmp_path / "a.tif", plugin="unnoise")
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(512, 512), (256, 256)]
    assert np.array_equal(np.asarray(layers.image_of(layer).data), pixels)
    layer.save(str(tmp_path / "b.tif"), plugin="unnoise")
    assert np.array_equal(unnoise.open(tmp_path / "b.tif").data[...], pixels)


def test_what_was_guessed_is_drawn_again_until_it_is_exact(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refining, "PAUSE", 10)
    shares = iter([0.2, 0.5, 0.7, 1.0])
    level = SimpleNamespace(share=0.1)
    drawn = []

    def refresh() -> None:
        level.share = next(shares)
        drawn.append(level.share)

    layer = SimpleNamespace(
        multiscale=True, data=[np.zeros((8, 8)), level], data_level=1, visible=True, refresh=refresh
    )
    refining.refine(SimpleNamespace(layers=[layer]), [level])
    qtbot.waitUntil(lambda: level.share == 1, timeout=120_000)
    qtbot.wait(200)
    assert drawn == [0.2, 0.5, 0.7, 1.0]
    layer.data_level = 0  # of what is in the file nothing is guessed
    qtbot.wait(500)
