"""A look says what would be done, refuses what cannot be, and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unnoise
from synthetic import photon_ground
from unnoise.app.session.look import look
from unnoise.app.session.request import Request
from unnoise.errors import InputError

from .noisy_files import QUICK, noisy_file, trained


def test_it_tells_what_the_run_then_does(tmp_path: Path) -> None:
    path = noisy_file(tmp_path)
    before = sorted(tmp_path.iterdir())
    found = look(Request((str(path),), budget="instant"))
    assert (found.images, found.axes, found.dtype) == (1, "YX", "uint16")
    assert found.method == "instant"
    assert found.seconds is not None
    assert 0 < found.seconds < 300
    assert 1e8 < found.memory < 1e10
    words = found.words()
    for part in ("cells.tif", "independent from pixel to pixel", "instant", "memory"):
        assert part in words
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_is_used_and_timed(tmp_path: Path) -> None:
    path, folder = noisy_file(tmp_path), tmp_path / "a.model"
    config = unnoise.Config().set("training.steps=2", *QUICK)
    unnoise.train(unnoise.open(path), config=config).save(folder)
    found = look(Request((str(path),), model=str(folder)))
    assert found.method == "n2v"
    assert str(folder) in found.why
    assert found.seconds is not None


def test_an_uncertainty_takes_a_net_that_tells_one(tmp_path: Path) -> None:
    request = Request((str(noisy_file(tmp_path)),), uncertainty="spread.tif")
    assert look(request).method == "n2v"
    with pytest.raises(InputError, match="predicts no uncertainty"):
        look(replace(request, method="gaussian"))


def test_several_images_and_one_that_is_broken(tmp_path: Path) -> None:
    paths = [noisy_file(tmp_path, f"{n}.tif", seed=n) for n in range(4)]
    (tmp_path / "bad.tif").write_bytes(b"II*")
    found = look(trained(*paths, tmp_path / "bad.tif", steps=30))
    assert found.images == 4
    assert any("bad.tif" in text for text in found.warnings)
    assert "3 more images" in found.words()


def test_images_in_memory() -> None:
    image = unnoise.Image(
        photon_ground(seed=0).astype(np.float32), "YX", {"X": 0.1}, {"X": "micron"}, ("nuclei",)
    )
    found = look(Request(("my layer",), method="gaussian"), [image])
    assert found.channels == ("nuclei",)
    assert "X 0.1 micron" in found.words()
    assert found.method == "gaussian"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Request(("nothing.tif",)), "no such file"),
        (Request(("nothing.tif",), method="magic"), "magic"),
        (Request(("nothing.tif",), model="no.model"), "no"),
    ],
)
def test_what_cannot_be_is_refused(request_: Request, text: str) -> None:
    with pytest.raises(InputError, match=text):
        look(request_)
