"""Who writes a result keeps others from it, up to a bound; nothing is left of a claim."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from unnoise.errors import InputError
from unnoise.images import formats
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


@pytest.mark.skipif(sys.platform == "win32", reason="folders of several users")
def test_another_user_of_the_folder_may_lock_the_same_file(tmp_path: Path) -> None:
    with claimed(tmp_path / "a"):
        (file,) = tmp_path.iterdir()
        assert file.stat().st_mode & 0o777 == 0o666


@pytest.mark.skipif(sys.platform == "win32", reason="folders of several users")
def test_what_another_user_has_claimed_is_refused_though_its_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: FileLock, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", self.lock_file)

    with claimed(tmp_path / "a"), monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", refused)
        assert not is_free(tmp_path / "a")
        assert is_free(tmp_path / "b"), "a folder in which one may not write has no locks"
    (tmp_path / ".a.lock").touch()
    monkeypatch.setattr(FileLock, "acquire", refused)
    assert is_free(tmp_path / "a"), "what a killed run left locks nothing"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files")
def test_a_place_that_takes_no_file_is_not_said_to_be_in_use() -> None:
    place = Path("/proc/cells.tif")
    with claimed(place):
        pass
    with pytest.raises(InputError, match=r"cells\.tif cannot be written"):
        formats.save(place, np.zeros((8, 8), np.uint8))


def test_a_lock_that_goes_while_it_is_waited_for_is_still_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that had it may have ended: who came second does not write without a lock."""

    def late(self: FileLock, *_: object, **__: object) -> None:
        raise Timeout(self.lock_file)

    monkeypatch.setattr(FileLock, "acquire", late)
    with pytest.raises(InputError, match="another run is writing"), claimed(tmp_path / "a.tif"):
        pass
