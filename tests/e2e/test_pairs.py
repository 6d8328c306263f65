"""Pairs of images: who is whose target, what of them is kept, what is never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from .commands import TINY, Run, Write, assert_refused, facts, files

pytestmark = pytest.mark.usefixtures("few_candidates")


def test_targets_are_paired_by_name_or_else_in_order_with_a_message(run: Run, write: Write) -> None:
    """Who is whose target is read from the model folder."""

    def trained(*targets: str) -> tuple[list[str], str]:
        shutil.rmtree("m", ignore_errors=True)
        named = [word for target in targets for word in ("--targets", target)]
        result = run("train", "in", "--method", "n2n", *named, "-o", "m", *TINY, "--steps", 1)
        assert result.code == 0, result.err
        origin = yaml.safe_load(Path("m/config.yaml").read_text())["provenance"]
        assert [Path(entry["path"]).name for entry in origin["data"]] == ["t2.tif", "t10.tif"]
        return [Path(entry["path"]).name for entry in origin["targets"]], result.err

    for i, name in enumerate(
        ("in/t2.tif", "in/t10.tif", "by/t10.tif", "by/t2.tif", "at/u1.tif", "at/u2.tif")
    ):
        write(name, (24, 28), "YX", seed=i)
    order = "in order, not by name"
    names, said = trained("by")
    assert (names, order in said) == (["t2.tif", "t10.tif"], False)
    names, said = trained("by/t10.tif", "by/t2.tif")
    assert (names, order in said) == (["t2.tif", "t10.tif"], False)
    names, said = trained("at")
    assert names == ["u1.tif", "u2.tif"]
    assert f"{order}: t2.tif with u1.tif, t10.tif with u2.tif" in said
    names, said = trained("at/u1.tif", "by/t2.tif")  # one name is there, but not for all
    assert (names, order in said) == (["u1.tif", "t2.tif"], True)
    # Two looks at one scene in one folder: each is the target of the other, never of itself.
    names, said = trained("in/t10.tif", "in/t2.tif")
    assert (names, order in said) == (["t10.tif", "t2.tif"], True)


def test_one_name_in_several_folders_is_no_pairing_by_name(run: Run, write: Write) -> None:
    for i, name in enumerate(("a/x.tif", "b/x.tif", "c/x.tif", "c/y.tif")):
        write(name, (24, 28), "YX", seed=i)
    inputs = ("a/x.tif", "b/x.tif")
    more = ("--method", "n2n", "--targets", "c", *TINY, "--steps", 1)
    result = run("train", *inputs, "-o", "m", *more)
    assert result.code == 0, result.err
    assert "x.tif with x.tif, x.tif with y.tif" in result.err


def test_groups_keep_their_own_targets(run: Run, write: Write) -> None:
    """Images of different kinds need several models; each learns from its own pairs."""
    write("in/a.tif", (24, 28), "YX")
    write("in/b.tif", (2, 24, 28), "CYX")
    write("gt/a.tif", (24, 28), "YX", seed=1)
    write("gt/b.tif", (2, 24, 28), "CYX", seed=2)
    more = ("--method", "care", "--targets", "gt", *TINY, "--steps", 1, "--no-tta")
    for extra in ((), ("--each",)):
        result = run("denoise", "in", "-o", "out", "--overwrite", *more, *extra)
        assert result.code == 0, result.err
        assert facts("out/a.tif") == facts("in/a.tif")
        assert facts("out/b.tif") == facts("in/b.tif")


def test_clean_images_are_never_overwritten(run: Run, write: Write) -> None:
    for name in ("in/a.tif", "in/b.tif", "gt/a.tif", "gt/b.tif"):
        write(name, (24, 28), "YX", seed=len(name))
    before = files()
    more = ("--method", "care", "--targets", "gt", "--overwrite", *TINY, "--steps", 1)
    assert_refused(run("denoise", "in", "-o", "gt", *more), "gt/a.tif", "never overwritten")
    spread = run("denoise", "in", "-o", "out", "--uncertainty", "gt", *more)
    assert_refused(spread, "gt/a.tif", "never overwritten")
    assert files() == before


def test_care_has_the_type_and_the_units_of_the_clean_images(run: Run, write: Write) -> None:
    x = tifffile.imread(write("x.tif", (24, 28), "YX"))
    tifffile.imwrite("clean.tif", (x / 1000 - 5).astype(np.float32))
    more = ("--method", "care", "--targets", "clean.tif", *TINY, "--steps", 2)
    assert run("denoise", "x.tif", "-o", "d.tif", "--uncertainty", "s.tif", *more).code == 0
    d, s = tifffile.imread("d.tif"), tifffile.imread("s.tif")
    assert (d.dtype, s.dtype) == (np.float32, np.float32)
    assert abs(d.mean() - (x / 1000 - 5).mean()) < 1e-4
    assert 0 < s.min() <= s.max() < 0.1
    assert run("denoise", "x.tif", "-o", "i.tif", "--dtype", "int16", *more).code == 0
    assert tifffile.imread("i.tif").dtype == np.int16


def test_missing_pixels_in_pairs_are_filled(run: Run, write: Write) -> None:
    x = tifffile.imread(write("x.tif", (24, 28), "YX")).astype(np.float32)
    x[5, 5] = np.nan
    np.save("clean.npy", x)
    more = ("--method", "care", "--targets", "clean.npy", *TINY, "--steps", 1)
    assert run("denoise", "x.tif", "--nan", "fill", "-o", "d.tif", *more).code == 0
    assert np.isfinite(tifffile.imread("d.tif")).all()


def test_pairs_along_z_and_s(run: Run, write: Write) -> None:
    """Slices that are pairs need a 2D net, which thick stacks get too, and no offer of a 3D one."""
    write("z.tif", (16, 20, 24), "ZYX")
    result = run("denoise", "z.tif", "--pairs", "z", "-o", "o.tif", "--no-tta", *TINY, "--steps", 1)
    assert result.code == 0, result.err
    assert "2D net slice by slice (16 Z slices)," in result.err
    assert facts("o.tif") == facts("z.tif")
    np.save("s.npy", np.random.default_rng(0).normal(size=(3, 20, 24)))
    more = ("--axes", "SYX", "--pairs", "S", "--no-tta", *TINY, "--steps", 1)
    assert run("denoise", "s.npy", *more).code == 0
    assert np.load("s_denoised.npy").shape == (3, 20, 24)
