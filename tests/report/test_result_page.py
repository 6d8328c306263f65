"""From results to pages: what the report says, and that nothing in it is taken as HTML."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
from unnoise.app.files import ReportOptions
from unnoise.images.image import Image
from unnoise.noise.confidence_interval import Interval
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import VarianceCurve
from unnoise.quality.assess import Assessment, assess
from unnoise.quality.training_record import record
from unnoise.report.embedded_images import views
from unnoise.report.noise_page import noise_numbers, of_noise
from unnoise.report.page import render
from unnoise.report.page_parts import Chart, Page
from unnoise.report.result_page import DenoisedPlane, RunFacts, of_results, quality_numbers

HOSTILE = "<script>alert(1)</script>\"'&.tif"


def pixels(channels: int = 1, shape: tuple[int, int] = (64, 72)) -> NDArray:
    stripes = np.where(np.arange(shape[1]) // 8 % 2, 97.0, 103.0)
    return stripes + np.random.default_rng(0).normal(0, 5, (channels, *shape))


def judged(noisy: NDArray, noise: Any = None, **options: Any) -> Assessment:
    noise = VarianceCurve((0.0,), (25.0,)) if noise is None else noise
    found = ImageNoise((noise or None,), (0.02,), ("",))
    known = record([Image.from_array(noisy)], (0,), [0.0])
    return assess(noisy, np.full(noisy.shape, 100.0), found, known, 0, **options)


def shown(channels: int = 1, title: str = "cells.tif", **options: Any) -> DenoisedPlane:
    noisy = pixels(channels)
    values = {
        "title": title,
        "noisy": noisy,
        "clean": np.full_like(noisy, 100.0),
        "names": tuple(f"dye {i}" for i in range(channels)),
        "is_rgb": False,
        "pixel_size": (0.1, "micron"),
        "assessments": tuple(judged(plane) for plane in noisy),
        "judged": (slice(0, 64), slice(0, 72)),
    }
    return DenoisedPlane(**(values | options))


def html(*parts: DenoisedPlane, reports: Any = (), **options: Any) -> str:
    return render(of_results(parts, reports, title="Denoising", **options))


def titles(page: Page) -> list[str]:
    return [section.title for section in page.sections]


def test_a_result_has_its_picture_numbers_and_charts() -> None:
    page = of_results([shown()], (), title="Denoising", why=["auto: n2v"])
    first, quality = page.sections
    assert (first.title, quality.title) == ("cells.tif", "Quality, cells.tif")
    (picture,) = first.pictures
    assert picture.pixel_size == (0.1, "micron")
    assert picture.novelty is not None
    assert picture.leak is not None
    assert picture.uncertainty is not None
    names = [n.name for n in quality.numbers]
    assert {"estimated gain", "change of the mean", "unlike the training images"} < set(names)
    assert page.verdict.startswith("estimated gain of")
    assert page.verdict.endswith("auto: n2v")
    render(page)


def test_an_image_without_signal_headlines_no_gain_and_shows_its_noise_as_it_is() -> None:
    """A result that is flat has a gain of any size, and its own contrast is that of nothing."""
    noisy = 100 + 5 * np.random.default_rng(0).normal(size=(1, 64, 72))
    flat = np.full_like(noisy, 100.0) + np.linspace(0, 0.01, 72)
    found = judged(noisy[0])
    page = of_results([shown(noisy=noisy, clean=flat, assessments=(found,))], (), title="x")
    assert page.verdict == "nothing in the image rises above its noise"
    assert any("nothing in the image rises above its noise" in w for w in page.warnings)
    (picture,) = page.sections[0].pictures
    assert picture.clean is flat[0] or np.array_equal(picture.clean, flat[0])
    (view,) = views(picture, 1_000_000)
    scales = {layer.name: layer.scale for layer in view.layers}
    assert scales["noisy"] == scales["clean"]
    low, high = np.percentile(noisy, (0.1, 99.9))
    assert (scales["clean"].low, scales["clean"].high) == pytest.approx((low, high))
    render(page)


def test_channels_are_named_and_colours_are_one_picture() -> None:
    page = of_results([shown(2)], (), title="x")
    assert [p.title for p in page.sections[0].pictures] == [
        "cells.tif, channel dye 0",
        "cells.tif, channel dye 1",
    ]
    assert "Quality, cells.tif, channel dye 1" in titles(page)
    rgb = of_results([shown(3, is_rgb=True)], (), title="x")
    (picture,) = rgb.sections[0].pictures
    assert np.shape(picture.noisy) == (64, 72, 3)
    render(rgb)


def test_a_large_plane_is_shown_whole_and_its_middle_with_maps() -> None:
    noisy = pixels(1, (80, 90))
    cut = (slice(8, 72), slice(9, 81))
    part = noisy[0][cut]
    page = of_results(
        [shown(noisy=noisy, clean=noisy, assessments=(judged(part),), judged=cut)], (), title="x"
    )
    whole, middle = page.sections[0].pictures
    assert whole.novelty is None
    assert (whole.title, middle.title) == ("cells.tif", "cells.tif, middle")
    assert np.shape(middle.noisy) == (64, 72)
    assert middle.novelty is not None
    render(page)


def test_without_judgement_there_are_only_pictures() -> None:
    page = of_results([shown(assessments=())], (), title="x")
    assert titles(page) == ["cells.tif"]
    assert page.verdict == "finished"
    assert page.warnings == ()
    render(page)


def test_warnings_name_their_image_and_come_once() -> None:
    found = dataclasses.replace(judged(pixels()[0]), warnings=("mind the gap",))
    page = of_results([shown(assessments=(found,)), shown(assessments=(found,))], (), title="x")
    assert page.warnings == ("cells.tif: mind the gap",)


def test_a_warning_names_its_channel_unless_all_have_it() -> None:
    one = dataclasses.replace(judged(pixels()[0]), warnings=("blurred", "not white (+0.2)"))
    two = dataclasses.replace(one, warnings=("blurred", "not white (+0.5)"))
    plane = shown(2, assessments=(one, two), remark="all of it")
    assert plane.warnings == (
        "all of it",
        "blurred",
        "channel dye 0: not white (+0.2)",
        "channel dye 1: not white (+0.5)",
    )


def facts(history: list[dict[str, Any]], images: str = "cells.tif", seed: int = 0) -> RunFacts:
    return RunFacts(images, f"image: {images}", seed, history)


HISTORIES: list[list[dict[str, float]]] = [
    [{"step": 1, "loss": 1.0, "held_out": 0.9, "held_out_low": 0.8, "held_out_high": 1.0}],
    [{"step": 1, "held_out": 0.9}, {"step": 2, "held_out": 0.8}],
    [{"step": 1, "loss": math.nan, "held_out": 0.5}],
]


@pytest.mark.parametrize("history", HISTORIES)
def test_the_training_is_drawn(history: list[dict[str, float]]) -> None:
    page = of_results([shown()], (), title="x", runs=[facts(history)])
    assert titles(page)[-1] == "Training"
    assert "nan" not in re.sub(r"<style.*?</style>|<script.*?</script>", "", render(page), flags=16)


def test_stages_and_the_kept_validation_are_told_apart() -> None:
    history = [
        {"step": 1, "loss": 1.0, "held_out": 0.9, "stage": "n2v", "kept": True},
        {"step": 2, "loss": 5.0, "held_out": 4.0, "stage": "adapted", "kept": True},
        {"step": 3, "loss": 5.0, "held_out": 4.5, "stage": "adapted", "kept": False},
    ]
    page = of_results([shown()], (), title="x", runs=[facts(history)])
    (chart,) = page.sections[-1].charts
    assert isinstance(chart, Chart)
    assert [(s.label, list(s.x)) for s in chart.series] == [
        ("training, n2v", [1]),
        ("held out, n2v", [1]),
        ("training, adapted", [2, 3]),
        ("held out, adapted", [2, 3]),
        ("kept: 4 at step 2", [2]),
    ]


def test_several_models_have_settings_and_curve_each() -> None:
    one, two = facts(HISTORIES[0], "a.tif"), facts(HISTORIES[1], "b.tif")
    page = of_results([shown()], (), title="x", runs=[one, two])
    assert titles(page)[-2:] == ["Training of a.tif", "Training of b.tif"]
    assert [heading for heading, _ in page.settings] == ["Settings of a.tif", "Settings of b.tif"]
    assert page.seed == 0
    text = render(page)
    assert text.count("Loss against steps</figcaption>") == 2
    assert "<summary>Settings of b.tif</summary><pre><code>image: b.tif</code>" in text
    differ = of_results([], (), title="x", runs=[one, facts([], "b.tif", seed=1)])
    assert differ.seed is None
    assert titles(differ) == ["Training of a.tif"]


def test_one_model_has_settings_and_curve_without_a_name() -> None:
    page = of_results([shown()], (), title="x", runs=[facts(HISTORIES[0])])
    assert titles(page)[-1] == "Training"
    assert page.settings == (("Settings", "image: cells.tif"),)
    assert page.seed == 0


def test_hostile_names_are_text() -> None:
    noisy = np.random.default_rng(0).normal(100, 5, (96, 96))
    image = Image(noisy, "YX", path=Path(HOSTILE))
    report = unnoise.inspect(image)
    text = html(
        shown(2, title=HOSTILE, names=(HOSTILE, HOSTILE), pixel_size=(0.1, HOSTILE)),
        reports=[report],
        why=[HOSTILE],
        runs=[RunFacts(HOSTILE, HOSTILE, 0, HISTORIES[0])] * 2,
        command=HOSTILE,
    )
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in render(of_noise([report], [noisy], HOSTILE))


def test_nothing_is_loaded_from_anywhere() -> None:
    text = html(shown(), reports=[unnoise.inspect(pixels()[0])])
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?\s*(https?:)?//", text)
    assert "Content-Security-Policy" in text


# --- numbers ------------------------------------------------------------------------------------


def numbers(found: Assessment) -> dict[str, str]:
    return {n.name: n.value for n in quality_numbers(found)}


def test_numbers_of_a_result_are_those_of_the_assessment() -> None:
    found = judged(pixels()[0])
    assert found.gain is not None
    values = numbers(found)
    assert values["change of the mean"] == f"{-found.bias.total_relative:+.2%}"
    assert values["unlike the training images"] == f"{found.novel_share:.1%}"


@pytest.mark.parametrize("low", [2.0, -math.inf])
def test_a_gain_without_bounds_is_said_in_words(low: float) -> None:
    found = judged(pixels()[0])
    assert found.gain is not None
    endless = dataclasses.replace(found.gain, psnr=Interval(math.inf, low, math.inf), snr=math.inf)
    for consistent in (True, False):
        gain = dataclasses.replace(endless, consistent=consistent)
        text = " ".join(
            f"{n.value} {n.interval}"
            for n in quality_numbers(dataclasses.replace(found, gain=gain))
        )
        assert "inf" not in text
        assert "nan" not in text


def test_a_resolution_that_is_not_crossed() -> None:
    found = judged(pixels()[0], denoise=lambda y: y)
    assert found.before is not None
    values = numbers(dataclasses.replace(found, resolution_before=None, resolution_after=3.21))
    assert values["resolution (FRC 1/7)"] == "not crossed before, 3.2 pixels after"


def test_noise_numbers() -> None:
    report = unnoise.inspect(np.random.default_rng(0).normal(100, 5, (128, 128)))
    values = {n.name: n.value for n in noise_numbers(report.channels[0])}
    sd = float(values["noise, standard deviation"].split()[0])
    assert sd == pytest.approx(5, rel=0.05)
    assert "gain" not in values
    x = 20 + 60 * np.linspace(0, 1, 192) * np.ones((192, 1))
    photons = unnoise.inspect(3 * np.random.default_rng(0).poisson(x))
    found = {n.name: n.value for n in noise_numbers(photons.channels[0])}
    assert float(found["gain"].split()[0]) == pytest.approx(3, rel=0.3)


def test_pages_of_several_inspections_are_joined() -> None:
    rng = np.random.default_rng(0)
    reports = [unnoise.inspect(rng.normal(100, 5, (64, 64))) for _ in range(2)]
    pages = [of_noise([report], [None]) for report in reports]
    page = of_noise(reports, [None, None], "unnoise inspect a b")
    assert page.title == "Noise of 2 images"
    assert len(page.sections) == sum(len(p.sections) for p in pages)
    render(page)


# --- places -------------------------------------------------------------------------------------


def test_the_report_lies_beside_the_result(tmp_path: Path) -> None:
    reporting = ReportOptions()
    one, two = tmp_path / "a.tif", tmp_path / "b.tif"
    for replace in (False, True):
        assert reporting.place([one], overwrite=replace) == tmp_path / "a.report.html"
        assert reporting.place([one, two], overwrite=replace) == tmp_path / "report.html"
    for name in ("a.ome.tif", "a.nii.gz", "a.map.bz2", "a.ome.zarr"):
        assert reporting.place([tmp_path / name], overwrite=False) == tmp_path / "a.report.html"


def test_existing_reports_are_numbered(tmp_path: Path) -> None:
    reporting, one = ReportOptions(), tmp_path / "a.b.tif"
    for name in ("a.b.report.html", "a.b.report_2.html", "a.b.report_3.html"):
        assert reporting.place([one], overwrite=False) == tmp_path / name
        (tmp_path / name).touch()
    assert reporting.place([one], overwrite=True) == tmp_path / "a.b.report.html"
