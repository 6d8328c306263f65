"""A queue of jobs: files in processes of their own, images in memory in threads."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unnoise.app.events import Stopped, StopRequest, stoppable
from unnoise.app.problems import exit_code, sentence
from unnoise.app.session import orphan
from unnoise.app.session.child import Child
from unnoise.app.session.frames import Problem, thinned
from unnoise.app.session.history import History
from unnoise.app.session.job import Job
from unnoise.app.session.request import Request, named
from unnoise.app.session.turns import Turns
from unnoise.errors import InputError, UnnoiseError, naming_options
from unnoise.images.atomic import explained
from unnoise.images.durable import make_folder
from unnoise.images.image import Image

PATIENCE = 60.0
"""Seconds in which a job that was asked to stop must have ended when the queue is closed."""
LATE = "the program was closed, and the job took too long to end; start it again"
IDLE = 300.0
"""Seconds in which a process waits for a job."""
REMEMBERED = 1000
"""Jobs of files that have ended; each takes memory, and its time in lists."""
PREVIEWS = 8
"""Jobs that have ended and keep their preview, up to 2 MB each; the others can be hundreds."""


class JobQueue:
    """Jobs one after the other, or some at a time, in an order that is fair between their owners.

    Parameters
    ----------
    folder : Path or None
        Where jobs are remembered: those that wait go on when a queue is made on the same folder
        again. None: nowhere.
    workers : int
        How many run at a time; they share the cores.
    allowed : callable, optional
        Raises `InputError` for the request of a job of files that must not run; asked when it is
        about to, as what waits on disk may have been written by anybody.

    Raises
    ------
    InputError
        If another program has the queue of this folder.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> noisy = Image.from_array(np.random.default_rng(0).normal(9, 1, size=(64, 64)))
    >>> queue = JobQueue(None)
    >>> job = queue.submit(Request(("cells",), method="gaussian", report=False), [noisy])
    >>> queue.join()
    True
    >>> job.state, [path.name for path in job.results]
    ('done', ['cells_denoised.ome.tif'])
    >>> queue.close(stop=True)
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        workers: int = 1,
        allowed: Callable[[Request], None] | None = None,
    ) -> None:
        self._history = History(folder)
        self._allowed = allowed
        self._open = contextlib.ExitStack()
        self._open.enter_context(naming_options())  # errors are those of the command line
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, Job] = {}
        self._saving = threading.Lock()
        self._images: dict[str, list[Image]] = {}
        self._stops: dict[str, Callable[[], None]] = {}  # of the jobs that run
        self._children: dict[str, Child] = {}
        self._spare: Child | None = None
        self._idle: threading.Timer | None = None
        self._closing = False
        self._late: set[str] = set()  # jobs that were ended, as they did not end in time
        found, self.problems = self._history.load()
        self._turns = Turns(found, self._history.turns())
        self._left: list[Job] = []  # whose processes outlived an earlier program
        for job in found:
            self._jobs[job.id] = job
            self._after_restart(job)
        cores = os.cpu_count() or 1
        self._threads = max(cores // workers, 1) if workers > 1 else None
        self._slots = [
            threading.Thread(target=self._work, name=f"unnoise job {n}") for n in range(workers)
        ]
        for slot in self._slots:
            slot.daemon = True  # a front end that dies takes no leave
            slot.start()

    def submit(
        self, request: Request, images: Sequence[Image] | None = None, owner: str = ""
    ) -> Job:
        """Put a job at the end of the queue.

        Parameters
        ----------
        request : Request
        images : sequence of Image, optional
            Images in memory, in the place of files. Their results go to a folder of the queue
            unless the request names a place.
        owner : str
            Who asks: each in turn gets a job done.
        """
        with self._lock:
            if self._closing:
                raise UnnoiseError("the queue is closed; start the program again")
            number = max((job.number for job in self._jobs.values()), default=0) + 1
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
            job = Job(name, request, owner, number, in_memory=images is not None)
            if images is not None:
                self._images[name] = self._placed(job, images)
            self._jobs[name] = job
        self._keep(job)
        with self._changed:
            self._changed.notify_all()
        return job

    def prepare(self) -> None:
        """Load PyTorch for the next job of files, in a process that waits for it.

        For the moment when a person looks at an image: the job then begins seconds sooner. A
        process that waits for `IDLE` seconds goes.
        """
        with self._lock:
            if self._closing or self._spare is not None:
                return
            with contextlib.suppress(OSError):  # without room for it the job begins later
                self._spare = Child(self._threads)
                self._idle = threading.Timer(IDLE, self._dismiss)
                self._idle.daemon = True
                self._idle.start()

    def _waiting_child(self) -> Child | None:
        """The process that waits for a job, which is then no longer there."""
        with self._lock:
            spare, self._spare = self._spare, None
            if self._idle is not None:
                self._idle.cancel()
            return spare

    def _dismiss(self) -> None:
        """End the process that waits."""
        spare = self._waiting_child()
        if spare is not None:
            spare.dismiss()

    def stop(self, id_: str) -> None:
        """Stop a job as Ctrl-C does: what was trained is kept. One that waits will not run."""
        with self._lock:
            job = self.job(id_)
            if job.state == "waiting":
                job.take(Stopped("stopped before it began"))
                self._end(job)
                self._changed.notify_all()
                ask = None
            else:
                job.stopping = job.state == "running"
                ask = self._stops.get(id_)
        if ask is not None:
            ask()
        elif job.state == "stopped":
            self._keep(job)

    def remove(self, id_: str) -> None:
        """Forget a job that does not run; results in folders of the user stay.

        Raises
        ------
        InputError
            If it runs.
        """
        with self._changed:
            job = self.job(id_)
            if job.state == "running":
                raise InputError("the job runs; stop it before it is removed")
            del self._jobs[id_]
            self._images.pop(id_, None)
            is_turn = self._turns.remove(job, self._jobs.values())
            self._changed.notify_all()
        with self._saving:
            if is_turn:
                self._history.keep_turns(self._turns.removed)
            self._history.remove(job)

    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they came."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.number)

    def job(self, id_: str) -> Job:
        """A job.

        Raises
        ------
        InputError
            If there is none of this name.
        """
        with self._lock:
            if id_ not in self._jobs:
                raise InputError(f"there is no job {id_}; it may have been removed")
            return self._jobs[id_]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until nothing waits or runs; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout)

    def close(self, *, stop: bool) -> None:
        """Run nothing more; jobs that wait are remembered, those that run end or are stopped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            running = [job.id for job in self._jobs.values() if job.state == "running"]
        for id_ in running if stop else ():
            with contextlib.suppress(InputError):  # it ended, and somebody removed it
                self.stop(id_)
        for slot in self._slots:
            slot.join(PATIENCE if stop else None)
        for id_, child in list(self._children.items()):
            self._late.add(id_)
            child.kill()  # it was asked
        for slot in self._slots:
            slot.join(PATIENCE if stop else None)
        self._dismiss()
        with self._lock:
            for job in self._jobs.values():
                if job.state == "waiting" and not self._history.is_kept:
                    job.state = "interrupted"
        self._history.close()
        self._open.close()

    def _is_idle(self) -> bool:
        return all(job.is_over for job in self._jobs.values())

    def _placed(self, job: Job, images: Sequence[Image]) -> list[Image]:
        """The images of a job in memory, with places for the results."""
        if job.request.out is not None:
            return named(images, job.request.inputs)
        folder = self._history.results(job.id)
        with explained(folder):
            make_folder(folder)
        return named(images, job.request.inputs, folder)

    def _after_restart(self, job: Job) -> None:
        """What becomes of a job whose program has ended."""
        if job.state == "waiting" and job.in_memory:
            lost = "the program ended, and with it the image in its memory; start it again"
            self._interrupt(job, lost)
        elif job.state == "running" and orphan.process_of(job) is None:
            self._hear_last_words(job)
        elif job.state == "running":  # as its record says until it was heard, by whoever is next
            job.stopping = True
            self._left.append(job)

    def _work(self) -> None:
        """What a slot does: one job after the other."""
        if orphan.wait(tuple(self._left), lambda: self._closing):
            with self._lock:
                left, self._left = self._left, []
            for one in left:
                self._hear_last_words(one)
        while (job := self._next()) is not None:
            try:
                self._run(job)
            except BaseException as error:  # whatever it is, it costs this job alone
                job.take(_problem(error))
            with self._changed:
                if job.id in self._late and job.outcome == "failed":
                    job.outcome, job.error = "interrupted", LATE
                self._end(job)
                self._images.pop(job.id, None)
                self._stops.pop(job.id, None)
                self._children.pop(job.id, None)
            self._keep(job)
            self._forget()
            with self._changed:
                self._changed.notify_all()

    def _forget(self) -> None:
        """Remove the jobs that ended first, of more than are remembered."""
        with self._lock:
            over = [one for one in self._jobs.values() if one.is_over and not one.in_memory]
        for old in sorted(over, key=lambda one: one.ended or 0)[:-REMEMBERED]:
            with contextlib.suppress(InputError):  # somebody else did
                self.remove(old.id)

    def _hear_last_words(self, job: Job) -> None:
        """Learn what became of a job whose process was alone when it ended."""
        try:
            for event in self._history.last_words(job):
                job.take(event)
        except Exception as wrong:  # the file may be anything
            self.problems.append(f"what job {job.id} said last is unclear: {wrong}")
        self._interrupt(job, "the program ended while the job ran; start it again")

    def _interrupt(self, job: Job, text: str) -> None:
        """End a job that an earlier program left."""
        with self._changed:
            job.outcome, job.error, job.misuse = "interrupted", text, False
            self._end(job)
            self._changed.notify_all()
        self._keep(job)

    def _end(self, job: Job) -> None:
        job.pid = None
        job.end(time.time())
        shown = [one for one in self._jobs.values() if one.is_over and one.preview is not None]
        for old in sorted(shown, key=lambda one: one.ended or 0)[:-PREVIEWS]:
            old.preview = None

    def _next(self) -> Job | None:
        """The job whose turn it is, as soon as there is one; None at the end."""
        with self._changed:
            while not self._closing:
                job = self._turns.next(self._jobs.values())
                if job is not None:
                    job.state, job.started = "running", time.time()
                    return job
                self._changed.wait()
        return None

    def _run(self, job: Job) -> None:
        """Do a job, wherever it is done."""
        images = self._images.get(job.id)
        if images is not None:
            self._keep(job)
            self._run_here(job, images)
            return
        if self._allowed is not None:
            self._allowed(job.request)
        spare = self._waiting_child()
        if spare is not None and not spare.is_alive:
            spare.dismiss()
            spare = None
        child = spare or Child(self._threads)
        job.pid, job.mark = child.pid, child.mark
        self._keep(job)  # first, so that nobody does it again while that process does it
        child.begin(job.request, self._history.last(job.id).absolute())
        with self._lock:
            self._stops[job.id], self._children[job.id] = child.stop, child
            if job.stopping:
                child.stop()
        with contextlib.closing(child.events()) as events:
            for event in events:
                job.take(event)

    def _run_here(self, job: Job, images: list[Image]) -> None:
        """Do a job of images in memory in this thread; what it took goes back to the system."""
        from unnoise.nets.device import return_memory  # loads PyTorch, as the job does

        request = StopRequest()
        with self._lock:
            self._stops[job.id] = lambda: setattr(request, "asked", True)
            request.asked = job.stopping
        with stoppable(request), contextlib.ExitStack() as at_the_end:
            at_the_end.callback(return_memory)
            job_events = thinned(job.request.events(images), clock=time.monotonic)
            with contextlib.closing(job_events) as events:
                for event in events:
                    job.take(event)
                    if request.asked and not request.heard and not job.outcome:
                        job.take(Stopped("stopped; unfinished files were removed"))
                        return

    def _keep(self, job: Job) -> None:
        """Write the record of a job; a full disk costs the record alone."""
        try:
            with self._saving:  # so that nothing older than what is there is written
                if job.id in self._jobs:
                    self._history.save(job)
        except Exception as error:  # whatever it is, the queue goes on
            self.problems.append(sentence(error))
            if ("warning", sentence(error)) not in job.messages:
                job.messages = (*job.messages, ("warning", sentence(error)))


def _problem(error: BaseException) -> Problem:
    return Problem(sentence(error), misuse=exit_code(error) == 2)
