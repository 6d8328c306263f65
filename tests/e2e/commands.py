"""Words shared by the end-to-end tests: what a command gave, and the files around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

import unnoise


@dataclass(frozen=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]
Write = Callable[..., Path]

TINY = ("--set", "net.filters=4", "--set", "net.depth=1")
"""Options that make a net train in milliseconds."""

QUICK = ("--steps", "2", *TINY)
"""Options of a training that is over at once."""

PACKAGES = {"wavelet": "pywt", "bm3d": "bm3d"}
"""What some filters need."""


def save(path: Path, x: NDArray, axes: str = "YX", *, scaled: bool = False) -> Path:
    """Write an ImageJ TIFF, or RGB where the axes end in S; with a pixel size if asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = x.astype(np.float32) if x.dtype == np.float64 else x  # ImageJ has no doubles
    scale = {"resolution": (4.0, 4.0)} if scaled else {}
    if axes == "YXS":
        tifffile.imwrite(path, x, photometric="rgb", **scale)
        return path
    units = {"unit": "um", **({"spacing": 0.5} if "Z" in axes else {})} if scaled else {}
    tifffile.imwrite(path, x, imagej=True, metadata={"axes": axes, **units}, **scale)
    return path


def facts(path: str | Path) -> tuple[object, ...]:
    """What must survive denoising besides the pixels: kind, axes, shape, type and scale."""
    image = unnoise.open(path)
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        resolution = tif.pages[0].tags["XResolution"].value
        kind = (tif.is_imagej, series.axes, series.shape, str(series.dtype), resolution)
    return (kind, image.axes, dict(image.scale), dict(image.units), image.channel_names)


def files() -> dict[str, bytes]:
    """All that lies in the folder."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def nothing_new(folder: Path, *known: str) -> bool:
    """Whether the files of a folder are those."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) == sorted(known)


def assert_refused(result: Result, *words: str) -> None:
    """Exit code 2, one sentence, no traceback."""
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    sentence = result.err.strip().splitlines()[-1]
    assert sentence.startswith("unnoise: ")
    for word in words:
        assert word in sentence, sentence
