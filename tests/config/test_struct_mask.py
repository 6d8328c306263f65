"""Footprints of structN2V: what the names mean, which symmetries they have, what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from unnoise.config.struct_mask import describe, parse, symmetries
from unnoise.errors import InputError


@pytest.mark.parametrize("n", [3, 5, 9, 63])
def test_names_are_what_they_say(n: int) -> None:
    h = n // 2
    offsets = {
        "horizontal": {(0, 0, i) for i in range(-h, h + 1)},
        "vertical": {(0, i, 0) for i in range(-h, h + 1)},
        "cross": {(0, 0, i) for i in range(-h, h + 1)} | {(0, i, 0) for i in range(-h, h + 1)},
        "square": {(0, i, j) for i in range(-h, h + 1) for j in range(-h, h + 1)},
        "z": {(i, 0, 0) for i in range(-h, h + 1)},
    }
    for name, expected in offsets.items():
        footprint = parse(f"{name}:{n}", 3)
        assert footprint.dtype == np.bool_
        centre = [size // 2 for size in footprint.shape]
        assert {tuple(int(v) for v in at - centre) for at in np.argwhere(footprint)} == expected
        if name != "z":
            assert np.array_equal(parse(f"{name}:{n}", 2), footprint[0])


@pytest.mark.parametrize(
    ("struct", "ndim", "expected"),
    [
        ([0, 1, 1, 1, 0], 2, [[1, 1, 1]]),
        ([0, *[1] * 9, 0], 2, [[1] * 9]),  # the mask of n2v's examples
        ([[0, *[1] * 4, 0, *[1] * 4, 0]], 2, [[1] * 9]),
        ([0, 1, 1, 1, 0], 3, [[[1, 1, 1]]]),
        ([[1], [0], [1]], 2, [[1], [1], [1]]),
        ([[1], [0], [1]], 3, [[[1], [1], [1]]]),
        ([[[1]], [[0]], [[1]]], 3, [[[1]], [[1]], [[1]]]),
        ([0, 0, 0, 1, 0], 2, [[0, 1, 1]]),  # one-sided: cut only as far as the centre stays
        ([[0, 0, 0], [0, 0, 1], [0, 0, 0]], 2, [[0, 1, 1]]),
        ((True, False, True), 2, [[1, 1, 1]]),
        ([1.0, 0.0, 1.0], 2, [[1, 1, 1]]),
        (np.array([[1, 0, 1]], np.uint8), 2, [[1, 1, 1]]),
    ],
)
def test_lists(struct: Any, ndim: int, expected: list) -> None:
    footprint = parse(struct, ndim)
    assert footprint.dtype == np.bool_
    assert np.array_equal(footprint, np.array(expected, np.bool_))


def test_what_is_given_does_not_change() -> None:
    struct, array = [[0, 1, 0, 1, 0]], np.array([[True, False, True]])
    parse(struct, 2)[:] = False
    parse(array, 2)[:] = False
    assert struct == [[0, 1, 0, 1, 0]], "n2v wrote into the centre of the caller's mask"
    assert array.tolist() == [[True, False, True]]
    parse("cross:3", 2)[:] = False
    assert parse("cross:3", 2).sum() == 5


@pytest.mark.parametrize(
    ("struct", "ndim", "words"),
    [
        ("diagonal:5", 2, "unknown structure 'diagonal:5'; .*horizontal:5, vertical:5, cross:5"),
        ("", 2, "unknown structure ''"),
        ("horizontal", 2, "lacks its length in pixels; write horizontal:5"),
        ("horizontal:", 2, "write horizontal:5"),
        ("horizontal:five", 2, "write horizontal:5"),
        ("horizontal:-5", 2, "write horizontal:5"),
        ("horizontal:4", 2, "odd length from 3 to 63.*try horizontal:5"),
        ("vertical:1", 2, "try vertical:3"),
        ("vertical:0", 2, "try vertical:3"),
        ("cross:101", 2, "try cross:63"),
        ("cross:64", 2, "try cross:63"),
        ("z:3", 2, "'z:3' has 3 dimensions but the net has 2; .*horizontal:5"),
        ([[[1, 0, 1]]], 2, "has 3 dimensions but the net has 2"),
        ([[1, 0, 1], [1, 0]], 2, "rows of the structure .* differ in length; fill them with 0"),
        ([1, [1, 0]], 2, "differ in length"),
        ([1, 1], 2, "has the sides 2, but all must be odd"),
        ([[1, 0, 1], [1, 0, 1]], 2, "has the sides 2x3, but all must be odd"),
        ([1, 0, 2], 2, "only 0 and 1"),
        ([1, 0, -1], 2, "only 0 and 1"),
        ([1, 0, float("nan")], 2, "only 0 and 1"),
        (["1", "0", "1"], 2, "only 0 and 1"),
        ([None, 0, 1], 2, "only 0 and 1"),
        ([], 2, "one to three levels"),
        ([[]], 2, "one to three levels"),
        (7, 2, "one to three levels"),
        ([[[[1, 0, 1]]]], 3, "one to three levels"),
        ([0, 1, 0], 2, "hides nothing besides the blind spot"),
        ([[0] * 9] * 9, 3, "hides nothing besides the blind spot"),
        ([1], 2, "hides nothing besides the blind spot"),
    ],
)
def test_refusals_say_what_to_do(struct: Any, ndim: int, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        parse(struct, ndim)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize(
    ("struct", "expected"),
    [
        ("horizontal:5", [(0, False), (0, True), (2, False), (2, True)]),
        ("vertical:5", [(0, False), (0, True), (2, False), (2, True)]),
        ("cross:5", [(t, f) for t in range(4) for f in (False, True)]),
        ("square:3", [(t, f) for t in range(4) for f in (False, True)]),
        ([0, 0, 0, 1, 1], [(0, False), (2, True)]),  # right stays right: only up and down flip
        ([[1, 0, 0], [0, 0, 0], [0, 0, 1]], [(0, False), (1, True), (2, False), (3, True)]),
        ([[1, 0, 0], [0, 0, 1], [0, 0, 0]], [(0, False)]),
        ([[1, 1, 0], [0, 0, 0], [0, 1, 1]], [(0, False), (2, False)]),
    ],
)
@pytest.mark.parametrize("ndim", [2, 3])
def test_symmetries(struct: Any, expected: list[tuple[int, bool]], ndim: int) -> None:
    assert symmetries(parse(struct, ndim)) == tuple(expected)


def test_symmetries_by_the_positions_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        struct = parse("square:3", 2)
        struct[rng.random(struct.shape) < 0.3] = False
        points = {(int(y) - 1, int(x) - 1) for y, x in np.argwhere(struct)}
        expected = []
        for turns in range(4):
            for flip in (False, True):
                moved = {(y, -x) if flip else (y, x) for y, x in points}
                for _ in range(turns):  # a quarter turn from X towards -Y, as np.rot90 does
                    moved = {(-x, y) for y, x in moved}
                if moved == points:
                    expected.append((turns, flip))
        assert symmetries(struct) == tuple(expected)


def test_without_a_footprint_all_eight_symmetries_hold() -> None:
    assert symmetries(None) == tuple((t, f) for t in range(4) for f in (False, True))
    assert len(symmetries(parse("z:3", 3))) == 8
    lopsided = np.ones((3, 1, 1), np.bool_)
    lopsided[0] = False
    assert len(symmetries(lopsided)) == 8, "symmetries are those in YX"


def test_descriptions() -> None:
    assert describe(parse("horizontal:5", 3)) == "1x1x5"
    assert describe(parse("z:3", 3)) == "3x1x1"
    assert describe(parse([[1, 0, 0], [0, 0, 0], [0, 0, 1]], 2)) == "3x3 with 3 pixels"


def test_the_module_does_not_import_torch() -> None:
    code = "import sys, unnoise.config.struct_mask; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
