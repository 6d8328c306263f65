"""The law of frames that lack pixels: beside a frame that is hidden nothing of it stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import white
from tiny import tiny
from unnoise.images.image import Image
from unnoise.images.neighbours import Neighbours, surrounded
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.tiles import read_beside, tiles
from unnoise.noise.excluded_pixels import with_mask
from unnoise.quality import region
from unnoise.training.crops import Crops
from unnoise.training.plan import plan

SIDE = 64
AT = {"S": 0, "T": 2, "Z": 0}


def movie(noise_of_the_frame: int, lost: NDArray | None = None) -> Image:
    """Frame 2 is measured where those beside it are not; `lost` as they are instead."""
    pixels = 100 + white((5, SIDE, SIDE))
    pixels[2] = 100 + white((SIDE, SIDE), noise_of_the_frame)
    mask = np.ones(pixels.shape, bool)
    if lost is None:
        mask[1::2, :, SIDE // 2 :] = False
    else:
        mask[lost] = False
    return with_mask(Image.from_array(pixels, "TYX"), mask)


def by_crops(image: Image) -> NDArray:
    affine = ChannelStatistics(np.array([100.0]), np.ones(1))
    context = ("T", 1)
    crops = Crops([image], affine, patch=(SIDE, SIDE), channels=[0], seed=0, context=context)
    rng, own = np.random.default_rng(0), affine.apply(image.read({"T": 2})[0, 0, :, 0])
    drawn = (crops._crop(rng) for _ in range(100))
    crop = next(crop for crop in drawn if np.array_equal(crop.parts[0], own))
    assert crop.beside is not None
    return crop.beside


def by_tiles(image: Image) -> NDArray:
    (tile,) = tiles((SIDE, SIDE), (SIDE, SIDE), (0, 0), (1, 1))
    return np.concatenate(read_beside(image, Neighbours(image, "T", 1).frames(AT), tile, 2))


def by_pieces(image: Image) -> NDArray:
    model = plan([image], tiny("n2v", "context={T: 1}"))
    part = {"Y": slice(0, SIDE), "X": slice(0, SIDE)}
    return np.concatenate(region.read_beside(image, AT, part, model))


def by_parts(image: Image) -> NDArray:
    where: dict[str, int | slice] = {**AT, "Y": slice(0, SIDE), "X": slice(0, SIDE)}
    return surrounded(image, where, "T", 1).read()[0, [0, 2], 0, 0]


READERS = (by_crops, by_tiles, by_pieces, by_parts)


@pytest.mark.parametrize("read", READERS)
def test_what_frames_beside_lack_is_not_filled_from_the_frame(
    read: Callable[[Image], NDArray],
) -> None:
    one, other = (read(movie(seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (2, SIDE, SIDE)
    assert one[:, :, SIDE // 2 :].std() > 0


@pytest.mark.parametrize(("frame", "beside"), [(1, [0, 3]), (3, [1, 4])])
def test_a_frame_without_a_measurement_is_a_level_and_does_not_stand_beside(
    frame: int, beside: list[int]
) -> None:
    lost = np.zeros((5, SIDE, SIDE), bool)
    lost[frame] = True
    image = movie(1, lost)
    assert Neighbours(image, "T", 1)({"T": 2}) == beside
    level = image.read({"T": frame}, alone=True)
    assert np.ptp(level) == 0
    assert level.mean() == pytest.approx(100, abs=0.2)
