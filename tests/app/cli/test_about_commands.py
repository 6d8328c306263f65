"""What the commands print that tell about the program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from synthetic import photons
from unnoise.app.cli.main import main
from unnoise.app.document import SCHEMA
from unnoise.config.config import Config
from unnoise.config.methods import known


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)

    def output(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["unnoise", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        text = capsys.readouterr()
        assert not stop.value.code, text.err
        return text.out

    return output


def document(run: Any, *arguments: str) -> dict[str, Any]:
    found = json.loads(run(*arguments, "--json"))
    assert (found["schema"], found["command"]) == (SCHEMA, arguments[0])
    assert isinstance(found["unnoise"], str)
    return dict(found)


def test_samples_are_listed_and_written(run: Any) -> None:
    listed = document(run, "samples")["samples"]
    assert [entry["name"] for entry in listed][:2] == ["cells", "movie"]
    assert all(entry["name"] in run("samples") for entry in listed)
    found = document(run, "samples", "stack", "-o", "there", "-q")
    assert found["written"] == ["there/stack.tif", "there/stack_truth.tif"]
    assert found["samples"][0]["truth"] == "there/stack_truth.tif"
    assert all(Path(place).exists() for place in found["written"])


def test_methods_and_settings(run: Any) -> None:
    assert [entry["name"] for entry in document(run, "methods")["methods"]] == ["auto", *known()]
    assert document(run, "config", "n2v2")["settings"] == Config.preset("fast", "n2v2").values()
    assert "mask:" in run("config", "n2v2")


def test_cameras_and_corrected_images(run: Any) -> None:
    tifffile.imwrite("frames.tif", photons((8, 32, 32)), imagej=True, metadata={"axes": "TYX"})
    found = document(run, "calibrate", "frames.tif", "-o", "camera.json", "-q")
    assert found["written"] == ["camera.json"]
    assert any("noise model" in line for line in found["notes"])
    np.save("dark.npy", np.random.default_rng(0).normal(5, 2, (8, 32, 32)).astype(np.float32))
    np.save("cells.npy", photons((32, 32)))
    found = document(run, "correct", "cells.npy", "--dark", "dark.npy", "-o", "even.npy", "-q")
    assert found["written"] == ["even.npy"]


def test_a_demonstration_and_a_history(run: Any) -> None:
    found = document(run, "demo", "--steps", "2", "-q")
    assert set(found["psnr"]) == {"before", "after"}
    assert "demo/coins_denoised.tif" in found["written"]
    np.save("a.npy", photons((32, 32)))
    tiny = ("--method", "n2v", "--steps", "2", "--set", "net.filters=4", "--set", "net.depth=1")
    run("train", "a.npy", "-o", "m", *tiny, "--no-report", "-q")
    written = document(run, "plot-history", "m")["written"]
    assert written
    assert all(Path(place).exists() for place in written)
