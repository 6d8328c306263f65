"""What a front end asks for is what the command line would do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import unnoise
from synthetic import photon_ground
from unnoise.app.cli.main import app
from unnoise.app.events import Saved, Skipped
from unnoise.app.session.request import BUDGETS, Request
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.training.auto import Auto

from .noisy_files import filtered, noisy_file

REQUESTS = [
    Request(("a.tif",)),
    Request(("-a.tif", "b c.tif"), out="clean/", budget="five", z="2:5", report=False),
    Request(("a.tif",), method="n2v", steps=3, settings=("mask.percent=5",), preview=(10, 20)),
    Request(("a.tif",), model="my.model", budget="five", dtype="float32", overwrite=True),
    Request(("a.tif",), method="gaussian", budget="five", device="cpu"),
    Request(("a.tif", "b.tif"), model="my.model", out="clean/", skip_existing=True),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_goes_through_json(request_: Request) -> None:
    assert Request.from_dict(json.loads(json.dumps(request_.to_dict()))) == request_


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_command_line_takes_the_command(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def job(*arguments: Any, **named: Any) -> Any:
        given["settings"] = arguments[1]
        yield from ()

    monkeypatch.setattr("unnoise.app.denoise.denoise_files", job)
    monkeypatch.setattr("unnoise.app.predict.predict_files", job)
    app(shlex.split(request_.command())[1:], standalone_mode=False)
    if request_.model is None:
        assert given["settings"] == request_.chosen()
    else:
        assert given["settings"] == list(request_.inputs)


def test_a_method_that_is_not_installed_any_more_is_named() -> None:
    request_ = Request(("a.tif",), method="gone", budget="five")
    assert "--method gone" in request_.command()
    with pytest.raises(InputError, match="gone"):
        request_.chosen()


def test_results_that_are_there_are_left_alone(tmp_path: Path) -> None:
    first, second = (noisy_file(tmp_path, f"{name}.tif") for name in "ab")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.tif").write_bytes(b"done before")
    asked = filtered(first, second, out=f"{out}/", skip_existing=True)
    found = [event for event in asked.events() if isinstance(event, Skipped | Saved)]
    assert found == [Skipped(first, out / "a.tif"), Saved(out / "b.tif")]
    assert (out / "a.tif").read_bytes() == b"done before"


def test_budgets_are_minutes_of_auto() -> None:
    for name, budget in BUDGETS.items():
        assert Request(("a.tif",), budget=name).chosen() == Auto(minutes=budget.minutes)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "no inputs"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": ["a"], "colour": 3}, "'colour'"),
        ({"inputs": "a.tif"}, "inputs"),
        ({"inputs": ["a"], "budget": "hour"}, "auto, instant"),
        ({"inputs": ["a"], "budget": ["auto"]}, "budget"),
        ({"inputs": ["a"], "report": 1}, "report"),
        ({"inputs": ["a"], "preview": [1, 2, 3]}, "preview"),
        ({"inputs": [None]}, "inputs"),
    ],
)
def test_what_is_no_request_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Request.from_dict(values)


def test_images_in_memory_give_what_files_give(tmp_path: Path) -> None:
    path = noisy_file(tmp_path)
    for _ in filtered(path, out=str(tmp_path / "file.tif")).events():
        pass
    image = unnoise.Image.from_array(photon_ground(seed=0).astype(np.uint16))
    for _ in filtered(Path("cells"), out=str(tmp_path / "memory.tif")).events([image]):
        pass
    clean = [unnoise.open(tmp_path / name).data[...] for name in ("file.tif", "memory.tif")]
    assert np.array_equal(*clean)


class Watched:
    """A lazy array that knows how much was asked for at a time."""

    def __init__(self, pixels: NDArray) -> None:
        self._pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.largest = 0

    def __getitem__(self, index: Any, /) -> NDArray:
        found: NDArray = self._pixels[index]
        self.largest = max(self.largest, found.size)
        return found


def test_lazy_images_are_read_frame_by_frame(tmp_path: Path) -> None:
    movie = np.stack([photon_ground(seed=n) for n in range(12)]).astype(np.uint16)
    watched = Watched(movie)
    out = tmp_path / "clean.tif"
    request_ = filtered(Path("movie"), out=str(out))
    for _ in request_.events([Image(watched, "TYX", {"T": 2.0}, {"T": "s"})]):
        pass
    assert 0 < watched.largest <= movie[0].size
    clean = unnoise.open(out)
    assert (clean.axes, clean.shape, clean.dtype) == ("TYX", movie.shape, movie.dtype)
    assert clean.scale["T"] == 2.0


def test_arrays_of_dask_stay_lazy(tmp_path: Path) -> None:
    import dask.array

    stack = np.stack([photon_ground(seed=n) for n in range(3)]).astype(np.uint16)
    image = Image.from_array(dask.array.from_array(stack, chunks=(1, -1, -1)), "TYX")
    places = [str(tmp_path / name) for name in ("lazy.tif", "plain.tif")]
    for place, one in zip(places, (image, Image(stack, "TYX")), strict=True):
        for _ in filtered(Path("stack"), out=place).events([one]):
            pass
    assert np.array_equal(*[unnoise.open(place).data[...] for place in places])


def test_a_file_among_images_is_refused(tmp_path: Path) -> None:
    from unnoise.app.files import InputOptions

    with pytest.raises(InputError, match=r"a\.tif is a file among images"):
        InputOptions().given(["a.tif", Image(np.zeros((8, 8)), "YX")])
    with pytest.raises(InputError, match="name each"):
        Request(("a", "b")).events([Image(np.zeros((8, 8)), "YX")])
