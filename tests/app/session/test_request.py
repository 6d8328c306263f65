"""What a front end asks for is what the command line would do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unnoise
from synthetic import photon_ground
from unnoise.app.cli.main import app
from unnoise.app.session.request import BUDGETS, Request
from unnoise.errors import InputError
from unnoise.training.auto import Auto

from .noisy_files import filtered, noisy_file

REQUESTS = [
    Request(("a.tif",)),
    Request(("-a.tif", "b c.tif"), out="clean/", budget="five", z="2:5", report=False),
    Request(("a.tif",), method="n2v", steps=3, settings=("mask.percent=5",), preview=(10, 20)),
    Request(("a.tif",), model="my.model", budget="five", dtype="float32", overwrite=True),
    Request(("a.tif",), method="gaussian", budget="five", device="cpu"),
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


def test_budgets_are_minutes_of_auto() -> None:
    for name, budget in BUDGETS.items():
        assert Request(("a.tif",), budget=name).chosen() == Auto(minutes=budget.minutes)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "no inputs"),
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
