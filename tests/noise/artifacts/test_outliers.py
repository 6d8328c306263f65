from __future__ import annotations

import numpy as np
import pytest

from unnoise.noise.artifacts import outliers


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16"])
def test_a_plane_that_a_few_pixels_tell_to_be_near_holds_nothing_far(kind) -> None:
    rng = np.random.default_rng(0)
    answers = set()
    for light in (0.01, 0.3, 5, 60):
        for far in (0, 20, 100, 3000):
            plane = rng.poisson(light, (128, 160))
            plane[rng.integers(128), rng.integers(160)] += far
            plane = plane.clip(0, np.iinfo(kind).max).astype(kind)
            ends = float(plane.min()), float(plane.max())
            near = outliers._certainly_near(plane, plane.reshape(-1), ends)
            low, middle, high = np.quantile(plane, outliers.SHARES)
            beyond = max(middle - ends[0], ends[1] - middle) > outliers.FAR * (high - low)
            assert not (near and beyond and high > low)
            answers.add(near)
    assert answers == {True, False}
