"""The picture of the demonstration, and the truth behind it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage import data

from unnoise.app.demo import FILES, noisy_and_truth, run
from unnoise.errors import InputError


def test_the_seed_decides_the_noise_and_nothing_else() -> None:
    (a, truth), (b, same), (c, other) = noisy_and_truth(0), noisy_and_truth(0), noisy_and_truth(1)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(truth, same)
    np.testing.assert_array_equal(truth, other)
    assert (a != c).mean() > 0.9


def test_the_truth_is_what_the_noisy_picture_scatters_around() -> None:
    noisy, truth = noisy_and_truth(0)
    assert noisy.shape == truth.shape == data.coins().shape
    assert (noisy.dtype, truth.dtype) == (np.uint16, np.float64)
    assert np.corrcoef(truth.ravel(), data.coins().ravel())[0, 1] == pytest.approx(1)
    z = (noisy - truth) / np.sqrt(4 * ((truth - 100) / 2 + 4) + 1 / 12)
    assert abs(z.mean()) < 5 / math.sqrt(z.size)
    assert z.var() == pytest.approx(1, abs=0.03)
    # The same in the dark and in the light.
    for part in (z[truth < np.median(truth)], z[truth >= np.median(truth)]):
        assert abs(part.mean()) < 5 / math.sqrt(part.size)
        assert part.var() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("name", FILES)
def test_files_of_others_are_kept_before_any_training(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / name, np.ones((303, 384), np.uint16))
    before = (tmp_path / name).read_bytes()
    with pytest.raises(InputError, match=f"{name} exists; add --overwrite"):
        next(run(tmp_path))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, before)]


def test_an_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    for name in FILES[1:]:
        (tmp_path / name).touch()
    next(run(tmp_path, overwrite=True))
    tifffile.imwrite(tmp_path / FILES[0], noisy_and_truth()[0])
    next(run(tmp_path))
