"""Files on which a library may hang, or crash, are opened in a process of their own first.

The HDF5 library does not come back from some damaged files, and in the process of the page nothing
could stop it. So who opens such files there asks `check` before: 0.5 s of the processor for those
of HDF5 together, once as long as they do not change, and nothing for all others. Jobs are processes
of their own anyway.

    python -m unnoise.app.web.screening FILE ...       # what `check` starts
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from unnoise.errors import AxesError, InputError, printable
from unnoise.images import axes as ax
from unnoise.images.file_version import FileVersion
from unnoise.images.image import Image

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""Of HDF5, at the beginning, or behind 512, 1024, 2048 ... bytes of something else."""
SECONDS = 20
"""Of the processor for each file; on a busy machine they take longer."""
PATIENCE = 300
"""Seconds on the clock for each file, which a slow disk may need."""
MOST, KNOWN = 20, 1000
"""Images of a file that are opened, and files whose answer is remembered."""
COMMAND = (sys.executable, "-P", "-m", "unnoise.app.web.screening")
OTHERS = (1, -2, -9, -15)
"""Exit codes of processes that did not start, or were ended from outside, as for want of memory."""
_answers: OrderedDict[FileVersion, str] = OrderedDict()
_opening: set[FileVersion] = set()
_ended = threading.Condition()


def check(files: Iterable[Path]) -> None:
    """Refuse files on which a library hangs or crashes.

    Only who asks for the same file waits for the process that opens it.

    Raises
    ------
    InputError
    """
    suspects = [v for v in map(FileVersion.of, files) if v is not None and _is_suspect(v.path)]
    with _ended:
        while any(version in _opening for version in suspects):
            _ended.wait()
        found = {version: _answers.get(version) for version in suspects}
        new = [version for version, answer in found.items() if answer is None]
        _opening.update(new)
    try:
        found |= _answered(new)
    finally:
        with _ended:
            _opening.difference_update(new)
            _ended.notify_all()
    for version, why in found.items():
        if why:
            raise InputError(f"{printable(version.path.name)} {why}, or leave it out")


def _answered(versions: list[FileVersion]) -> dict[FileVersion, str]:
    """What is wrong with each file; what lies with the file is remembered."""
    found: dict[FileVersion, str] = {}
    while len(found) < len(versions):
        left = versions[len(found) :]
        count, why, is_proven = _opened([version.path for version in left])
        good = dict.fromkeys(left[:count], "")
        bad = dict.fromkeys(left[count : count + 1], why)
        found |= good | bad
        with _ended:
            _answers.update(good | bad if is_proven else good)
            while len(_answers) > KNOWN:
                _answers.popitem(last=False)
    return found


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


def _opened(files: Sequence[Path]) -> tuple[int, str, bool]:
    """How many files a process came to the end of, what became of it at the next one, and whether
    that lies with the file.
    """
    late = threading.Event()
    with subprocess.Popen(
        [*COMMAND, *map(str, files)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdout is not None

        def end() -> None:
            late.set()
            process.kill()

        count, byte = -1, b"."
        while byte:
            count += 1
            watch = threading.Timer(PATIENCE, end)
            watch.start()
            try:
                byte = process.stdout.read(1)
            finally:
                watch.cancel()
        code = process.wait()
    if late.is_set():
        return count, f"was not opened in {PATIENCE} s; try again when its disk is quicker", False
    if code in OTHERS:
        why = f"was not opened, as the process for it was ended (exit code {code}); try again"
        return count, why, False
    is_hanging = code == -getattr(signal, "SIGXCPU", 0)
    told = f"did not come to an end in {SECONDS} s of the processor"
    told = told if is_hanging else f"ended with it (exit code {code})"
    damaged = f"may be damaged: the library that reads it {told}; copy or export it again"
    return (count, damaged, True) if code else (len(files), "", True)


def main() -> None:
    """Open files as the page will, and write a byte after each."""
    from unnoise.images import formats

    for file in sys.argv[1:]:
        _limit()
        with contextlib.suppress(Exception), formats.listing.once():  # told when it is opened next
            for number in formats.numbers(Path(file), "all")[:MOST]:
                with contextlib.suppress(Exception):
                    image = _opened_as_said(file, number)
                    image.original(image.middle() | {"Y": 0})
        os.write(sys.stdout.fileno(), b".")


def _opened_as_said(file: str, number: int) -> Image:
    """An image; where its axes are ambiguous under some that fit, as a person will name them."""
    from unnoise.images import formats

    for letters in (None, *(ax.CANONICAL[-count:] for count in range(2, len(ax.CANONICAL)))):
        with contextlib.suppress(AxesError):
            return formats.open(file, axes=letters, series=number)
    return formats.open(file, axes=ax.CANONICAL, series=number)


def _limit() -> None:
    """Let the system end this process if the next file takes too long; not on Windows."""
    with contextlib.suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(used.ru_utime + used.ru_stime) + SECONDS  # whole ones, at least as many
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
