"""Files that change together are all new, or all old, for whoever reads them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from unnoise.images.together import (
    PENDING,
    current,
    read_files,
    replace_files,
    settle_files,
    write_files,
)

OLD = {"a": b"old a", "b": b"old b", "c": b"old c"}
NEW = {"a": b"new a", "b": None, "c": b"new c"}
LEFT = {"a": b"new a", "c": b"new c"}


class Killed(BaseException):
    """In the place of a signal."""


def fail_after(patch: pytest.MonkeyPatch, act: int, error: BaseException) -> None:
    """Have all renames and removals fail after so many."""
    done = 0

    def wrap(name: str) -> None:
        true = getattr(os, name)

        def hooked(*given: object, **named: object) -> object:
            nonlocal done
            done += 1
            if done > act:
                raise error
            return true(*given, **named)

        patch.setattr(os, name, hooked)

    wrap("replace")
    wrap("unlink")


@pytest.mark.parametrize("act", range(5))
def test_whenever_it_is_killed_all_are_old_or_all_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: int
) -> None:
    """Renames are the new folder's, then one for each file that stays; one file goes."""
    replace_files(tmp_path, OLD)
    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        fail_after(patched, act, Killed())
        replace_files(tmp_path, NEW)
    assert read_files(tmp_path, "abc") in (OLD, LEFT)
    settle_files(tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert found in (OLD, LEFT)
    for left in tmp_path.glob("..pending.*"):  # of a process that lives, which no other may touch
        shutil.rmtree(left)
    replace_files(tmp_path, OLD)
    assert read_files(tmp_path, "abc") == OLD
    assert not (tmp_path / PENDING).exists()


@pytest.mark.parametrize("act", range(1, 5))
def test_new_files_that_cannot_be_moved_count_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: int
) -> None:
    replace_files(tmp_path, OLD)
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    said = pytest.warns(UserWarning, match="could not be moved .*; they are read")
    with monkeypatch.context() as patched, said:
        fail_after(patched, act, refused)
        replace_files(tmp_path, NEW)
    assert read_files(tmp_path, "abc") == LEFT
    replace_files(tmp_path, OLD)
    assert read_files(tmp_path, "abc") == OLD
    assert {path.name for path in tmp_path.iterdir()} == set("abc")


def test_what_is_taken_away_is_gone_before_it_is_moved(tmp_path: Path) -> None:
    replace_files(tmp_path, OLD)
    (tmp_path / PENDING).mkdir()
    (tmp_path / PENDING / "b").touch()
    assert current(tmp_path, "b") is None
    assert read_files(tmp_path, "ab") == {"a": b"old a"}
    (tmp_path / "empty").touch()
    assert current(tmp_path, "empty") == tmp_path / "empty"


def test_a_reader_never_sees_files_of_two_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process replaces them between the reading of the first and of the second."""
    replace_files(tmp_path, OLD)
    read, reads = Path.read_bytes, 0

    def reading(path: Path) -> bytes:
        nonlocal reads
        reads += 1
        found = read(path)
        if reads == 1:
            replace_files(tmp_path, NEW)
        return found

    monkeypatch.setattr(Path, "read_bytes", reading)
    assert read_files(tmp_path, "abc") == LEFT


def test_what_a_kill_left_half_moved_is_not_lost_by_the_next_change(tmp_path: Path) -> None:
    replace_files(tmp_path, {"a": b"1"})
    (tmp_path / PENDING).mkdir()
    (tmp_path / PENDING / "a").write_bytes(b"2")
    replace_files(tmp_path, {"b": b"3"})
    assert read_files(tmp_path, ["a", "b"]) == {"a": b"2", "b": b"3"}


def test_what_is_moved_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a": b"1", "b": b"2"})
    whole, calls = Path.read_bytes, list[Path]()

    def moved(path: Path) -> bytes:
        calls.append(path)
        if len(calls) == 2:
            raise FileNotFoundError(path)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", moved)
    assert read_files(tmp_path, ("a", "b")) == {"a": b"1", "b": b"2"}
    assert len(calls) == 4
    monkeypatch.setattr("unnoise.images.together._identities", lambda *_: object())
    assert read_files(tmp_path, ("a",)) == {"a": b"1"}, "what is replaced for ever is read at last"
