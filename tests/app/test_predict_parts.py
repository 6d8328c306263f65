"""Parts and ``--finish`` of a result that is finished: theirs, or another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.events import Event, Message
from unnoise.app.files import ReportOptions
from unnoise.app.large import Sharing
from unnoise.app.pieces import Work
from unnoise.app.predict import predict_files
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.models import folder as model_folder

LATE = [Sharing(part="1/2"), Sharing(finish=True)]


def run(work: Work, sharing: Sharing) -> list[Event]:
    """What the command tells."""
    options = {"reading": work.reading, "device": "cpu", "reporting": ReportOptions(wanted=False)}
    writing = replace(work.writing, out=str(work.result))
    files = [work.source]
    told = predict_files(work.model, files, writing=writing, sharing=sharing, **options)  # type: ignore[arg-type]
    return list(told)


@pytest.mark.parametrize("name", ["out.zarr", "out.ome.zarr", "out.zarr.zip"])
def test_a_late_part_knows_its_own_result_from_others(
    zarr_work: Work, tmp_path: Path, name: str
) -> None:
    work = replace(zarr_work, result=tmp_path / name)
    for sharing in (Sharing(prepare=True), Sharing(part="0/2"), Sharing(part="1/2")):
        run(work, sharing)
    pixels = np.asarray(formats.open(work.result).data[...])
    for sharing in LATE:
        (told,) = run(work, sharing)
        assert isinstance(told, Message)
        assert told.text == f"{work.result} is finished: nothing is left to do"
    model, other = model_folder.load(work.model), tmp_path / "m2"
    weights = {name: weight / 2 for name, weight in model.weights.items()}
    model_folder.save(other, replace(model, weights=weights), fresh=True)
    over = replace(work.writing, overwrite=True)
    others = [
        replace(work, model=str(other)),
        replace(work, model=str(other), writing=over),
        replace(work, reading=replace(work.reading, nodata=0.0)),
    ]
    for changed in others:
        for sharing in LATE:
            with pytest.raises(InputError, match=r"another model, image or settings.*--prepare"):
                run(changed, sharing)
    assert np.array_equal(np.asarray(formats.open(work.result).data[...]), pixels)


def test_a_result_that_no_parts_have_made_is_not_theirs(zarr_work: Work, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not prepared"):
        run(zarr_work, Sharing(part="0/2"))
    formats.save(zarr_work.result, np.zeros((4, 96, 80), np.float32), axes="ZYX")
    for sharing in LATE:
        with pytest.raises(InputError, match="begin anew with --prepare --overwrite"):
            run(zarr_work, sharing)


def test_a_result_of_a_result_of_parts_has_no_mark_of_it(zarr_work: Work, tmp_path: Path) -> None:
    maker = zarr_work.maker(zarr_work.opened().image)
    run(zarr_work, Sharing(resume=True))
    made = formats.open(zarr_work.result)
    assert made.metadata["made_by"] == maker
    formats.save(tmp_path / "again.zarr", made)
    assert formats.open(tmp_path / "again.zarr").metadata["made_by"] is None
