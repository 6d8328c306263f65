"""The job correct: pixels of a camera are evened out, file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.app.correct import correct_files
from unnoise.app.events import Message
from unnoise.app.files import OutputOptions
from unnoise.errors import InputError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A movie of flat light and dark frames of a camera with a pattern."""
    rng = np.random.default_rng(0)
    pattern = rng.normal(100, 8, (40, 48))
    for name, level, frames in (("dark", 0, 40), ("movie", 50, 5)):
        y = pattern + level + rng.normal(0, 2, (frames, *pattern.shape))
        y = np.rint(y).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", y, imagej=True, metadata={"axes": "TYX"})
    return tmp_path


def test_a_movie_loses_its_pattern(files: Path) -> None:
    out, movie = files / "even.tif", files / "movie.tif"
    told = list(correct_files([movie], [files / "dark.tif"], writing=OutputOptions(str(out))))
    assert any(isinstance(e, Message) and "from pixel to pixel by" in e.text for e in told)
    even = tifffile.imread(out)
    assert even.dtype == np.uint16
    assert even.shape == (5, 40, 48)
    assert even.mean(0).std() < 1.5 < tifffile.imread(movie).mean(0).std()
    assert even.mean() == pytest.approx(150, abs=2)


def test_what_cannot_be_corrected_is_refused_before_anything_is_written(files: Path) -> None:
    crop = files / "crop.tif"
    tifffile.imwrite(crop, np.zeros((32, 32), np.uint16))
    place = OutputOptions(str(files / "out.tif"))
    with pytest.raises(InputError, match="record dark frames with the region of the image"):
        list(correct_files([crop], [files / "dark.tif"], writing=place))
    with pytest.raises(InputError, match="with -o"):
        list(correct_files([crop], [files / "dark.tif"], writing=OutputOptions()))
    assert not (files / "out.tif").exists()
