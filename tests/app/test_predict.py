"""Results are written whatever becomes of the report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import unnoise
from synthetic import between
from unnoise.app import predict as job
from unnoise.app.denoise import denoise_files
from unnoise.app.events import Judged, Message, Saved
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.app.predict import predict_file
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.quality import assess as assessing
from unnoise.report import middle_plane
from unnoise.report.result_page import DenoisedPlane

TINY = Config().set("net.filters=4", "net.depth=1", "training.steps=1", "training.patch=32")


def image(shape: tuple[int, ...]) -> Image:
    return Image.from_array(np.random.default_rng(0).poisson(20, shape).astype(np.float32))


def write_file(
    tmp_path: Path, model: Model, x: Image, shown: list[DenoisedPlane] | None
) -> tuple[list[Any], NDArray]:
    target = tmp_path / "out.tif"
    writing = OutputOptions(None, None, True)
    events = list(predict_file(model, x, target, None, writing, "cpu", shown))
    return events, tifffile.imread(target)


def test_predict_file_writes_and_shows(tmp_path: Path) -> None:
    x = image((40, 44))
    model = unnoise.train(x, config=TINY)
    shown: list[DenoisedPlane] = []
    events, pixels = write_file(tmp_path, model, x, shown)
    assert Saved(tmp_path / "out.tif") in events
    assert np.allclose(pixels, predict_array(model, x))
    assert len(shown) == 1
    assert np.allclose(shown[0].clean[0], pixels)


def test_a_result_is_judged_without_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the Fourier ring correlation, which takes most of the time."""

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(assessing, "frc", never)
    x = image((40, 44))
    events, _ = write_file(tmp_path, unnoise.train(x, config=TINY), x, None)
    (found,) = [e for e in events if isinstance(e, Judged)]
    assert found.output == tmp_path / "out.tif"
    assert found.method == "n2v"
    ((channel, gain),) = found.gains
    assert channel == "1"
    assert gain is None or gain.low <= gain.value <= gain.high


def test_a_report_shows_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST_SHOWN", 1)
    x = image((40, 44))
    model, shown = unnoise.train(x, config=TINY), []
    for _ in range(2):
        write_file(tmp_path, model, x, shown)
    assert len(shown) == 1


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), ZeroDivisionError()])
def test_what_cannot_be_judged_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(middle_plane, "assess", broken)
    x = image((40, 44))
    shown: list[DenoisedPlane] = []
    events, pixels = write_file(tmp_path, unnoise.train(x, config=TINY), x, shown)
    assert shown == []
    assert pixels.shape == (40, 44)
    assert any(isinstance(e, Message) and "left out of the report" in e.text for e in events)


def test_rounded_results_are_known_to_be(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).poisson(0.2, (64, 64)).astype(np.uint8)
    x = Image.from_array(pixels)
    model = unnoise.train(x, config=TINY)
    for dtype, warned in (("uint8", True), (None, False), ("float32", False)):
        shown: list[DenoisedPlane] = []
        writing = OutputOptions(None, dtype, True)
        for _ in predict_file(model, x, tmp_path / "o.tif", None, writing, "cpu", shown):
            pass
        (found,) = shown[0].assessments
        assert any("--dtype float32" in w for w in found.warnings) == warned
        assert math.isfinite(found.bias.total_relative)


def test_exposures_far_apart_are_told_and_predicted_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = between(1, 9, (48, 48), width=3)
    for name, factor in (("dim", 1), ("bright", 100), ("huge", 10_000)):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.poisson(factor * scene).astype(np.float32))
    files = [tmp_path / "dim.tif", tmp_path / "bright.tif"]
    quiet = {"reading": InputOptions(), "reporting": ReportOptions(wanted=False), "device": "cpu"}
    place = tmp_path / "m"
    results = [OutputOptions(str(tmp_path / name), tta=True) for name in ("a", "b", "c.tif")]
    config = TINY.set("training.steps=3")
    made = [
        *denoise_files(files, config, writing=results[0], save_model=str(place), **quiet),
        *job.predict_files(place, files, writing=results[1], **quiet),
    ]
    told = [e.text for e in made if isinstance(e, Message)]
    assert any("2 groups" in text and "dim.tif; bright.tif" in text for text in told)
    assert not any("far in brightness" in text for text in told)
    for name in ("dim.tif", "bright.tif"):
        one, two = (tifffile.imread(tmp_path / folder / name) for folder in "ab")
        assert np.array_equal(one, two)
    alone = job.predict_files(place, [tmp_path / "huge.tif"], writing=results[2], **quiet)
    assert any("far in brightness" in e.text for e in alone if isinstance(e, Message))
