"""Laws of the crops, on images whose values are their coordinates."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from unnoise.images.held_out import HELD_OUT_BOX
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.training.crops import Crops, PairedImages, Patches

Shape = tuple[int, ...]
NONE = ((0, False),)
ALL = tuple(itertools.product(range(4), (False, True)))


class Coordinates:
    """A lazy image whose pixels are their own flat index; it remembers the largest read."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.dtype, self.largest = shape, np.dtype(np.float64), 0

    def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
        ranges = [np.arange(n)[w] for w, n in zip(where, self.shape, strict=True)]
        block = np.ravel_multi_index(np.ix_(*ranges), self.shape)
        self.largest = max(self.largest, block.size)
        return block.astype(np.float64)


def crops(*arrays: Any, axes: str, patch: Shape, **options: Any) -> Crops:
    images = [Image.from_array(a, axes) for a in arrays]
    n = images[0].sizes["C"]
    # Exact in float32: integers below 2^24, a shift by an integer, a power of two.
    affine = ChannelStatistics(np.arange(5.0, 5.0 + n), np.full(n, 4.0))
    options = {"channels": range(n), "seed": 3} | options
    return Crops(images, affine, patch=patch, **options)


def decode(source: Crops, x: np.ndarray, axes: str, shape: Shape) -> dict[str, np.ndarray]:
    """The coordinates (letter -> array of the shape of x) that the values of patches stand for."""
    channel = np.array(source.channels).reshape(1, -1, *[1] * (x.ndim - 2))
    flat = np.rint(x.astype(np.float64) * 4 + 5 + channel).astype(int)
    return dict(zip(axes, np.unravel_index(flat, shape), strict=True))


@pytest.mark.parametrize(
    ("axes", "shape", "patch"),
    [
        ("TZYXCS", (2, 3, 20, 24, 3, 2), (16, 16)),
        ("CSZYXT", (3, 2, 6, 20, 24, 2), (4, 16, 16)),
    ],
)
@pytest.mark.parametrize("allowed", [NONE, ALL, ((0, False), (0, True), (2, False), (2, True))])
def test_patches_are_pixels_of_the_image_and_masks_ride_along(
    axes: str, shape: Shape, patch: Shape, allowed: tuple[tuple[int, bool], ...]
) -> None:
    data = np.arange(np.prod(shape)).reshape(shape)
    source = crops(data, axes=axes, patch=patch, channels=[0, 2], symmetries=allowed)
    patches = source.batch(300, np.random.default_rng(0))
    x, held = patches.noisy, patches.held_out
    assert patches.target is patches.noisy, "without partners nothing is read twice"
    assert x.shape == held.shape == (300, 2, *patch)
    assert (x.dtype, held.dtype) == (np.float32, np.bool_)
    at = decode(source, x, axes, shape)
    assert (at["C"] == np.array([0, 2]).reshape(1, 2, *[1] * len(patch))).all()
    space = tuple(range(1, x.ndim))
    fixed = "ST" if len(patch) == 3 else "STZ"
    assert all((np.ptp(at[letter], axis=space) == 0).all() for letter in fixed)
    if len(patch) == 3:
        assert (np.diff(at["Z"], axis=2) == 1).all()
    first = {letter: at[letter][(slice(None), *[0] * (x.ndim - 1))] for letter in "STZYX"}
    visited = set(zip(*(first[letter].tolist() for letter in "STZ"), strict=True))
    assert len(visited) == 12  # S 2, T 2, and Z 3: three planes, or six less four and one
    # Y runs along the rows or the columns of a patch, up or down, and X along the other.
    turns: Counter[Shape] = Counter()
    for i in range(len(x)):
        steps = [
            np.unique(np.diff(at[letter][i], axis=along)).tolist()
            for letter, along in itertools.product("YX", (-2, -1))
        ]
        assert all(len(step) == 1 for step in steps)
        turns[tuple(step[0] for step in steps)] += 1
    signs = list(itertools.product((1, -1), repeat=2))
    upright, turned = {(a, 0, 0, b) for a, b in signs}, {(0, a, b, 0) for a, b in signs}
    # Even turns and flips keep rows rows, so lines of noise keep their direction.
    assert set(turns) == {1: {(1, 0, 0, 1)}, 4: upright, 8: upright | turned}[len(allowed)]
    assert len(allowed) == 1 or stats.chisquare(list(turns.values())).pvalue > 1e-4
    # A pixel is held out wherever it appears, or nowhere: crops of whole planes know which.
    letters = "STCZYX"
    truth = np.full([shape[axes.index(letter)] for letter in letters], -1)
    full = truth.shape[-len(patch) :]
    whole = crops(data, axes=axes, patch=full, channels=[0, 2])
    planes = whole.batch(150, np.random.default_rng(1))
    y, known = planes.noisy, planes.held_out
    place = decode(whole, y, axes, shape)
    truth[tuple(place[letter] for letter in letters)] = known
    assert (truth[:, :, [0, 2]] >= 0).all()
    np.testing.assert_array_equal(truth[tuple(at[letter] for letter in letters)], held)


def test_every_plane_of_every_image_holds_out_its_own_pixels() -> None:
    shape = (2, 2, 2, 2, 64, 64)
    small = np.broadcast_to(np.arange(16).reshape(2, 2, 2, 2, 1, 1), shape)
    source = crops(small, small + 16, axes="STCZYX", patch=(64, 64))
    patches = source.batch(250, np.random.default_rng(0))
    x, held = patches.noisy, patches.held_out
    shift = np.arange(2.0)  # of the channels, see `crops`
    names = np.rint(x[:, :, 0, 0] * 4 + 5 + shift).astype(int)
    masks = {int(k): mask for k, mask in zip(names.ravel(), held.reshape(-1, 64, 64), strict=True)}
    assert len(masks) == 32
    for k, mask in zip(names.ravel().tolist(), held.reshape(-1, 64, 64), strict=True):
        assert (mask == masks[k]).all()
    for a, b in itertools.combinations(masks.values(), 2):
        assert (a & b).sum() < 12  # 64 boxes that agree by chance, 1 in 64


def test_nothing_is_read_but_the_patches() -> None:
    lazy = Coordinates((2, 1500, 1500))
    source = crops(lazy, axes="CYX", patch=(32, 32))
    assert lazy.largest == 0
    x = source.batch(50, np.random.default_rng(0)).noisy
    assert lazy.largest == 2 * 32 * 32
    at = decode(source, x, "CYX", lazy.shape)
    origins = np.stack([at[letter][:, 0, 0, 0] for letter in "YX"])
    assert len({tuple(o) for o in origins.T.tolist()}) == 50


def test_origins_are_uniform_to_the_very_last() -> None:
    source = crops(Coordinates((21, 35)), axes="YX", patch=(16, 16))
    x = source.batch(3000, np.random.default_rng(0)).noisy
    at = decode(source, x, "YX", (21, 35))
    for letter, n in (("Y", 6), ("X", 20)):
        counts = np.bincount(at[letter][:, 0, 0, 0], minlength=n)
        assert len(counts) == n
        assert stats.chisquare(counts).pvalue > 1e-4


def test_images_are_drawn_by_their_number_of_pixels() -> None:
    arrays = [np.full((16, 20), 1.0), np.full((32, 40), 2.0), np.full((64, 80), 3.0)]
    source = crops(*arrays, axes="YX", patch=(16, 16))
    x = source.batch(2100, np.random.default_rng(0)).noisy
    which = np.rint(x[:, 0, 0, 0] * 4 + 5).astype(int) - 1
    counts = np.bincount(which, minlength=3)
    assert stats.chisquare(counts, [100, 400, 1600]).pvalue > 1e-4


def test_the_generator_decides_the_batch_and_the_seed_the_held_out_pixels() -> None:
    image = np.random.default_rng(0).normal(size=(40, 40))
    options: dict[str, Any] = {"axes": "YX", "patch": (16, 16), "symmetries": ALL}
    a, b = (crops(image, **options).batch(8, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.noisy, b.noisy)
    np.testing.assert_array_equal(a.held_out, b.held_out)
    other = crops(image, **options).batch(8, np.random.default_rng(6))
    assert (a.noisy != other.noisy).any()
    seeded = crops(image, seed=4, **options).batch(8, np.random.default_rng(5))
    np.testing.assert_array_equal(a.noisy, seeded.noisy)
    assert (a.held_out != seeded.held_out).any()
    source, rng = crops(image, **options), np.random.default_rng(5)
    assert (source.batch(8, rng).noisy != source.batch(8, rng).noisy).any()


# ---- Pairs ----

TARGETS = ChannelStatistics(
    np.arange(9.0, 11.0), np.full(2, 8.0)
)  # statistics of their own, exact in float32


def target_places(source: Crops, patches: Patches, axes: str, shape: Shape) -> dict[str, Any]:
    """What the targets stand for, as `decode` says it of the noisy values."""
    channel = np.array(source.channels).reshape(1, -1, *[1] * (patches.target.ndim - 2))
    flat = np.rint(patches.target.astype(np.float64) * 8 + 9 + channel).astype(int)
    return dict(zip(axes, np.unravel_index(flat, shape), strict=True))


@pytest.mark.parametrize(
    ("axes", "shape", "patch", "along"),
    [
        ("TYXC", (4, 20, 24, 2), (16, 16), "T"),
        ("CSZYX", (2, 3, 2, 20, 24), (16, 16), "S"),
        ("TCZYX", (2, 2, 5, 20, 24), (16, 16), "Z"),
        ("ZYXCT", (6, 20, 24, 2, 3), (4, 16, 16), "T"),
        ("SCZYX", (3, 2, 6, 20, 24), (4, 16, 16), "S"),
    ],
)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_target_is_the_next_position_along_the_axis_and_else_the_same_place(
    axes: str, shape: Shape, patch: Shape, along: str, one_by_one: bool
) -> None:
    data = np.arange(np.prod(shape)).reshape(shape)
    # Decoding needs to know the channel, so one by one there is only one of them.
    channels = {"one_by_one": True, "channels": [1]} if one_by_one else {}
    partners = PairedImages(TARGETS, axis=along)
    source = crops(data, axes=axes, patch=patch, symmetries=ALL, partners=partners, **channels)
    patches = source.batch(200, np.random.default_rng(0))
    assert patches.target.shape == patches.noisy.shape == patches.held_out.shape
    here = decode(source, patches.noisy, axes, shape)
    there = target_places(source, patches, axes, shape)
    for letter in axes:  # at every pixel, so flips and turns are the same, too
        np.testing.assert_array_equal(there[letter], here[letter] + (letter == along))
    first = here[along][(slice(None), *[0] * (patches.noisy.ndim - 1))]
    n = shape[axes.index(along)] - 1
    counts = np.bincount(first, minlength=n)
    assert len(counts) == n
    assert n == 1 or stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(("patch", "shape"), [((16, 16), (2, 20, 24)), ((4, 16, 16), (6, 20, 24))])
def test_the_target_is_the_same_place_of_the_partner(patch: Shape, shape: Shape) -> None:
    # Images of different sizes, so that a wrong partner could not hold the place.
    images = [np.arange(np.prod(shape)).reshape(shape) + 100_000 * i for i in range(3)]
    images[1] = np.pad(images[1], ((0, 0), (0, 9), (0, 9)), constant_values=100_000)
    partners = [Image.from_array(-image, "ZYX") for image in images]
    affine = ChannelStatistics(np.array([3.0]), np.array([2.0]))
    source = crops(
        *images, axes="ZYX", patch=patch, symmetries=ALL, partners=PairedImages(affine, partners)
    )
    patches = source.batch(100, np.random.default_rng(0))
    values = np.rint(patches.noisy.astype(np.float64) * 4 + 5)
    assert {int(v) for v in values.ravel() // 100_000} == {0, 1, 2}
    np.testing.assert_array_equal(patches.target.astype(np.float64) * 2 + 3, -values)


@pytest.mark.parametrize(("patch", "letters"), [((64, 64), "STZC"), ((16, 16, 16), "STC")])
@pytest.mark.parametrize("along", [None, "S", "T", "Z"])
def test_both_images_of_a_pair_hold_out_the_same_pixels(
    patch: Shape, letters: str, along: str | None
) -> None:
    """Either may be the target; so may the frame after, which has a pair of its own."""
    if along == "Z" and len(patch) == 3:
        return  # refused by the plan
    shape = (3, 3, 2, 3 if len(patch) == 2 else 16, *patch[-2:])  # STCZYX
    names = np.arange(np.prod(shape[:4])).reshape(*shape[:4], 1, 1)
    data = np.broadcast_to(names, shape)
    partners = None if along is None else PairedImages(TARGETS, axis=along)
    source = crops(data, axes="STCZYX", patch=patch, partners=partners)
    n = 250 if len(patch) == 2 else 80
    patches = source.batch(n, np.random.default_rng(0))
    at = decode(source, patches.noisy, "STCZ", shape[:4])
    masks: dict[Shape, np.ndarray] = {}
    for i, c in np.ndindex(n, 2):
        corner = (i, c, *[0] * len(patch))
        key = tuple(int(at[letter][corner]) for letter in letters if letter != along)
        mask = masks.setdefault(key, patches.held_out[i, c])
        assert (mask == patches.held_out[i, c]).all()
    expected = [shape["STCZ".index(letter)] for letter in letters if letter != along]
    assert len(masks) == np.prod(expected)
    boxes = np.prod(patch) // HELD_OUT_BOX
    for a, b in itertools.combinations(masks.values(), 2):
        assert (a & b).sum() < boxes / 64 + 6 * np.sqrt(boxes / 64) + 4  # chance alone


@pytest.mark.parametrize(
    ("axes", "shapes", "patch"),
    [
        ("YX", [(40, 50), (30, 64)], (16, 16)),
        ("TCYX", [(3, 2, 30, 40)], (16, 16)),
        ("CZYX", [(2, 8, 24, 20)], (4, 16, 16)),
    ],
)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_overlap_is_the_share_of_a_patch_that_another_one_holds(
    axes: str, shapes: list[Shape], patch: Shape, one_by_one: bool
) -> None:
    # Every pixel of all images has a value of its own, so the patches tell what they share.
    images = [np.arange(np.prod(shape)).reshape(shape) + 1e5 * i for i, shape in enumerate(shapes)]
    source = crops(*images, axes=axes, patch=patch, one_by_one=one_by_one)
    n = len(source.channels)
    source.affine = ChannelStatistics(np.zeros(n), np.ones(n))
    patches = [set(p.ravel().tolist()) for p in source.batch(150, np.random.default_rng(0)).noisy]
    shared = [len(a & b) / len(a) for a, b in itertools.combinations(patches, 2)]
    assert source.overlap() == pytest.approx(np.mean(shared), rel=0.15)
