"""Peers beside joined frames: their table, and the mean over orientations that they are given."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of benchmarks/, behind all others: one is called inspect."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS), str(BENCHMARKS / "peers")])


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def row(scene: str, seed: int, peer: str, psnr: float) -> dict[str, Any]:
    values = {"scene": scene, "seed": seed, "peer": peer, "times": 1.0}
    return {**values, "psnr": psnr, "psnr_line": psnr + 1, "date": "2026-11-29", "machine": "none"}


def test_peers_stand_beside_the_same_movies() -> None:
    tables = module("movie_tables")
    slow = module("movie_scenes").SLOW
    rows = [row(s, seed, "n2v", 20.0 + seed) for s in slow for seed in (0, 1)]
    rows.append(row("still", 0, "careamics", 19.0))
    beside = {"single": 25.0, "ndsafir": 27.0}
    own = [{"scene": s, "seed": i, "joined": 30.0 + i} | beside for s in slow for i in (0, 1, 9)]
    text = tables.peers({"rows": rows, "versions": {"unnoise": "0", "n2v": "0.3.3"}}, own)
    lines = [line for line in text.splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    table = {line[0]: dict(zip(cells[0], line, strict=True)) for line in cells[2:]}
    assert len(table) == len(slow) + 1
    n2v, careamics = "n2v 3D, same time", "CAREamics N2V 3D, same time"
    whole = table["**still and slow**"]
    assert whole[n2v] == "20.50 (21.50), 2 seeds"
    assert whole[careamics] == ""  # one movie of five is no mean
    assert table["still"][careamics] == "19.00 (20.00), 1 seed"
    assert (whole["**joined**"], whole["frame by frame"]) == ("30.50", "25.00")  # no seed 9
    assert "n2v 0.3.3" in text
    assert "python benchmarks/movie_peers.py" in tables.peers({}, own)


def test_the_mean_over_orientations_is_of_planes_and_turns_all_back() -> None:
    eightfold = module("symmetries").eightfold
    movie = np.random.default_rng(0).normal(size=(3, 6, 8))
    assert eightfold(lambda x: x, movie) == pytest.approx(movie)

    def along_x(x: np.ndarray) -> np.ndarray:
        return ndimage.convolve1d(x, [1, 0, 0], axis=-1, mode="wrap")

    near = [np.roll(movie, step, axis) for axis in (1, 2) for step in (-1, 1)]
    assert eightfold(along_x, movie) == pytest.approx(np.mean(near, 0))
