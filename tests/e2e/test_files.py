"""Files that hold more than one picture, sets of files, and what is kept of them by commands."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile

from synthetic import photons

from .commands import QUICK, Run, assert_refused

FAST = ("--method", "gaussian", "--no-report")
SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def pictures(*shapes: tuple[int, ...]) -> None:
    """Write ``a.tif`` with a picture of every shape."""
    with tifffile.TiffWriter("a.tif") as tif:
        for i, shape in enumerate(shapes):
            tif.write(photons(shape, 20, i), contiguous=False, metadata={"axes": "YX"})


def pair() -> None:
    """Write a set of two OME-TIFF files, a time point each, into the folder ``set``."""
    Path("set").mkdir()
    ids = [f"urn:uuid:{uuid.UUID(int=k + 1)}" for k in range(2)]
    data = "".join(
        f'<TiffData FirstT="{k}" IFD="0" PlaneCount="1"><UUID FileName="t{k}.ome.tif">{ids[k]}'
        f"</UUID></TiffData>"
        for k in range(2)
    )
    for k in range(2):
        xml = (
            f'<OME xmlns="{SPACE}" UUID="{ids[k]}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            f'DimensionOrder="XYZCT" Type="uint16" SizeX="48" SizeY="40" SizeZ="1" SizeC="1" '
            f'SizeT="2"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
        )
        pixels = photons((40, 48), 20, k)
        tifffile.imwrite(f"set/t{k}.ome.tif", pixels, description=xml, metadata=None)


def test_the_image_of_full_size_is_denoised_and_the_other_named(run: Run) -> None:
    pictures((16, 24), (64, 96))
    done = run("denoise", "a.tif", *FAST)
    assert done.code == 0
    assert "a.tif: holds 2 series of images; series 1 of shape (64, 96), of full size" in done.err
    assert tifffile.imread("a_denoised.tif").shape == (64, 96)
    assert run("denoise", "a.tif", *FAST, "--series", "0", "-o", "b.tif").code == 0
    assert tifffile.imread("b.tif").shape == (16, 24)
    assert_refused(run("denoise", "a.tif", *FAST, "--series", "2", "-o", "c.tif"), "no series 2")
    assert_refused(run("denoise", "a.tif", *FAST, "--series", "x", "-o", "c.tif"), "no series 'x'")
    done = run("denoise", "a.tif", *FAST, "--series", "all", "-o", "c.tif")
    assert done.code == 0
    shapes = [tifffile.imread(f"c_series{i}.tif").shape for i in range(2)]
    assert shapes == [(16, 24), (64, 96)]


def test_pictures_that_are_alike_have_a_result_each(run: Run) -> None:
    pictures((40, 48), (40, 48))
    assert run("train", "a.tif", "-o", "m", *QUICK, "--no-report").code == 0
    assert run("predict", "m", "a.tif", "--uncertainty", "s/", "-o", "r").code == 2  # no spread
    assert run("predict", "m", "a.tif", "--no-report", "-o", "r").code == 0
    found = sorted(p.name for p in Path("r").iterdir())
    assert found == ["a_series0.tif", "a_series1.tif", "unnoise-run.jsonl"]
    both = [tifffile.imread(path) for path in sorted(Path("r").glob("*.tif"))]
    assert not np.array_equal(*both)
    assert run("inspect", "a.tif").out.count("a.tif") >= 2


def test_a_set_is_written_once(run: Run) -> None:
    pair()
    done = run("denoise", "set", *FAST, "-o", "r")
    assert done.code == 0
    assert "t0.ome.tif: is one of 2 files that hold one image" in done.err
    assert [p.name for p in Path("r").iterdir()] == ["t0.ome.tif"]
    assert tifffile.imread("r/t0.ome.tif").shape == (2, 40, 48)
    Path("set/t0.ome.tif").unlink()
    done = run("denoise", "set/t1.ome.tif", *FAST, "-o", "r/")
    assert "others are missing (t0.ome.tif); its own planes alone are used" in done.err
    assert tifffile.imread("r/t1.ome.tif").shape == (40, 48)


def test_training_on_several_pictures_of_a_file_goes_on(run: Run) -> None:
    pictures((40, 48), (40, 48))
    whole, parted = ("train", "a.tif", "-o", "m", *QUICK), ("train", "a.tif", "-o", "n", *QUICK)
    assert run(*whole, "--no-report").code == 0
    assert run(*parted, "--no-report", "--series", "all").code == 0
    assert Path("m/weights.safetensors").read_bytes() == Path("n/weights.safetensors").read_bytes()
    assert_refused(run("train", "--resume", "m", "--series", "1"), "leave out")


def test_storage_is_kept_and_chosen(run: Run) -> None:
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (42113, "s", 0, "-9999", True)]
    keywords = {"compression": "zlib", "predictor": 3, "tile": (16, 32), "extratags": tags}
    pixels = photons((40, 48), 20).astype(np.float32)
    tifffile.imwrite("a.tif", pixels, metadata=None, **keywords)
    for name, options, code in (("b", (), 8), ("c", ("--compress", "lzw"), 5)):
        assert run("denoise", "a.tif", *FAST, "-o", f"{name}.tif", *options).code == 0
        with tifffile.TiffFile(f"{name}.tif") as tif:
            page = tif.pages.first
            assert (page.compression, page.predictor, page.tile) == (code, 3, (16, 32))
            assert page.tags.valueof(33550) == (10.0, 10.0, 0.0)
            assert page.tags.valueof(42113) == "-9999"
    done = run("denoise", "a.tif", *FAST, "-o", "d.npy")
    assert "not carried from a.tif to d.npy" in done.err
    assert "georeference" in done.err
    assert_refused(run("denoise", "a.tif", *FAST, "-o", "e.tif", "--compress", "x"), "none, zlib")


def test_masks_and_labels(run: Run) -> None:
    labels = np.kron(np.arange(12).reshape(3, 4), np.ones((16, 16), int))
    tifffile.imwrite("mask.tif", labels > 5)
    assert_refused(run("denoise", "mask.tif", *FAST), "mask.tif", "one bit")
    colours = np.random.default_rng(0).integers(0, 2**16, (3, 256)).astype(np.uint16)
    tifffile.imwrite("colours.tif", labels.astype(np.uint8), colormap=colours)
    assert_refused(run("denoise", "colours.tif", *FAST), "colours.tif", "indexed colours")
    tifffile.imwrite("labels.tif", labels.astype(np.uint16))
    done = run("denoise", "labels.tif", *FAST)
    assert "labels.tif: few distinct values (12) in areas of one value each" in done.err


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_links_and_leftovers(run: Run, suffix: str) -> None:
    pixels = photons((40, 48), 20).astype(np.uint8)
    tifffile.imwrite("a.tif", pixels)
    Path("far").mkdir()
    Path(f"b{suffix}").symlink_to(f"far/b{suffix}")
    assert_refused(run("denoise", "a.tif", *FAST, "-o", f"b{suffix}"), "link", "does not exist")
    Path(f"far/b{suffix}").write_bytes(b"old")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    Path(f"far/.b{suffix}.{dead.pid}.part").write_bytes(b"half")
    assert run("denoise", "a.tif", *FAST, "-o", f"b{suffix}", "--overwrite").code == 0
    assert Path(f"b{suffix}").is_symlink()
    assert [p.name for p in Path("far").iterdir()] == [f"b{suffix}"]
    assert Path(f"far/b{suffix}").read_bytes() != b"old"
