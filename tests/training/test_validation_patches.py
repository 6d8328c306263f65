"""How many patches judge the weights, where few pixels are held out or are a measurement."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import white
from tiny import CPU, finish, tiny
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.excluded_pixels import with_mask
from unnoise.training import validation_patches
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan


def started(image: Image, **training: int) -> TrainingRun:
    config = tiny(steps=2, batch_size=16, **training)
    return TrainingRun([image], plan([image], config), CPU)


def pixels(run: TrainingRun) -> tuple[int, int]:
    """Pixels of the patches, and those that judge."""
    return (
        sum(noisy.numel() for noisy, _, _ in run._held_out),
        sum(int((weight > 0).sum()) for _, _, weight in run._held_out),
    )


def test_a_picture_of_which_little_is_measured_is_soon_begun() -> None:
    """Islands of 6 x 6 pixels: 144 of 16,384 are a measurement, and some two are held out."""
    measured = np.zeros((128, 128), bool)
    for i in range(8):
        for j in range(8):
            measured[i::64, j::64] = True
    run = started(with_mask(Image.from_array(white((128, 128))), measured))
    seen, count = pixels(run)
    assert seen <= 8 * 128**2 + 16 * 32**2
    assert count
    finish(run)
    assert run.best is not None


@pytest.mark.parametrize(("box", "expected"), [(64, 2048), (1024, 2048), (65_536, 40)])
def test_patches_are_no_more_than_fit(
    box: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 256 x 256 pixels 2048 are wanted, and one pixel in `box` is held out."""
    monkeypatch.setattr(validation_patches, "MOST_SEEN", 2**21 + 2**19)
    seen, count = pixels(started(Image.from_array(white((256, 256))), held_out=box))
    assert seen <= 2**21 + 2**19 + 16 * 32**2
    assert expected / 4 < count < 1.2 * expected


def test_where_no_pixel_is_held_out_it_says_so() -> None:
    """Not that hardly any pixel was a measurement."""
    image = Image.from_array(white((64, 64)))
    with pytest.raises(InputError, match=r"one pixel in 100,000,000 .*choose a smaller number"):
        started(image, held_out=10**8)
