"""Whose turn it is: each owner in turn gets a job done, however many they wait for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from unnoise.app.session.job import Job


class Turns:
    """The order in which jobs run.

    Parameters
    ----------
    before : iterable of Job
        Jobs that are known already; those that ran were turns of their owners.
    removed : mapping of str to float
        When owners had turns whose jobs are no longer known.

    Attributes
    ----------
    removed : dict of str to float
        The same, as long as it matters.

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

    def __init__(
        self, before: Iterable[Job] = (), removed: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self.removed = dict(removed)
        ran = [(job.started, job.owner) for job in before if job.started is not None]
        ran += [(at, owner) for owner, at in self.removed.items()]
        self._served = {owner: turn for turn, (_, owner) in enumerate(sorted(ran), 1)}
        self._turn = len(ran)

    def remove(self, job: Job, left: Iterable[Job]) -> bool:
        """Remember the turn of a job that is removed while somebody waits who came before it.

        Parameters
        ----------
        job : Job
        left : iterable of Job
            Those that stay.

        Returns
        -------
        bool
            Whether `removed` is another one now.
        """
        old = self.removed
        turns = dict(old)
        if job.started is not None:
            turns[job.owner] = max(job.started, old.get(job.owner, 0.0))
        since = min((one.created for one in left if one.state == "waiting"), default=math.inf)
        self.removed = {owner: at for owner, at in turns.items() if at > since}
        return self.removed != old

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
