"""Running the command line inside the test process, as a shell would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synthetic import photons
from unnoise.app import denoise as jobs
from unnoise.app import train as training_job
from unnoise.app.cli.main import main
from unnoise.app.events import Interrupt
from unnoise.training import filter_search as calibration

from .commands import Result, Run, Write, save


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
def write(tmp_path: Path) -> Write:
    """Write Poisson noise as TIFF: shape, axes (with RGB ending in S) and pixel size."""

    def make(
        name: str, shape: tuple[int, ...], axes: str, seed: int = 0, dtype: str = "uint16"
    ) -> Path:
        return save(tmp_path / name, photons(shape, 20, seed, dtype), axes, scaled=True)

    return make


@pytest.fixture
def noisy(write: Write) -> Path:
    """A small ImageJ image of Poisson noise with a pixel size."""
    return write("cells.tif", (48, 56), "YX")


@pytest.fixture
def cells(write: Write) -> Path:
    """The same, smaller."""
    return write("cells.tif", (24, 28), "YX")


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


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let classic filters try four parameters instead of up to twelve."""
    every = calibration.candidates

    def some(*arguments: object) -> list[dict[str, float]]:
        return every(*arguments)[::3]  # type: ignore[arg-type]

    monkeypatch.setattr(calibration, "candidates", some)
