"""The report that a run leaves: where it lies, what it holds, and what it never spoils."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import unnoise
from synthetic import photons, smooth
from unnoise.app import predict as predict_job
from unnoise.app import telling
from unnoise.report import middle_plane

from .commands import QUICK, TINY, Run, save

PLAIN = ("--method", "n2v", *QUICK, "--no-tta")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Photon noise on smooth ground, with a pixel size."""
    light = np.maximum(smooth((96, 104), 6, 1, mean=60, sd=15), 1)
    return save(tmp_path / "cells.tif", photons(light.shape, light), scaled=True)


def names(folder: str | Path = ".") -> list[str]:
    return sorted(p.name for p in Path(folder).iterdir())


def words(path: str | Path) -> str:
    """The text of a page."""
    text = Path(path).read_text("utf-8")
    text = re.sub(r"<style.*?</style>|<script.*?</script>", "", text, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", "", text))


def test_denoising_one_file(run: Run, cells: Path) -> None:
    result = run("denoise", "cells.tif", *QUICK)
    assert result.code == 0, result.err
    assert names() == ["cells.tif", "cells_denoised.report.html", "cells_denoised.tif"]
    assert result.err.splitlines()[-1] == "wrote cells_denoised.report.html"
    text = words("cells_denoised.report.html")
    assert "Denoising: cells.tif" in text
    assert "auto: n2v" in text
    assert "estimated gain" in text
    assert "Noise variance against intensity" in text
    assert "Loss against steps" in text
    assert "unnoise denoise cells.tif --steps 2" in " ".join(text.split())
    assert "filters: 4" in text
    html = Path("cells_denoised.report.html").read_text("utf-8")
    assert not re.search(r"(src|href|action)=[\"']?https?:|url\([\"']?https?:", html)


def test_the_result_does_not_depend_on_the_report(run: Run, cells: Path) -> None:
    assert run("denoise", cells, *QUICK, "-o", "a.tif").code == 0
    assert run("denoise", cells, *QUICK, "-o", "b.tif", "--no-report").code == 0
    assert Path("a.tif").read_bytes() == Path("b.tif").read_bytes()
    assert names() == ["a.report.html", "a.tif", "b.tif", "cells.tif"]


def test_several_files_have_one_report_in_their_folder(run: Run, cells: Path) -> None:
    other = cells.with_name("more.tif")
    tifffile.imwrite(other, tifffile.imread(cells)[::-1])
    assert run("denoise", cells, other, "-o", "out/", *PLAIN).code == 0
    assert names("out") == ["cells.tif", "more.tif", "report.html", "unnoise-run.jsonl"]
    text = words("out/report.html")
    assert "Denoising: cells.tif and 1 more" in text
    assert "Quality, more.tif" in text
    assert run("denoise", cells, other, "-o", "none/", *PLAIN, "--no-report").code == 0
    assert names("none") == ["cells.tif", "more.tif", "unnoise-run.jsonl"]


def test_every_model_of_a_run_shows_its_settings_and_its_curve(run: Run, cells: Path) -> None:
    tifffile.imwrite("more.tif", tifffile.imread(cells)[::-1])
    assert run("denoise", cells, "more.tif", "--each", "-o", "out/", *PLAIN).code == 0
    text = words("out/report.html")
    for name in ("cells.tif", "more.tif"):
        assert f"Training of {name}" in text
        assert f"Settings of {name}" in text
    assert text.count("Loss against steps") == 2
    assert text.count("method: n2v") == 2
    assert run("denoise", cells, "more.tif", "-o", "joint/", *PLAIN).code == 0
    assert words("joint/report.html").count("Loss against steps") == 1


def test_training_and_predicting(run: Run, cells: Path) -> None:
    assert run("train", cells, "-o", "m", *QUICK).code == 0
    assert "Training: cells.tif" in words("m/report.html")
    assert "Loss against steps" in words("m/report.html")
    unnoise.load("m")
    assert run("predict", "m", cells, "-o", "clean.tif").code == 0
    text = words("clean.report.html")
    assert "Prediction: cells.tif" in text
    assert "with the model m" in text
    assert "estimated gain" in text
    assert run("predict", "m", cells, "-o", "bare.tif", "--no-report").code == 0
    assert run("train", cells, "-o", "n", *QUICK, "--no-report").code == 0
    assert "report.html" not in names("n")
    assert names() == ["bare.tif", "cells.tif", "clean.report.html", "clean.tif", "m", "n"]
    assert run("train", cells, "-o", "m", *QUICK, "--overwrite", "--no-report").code == 0
    assert "report.html" not in names("m")  # that of another training is gone with it


def test_a_resumed_training_writes_the_report(
    run: Run, cells: Path, stop_after: Callable[[int], None]
) -> None:
    stop_after(3)
    assert run("train", cells, "-o", "m", "--steps", 6, *TINY).code == 130
    assert "report.html" not in names("m")
    stop_after(0)
    assert run("train", "--resume", "m").code == 0
    assert "Training: cells.tif" in words("m/report.html")


def test_existing_reports_stay(run: Run, cells: Path) -> None:
    mine = Path("cells_denoised.report.html")
    mine.write_text("mine")
    assert run("denoise", cells, *PLAIN).code == 0
    assert mine.read_text() == "mine"
    assert "Denoising" in words("cells_denoised.report_2.html")
    assert run("denoise", cells, *PLAIN, "--overwrite").code == 0
    assert mine.read_text() != "mine"
    assert names() == [
        "cells.tif",
        "cells_denoised.report.html",
        "cells_denoised.report_2.html",
        "cells_denoised.tif",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_hostile_names_are_text(run: Run, cells: Path) -> None:
    hostile = cells.rename(cells.with_name("a<img src=x onerror=alert(1)>&\"'.tif"))
    assert run("denoise", hostile, *PLAIN, "-o", "out.tif").code == 0
    html = Path("out.report.html").read_text("utf-8")
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert hostile.name in words("out.report.html")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((16, 16), "YX"), ((2, 20, 24), "TYX"), ((17, 16, 20), "ZYX"), ((2, 24, 20), "CYX")],
)
@pytest.mark.parametrize("offset", [0, 65000])
def test_small_images_of_any_axes(
    run: Run, tmp_path: Path, shape: tuple[int, ...], axes: str, offset: int
) -> None:
    x = np.random.default_rng(0).poisson(20, shape) + offset
    tifffile.imwrite(tmp_path / "x.tif", x.astype(np.uint16), imagej=True, metadata={"axes": axes})
    result = run("denoise", "x.tif", *QUICK, "--no-tta")
    assert result.code == 0, result.err
    assert "no report" not in result.err
    assert "left out of the report" not in result.err
    assert "Quality, x.tif" in words("x_denoised.report.html")


@pytest.mark.parametrize("method", ["n2v2", "b2u", "gaussian", "nlm", "care", "n2n"])
def test_every_method_has_a_report(run: Run, cells: Path, method: str) -> None:
    options: tuple[Any, ...] = () if method in ("gaussian", "nlm") else QUICK
    if method in ("care", "n2n"):
        light = np.maximum(smooth((96, 104), 6, 1, mean=60, sd=15), 1)  # of the same scene
        target = np.random.default_rng(9).poisson(light).astype(np.float32)
        tifffile.imwrite("second.tif", target)
        options += ("--targets", "second.tif")
    result = run("denoise", cells, "--method", method, *options, "-o", "o.tif", "--no-tta")
    assert result.code == 0, result.err
    assert "no report" not in result.err
    assert "left out of the report" not in result.err
    assert "Denoising: cells.tif" in words("o.report.html")


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), OSError(28, "No space left")])
@pytest.mark.parametrize("where", ["show", "write_page", "of_results"])
def test_a_report_that_fails_costs_only_itself(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    from unnoise.app import denoise as jobs

    def broken(*args: Any, **options: Any) -> Any:
        raise error

    for module in (middle_plane, predict_job, telling, jobs):
        if hasattr(module, where):
            monkeypatch.setattr(module, where, broken)
    for command in (("denoise", cells, "-o", "o.tif", *PLAIN), ("train", cells, "-o", "m", *QUICK)):
        result = run(*command)
        assert result.code == 0, result.err
        assert "report" in result.err
        assert "Traceback" not in result.err
    assert tifffile.imread("o.tif").shape == (96, 104)
    unnoise.load("m")
    assert not [name for name in (*names(), *names("m")) if "part" in name]
    result = run("predict", "m", cells, "-o", "p.tif")
    assert result.code == 0, result.err


def test_a_folder_in_the_place_of_the_report(run: Run, cells: Path) -> None:
    Path("cells_denoised.report.html").mkdir()
    result = run("denoise", cells, *PLAIN, "--overwrite")
    assert result.code == 0, result.err
    assert "no report was written" in result.err
    assert names() == ["cells.tif", "cells_denoised.report.html", "cells_denoised.tif"]


@pytest.mark.parametrize("events", [1, 3, 4, 5])
def test_a_stopped_run_leaves_no_report(
    run: Run, cells: Path, stop_after: Callable[[int], None], events: int
) -> None:
    stop_after(events)
    result = run("denoise", cells, *PLAIN)
    left = names()
    if result.code == 130:
        assert not [name for name in left if "report" in name]
        assert "cells_denoised.model" in left
    assert not [name for name in left if name.startswith(".")]


@pytest.mark.parametrize("where", ["show", "write_page"])
def test_ctrl_c_while_the_report_is_made_leaves_the_result(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def stopped(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    module = predict_job if where == "show" else telling
    monkeypatch.setattr(module, where, stopped)
    result = run("denoise", cells, *PLAIN)
    assert result.code == 130
    assert names() == ["cells.tif", "cells_denoised.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_real_ctrl_c_leaves_neither_report_nor_half_a_file(cells: Path) -> None:
    command = [
        sys.executable,
        "-u",
        "-m",
        "unnoise",
        "denoise",
        str(cells),
        "--steps",
        "99999",
    ]
    command += [str(option) for option in TINY]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cells.parent)
    assert process.stderr is not None
    for line in process.stderr:
        if "training: step" in line:
            process.send_signal(signal.SIGINT)
            break
    process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    assert names(cells.parent) == ["cells.tif", "cells_denoised.model"]
    assert "report.html" not in names(cells.parent / "cells_denoised.model")


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def browser() -> Iterator[Any]:
    """The headless browser of the tests of the page."""
    import importlib.util

    pytest.importorskip("fcntl", reason="the DevTools pipe needs POSIX file descriptors")
    path = Path(__file__).parents[1] / "report" / "test_browser.py"
    spec = importlib.util.spec_from_file_location("browser_of_reports", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    programs = [p for p in (*map(shutil.which, module.NAMES), module.MAC) if p and Path(p).exists()]
    if not programs:
        pytest.skip("no Chromium or Chrome is installed on this machine")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = module.Browser(programs[0], Path(profile))
        try:
            yield found
        finally:
            found.close()


def test_the_report_of_a_run_in_a_browser(run: Run, cells: Path, browser: Any) -> None:
    assert run("denoise", cells, *QUICK).code == 0
    path = Path("cells_denoised.report.html").resolve()
    browser.open(path)
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.clip() == pytest.approx(0.5, abs=0.01)
    browser.run("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    browser.frame()
    box, image = browser.box(".stage"), browser.box(".view:not([hidden])")
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    browser.drag(middle, (middle[0] + 60, middle[1]))
    expected = (middle[0] + 60 - image["x"]) / image["width"]
    assert browser.clip() == pytest.approx(expected, abs=0.02)
    browser.frame()
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]
    assert "estimated" in browser.run("document.body.innerText")


@pytest.mark.slow
def test_the_report_of_a_large_noisy_image_stays_below_5_mb(run: Run, tmp_path: Path) -> None:
    """The whole plane and its middle with all maps are both shown; noise compresses badly."""
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "big.tif", rng.poisson(80, (2048, 2048)).astype(np.uint16))
    assert run("denoise", "big.tif", *TINY, "--steps", "1", "--no-tta", "-q").code == 0
    size = (tmp_path / "big_denoised.report.html").stat().st_size
    assert 1_000_000 < size < 5_000_000
