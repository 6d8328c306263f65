"""Of a large image pieces are read, in all that comes before its prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unnoise
from tiny import CPU, two_steps
from unnoise.images import normalization
from unnoise.images.image import Image
from unnoise.noise import excluded_pixels, lazy_mask
from unnoise.noise.excluded_pixels import with_mask
from unnoise.report.middle_plane import show_training
from unnoise.training import levels, validation_patches
from unnoise.training.finish import finish
from unnoise.training.start import start


class Frames:
    """A movie that exists where it is read, and notes how many pixels that are."""

    def __init__(self, count: int, side: int) -> None:
        self.shape, self.dtype = (count, side, side), np.dtype(np.uint16)
        y, x = np.mgrid[:side, :side]
        self.scene = 200 + 100 * np.sin(y / 5) * np.cos(x / 7)
        self.asked = self.largest = 0

    def __getitem__(self, index: Any, /) -> np.ndarray:
        t, *where = index
        frames = range(self.shape[0])[t]
        made = [np.random.default_rng(i).normal(self.scene, 9)[tuple(where)] for i in frames]
        block = np.stack(made).astype(np.uint16)
        self.asked += block.size
        self.largest = max(self.largest, block.size)
        return block


@pytest.mark.slow
def test_nothing_reads_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excluded_pixels, "ALL", 2**16)
    monkeypatch.setattr(lazy_mask, "LOOK", 2**15)
    monkeypatch.setattr(normalization, "MAX_PIXELS", 2**17)
    monkeypatch.setattr(validation_patches, "N_HELD_OUT", 1000)
    frames = Frames(10_000, 48)
    size = frames.shape[0] * 48**2
    image = with_mask(Image(frames, "TYX"))
    asked = [frames.asked]
    unnoise.inspect(image)
    asked.append(frames.asked)
    choices, model = levels.planned([image], two_steps(), None)
    asked.append(frames.asked)
    run = start([image], model, CPU, None)
    assert list(run)
    final, _, _ = finish(run.model(), [image], choices[0].reports, run.device)
    asked.append(frames.asked)
    show_training(final, image, "cpu")
    asked.append(frames.asked)
    shares = np.diff(asked, prepend=0) / size
    assert shares.max() < 0.1, shares.round(3)
    assert frames.largest < 0.02 * size
