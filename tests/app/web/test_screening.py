"""A file on which a library hangs or crashes costs the page a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unnoise.app.web import screening
from unnoise.errors import InputError

h5py = pytest.importorskip("h5py")

HANGS = """
import os
from unnoise.app.web import screening
from unnoise.errors import AxesError
from unnoise.images import formats
def opened(path, axes, series):
    name = os.path.basename(path)
    while name == "hangs.h5":
        pass
    if name in ("crashes.h5", "ambiguous.h5") and (name == "crashes.h5" or axes == "ZYX"):
        os.abort()
    raise AxesError("say which they are")
formats.open, screening.SECONDS = opened, 1
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
    start = subprocess.Popen

    def counted(command: list[str], **options: Any) -> Any:
        asked.append(len(command) - len(screening.COMMAND))
        return start(command, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
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
    with pytest.raises(InputError, match=r"^ambiguous\.h5 may be damaged"):  # once it is opened
        screening.check([image(tmp_path, "ambiguous.h5")])


SLOW = """
import os, sys, time
for file in sys.argv[1:]:
    time.sleep(60 if os.path.basename(file) == "stuck.h5" else 0)
    os.write(1, b".")
"""


def test_slow_files_are_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its time, and one that took longer is tried again."""
    monkeypatch.setattr(screening, "COMMAND", (sys.executable, "-c", SLOW))
    watches = []

    class Watch(threading.Timer):
        def start(self) -> None:
            watches.append(f"{self.interval}")
            super().start()

        def cancel(self) -> None:
            watches.append("over")
            super().cancel()

    with monkeypatch.context() as patched:
        patched.setattr(threading, "Timer", Watch)
        screening.check([image(tmp_path, f"{n}.h5") for n in range(5)])
    assert watches == [f"{screening.PATIENCE}", "over"] * 6  # of each file, and of the end
    monkeypatch.setattr(screening, "PATIENCE", 0.3)
    stuck = image(tmp_path, "stuck.h5")
    with pytest.raises(InputError, match=r"^stuck\.h5 was not opened in 0\.3 s; try again"):
        screening.check([stuck])
    monkeypatch.setattr(screening, "PATIENCE", 60)
    monkeypatch.setattr(screening, "COMMAND", (sys.executable, "-c", "print(end='.')"))
    screening.check([stuck])


def test_who_asks_for_another_file_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, asked = threading.Event(), []

    def opened(files: list[Path]) -> tuple[int, str, bool]:
        asked.extend(file.name for file in files)
        assert "slow.h5" not in asked[-1:] or go.wait(20)
        return len(files), "", True

    monkeypatch.setattr(screening, "_opened", opened)
    slow, other = image(tmp_path, "slow.h5"), image(tmp_path, "other.h5")
    np.save(tmp_path / "a.npy", np.zeros((8, 8)))
    visitors = [threading.Thread(target=screening.check, args=([slow],)) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    while not asked:
        time.sleep(0.01)
    screening.check([tmp_path / "a.npy", other])
    assert all(visitor.is_alive() for visitor in visitors)
    go.set()
    for visitor in visitors:
        visitor.join(20)
    assert asked == ["slow.h5", "other.h5"]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_what_was_ended_from_outside_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "import os; os.kill(os.getpid(), 9)"  # as where memory is full
    monkeypatch.setattr(screening, "COMMAND", (sys.executable, "-c", killed))
    file = image(tmp_path, "killed.h5")
    with pytest.raises(InputError, match=r"^killed\.h5 was not opened.*\(exit code -9\); try"):
        screening.check([file])
    monkeypatch.setattr(screening, "COMMAND", (sys.executable, "-c", "print(end='.')"))
    screening.check([file])


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


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of time of the processor")
@pytest.mark.parametrize("used", [0.0, 0.9995, 3.0, 3.001])
def test_every_file_has_all_of_its_seconds(monkeypatch: pytest.MonkeyPatch, used: float) -> None:
    """The system counts whole ones; once part of the first was lost, and a good file damaged."""
    spent = SimpleNamespace(ru_utime=used / 2, ru_stime=used / 2)
    limits = {}
    monkeypatch.setattr("resource.getrusage", lambda _: spent)
    monkeypatch.setattr("resource.setrlimit", lambda what, most: limits.update({what: most}))
    screening._limit()
    most = next(soft for soft, hard in limits.values() if hard)
    assert used + screening.SECONDS <= most < used + screening.SECONDS + 1
