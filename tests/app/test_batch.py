"""Several images at once: what fails is left behind, and a ledger tells what became of each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.app import batch, denoise
from unnoise.app.denoise import denoise_files
from unnoise.app.events import Batch, Failed, Judged, Skipped, Warned
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.app.predict import predict_files
from unnoise.config.config import Config
from unnoise.errors import InputError, UnnoiseError
from unnoise.images.formats.urls import Url

FILTER = Config(method="gaussian")
QUIET = ReportOptions(wanted=False)


def noisy(place: Path, seed: int = 0, **own) -> Path:
    rng = np.random.default_rng(seed)
    scene = 20 + 10 * np.sin(np.arange(64) / 9) + np.zeros((64, 64))
    tifffile.imwrite(place, rng.poisson(scene).astype(np.uint16), **own)
    return place


@pytest.fixture
def folder(tmp_path):
    """Three good images, and three that are empty, cut short, and damaged inside."""
    place = tmp_path / "in"
    place.mkdir()
    for i in range(3):
        noisy(place / f"a{i}.tif", i)
    data = noisy(tmp_path / "x.tif", compression="zlib").read_bytes()
    (place / "b_cut.tif").write_bytes(data[: len(data) // 2])
    (place / "c_damaged.tif").write_bytes(data[:1500] + b"\x55" * 1000 + data[2500:])
    (place / "d_empty.tif").write_bytes(b"")
    return place


def denoised(folder, out, *, skip_existing=False, config=FILTER, **own):
    writing = OutputOptions(str(out), skip_existing=skip_existing)
    job = denoise_files(
        [folder], config, reading=InputOptions(), writing=writing, reporting=QUIET, **own
    )
    return list(job)


def ledger(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / batch.LEDGER).read_text().splitlines()]


def test_what_fails_is_left_behind_and_named(folder, tmp_path):
    out = tmp_path / "out"
    events = denoised(folder, out)
    assert [event.total for event in events if isinstance(event, Batch)] == [6]
    failed = {event.path.name for event in events if isinstance(event, Failed)}
    assert failed == {"b_cut.tif", "c_damaged.tif", "d_empty.tif"}
    assert sorted(p.name for p in out.glob("*.tif")) == ["a0.tif", "a1.tif", "a2.tif"]
    lines = ledger(out)
    assert {Path(line["input"]).name: line["status"] for line in lines} == {
        **dict.fromkeys(failed, "failed"),
        **dict.fromkeys(("a0.tif", "a1.tif", "a2.tif"), "done"),
    }
    assert all(line["why"] for line in lines if line["status"] == "failed")


def test_a_batch_goes_on_where_it_was(folder, tmp_path):
    out = tmp_path / "out"
    denoised(folder, out)
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    (out / "a1.tif").unlink()
    events = denoised(folder, out, skip_existing=True)
    assert [e.path.name for e in events if isinstance(e, Skipped)] == ["a0.tif", "a2.tif"]
    assert [Path(e.image).name for e in events if isinstance(e, Judged)] == ["a1.tif"]
    after = {p.name: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    assert {n for n in after if after[n] == before[n]} == {"a0.tif", "a2.tif"}
    assert [line["status"] for line in ledger(out)].count("skipped") == 2
    # Nothing is left but what fails, which is no reason to stop.
    assert sum(isinstance(e, Failed) for e in denoised(folder, out, skip_existing=True)) == 3


def test_one_image_has_no_ledger_and_its_fault_is_an_error(folder, tmp_path):
    denoised(folder / "a0.tif", tmp_path / "out" / "a.tif")
    assert not (tmp_path / "out" / batch.LEDGER).exists()
    with pytest.raises(InputError, match="truncated or damaged"):
        denoised(folder / "c_damaged.tif", tmp_path / "out" / "c.tif")


def test_nothing_to_open_is_an_error(folder, tmp_path):
    for place in folder.glob("a*.tif"):
        place.unlink()
    (folder / "c_damaged.tif").unlink()
    with pytest.raises(InputError, match="none of 2 files can be opened"):
        denoised(folder, tmp_path / "out")


def test_a_model_goes_on_past_what_it_does_not_fit(folder, tmp_path):
    denoised(folder / "a0.tif", tmp_path / "a.tif", save_model=str(tmp_path / "model"))
    tifffile.imwrite(
        folder / "e_two.tif", np.ones((2, 64, 64), np.uint16), imagej=True, metadata={"axes": "CYX"}
    )
    writing = OutputOptions(str(tmp_path / "out"))
    events = list(
        predict_files(
            tmp_path / "model", [folder], reading=InputOptions(), writing=writing, reporting=QUIET
        )
    )
    failed = {e.path.name for e in events if isinstance(e, Failed)}
    assert failed == {"b_cut.tif", "c_damaged.tif", "d_empty.tif", "e_two.tif"}
    assert len(list((tmp_path / "out").glob("a*.tif"))) == 3


def test_what_cannot_be_denoised_is_left_behind_too(tmp_path):
    """Files that open, but are too small, or hold nothing to denoise."""
    place = tmp_path / "in"
    place.mkdir()
    noisy(place / "a.tif")
    tifffile.imwrite(place / "flat.tif", np.full((64, 64), 7, np.uint16))
    tifffile.imwrite(place / "small.tif", np.arange(100, dtype=np.uint16).reshape(10, 10))
    events = denoised(place, tmp_path / "out")
    assert {e.path.name for e in events if isinstance(e, Failed)} == {"flat.tif", "small.tif"}
    assert [p.name for p in (tmp_path / "out").glob("*.tif")] == ["a.tif"]
    assert [line["status"] for line in ledger(tmp_path / "out")] == ["failed", "failed", "done"]


@pytest.mark.parametrize("fault", ["changed", "diverged"])
def test_a_training_that_fails_costs_its_own_image_alone(tmp_path, monkeypatch, fault):
    place = tmp_path / "in"
    place.mkdir()
    for i in range(3):
        noisy(place / f"a{i}.tif", i)

    def started(images, *more, **own):
        if images[0].name == "a1.tif" and fault == "diverged":
            raise UnnoiseError("the training diverged")
        if images[0].name == "a0.tif" and fault == "changed":
            noisy(place / "a1.tif", 9)
        return start(images, *more, **own)

    start = denoise.start
    monkeypatch.setattr(denoise, "start", started)
    events = denoised(place, tmp_path / "out", each=True)
    (failed,) = (e for e in events if isinstance(e, Failed))
    assert failed.path.name == "a1.tif"
    assert fault in failed.text
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tif")) == ["a0.tif", "a2.tif"]
    assert [line["status"] for line in ledger(tmp_path / "out")] == ["done", "failed", "done"]


def test_what_is_wrong_with_all_images_is_an_error(tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.tif", "b.tif"):
        noisy(place / name)
    with pytest.raises(InputError, match="single position along T"):
        denoised(
            place, tmp_path / "out", config=Config.parse({"method": "n2n", "pairs": {"axis": "T"}})
        )


def test_pairs_are_refused_where_one_is_broken(folder, tmp_path):
    with pytest.raises(InputError):
        denoised(folder, tmp_path / "out", config=Config(method="n2n"), targets=[folder])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs a file system with permissions")
def test_a_ledger_that_cannot_be_written_costs_no_result(folder, tmp_path):
    out = tmp_path / "out"
    (out / batch.LEDGER).mkdir(parents=True)  # also for the administrator
    events = denoised(folder, out)
    assert sum(isinstance(e, Warned) and batch.LEDGER in e.text for e in events) == 1
    assert len(list(out.glob("*.tif"))) == 3


def test_a_line_that_was_cut_does_not_spoil_the_next_one(tmp_path):
    place = tmp_path / "new" / batch.LEDGER
    batch._append(place, {"input": "a"})
    with place.open("ab") as file:
        file.write(b'{"input": "b", "st')  # as a full disk leaves it
    batch._append(place, {"input": "c"})
    batch._append(place, {"input": "d"})
    lines = place.read_text().splitlines()
    assert [json.loads(lines[i])["input"] for i in (0, 2, 3)] == ["a", "c", "d"]
    assert len(lines) == 4


def test_the_job_of_a_batch_is_closed_with_it():
    closed = []

    @batch.recorded
    def job():
        try:
            yield Batch(Path("out"), 2)
            yield Batch(Path("out"), 2)
        finally:
            closed.append(True)

    events = job()
    next(events)
    events.close()
    assert closed == [True]


def test_a_batch_to_an_address_makes_no_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @batch.recorded
    def job():
        yield Batch(Url("memory://ann:secret@host/out"), 2)
        yield Failed(Path("a.tif"), "no")

    assert [type(event) for event in job()] == [Batch, Failed]
    assert not list(tmp_path.iterdir())


def test_what_is_left_of_several_goes_to_a_folder_though_it_is_one(folder, tmp_path):
    for name in ("a1.tif", "a2.tif"):
        (folder / name).unlink()
    denoised(folder, tmp_path / "out")
    assert (tmp_path / "out" / "a0.tif").exists()
