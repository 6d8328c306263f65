"""``unnoise inspect`` and ``unnoise calibrate``, from files to text, pages and camera files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray

import unnoise
from synthetic import frames, smooth
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.auto import Auto
from unnoise.training.loop import TrainingRun as Training

from .commands import TINY, Run, save


def scene(side: int = 96) -> NDArray:
    return smooth((side, side), 6, 1, mean=100, sd=20)


@pytest.fixture
def white(tmp_path: Path) -> Path:
    x = scene() + 8 * np.random.default_rng(0).normal(size=(96, 96))
    return save(tmp_path / "white.tif", x.astype(np.float32))


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).normal(size=(128, 130))
    x = scene(128) + 5 * sum(noise[:, k : k + 128] for k in range(3))
    return save(tmp_path / "stripes.tif", x.astype(np.float32))


def test_text(run: Run, white: Path, stripes: Path) -> None:
    result = run("inspect", white)
    assert result.code == 0
    assert result.err == ""
    assert result.out.startswith("white.tif: axes YX, 96x96, float32")
    assert "Noise: independent from pixel to pixel" in result.out
    assert "Method: adapted (instant with --minutes 0.5 or less);" in result.out
    assert "minutes with the defaults" in result.out
    sd = re.search(r"standard deviation\s+([\d.]+) grey levels", result.out)
    assert sd
    assert float(sd[1]) == pytest.approx(8, rel=0.1)
    text = run("inspect", stripes).out
    assert "Noise: correlated along X" in text
    assert "Method: adapted (instant with --minutes 0.5 or less); noise correlated along X" in text
    assert "\n  # # # " in text  # the mask is drawn
    both = run("inspect", white, stripes).out
    assert both.count("Method:") == 2


def test_text_keeps_brackets_of_names(run: Run, tmp_path: Path, white: Path) -> None:
    name = white.rename(tmp_path / "cells [red] [0].tif").name
    assert run("inspect", name).out.startswith(f"{name}: axes YX")


def test_json(run: Run, white: Path, stripes: Path) -> None:
    result = run("inspect", stripes, "--json")
    assert (result.code, result.err) == (0, "")
    values = json.loads(result.out)
    assert values["image"] == "stripes.tif"
    assert values["correlated"] is True
    assert values["correlation_axes"] == ["X"]
    assert values["method"] == "structn2v"
    (channel,) = values["channels"]
    assert channel["mask"]
    assert channel["noise_sd"] == pytest.approx(5 * 3**0.5, rel=0.25)
    both = json.loads(run("inspect", white, stripes, "--json").out)
    assert [v["method"] for v in both] == ["n2v", "structn2v"]
    assert [v["correlated"] for v in both] == [False, True]
    folder = json.loads(run("inspect", white.parent, "--json").out)
    assert [v["image"] for v in folder] == ["stripes.tif", "white.tif"]


def test_html(run: Run, white: Path, stripes: Path) -> None:
    result = run("inspect", white, "--html", "r.html")
    assert result.code == 0
    assert result.out.endswith("wrote r.html\n")
    text = Path("r.html").read_text("utf-8")
    assert "Noise of white.tif" in text
    words = re.sub(r"</?span>", "", text)
    assert f"unnoise inspect {white} --html r.html" in words
    assert not re.search(r"(src|href|action)=[\"']?https?:|url\([\"']?https?:", text)
    again = run("inspect", white, "--html", "r.html")
    assert again.code == 2
    assert "r.html exists; add --overwrite" in again.err
    assert Path("r.html").read_text("utf-8") == text
    assert run("inspect", white, stripes, "--html", "r.html", "--overwrite").code == 0
    assert "Noise of 2 images" in Path("r.html").read_text("utf-8")
    assert sorted(p.name for p in Path().iterdir()) == ["r.html", "stripes.tif", "white.tif"]


def test_json_and_html_together_stay_json(run: Run, white: Path) -> None:
    result = run("inspect", white, "--json", "--html", "r.html")
    assert json.loads(result.out)["method"] == "n2v"
    assert Path("r.html").exists()


def test_a_place_for_the_page_that_cannot_be(run: Run, white: Path) -> None:
    result = run("inspect", white, "--html", "no/such/r.html")
    assert result.code == 2
    assert "r.html" in result.err
    assert "Traceback" not in result.err


def test_what_cannot_be_inspected(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(5, 32, 32)))
    result = run("inspect", "stack.npy")
    assert result.code == 2
    assert "--axes ZYX" in result.err
    assert run("inspect", "stack.npy", "--axes", "ZYX").code == 0
    save(tmp_path / "flat.tif", np.full((32, 32), 7, np.uint16))
    result = run("inspect", "flat.tif")
    assert result.code == 2
    assert "flat.tif is constant" in result.err
    save(tmp_path / "dot.tif", np.arange(64, dtype=np.uint16).reshape(8, 8))
    assert "too small" in run("inspect", "dot.tif").err
    assert run("inspect", "gone.tif").code == 2
    assert run("inspect").code == 2


def test_missing_pixels_are_counted(run: Run, white: Path, tmp_path: Path) -> None:
    x = tifffile.imread(white)
    x[3, 4:9] = np.nan
    np.save(tmp_path / "nan.npy", x)
    result = run("inspect", "nan.npy")
    assert result.code == 0
    assert "5 pixels are NaN" in result.out


# --- correct -------------------------------------------------------------------------------------


def test_correct_evens_the_pixels_of_a_camera(run: Run) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(100, 8, (40, 48))
    for name, count in (("dark.tif", 20), ("cells.tif", 1)):
        y = np.rint(pattern + rng.normal(0, 2, (count, *pattern.shape)))
        tifffile.imwrite(name, y.astype(np.uint16).squeeze())
    done = run("correct", "cells.tif", "--dark", "dark.tif", "-o", "even.tif")
    assert done.code == 0
    assert "hot or dead pixels" in done.err
    assert tifffile.imread("even.tif").std() < 3 < pattern.std()


# --- calibrate ----------------------------------------------------------------------------------


def repeated(n: int = 12, seed: int = 0) -> NDArray:
    return frames(n, np.maximum(3 * (scene() - 40), 2), 2.0, 100.0, 3.0, seed)


def test_from_repeats_to_a_denoised_image(run: Run, tmp_path: Path) -> None:
    repeats = save(tmp_path / "repeats.tif", repeated(), "TYX")
    result = run("calibrate", repeats, "-o", "camera.json")
    assert result.code == 0, result.err
    assert f"wrote {Path('camera.json')}" in result.err
    (model,) = Camera.load("camera.json").channels
    assert isinstance(model, PoissonGauss)
    assert model.gain == pytest.approx(2, rel=0.05)
    one = save(tmp_path / "one.tif", repeated(seed=5)[0])
    result = run(
        "denoise", one, "--noise-model", "camera.json", "--steps", 2, "--save-model", "m", *TINY
    )
    assert result.code == 0, result.err
    assert "own value is" in result.err
    settings = yaml.safe_load(Path("m/config.yaml").read_text())["config"]
    assert settings["noise_model"] == str(tmp_path / "camera.json")
    kept = unnoise.load("m").noise
    assert kept is not None
    assert kept.models == (model,)
    # A named method takes it too, and brings the pixel back though it does not ask for it.
    result = run("train", one, "-o", "n", "--method", "n2v", "--noise-model", "camera.json",
                 "--steps", 2, *TINY)  # fmt: skip
    assert "own value is" in result.err
    # The finished model does not need the file.
    Path("camera.json").unlink()
    assert run("predict", "n", one, "-o", "p.tif").code == 0


def test_an_existing_camera_file_is_kept(run: Run, tmp_path: Path) -> None:
    repeats = save(tmp_path / "repeats.tif", repeated(n=4), "TYX")
    Path("camera.json").write_text("mine")
    result = run("calibrate", repeats, "-o", "camera.json")
    assert result.code == 2
    assert "exists" in result.err
    assert Path("camera.json").read_text() == "mine"
    assert run("calibrate", repeats, "-o", "camera.json", "--overwrite", "-q").code == 0
    assert Camera.load("camera.json").channels


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Training) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(Training, "advance", never)


CAMERAS = {
    "gone": (None, "no such camera file"),
    "empty": ("", "no camera file"),
    "cut": ('{"format": 1, "channels": [', "no camera file"),
    "another JSON": ("[1, 2]", "no camera file"),
    "newer": ('{"format": 99, "channels": []}', "update unnoise"),
    "no channels": ('{"format": 1, "channels": []}', "calibrate again"),
    "NaN": ('{"format": 1, "channels": [{"kind": "curve", "knots": [NaN]}]}', "calibrate again"),
    "unknown kind": ('{"format": 1, "channels": [{"kind": "magic"}]}', "magic"),
    "too many channels": (
        Camera((PoissonGauss(1.0, 0.0, 1.0), PoissonGauss(2.0, 0.0, 1.0))).to_json(),
        "2 channels but the image has 1",
    ),
}


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("case", CAMERAS)
@pytest.mark.parametrize("command", ["denoise", "train"])
def test_a_camera_that_cannot_be_used(run: Run, white: Path, case: str, command: str) -> None:
    text, message = CAMERAS[case]
    if text is not None:
        Path("camera.json").write_text(text)
    before = sorted(p.name for p in Path().iterdir())
    out = ("-o", "m") if command == "train" else ()
    result = run(command, white, "--noise-model", "camera.json", "--steps", 2, *out)
    assert result.code == 2, result.err
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert sorted(p.name for p in Path().iterdir()) == before


@pytest.mark.usefixtures("untrained")
def test_a_folder_is_no_camera_file(run: Run, white: Path) -> None:
    result = run("denoise", white, "--noise-model", ".", "--steps", 2)
    assert result.code == 2
    assert "camera file" in result.err


@pytest.mark.parametrize("kind", ["white", "stripes"])
def test_inspect_names_what_auto_takes(run: Run, request: pytest.FixtureRequest, kind: str) -> None:
    path = request.getfixturevalue(kind)
    (said,) = re.findall(r"Method: (\w+)", run("inspect", path).out)
    taken = Auto().resolve([unnoise.open(path)])
    assert taken.config.method == said
