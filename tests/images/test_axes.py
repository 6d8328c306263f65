"""Laws of the axis letters: every pixel keeps its coordinates, every remedy fits."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.errors import AxesError, InputError
from unnoise.images.axes import (
    CANONICAL,
    ambiguous,
    check,
    complete,
    from_canonical,
    index,
    infer,
    sizes,
    suggestions,
    to_canonical,
)


@st.composite
def some_axes(draw: st.DrawFn) -> tuple[str, tuple[int, ...]]:
    """Letters in any order, always with Y and X, and a size for each; sizes of 1 included."""
    others = draw(st.sets(st.sampled_from("STCZ")))
    letters = "".join(draw(st.permutations(sorted(others | {"Y", "X"}))))
    return letters, tuple(draw(st.integers(1, 4)) for _ in letters)


@given(some_axes())
def test_canonical_order_keeps_every_pixel_at_its_coordinates(
    case: tuple[str, tuple[int, ...]],
) -> None:
    letters, shape = case
    block = np.arange(np.prod(shape)).reshape(shape)
    whole = to_canonical(block, letters)
    assert whole.shape == tuple(shape[letters.index(c)] if c in letters else 1 for c in CANONICAL)
    assert tuple(sizes(letters, shape).values()) == whole.shape
    assert "".join(sizes(letters, shape)) == CANONICAL
    for place in np.ndindex(shape):
        at = dict(zip(letters, place, strict=True))
        assert whole[tuple(at.get(c, 0) for c in CANONICAL)] == block[place]
    assert np.shares_memory(whole, block)


@given(some_axes())
def test_from_canonical_inverts_to_canonical(case: tuple[str, tuple[int, ...]]) -> None:
    letters, shape = case
    block = np.arange(np.prod(shape)).reshape(shape)
    back = from_canonical(to_canonical(block, letters), letters)
    assert back.shape == shape
    np.testing.assert_array_equal(back, block)


@given(some_axes(), st.data())
def test_index_selects_the_region_and_keeps_every_dimension(
    case: tuple[str, tuple[int, ...]], data: st.DataObject
) -> None:
    letters, shape = case
    block = np.arange(np.prod(shape)).reshape(shape)
    where: dict[str, int | slice] = {}
    expected = block
    for axis, (letter, n) in enumerate(zip(letters, shape, strict=True)):
        start = data.draw(st.integers(0, n - 1))
        kind = data.draw(st.sampled_from(["all", "int", "slice"]))
        if kind == "int":
            where[letter], chosen = start, [start]
        elif kind == "slice":
            stop = data.draw(st.integers(start + 1, n))
            where[letter], chosen = slice(start, stop), list(range(start, stop))
        else:
            chosen = list(range(n))
        expected = expected.take(chosen, axis)
    where |= {absent: 0 for absent in CANONICAL if absent not in letters}  # no effect
    np.testing.assert_array_equal(block[index(letters, where)], expected)


@pytest.mark.parametrize(
    ("axes", "shape", "word"),
    [
        ("YX", (12, 512, 512), r"'YX' name 2 dimensions but the image has 3 \(12, 512, 512\)"),
        ("QYX", (12, 512, 512), "contain Q"),
        ("WVUQPHGFEDBA", (12, 512, 512), "contain A, B, D, E, F, G, H, P, Q, U, V, W,"),
        ("ZZYX", (1, 2, 16, 16), "twice"),
        ("YXX", (16, 16, 3), "twice"),
        ("ZCY", (4, 16, 16), "lack Y or X"),
        ("ZCX", (4, 16, 16), "lack Y or X"),
        ("", (16, 16), "lack Y or X"),
    ],
)
def test_wrong_axes_are_refused_with_a_remedy_that_fits(
    axes: str, shape: tuple[int, ...], word: str
) -> None:
    with pytest.raises(AxesError, match=word) as caught:
        check(axes, shape)
    remedies = re.findall(r"--axes (\w+)", str(caught.value))
    assert remedies
    assert all(check(remedy, shape) == remedy for remedy in remedies)
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 2


@given(some_axes())
def test_right_axes_pass_in_either_case(case: tuple[str, tuple[int, ...]]) -> None:
    letters, shape = case
    assert check(letters.lower(), shape) == check(letters, shape) == letters


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
@pytest.mark.parametrize("last", [3, 4, 64])
def test_suggestions_fit_and_see_colours_last(ndim: int, last: int) -> None:
    shape = (64,) * (ndim - 1) + (last,)
    found = suggestions(shape)
    assert found
    assert len(set(found)) == len(found)
    assert all(check(axes, shape) == axes for axes in found)
    if ndim in (3, 4):
        assert all((axes[-1] == "C") == (last in (3, 4)) for axes in found)


@pytest.mark.parametrize(
    "shape",
    [(64, 64, 5), (5, 64, 64), (3, 64, 64), (8, 64, 3), (64, 15, 3), (2, 3, 64, 64), (64,)]
    + [(1, 64, n) for n in (1, 3, 4)],  # which may be a row of colours
)
def test_what_has_two_readings_is_never_guessed(shape: tuple[int, ...]) -> None:
    assert infer((7, 9)) == "YX"
    assert infer((1, 3, 64)) == infer((1, 64, 5)) == "SYX"
    assert infer((64, 48, 4)) == infer((16, 16, 3)) == infer((64, 48, 1)) == "YXC"
    with pytest.raises(AxesError) as caught:
        infer(shape)
    assert all(check(a, shape) for a in re.findall(r"--axes (\w+)", str(caught.value)))


@pytest.mark.parametrize("pattern", ["?YX", "?CYX", "??YX", "?Z?YX", "C??YX", "?YXC", "???YX"])
def test_completions_fill_the_gaps_and_nothing_else(pattern: str) -> None:
    choices = complete(pattern)
    assert 1 <= len(choices) <= 4
    assert len(set(choices)) == len(choices)
    for axes in choices:
        assert check(axes, (16,) * len(pattern)) == axes
        assert all(p in ("?", a) for p, a in zip(pattern, axes, strict=True))
    message = str(ambiguous((16,) * len(pattern), pattern))
    assert f"'{pattern}'" in message
    assert re.findall(r"--axes (\w+)", message) == choices
    if pattern.count("?") == 1:  # then every free letter is offered
        free = set("STCZ") - set(pattern)
        assert {"".join(set(a) - set(pattern)) for a in choices} == free


def test_all_orders_of_all_letters_round_trip() -> None:
    block = np.arange(2 * 3 * 4 * 5 * 6 * 7).reshape(2, 3, 4, 5, 6, 7)
    for order in itertools.permutations(CANONICAL):
        letters = "".join(order)
        np.testing.assert_array_equal(to_canonical(from_canonical(block, letters), letters), block)
