"""Padding: constant regions that noise makes improbable, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.noise.artifacts.outliers import outliers
from unnoise.noise.artifacts.padding import padding


def found(plane: np.ndarray) -> np.ndarray:
    """All padding of a plane."""
    regions = [region for _, region in padding(plane, np.zeros(plane.shape, bool))]
    return np.any(regions, axis=0) if regions else np.zeros(plane.shape, bool)


@pytest.mark.parametrize("levels", [2, 3])
def test_constant_regions_alone_are_a_picture_without_noise(levels: int) -> None:
    plane = np.kron(np.arange(float(levels))[:, None], np.ones((32, 64)))
    assert not found(plane).any()
    plane[-1] += np.random.default_rng(0).normal(size=64)
    everything = np.ones(plane.shape, bool)
    assert not outliers(plane, everything).any()
