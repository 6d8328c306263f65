"""The default of the command line: look at the noise, then choose, then bring the pixel back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray

import unnoise
from synthetic import smooth, white

from .commands import QUICK, TINY, Run, save


def ground(side: int = 96) -> NDArray:
    return smooth((side, side), 5, 1, mean=100, sd=25)


def noise(*shape: int, seed: int = 0) -> NDArray:
    return 10 * white(shape, seed)


def rows(seed: int = 0) -> NDArray:
    one = noise(128, 130, seed=seed)
    return ground(128) + sum(one[:, k : k + 128] for k in range(3)) / 3**0.5


def settings(folder: str) -> dict:
    return yaml.safe_load(Path(folder, "config.yaml").read_text())["config"]


def auto_lines(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("auto:")]


def test_one_line_says_what_was_chosen(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "x.tif", ground() + noise(96, 96))
    result = run("denoise", "x.tif", *QUICK, "--save-model", "m")
    assert result.code == 0, result.err
    assert auto_lines(result.err) == ["auto: n2v; noise independent from pixel to pixel"]
    assert settings("m")["use_center_pixel"] is True
    again = run("denoise", "x.tif", *QUICK, "--method", "auto", "--overwrite")
    assert auto_lines(again.err) == auto_lines(result.err)


def test_stripes_and_repeats(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "stripes.tif", rows())
    result = run("train", "stripes.tif", "-o", "s", *QUICK)
    assert len(auto_lines(result.err)) == 1
    assert settings("s")["method"] == "structn2v"
    assert settings("s")["mask"]["struct"]
    assert settings("s")["mask"]["percent"] < 5
    save(tmp_path / "repeats.tif", ground(128) + noise(2, 128, 128), "TYX")
    result = run("train", "repeats.tif", "-o", "r", *QUICK)
    assert "auto: n2n; " in result.err
    assert settings("r")["pairs"]["axis"] == "T"
    save(tmp_path / "movie.tif", ground(128) + noise(4, 128, 128), "TYX")
    result = run("train", "movie.tif", "-o", "m", *QUICK)
    assert "before and after along T are seen too" in result.err
    assert list(settings("m")["context"]) == ["T"]


def test_every_group_has_its_choice(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.tif", ground() + noise(96, 96))
    save(tmp_path / "in" / "b.tif", rows())
    result = run("denoise", "in", "-o", "out/", "--each", *QUICK)
    assert result.code == 0, result.err
    first, second = auto_lines(result.err)
    assert first.startswith("auto: n2v;")
    assert second.startswith("auto: structn2v;")


def test_a_named_method_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "x.tif", ground() + noise(96, 96))
    result = run("denoise", "x.tif", "--method", "n2v", *QUICK, "--save-model", "m")
    assert result.code == 0, result.err
    assert auto_lines(result.err) == []
    assert "own value" not in result.err
    assert settings("m")["use_center_pixel"] is False
    assert unnoise.load("m").posterior is None
    centre = run(
        "denoise",
        "x.tif",
        "--method",
        "n2v",
        "--set",
        "use_center_pixel=true",
        *QUICK,
        "--overwrite",
    )
    assert "own value" in centre.err


@pytest.mark.parametrize(
    "options",
    [
        ("--struct", "horizontal:9"),
        ("--pairs", "T"),
        ("--preset", "paper"),
        ("--config", "run.yaml"),
    ],
)
def test_auto_with_the_options_of_a_method_is_refused(
    run: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    save(tmp_path / "x.tif", ground() + noise(96, 96))
    Path("run.yaml").write_text("method: n2v\n")
    for command in (("denoise",), ("train", "-o", "m")):
        result = run(*command, "x.tif", "--method", "auto", *options, "--steps", 1)
        assert result.code == 2
        assert "auto chooses the settings itself" in result.err
        assert not Path("m").exists()


def test_settings_that_do_not_fit_the_choice_are_refused_with_a_hint(
    run: Run, tmp_path: Path
) -> None:
    save(tmp_path / "r.tif", ground(128) + noise(2, 128, 128), "TYX")
    result = run("denoise", "r.tif", "--set", "mask.percent=3", *QUICK)
    assert result.code == 2
    assert "auto chose n2n; name a method with --method" in result.err
    assert sorted(p.name for p in Path().iterdir()) == ["r.tif"]


def test_2d_of_a_stack_whose_noise_is_correlated_along_z(run: Run, tmp_path: Path) -> None:
    deep = noise(20, 64, 64)
    stack = ground(64) + (deep[2:] + deep[1:-1] + deep[:-2]) / 3**0.5
    save(tmp_path / "z.tif", stack, "ZYX")
    result = run("denoise", "z.tif", "--2d", *QUICK, "--no-tta", "--save-model", "m")
    assert result.code == 0, result.err
    assert settings("m")["ndim"] == 2
    assert settings("m")["method"] in ("n2v", "n2v2")


def test_the_same_seed_gives_the_same_file(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "x.tif", ground() + noise(96, 96))
    for name, seed in (("a.tif", 0), ("b.tif", 0), ("c.tif", 1)):
        assert run("denoise", "x.tif", "-o", name, *QUICK, "--seed", seed, "-q").code == 0
    a, b, c = (tifffile.imread(n) for n in ("a.tif", "b.tif", "c.tif"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_pixel_itself_comes_back_alike_in_every_way(run: Run, tmp_path: Path) -> None:
    """From denoise, from a model folder and from a script."""
    texture = np.where(np.indices((96, 96)).sum(0) // 4 % 2, 140.0, 60.0)
    texture[:, :48] = 100
    x = (texture + noise(96, 96)).astype(np.float32)
    save(tmp_path / "x.tif", x)
    options = ("--method", "n2v", "--set", "use_center_pixel=true", *QUICK)
    result = run("denoise", "x.tif", *options, "--save-model", "m", "--no-tta")
    assert "own value is used" in result.err
    model = unnoise.load("m")
    assert model.posterior is not None
    clean = tifffile.imread("x_denoised.tif")
    assert np.allclose(model.predict(x), clean, rtol=1e-5, atol=1e-3)
    assert run("predict", "m", "x.tif", "-o", "p.tif").code == 0
    assert np.array_equal(tifffile.imread("p.tif"), clean)


def test_a_resumed_training_asks_the_held_out_pixels_too(
    run: Run, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    x = ground() + noise(96, 96)
    save(tmp_path / "x.tif", x)
    options = ("--steps", 8, *TINY)
    assert run("train", "x.tif", "-o", "whole", *options).code == 0
    stop_after(4)
    assert run("train", "x.tif", "-o", "broken", *options).code == 130
    stop_after(0)
    resumed = run("train", "--resume", "broken")
    assert resumed.code == 0, resumed.err
    assert "own value is" in resumed.err
    one, two = unnoise.load("whole"), unnoise.load("broken")
    assert one.posterior == two.posterior
    assert one.record == two.record
    assert np.array_equal(one.predict(x), two.predict(x))


def test_a_run_stopped_while_predicting_keeps_the_pixel_itself(
    run: Run, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    texture = np.where(np.indices((96, 96)).sum(0) // 4 % 2, 140.0, 60.0)
    texture[:, :48] = 100
    save(tmp_path / "x.tif", texture + noise(96, 96))
    stop_after(4)  # after two steps, and before the only tile is moved to its place
    options = ("--method", "n2v", "--set", "use_center_pixel=true", *QUICK)
    stopped = run("denoise", "x.tif", *options, "--no-tta")
    assert stopped.code == 130
    assert "own value is used" in stopped.err
    assert "--resume" not in stopped.err
    model = unnoise.load("x_denoised.model")
    assert model.posterior is not None
    assert model.record is not None


def test_a_resumed_training_does_not_need_the_camera_file_again(
    run: Run, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    from unnoise.noise.camera.file import Camera
    from unnoise.noise.noise_models import PoissonGauss

    save(tmp_path / "x.tif", ground() + noise(96, 96))
    Camera((PoissonGauss(0.0, 0.0, 100.0),)).save("c.json")
    stop_after(4)
    assert run("train", "x.tif", "-o", "m", "--noise-model", "c.json", "--steps", 8, *TINY).code
    stop_after(0)
    Path("c.json").unlink()
    resumed = run("train", "--resume", "m")
    assert resumed.code == 0, resumed.err
    found = unnoise.load("m").noise
    assert found is not None
    assert found.models == (PoissonGauss(0.0, 0.0, 100.0),)


@pytest.mark.parametrize("method", ["auto", "n2v"])
def test_photons_of_mean_a_fifth_keep_their_mean(run: Run, tmp_path: Path, method: str) -> None:
    x = np.random.default_rng(0).poisson(0.2 * ground() / 100)
    save(tmp_path / "x.tif", x.astype(np.uint8))
    options = ("--steps", 80, *TINY, "--set", "training.patch=32", "--dtype", "float32")
    result = run("denoise", "x.tif", "--method", method, *options, "-o", "o.tif")
    assert result.code == 0, result.err
    clean = tifffile.imread("o.tif")
    assert clean.dtype == np.float32
    assert clean.mean() == pytest.approx(x.mean(), rel=0.02)


def test_help_says_that_auto_is_the_default(run: Run) -> None:
    assert "auto" in run("denoise", "--help").out
    assert "auto" in run("train", "--help").out
