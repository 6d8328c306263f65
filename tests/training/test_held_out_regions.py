"""Laws of held-out pieces: pixels that were never a target, pairs that hide two neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import photon_ground
from tiny import CPU, NET, tiny, untrained
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.quality import region as pieces
from unnoise.training import held_out_regions
from unnoise.training.held_out_regions import lattices, regions

TINY = (*NET, "training.steps=2", "training.patch=32", "training.batch_size=2")


@pytest.mark.parametrize("method", ["n2v", "n2v2", "structn2v"])
def test_the_blind_prediction_does_not_see_its_pixel(method: str) -> None:
    """Changing the held-out pixels changes what the net sees of them, but not the blind values."""
    more = ("mask.struct=horizontal:5",) if method == "structn2v" else ()
    config = Config.parse(
        {"method": method, "mask": {"struct": "horizontal:5"}} if more else {"method": method}
    )
    config = config.set(*TINY)
    x = photon_ground()
    model, image = untrained(x, config)
    ((region,),) = regions(model, [image], CPU)
    assert region.noisy.shape == x.shape
    assert np.array_equal(region.noisy, x)
    assert 0.005 < region.held_out.mean() < 0.2
    changed = x.copy()
    # Far from each other, so that no other held-out pixel hears of it; values within the range.
    rows, columns = np.nonzero(region.held_out)
    picked = [0]
    for i in range(1, len(rows)):
        if all(max(abs(rows[i] - rows[j]), abs(columns[i] - columns[j])) > 24 for j in picked):
            picked.append(i)
    at = (rows[picked], columns[picked])
    changed[at] = 3 * changed[at] + 40
    ((other,),) = regions(model, [Image.from_array(changed)], CPU)
    assert np.array_equal(other.held_out, region.held_out)
    assert np.allclose(other.blind[at], region.blind[at], rtol=1e-5, atol=1e-4)
    assert not np.allclose(other.seen[at], region.seen[at], rtol=1e-3)


@pytest.mark.parametrize(
    ("method", "shape"),
    [("n2v", (64, 64)), ("n2v", (16, 32, 32)), ("n2v2", (64, 64)), ("structn2v", (64, 64))],
)
def test_of_a_pair_neither_prediction_knows_either_pixel(
    method: str, shape: tuple[int, ...]
) -> None:
    """Nor, with structN2V, what is hidden with it: only the residual of a changed pixel changes."""
    x = photon_ground(shape)
    letters = "ZYX"[-len(shape) :]
    struct = {"mask": {"struct": "horizontal:5"}} if method == "structn2v" else {}
    config = Config.parse({"method": method, **struct}).set(*TINY)
    model, _ = untrained(x, config, letters)

    def pairs(noisy: NDArray) -> NDArray:
        ((region,),) = regions(model, [Image.from_array(noisy, letters)], CPU, letters)
        return region.pairs

    plain = pairs(x)
    for axis in range(len(shape) - bool(struct)):
        known = np.argwhere(np.isfinite(plain[axis, 0]))
        first = tuple(known[len(known) // 2])
        second = tuple(v + (a == axis) for a, v in enumerate(first))
        beside = [(0, 0), *([(0, 2), (0, -1)] if struct else [])]
        for which, place in enumerate((first, second)):
            changed = x.copy()
            for offset in beside:
                changed[tuple(np.add(place, offset) if struct else place)] += 5 * x.std()
            found = pairs(changed)[axis][(slice(None), *first)]
            expected = plain[axis][(slice(None), *first)].copy()
            expected[which] += 5 * x.std()
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-3 * float(x.std()))


@pytest.mark.parametrize(
    ("shape", "footprint"), [((30, 41), (1, 1)), ((9, 30, 31), (1, 1, 1)), ((30, 41), (1, 5))]
)
def test_pairs_are_far_from_each_other_and_within_the_piece(
    shape: tuple[int, ...], footprint: tuple[int, ...]
) -> None:
    axes = [a for a, side in enumerate(footprint) if side == 1]
    seen = dict.fromkeys(axes, 0)
    for axis, first in lattices(shape, axes, footprint, np.random.default_rng(0)):
        seen[axis] += 1
        where = np.argwhere(first)
        assert len(where) > 3
        assert where[:, axis].min() >= 1  # one before the first, one after the second
        assert where[:, axis].max() <= shape[axis] - 3
        steps = np.abs(where[:, None] - where[None])
        apart = steps.any(-1)
        for a, side in enumerate(footprint):
            along = steps[..., a][apart]
            least = 4 if a == axis else side + 1  # so that footprints leave something between them
            assert ((along == 0) | (along >= least)).all()
    assert min(seen.values()) >= 2


def test_pairs_are_hidden_only_where_noise_is_independent() -> None:
    x = photon_ground((64, 64))
    struct = Config.parse({"method": "structn2v", "mask": {"struct": "horizontal:5"}}).set(*TINY)
    for config, along, expected in (
        (tiny(), "ZYX", [True, True]),
        (tiny(), "ZY", [True, False]),
        (tiny(), "Z", [False, False]),
        (tiny(), (), [False, False]),
        (struct, "ZYX", [True, False]),
    ):
        model, image = untrained(x, config)
        ((region,),) = regions(model, [image], CPU, along)
        assert [bool(np.isfinite(p).any()) for p in region.pairs] == expected


@pytest.mark.parametrize(("shape", "axes"), [((50, 61), "YX"), ((17, 33, 35), "ZYX")])
def test_regions_of_odd_sizes(shape: tuple[int, ...], axes: str) -> None:
    x = photon_ground(shape)
    model, image = untrained(x, tiny(), axes)
    assert model.ndim == len(shape)
    for region in regions(model, [image], CPU)[0]:
        assert (
            region.blind.shape == region.seen.shape == region.held_out.shape == region.noisy.shape
        )
        assert np.isfinite(region.blind).all()


def test_regions_stay_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out_regions, "BUDGET", 4000)
    monkeypatch.setattr(pieces, "SIDES", {2: (32, 32), 3: (8, 16, 16)})
    model, image = untrained(photon_ground((3, 96, 96)), tiny(), "TYX")
    (found,) = regions(model, [image], CPU)
    assert 4 <= len(found) <= 5
    assert len({r.noisy.tobytes() for r in found}) == len(found)


def test_regions_are_in_image_units() -> None:
    """Away from the border, where prediction mirrors, they are what the model predicts."""
    x = photon_ground()
    model, image = untrained(x, tiny())
    ((region,),) = regions(model, [image], CPU)
    inner = (slice(24, -24), slice(24, -24))
    assert np.allclose(region.seen[inner], predict_array(model, image)[inner], rtol=1e-4, atol=1e-3)
