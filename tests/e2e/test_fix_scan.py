"""Odd rows that a scan in both directions shifted: named, and moved back by every command."""

from __future__ import annotations

import re

import numpy as np
import pytest
import skimage.data
import tifffile

from synthetic import scanned, white

from .commands import Run


def error(name: str, truth: np.ndarray) -> float:
    result = tifffile.imread(name).astype(float)
    return float(np.sqrt(np.mean((result - truth) ** 2)))


@pytest.mark.parametrize("axes", ["YX", "TYX", "ZYX"])
def test_rows_are_moved_back_and_the_result_lies_on_the_corrected_grid(run: Run, axes: str) -> None:
    scene = skimage.data.coins()[60:188, 60:188].astype(float)
    truth = scene if axes == "YX" else np.stack([scene, 1.2 * scene, scene])
    noisy = (scanned(truth, 2.0) + 20 * white(truth.shape) + 100).round().astype(np.uint16)
    tifffile.imwrite("x.tif", noisy, imagej=True, metadata={"axes": axes})
    said = " ".join(run("inspect", "x.tif").out.split())
    assert re.search(r"Odd rows are shifted by \+(1\.9|2\.0)\d pixels", said)
    assert "--fix-scan" in said
    plain = ("--method", "gaussian", "--no-report", "--no-tta")
    done = run("denoise", "x.tif", "--fix-scan", "-o", "d.tif", *plain)
    assert done.code == 0, done.err
    assert "moved back" in done.err
    assert "Odd rows are shifted" not in done.err
    done = run("denoise", "x.tif", "-o", "as_it_is.tif", *plain, "--quiet")
    assert done.code == 0, done.err
    assert "Odd rows are shifted" in done.err
    fixed, left = error("d.tif", truth + 100), error("as_it_is.tif", truth + 100)
    assert fixed < 0.8 * left
    assert tifffile.imread("d.tif").dtype == np.uint16
    assert run("train", "x.tif", "--fix-scan", "-o", "m", *plain[:-1]).code == 0
    done = run("predict", "m", "x.tif", "--fix-scan", "-o", "p.tif", "--no-report")
    assert done.code == 0, done.err
    assert error("p.tif", truth + 100) == pytest.approx(fixed, rel=0.05)
    refused = run("train", "--resume", "m", "--fix-scan")
    assert refused.code == 2
