"""Pixels that are decoded when needed, of which only the last used ones stay."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from unnoise.images.formats import reader
from unnoise.images.formats.reader import Pixels


def test_pixels_are_decoded_once_while_few_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def pixels(number: int) -> Pixels:
        def load() -> np.ndarray:
            calls.append(number)
            return np.full(4, number, "u1")

        return Pixels(load, (4,), np.dtype("u1"))

    several = [pixels(i) for i in range(3)]
    assert [int(p[2]) for p in several * 2] == [0, 1, 2] * 2
    assert calls == [0, 1, 2]
    monkeypatch.setattr(reader, "MAX_OPEN", 2)
    assert [int(p[2]) for p in several] == [0, 1, 2]
    assert len(reader._open) <= 2
    monkeypatch.setattr(reader, "MAX_DECODED", 4)
    assert [int(p[2]) for p in several] == [0, 1, 2]
    assert len(reader._open) == 1
    before = len(calls)
    assert int(several[2][0]) == 2
    assert len(calls) == before, "the last used one stays"


def test_reloading_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No callback, and when the pixels go no array, whatever the number of reloads."""
    monkeypatch.setattr(reader, "MAX_OPEN", 1)
    several = [Pixels(lambda: np.ones(4, "u1"), (4,), np.dtype("u1")) for _ in range(3)]
    finalizers = len(weakref.finalize._registry)  # type: ignore[attr-defined]
    for pixels in several * 20:
        assert int(pixels[0]) == 1
    assert len(weakref.finalize._registry) == finalizers  # type: ignore[attr-defined]
    assert [weakref.getweakrefcount(pixels) for pixels in several] == [0, 0, 1]
    del several, pixels
    gc.collect()
    assert len(reader._open) == 0
