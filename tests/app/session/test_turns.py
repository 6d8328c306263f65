"""Each owner in turn gets a job done."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from unnoise.app.session.job import Job
from unnoise.app.session.turns import Turns

from .noisy_files import filtered

REQUEST = filtered(Path("a.tif"))


def jobs_of(owners: str) -> list[Job]:
    return [Job(str(n), REQUEST, owner, n) for n, owner in enumerate(owners)]


@given(st.text("abc", min_size=1, max_size=30))
def test_no_owner_is_ahead_of_another_that_waits(owners: str) -> None:
    jobs, turns, order = jobs_of(owners), Turns(), ""
    left = dict.fromkeys(owners, 0) | {owner: owners.count(owner) for owner in owners}
    while (job := turns.next(jobs)) is not None:
        job.state = "done"
        order += job.owner
        left[job.owner] -= 1
        for other in set(owners):
            if left[other]:
                assert order.count(job.owner) <= order.count(other) + 1
    assert sorted(order) == sorted(owners)


def test_jobs_of_an_owner_keep_their_order() -> None:
    jobs, turns, order = jobs_of("abaabb"), Turns(), []
    while (job := turns.next(jobs)) is not None:
        job.state = "running"
        order.append(job.number)
        job.state = "done"
    assert [n for n in order if jobs[n].owner == "a"] == [0, 2, 3]
    assert [n for n in order if jobs[n].owner == "b"] == [1, 4, 5]


def test_owners_whose_jobs_run_wait_for_the_others() -> None:
    jobs, turns = jobs_of("aab"), Turns()
    for expected in ("a", "b", "a"):
        job = turns.next(jobs)
        assert job is not None
        assert job.owner == expected
        job.state = "running"


def test_a_restart_forgets_no_turn() -> None:
    jobs = jobs_of("aabb")
    jobs[0].state, jobs[0].started = "done", 5.0
    job = Turns(jobs).next(jobs)
    assert job is not None
    assert job.owner == "b"


def test_a_turn_outlives_its_job_while_others_wait() -> None:
    first, second, other = jobs_of("aab")
    first.state, first.started = "done", max(second.created, other.created) + 1
    turns = Turns([first, second, other])
    assert turns.remove(first, [second, other])
    job = Turns([second, other], turns.removed).next([second, other])
    assert job is other
    other.state = second.state = "done"
    assert turns.remove(second, [other])  # nobody waits
    assert turns.removed == {}
    assert not turns.remove(other, [])
