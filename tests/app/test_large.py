"""Laws of large predictions: a run that goes on gives the bytes of one that was never stopped."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from synthetic import photons
from unnoise.app import large, pieces
from unnoise.app.events import Judged, Message
from unnoise.app.large import Sharing, predict_large
from unnoise.app.pieces import Work
from unnoise.errors import InputError, Interrupted, NotFiniteError
from unnoise.images import formats
from unnoise.models import folder as model_folder

from .piecewise import content, run

KILL = Path(__file__).resolve().parents[2] / "benchmarks" / "kill.py"


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(work: Work, tmp_path: Path) -> None:
    whole = run(replace(work, result=tmp_path / "whole.tif"))
    for stop in (1, 3):
        run(work, stop=stop)
        assert not work.result.exists()
    told = run(work)
    assert isinstance(told[0], Message)
    assert "going on after 4 of" in told[0].text
    assert work.result.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    verdicts = [next(e for e in events if isinstance(e, Judged)) for events in (whole, told)]
    assert verdicts[0].gains == verdicts[1].gains
    assert verdicts[1].output == work.result
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "noisy.tif", "out.tif", "whole.tif"]


def test_pieces_give_the_bytes_of_the_ordinary_way(work: Work, tmp_path: Path) -> None:
    from unnoise.app.predict import predict_files

    run(work)
    ordinary = replace(work.writing, out=str(tmp_path / "other.tif"))
    files = {"reading": work.reading, "writing": ordinary, "device": "cpu"}
    for _ in predict_files(work.model, [work.source], **files):  # type: ignore[arg-type]
        pass
    a, b = formats.open(work.result), formats.open(tmp_path / "other.tif")
    np.testing.assert_allclose(np.asarray(a.data[...]), np.asarray(b.data[...]), atol=1e-4)


def other_model(work: Work, folder: Path) -> Work:
    config = Path(work.model, "config.yaml")
    config.write_text(config.read_text() + "\n")
    return work


def other_image(work: Work, folder: Path) -> Work:
    formats.save(work.source, photons((4, 96, 80), seed=5), axes="ZYX", overwrite=True)
    return work


def other_nodata(work: Work, folder: Path) -> Work:
    return replace(work, reading=replace(work.reading, nodata=0.0))


def other_settings(work: Work, folder: Path) -> Work:
    return replace(work, writing=replace(work.writing, tta=True))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (other_model, "model"),
        (other_image, "image"),
        (other_settings, "settings"),
        (other_nodata, "settings"),
    ],
)
def test_pieces_of_something_else_are_refused_with_the_remedy(
    change: Callable[[Work, Path], Work], word: str, work: Work, tmp_path: Path
) -> None:
    run(work, stop=2)
    changed = change(work, tmp_path)
    with pytest.raises(InputError, match=f"of another {word}.*begin anew with --overwrite"):
        run(changed)
    anew = replace(changed, writing=replace(changed.writing, overwrite=True))
    told = run(anew)
    assert not isinstance(told[0], Message)
    assert work.result.exists()


@pytest.mark.parametrize("kind", ["folder", "sequence"])
def test_another_file_of_the_image_is_another_image_wherever_it_lies(
    work: Work, zarr_work: Work, kind: str, tmp_path: Path
) -> None:
    planes = photons((4, 96, 80))
    if kind == "folder":
        work = zarr_work
    else:
        work = replace(work, source=tmp_path / "plane_{z}.npy")
        for z, plane in enumerate(planes):
            np.save(tmp_path / f"plane_{z}.npy", plane)
    run(work, stop=2)
    assert isinstance(run(work, stop=1)[0], Message)  # goes on
    if kind == "folder":  # each is far from the middle
        zarr.open_array(work.source, mode="r+")[3, 64:, 40:] = 7
    else:
        np.save(tmp_path / "plane_0.npy", planes[1])
    with pytest.raises(InputError, match="of another image"):
        run(work)


def save_mask(name: str, mask: NDArray) -> None:
    """A mask under a name; of a pattern the second plane only, of a header its pixels only."""
    if ".h5" in name:
        with pytest.importorskip("h5py").File(name.partition(":")[0], "w") as file:
            file["mask"], file["other"] = mask, mask
    elif name.endswith(".nhdr"):
        rows, columns = mask.shape
        text = f"type: uint8\ndimension: 2\nsizes: {columns} {rows}\nencoding: raw"
        if not Path(name).exists():
            Path(name).write_text(f"NRRD0004\n{text}\ndata file: mask.raw\n")
        Path(name).with_suffix(".raw").write_bytes(mask.tobytes())
    else:
        np.save(name.replace("{z}", "1"), mask)
        for i in (0, 2, 3) if "{z}" in name else ():
            np.save(name.replace("{z}", str(i)), np.ones_like(mask))


@pytest.mark.parametrize("name", ["mask.npy", "mask.h5:/mask", "mask_{z}.npy", "mask.nhdr"])
def test_another_mask_under_the_same_name_is_another_one(
    work: Work, name: str, tmp_path: Path
) -> None:
    place = str(tmp_path / name)
    save_mask(place, np.ones((96, 80), np.uint8))
    work = replace(work, reading=replace(work.reading, mask=place))
    run(work, stop=2)
    assert isinstance(run(work, stop=1)[0], Message)  # goes on
    save_mask(place, np.eye(96, 80, dtype=np.uint8))
    with pytest.raises(InputError, match="of another mask"):
        run(work)


def test_overwriting_goes_on_where_everything_is_the_same(work: Work) -> None:
    work = replace(work, writing=replace(work.writing, overwrite=True))
    run(work, stop=2)
    told = run(work)
    assert isinstance(told[0], Message)


def test_of_a_model_that_makes_no_numbers_nothing_is_left(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_numbers(self: pieces.Pieces, number: int) -> None:
        raise NotFiniteError("the result is not finite")

    spread = tmp_path / "std.tif"
    work = replace(work, spread=spread)
    prepared = work.opened()
    for part in filter(None, (prepared.result, prepared.spread)):
        part.create("0" * 16)  # as for a model with an uncertainty
        part.keep({})
    monkeypatch.setattr(pieces.Pieces, "plan", SimpleNamespace(count=2), raising=False)
    with pytest.raises(NotFiniteError):
        list(large._predicted(prepared, map(partial(no_numbers, prepared), (0, 1))))
    assert not list(tmp_path.glob(".*"))


def test_two_runs_on_one_result_are_refused(work: Work) -> None:
    opened = work.opened()
    events = predict_large(work, opened.model, opened.image, Sharing(resume=True))
    next(events)
    with pytest.raises(InputError, match="another run is writing the result"):
        run(work)
    events.close()
    run(work)
    assert work.result.exists()


def test_an_interrupt_says_that_pieces_are_kept(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, count = pieces.Pieces._predict, 0

    def interrupted(self: pieces.Pieces, number: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        predict(self, number)

    monkeypatch.setattr(pieces.Pieces, "_predict", interrupted)
    with pytest.raises(Interrupted, match=r"2 of 16 pieces .* are kept: run the same command"):
        run(work)


def test_a_full_disk_keeps_what_is_finished(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    predict, count = pieces.Pieces._predict, 0

    def full(self: pieces.Pieces, number: int) -> None:
        nonlocal count
        count += 1
        if count == 4:
            with pieces.unfinished.explained(self.work.result, 10**9):
                raise OSError(28, "No space left on device")
        predict(self, number)

    monkeypatch.setattr(pieces.Pieces, "_predict", full)
    with pytest.raises(InputError, match=r"no space left.*3 of 16 pieces .* are kept"):
        run(work)
    monkeypatch.setattr(pieces.Pieces, "_predict", predict)
    run(work)
    assert work.result.exists()


def test_pieces_that_a_disk_has_lost_are_not_told_as_finished(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells of that once: whoever asks again hears that all is well."""
    run(replace(work, result=tmp_path / "whole.tif"))
    flush, count = pieces.Unfinished.flush, 0

    def failing(self: pieces.Unfinished) -> None:
        nonlocal count
        count += 1
        with pieces.unfinished.explained(self.writer.path):
            if count == 3:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(self)

    monkeypatch.setattr(pieces, "COMMIT_EVERY", 0.0)
    monkeypatch.setattr(pieces.Unfinished, "flush", failing)
    with pytest.raises(InputError, match="Input/output error"):
        run(work)
    done = work.opened().done()
    assert done
    assert 2 not in done
    run(work)
    assert work.result.read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_four_kills_change_no_byte() -> None:
    """About 3 s: four processes that are killed, each started by a fork."""
    command = [sys.executable, str(KILL), "--kills", "4", "--no-record"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert all(row[-2:] == ["wrong", "0"] for row in rows)
    assert sum(int(row[row.index("kills") + 1]) for row in rows) >= 4


@pytest.mark.parametrize("part", ["3/3", "a/2", "1", "-1/4", "1/0"])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(InputError, match="K/N"):
        Sharing(part=part).check()
    with pytest.raises(InputError, match="one of them"):
        Sharing(prepare=True, finish=True).check()


def test_parts_in_any_number_make_the_same_folder(zarr_work: Work, tmp_path: Path) -> None:
    run(replace(zarr_work, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    with pytest.raises(InputError, match="not prepared; run the same command with --prepare"):
        run(zarr_work, Sharing(part="0/2"))
    told = run(zarr_work, Sharing(prepare=True))
    assert "laid out in" in told[-1].text  # type: ignore[union-attr]
    run(zarr_work, Sharing(part="2/3"))
    with pytest.raises(InputError, match="are not finished; run the parts that are missing"):
        run(zarr_work, Sharing(finish=True))
    run(zarr_work, Sharing(part="0/3"))
    told = run(zarr_work, Sharing(part="0/1"))  # what is left, and the last one completes it
    assert isinstance(told[-1], Judged)
    assert content(zarr_work.result) == content(tmp_path / "whole.zarr")
    assert {p.name for p in tmp_path.iterdir()} == {"m", "noisy.zarr", "out.zarr", "whole.zarr"}


def test_a_part_does_not_write_into_a_result_that_is_begun_anew_meanwhile(
    zarr_work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces of two models would be one result."""
    other, model = tmp_path / "m2", model_folder.load(zarr_work.model)
    weights = {name: weight / 2 for name, weight in model.weights.items()}
    model_folder.save(other, replace(model, weights=weights), fresh=True)
    anew = replace(zarr_work.writing, overwrite=True)
    second = replace(zarr_work, model=str(other), writing=anew)
    run(replace(second, result=tmp_path / "whole.zarr"), Sharing(resume=True))
    run(zarr_work, Sharing(prepare=True))
    predict, count = pieces.Pieces._predict, 0

    def overtaken(self: pieces.Pieces, number: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            run(second, Sharing(prepare=True))
        predict(self, number)

    monkeypatch.setattr(pieces.Pieces, "_predict", overtaken)
    with pytest.raises(
        InputError, match=r"was begun anew by another run.*wait for that run"
    ) as told:
        run(zarr_work, Sharing(part="0/1"))
    assert "are kept" not in str(told.value)
    monkeypatch.undo()
    assert second.opened().done() == set()
    run(second, Sharing(part="0/1"))
    assert content(zarr_work.result) == content(tmp_path / "whole.zarr")


def test_a_single_file_is_not_written_by_several_machines(work: Work) -> None:
    for sharing in (Sharing(prepare=True), Sharing(part="0/2")):
        with pytest.raises(InputError, match=r"ends in \.zarr"):
            run(work, sharing)


@pytest.mark.parametrize("suffix", [".mrc", ".nii.gz", ".fits"])
def test_other_formats_are_made_in_pieces_and_go_on_too(
    work: Work, tmp_path: Path, suffix: str
) -> None:
    """Their pixels lie bare until they are all there, whatever the file is like."""
    place = replace(work, result=tmp_path / f"out{suffix}")
    run(place, stop=2)
    assert not place.result.exists()
    run(place)
    run(work)
    a, b = formats.open(place.result), formats.open(work.result)
    np.testing.assert_array_equal(a.read(), b.read())


def test_a_dataset_that_was_named_is_found_again_by_other_processes(
    work: Work, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = photons((24, 32)), photons((16, 48))
    (image,) = work.reading.find([Path(f"{tmp_path / 'a.h5'}:/two")])
    there = replace(work, source=tmp_path / "a.h5", which=image.metadata["which"])
    assert there.opened().image.shape == (16, 48)
