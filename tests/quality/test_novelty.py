"""Laws of novelty: training-like images pass, foreign textures, brightness and noise do not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.models.record import TrainingLook
from unnoise.quality.novelty import learn_look, novel_share, novelty

SHAPES = [(192, 192), (24, 64, 64)]
SIZE = 36


def texture(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> NDArray:
    x = ndimage.gaussian_filter(rng.normal(size=shape), width)
    return np.asarray(x / x.std())


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """Soft structures on a bright ground, with white noise."""
    return 100 + 20 * texture(rng, shape, 5) + 5 * rng.normal(size=shape)


def cells(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    """Bright bodies with photon noise on a dark ground: two kinds of pixels."""
    body = ndimage.gaussian_filter((texture(rng, shape, 6) > 1).astype(float), 1)
    return np.asarray(rng.poisson(10 + 60 * body).astype(float))


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], NDArray]] = {
    "smooth": smooth,
    "cells": cells,
}


def learnt(kind: str, shape: tuple[int, ...], n: int = 6) -> TrainingLook:
    rng = np.random.default_rng(0)
    return learn_look([KINDS[kind](rng, shape) for _ in range(n)], rng)


@pytest.fixture(scope="module")
def familiar() -> dict[tuple, TrainingLook]:
    return {(kind, shape): learnt(kind, shape) for kind in KINDS for shape in SHAPES}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("shape", SHAPES)
def test_images_like_the_training_ones_pass(
    familiar: dict, kind: str, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    known = familiar[kind, shape]
    shares = [novel_share(novelty(KINDS[kind](rng, shape), known)) for _ in range(8)]
    assert np.mean(shares) <= 0.02


def foreign(name: str, rng: np.random.Generator, x: NDArray) -> NDArray:
    """What is pasted in."""
    noise = rng.normal(size=x.shape)
    return {
        "finer": lambda: 100 + 20 * texture(rng, x.shape, 0.5) + 5 * noise,
        "brighter": lambda: 5 * x,
        "noisier": lambda: x + 20 * noise,
        "cleaner": lambda: ndimage.gaussian_filter(x, 1.5),
        "empty": lambda: np.zeros(x.shape),
    }[name]()


@pytest.mark.parametrize("name", ["finer", "brighter", "noisier", "cleaner", "empty"])
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_foreign_region_is_flagged_and_the_rest_is_not(
    familiar: dict, kind: str, shape: tuple[int, ...], name: str
) -> None:
    rng = np.random.default_rng(2)
    x = KINDS[kind](rng, shape)
    inside = np.zeros(shape, bool)
    inside[..., 2 : 2 + SIZE, 2 : 2 + SIZE] = True
    y = np.where(inside, foreign(name, rng, x), x)
    flagged = novelty(y, familiar[kind, shape]) > 1
    far = ndimage.distance_transform_edt(~inside) > 16  # one patch
    assert flagged[inside].mean() > 0.8
    assert flagged[far].mean() <= 0.04


def test_other_draws_of_the_noise_hardly_matter(familiar: dict) -> None:
    ground = 100 + 20 * texture(np.random.default_rng(3), SHAPES[0], 5)
    rng = np.random.default_rng(4)
    a, b = (
        novelty(ground + 5 * rng.normal(size=ground.shape), familiar["smooth", SHAPES[0]])
        for _ in range(2)
    )
    assert np.abs(a - b).mean() < 0.15


@pytest.mark.parametrize("n", [1, 2])
def test_few_images_are_enough(n: int) -> None:
    known = learnt("smooth", (192, 192), n)
    rng = np.random.default_rng(5)
    shares = [novel_share(novelty(smooth(rng, (192, 192)), known)) for _ in range(8)]
    assert np.mean(shares) < 0.06


@pytest.mark.parametrize("n", [1, 40])
def test_of_large_and_many_images_parts_are_enough(n: int) -> None:
    rng = np.random.default_rng(0)
    shape = (700, 700) if n == 1 else (64, 300)
    known = learn_look([smooth(rng, shape) for _ in range(n)], rng)
    assert novel_share(novelty(smooth(rng, shape), known)) < 0.03
    assert novel_share(novelty(smooth(rng, shape) * 3, known)) > 0.95


def test_it_is_a_few_dozen_plain_numbers(familiar: dict) -> None:
    known = familiar["cells", SHAPES[0]]
    text = json.dumps(dataclasses.asdict(known))
    again = TrainingLook(**json.loads(text))
    assert again == known
    assert text.count(",") < 100
    x = cells(np.random.default_rng(6), (64, 64))
    np.testing.assert_array_equal(novelty(x, again), novelty(x, known))


@pytest.mark.parametrize("offset", [60000, 1e6])
def test_an_offset_and_a_gain_of_both_change_nothing(offset: float) -> None:
    rng = np.random.default_rng(0)
    train, x = np.round(smooth(rng, (96, 96))), np.round(smooth(rng, (64, 64)))
    a = novelty(x, learn_look([train], np.random.default_rng(1)))
    b = novelty(4 * x + offset, learn_look([4 * train + offset], np.random.default_rng(1)))
    np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (16, 300)])
@pytest.mark.parametrize("value", [0, 65535])
def test_constants_and_tiny_images(shape: tuple[int, ...], value: int) -> None:
    x = np.full(shape, value, np.uint16)
    known = learn_look([x], np.random.default_rng(0))
    warning = novelty(x, known)
    assert warning.shape == shape
    assert np.isfinite(warning).all()
    assert novel_share(warning) == 0
    assert novel_share(novelty(x + np.random.default_rng(0).normal(size=shape), known)) == 1


def test_misuse_is_refused(familiar: dict) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="no training"):
        learn_look([], rng)
    with pytest.raises(InputError, match="2D and 3D"):
        learn_look([np.zeros((16, 16)), np.zeros((16, 16, 16))], rng)
    with pytest.raises(InputError, match="dimensions"):
        novelty(np.zeros((16, 16, 16)), familiar["smooth", SHAPES[0]])
