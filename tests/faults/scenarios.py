"""The jobs that faults are tried on: what is there before, the command, and what it makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

TINY = (
    *("--set", "net.filters=4", "--set", "net.depth=1", "--set", "training.patch=16"),
    *("--set", "training.batch_size=1", "--set", "training.validate_every=2"),
    *("--method", "n2v", "--2d"),
)
"""Options that make a net train in milliseconds."""
AT_ONCE = {"unnoise.app.train.SAVE_EVERY": 0.0, "unnoise.app.pieces.COMMIT_EVERY": 0.0}
"""So that a short run saves as often as a long one."""


@dataclass(frozen=True)
class Scenario:
    """A job.

    Attributes
    ----------
    name : str
    arguments : tuple of str
        Of the command line.
    prepare : callable
        Makes what is there before, with a function that runs commands; inputs are in ``in``.
    results : tuple of str
        Files and folders that it makes, each the old or the new one at any moment.
    again : tuple of str or None
        What brings it to its end after a kill; by default the same.
    values : dict
        Constants of modules that are other in a trial.
    loose : tuple of str
        Results that hold the time, so only their being whole is looked at.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path, Callable[..., Any]], object]
    results: tuple[str, ...]
    again: tuple[str, ...] | None = None
    values: dict[str, Any] = field(default_factory=lambda: dict(AT_ONCE))
    loose: tuple[str, ...] = ()


def noisy(shape: tuple[int, ...] = (24, 28), seed: int = 0) -> np.ndarray:
    """Photons of a ramp."""
    rng = np.random.default_rng(seed)
    ramp = 20 + 10 * np.sin(np.arange(shape[-1]) / 3)
    return rng.poisson(np.broadcast_to(ramp, shape)).astype(np.uint16)


def image(folder: Path, name: str = "a.tif", shape: tuple[int, ...] = (24, 28), seed: int = 0):
    """A noisy TIFF among the inputs."""
    place = folder / "in" / name
    place.parent.mkdir(exist_ok=True)
    tifffile.imwrite(place, noisy(shape, seed), imagej=True)
    return place


def model(folder: Path, run: Callable[..., Any]) -> None:
    """A trained model, and a stack to denoise with it."""
    image(folder)
    run(folder, "train", "in/a.tif", "-o", "in/m", "--steps", "2", *TINY, "--no-report")
    place = folder / "in" / "z.tif"
    tifffile.imwrite(place, noisy((4, 24, 28)), imagej=True, metadata={"axes": "ZYX"})
    zarr.create_array(
        folder / "in" / "z.zarr",
        data=noisy((4, 24, 28)),
        chunks=(1, 24, 28),
        dimension_names=["z", "y", "x"],
    )


def old(name: str) -> Callable[[Path, Callable[..., Any]], None]:
    """A result of other pixels that is there already."""

    def prepare(folder: Path, run: Callable[..., Any]) -> None:
        image(folder)
        shutil.copy(image(folder, "b.tif", seed=1), folder / name)

    return prepare


def _interrupted(folder: Path, run: Callable[..., Any]) -> None:
    """A training that was stopped after some steps."""
    image(folder)
    fault = {"kind": "KILL", "at": 30}
    run(folder, "train", "in/a.tif", "-o", "m", "--steps", "6", *TINY, "--no-report", fault=fault)


def _interrupted_adapted(folder: Path, run: Callable[..., Any]) -> None:
    """The same of a run whose end may have other weights than its middle."""
    image(folder, shape=(64, 64))
    run(folder, *ADAPTED, fault={"kind": "KILL", "at": 30})


def _probabilistic(folder: Path, run: Callable[..., Any]) -> None:
    """A model that predicts a spread, and a stack."""
    model(folder, run)
    gaussian = ("--set", "training.loss=gaussian")
    options = ("--steps", "2", *TINY, *gaussian, "--no-report", "--overwrite")
    run(folder, "train", "in/a.tif", "-o", "in/m", *options)


def _second_model(folder: Path, run: Callable[..., Any]) -> None:
    image(folder)
    run(folder, "train", "in/a.tif", "-o", "m", "--steps", "1", *TINY, "--no-report")


def _frames(folder: Path, run: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    (folder / "in").mkdir()
    level = np.linspace(10, 200, 32)[:, None] * np.ones(32)
    frames = (3 * rng.poisson(level, (8, 32, 32)) + 100).astype(np.uint16)
    tifffile.imwrite(folder / "in" / "f.tif", frames, imagej=True, metadata={"axes": "TYX"})
    dark = rng.normal(100, 2, (8, 32, 32)).astype(np.uint16)
    tifffile.imwrite(folder / "in" / "d.tif", dark, imagej=True, metadata={"axes": "TYX"})


def _three(folder: Path, run: Callable[..., Any]) -> None:
    for i, name in enumerate("abc"):
        image(folder, f"{name}.tif", seed=i)


def _piecewise(*more: str, of: str = "z.tif", out: str = "out.tif") -> tuple[str, ...]:
    return ("predict", "in/m", f"in/{of}", "-o", out, "--resume", "--no-report", *more)


TRAIN = ("train", "in/a.tif", "-o", "m", "--steps", "4", *TINY, "--no-report")
ADAPTED = (
    *("train", "in/a.tif", "-o", "m", "--steps", "4", "--method", "adapted", "--no-report"),
    *("--set", "training.patch=16", "--set", "training.batch_size=1"),
    *("--set", "training.validate_every=2", "--2d"),
)
GAUSSIAN = ("--method", "gaussian", "--no-report")
WITH_MODEL = ("denoise", "in/a.tif", "-o", "out.tif", "--save-model", "m", "--overwrite")
LARGE = {**AT_ONCE, "unnoise.models.stream.ROOM": {"2": 2e5}}
SCENARIOS = {
    s.name: s
    for s in (
        Scenario("train", TRAIN, lambda folder, run: image(folder), ("m",)),
        Scenario("train-overwrite", (*TRAIN, "--overwrite"), _second_model, ("m",)),
        Scenario("resume", ("train", "--resume", "m", "--no-report"), _interrupted, ("m",)),
        Scenario(
            "resume-adapted",
            ("train", "--resume", "m", "--no-report"),
            _interrupted_adapted,
            ("m",),
            values={**AT_ONCE, "unnoise.training.instant.PIECES": 4},
        ),
        Scenario(
            "denoise",
            ("denoise", "in/a.tif", "-o", "out.tif", *GAUSSIAN),
            lambda folder, run: image(folder),
            ("out.tif",),
        ),
        Scenario(
            "denoise-overwrite",
            ("denoise", "in/a.tif", "-o", "out.tif", "--overwrite", *GAUSSIAN),
            old("out.tif"),
            ("out.tif",),
        ),
        Scenario(
            "denoise-model-report",
            (*WITH_MODEL, "--steps", "2", *TINY),
            lambda folder, run: image(folder),
            ("out.tif", "m", "out.report.html"),
            loose=("out.report.html",),
        ),
        Scenario(
            "denoise-zarr",
            ("denoise", "in/a.tif", "-o", "out.zarr", *GAUSSIAN),
            lambda folder, run: image(folder),
            ("out.zarr",),
        ),
        Scenario(
            "predict",
            ("predict", "in/m", "in/z.tif", "-o", "out.tif", "--no-report"),
            model,
            ("out.tif",),
        ),
        Scenario("streamed", _piecewise(), model, ("out.tif",), values=LARGE),
        Scenario("streamed-npy", _piecewise(out="out.npy"), model, ("out.npy",), values=LARGE),
        Scenario(
            "streamed-encoded",
            _piecewise("--compress", "zlib"),
            model,
            ("out.tif",),
            values=LARGE,
        ),
        Scenario(
            "streamed-zarr",
            _piecewise(of="z.zarr", out="out.zarr"),
            model,
            ("out.zarr",),
            values=LARGE,
        ),
        Scenario(
            "streamed-spread",
            _piecewise("--uncertainty", "std.tif"),
            _probabilistic,
            ("out.tif", "std.tif"),
            values=LARGE,
        ),
        Scenario(
            "calibrate", ("calibrate", "in/f.tif", "-o", "camera.json"), _frames, ("camera.json",)
        ),
        Scenario(
            "correct",
            ("correct", "in/f.tif", "--dark", "in/d.tif", "-o", "out.tif"),
            _frames,
            ("out.tif",),
        ),
        Scenario(
            "batch",
            ("denoise", "in", "-o", "out", *GAUSSIAN, "--skip-existing"),
            _three,
            ("out/a.tif", "out/b.tif", "out/c.tif"),
            loose=("out/unnoise-run.jsonl",),
        ),
    )
}
QUEUE = Scenario(
    "queue",
    ("queue", "a.tif", "b.tif", "c.tif"),
    _three,
    ("out/a.tif", "out/b.tif", "out/c.tif"),
    loose=("queue",),
)
"""A program with a queue: `faults.queued`."""
