"""The command that ``unnoise info`` tells goes on with a result that is begun, and ends it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from synthetic import photons
from unnoise.app import pieces
from unnoise.images import formats

from .commands import TINY, Run

TRAINED = ("--method", "n2v", "--steps", "2", *TINY, "--no-report", "-q")
OPTIONS = ("--axes", "TYX", "--dtype", "float32", "--time", "1:", "--no-tta", "--no-report")


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Predictions are stopped in their second piece, until it is undone."""
    predict, count = pieces.Pieces._predict, 0

    def interrupted(self: pieces.Pieces, number: int) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        predict(self, number)

    own = pytest.MonkeyPatch()
    own.setattr(pieces.Pieces, "_predict", interrupted)
    return own


@pytest.mark.parametrize(
    ("source", "out"),
    [("cells.npy", "out.tif"), ("cells.npy", None), ("cells.npy", "new/"), ("two.h5:/raw/b", "o/")],
)
def test_the_told_command_goes_on_from_any_folder(
    run: Run,
    stopped: pytest.MonkeyPatch,
    tmp_path: Path,
    source: str,
    out: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = photons((4, 24, 28))
    np.save("cells.npy", x)
    if ".h5" in source:
        with pytest.importorskip("h5py").File("two.h5", "w") as file:
            file["a"], file["raw/b"] = x[:2], x
    np.save("mask.npy", np.eye(24, 28, dtype=np.uint8))
    assert run("train", "cells.npy", "--axes", "TYX", "-o", "m", *TRAINED).code == 0
    more = () if out is None else ("-o", out)
    words = ("predict", "m", source, *more, *OPTIONS, "--mask", "mask.npy")
    assert run(*words, "--resume").code != 0
    stopped.undo()
    file = str(tmp_path / source)
    beside = tmp_path / (out if out and out.endswith("/") else "")
    monkeypatch.chdir(beside)  # where info looks for them
    (found,) = told(run, file)
    assert (found["pieces_done"], found["pieces"]) == (1, 3)
    unnoise, *command = shlex.split(found["resume"])
    assert unnoise == "unnoise"
    result = Path(found["result"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = run(*command, "--no-report")
    assert again.code == 0, again.err
    assert "going on after 1 of 3 pieces" in again.err
    monkeypatch.chdir(beside)
    assert told(run, file) == []
    monkeypatch.chdir(tmp_path)
    pixels = np.asarray(formats.open(result, axes="TYX").data[...])
    result.unlink()
    assert run(*words).code == 0
    assert np.array_equal(np.asarray(formats.open(result, axes="TYX").data[...]), pixels)


def test_a_run_that_makes_a_result_at_once_leaves_nothing_to_go_on_with(
    run: Run, stopped: pytest.MonkeyPatch
) -> None:
    np.save("cells.npy", photons((4, 24, 28)))
    assert run("train", "cells.npy", "--axes", "TYX", "-o", "m", *TRAINED).code == 0
    words = ("predict", "m", "cells.npy", "--axes", "TYX", "--no-report")
    assert run(*words, "--resume").code != 0
    stopped.undo()
    assert len(told(run, "cells.npy")) == 1
    assert run(*words).code == 0
    assert told(run, "cells.npy") == []
    assert not list(Path().glob(".*"))


def told(run: Run, file: str) -> list[dict[str, str]]:
    """The unfinished results of a file."""
    text = run("info", file, "--axes", "TYX", "--no-estimate", "--json").out
    return list(json.loads(text)["unfinished"])
