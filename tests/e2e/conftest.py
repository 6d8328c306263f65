"""Running the command line inside the test process, as a shell would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

import unnoise
from unnoise.app import denoise as jobs
from unnoise.app import train as training_job
from unnoise.app.cli.main import main
from unnoise.app.events import Interrupt


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run ``unnoise ARGUMENTS`` in an empty folder; returns exit code and output."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["unnoise", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        text = capsys.readouterr()
        return Result(int(stop.value.code or 0), text.out, text.err)

    return call


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A small ImageJ image of Poisson noise with a pixel size."""
    path = tmp_path / "cells.tif"
    x = np.random.default_rng(0).poisson(20, (48, 56)).astype(np.uint16)
    tifffile.imwrite(
        path,
        x,
        imagej=True,
        resolution=(4.0, 4.0),
        metadata={"axes": "YX", "unit": "um"},
    )
    return path


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make the next jobs stop after so many events, as a button of a front end would."""

    def arrange(events: int) -> None:
        class Button(jobs.Interrupt):
            asked = 0

            @property
            def requested(self) -> bool:  # type: ignore[override]
                self.asked += 1
                return self.asked >= events

            @requested.setter
            def requested(self, value: bool) -> None: ...

        for module in (jobs, training_job):
            monkeypatch.setattr(module, "Interrupt", Button if events else Interrupt)

    return arrange


TINY = ("--set", "net.filters=4", "--set", "net.depth=1")
"""Options that make a net train in milliseconds."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write Poisson noise as TIFF: shape, axes (with RGB ending in S) and pixel size."""

    def make(
        name: str, shape: tuple[int, ...], axes: str, seed: int = 0, dtype: str = "uint16"
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        x = np.random.default_rng(seed).poisson(20, shape).astype(dtype)
        if axes == "YXS":
            tifffile.imwrite(path, x, photometric="rgb", resolution=(4.0, 4.0))
        else:
            facts = {"axes": axes, "unit": "um", **({"spacing": 0.5} if "Z" in axes else {})}
            tifffile.imwrite(path, x, imagej=True, resolution=(4.0, 4.0), metadata=facts)
        return path

    return make


def facts(path: str | Path) -> tuple[object, ...]:
    """What must survive denoising besides the pixels: kind, axes, shape, type and scale."""
    image = unnoise.open(path)
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        resolution = tif.pages[0].tags["XResolution"].value
        kind = (tif.is_imagej, series.axes, series.shape, str(series.dtype), resolution)
    return (kind, image.axes, dict(image.scale), dict(image.units), image.channel_names)
