"""Without memory for a tile its halves are computed, and the result is the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synthetic import photons
from tiny import tiny, untrained
from unnoise.images.image import Image
from unnoise.models import frame_tiles
from unnoise.models.frame_tiles import Job
from unnoise.models.predict import predict, predict_with_uncertainty
from unnoise.models.tile_results import Member
from unnoise.models.tiles import Tile

X = photons((96, 80)).astype(np.float32)
ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A device whose memory is full beyond so many pixels of a tile; the most that a tile had."""
    limit: list[float] = [np.inf, 0]
    true = Member.result

    def result(self: Member, noisy: NDArray, *more: object) -> object:
        limit[1] = max(limit[1], noisy[0].size)
        if noisy[0].size > limit[0]:
            raise ERRORS[0]
        return true(self, noisy, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Member, "result", result)
    return limit


@pytest.mark.parametrize(("axes", "share"), [("YX", 0.9), ("YX", 0.4), ("ZYX", 0.9)])
def test_halves_give_the_same_result(room: list[float], axes: str, share: float) -> None:
    x = X if axes == "YX" else np.stack([X[:40, :40]] * 24)
    model, image = untrained(x, tiny().set(f"ndim={len(axes)}"), axes)
    whole = list(predict(model, image))
    room[0] = share * room[1]
    with pytest.warns(UserWarning, match="not enough memory for a tile"):
        parts = list(predict(model, image))
    assert [b.where for b in parts] == [b.where for b in whole]
    assert [(b.done, b.total) for b in parts] == [(b.done, b.total) for b in whole]
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


def test_spreads_are_put_together_too(room: list[float]) -> None:
    model, _ = untrained(X, tiny(loss="gaussian"))
    expected = predict_with_uncertainty(model, X)
    room[0] = 0.6 * X.size
    with pytest.warns(UserWarning, match="not enough memory"):
        found = predict_with_uncertainty(model, X)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_tile_that_cannot_become_smaller_ends_with_the_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    model, image = untrained(X, tiny())

    def full(*given: object) -> None:
        raise error

    monkeypatch.setattr(Job, "result", full)
    with pytest.warns(UserWarning, match="not enough memory"), pytest.raises(type(error)):
        list(predict(model, image))


def test_other_errors_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = untrained(X, tiny())

    def wrong(*given: object) -> None:
        raise RuntimeError("sizes do not fit")

    monkeypatch.setattr(Job, "result", wrong)
    with pytest.raises(RuntimeError, match="do not fit"):
        list(predict(model, image))


def test_tiles_shrink_with_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = untrained(photons((512, 512)), tiny())
    job = Job.of(model, Image.from_array(photons((512, 512))), torch.device("cpu"), "torch")
    counts = []
    for free in (1e12, 4e7, 4e6):
        monkeypatch.setattr(frame_tiles, "free_memory", lambda device, free=free: free)
        counts.append(len(job.tiles()))
    assert counts[0] == 1
    assert counts == sorted(set(counts))
    assert image.shape == (512, 512)


def test_a_tile_for_which_memory_is_short_is_halved_before_the_system_kills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, image = untrained(X, tiny())
    [whole] = predict(model, image, tile=X.shape)
    need = Job.of(model, image, torch.device("cpu"), "torch").memory
    computed = []
    true = Job.result

    def result(self: Job, image: Image, at: dict, piece: Tile, *more: object) -> object:
        computed.append(need(piece))
        return true(self, image, at, piece, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Job, "result", result)
    monkeypatch.setattr(frame_tiles, "free_memory", lambda device: 3e5)
    with pytest.warns(UserWarning, match="not enough memory"):
        [parts] = predict(model, image, tile=X.shape)
    np.testing.assert_array_equal(parts.values, whole.values)
    assert len(computed) > 1
    assert max(computed) < 3e5
