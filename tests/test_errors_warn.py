"""Warnings tell the line of a script that led to them, so each of its lines is warned."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType

import numpy as np
import pytest

import unnoise
from unnoise import api, errors
from unnoise.models.rounding_loss import RoundingLoss
from unnoise.nets.own_state import own_state

LABELS = np.zeros((64, 64), np.uint8)
LABELS[8:30, 5:25], LABELS[40:60, 30:50] = 1, 2
NOISY = np.random.default_rng(0).poisson(9.0, (64, 64)).astype(np.uint16)


@pytest.fixture
def in_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_in_shell", False)


def told(call: Callable[[], object]) -> list[tuple[str, int]]:
    """File and line of each warning of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        call()
    return [(one.filename, one.lineno) for one in caught]


def line(call: Callable[[], object]) -> tuple[str, int]:
    """The line of a function of two."""
    assert isinstance(call, FunctionType)
    return __file__, call.__code__.co_firstlineno + 1


def test_labels_are_told_at_the_line_of_the_caller() -> None:
    def train() -> object:
        return unnoise.train(LABELS, method="gaussian")

    def denoise() -> object:
        return unnoise.denoise(LABELS, method="gaussian")

    assert told(train) == [line(train)]
    assert told(denoise) == [line(denoise)]


def test_each_line_of_a_script_is_told_that_an_image_comes_back_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python shows a text once for each line; ours was one line for all calls of a program."""
    monkeypatch.setattr(api, "_helps", lambda *_: False)

    def first() -> object:
        return unnoise.denoise(NOISY, steps=1)

    def second() -> object:
        return unnoise.denoise(NOISY, steps=1)

    assert told(lambda: (first(), second())) == [line(first), line(second)]


def test_models_warn_at_the_line_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoundingLoss, "is_large", True)
    model = unnoise.train(NOISY, method="gaussian")

    def predict() -> object:
        return model.predict(NOISY)

    assert told(predict) == [line(predict)]


def test_frames_of_other_libraries_in_between_are_passed() -> None:
    """A function of ours, called by a library that one of ours has called."""
    ours: dict[str, object] = {"__name__": "unnoise.some", "warn": errors.warn, "map": map}
    exec("def deep(_): warn('deep')\ndef outer(call): call(deep)", ours)
    outer: Callable[[object], object] = own_state()(ours["outer"])  # type: ignore[arg-type,type-var,assignment]

    def library(call: Callable[[int], object]) -> None:
        call(0)

    def script() -> object:
        return outer(library)

    assert told(script) == [line(script)]


@pytest.mark.usefixtures("in_a_script")
def test_warnings_name_parameters_to_scripts() -> None:
    with pytest.warns(UserWarning, match="choose device='cpu'"):
        errors.warn("choose --device cpu")
    with errors.naming_options(), pytest.warns(UserWarning, match="choose --device cpu"):
        errors.warn("choose --device cpu")
