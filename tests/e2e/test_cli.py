"""The commands of the README, from file to file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

import unnoise
from unnoise.training.loop import TrainingRun as Training

from .commands import TINY, Run


def test_denoise_writes_beside_the_input_and_says_what_it_does(run: Run, noisy: Path) -> None:
    before = noisy.read_bytes()
    result = run("denoise", noisy, "--steps", 2)
    assert result.code == 0, result.err
    assert "axes YX, 2D net, patches 48x48, 2 steps" in result.err
    assert "step 2/2" in result.err
    assert "left" in result.err
    assert f"wrote {noisy.with_name('cells_denoised.tif')}" in result.err
    assert noisy.read_bytes() == before
    with tifffile.TiffFile(noisy.with_name("cells_denoised.tif")) as tif:
        assert tif.series[0].axes == "YX"
        assert tif.series[0].shape == (48, 56)
        assert tif.series[0].dtype == np.uint16
        assert tif.pages[0].tags["XResolution"].value == (4, 1)
        assert tif.imagej_metadata["unit"] == "um"


def test_quiet_prints_warnings_alone(run: Run, noisy: Path) -> None:
    result = run("denoise", noisy, "--steps", 1, "-q")
    assert (result.code, result.out) == (0, "")
    assert [line for line in result.err.splitlines() if not line.startswith("warning: ")] == []


def test_same_seed_same_file_and_float_on_request(run: Run, noisy: Path) -> None:
    for name, seed in (("a.tif", 0), ("b.tif", 0), ("c.tif", 1)):
        options = ("--steps", 3, "--seed", seed, "--dtype", "float32", "-q", "--no-tta")
        assert run("denoise", noisy, "-o", name, *options).code == 0
    a, b, c = (tifffile.imread(n) for n in ("a.tif", "b.tif", "c.tif"))
    assert a.dtype == np.float32
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_several_files_share_a_net_and_go_to_a_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a", (40, 48)), ("b", (48, 40)), ("rgb", (40, 40, 3))):
        rgb = {"photometric": "rgb"} if len(shape) == 3 else {}
        tifffile.imwrite(folder / f"{name}.tif", rng.poisson(9, shape).astype(np.uint8), **rgb)
    result = run("denoise", folder, "-o", "out", "--steps", 1)
    assert result.code == 0, result.err
    assert "2 images: n2v, axes YX" in result.err
    assert "3 channels one by one" in result.err
    names = ["a.tif", "b.tif", "report.html", "rgb.tif", "unnoise-run.jsonl"]
    assert sorted(p.name for p in Path("out").iterdir()) == names
    each = run("denoise", folder / "a.tif", folder / "b.tif", "-o", "each/", "--each", "--steps", 1)
    assert each.code == 0
    assert each.err.count("2D net") == 2


def test_train_predict_and_the_python_calls_agree(run: Run, noisy: Path) -> None:
    assert run("train", noisy, "-o", "my.model", "--steps", 3).code == 0
    assert run("predict", "my.model", noisy, "-o", "clean.tif").code == 0
    clean = tifffile.imread("clean.tif")
    x = tifffile.imread(noisy)
    assert np.array_equal(unnoise.load("my.model").predict(x), clean)
    again = unnoise.train([unnoise.open(noisy)], steps=3)
    assert np.array_equal(again.predict(x), clean)
    again.save("copy.model")
    assert np.array_equal(unnoise.load("copy.model").predict(x), clean)


def test_finished_model_folder_is_readable_and_holds_nothing_pickled(run: Run, noisy: Path) -> None:
    assert run("train", noisy, "-o", "m", "--steps", 2).code == 0
    assert sorted(p.name for p in Path("m").iterdir()) == [
        "config.yaml",
        "log.jsonl",
        "report.html",
        "weights.safetensors",
    ]
    values = yaml.safe_load(Path("m/config.yaml").read_text())
    x = tifffile.imread(noisy)
    assert values["mean"] == pytest.approx([x.mean()])
    assert values["std"] == pytest.approx([x.std()])
    assert values["provenance"]["scale"] == {"X": 0.25, "Y": 0.25}
    assert values["config"]["training"]["steps"] == 2
    assert json.loads(Path("m/log.jsonl").read_text().splitlines()[-1])["step"] == 2


def equal(a: str, b: str) -> bool:
    x, y = unnoise.load(a).weights, unnoise.load(b).weights
    return all(torch.equal(x[k], y[k]) for k in x)


def test_resume_from_the_command_line_equals_the_uninterrupted_run(
    run: Run, noisy: Path, stop_after: Callable[[int], None]
) -> None:
    assert run("train", noisy, "-o", "whole", "--steps", 12).code == 0
    stop_after(5)
    stopped = run("train", noisy, "-o", "broken", "--steps", 12)
    assert stopped.code == 130
    assert "stopped at step 5" in stopped.err
    assert "unnoise train --resume broken" in stopped.err
    assert set(torch.load("broken/resume.pt", weights_only=True)) > {"net", "optimizer", "rng"}
    assert run("predict", "broken", noisy, "-o", "early.tif").code == 0
    stop_after(0)
    assert run("train", "--resume", "broken").code == 0
    assert equal("whole", "broken")
    assert "nothing is left to train" in run("train", "--resume", "broken").err


def test_stopped_denoise_goes_on_with_the_same_reading(
    run: Run, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    x = np.random.default_rng(0).normal(5, 1, (3, 32, 32)).astype(np.float32)
    x[0, 3, 4] = np.nan
    np.save(tmp_path / "s.npy", x)
    options = ("--axes", "ZYX", "--nan", "fill", "--steps", 9)
    assert run("train", "s.npy", *options, "-o", "whole").code == 0
    stop_after(4)
    stopped = run("denoise", "s.npy", *options)
    assert stopped.code == 130
    assert not Path("s_denoised.npy").exists()
    stop_after(0)
    assert run("train", "--resume", "s_denoised.model").code == 0
    assert equal("whole", "s_denoised.model")


def test_stopping_while_predicting_keeps_the_finished_model(
    run: Run, noisy: Path, stop_after: Callable[[int], None]
) -> None:
    stop_after(5)  # after 3 steps, and before the only tile is moved to its place
    stopped = run("denoise", noisy, "--steps", 3, "--no-tta")
    assert stopped.code == 130
    assert "the model so far is in" in stopped.err
    assert "--resume" not in stopped.err
    assert not Path("cells_denoised.tif").exists()
    assert run("predict", "cells_denoised.model", noisy).code == 0


def test_overwriting_a_model_keeps_the_old_one_until_there_is_a_new_one(
    run: Run, noisy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", noisy, "-o", "m", "--steps", 3).code == 0
    before = {p.name: p.read_bytes() for p in Path("m").iterdir()}

    def broken(self: Training) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", broken)
        stopped = run("train", noisy, "-o", "m", "--steps", 5, "--overwrite")
    assert stopped.code == 130
    assert "no model was written" in stopped.err
    assert {p.name: p.read_bytes() for p in Path("m").iterdir()} == before
    assert run("train", noisy, "-o", "m", "--steps", 5, "--overwrite").code == 0
    assert unnoise.load("m").provenance.steps == 5
    assert sorted(p.name for p in Path().iterdir()) == ["cells.tif", "m"]


def test_ctrl_c_leaves_a_usable_model(tmp_path: Path, noisy: Path) -> None:
    """A real SIGINT to a real process, in the middle of the training."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "unnoise",
        "denoise",
        str(noisy),
        "--steps",
        "99999",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if "training: step" in line:
            process.send_signal(signal.SIGINT)
            break
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    folder = tmp_path / "cells_denoised.model"
    assert "unnoise train --resume" in err
    assert unnoise.load(folder).predict(tifffile.imread(noisy)).shape == (48, 56)
    assert (folder / "resume.pt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.tif", "cells_denoised.model"]


@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [("stack3d/cells3d_nuclei_20x128x128__noisy.tif", "ZYX", (20, 128, 128))],
)
def test_stack_in_3d_comes_back(
    run: Run, shared_data: Path, name: str, axes: str, shape: tuple[int, ...]
) -> None:
    more = ("--axes", axes, "--steps", 1, "--no-tta", *TINY)
    result = run("denoise", shared_data / name, "-o", "o.tif", *more)
    assert result.code == 0, result.err
    assert "3D net (20 Z slices)" in result.err
    flat = run("denoise", shared_data / name, "-o", "f.tif", "--2d", *more)
    assert "2D net slice by slice (20 Z slices; --3d for a 3D net)" in flat.err
    for out in ("o.tif", "f.tif"):
        with tifffile.TiffFile(out) as tif:
            assert tif.series[0].axes == axes
            assert tif.series[0].shape == shape
            assert tif.series[0].dtype == np.uint16


@pytest.mark.parametrize(
    "name",
    [
        "xyc_16bit__nuclei_golgi.tif",
        "xy_rgb__cells.tif",
        "xyzc_16bit__spots.tif",
        "xyt_8bit_polyp.tif",
        "test_image.ome.tif",
        "FOV7_HV110_P0500510000.ome.tiff",
    ],
)
def test_real_files_keep_axes_shape_type_and_scale(run: Run, shared_data: Path, name: str) -> None:
    source = shared_data / "formats" / "imagej_ome" / name
    result = run("denoise", source, "-o", name, "--steps", 1, "--no-tta", "--2d", *TINY)
    assert result.code == 0, result.err

    def facts(path: Path) -> tuple[object, ...]:
        image = unnoise.open(path)
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            kind = (tif.is_imagej, tif.is_ome)
        return (
            kind,
            series.axes,
            series.shape,
            series.dtype,
            {k: pytest.approx(v, rel=1e-6) for k, v in image.scale.items()},
            image.units,
            image.channel_names,
        )

    assert facts(source) == facts(Path(name))


def test_photographs_and_arrays(run: Run, tmp_path: Path) -> None:
    import imagecodecs

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(imagecodecs.png_encode(rgb))
    (tmp_path / "p.jpg").write_bytes(imagecodecs.jpeg_encode(rgb))
    np.save(tmp_path / "a.npy", rng.normal(5, 1, (40, 48)).astype(np.float32))
    for name in ("p.png", "p.jpg", "a.npy"):
        assert run("denoise", name, "--steps", 1, "--no-tta").code == 0
    assert imagecodecs.png_decode((tmp_path / "p_denoised.png").read_bytes()).shape == rgb.shape
    assert imagecodecs.jpeg_decode((tmp_path / "p_denoised.jpg").read_bytes()).shape == rgb.shape
    clean = np.load(tmp_path / "a_denoised.npy")
    assert (clean.shape, clean.dtype) == ((40, 48), np.float32)


def test_demo_prints_the_gain_and_writes_the_pictures(run: Run) -> None:
    result = run("demo", "-o", "d", "--steps", 3)
    assert result.code == 0, result.err
    assert "PSNR before" in result.out + result.err
    assert sorted(p.name for p in Path("d").iterdir()) == [
        "before_after.png",
        "coins_denoised.tif",
        "coins_noisy.tif",
    ]


@pytest.mark.parametrize("arguments", [["--help"], ["denoise", "--help"], ["train", "--help"]])
def test_help_and_import_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom unnoise.app.cli.main import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    code = "import sys, unnoise; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_that_exclude_each_other(run: Run, noisy: Path) -> None:
    both = run("denoise", noisy, "--steps", 2, "--minutes", 1)
    assert both.code == 2
    assert "minutes or steps" in both.err
    assert run("train", noisy).code == 2
    assert run("train", "-o", "m").code == 2
    assert run("train", "--resume", "m", "--steps", 3).code == 2
