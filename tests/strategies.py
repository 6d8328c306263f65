"""Whatever people and files may give, for hypothesis: arrays, axes, regions, settings, tilings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from unnoise.config.config import Config
from unnoise.config.methods import known

LETTERS = "STCZYX"
KINDS = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8", "?", "u8", "i8", "c8", "O", "S3")
"""Types of arrays: those of pixels first, and some that hold none."""
PIXEL_KINDS = KINDS[:9]


@st.composite
def arrays(
    draw: st.DrawFn,
    kinds: tuple[str, ...] = KINDS,
    dims: tuple[int, int] = (0, 7),
    sides: tuple[int, int] = (0, 5),
) -> NDArray:
    """Arrays of any type, byte order, strides and dimensions; of floats some are no numbers."""
    kind = draw(st.sampled_from(kinds))
    shape = draw(st.lists(st.integers(*sides), min_size=dims[0], max_size=dims[1]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    steps = [draw(st.sampled_from((1, 1, 2, -1))) for _ in shape]
    stored = [size * abs(step) for size, step in zip(shape, steps, strict=True)]
    values = np.asarray(rng.integers(0, 100, stored))
    if kind in ("f2", "f4", "f8"):
        dtype = np.dtype(draw(st.sampled_from("<>")) + kind)
        found = values.astype(dtype)
        found[rng.random(stored) < draw(st.sampled_from((0, 0, 0.1, 1)))] = draw(
            st.sampled_from((np.nan, np.inf, -np.inf))
        )
    elif kind in ("O", "S3"):
        found = values.astype(kind)
    else:
        found = values.astype(np.dtype(kind).newbyteorder(draw(st.sampled_from("<>"))))
    view = found[(*(slice(None, None, step) for step in steps), ...)]
    order = draw(st.permutations(range(view.ndim)))
    return view.transpose(order) if draw(st.booleans()) else view


@st.composite
def images(draw: st.DrawFn, kinds: tuple[str, ...] = PIXEL_KINDS) -> tuple[NDArray, str]:
    """Pixels and their axes: Y and X, and any others in any order."""
    more = draw(st.lists(st.sampled_from("STCZ"), unique=True, max_size=3))
    letters = "".join(draw(st.permutations([*more, "Y", "X"])))
    x = draw(arrays(kinds, (len(letters), len(letters)), (1, 5)))
    return x, letters


def axes() -> st.SearchStrategy[str | None]:
    """Axes as people type them, right or wrong."""
    right = st.permutations(LETTERS).map("".join).flatmap(lambda t: st.sampled_from([t, t[:3]]))
    return st.none() | right | st.text(LETTERS, max_size=7) | st.text(max_size=5)


@st.composite
def regions(draw: st.DrawFn, sizes: Mapping[str, int]) -> dict[str, int | slice]:
    """A part of an image, which is not empty."""
    found: dict[str, int | slice] = {}
    for letter, size in sizes.items():
        way = draw(st.sampled_from(("all", "one", "part")))
        start = draw(st.integers(0, size - 1))
        if way == "one":
            found[letter] = start
        elif way == "part":
            found[letter] = slice(start, draw(st.integers(start + 1, size)))
    return found


NO_NUMBERS = (math.nan, math.inf)
WORDS = ("", "auto", "n2v", "T", "none", "mse", "~", "null", "1e400", "[1, 2]", "{T: 2}", "ü\n")
NUMBERS = (
    -1,
    0,
    1,
    2,
    3,
    16,
    10**9,
    10**30,
    0.0,
    0.5,
    0.999,
    1.5,
    -0.1,
    math.nan,
    math.inf,
    1e-300,
)


@st.composite
def settings(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A method and settings as ``--set`` takes them, most of which cannot be."""
    method = draw(st.sampled_from(sorted(known())))
    names = [
        f"{s}.{k}" for s, own in Config().values().items() if isinstance(own, dict) for k in own
    ]
    chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
    values = st.sampled_from(NUMBERS) | st.sampled_from(WORDS) | st.booleans() | st.text(max_size=4)
    return method, [f"{name}={draw(values)}" for name in chosen]


class Tiling(NamedTuple):
    """How an image is cut."""

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    halo: tuple[int, ...]
    grid: tuple[int, ...]


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    """Images, tiles and halos of any size, on grids of nets."""
    ndim = draw(st.integers(1, 3))

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    grid: Any = tuple(draw(st.sampled_from((1, 2, 4, 8))) for _ in range(ndim))
    return Tiling(some(1, 40), some(0, 20), some(0, 12), grid)
