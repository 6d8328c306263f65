"""A stopped training finds its images again as they were named."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from synthetic import photons
from tiny import tiny
from unnoise.app.events import Progress, Saved, Stopped, Trained
from unnoise.app.files import InputOptions, ReportOptions
from unnoise.app.train import resume, train_files

QUIET = ReportOptions(wanted=False)


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    """A file with two datasets of one kind."""
    h5py = pytest.importorskip("h5py")
    place = tmp_path / "im.h5"
    with h5py.File(place, "w") as file:
        for seed, name in enumerate(("raw/data", "other")):
            file[name] = photons((40, 44), seed=seed)
    return place


@pytest.mark.parametrize(
    ("inside", "reading", "count"),
    [
        (":/raw/data", InputOptions(), 1),
        ("", InputOptions(series="0"), 1),
        ("", InputOptions(series="all"), 2),
        ("", InputOptions(positions="1"), 1),
    ],
    ids=["named", "series", "all", "positions"],
)
def test_a_dataset_of_several_is_found_again(
    datasets: Path, inside: str, reading: InputOptions, count: int
) -> None:
    model = datasets.with_name("m")
    told = []
    how = {"reading": reading, "reporting": QUIET, "device": "cpu"}
    for event in train_files([f"{datasets}{inside}"], model, tiny(steps=3), **how):  # type: ignore[arg-type]
        told.append(event)
        if isinstance(event, Progress) and event.step == 1:
            signal.raise_signal(signal.SIGINT)
    assert isinstance(told[-1], Stopped)
    on = list(resume(model, device="cpu", reporting=QUIET))
    assert Saved(model, "model") in on
    (trained,) = (e for e in on if isinstance(e, Trained))
    assert len(trained.images) == count
