"""The pieces that NL-Ridge is judged on as a candidate."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.quality.risk import CELL, Piece
from unnoise.training.nl_ridge import SIDE, middles


@pytest.mark.parametrize(("height", "width"), [(512, 512), (301, 259), (256, 1000), (97, 130)])
def test_a_middle_is_a_part_on_the_grid_of_held_out_pixels(height: int, width: int) -> None:
    rows, columns = np.indices((height, width))
    noisy = np.stack([rows * 1000 + columns] * 2).astype(np.float32)
    held_out = np.stack([(rows % CELL == 1) & (columns % CELL == 2)] * 2)
    whole = Piece(noisy, held_out, noisy.astype(float), np.ones_like(noisy, float))
    (part,) = middles([whole])
    assert part.noisy.shape == (2, min(height, SIDE), min(width, SIDE))
    assert part.redrawn.shape == part.noise.shape == part.held_out.shape == part.noisy.shape
    top, left = divmod(int(part.noisy[0, 0, 0]), 1000)
    assert top % CELL == left % CELL == 0
    assert abs(2 * top + part.noisy.shape[1] - height) <= 2 * CELL
    assert np.array_equal(part.redrawn, part.noisy)
    assert np.array_equal(part.held_out, held_out[:, : part.noisy.shape[1], : part.noisy.shape[2]])
