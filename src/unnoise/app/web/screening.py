"""Files on which a library may hang, or crash, are opened in a process of their own first.

The HDF5 library does not come back from some damaged files, and in the process of the page nothing
could stop it. So who opens such files there asks `check` before: 0.5 s of the processor for those
of HDF5 together, once as long as they do not change, and nothing for all others. Jobs are processes
of their own anyway.

    python -m unnoise.app.web.screening FILE ...       # what `check` starts
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from unnoise.errors import InputError, printable
from unnoise.images.file_version import FileVersion

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""Of HDF5, at the beginning, or behind 512, 1024, 2048 ... bytes of something else."""
SECONDS = 20
"""Of the processor for each file; on a busy machine they take longer."""
PATIENCE = 300
"""Seconds on the clock for all of them."""
MOST, KNOWN = 20, 1000
"""Images of a file that are opened, and files whose answer is remembered."""
COMMAND = (sys.executable, "-P", "-m", "unnoise.app.web.screening")
_answers: OrderedDict[FileVersion, str] = OrderedDict()
_lock = threading.Lock()


def check(files: Iterable[Path]) -> None:
    """Refuse files on which a library hangs or crashes.

    Raises
    ------
    InputError
    """
    with _lock:
        versions = [version for file in files if (version := FileVersion.of(file)) is not None]
        new = [v for v in versions if v not in _answers and _is_suspect(v.path)]
        while new:
            count, why = _opened([version.path for version in new])
            _answers.update(dict.fromkeys(new[:count], ""))
            if count < len(new):
                _answers[new[count]] = why
            new = new[count + 1 :]
        found = [(version.path, _answers.get(version, "")) for version in versions]
        while len(_answers) > KNOWN:
            _answers.popitem(last=False)
    for path, why in found:
        if why:
            raise InputError(
                f"{printable(path.name)} may be damaged: the library that reads it {why}; copy or "
                f"export it again, or leave it out"
            )


def _is_suspect(path: Path) -> bool:
    """Whether a file is one of HDF5."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at < size:
            file.seek(at)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            at = 2 * at or 512
    return False


def _opened(files: Sequence[Path]) -> tuple[int, str]:
    """How many files a process came to the end of, and what became of it at the next one."""
    try:
        ended = subprocess.run(
            [*COMMAND, *map(str, files)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return len(error.stdout or b""), f"did not come to an end in {PATIENCE} s"
    if ended.returncode == -getattr(signal, "SIGXCPU", 0):
        return len(ended.stdout), f"did not come to an end in {SECONDS} s of the processor"
    why = f"ended with it (exit code {ended.returncode})"
    return (len(ended.stdout), why) if ended.returncode else (len(files), "")


def main() -> None:
    """Open files as the page will, and write a byte after each."""
    from unnoise.images import formats

    for file in sys.argv[1:]:
        _limit()
        with contextlib.suppress(Exception):  # which is told when it is opened next
            for image in itertools.islice(formats.open_all([file], series="all"), MOST):
                image.original(image.middle() | {"Y": 0})
        os.write(sys.stdout.fileno(), b".")


def _limit() -> None:
    """Let the system end this process if the next file takes too long; not on Windows."""
    with contextlib.suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
