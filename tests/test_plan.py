"""What is chosen for the user, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.config import Config
from unnoise.errors import InputError
from unnoise.image import Image
from unnoise.plan import DEFAULT_STEPS, MIN_SLICES, choose_ndim, describe, fingerprint, plan


def noise(shape: tuple[int, ...], axes: str, seed: int = 0) -> Image:
    return Image.from_array(np.random.default_rng(seed).normal(size=shape), axes)


@pytest.mark.parametrize(("slices", "ndim"), [(1, 2), (5, 2), (MIN_SLICES - 1, 2), (MIN_SLICES, 3)])
def test_dimensions_follow_the_number_of_slices(slices: int, ndim: int) -> None:
    image = noise((slices, 32, 32), "ZYX")
    model = plan([image])
    assert model.ndim == ndim
    assert model.config.ndim == ndim
    assert model.config.training.steps == DEFAULT_STEPS[ndim]
    assert f"{ndim}D net" in describe(model, [image])


def test_time_points_and_samples_never_make_a_stack() -> None:
    assert choose_ndim([noise((64, 32, 32), "TYX")]) == 2
    assert choose_ndim([noise((64, 32, 32), "SYX")]) == 2
    assert choose_ndim([noise((64, 32, 32), "ZYX"), noise((4, 32, 32), "ZYX")]) == 2


@pytest.mark.parametrize(
    ("shape", "axes", "patch"),
    [
        ((200, 300), "YX", (64, 64)),
        ((63, 300), "YX", (48, 48)),
        ((300, 17), "YX", (16, 16)),
        ((40, 80, 90), "ZYX", (16, 32, 32)),
        ((18, 20, 90), "ZYX", (16, 16, 16)),
    ],
)
def test_patches_shrink_to_the_image(
    shape: tuple[int, ...], axes: str, patch: tuple[int, ...]
) -> None:
    assert plan([noise(shape, axes)]).patch == patch


def test_three_dimensions_need_slices() -> None:
    with pytest.raises(InputError, match="3 Z slices"):
        plan([noise((3, 32, 32), "ZYX")], Config().replace(ndim=3))
    assert plan([noise((5, 32, 32), "ZYX")], Config().replace(ndim=3)).patch == (4, 32, 32)


def test_images_must_be_alike() -> None:
    with pytest.raises(InputError, match="has 2 channels but the image has 1"):
        plan([noise((32, 32), "YX"), noise((2, 32, 32), "CYX")])
    with pytest.raises(InputError, match="no images"):
        plan([])


def test_budgets_are_kept_as_given() -> None:
    image = noise((32, 32), "YX")
    timed = plan([image], Config().replace(training={"minutes": 3.0}))
    assert (timed.config.training.minutes, timed.config.training.steps) == (3.0, None)
    assert "3 min" in describe(timed, [image])
    assert plan([image], Config().replace(training={"steps": 7})).config.training.steps == 7


def test_fingerprint_tells_images_apart() -> None:
    first = fingerprint([noise((32, 32), "YX")])
    assert first == fingerprint([noise((32, 32), "YX")])
    assert first != fingerprint([noise((32, 32), "YX", seed=1)])
    assert first != fingerprint([noise((32, 32), "XY")])


def test_channels_and_copies_are_told() -> None:
    x = np.random.default_rng(0).normal(size=(3, 32, 32))
    x[2] = 5
    image = Image.from_array(x, "CYX")
    text = describe(plan([image]), [image])
    assert "2 channels one by one" in text
    assert "1 constant or transparency channel copied" in text
