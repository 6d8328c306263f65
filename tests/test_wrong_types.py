"""What a call does not take is refused in our own words, which name the parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from synthetic import white
from tiny import two_steps
from unnoise.errors import InputError

X = white((24, 28)).astype(np.float32)


class Odd:
    """Of no use."""


NO_IMAGES: list[Any] = [
    [[1, 2], [3]],
    [X, None],
    "a.tif",
    Path("a.tif"),
    {"a": X},
    {1, 2},
    3,
    True,
    b"abc",
    Odd(),
    (x for x in [X]),
    np.array("abc"),
    np.array(None),
    np.array([X, None], dtype=object),
    np.float32(3),
    X.astype(complex),
    torch.zeros(24, 24, requires_grad=True),
    [],
]
NO_TEXTS: list[Any] = [3, 2.5, [], {}, X, Odd(), True, b"x", np.int64(3)]
NO_NUMBERS: list[Any] = ["a", [], {}, X, Odd(), b"x", 0, -1, float("nan"), float("inf")]
NO_SETTINGS: list[Any] = ["a", 3, [], {}, X, Odd(), True]


@pytest.fixture(scope="module")
def model() -> unnoise.Model:
    return unnoise.train(X, method="gaussian")


def kind(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("value", [*NO_IMAGES, None], ids=kind)
def test_no_images(value: Any, model: unnoise.Model, tmp_path: Path) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "image": lambda: unnoise.denoise(value, method="gaussian"),
        "images": lambda: unnoise.train(value, method="gaussian"),
        "array": lambda: unnoise.save(tmp_path / "x.npy", value),
    }
    calls |= {
        f"image {call.__name__}": lambda call=call: call(value)
        for call in (unnoise.inspect, unnoise.fill_missing, model.predict)
    }
    for name, call in calls.items():
        if isinstance(value, list) and name == "images":
            continue
        with pytest.raises(InputError, match=name.partition(" ")[0]):
            call()
    if value is not None:
        with pytest.raises(InputError, match="targets"):
            unnoise.denoise(X, value, method="n2n", steps=1)


def test_no_images_among_others() -> None:
    for value, name in (([X, None], r"images\[1\]"), ([X, "a.tif"], r"images\[1\]"), ([], "image")):
        with pytest.raises(InputError, match=name):
            unnoise.train(value, method="gaussian")


def test_what_numpy_takes_for_an_array_is_taken() -> None:
    expected = unnoise.denoise(X, method="gaussian")
    for same in (X.tolist(), torch.from_numpy(X)):
        np.testing.assert_allclose(unnoise.denoise(same, method="gaussian"), expected, rtol=1e-4)


@pytest.mark.parametrize("value", NO_TEXTS, ids=kind)
@pytest.mark.parametrize("name", ["axes", "method", "device"])
def test_no_texts(name: str, value: Any) -> None:
    options = {"steps": 1} if name == "method" else {"config": two_steps()}
    with pytest.raises(InputError, match=name):
        unnoise.denoise(X, **options | {name: value})


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: f"{value!r:.9}")
@pytest.mark.parametrize("name", ["steps", "minutes", "seed"])
def test_no_numbers(name: str, value: Any) -> None:
    if name == "seed" and isinstance(value, int) and value == 0:
        return
    with pytest.raises(InputError, match=name):
        unnoise.denoise(X, method="n2v", **{name: value})
    if name != "seed":
        with pytest.raises(InputError, match=name):
            unnoise.train(X, **{name: value})


@pytest.mark.parametrize("value", NO_SETTINGS, ids=kind)
def test_no_settings(value: Any) -> None:
    with pytest.raises(InputError, match="config"):
        unnoise.denoise(X, config=value)
    if not isinstance(value, str):
        with pytest.raises(InputError, match="name"):
            unnoise.Config.preset(value)
        with pytest.raises(InputError, match="setting"):
            unnoise.Config().set(value)
        with pytest.raises(InputError, match="text"):
            unnoise.Config.from_yaml(value)


@pytest.mark.parametrize("value", NO_TEXTS, ids=kind)
def test_no_names_of_files(value: Any, model: unnoise.Model) -> None:
    for name, call in (
        ("folder", lambda: unnoise.load(value)),
        ("folder", lambda: model.save(value)),
        ("path", lambda: unnoise.save(value, X)),
        ("like", lambda: unnoise.save("x.npy", X, like=value)),
    ):
        with pytest.raises(InputError, match=name):
            call()
    if not isinstance(value, np.ndarray):  # arrays are opened too
        with pytest.raises(InputError, match="path"):
            unnoise.open(value)


@pytest.mark.parametrize("value", NO_TEXTS, ids=kind)
def test_no_options_of_a_prediction(value: Any, model: unnoise.Model) -> None:
    for name in ("axes", "device", "backend"):
        with pytest.raises(InputError, match=name):
            model.predict(X, **{name: value})
    if not isinstance(value, bool):
        with pytest.raises(InputError, match="tta"):
            model.predict(X, tta=value)
    if not isinstance(value, list | dict | np.int64):  # which NumPy takes for types
        with pytest.raises(InputError, match="dtype"):
            model.predict(X, dtype="text" if value is True else value)
