"""What the page of a job says of its results, and what it shows beside them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import tifffile

from unnoise.app.session.job import Job, Made
from unnoise.app.session.request import Request
from unnoise.app.web import job_page
from unnoise.app.web.gallery import Gallery, Picture
from unnoise.app.web.job_page import _JobPage, gains_of, pictures_of
from unnoise.app.web.workspace import Workspace
from unnoise.images.image import Image


def test_gains_that_are_no_numbers_are_not_told() -> None:
    job = Job("1", Request(("a.lif",)))
    gains = [["1", math.inf, -math.inf, math.inf], ["2", 5.0, 0.1, math.inf], ["3"]]
    job.judged = ({"image": "a.lif", "method": "n2v", "gains": gains},)
    (line,) = gains_of(job)
    assert line == "Estimated gain in PSNR: 5.0 dB (channel 2), at least 0.1; method n2v"
    job.judged = ({"image": "a.lif", "method": "n2v", "gains": gains[:1]},)
    assert gains_of(job) == []


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    return Gallery(workspace)


def done(request: Request) -> Job:
    """The job of a request, done in this process."""
    job = Job("1", request, state="running")
    for event in request.events():
        job.take(event)
    job.end(1.0)
    return job


def opened(gallery: Gallery, picture: Picture | None) -> Image:
    assert picture is not None
    image = gallery.image(gallery.name(picture))
    assert image is not None
    return image


def noise(*shape: int, mean: float) -> np.ndarray:
    return np.random.default_rng(0).normal(mean, 1, shape).astype(np.float32)


def test_a_result_is_shown_beside_its_own_image(gallery: Gallery, tmp_path: Path) -> None:
    """Of three images the first cannot be denoised."""
    tifffile.imwrite(tmp_path / "a.tif", np.full((32, 32), np.nan, np.float32))
    for name, mean in (("b", 100), ("c", 200)):
        tifffile.imwrite(tmp_path / f"{name}.tif", noise(32, 32, mean=mean))
    inputs = tuple(str(tmp_path / f"{name}.tif") for name in "abc")
    job = done(Request(inputs, out=f"{tmp_path / 'out'}/", method="gaussian", report=False))
    assert [made.result.name for made in job.made] == ["b.tif", "c.tif"]
    for made, mean in zip(job.made, (100, 200), strict=True):
        noisy, clean, spread = pictures_of(job.request, made)
        assert spread is None
        for picture in (noisy, clean):
            assert opened(gallery, picture).original().mean() == pytest.approx(mean, abs=1)


def test_of_several_images_of_a_file_the_right_one_is_shown(
    gallery: Gallery, tmp_path: Path
) -> None:
    path = tmp_path / "set.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for mean in (100, 200):
            file.write(noise(32, 32, mean=mean), metadata={"axes": "YX"}, contiguous=False)
    job = done(Request((str(path),), out=f"{tmp_path / 'out'}/", method="gaussian", report=False))
    assert len(job.made) == 2
    for made, mean in zip(job.made, (100, 200), strict=True):
        noisy, clean, _ = pictures_of(job.request, made)
        for picture in (noisy, clean):
            assert opened(gallery, picture).original().mean() == pytest.approx(mean, abs=1)
    gone = Picture(path, which=" (series 7)")
    assert gallery.image(gallery.name(gone)) is None


def test_a_result_whose_format_tells_no_axes_has_those_of_its_image(
    gallery: Gallery, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", noise(4, 3, 32, 32, mean=100))
    out = f"{tmp_path / 'out'}/"
    options = {"axes": "TCYX", "channels": "1", "method": "gaussian", "report": False}
    job = done(Request.from_dict({"inputs": [str(tmp_path / "a.npy")], "out": out, **options}))
    noisy, clean, _ = pictures_of(job.request, job.made[0])
    assert opened(gallery, clean).axes == opened(gallery, noisy).axes == "TYX"
    spread = Made(job.results[0], "", "TYX", job.results[0])
    assert opened(gallery, pictures_of(job.request, spread)[2]).axes == "TYX"


def test_a_result_of_which_nobody_knows_the_image_is_shown_alone() -> None:
    request = Request(("/a/x.tif", "/a/x.tiff"))
    assert pictures_of(request, Made(Path("/b/x.tiff")))[0] == Picture(Path("/a/x.tiff"))
    made = Made(Path("/b/x.ome.tif"))
    assert pictures_of(request, made)[0] is None
    assert pictures_of(Request(("/a/x.tif",)), made)[0] == Picture(Path("/a/x.tif"))
    known = Made(Path("/b/x.tiff"), "/a/x.tiff (series 2)")
    assert pictures_of(request, known)[0] == Picture(Path("/a/x.tiff"), which=" (series 2)")


def test_a_double_click_starts_a_job_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Job] = []

    def submit(request: Request, owner: str) -> Job:
        begun.append(Job(f"new{len(begun)}", request, owner))
        return begun[-1]

    page: Any = object.__new__(_JobPage)
    queue = SimpleNamespace(submit=submit)
    page._site = SimpleNamespace(queue=queue, again=lambda request: request)
    page._job, page._owner, page._next = Job("old", Request(("a.tif",))), "me", None
    ui = MagicMock()
    monkeypatch.setattr(job_page, "ui", ui)
    for _ in range(2):
        page._again()
    assert len(begun) == 1
    assert ui.navigate.to.call_args[0] == ("/job/new0",)
    begun[0].state = "failed"
    page._again()
    assert len(begun) == 2
