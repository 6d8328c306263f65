"""What is left when the power is lost is what was synced, as POSIX promises it and no more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from faults.power import LOST, Disk, kept_at


def sync(path: Path, disk: Disk) -> None:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    disk.synced(file)
    os.close(file)


def left(root: Path) -> dict[str, bytes]:
    found = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are in /proc")
def test_names_and_bytes_are_as_they_were_synced(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    for name in ("before", "changed", "taken away", "inner/moved"):
        (root / name).write_bytes(b"old")
    disks = Disk(str(root), LOST[0]), Disk(str(root), LOST[1])
    (root / "changed").write_bytes(b"new")
    (root / "taken away").unlink()
    (root / "inner/moved").rename(root / "moved")
    (root / "made").write_bytes(b"never synced")
    (root / "safe bytes").write_bytes(b"safe")
    for disk in disks:
        sync(root / "safe bytes", disk)
    (root / "safe bytes").write_bytes(b"later")
    (root / "more").mkdir()
    (root / "more/named").write_bytes(b"12")
    for disk in disks:
        sync(root / "more/named", disk)
        sync(root / "more", disk)  # but not the name of the folder
    old = {"before": b"old", "changed": b"old", "taken away": b"old", "inner/moved": b"old"}
    for disk, expected in zip(
        disks,
        (
            old,
            {
                "before": b"old",
                "changed": b"old",
                "moved": b"old",
                "made": b"",
                "safe bytes": b"safe",
                "more/named": b"12",
            },
        ),
        strict=True,
    ):
        disk.fall()
        assert left(kept_at(root)) == expected
        kept_at(root).rename(tmp_path / f"kept {len(expected)}")
    sync(root, disks[0])
    disks[0].fall()
    named = {"moved": b"old", "made": b"", "safe bytes": b"safe", "more/named": b"12"}
    assert left(kept_at(root)) == {**named, **{n: b"old" for n in old if n != "taken away"}}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are in /proc")
def test_some_of_what_was_not_synced_may_be_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    seen = set()
    for seed in range(40):
        (root / "a").write_bytes(b"old")
        (root / "b").unlink(missing_ok=True)
        disk = Disk(str(root), LOST[2], seed)
        (root / "a").write_bytes(b"new")
        (root / "b").write_bytes(b"made")
        disk.fall()
        seen.add(tuple(left(kept_at(root)).items()))
        shutil.rmtree(kept_at(root))
    a = [("a", b"old"), ("a", b"new")]
    assert seen == {(x,) for x in a} | {(x, ("b", y)) for x in a for y in (b"", b"made")}
