"""Files and folders appear whole or not at all, and a previous one stays when that fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unnoise.errors import InputError
from unnoise.images.atomic import beside, explained, probe, replacing, write_whole

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
    """Of a folder the first move puts the old one aside, the second one brings the new one."""
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


def test_a_link_to_a_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    make(tmp_path / "real", "folder", "old")
    (tmp_path / "a").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "a") as part:
        make(part, "folder", "new")
    assert names(tmp_path) == ["a", "real"]
    assert (content(tmp_path / "a"), content(tmp_path / "real")) == ("new", "old")


@pytest.mark.parametrize("name", [".", "..", "deep/.."])
def test_folders_without_a_name_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "x" / "y" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "x" / "y")
    hidden = beside(Path(name), "part")
    assert hidden.parent.samefile(Path(name, ".."))
    assert hidden.name == f".{Path(name).resolve().name}.{os.getpid()}.part"


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
