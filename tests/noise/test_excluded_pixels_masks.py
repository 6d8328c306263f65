"""Which axes a mask has, and what in it is no answer."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.excluded_pixels import with_mask

PIXELS = np.random.default_rng(0).normal(1000, 40, (4, 4, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(("told", "where"), [("TYX", (0,)), ("ZYX", (slice(None), 0))])
def test_a_mask_that_knows_its_axes_counts_along_those(told: str, where: tuple) -> None:
    mask = np.ones((4, 32, 32), np.uint8)
    mask[0] = 0
    found = with_mask(Image.from_array(PIXELS, "TZYX"), Image.from_array(mask, told)).excluded()
    wanted = np.zeros(PIXELS.shape, bool)
    wanted[where] = True
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_a_mask_of_other_axes_is_one_of_the_planes_of_its_shape() -> None:
    mask = np.ones((4, 32, 32), np.uint8)
    mask[0] = 0
    image = Image.from_array(PIXELS[0], "TYX")
    found = with_mask(image, Image.from_array(mask, "ZYX")).excluded()  # as a file without axes
    assert found.reshape(PIXELS[0].shape)[0].all()
    assert found.sum() == mask[0].size


def test_a_mask_with_nan_is_refused() -> None:
    mask = np.ones((32, 32))
    mask[3, 4] = np.nan
    with pytest.raises(InputError, match="pixels that are NaN; give 0 where"):
        with_mask(Image.from_array(PIXELS[0, 0], "YX"), mask)
