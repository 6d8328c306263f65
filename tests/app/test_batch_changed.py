"""Files that change while several are denoised cost their own results alone, and one line each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from synthetic import photons
from unnoise.app import batch, denoise, predict
from unnoise.app.denoise import denoise_files
from unnoise.app.events import Event, Failed, Judged
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.errors import InputError
from unnoise.training.auto import Auto


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images that share a model, and one that has its own."""
    place = tmp_path / "in"
    place.mkdir()
    for seed, name in enumerate("ab"):
        tifffile.imwrite(place / f"{name}.tif", photons((24, 28), seed=seed))
    colours = photons((2, 24, 28), seed=3)
    tifffile.imwrite(place / "c.tif", colours, imagej=True, metadata={"axes": "CYX"})
    return place


@pytest.fixture
def b_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result of b.tif is said to be worse than that image."""
    judged = predict.judged

    def spoiled(image: Any, *given: Any, **named: Any) -> Judged:
        found = judged(image, *given, **named)
        return replace(found, verdict="worse") if image.name == "b.tif" else found

    monkeypatch.setattr(predict, "judged", spoiled)


def denoised(folder: Path, *names: str) -> list[Event]:
    return list(
        denoise_files(
            [folder / name for name in names],
            Auto(minutes=0.01),
            reading=InputOptions(),
            writing=OutputOptions(str(folder.parent / "out")),
            reporting=ReportOptions(wanted=False),
            device="cpu",
        )
    )


def ledger(folder: Path) -> Counter[tuple[str, str]]:
    text = (folder.parent / "out" / batch.LEDGER).read_text()
    lines = map(json.loads, text.splitlines())
    return Counter((Path(line["input"]).name, line["status"]) for line in lines)


@pytest.mark.usefixtures("b_is_worse")
@pytest.mark.parametrize("names", [("a.tif", "b.tif", "c.tif"), ("a.tif", "b.tif")])
def test_a_second_method_that_fails_costs_no_result_of_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    begun: list[str] = []
    start = denoise.start

    def started(images: Any, model: Any, *given: Any) -> Any:
        begun.append(images[0].name)
        if images[0].name == "b.tif":
            tifffile.imwrite(folder / "b.tif", np.full((24, 28), 3, np.uint16))
        return start(images, model, *given)

    def following(self: Any, choice: Any, rest: Any) -> Any:
        return choice, denoise.planned_as(choice, [self.images[i] for i in rest], self.reading)

    monkeypatch.setattr(denoise, "start", started)
    monkeypatch.setattr(denoise._Batch, "_following", following)
    events = denoised(folder, *names)
    assert begun[:2] == ["a.tif", "b.tif"]
    (failed,) = (e for e in events if isinstance(e, Failed))
    assert "b.tif was changed" in failed.text
    expected = {(name, "failed" if name == "b.tif" else "done"): 1 for name in names}
    assert ledger(folder) == expected
    assert not (folder.parent / "out" / "b.tif").exists()


@pytest.mark.usefixtures("b_is_worse")
def test_an_image_that_cannot_be_copied_costs_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any) -> None:
        tifffile.imwrite(folder / "b.tif", np.full((24, 28), 3, np.uint16))

    monkeypatch.setattr(denoise._Batch, "_following", nothing)
    events = denoised(folder, "a.tif", "b.tif", "c.tif")
    (failed,) = (e for e in events if isinstance(e, Failed))
    assert failed.path.name == "b.tif"
    assert ledger(folder) == {("a.tif", "done"): 1, ("b.tif", "failed"): 1, ("c.tif", "done"): 1}


@pytest.mark.usefixtures("b_is_worse")
@pytest.mark.parametrize("cause", [OSError(28, "No space left on device"), None])
def test_a_full_disk_is_no_fault_of_one_image(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cause: OSError | None
) -> None:
    def refused(*_: Any) -> Any:
        raise InputError("cannot be written") from cause

    monkeypatch.setattr(denoise._Batch, "_following", lambda *_: None)
    monkeypatch.setattr(denoise, "copy_file", refused)
    if cause is None:
        assert sum(isinstance(e, Failed) for e in denoised(folder, "a.tif", "b.tif")) == 1
    else:
        with pytest.raises(InputError, match="cannot be written"):
            denoised(folder, "a.tif", "b.tif")
