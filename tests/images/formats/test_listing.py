"""What a file holds is remembered while it is opened, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.images.formats import listing


def test_it_is_remembered_within_once_alone() -> None:
    count = iter(range(9))
    one, two = Path("a.zarr"), Path("b.zarr")
    assert [listing.listed(one, count.__next__) for _ in range(2)] == [0, 1]
    for start in (2, 3):
        with listing.once():
            assert [listing.listed(one, count.__next__) for _ in range(2)] == [start] * 2
    with listing.once():
        found = [listing.listed(path, count.__next__) for path in (one, two, two, one)]
    assert found == [4, 5, 5, 6]
    assert listing.listed(one, count.__next__) == 7


def test_a_failure_is_not_remembered() -> None:
    def fail() -> int:
        raise ValueError

    with pytest.raises(ValueError), listing.once():  # noqa: PT011
        listing.listed(Path("a.zarr"), fail)
    assert [listing.listed(Path("a.zarr"), iter([i]).__next__) for i in range(2)] == [0, 1]
