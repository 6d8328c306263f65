"""Arrays that are opened as if they were files."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats


def test_masks_are_refused_as_those_in_files_are() -> None:
    mask = np.eye(16) > 0
    with pytest.raises(InputError, match="holds booleans"):
        formats.open(mask)
    assert formats.open(mask, labels=True).dtype == bool


def test_an_array_has_no_second_series() -> None:
    array = np.ones((16, 16))
    assert formats.open(array, series=0).shape == (16, 16)
    with pytest.raises(InputError, match="an array is one image, so there is no series 5"):
        formats.open(array, series=5)
