"""What endangers a result is heard without the report, and auto writes nothing that is a loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from torch import Tensor

import unnoise
from synthetic import smooth, white
from unnoise.models import tile_results
from unnoise.models.model import Model
from unnoise.models.posterior import Posterior

from .commands import QUICK, TINY, Run, save

FAR = "farther from the clean image than the noisy"


def soft() -> NDArray:
    """A scene that a blur helps."""
    return TRUTH + 8 * white((128, 128), 0)


TRUTH = smooth((128, 128), 8, 1, mean=200, sd=30)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Spoils what methods predict, and keeps the pixels themselves from mending it."""
    inner = tile_results.from_net

    def spoil(result: Callable[[NDArray], NDArray], *methods: str) -> None:
        def from_net(model: Model, values: Tensor) -> NDArray:
            clean = inner(model, values)
            return result(clean) if model.config.method in (methods or ("n2v",)) else clean

        monkeypatch.setattr(tile_results, "from_net", from_net)

    def alone(self: object, noisy: NDArray, blind: NDArray, inside: object = None) -> Any:
        return blind, np.zeros_like(blind)

    monkeypatch.setattr(Posterior, "apply", alone)
    return spoil


@pytest.fixture
def wrong(broken: Callable[..., None]) -> None:
    """Nets of Noise2Void whose predictions are too bright by far."""
    broken(lambda clean: clean + 500)


def document(run: Run, *arguments: Any) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("report", ["--report", "--no-report"])
def test_auto_tries_the_next_method_where_a_result_is_a_loss(
    run: Run, tmp_path: Path, wrong: None, report: str
) -> None:
    save(tmp_path / "x.tif", soft())
    result = run("denoise", "x.tif", "--steps", 1, "--no-tta", "--json", report)
    assert result.code == 0
    assert f"x.tif: n2v gave a result {FAR} one, so gaussian is tried" in result.err
    found = json.loads(result.out)
    (one,) = found["results"]
    assert (one["method"], one["verdict"]) == ("gaussian", "better")
    (before,) = one["tried"]
    assert (before["method"], before["verdict"]) == ("n2v", "worse")
    assert before["gain"][0]["high"] < 0 < one["gain"][0]["low"]
    assert [t["method"] for t in found["trainings"]] == ["n2v", "gaussian"]
    clean = tifffile.imread("x_denoised.tif")
    gain = 10 * np.log10(((soft() - TRUTH) ** 2).mean() / ((clean - TRUTH) ** 2).mean())
    assert one["gain"][0]["low"] < gain
    assert Path("x_denoised.report.html").exists() == (report == "--report")


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_what_nothing_helps_is_written_unchanged(
    run: Run, tmp_path: Path, broken: Callable[..., None], dtype: type[np.generic]
) -> None:
    broken(lambda clean: clean + 500, "n2v", "gaussian")
    x = soft().astype(dtype)
    save(tmp_path / "x.tif", x)
    result = run("denoise", "x.tif", "--steps", 1, "--no-tta", "--json", "-q")
    assert result.code == 0
    assert "warning: x.tif: no method helped" in result.err
    assert np.array_equal(tifffile.imread("x_denoised.tif"), x)
    (one,) = json.loads(result.out)["results"]
    assert (one["method"], one["verdict"]) == ("unchanged", "unchanged")
    assert one["output"] == "x_denoised.tif"
    assert [t["method"] for t in one["tried"]] == ["n2v", "gaussian"]
    assert "written unchanged" in Path("x_denoised.report.html").read_text("utf-8")


def test_a_named_method_is_written_with_its_warning(run: Run, tmp_path: Path, wrong: None) -> None:
    save(tmp_path / "x.tif", soft())
    for report in ("--report", "--no-report"):
        options = ("--method", "n2v", *QUICK, "--no-tta", report, "--overwrite", "-q")
        result = run("denoise", "x.tif", *options)
        assert result.code == 0
        assert f"warning: x.tif: the result is {FAR} one; do not use it" in result.err
    assert not np.array_equal(tifffile.imread("x_denoised.tif"), soft())


def test_only_the_images_that_lose_go_on(
    run: Run, tmp_path: Path, broken: Callable[..., None]
) -> None:
    """A flat result is right for a flat image, and a loss for another."""
    broken(lambda clean: np.full_like(clean, 200.0))
    save(tmp_path / "in" / "flat.tif", 200 + 8 * white((128, 128), 1))
    save(tmp_path / "in" / "scene.tif", soft())
    found = document(run, "denoise", "in", "-o", "out", "--steps", 1, "--save-model", "m")
    results = {Path(r["input"]).name: r for r in found["results"]}
    assert results["flat.tif"]["tried"] == []
    assert [t["method"] for t in results["scene.tif"]["tried"]] == ["n2v"]
    assert [len(t["images"]) for t in found["trainings"]] == [2, 1]
    assert "method: n2v" in Path("m", "config.yaml").read_text()  # the model of both
    names = ["flat.tif", "report.html", "scene.tif", "unnoise-run.jsonl"]
    assert sorted(p.name for p in Path("out").iterdir()) == names


def test_train_and_predict_warn_and_have_their_documents(
    run: Run, tmp_path: Path, wrong: None
) -> None:
    save(tmp_path / "x.tif", soft())
    trained = run("train", "x.tif", "-o", "m", *QUICK, "--no-report", "--json")
    assert trained.code == 0
    assert f"warning: x.tif: the result is {FAR} one" in trained.err
    found = json.loads(trained.out)
    assert (found["command"], found["model"], found["report"]) == ("train", "m", None)
    (one,) = found["results"]
    assert (one["verdict"], one["output"], one["tried"]) == ("worse", None, [])
    assert found["trainings"][0]["steps"] == 2
    predicted = run("predict", "m", "x.tif", "-o", "y.tif", "--json")
    found = json.loads(predicted.out)
    assert f"warning: x.tif: the result is {FAR} one" in predicted.err
    assert (found["command"], found["model"]) == ("predict", None)
    assert found["report"] == "y.report.html"
    (one,) = found["results"]
    assert (one["method"], one["output"], one["verdict"]) == ("n2v", "y.tif", "worse")


def test_one_document_and_nothing_else_on_stdout_with_every_key(run: Run, tmp_path: Path) -> None:
    """The keys that docs/json.md promises."""
    save(tmp_path / "x.tif", soft())
    found = document(run, "denoise", "x.tif", "--method", "gaussian")
    assert set(found) == {
        "schema",
        "failed",
        "skipped",
        "unnoise",
        "command",
        "results",
        "trainings",
        "model",
        "report",
        "written",
        "warnings",
        "notes",
        "stopped",
        "seconds",
    }
    (one,) = found["results"]
    assert set(one) == {
        "input",
        "output",
        "uncertainty",
        "method",
        "verdict",
        "gain",
        "warnings",
        "seconds",
        "tried",
    }
    assert set(one["gain"][0]) == {"channel", "value", "low", "high"}
    assert set(found["trainings"][0]) == {"method", "chosen", "images", "steps", "seconds"}
    text = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
    for key in {*found, *one, *one["gain"][0], *found["trainings"][0]}:
        assert f"`{key}`" in text, key


def test_mere_noise_is_called_so(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(15).poisson(20, (96, 96)) + 100
    save(tmp_path / "x.tif", x.astype(np.uint16))
    found = document(run, "denoise", "x.tif", "--method", "gaussian")
    (one,) = found["results"]
    assert one["verdict"] == "no signal"
    assert any("nothing in the image rises above its noise" in w for w in one["warnings"])
    page = Path("x_denoised.report.html").read_text("utf-8")
    assert "estimated gain of" not in page


def test_a_model_that_makes_nan_writes_nothing(
    run: Run, tmp_path: Path, broken: Callable[..., None]
) -> None:
    save(tmp_path / "x.tif", soft())
    assert run("train", "x.tif", "-o", "m", *QUICK, "--no-report").code == 0
    broken(lambda clean: np.full_like(clean, np.nan), "n2v", "gaussian")
    result = run("predict", "m", "x.tif", "-o", "y.tif")
    assert result.code == 2
    assert "NaN or infinities" in result.err.splitlines()[-1]
    assert not Path("y.tif").exists()
    found = document(run, "denoise", "x.tif", "--steps", 1, *TINY)  # auto goes on to the end
    (one,) = found["results"]
    assert one["method"] == "unchanged"
    assert np.array_equal(tifffile.imread("x_denoised.tif"), soft().astype(np.float32))


def test_where_nothing_helps_there_is_no_uncertainty_either(
    run: Run, tmp_path: Path, wrong: None
) -> None:
    save(tmp_path / "x.tif", soft())
    options = ("--steps", 1, "--no-tta", "--uncertainty", "std.tif")
    (one,) = document(run, "denoise", "x.tif", *options)["results"]
    assert (one["method"], one["uncertainty"]) == ("unchanged", None)
    assert not Path("std.tif").exists()


def test_a_script_gets_the_next_method_too_or_its_image(broken: Callable[..., None]) -> None:
    x = soft().astype(np.float32)
    broken(lambda clean: clean + 500)
    clean = unnoise.denoise(x, steps=1)
    assert np.sqrt(((clean - TRUTH) ** 2).mean()) < 5
    broken(lambda clean: clean * np.nan, "n2v", "gaussian")
    with pytest.warns(UserWarning, match=r"no method helped \(n2v, gaussian .* unchanged"):
        same = unnoise.denoise(x, steps=1)
    assert np.array_equal(same, x)
    assert same is not x


def test_a_stopped_run_has_its_document(
    run: Run, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    save(tmp_path / "x.tif", soft())
    stop_after(2)
    result = run("denoise", "x.tif", "--steps", 9, *TINY, "--json")
    assert result.code == 130
    found = json.loads(result.out)
    assert "use it with unnoise predict" in found["stopped"]
    assert found["results"] == []
