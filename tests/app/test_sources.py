"""No output of any command goes over what the run reads, whatever ``--overwrite`` says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from unnoise.app import inspect
from unnoise.app.calibrate import calibrate_files
from unnoise.app.correct import correct_files
from unnoise.app.denoise import denoise_files
from unnoise.app.files import InputOptions, OutputOptions, PreviewOptions, ReportOptions
from unnoise.app.sources import Sources
from unnoise.app.train import train_files
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.formats import urls

CONFIG = Config(method="gaussian")
QUIET = ReportOptions(wanted=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Images in the current folder, all of which are the same after the test."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a.tif", "b.tif", "mask.tif", "s/i_t0.tif", "s/i_t1.tif", "o/i_t0.tif"):
        Path(name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(name, rng.integers(1, 99, (40, 48)).astype(np.uint16))
    tifffile.imwrite(
        "dark.tif", rng.integers(1, 9, (4, 40, 48)).astype(np.uint16), photometric="minisblack"
    )
    Picture.fromarray(rng.integers(1, 99, (40, 48)).astype(np.uint8)).save("m.png")
    header = "type: uint8\ndimension: 2\nsizes: 48 40\nencoding: raw\ndata file: pixels.tif\n"
    Path("m.nhdr").write_text(f"NRRD0004\n{header}")
    Path("pixels.tif").write_bytes(b"\1" * 48 * 40)
    Path("broken.tif").write_bytes(b"II*\0")
    Path("o/broken.tif").write_bytes(Path("b.tif").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    yield tmp_path
    assert {path: path.read_bytes() for path in before} == before


def denoise(*inputs: str, out: str | None = "clean/", **more: Any) -> None:
    """Denoise with leave to overwrite."""
    reading = InputOptions(mask=more.pop("mask", None))
    writing = OutputOptions(out, overwrite=True, uncertainty=more.pop("uncertainty", None))
    preview = PreviewOptions(file=Path(more.pop("preview", "p.png")))
    reporting = ReportOptions(wanted=False, preview=preview)
    list(
        denoise_files(inputs, CONFIG, reading=reading, writing=writing, reporting=reporting, **more)
    )


def correct(out: str, dark: str, flat: str) -> None:
    """Even out with leave to overwrite."""
    list(correct_files(["a.tif"], [dark], [flat], writing=OutputOptions(out, overwrite=True)))


def train(**more: Any) -> None:
    """Train with leave to overwrite."""
    reading = InputOptions(mask=more.pop("mask", None))
    list(train_files(["a.tif"], "m.model", CONFIG, reading=reading, overwrite=True, **more))


def link(name: str) -> str:
    """A second name of the mask."""
    os.link("mask.tif", name)
    return name


PREVIEW = ReportOptions(wanted=False, preview=PreviewOptions(file=Path("m.png")))
CASES: dict[str, Callable[[], object]] = {
    "dark frames": lambda: correct("dark.tif", "dark.tif", "b.tif"),
    "flat frames": lambda: correct("b.tif", "dark.tif", "b.tif"),
    "mask": lambda: denoise("a.tif", mask="mask.tif", out="mask.tif"),
    "pixels of the mask": lambda: denoise("a.tif", mask="m.nhdr", out="pixels.tif"),
    "mask by another name": lambda: denoise("a.tif", mask="mask.tif", out=link("x.tif")),
    "mask by the preview": lambda: denoise("a.tif", mask="m.png", preview="m.png"),
    "mask by the uncertainty": lambda: denoise("a.tif", mask="mask.tif", uncertainty="mask.tif"),
    "member of a sequence": lambda: denoise("s/i_t{t}.tif", "o/i_t0.tif", out="s"),
    "image that cannot be opened": lambda: denoise("broken.tif", "o/broken.tif", out="."),
    "image by the preview": lambda: denoise("m.png", preview="./s/../m.png"),
    "image of a folder by the preview": lambda: denoise(".", preview="m.png"),
    "image by the page": lambda: inspect.run(
        ["a.tif"], InputOptions(), html=Path("a.tif"), overwrite=True
    ),
    "mask by the preview of a training": lambda: train(mask="m.png", reporting=PREVIEW),
    "targets by the preview of a training": lambda: train(targets=["m.png"], reporting=PREVIEW),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_is_read_is_written(case: str) -> None:
    with pytest.raises(InputError, match="an input, and inputs are never overwritten"):
        CASES[case]()


def test_neither_a_folder_that_holds_an_input_nor_a_place_in_one_is_written(
    folder: Path,
) -> None:
    sources = Sources(["s/i_t{t}.tif"], [urls.place("s3://bucket/x.zarr/0")])
    for place, why in (
        ("s", "holds the input"),
        ("s/i_t1.tif/0", "lies in the input"),
        ("./o/../s/i_t0.tif", "is an input"),
        (urls.place("s3://bucket/x.zarr"), "holds the input"),
        (urls.place("s3://bucket/x.zarr/0"), "is an input"),
        ("s3a://bucket/y/../x.zarr/0", "is an input"),
        (f"file://localhost{folder.as_posix()}/s/i_t0.tif", "is an input"),
    ):
        with pytest.raises(InputError, match=why):
            sources.refuse(place, "the model")
    for place in (None, "s/new.tif", "x.tif", "s3", urls.place("s3://bucket/y.zarr")):
        sources.refuse(place, "the model")


def test_a_camera_file_is_no_part_of_its_frames() -> None:
    zarr = pytest.importorskip("zarr")
    zarr.create_array("f.zarr", data=np.ones((4, 40, 48), np.uint16))
    before = Path("f.zarr/zarr.json").read_bytes()
    with pytest.raises(InputError, match="lies in the input"):
        list(calibrate_files(["f.zarr"], "f.zarr/zarr.json", axes="TYX", overwrite=True))
    assert Path("f.zarr/zarr.json").read_bytes() == before


def test_a_preview_and_a_result_need_two_names() -> None:
    with pytest.raises(InputError, match="another output would both be written"):
        denoise("a.tif", out="c.png", preview="c.png")
    assert not Path("c.png").exists()


def test_results_are_kept_or_replaced_and_not_both() -> None:
    with pytest.raises(InputError, match="give one of the two") as error:
        OutputOptions(skip_existing=True, overwrite=True)
    assert error.value.exit_code == 2
