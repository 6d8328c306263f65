"""The first page: drop or choose a file, and what became of the others."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence

from nicegui import ui

from unnoise.app.amounts import amount
from unnoise.app.problems import sentence
from unnoise.app.session.job import Job
from unnoise.app.web import elements as el
from unnoise.app.web.site import Site
from unnoise.errors import InputError
from unnoise.training.duration import in_words

EVERY = 1.0
"""Seconds between two looks at the queue."""
SHOWN = 50
"""Jobs that have ended in the list at first: it is drawn anew, for everybody, where one changes."""
LISTED = 2000
"""Entries of a folder that are listed at a time."""
TOLD = 5
"""Problems of the queue that are told."""
WORDS = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "stopped": "stopped",
    "interrupted": "interrupted",
}


def build(site: Site, folder: str, first: str = "") -> None:
    """The page, which shows a folder of the workspace, perhaps from a later entry on."""
    with el.page("Denoise images"):
        with el.tag("div", "columns"):
            with el.tag("div"):
                _drop(site)
            with el.section("From the workspace"):
                _chooser(site, folder, int(first) if re.fullmatch("[0-9]{1,9}", first) else 0)
        with el.section("Jobs", "jobs"):
            for problem in told(site.queue.problems):
                el.notice(problem, "warning")
            _Jobs(site)


def _drop(site: Site) -> None:
    """Where files are dropped or chosen; page.js sends them."""
    limit = site.settings.upload_limit
    with el.tag("section", "drop", data_limit=limit, aria_label="Upload"):
        el.text("p", "Drop image files here, or")
        with el.tag("label", "button primary"):
            el.text("span", "Choose files")
            el.tag("input", type="file", multiple=True)
        el.text(
            "p",
            f"TIFF, OME-TIFF, CZI, LIF, ND2, PNG and many more; up to {amount(limit)} each. "
            f"They stay on {'this machine' if site.settings.is_local else 'the server'}.",
            "hint",
        )
        el.tag("progress", max=1, value=0, aria_label="Upload")
        el.text("p", "", "status", role="status")
        el.text("button", "Cancel", "cancel-uploads", type="button")


def _chooser(site: Site, folder: str, first: int) -> None:
    """Folders to enter and images to tick; an HTML form, which needs no script."""
    try:
        entries = site.workspace.listing(folder)
    except InputError as error:
        el.notice(sentence(error))
        folder, entries = "", site.workspace.listing("")
    with el.tag("ul", "crumbs", aria_label="Folder"):
        parts = [part for part in folder.split("/") if part]
        with el.tag("li"):
            el.link(site.workspace.root.name or "/", "/")
        for number, part in enumerate(parts):
            with el.tag("li"):
                el.link(part, el.place("/", ("folder", "/".join(parts[: number + 1]))))
    if not entries:
        el.text("p", "This folder holds no images.", "hint")
        return
    count, first = len(entries), first if first < len(entries) else 0
    entries = entries[first : first + LISTED]
    _turned(folder, first, len(entries), count)
    with el.tag("form", action="/image", method="get"):
        with el.tag("ul", "files", tabindex=0, role="list", aria_label="Images and folders"):
            for entry in entries:
                with el.tag("li"):
                    if entry.is_folder:
                        el.link(f"{entry.label}/", el.place("/", ("folder", entry.name)))
                        continue
                    el.tag(
                        "input",
                        type="checkbox",
                        name="place",
                        value=entry.name,
                        aria_label=f"Select {entry.label}",
                    )
                    el.link(entry.label, el.place("/image", ("place", entry.name)))
                    el.text("span", amount(entry.size) if entry.size else "", "size")
        if any(not entry.is_folder for entry in entries):
            el.text("button", "Open the selected", type="submit")


def _turned(folder: str, first: int, shown: int, count: int) -> None:
    """Which entries of a folder are listed where not all are, and the way to the others."""
    if shown == count:
        return
    with el.tag("div", "buttons"):
        el.text("span", f"{first + 1:,} to {first + shown:,} of {count:,}", "muted")
        ways = [("Earlier ones", max(first - LISTED, 0)), ("Later ones", first + LISTED)]
        for name, to in ways:
            if to != first and to < count:
                el.link(name, el.place("/", ("folder", folder), ("first", str(to))))


class _Jobs:
    """The queue and its history as a table, kept up to date."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._shown: tuple | None = None
        self._most = SHOWN
        self._body = el.tag("div", "scroll")
        self._refresh()
        ui.timer(EVERY, self._refresh)

    def _refresh(self) -> None:
        """Draw the table anew where something changed."""
        jobs = self._site.queue.jobs()[::-1]
        older = {job.id for job in [job for job in jobs if job.is_over][self._most :]}
        jobs = [job for job in jobs if job.id not in older]
        shown = len(older), tuple((j.id, j.state, round(j.fraction, 2), told_time(j)) for j in jobs)
        if shown == self._shown:
            return
        self._shown = shown
        self._body.clear()
        with self._body:
            if not jobs:
                el.text("p", "Nothing yet. Choose an image to begin.", "hint")
                return
            with el.tag("table"):
                with el.tag("thead"), el.tag("tr"):
                    for name in ("Image", "State", "Progress", "Time"):
                        el.text("th", name, scope="col")
                    with el.tag("th", scope="col"):
                        el.text("span", "Actions", "unseen")
                with el.tag("tbody"):
                    for job in jobs:
                        self._row(job)
            if older:
                el.button(f"Show {min(len(older), SHOWN)} of {len(older)} older jobs", self._more)

    def _more(self) -> None:
        """Show jobs that ended earlier."""
        self._most += SHOWN
        self._refresh()

    def _row(self, job: Job) -> None:
        """A job."""
        name = title(job)
        with el.tag("tr"):
            with el.tag("th", scope="row"):
                el.link(name, f"/job/{job.id}")
            el.text("td", WORDS[job.state], f"state {job.state}")
            with el.tag("td"):
                if job.state in ("running", "waiting"):
                    el.tag("progress", max=1, value=job.fraction, aria_label=f"Progress of {name}")
            el.text("td", told_time(job))
            with el.tag("td"):
                if job.is_over:
                    el.button("Remove", lambda: self._remove(job), aria_label=f"Remove {name}")
                else:
                    el.button("Stop", lambda: self._stop(job), aria_label=f"Stop {name}")

    def _stop(self, job: Job) -> None:
        self._site.queue.stop(job.id)
        self._refresh()

    def _remove(self, job: Job) -> None:
        """From the list; its files stay."""
        with contextlib.suppress(InputError):  # another browser was faster
            self._site.queue.remove(job.id)
        self._refresh()


def told(problems: Sequence[str]) -> list[str]:
    """What went wrong with the queue: each problem once, the first of many.

    Examples
    --------
    >>> told(["a", "b", "a"]), told(list("abcdefg"))[-1]
    (['a', 'b'], 'and 2 more problems of this kind')
    """
    found = list(dict.fromkeys(problems))
    more = [f"and {len(found) - TOLD} more problems of this kind"] if len(found) > TOLD else []
    return found[:TOLD] + more


def title(job: Job) -> str:
    """What a job is called.

    Examples
    --------
    >>> from unnoise.app.session.request import Request
    >>> title(Job("1", Request(("a/cells.tif", "a/b.tif"))))
    'cells.tif and 1 more'
    """
    names = [name.replace("\\", "/").rstrip("/").rpartition("/")[2] for name in job.request.inputs]
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def told_time(job: Job) -> str:
    """How long a job will take, or when it ended."""
    if job.state == "running":
        return "" if job.remaining is None else f"{in_words(job.remaining)} left"
    at = job.ended or job.created
    return "" if job.state == "waiting" else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
