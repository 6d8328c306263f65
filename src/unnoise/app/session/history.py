"""The jobs of a queue on disk: a file of JSON for each, which appears whole."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from unnoise.app.session.frames import Framed, decode
from unnoise.app.session.job import Job
from unnoise.errors import InputError, UnnoiseError
from unnoise.images.atomic import write_whole
from unnoise.images.durable import make_folder

_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What is raised by a record that is none."""
_LARGE = 2**52
"""Numbers of jobs from here on are nobody's: jobs that come later must have larger ones yet."""
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class History:
    """The folder of a queue, which one queue has at a time.

    Parameters
    ----------
    folder : Path or None
        None: nothing is kept but results of images in memory, until the queue is closed.

    Raises
    ------
    InputError
        If another program has it, or it cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self._temporary = None
        self.is_kept = folder is not None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="unnoise-")
            folder = Path(self._temporary.name)
        self.folder = folder
        self._turns = folder / "turns.json"
        self._lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
        try:
            make_folder(folder / "jobs")
            self._lock.acquire()
        except Timeout as error:
            raise InputError(
                f"another program has the queue in {folder}; close it, or choose another folder"
            ) from error
        except NotImplementedError:  # a disk without locks
            pass
        except OSError as error:
            raise InputError(
                f"the queue cannot be kept in {folder}: {error.strerror or error}; choose another "
                f"folder"
            ) from error

    def load(self) -> tuple[list[Job], list[str]]:
        """The jobs in their order, and sentences on what cannot be read."""
        found, problems = [], []
        for path in (self.folder / "jobs").glob("*.json"):
            try:
                job = Job.from_dict(json.loads(path.read_text("utf-8")))
                if job.id != path.stem or not _ID.fullmatch(job.id):
                    raise ValueError(f"it is of job {job.id}")
                found.append(job)
            except _DAMAGED as error:
                problems.append(
                    f"a job is not listed, as its record {path} cannot be read "
                    f"({str(error)[:200]}); remove the file, or put it right and start again"
                )
        found.sort(key=lambda job: job.number)
        most = max((job.number for job in found if job.number < _LARGE), default=0)
        large = [job for job in found if job.number >= _LARGE]
        for number, job in enumerate(large, most + 1):
            job.number = number
        return found, problems

    def save(self, job: Job) -> None:
        """Write the record of a job; of one that is over, what its process told last is in it.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if self.is_kept:
            content = json.dumps(job.to_dict(), indent=1).encode()
            write_whole(self._place(job.id), content, "free some space; the jobs go on")
            if job.is_over:
                with contextlib.suppress(OSError):
                    self.last(job.id).unlink(missing_ok=True)

    def keep_turns(self, removed: Mapping[str, float]) -> None:
        """Write down turns whose jobs are removed; a full disk costs an order that is fair."""
        with contextlib.suppress(OSError, UnnoiseError):
            if removed and self.is_kept:
                write_whole(self._turns, json.dumps(removed).encode(), "free some space")
            else:
                self._turns.unlink(missing_ok=True)

    def turns(self) -> dict[str, float]:
        """What is written down of them; nothing where it is damaged."""
        try:
            found = json.loads(self._turns.read_text("utf-8"))
            return {str(owner): float(at) for owner, at in found.items() if math.isfinite(at)}
        except _DAMAGED:
            return {}

    def last(self, id_: str) -> Path:
        """The file for what a process told last whose program was gone by then."""
        return self._place(id_).with_suffix(".last")

    def last_words(self, job: Job) -> list[Framed]:
        """What is in that file, which goes when it is in the record of the job."""
        found: list[Framed] = []
        with contextlib.suppress(OSError, UnnoiseError), self.last(job.id).open("rb") as file:
            while (event := decode(file)) is not None:
                found.append(event)
        return found

    def remove(self, job: Job) -> None:
        """Forget a job, with what it wrote into this folder."""
        with contextlib.suppress(OSError):
            self._place(job.id).unlink(missing_ok=True)
            self.last(job.id).unlink(missing_ok=True)
        shutil.rmtree(self.results(job.id), ignore_errors=True)

    def results(self, id_: str) -> Path:
        """The folder for the results of images in memory."""
        self._place(id_)
        return self.folder / "results" / id_

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.release()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.cleanup()

    def _place(self, id_: str) -> Path:
        if not _ID.fullmatch(id_):
            raise UnnoiseError(f"'{id_}' is no name of a job")
        return self.folder / "jobs" / f"{id_}.json"
