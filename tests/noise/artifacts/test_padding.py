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


SHAPE = (96, 128)
BORDERS = {
    "row": np.s_[:2],
    "rows": np.s_[-12:],
    "columns": np.s_[:, :5],
    "column": np.s_[:, -1:],
}


def border(*names: str) -> np.ndarray:
    """Strips along edges, as the correction of motion leaves them."""
    gone = np.zeros(SHAPE, bool)
    for name in names:
        gone[BORDERS[name]] = True
    return gone


@pytest.mark.parametrize("names", [*((name,) for name in BORDERS), ("rows", "columns"), BORDERS])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
@pytest.mark.parametrize("value", [0, 250])
def test_thin_borders_are_found_to_the_last_pixel(names, dtype: str, value: int) -> None:
    plane = np.random.default_rng(0).poisson(60, SHAPE).astype(dtype)
    gone = border(*names)
    plane[gone] = value
    np.testing.assert_array_equal(found(plane), gone)


def test_a_thin_border_beside_pixels_that_are_excluded_is_found() -> None:
    plane = np.random.default_rng(0).normal(60, 5, SHAPE)
    gone, mask = border("rows", "columns"), np.zeros(SHAPE, bool)
    plane[gone] = 0
    mask[:, 40:60] = mask[-1] = True
    plane[mask] = np.nan
    regions = [region for _, region in padding(plane, mask)]
    np.testing.assert_array_equal(np.any(regions, axis=0), gone & ~mask)


def scenes() -> dict[str, np.ndarray]:
    """Pictures without padding whose edges hold lines of one value."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    spots = 300 * np.exp(-((y - 60) ** 2 + (x - 70) ** 2) / 500)
    sky = np.where(y < 20 + 10 * np.sin(x / 9), 400.0, 90 + y)  # over a ridge
    return {
        "dark, cut at black": (rng.normal(spots - 15, 5)).clip(0),
        "few photons": rng.poisson(spots / 100 + 0.001).astype(float),
        "photons that fade to an edge": rng.poisson(0.03 * np.clip(y - 4, 0, None)).astype(float),
        "saturated sky": rng.normal(sky, 4).clip(0, 255),
        "a bright side that saturates slowly": rng.normal(400 - 6 * x, 4).clip(0, 255),
        "black that rises slowly": rng.normal(6 * x - 60, 4).clip(0, 255),
        "flat": rng.normal(7, 0.1, SHAPE),
        "flat with a step": rng.normal(np.where(y < 4, 7, 8), 0.17),
        "a drawing": np.where(x < 6, 97.0, 100 + 20 * (y > 50)),
    }


@pytest.mark.parametrize("name", scenes())
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_dark_saturated_and_flat_edges_are_no_padding(name: str, dtype: str, turn: int) -> None:
    if (name, dtype) == ("a drawing", "f4"):
        pytest.skip("of floats without any noise large regions of one value are padding")
    plane = np.rot90(scenes()[name].round(), turn).astype(dtype)
    lines = [plane[0], plane[-1], plane[:, 0], plane[:, -1]]
    assert any((line == line[0]).all() for line in lines) or name == "few photons"
    assert not found(plane).any()


@pytest.mark.parametrize("dtype", ["i4", "f4"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_an_even_line_at_the_edge_of_a_smooth_picture_is_no_padding(dtype: str, turn: int) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = np.rot90(120 + 3000 * np.sin(y / 40) * np.cos(x / 30), turn).astype(dtype)
    assert not found(plane).any()
    plane[-5:] = 0
    assert found(plane)[-5:].all()
