"""What is chosen for the user, and that it is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import white
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.provenance import fingerprint
from unnoise.training.plan import DEFAULT_STEPS, MIN_SLICES, choose_ndim, describe, plan

N2N, CARE = Config(method="n2n"), Config(method="care")


def noise(shape: tuple[int, ...], axes: str, seed: int = 0) -> Image:
    return Image.from_array(white(shape, seed), axes)


@pytest.mark.parametrize(("slices", "ndim"), [(1, 2), (5, 2), (MIN_SLICES - 1, 2), (MIN_SLICES, 3)])
def test_dimensions_follow_the_number_of_slices(slices: int, ndim: int) -> None:
    image = noise((slices, 32, 32), "ZYX")
    model = plan([image])
    assert model.ndim == ndim
    assert model.config.ndim == ndim
    assert model.config.training.steps == DEFAULT_STEPS[ndim]
    assert f"{ndim}D net" in describe(model, [image])


def test_time_points_and_samples_never_make_a_stack() -> None:
    assert choose_ndim([noise((64, 32, 32), "TYX")], Config()) == 2
    assert choose_ndim([noise((64, 32, 32), "SYX")], Config()) == 2
    assert choose_ndim([noise((64, 32, 32), "ZYX"), noise((4, 32, 32), "ZYX")], Config()) == 2


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


# ---- Pairs ----


def along(axis: str, **changes: Any) -> Config:
    return N2N.set(f"pairs.axis={axis}").replace(**changes)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (N2N, r"n2n needs second noisy images \(--targets FOLDER, or --pairs T"),
        (CARE, r"care needs clean images \(--targets FOLDER\)"),
    ],
)
def test_missing_pairs_are_asked_for(config: Config, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        plan([noise((32, 32), "YX")], config)
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match="1 images but 0 targets"):
        plan([noise((32, 32), "YX")], config, [])


@pytest.mark.parametrize("method", ["n2v", "n2v2", "structn2v", "b2u", "gaussian", "tv"])
def test_superfluous_targets_are_refused(method: str) -> None:
    image = noise((32, 32), "YX")
    with pytest.raises(InputError, match=f"{method} learns from noisy images alone"):
        plan([image], Config(method=method), [image])


def test_pairs_have_one_source() -> None:
    image = noise((3, 32, 32), "TYX")
    with pytest.raises(InputError, match="give one of the two"):
        plan([image], along("T"), [image])
    assert plan([image], along("T")).target_affine is None
    assert plan([image], N2N, [image]).target_affine is None


@pytest.mark.parametrize("config", [N2N, CARE])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((32, 33), "YX"), ((33, 32), "YX"), ((3, 32, 32), "CYX"), ((2, 32, 32), "ZYX")],
)
def test_pairs_must_show_the_same_pixels(config: Config, shape: tuple[int, ...], axes: str) -> None:
    images = [noise((32, 32), "YX"), noise((32, 32), "YX")]
    with pytest.raises(InputError, match=r"differ in size.*same pixels") as caught:
        plan(images, config, [images[0], noise(shape, axes)])
    assert str(shape) in str(caught.value)
    with pytest.raises(InputError, match="2 images but 1 targets"):
        plan(images, config, images[:1])


def test_the_order_of_the_axes_of_a_target_is_free() -> None:
    image, target = noise((2, 40, 32), "CYX"), noise((32, 40, 2), "XYC")
    for config in (N2N, CARE):
        assert plan([image], config, [target]).channels == (0, 1)


@pytest.mark.parametrize(("axis", "axes"), [("T", "ZYX"), ("T", "YX"), ("S", "TYX"), ("Z", "TYX")])
def test_a_single_position_holds_no_pairs(axis: str, axes: str) -> None:
    good, bad = noise((3, 32, 32), f"{axis}YX"), noise((3, 32, 32)[-len(axes) :], axes)
    plan([good], along(axis))
    with pytest.raises(InputError, match=f"single position along {axis}.*axes {axes}.*no pairs"):
        plan([good, bad], along(axis))


def test_slices_that_are_pairs_make_no_stack() -> None:
    image = noise((MIN_SLICES + 4, 32, 32), "ZYX")
    assert plan([image]).ndim == 3
    assert choose_ndim([image], along("Z")) == plan([image], along("Z")).ndim == 2
    with pytest.raises(InputError, match=r"pairs along Z need a 2D net; add --2d"):
        plan([image], along("Z", ndim=3))
    stacks = noise((2, MIN_SLICES, 32, 32), "TZYX")
    assert plan([stacks], along("T")).ndim == 3


# ---- Statistics of pairs ----


def moments(*arrays: NDArray) -> tuple[NDArray, NDArray]:
    """Mean and deviation per channel of (c, y, x), by NumPy."""
    pixels = np.concatenate([a.reshape(len(a), -1) for a in arrays], 1)
    return pixels.mean(1), pixels.std(1)


def test_noisy_pairs_share_their_statistics_and_clean_images_have_their_own() -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.normal((5, 50), (1, 2), (32, 40, 2)).transpose(2, 0, 1) for _ in range(2)]
    other = [rng.normal((-3, 90), (4, 9), (32, 40, 2)).transpose(2, 0, 1) for _ in range(2)]
    images = [[Image.from_array(a, "CYX") for a in arrays] for arrays in (noisy, other)]
    care, n2n = plan(images[0], CARE, images[1]), plan(images[0], N2N, images[1])
    np.testing.assert_allclose([care.affine.mean, care.affine.std], moments(*noisy))
    assert care.target_affine is not None
    np.testing.assert_allclose([care.target_affine.mean, care.target_affine.std], moments(*other))
    np.testing.assert_allclose([n2n.affine.mean, n2n.affine.std], moments(*noisy, *other))
    assert n2n.target_affine is None
    assert plan(images[0]).target_affine is None


def test_a_channel_that_is_constant_on_either_side_is_not_learned() -> None:
    rng = np.random.default_rng(0)
    noisy, clean = rng.normal(size=(2, 3, 32, 32))
    noisy[0], clean[2] = 7, 9
    images = [Image.from_array(a, "CYX") for a in (noisy, clean)]
    assert plan(images[:1], CARE, images[1:]).channels == (1,)
    assert plan(images[:1], N2N, images[1:]).channels == (0, 1, 2)  # pooled, all vary
    with pytest.raises(InputError, match="constant"):
        plan(images[:1], CARE, [Image.from_array(np.ones((3, 32, 32)), "CYX")])


def test_the_model_knows_where_its_targets_come_from() -> None:
    image, target = noise((32, 32), "YX"), noise((32, 32), "YX", seed=1)
    model = plan([image], CARE, [target])
    assert [source.shape for source in model.provenance.targets] == [(32, 32)]
    assert model.provenance.target_dtype == "float64"
    assert model.provenance.fingerprint == fingerprint([image, target])
    assert plan([image]).provenance.targets == ()


# ---- Methods and their nets ----


def test_bm3d_works_on_planes() -> None:
    image = noise((MIN_SLICES, 32, 32), "ZYX")
    assert choose_ndim([image], Config(method="bm3d")) == 2
    assert choose_ndim([image], Config(method="tv")) == 3


@pytest.mark.parametrize(
    ("shape", "axes", "patch"),
    [
        ((300, 310), "YX", (256, 256)),
        ((200, 310), "YX", (200, 256)),
        ((17, 31), "YX", (17, 31)),
        ((3, 40, 50), "ZYX", (40, 50)),
        ((MIN_SLICES, 40, 150), "ZYX", (16, 40, 96)),
        ((40, 40, 50), "ZYX", (16, 40, 50)),
    ],
)
def test_classic_filters_are_calibrated_on_large_patches(
    shape: tuple[int, ...], axes: str, patch: tuple[int, ...]
) -> None:
    image = noise(shape, axes)
    model = plan([image], Config(method="gaussian"))
    assert model.patch == patch
    assert list(model.weights) == ["sigma"]
    assert model.is_one_by_one
    text = describe(model, [image])
    assert text.startswith("gaussian, axes")
    assert "calibrated" in text
    assert "net" not in text


def test_what_only_fits_stacks_is_refused_for_planes() -> None:
    image, stack = noise((32, 32), "YX"), noise((MIN_SLICES, 32, 32), "ZYX")
    along_z = Config(method="structn2v").set("mask.struct=z:3")
    assert plan([stack], along_z).ndim == 3
    with pytest.raises(InputError, match="3 dimensions but the net has 2"):
        plan([image], along_z)
    eight = Config(method="b2u").set("b2u.phases=8")
    assert plan([stack], eight).ndim == 3
    with pytest.raises(InputError, match="larger than the number of phases"):
        plan([image], eight)
    thin = Config().set("net.z_poolings=0")
    assert plan([stack], thin).ndim == 3
    with pytest.raises(InputError, match="for 3D nets"):
        plan([image], thin)


def test_slow_nets_get_fewer_steps_unless_told() -> None:
    image = noise((32, 32), "YX")
    slow = Config().set("net.unshuffle=1")
    fewer = plan([image], slow).config.training.steps
    assert fewer is not None
    assert 0 < fewer < DEFAULT_STEPS[2]
    assert plan([image], slow.set("training.steps=9000")).config.training.steps == 9000


def test_the_axis_of_the_pairs_is_told() -> None:
    image = noise((3, 32, 32), "TYX")
    assert "pairs along T" in describe(plan([image], along("T")), [image])


def test_the_hidden_structure_is_told() -> None:
    image = noise((32, 32), "YX")
    assert "structn2v (hides 1x5 pixels)" in describe(
        plan([image], Config(method="structn2v").set("mask.struct=horizontal:5")), [image]
    )
    separate = Config().set("net.channels=separate")
    colour = noise((2, 32, 32), "CYX")
    assert "2 channels each with its own net" in describe(plan([colour], separate), [colour])
