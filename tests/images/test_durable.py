"""What a call has written is on the disk, with its name, before anything depends on it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from unnoise.errors import InputError
from unnoise.images import atomic, durable
from unnoise.images.atomic import probe, replacing, write_whole
from unnoise.images.durable import make_folder, sync_all, sync_names
from unnoise.images.ledger import Ledger
from unnoise.images.together import replace_files

ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="folders are not synced there")


@pytest.fixture
def acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, renamed and removed below a folder, in order."""
    done: list[str] = []
    true = os.fsync, os.replace, os.rmdir, os.unlink

    def sync(file: int) -> None:
        own = os.fstat(file).st_ino
        found = [p for p in (tmp_path, *tmp_path.rglob("*")) if p.lstat().st_ino == own]
        done.extend(f"sync {p.relative_to(tmp_path).as_posix()}" for p in found)
        true[0](file)

    def replace(source: Path, target: Path) -> None:
        done.append(f"name {Path(target).relative_to(tmp_path).as_posix()}")
        true[1](source, target)

    def remove(path: Path, **named: Any) -> None:
        done.append(f"remove {Path(path).name}")
        true[2](path, **named)

    def unlink(path: Path, **named: Any) -> None:
        if not str(path).endswith(".part"):  # what is unfinished may come back
            done.append(f"unlink {Path(path).name}")
        true[3](path, **named)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "rmdir", remove)
    return done


@ON_POSIX
def test_a_file_and_its_name_survive_a_machine_that_loses_its_power(
    tmp_path: Path, acts: list[str]
) -> None:
    write_whole(tmp_path / "a.txt", b"whole", "remedy")
    part = f".a.txt.{os.getpid()}.part"
    assert acts == [f"sync {part}", "name a.txt", "sync ."]
    acts.clear()
    with replacing(tmp_path / "folder") as place:
        (place / "inner").mkdir(parents=True)
        for name in ("a", "inner/b", "inner/c"):
            (place / name).write_text(name)
    inside = [f"sync {place.name}/{name}" for name in ("a", "inner", "inner/b", "inner/c")]
    assert sorted(acts[:5]) == [f"sync {place.name}", *inside]
    assert acts[5:] == ["name folder", "sync ."]


@ON_POSIX
def test_folders_that_are_made_for_a_file_keep_their_names_too(
    tmp_path: Path, acts: list[str]
) -> None:
    (tmp_path / "a").mkdir()
    make_folder(tmp_path / "a/b/c")
    assert sorted(acts) == ["sync a", "sync a/b"]
    make_folder(tmp_path / "a/b/c")
    probe(tmp_path / "a/b/c/d/e.tif")
    assert sorted(acts) == ["sync a", "sync a/b", "sync a/b/c"]
    with pytest.raises(FileExistsError):
        make_folder(Path(__file__))


@ON_POSIX
def test_files_that_change_together_do_so_when_the_power_is_lost(
    tmp_path: Path, acts: list[str]
) -> None:
    replace_files(tmp_path, {"a": b"1", "b": b"2"})
    part = f"..pending.{os.getpid()}.part"
    named = acts.index("name .pending")
    assert {f"sync {part}/a", f"sync {part}/b", f"sync {part}"} == set(acts[:named])
    moved = ["name a", "name b", "sync .", "remove .pending"]
    assert acts[named + 1 :] == ["sync .", *moved, "sync ."]


@ON_POSIX
def test_a_ledger_of_pieces_has_its_name_on_the_disk_before_it_counts(
    tmp_path: Path, acts: list[str]
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.add([1])
        ledger.add([2])
    (file,) = tmp_path.iterdir()
    assert acts == ["sync .", f"sync {file.name}", f"sync {file.name}"]


def test_a_folder_that_cannot_be_synced_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.fsync

    def sync(file: int) -> None:
        if os.path.isdir(file):
            raise OSError(errno.EINVAL, "folders are not synced here")
        true(file)

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(tmp_path / "a.txt", b"whole", "remedy")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


@ON_POSIX
@pytest.mark.parametrize("swaps", [True, False])
def test_the_old_folder_goes_when_the_new_one_has_its_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acts: list[str], swaps: bool
) -> None:
    (tmp_path / "folder/old").mkdir(parents=True)
    if not swaps:
        monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    with replacing(tmp_path / "folder") as place:
        place.mkdir()
    removed = next(i for i, act in enumerate(acts) if act.startswith("remove"))
    named = max([i for i, act in enumerate(acts[:removed]) if act.startswith("name")], default=0)
    assert "sync ." in acts[named:removed]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@ON_POSIX
def test_what_was_to_go_with_a_change_is_gone_before_that_is_forgotten(
    tmp_path: Path, acts: list[str]
) -> None:
    replace_files(tmp_path, {"a": b"1", "b": b"2"})
    acts.clear()
    replace_files(tmp_path, {"a": b"3", "b": None})
    assert acts[acts.index("name .pending") :] == [
        *("name .pending", "sync .", "name a", "unlink b", "sync ."),
        *("unlink b", "remove .pending", "sync ."),
    ]


def test_errors_of_the_disk_are_told_before_anything_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.setattr(os, "fsync", broken)
    if sys.platform != "win32":
        with pytest.raises(OSError, match="Input/output error"):
            sync_names(tmp_path)
    for paths in ([tmp_path / "a"], [tmp_path / "a"] * 5):
        with pytest.raises(OSError, match="Input/output error"):
            sync_all(paths)
    with pytest.raises(OSError, match="Input/output error"), Ledger(tmp_path) as ledger:
        ledger.add([1])
    with pytest.raises(InputError, match="Input/output error"):
        write_whole(tmp_path / "b", b"2", "remedy")
    assert not (tmp_path / "b").exists()


def test_files_are_synced_where_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{number}" for number in range(2500)]
    for file in files:
        file.touch()
    synced: list[Path] = []
    monkeypatch.setattr(durable, "_sync", synced.append)

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    sync_all(files[:1])
    assert synced == files[:1]
    synced.clear()
    sync_all(iter(files))
    assert set(synced) == set(files)


def test_a_thread_that_outlives_the_program_can_save(tmp_path: Path) -> None:
    place = tmp_path / "a"
    script = f"""
import threading
from pathlib import Path
from unnoise.images.atomic import replacing
def late():
    threading.main_thread().join()
    with replacing(Path({str(place)!r})) as part:
        part.mkdir()
        for name in "abc":
            (part / name).write_text(name)
threading.Thread(target=late).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in place.iterdir()) == ["a", "b", "c"]
