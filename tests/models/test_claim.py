"""Who writes a result keeps others from it, up to a bound; nothing is left of a claim."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from unnoise.errors import InputError
from unnoise.images.formats.urls import Url
from unnoise.models.claim import MOST, all_claimed, claimed, tidy


def is_free(place: Path) -> bool:
    try:
        with claimed(place):
            return True
    except InputError:
        return False


def test_the_first_results_of_a_run_are_claimed_and_no_more_files_are_open(tmp_path: Path) -> None:
    results = [tmp_path / f"{n:03}.tif" for n in range(MOST + 2)]
    with all_claimed(results):
        free = [is_free(place) for place in results]
    assert free == [False] * MOST + [True, True]
    assert all(is_free(place) for place in results)
    assert not list(tmp_path.iterdir())


def test_what_lies_at_an_address_has_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with all_claimed([Url("https://example.org/a.zarr"), tmp_path / "a.tif"]):
        assert [file.name for file in tmp_path.iterdir()] == [".a.tif.lock"]


def test_a_claim_ends_with_its_block_however_that_ends(tmp_path: Path) -> None:
    place = tmp_path / "new" / "my.model"
    with contextlib.suppress(KeyboardInterrupt), claimed(place):
        assert not is_free(place)
        raise KeyboardInterrupt
    assert is_free(place)
    assert not list(place.parent.iterdir())


def test_what_a_killed_run_left_is_taken_away_but_not_what_is_in_use(tmp_path: Path) -> None:
    place = tmp_path / "a.tif"
    with claimed(place):
        tidy(place)
        assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".a.tif.lock").touch()
    tidy(place)
    assert not list(tmp_path.iterdir())
    tidy(place)
    assert not list(tmp_path.iterdir())
