"""Files and folders appear whole or not at all, and a previous one stays when that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unnoise.errors import InputError
from unnoise.images import atomic
from unnoise.images.atomic import (
    beside,
    explained,
    hidden,
    probe,
    replacing,
    shortened,
    write_whole,
)

KINDS = ["file", "folder"]


def make(path: Path, kind: str, content: str) -> None:
    if kind == "folder":
        path.mkdir()
        path = path / "inside"
    path.write_text(content)


def content(path: Path) -> str:
    return (path / "inside" if path.is_dir() else path).read_text()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exists", [False, True])
def test_the_name_is_taken_at_the_end(tmp_path: Path, kind: str, exists: bool) -> None:
    path = tmp_path / "a"
    if exists:
        make(path, kind, "old")
    with replacing(path) as part:
        make(part, kind, "new")
        assert part.parent == path.parent
        assert part.name == f".a.{os.getpid()}.part"
        assert path.exists() == exists
        assert not exists or content(path) == "old"
    assert content(path) == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("exists", [False, True])
def test_whatever_ends_the_block_leaves_the_place_as_it_was(
    tmp_path: Path, kind: str, error: type[BaseException], exists: bool
) -> None:
    path = tmp_path / "a"
    if exists:
        make(path, kind, "old")
    with pytest.raises(error), replacing(path) as part:  # noqa: PT012
        make(part, kind, "new")
        raise error
    assert names(tmp_path) == ["a"] * exists
    assert not exists or content(path) == "old"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fails", [1, 2])
def test_a_move_that_fails_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fails: int
) -> None:
    """Where names cannot be exchanged, the first move puts the old folder aside, the second one
    brings the new one.
    """
    monkeypatch.setattr(atomic, "_swap", lambda *names: False)
    path = tmp_path / "a"
    make(path, kind, "old")
    move, moves = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal moves
        moves += 1
        if moves == (fails if kind == "folder" else 1):
            raise PermissionError(13, "Permission denied")
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError), replacing(path) as part:
        make(part, kind, "new")
    assert names(tmp_path) == ["a"]
    assert content(path) == "old"


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    make(tmp_path / "a", "folder", "old")
    with pytest.raises(OSError), replacing(tmp_path / "a") as part:  # noqa: PT011
        part.write_text("new")
    assert names(tmp_path) == ["a"]
    assert content(tmp_path / "a") == "old"


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path, kind: str) -> None:
    (tmp_path / "far").mkdir()
    make(tmp_path / "far" / "real", kind, "old")
    (tmp_path / "a").symlink_to(tmp_path / "far" / "real")
    with replacing(tmp_path / "a") as part:
        assert part.parent == (tmp_path / "far").resolve()  # moved within one disk
        make(part, kind, "new")
    assert (tmp_path / "a").is_symlink()
    assert content(tmp_path / "far" / "real") == "new"
    assert (names(tmp_path), names(tmp_path / "far")) == (["a", "far"], ["real"])


@pytest.mark.parametrize("links", [True, False])
def test_a_new_name_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    part, there, gone = (tmp_path / name for name in ("part", "there", "gone"))
    there.write_text("old")
    gone.symlink_to("nowhere")
    for taken in (there, gone):
        part.write_text("new")
        with pytest.raises(FileExistsError):
            atomic.settle_new(part, taken)
    assert there.read_text() == "old"
    assert os.readlink(gone) == "nowhere"
    atomic.settle_new(part, tmp_path / "free")
    assert (tmp_path / "free").read_text() == "new"
    with pytest.raises(FileNotFoundError):
        atomic.settle_new(tmp_path / "none", tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_a_new_name_that_cannot_be_given_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "replace", full)
    (tmp_path / "part").touch()
    with pytest.raises(OSError, match="No space"):
        atomic.settle_new(tmp_path / "part", tmp_path / "free")
    assert os.listdir(tmp_path) == ["part"]


def test_a_link_that_leads_nowhere_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("gone")
    for act in (probe, lambda path: write_whole(path, b"", "never mind")):
        with pytest.raises(InputError, match="a is a link to gone, which does not exist; remove"):
            act(tmp_path / "a")
    assert names(tmp_path) == ["a"]


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_run_takes_away_what_killed_ones_left(
    tmp_path: Path, kind: str, dead: int
) -> None:
    kept = [f".b.{dead}.part", f".a.{os.getppid()}.part", ".a.x.part", f".ab.{dead}.part"]
    for name in (f".a.{dead}.part", *kept):
        make(tmp_path / name, kind, "half")
    with replacing(tmp_path / "a") as part:
        make(part, kind, "new")
    assert names(tmp_path) == sorted([*kept, "a"])


def test_a_number_that_is_in_use_again_is_no_sign_of_life(tmp_path: Path) -> None:
    left = tmp_path / f".a.{os.getppid()}.part"
    left.write_text("half")
    os.utime(left, (1e9, 1e9))
    write_whole(tmp_path / "a", b"new", "never mind")
    assert names(tmp_path) == ["a"]


def test_a_folder_put_aside_by_a_killed_run_comes_back(tmp_path: Path, dead: int) -> None:
    make(tmp_path / f".a.{dead}.old", "folder", "old")
    with pytest.raises(ValueError), replacing(tmp_path / "a"):  # noqa: PT011
        raise ValueError
    assert names(tmp_path) == ["a"]
    assert content(tmp_path / "a") == "old"


def test_long_names_have_their_hidden_ones(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("µ" * 127)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: dead)
        beside(path, "part").touch()
    write_whole(path, b"whole", "never mind")
    assert names(tmp_path) == [path.name]


def test_long_names_that_begin_alike_have_different_hidden_ones(tmp_path: Path, dead: int) -> None:
    one, two = (tmp_path / f"{'µ' * 124}{last}.tif" for last in "ab")
    left = [shortened(place, f".{dead}.part") for place in (one, two)]
    for place in left:
        place.touch()
    with replacing(one) as first, replacing(two) as second:
        assert not any(place.exists() for place in left)
        first.write_text("1")
        second.write_text("2")
    assert (content(one), content(two), len(names(tmp_path))) == ("1", "2", 2)
    assert hidden(one) != hidden(two)
    assert not hidden(one).exists()


def test_leftovers_of_a_name_with_two_lines_go(tmp_path: Path, dead: int) -> None:
    (tmp_path / f".a\nb.{dead}.part").touch()
    write_whole(tmp_path / "a\nb", b"whole", "never mind")
    assert names(tmp_path) == ["a\nb"]


@pytest.mark.parametrize("name", [".", "..", "deep/.."])
def test_folders_without_a_name_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "x" / "y" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "x" / "y")
    part = beside(Path(name), "part")
    assert part.parent.samefile(Path(name, ".."))
    assert part.name == f".{Path(name).resolve().name}.{os.getpid()}.part"


def test_write_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"whole", "never mind")
    assert content(tmp_path / "a") == "whole"
    with pytest.raises(
        InputError, match=r"gone/b cannot be written: No such file or directory; choose another"
    ):
        write_whole(tmp_path / "gone" / "b", b"", "choose another folder")
    assert names(tmp_path) == ["a"]


def test_probe_makes_the_folder_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "file", "file", "old")
    probe(tmp_path / "new" / "a")
    probe(tmp_path / "file")
    assert names(tmp_path) == ["file", "new"]
    assert names(tmp_path / "new") == []
    assert content(tmp_path / "file") == "old"
    with (
        pytest.raises(InputError, match=r"folder of .*file/a cannot be made because a file has"),
        explained(tmp_path / "file" / "a"),
    ):
        probe(tmp_path / "file" / "a")


def test_only_errors_of_the_system_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), explained(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(InputError, match=r"needs 2\.0 MB\); free some .* with -o"):  # noqa: SIM117
        with explained(tmp_path, 2_000_000):
            raise OSError(28, "No space left on device")
