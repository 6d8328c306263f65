"""What visitors of the page do, and what they saw of their jobs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import numpy as np
import socketio.exceptions
import tifffile
from numpy.typing import NDArray

import unnoise
from load.gate import Gate
from load.visitor import Broken, Page, Visitor
from synthetic import between

KINDS = 8
"""Different images, each of which is uploaded often, under names of their own."""
SIDE = 64
FILES = (1, 1, 2, 3)
"""So many images are sent at a time."""
STOPPED, VANISHED, GLANCES, WIDE = 0.12, 0.04, 0.1, 0.1
"""Shares of jobs that are stopped and of files that vanish before their turn; of visits of whom the
script never ran, and who look at the wide image.
"""
BROKEN = 0.1
"""Share of jobs whose visitor loses the connection while they wait or run."""
AWAY = (1, 45)
"""Seconds until it is there again: the server knows the page still, or not any more."""
LONGEST = 3000.0
"""Seconds until a job must have had its turn and ended."""
OVER = ("Done", "Failed", "Stopped", "Interrupted")


class Place(Protocol):
    """The server, as visitors know it."""

    address: str
    generation: int
    is_open: bool
    is_up: bool
    workspace: Path
    gate: Gate


@dataclass
class Diary:
    """What happened, of all visitors."""

    expected: list[str]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each job that was submitted: its record when it had ended."""
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)


@dataclass
class Pending:
    """A job that somebody waits for."""

    id: str
    name: str
    kind: int
    fate: str = "done"
    """What becomes of it, as far as its visitor has a say in it."""


def image(kind: int) -> NDArray[np.uint16]:
    """A small noisy picture."""
    clean = between(100, 600, (SIDE, SIDE), seed=kind)
    return np.random.default_rng(kind).poisson(clean).astype(np.uint16)


def content(kind: int) -> bytes:
    """The same as a file."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image(kind), metadata={"axes": "YX"})
    return buffer.getvalue()


def digest(pixels: NDArray) -> str:
    """A number for pixels."""
    return hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode() + pixels.tobytes()).hexdigest()


def diary() -> Diary:
    """An empty one, which knows the right results."""
    found = [unnoise.denoise(image(k), method="gaussian", axes="YX") for k in range(KINDS)]
    return Diary([digest(pixels) for pixels in found])


def ended(place: Place, job: str) -> dict[str, Any]:
    """What the queue wrote of a job."""
    path = place.workspace / "unnoise-app" / ".queue" / "jobs" / f"{job}.json"
    return dict(json.loads(path.read_text("utf-8")))


async def settled(place: Place, job: str) -> dict[str, Any]:
    """The same of one that has ended: it is on the page a moment before it is on a busy disk."""
    for _ in range(300):
        if (record := ended(place, job))["state"] not in ("waiting", "running"):
            break
        await asyncio.sleep(0.2)
    return record


def checked(diary: Diary, job: Pending, record: dict[str, Any], file: bytes | None) -> None:
    """Whether a job ended as it should, with the right file."""
    diary.jobs[job.id] = record
    diary.counts[record["state"]] += 1
    if record["state"] != job.fate and record["state"] != "done":
        diary.losses.append(f"job {job.id} of {job.name} is {record['state']}: {record['error']}")
    if record["state"] == "failed" and not record["error"]:
        diary.losses.append(f"job {job.id} failed without a word")
    if file is not None:
        diary.counts["downloads"] += 1
        pixels = tifffile.imread(io.BytesIO(file))
        if digest(pixels) != diary.expected[job.kind]:
            diary.losses.append(f"the result of {job.name} has other pixels")


class Life:
    """One who comes again and again.

    Parameters
    ----------
    place : Place
    diary : Diary
    number : int
    think : float
        Seconds between two visits, about.
    """

    def __init__(self, place: Place, diary: Diary, number: int, think: float) -> None:
        self.place, self.diary, self.number, self.think = place, diary, number, think
        self.rng = random.Random(number)
        self.pending: list[Pending] = []
        self.sent = 0

    async def live(self) -> None:
        """Until the house closes and no job is left."""
        await asyncio.sleep(self.rng.random() * self.think)
        while self.place.is_open or self.pending:
            if not self.place.is_up:
                await asyncio.sleep(0.5)
                continue
            born = self.place.generation
            try:
                visitor = Visitor(self.place.address)
                try:
                    await visitor.enter()
                    while (self.place.is_open or self.pending) and born == self.place.generation:
                        if not self.pending:
                            async with self.place.gate:
                                await self.send(visitor)
                        while self.pending:
                            async with self.place.gate:
                                is_over = await self.follow(visitor, self.pending[0])
                            if is_over:
                                self.pending.pop(0)
                        await self.pause()
                finally:
                    await visitor.leave()
            except Exception as error:  # a server that is killed while one connects: TypeError, too
                if born == self.place.generation and self.place.is_up:
                    self.diary.losses.append(f"visitor {self.number}: {error!r}")
                    if self.diary.counts["faults"] > 20:
                        return
                    self.diary.counts["faults"] += 1
                await asyncio.sleep(1)

    async def pause(self) -> None:
        """Think, as long as the house is open."""
        for _ in range(int(self.think * (0.5 + self.rng.random()) / 0.5)):
            if not self.place.is_open:
                return
            await asyncio.sleep(0.5)

    async def send(self, visitor: Visitor) -> None:
        """Upload images, look at them, choose the filter, start."""
        home = await visitor.open("/")
        await asyncio.sleep(1 + self.rng.random())
        await home.close()
        if self.rng.random() < GLANCES:  # as a browser that is closed before its script runs
            await visitor.get("/")
            self.diary.counts["glances"] += 1
        kinds = [self.rng.randrange(KINDS) for _ in range(self.rng.choice(FILES))]
        names, places = [], []
        for kind in kinds:
            self.sent += 1
            names.append(f"v{self.number:02d}_{self.place.generation}_{self.sent:04d}.tif")
            places.append(await visitor.upload(names[-1], content(kind)))
            self.diary.counts["uploads"] += 1
        place = ""
        while not place:
            try:
                place = await self.choose(visitor, places)
            except Broken:  # what was chosen may be gone; were the jobs submitted?
                self.diary.counts["chosen again"] += 1
                home = await visitor.open("/")
                place = "/" if home.find("a", names[0]) else ""
                await home.close()
        await self.submitted(visitor, place, names, kinds, places)
        if self.rng.random() < WIDE:
            wide = await visitor.open("/image?place=wide.npy")
            await self.look(visitor, wide, 20)
            await wide.close()

    async def choose(self, visitor: Visitor, places: list[str]) -> str:
        """Look at images, and start; where the page went then."""
        address = "/image?" + urlencode([("place", p) for p in places])
        page = await visitor.open(address, mends=False)
        try:
            await page.wait(lambda: page.find("p", classes="verdict"))
            await self.look(visitor, page, 3)
            await page.tell(await page.wait(lambda: page.field("Method")), "change", "gaussian")
            await page.wait(lambda: page.find("p", "Gaussian", "verdict"))
            await page.press("Denoise")
            return str(await page.wait(lambda: page.opened))
        finally:
            with contextlib.suppress(socketio.exceptions.SocketIOError):
                await page.close()

    async def look(self, visitor: Visitor, page: Page, tiles: int) -> None:
        """Pan about in an image."""
        self.diary.counts["tiles"] += await visitor.look(page, tiles, self.rng.randrange)

    async def submitted(
        self, visitor: Visitor, place: str, names: list[str], kinds: list[int], places: list[str]
    ) -> None:
        """Learn which jobs there are now, from the page that comes then."""
        page = await visitor.open(place)
        found = [place]
        if place == "/":
            links = [await page.wait(lambda n=name: page.find("a", n)) for name in names]
            found = [page.elements[key]["props"]["href"] for key in links]
        await page.close()
        jobs = [
            Pending(address.rpartition("/")[2], name, kind)
            for address, name, kind in zip(found, names, kinds, strict=True)
        ]
        self.pending += jobs
        self.diary.jobs |= {job.id: {} for job in jobs}
        for job, file in zip(jobs, places, strict=True):
            if self.rng.random() < VANISHED and ended(self.place, job.id)["state"] == "waiting":
                job.fate = "failed"
                (self.place.workspace / file).unlink()
            elif self.rng.random() < STOPPED:
                job.fate = "stopped"

    def leaves(self, page: Page) -> bool:
        """Whether the house closes before a job had its turn."""
        return not self.place.is_open and _state(page) == "Waiting"

    async def follow(self, visitor: Visitor, job: Pending) -> bool:
        """Watch a job to its end, take its result, and clear up; False to come again for it."""
        if self.diary.jobs[job.id]:  # the server went while the job was being removed
            return True
        page = await visitor.open(f"/job/{job.id}")
        try:
            if job.fate == "stopped" and page.find("button", "Stop"):
                await page.press("Stop")
            if self.rng.random() < BROKEN and _state(page) not in OVER:
                page.cut()
                await asyncio.sleep(self.rng.choice(AWAY))
            await page.wait(
                lambda: _state(page) in OVER or self.leaves(page) or not self.place.gate.is_open,
                LONGEST,
            )
            if _state(page) not in OVER and not self.leaves(page):
                return False
            if _state(page) not in OVER:  # the house closes, and nobody waits for hours
                job.fate = "stopped"
                await page.press("Stop")
                await page.wait(lambda: _state(page) in OVER, LONGEST)
            record = await settled(self.place, job.id)
            if record["state"] != job.fate and record["state"] in ("interrupted", "stopped"):
                self.diary.jobs[job.id] = record  # by a restart of the server
                self.diary.counts["started again"] += 1
                await page.press("Start again")
                again = (await page.wait(lambda: page.opened)).rpartition("/")[2]
                self.pending.append(Pending(again, job.name, job.kind))
                self.diary.jobs[again] = {}
                return True
            file = None
            if record["state"] == "done":
                link = await page.wait(lambda: page.find("a", "Download"))
                file = (await visitor.get(page.elements[link]["props"]["href"])).content
                await self.look(visitor, page, 2)
            checked(self.diary, job, record, file)
            await page.press("Remove from the list")
            await page.wait(lambda: page.opened)
            return True
        finally:
            self.diary.counts.update({f"{how} again": n for how, n in page.mended.items()})
            with contextlib.suppress(socketio.exceptions.SocketIOError):
                await page.close()


def _state(page: Page) -> str:
    """The word for where a job stands."""
    at = page.find("p", at=lambda one: one.get("props", {}).get("role") == "status")
    return "" if at is None else str(page.elements[at].get("text")).partition(",")[0]


def unfair(records: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Pairs of jobs of one owner, and those between which somebody else waited in vain.

    Between two jobs of one owner, every other who waited all that time must have had a turn.
    """
    began = sorted((r for r in records if r.get("started")), key=lambda r: r["started"])
    before: dict[str, int] = {}
    pairs, found = 0, []
    for here, job in enumerate(began):
        last = before.get(job["owner"])
        before[job["owner"]] = here
        if last is None:
            continue
        pairs += 1
        between_them = {one["owner"] for one in began[last + 1 : here]}
        first, now = began[last]["started"], job["started"]
        waited = {
            one["owner"]
            for one in records
            if one.get("created", now) < first
            and (one.get("started") or one.get("ended") or now) > now
        }
        passed = waited - between_them - {job["owner"]}
        found += [f"{owner} was passed over by job {job['id']}" for owner in passed]
    return pairs, found
