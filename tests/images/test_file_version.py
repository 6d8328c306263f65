"""Files that are replaced while an image is read are noticed, all files of an image."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from unnoise.errors import InputError
from unnoise.images import file_version
from unnoise.images.file_version import FEW, SHARE, FileSet, FileVersion, version_of


def files(folder: Path, count: int) -> list[Path]:
    found = [folder / f"{number:03}.raw" for number in range(count)]
    for path in found:
        path.write_bytes(b"pixels")
    return found


def test_every_file_is_looked_at_once_and_that_which_was_named_as_it_was(tmp_path: Path) -> None:
    a, b = files(tmp_path, 2)
    (tmp_path / "link.raw").symlink_to(a)
    own = FileVersion.of(a)
    os.utime(a, (0, 0))  # before the others were looked at
    for others in ([], [a], [tmp_path / "link.raw", a]):
        assert version_of(own, others) == own
    with pytest.raises(InputError, match=r"000\.raw was changed while it was read"):
        version_of(own, [b, a, tmp_path / "gone.raw"]).check()  # type: ignore[union-attr]
    assert version_of(None) is version_of(None, [tmp_path]) is None
    assert version_of(None, [b]) == FileVersion.of(b)


@pytest.mark.parametrize("which", [0, 1, FEW - 1])
def test_of_few_files_any_change_is_seen_at_once(tmp_path: Path, which: int) -> None:
    found = files(tmp_path, FEW)
    seen = version_of(FileVersion.of(found[0]), found)
    assert isinstance(seen, FileSet)
    for _ in range(3):
        seen.check()
    found[which].write_bytes(b"others!")
    with pytest.raises(InputError, match=f"{found[which].name} was changed while it was read"):
        seen.check()


def test_many_files_take_their_share_of_the_time_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files(tmp_path, FEW + 40)
    clock = [1000.0]
    looked: list[Path] = []
    look = FileVersion.of

    def slow(path: Path) -> FileVersion | None:
        clock[0] += 0.001
        looked.append(path)
        return look(path)

    seen = FileSet(version for path in found if (version := look(path)) is not None)
    monkeypatch.setattr(file_version.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(FileVersion, "of", slow)
    began = clock[0]
    for _ in range(2000):  # regions, each read in 5 ms
        seen.check()
        clock[0] += 0.005
    whole = looked.count(found[-1])
    assert looked.count(found[0]) == 2000
    spent = 0.001 * (len(looked) - 2000)
    assert 0.5 * SHARE < spent / (clock[0] - began) < SHARE
    os.utime(found[-1], (0, 0))
    with pytest.raises(InputError, match=f"{found[-1].name} was changed"):  # noqa: PT012
        for _ in range(2 * 2000 // whole):
            seen.check()
            clock[0] += 0.005


def test_another_process_asks_its_own_clock(tmp_path: Path) -> None:
    found = files(tmp_path, FEW + 1)
    seen = version_of(None, found)
    assert isinstance(seen, FileSet)
    seen.check()
    os.utime(found[-1], (0, 0))
    with pytest.raises(InputError, match=f"{found[-1].name} was changed"):
        pickle.loads(pickle.dumps(seen)).check()
