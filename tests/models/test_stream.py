"""Laws of prediction in pieces: every pixel once, whole chunks, the same result in any order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synthetic import white
from tiny import tiny, untrained
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.levels import Level
from unnoise.models import stream
from unnoise.models.frame_tiles import Ready
from unnoise.models.predict import predict
from unnoise.models.stream import ORDER, Plan


@settings(max_examples=30, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 5)] * 5), piece=st.tuples(*[st.integers(1, 6)] * 5))
def test_pieces_hold_every_pixel_once(sizes: tuple[int, ...], piece: tuple[int, ...]) -> None:
    plan = Plan(sizes, piece, piece[-2:])
    seen = np.zeros(sizes, int)
    for number in range(plan.count):
        seen[tuple(plan.where(number)[k] for k in ORDER)] += 1
    assert (seen == 1).all()


def collected(ready: Ready, plan: Plan, order: list[int]) -> NDArray[np.float64]:
    out = np.full(ready.image.shape, np.nan)
    for number in order:
        for block in plan.blocks(ready, number):
            index = ax.index(ready.image.axes, block.where)
            assert np.isnan(out[index]).all(), "a pixel is written once"
            out[index] = ax.from_canonical(block.values, ready.image.axes)
    return out


@pytest.mark.parametrize(
    ("axes", "shape", "ndim", "chunks"),
    [
        ("YX", (90, 75), 2, {"Y": 20, "X": 30}),
        ("TZYX", (2, 5, 40, 36), 2, {"Z": 2, "Y": 16, "X": 7}),
        ("ZYX", (11, 80, 33), 3, {"Z": 5, "Y": 16, "X": 16}),
        ("ZYX", (11, 80, 33), 3, {}),
    ],
)
def test_pieces_in_any_order_give_what_one_prediction_gives(
    axes: str,
    shape: tuple[int, ...],
    ndim: int,
    chunks: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny().set(f"ndim={ndim}", "training.patch=16")
    model, image = untrained(10 + white(shape), config, axes)
    ready = Ready(model, image, device="cpu")
    whole = np.full(shape, np.nan)
    for block in predict(model, image, device="cpu"):
        whole[ax.index(axes, block.where)] = ax.from_canonical(block.values, axes)
    per_pixel = max(m.memory for m in ready.jobs[0].members)
    monkeypatch.setattr(stream, "ROOM", {ndim: {2: 60**2, 3: 6e4}[ndim] * per_pixel})
    plan = Plan.of(ready, chunks)
    assert plan.count > 1
    order = list(np.random.default_rng(0).permutation(plan.count))
    np.testing.assert_allclose(collected(ready, plan, order), whole, rtol=0, atol=1e-5)
    again = collected(Ready(model, image, device="cpu"), plan, order[::-1])
    np.testing.assert_array_equal(collected(ready, plan, order), again)
    blocks = list(plan.stream(ready, order))
    assert len(blocks) == sum(plan.block_count(number) for number in order)
    own = plan.where(order[0])
    for block in blocks[: plan.block_count(order[0])]:
        inside = zip(ax.index(ORDER, block.where), (own[k] for k in ORDER), strict=True)
        assert all(a.start >= b.start and a.stop <= b.stop for a, b in inside)


@settings(max_examples=15, deadline=None)
@given(chunk=st.tuples(st.integers(1, 400), st.integers(1, 400)), room=st.integers(1, 2000))
def test_nobody_shares_a_chunk_and_tiles_stay_small(chunk: tuple[int, int], room: int) -> None:
    config = tiny().set("training.patch=16")
    model, _ = untrained(10 + white((32, 32)), config)
    image = Image.from_array(np.broadcast_to(np.float32(0), (1500, 900)))
    ready = Ready(model, image, device="cpu")
    per_pixel = max(m.memory for m in ready.jobs[0].members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "ROOM", {2: room * 1000 * per_pixel})
        plan = Plan.of(ready, dict(zip("YX", chunk, strict=True)))
        most = ready.jobs[0].side(room * 1000 * per_pixel)
    for side, size, unit in zip(plan.sides[-2:], (1500, 900), chunk, strict=True):
        assert side == size or side % unit == 0
    assert all(tile <= side for tile, side in zip(plan.tile, most, strict=True))
    assert math.prod(-(-a // b) for a, b in zip(plan.sizes, plan.sides, strict=True)) == plan.count


def test_the_tiles_of_a_piece_are_counted() -> None:
    assert Plan((1, 2, 3, 100, 64), (1, 1, 2, 60, 64), (30, 40)).tiles_per_piece == 2 * 2 * 2
    assert Plan((1, 2, 9, 100, 64), (1, 1, 9, 60, 64), (4, 60, 64)).tiles_per_piece == 3


def test_filters_that_need_the_plane_get_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ROOM", {2: 1.0})
    for method, count in (("tv", 3), ("gaussian", None)):
        model, image = untrained(10 + white((3, 40, 44)), Config(method=method), "TYX")
        plan = Plan.of(Ready(model, image, device="cpu"), {"Y": 7})
        assert plan.count == (count or plan.count)
        assert (plan.sides[-2:] == (40, 44)) == (method == "tv")


def test_tiles_have_room_in_the_largest_of_the_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is for the models of every brightness."""
    x = 10 + white((96, 96))
    models = [untrained(x, tiny(net={"filters": filters}))[0] for filters in (4, 16)]
    image = Image.from_array(x)
    most = max(m.memory for m in Ready(models[1], image, device="cpu").jobs[0].members)
    monkeypatch.setattr(stream, "ROOM", {2: 60**2 * most})
    small, large = (Plan.of(Ready(model, image, device="cpu"), {}).tile for model in models)
    assert max(large) < min(small)
    for one, other in (models, models[::-1]):
        dim, bright = (Level((mean,), (1.0,)) for mean in (1.0, 9.0))
        both = replace(one, level=dim, others=(replace(other, level=bright),))
        assert Plan.of(Ready(both, image, device="cpu"), {}).tile == large


def test_what_fits_is_one_piece_whatever_its_chunks() -> None:
    model, image = untrained(10 + white((64, 64)), tiny())
    plan = Plan.of(Ready(model, image, device="cpu"), {"Y": 7, "X": 60})
    assert (plan.count, plan.tile, plan.sides[-2:]) == (1, (64, 64), (64, 64))
    model, image = untrained(10 + white((8, 32, 32)), tiny().set("ndim=3"), "ZYX")
    assert Plan.of(Ready(model, image, device="cpu"), {"Z": 3}).sides == (1, 1, 8, 32, 32)


def test_a_plan_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = untrained(10 + white((64, 64)), tiny())
    found = []
    for free in (10**6, 10**12):
        monkeypatch.setattr("unnoise.models.frame_tiles.free_memory", lambda _, free=free: free)
        found.append(Plan.of(Ready(model, image, device="cpu"), {}))
    assert found[0] == found[1] == Plan.from_dict(found[0].to_dict(), "here")


@pytest.mark.parametrize(
    "changed",
    [
        {"sizes": [1, 1, 1, 0, 8]},
        {"sides": [1, 1, 1, 4, 0]},
        {"tile": [0, 8]},
        {"tile": [-4, 8]},
        {"sides": [1, 1, 1, 4]},
        {"sizes": [1, 8, 8], "sides": [1, 4, 8]},
        {"sizes": None},
        {"sizes": [1, 1, 1, float("inf"), 8]},
        {"tile": "ab"},
    ],
)
def test_a_damaged_plan_is_refused(changed: dict[str, object]) -> None:
    right = Plan((1, 1, 1, 8, 8), (1, 1, 1, 4, 8), (4, 8)).to_dict()
    ones = {name: [1] * len(values) for name, values in right.items()}
    assert Plan.from_dict(ones, "here").count == 1
    for damaged in (
        {**right, **changed},
        {k: v for k, v in right.items() if k not in changed},
        None,
    ):
        with pytest.raises(InputError, match="the plan in here is damaged"):
            Plan.from_dict(damaged, "here")
