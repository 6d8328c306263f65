"""A file on which a library hangs or crashes costs the page a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.web import screening
from unnoise.errors import InputError

h5py = pytest.importorskip("h5py")

HANGS = """
import os
from unnoise.app.web import screening
from unnoise.images import formats
def opened(paths, **options):
    name = os.path.basename(paths[0])
    while name == "hangs.h5":
        pass
    if name == "crashes.h5":
        os.abort()
    return []
formats.open_all, screening.SECONDS = opened, 1
screening.main()
"""


def image(folder: Path, name: str, userblock: int = 0) -> Path:
    with h5py.File(folder / name, "w", userblock_size=userblock) as file:
        file["x"] = np.arange(64.0).reshape(8, 8)
    return folder / name


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of time of the processor")
def test_what_hangs_or_crashes_is_told_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    run = subprocess.run

    def counted(command: list[str], **options: object) -> object:
        asked.append(len(command) - len(screening.COMMAND))
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    monkeypatch.setattr(screening, "COMMAND", (sys.executable, "-c", HANGS))
    monkeypatch.setattr(screening, "SECONDS", 1)
    names = ("a.h5", "hangs.h5", "crashes.h5")
    files = [image(tmp_path, name) for name in names]
    with pytest.raises(InputError, match=r"^hangs\.h5 .*did not come to an end in 1 s of the proc"):
        screening.check(files)
    assert asked == [3, 1]
    with pytest.raises(InputError, match=r"^crashes\.h5 may be damaged: .*\(exit code -6\)"):
        screening.check(files[2:])
    screening.check(files[:1])
    assert asked == [3, 1]
    os.utime(files[0], (0, 0))  # another file by now
    screening.check(files[:1])
    assert asked == [3, 1, 1]


def test_only_files_of_hdf5_are_opened_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((8, 8)))
    (tmp_path / "empty.h5").touch()
    monkeypatch.setattr(screening, "_opened", lambda files: pytest.fail("no process is needed"))
    screening.check([tmp_path / "a.npy", tmp_path / "empty.h5", tmp_path / "gone.h5", tmp_path])
    monkeypatch.undo()
    good, other = image(tmp_path, "good.h5"), image(tmp_path, "other.h5", userblock=1024)
    (tmp_path / "bad.h5").write_bytes(good.read_bytes()[:300])  # which its reader will tell
    assert screening._is_suspect(other)
    screening.check([good, tmp_path / "bad.h5", other])
