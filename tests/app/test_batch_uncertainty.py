"""Where uncertainties of several images go does not depend on which of them fail or are done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tifffile

from synthetic import photons
from tiny import tiny
from unnoise.app.denoise import denoise_files
from unnoise.app.events import Event, Failed, Message, Skipped
from unnoise.app.files import InputOptions, OutputOptions, ReportOptions
from unnoise.app.predict import predict_files
from unnoise.errors import InputError

Job = Callable[..., list[Event]]


@pytest.fixture(params=["denoise", "predict"])
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Denoises files, of which two are images and z.tif is broken, into out/."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        tifffile.imwrite(f"{name}.tif", photons((32, 36), seed=seed))
    Path("z.tif").write_bytes(b"no image")
    config = tiny("n2v", steps=1, loss="laplace")
    how: dict[str, Any] = {
        "reading": InputOptions(),
        "reporting": ReportOptions(wanted=False),
        "device": "cpu",
    }

    def denoised(*names: str, **own: Any) -> list[Event]:
        return list(denoise_files(names, config, writing=OutputOptions("out", **own), **how))

    def predicted(*names: str, **own: Any) -> list[Event]:
        return list(predict_files("m", names, writing=OutputOptions("out", **own), **how))

    if request.param == "denoise":
        return denoised
    list(denoise_files(["a.tif"], config, writing=OutputOptions("x.tif"), save_model="m", **how))
    return predicted


def test_what_fails_or_is_done_changes_no_name(job: Job) -> None:
    events = job("a.tif", "z.tif", uncertainty="std")
    assert [e.path.name for e in events if isinstance(e, Failed)] == ["z.tif"]
    assert Path("std/a.tif").exists()
    events = job("a.tif", "b.tif", uncertainty="std", skip_existing=True)
    assert [e.path.name for e in events if isinstance(e, Skipped)] == ["a.tif"]
    assert Path("std/b.tif").exists()


@pytest.mark.parametrize("other", ["b.tif", "z.tif"])
def test_one_file_for_the_uncertainties_of_several_is_always_refused(job: Job, other: str) -> None:
    with pytest.raises(InputError, match=r"s\.tif"):
        job("a.tif", other, uncertainty="s.tif")
    assert not Path("s.tif").exists()
    assert not Path("out").exists()


def test_an_uncertainty_that_lost_its_result_is_made_again(job: Job) -> None:
    """A run that ends between the two names has given that of the uncertainty first."""
    job("a.tif", "b.tif", uncertainty="std")
    whole = Path("std/b.tif").read_bytes()
    Path("out/b.tif").unlink()
    Path("std/b.tif").write_bytes(b"of the run before")
    with pytest.raises(InputError, match="exists"):
        job("b.tif", "z.tif", uncertainty="std")
    events = job("a.tif", "b.tif", uncertainty="std", skip_existing=True)
    assert Path("out/b.tif").exists()
    assert len(Path("std/b.tif").read_bytes()) == len(whole)
    assert any(isinstance(e, Message) and "without its result" in e.text for e in events)
