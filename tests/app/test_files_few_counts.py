"""Results of few photons get a type that has fractions, wherever the file can hold it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from unnoise.app.cli.main import main

GAUSSIAN = ("--method", "gaussian", "--no-report")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> np.ndarray:
    """Two photons in a pixel, in files of several formats."""
    monkeypatch.chdir(tmp_path)
    clean = 2 + np.sin(np.arange(64) / 6)
    noisy = np.random.default_rng(0).poisson(np.broadcast_to(clean, (64, 64)))
    for dtype in ("uint8", "uint16"):
        tifffile.imwrite(f"{dtype}.tif", noisy.astype(dtype))
    Picture.fromarray(noisy.astype(np.uint8)).save("few.png")
    return noisy


@pytest.fixture
def told(
    few: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a command says that ends well."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["unnoise", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        texts = capsys.readouterr()
        return texts.out + texts.err

    return call


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_result_is_float_and_a_line_says_so(dtype: str, told: Callable[..., str]) -> None:
    text = told("denoise", f"{dtype}.tif", "-o", "out.tif", *GAUSSIAN)
    found = tifffile.imread("out.tif")
    assert found.dtype == np.float32
    assert "out.tif gets float32" in text
    assert f"--dtype {dtype} keeps the type" in text
    assert "rounding loses" not in text
    clean = 2 + np.sin(np.arange(64) / 6)
    assert np.mean((found - clean) ** 2) < 0.6 * np.mean((np.rint(found) - clean) ** 2)


def test_who_asks_for_the_type_gets_it_with_a_warning(told: Callable[..., str]) -> None:
    asked = ("denoise", "uint16.tif", "-o", "out.tif", "--dtype", "uint16", *GAUSSIAN)
    text = told(*asked)
    assert tifffile.imread("out.tif").dtype == np.uint16
    assert "gets float32" not in text
    assert "rounding loses much" in text


def test_formats_of_whole_numbers_keep_theirs_with_a_warning(told: Callable[..., str]) -> None:
    text = told("denoise", "few.png", "-o", "out.png", *GAUSSIAN)
    assert np.asarray(Picture.open("out.png")).dtype == np.uint8
    assert "gets float32" not in text
    assert "rounding loses much" in text


def test_a_dry_run_tells_the_type_and_nothing_of_its_own_rounding(told: Callable[..., str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = ("denoise", "uint16.tif", "--dry-run", "--json", "--method", "n2v", "--steps", "2")
        text = told(*asked)
    assert '"output_dtype": "float32"' in text


def test_a_kept_model_gives_the_same_type_in_pieces_and_in_one(told: Callable[..., str]) -> None:
    model = ("uint16.tif", "-o", "m", "--method", "gaussian")
    told("train", *model)
    for out, more in (("one.tif", ()), ("pieces.tif", ("--resume",))):
        asked = ("predict", "m", "uint16.tif", "-o", out, "--no-report", *more)
        text = told(*asked)
        assert f"{out} gets float32" in text
    one, pieces = map(tifffile.imread, ("one.tif", "pieces.tif"))
    assert one.dtype == pieces.dtype == np.float32
    np.testing.assert_array_equal(one, pieces)
