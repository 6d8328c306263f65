"""Every bad input gets one clear sentence with a remedy, exit code 2, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from .commands import Result, Run, assert_refused, nothing_new


def test_missing_file(run: Run, tmp_path: Path) -> None:
    assert_refused(run("denoise", "nothere.tif"), "no such file", "nothere.tif", "check the name")
    assert nothing_new(tmp_path)


def test_folder_without_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    assert_refused(run("denoise", "empty"), "empty", ".tif")
    assert_refused(run("train", "empty", "-o", "m"), "empty", ".tif")
    assert nothing_new(tmp_path, "notes.txt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_tiff(run: Run, tmp_path: Path, noisy: Path, share: float) -> None:
    data = noisy.read_bytes()
    noisy.write_bytes(data[: int(len(data) * share)])
    assert_refused(run("denoise", noisy, "--steps", 1), "cells.tif")
    assert nothing_new(tmp_path, "cells.tif")


def test_unreadable_tiff(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("this is not a TIFF file at all")
    assert_refused(run("denoise", "text.tif"), "text.tif")
    (tmp_path / "zero.tif").write_bytes(b"")
    assert_refused(run("denoise", "zero.tif"), "zero.tif", "empty")


def test_complex_and_object_pixels(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.ones((32, 32), np.complex64))
    assert_refused(run("denoise", "c.npy"), "complex", "magnitude")
    np.save(tmp_path / "o.npy", np.array([[None] * 32] * 32, object), allow_pickle=True)
    assert_refused(run("denoise", "o.npy"), "o.npy")


def test_empty_array(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.zeros((0, 32), np.float32))
    assert_refused(run("denoise", "e.npy"), "empty", "(0, 32)")


def test_small_images_shrink_the_patch_and_tiny_ones_are_refused(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("small", (17, 40)), ("tiny", (15, 400))):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=shape).astype(np.float32))
    works = run("denoise", "small.npy", "--steps", 1, "--no-tta")
    assert works.code == 0, works.err
    assert "patches 16x16" in works.err
    assert np.load("small_denoised.npy").shape == (17, 40)
    assert_refused(run("denoise", "tiny.npy"), "15x400", "16 pixels", "--axes")


def test_constant_image(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.full((32, 32), 7, np.uint8))
    assert_refused(run("denoise", "flat.npy"), "constant", "7", "nothing to denoise")


def test_nan_and_infinite_pixels(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    x[3, 4], x[5, 6], x[7, 8] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "nan.npy", x)
    refused = run("denoise", "nan.npy", "--nan", "refuse")
    assert_refused(refused, "3 NaN or infinite pixels of 1,024", "keep or fill")
    options = ("--steps", 1, "--no-tta")
    assert run("denoise", "nan.npy", *options).code == 0
    kept = np.load("nan_denoised.npy")
    np.testing.assert_array_equal(kept[~np.isfinite(x)], x[~np.isfinite(x)])
    assert np.isfinite(kept).sum() == x.size - 3
    assert run("denoise", "nan.npy", "--nan", "fill", *options, "-o", "filled.npy").code == 0
    assert np.isfinite(np.load("filled.npy")).all()
    assert_refused(run("denoise", "nan.npy", "--nan", "ignore"), "keep, fill, refuse")


@pytest.mark.parametrize("axes", ["YX", "ZYXC", "ZZY", "QYX", "ZCT", ""])
def test_wrong_axes(run: Run, tmp_path: Path, axes: str) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3, 32, 32)))
    assert_refused(run("denoise", "a.npy", "--axes", axes), "--axes ZYX")


def test_ambiguous_axes_name_the_flags(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3, 32, 32)))
    assert_refused(run("denoise", "a.npy"), "ambiguous", "--axes ZYX", "--axes TYX", "--axes CYX")


def test_unwritable_output(run: Run, tmp_path: Path, noisy: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert_refused(run("denoise", noisy, "-o", "file/out.tif", "--steps", 1), "file", "-o")
    early = run("denoise", noisy, "-o", "file/out.tif", "--steps", 1)
    assert "training" not in early.err, "refused before any work"
    assert_refused(run("train", noisy, "-o", "file/m", "--steps", 1), "file", "-o")
    assert_refused(run("train", noisy, "-o", "file", "--steps", 1), "file", "-o")
    assert nothing_new(tmp_path, "cells.tif", "file")


def test_existing_output_and_input_are_never_lost(run: Run, tmp_path: Path, noisy: Path) -> None:
    before = noisy.read_bytes()
    (tmp_path / "out.tif").write_text("precious")
    assert_refused(run("denoise", noisy, "-o", "out.tif"), "out.tif exists", "--overwrite")
    assert (tmp_path / "out.tif").read_text() == "precious"
    assert_refused(run("denoise", noisy, "-o", noisy, "--overwrite"), "never overwritten")
    assert noisy.read_bytes() == before
    assert run("denoise", noisy, "-o", "out.tif", "--overwrite", "--steps", 1).code == 0
    assert tifffile.imread("out.tif").shape == (48, 56)
    assert run("train", noisy, "-o", "m", "--steps", 1).code == 0
    assert_refused(run("train", noisy, "-o", "m", "--steps", 1), "exists", "--overwrite")


def test_model_folder_does_not_swallow_other_folders(run: Run, tmp_path: Path, noisy: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("x")
    assert_refused(run("train", noisy, "-o", "photos", "--overwrite"), "no model folder")


def test_a_result_never_replaces_another_input(run: Run, tmp_path: Path, noisy: Path) -> None:
    other = tmp_path / "cells_denoised.tif"
    shutil.copy(noisy, other)
    before = other.read_bytes()
    result = run("denoise", noisy, other, "--overwrite", "--steps", 1)
    assert_refused(result, "cells_denoised.tif, which is an input", "never overwritten")
    (tmp_path / "sub").mkdir()
    shutil.copy(noisy, tmp_path / "sub")
    result = run("denoise", noisy, "sub/cells.tif", "-o", "out", "--overwrite", "--steps", 1)
    assert_refused(result, "would both be written to", "two runs")
    assert other.read_bytes() == before


STOP = (
    "import unnoise.app.denoise\nfrom unnoise.app.events import Interrupt\n"
    "Interrupt.__enter__ = lambda self: (setattr(self, '_signalled', True), self)[1]"
)
"""Code that makes a training stop after its first step, so that its state is saved."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX file size limits")
def test_full_disk_removes_the_temporary_file(tmp_path: Path, noisy: Path) -> None:
    """A file size limit makes the operating system itself refuse the write."""
    big = np.random.default_rng(0).poisson(9, (256, 300)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "big.tif", big)
    code = (
        "import resource\nfrom unnoise.app.cli.main import main\nimport unnoise.app.denoise\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\nmain()"
    )
    command = [sys.executable, "-c", code, "denoise", "big.tif", "--steps", "1", "--no-tta"]
    # What measures coverage would write a file of its own, which is too large as well.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "big_denoised.tif", "-o")
    assert nothing_new(tmp_path, "big.tif", "cells.tif")
    # Weights take 1.4 MB, the state of a run four times as much: this limit hits that.
    limited = code.replace("100_000", "2_000_000").replace("import unnoise.app.denoise", STOP)
    command = [sys.executable, "-c", limited, "train", "big.tif", "-o", "m", "--steps", "5"]
    place = tmp_path / "temporary"
    place.mkdir()
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(place)},
    )
    kept = "what was trained is kept in"
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "m", "-o", kept)
    assert {p.parent.parent.parent for p in place.rglob("weights.safetensors")} == {place}
    shutil.rmtree(place)
    assert nothing_new(tmp_path, "big.tif", "cells.tif")


@pytest.fixture
def model(run: Run, noisy: Path) -> Path:
    assert run("train", noisy, "-o", "my.model", "--steps", 1).code == 0
    return Path("my.model")


def test_model_that_does_not_fit(run: Run, tmp_path: Path, noisy: Path, model: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "two.npy", rng.normal(size=(2, 32, 32)))
    result = run("predict", model, "two.npy", "--axes", "CYX")
    assert_refused(result, "1 channel", "two.npy has 2 channels")
    np.save(tmp_path / "stack.npy", rng.normal(size=(16, 32, 32)))
    assert run("train", "stack.npy", "--axes", "ZYX", "-o", "deep", "--steps", 1).code == 0
    assert_refused(run("predict", "deep", noisy), "three-dimensional", "cells.tif")


def test_corrupted_and_foreign_model_folders(
    run: Run, tmp_path: Path, noisy: Path, model: Path
) -> None:
    assert_refused(run("predict", "nowhere", noisy), "no model folder nowhere", "unnoise train")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "weights_best.h5").write_text("x")
    assert_refused(run("predict", "foreign", noisy), "not an unnoise model folder")

    def damaged(name: str, change: object) -> Result:
        shutil.rmtree("bad", ignore_errors=True)
        shutil.copytree(model, "bad")
        path = Path("bad") / name
        path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
        return run("predict", "bad", noisy, "-o", "never.tif")

    assert_refused(damaged("weights.safetensors", lambda b: b[: len(b) // 2]), "damaged")
    assert_refused(damaged("weights.safetensors", lambda b: b""), "damaged")
    assert_refused(damaged("config.yaml", lambda b: b"\x00\xff"), "damaged")
    assert_refused(damaged("config.yaml", lambda b: b"- a\n- b\n"), "damaged")
    assert_refused(damaged("config.yaml", lambda b: b[:60]), "bad")
    assert_refused(damaged("config.yaml", lambda b: b"!!python/object:os.system {}"), "damaged")

    def edited(**changes: object) -> Result:
        def change(data: bytes) -> bytes:
            return yaml.safe_dump({**yaml.safe_load(data), **changes}).encode()

        return damaged("config.yaml", change)

    assert_refused(edited(format=99), "newer unnoise")
    assert_refused(edited(mean=[1.0, 2.0]), "damaged")
    assert_refused(edited(channels=[3]), "damaged")
    config = yaml.safe_load((model / "config.yaml").read_text())["config"]
    config["net"]["filters"] = 8
    assert_refused(edited(config=config), "weights do not fit")
    assert not Path("never.tif").exists()


def test_damaged_or_changed_runs_do_not_resume(
    run: Run, tmp_path: Path, noisy: Path, model: Path
) -> None:
    (model / "resume.pt").write_bytes(b"garbage")
    assert_refused(run("train", "--resume", model), "resume.pt is damaged", "still works")
    noisy.rename(tmp_path / "moved.tif")
    assert_refused(run("train", "--resume", model), "cells.tif, which is gone", "--resume")
    x = tifffile.imread(tmp_path / "moved.tif")
    tifffile.imwrite(noisy, x[::-1].copy())
    assert_refused(run("train", "--resume", model), "damaged")


def test_unknown_names_list_the_known_ones(run: Run, noisy: Path) -> None:
    assert_refused(run("denoise", noisy, "--preset", "slow"), "fast, paper")
    assert_refused(run("denoise", noisy, "--device", "tpu"), "auto, cpu, cuda, mps")
    assert_refused(run("denoise", noisy, "--dtype", "float31"), "float32")
    assert_refused(run("denoise", "a.xyz"), "no such file")


def test_steps_and_minutes_must_be_positive(run: Run, noisy: Path) -> None:
    assert_refused(run("denoise", noisy, "--steps", 0), "training.steps")
    assert_refused(run("denoise", noisy, "--minutes", -1), "training.minutes")
    assert_refused(run("denoise", noisy, "--minutes", "nan"), "training.minutes")


def test_debug_shows_the_traceback(noisy: Path) -> None:
    command = [sys.executable, "-m", "unnoise", "denoise", "nothere.tif", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert "InputError" in done.stderr
