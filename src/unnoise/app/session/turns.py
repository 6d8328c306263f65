"""Whose turn it is: each owner in turn gets a job done, however many they wait for."""

from __future__ import annotations

from collections.abc import Iterable

from unnoise.app.session.job import Job


class Turns:
    """The order in which jobs run.

    Parameters
    ----------
    before : iterable of Job
        Jobs that are known already; those that ran were turns of their owners.

    Examples
    --------
    >>> from unnoise.app.session.request import Request
    >>> jobs = [Job(str(n), Request(("a.tif",)), owner, n) for n, owner in enumerate("aaab")]
    >>> turns, order = Turns(), []
    >>> while (job := turns.next(jobs)) is not None:
    ...     job.state = "done"
    ...     order.append(job.owner)
    >>> "".join(order)
    'abaa'
    """

    def __init__(self, before: Iterable[Job] = ()) -> None:
        ran = sorted((job.started, job.owner) for job in before if job.started is not None)
        self._served = {owner: turn for turn, (_, owner) in enumerate(ran, 1)}
        self._turn = len(ran)

    def next(self, jobs: Iterable[Job]) -> Job | None:
        """The job of the owner with the fewest that run, who was served longest ago."""
        known = list(jobs)
        running = [job.owner for job in known if job.state == "running"]
        waiting = [job for job in known if job.state == "waiting"]
        if not waiting:
            return None
        job = min(
            waiting,
            key=lambda j: (running.count(j.owner), self._served.get(j.owner, 0), j.number),
        )
        self._turn += 1
        self._served[job.owner] = self._turn
        return job
