"""The page with many visitors: no growth, no lost job, fair turns, a queue that outlives restarts.

    python -m load.page --minutes 30 --clients 20

with `tests` on the path. Visitors are `load.visitor`; one is Chromium, where it is installed. The
server is killed once and stopped once while jobs wait, and started again on the same workspace;
then its size is measured for the rest of the minutes. After every minute all visitors leave for
about another one, and those who watch a job come back for it: while an image is looked at the
server is larger by as much as that is large, so that its size at rest tells of growth, no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil

from load import traced
from load.gate import Gate
from load.ledger import SOURCE, arguments, run_once
from load.series import Series
from load.visitor import Page, Visitor
from load.visits import Diary, Life, content, diary, ended, unfair
from unnoise.app.session.history import History
from unnoise.app.session.job import Job
from unnoise.app.session.request import Request

BEFORE = 0.05
"""Share of the time before the server is killed, and again before it is stopped,"""
AT_MOST = 180.0
"""but no more seconds."""
WIDE = 2048
FEWEST = 3
"""Jobs that wait when the server is killed or stopped."""
SERIES = "series.jsonl"
"""Where the size of the server is written as it is seen."""
FILLED = 72e6
"""Bytes of tiles that are asked for at first, so that the cache of tiles is full."""
WORK, FORGOTTEN = 60.0, 50.0
"""Seconds between two rests, and of a rest before it is looked at: pages that were closed are kept
for 30 s, so that a browser may come back.
"""
OPENED, SHOWN, NAMED, ENDED = 72, 12, 5000, 1000
"""Images that are looked at before, so that none is opened any more; those of a page; images whose
names the server remembers at most, each about 1 kB; and jobs, each two pages of memory.
"""


class Host:
    """The server, which is started again after it was stopped."""

    def __init__(self, folder: Path, *, plain: bool = False, traced: bool = False) -> None:
        self.environment = {"PYTHONMALLOC": "malloc"} if plain or traced else {}
        self.environment |= {"LOAD_TRACED": "1"} if traced else {}
        self.is_traced = traced
        self.workspace = folder / "workspace"
        self.workspace.mkdir(parents=True)
        self.said, self.held = folder / "server.log", folder / "held.jsonl"
        self.generation = 0
        self.is_open, self.is_up, self.gate = True, False, Gate()
        self.address = ""
        self.process: psutil.Process | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "load.server", str(self.held), "app", "--no-browser"]
        command += ["--port", "0", "--workspace", str(self.workspace), "--upload-count", "100000"]
        path = f"{SOURCE}{os.pathsep}{Path(__file__).parents[1]}"
        environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
        environment |= self.environment
        before = self.said.stat().st_size if self.said.exists() else 0
        with self.said.open("ab") as said:
            self.process = psutil.Popen(
                command,
                stdin=subprocess.PIPE,  # which ends with this process, and the server with it
                stdout=said,
                stderr=said,
                env=environment,
                start_new_session=True,
            )
        for _ in range(1200):
            text = self.said.read_bytes()[before:].decode()
            if "Stop with Ctrl-C" in text:
                found = re.search(r"https?://\S+", text)
                assert found is not None
                self.address, self.generation = found[0], self.generation + 1
                self.is_up = True
                return
            if self.process.poll() is not None:
                raise RuntimeError(text)
            time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def end(self, number: int) -> None:
        """End it."""
        assert self.process is not None
        self.is_up = False  # whoever is there now knows why it is gone
        self.process.send_signal(number)
        self.process.wait(timeout=120)

    def close(self) -> None:
        """End it for good, if it runs."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error, subprocess.TimeoutExpired):
            self.end(signal.SIGINT)
        with contextlib.suppress(psutil.Error):
            self.process.kill()

    def used(self) -> int:
        """Bytes that are in use in it, as it said in the last ten seconds; 0 if it does not."""
        lines = self.held.read_text("utf-8").splitlines() if self.held.exists() else ["{}"]
        return int(json.loads(lines[-1]).get("in use", 0))

    async def trace(self) -> None:
        """Have it write what every line of Python holds, which takes it some seconds."""
        asked = self.held.with_name(f"{self.held.name}.ask")
        asked.touch()
        for _ in range(600):
            if not asked.exists():
                return
            await asyncio.sleep(0.2)

    def states(self) -> list[str]:
        """What the queue wrote of its jobs."""
        found = []
        for path in (self.workspace / "unnoise-app" / ".queue" / "jobs").glob("*.json"):
            with contextlib.suppress(OSError):
                found.append(ended(self, path.stem)["state"])
        return found


async def fill(
    host: Host, enough: float = FILLED, opened: int = OPENED, named: int = NAMED
) -> None:
    """Ask for so many tiles and images that their caches are full, as after a day."""
    visitor = Visitor(host.address)
    await visitor.enter()
    page = await visitor.open("/image?place=wide.npy")
    base = await source(page)
    about = (await visitor.get(base)).json()
    side, came, number = WIDE // about["tile"], 0, 0
    while came < enough:
        low, (y, x) = number // side**2, divmod(number % side**2, side)
        query = {"c": f"0:{low}:{500 + low}:FFFFFF", "v": "fill"}
        came += len((await visitor.get(f"{base}/tile/0/{x}/{y}", **query)).content)
        number += 1
    await page.wait(lambda: page.find("p", classes="verdict"))
    await page.close()
    names = [f"small_{number:03d}.tif" for number in range(opened)]
    for name in names:
        (host.workspace / name).write_bytes(content(0))
    for first in range(0, opened, SHOWN):
        page = await visitor.open(
            f"/image?{urlencode([('place', n) for n in names[first:][:SHOWN]])}"
        )
        shown = await page.wait(lambda p=page: p.field("Shown"))
        for number in range(len(names[first:][:SHOWN])):
            base = await source(page, but=base)
            about = (await visitor.get(base)).json()
            await visitor.get(f"{base}/tile/0/0/0", c="0:0:500:FFFFFF", v=about["version"])
            await page.tell(shown, "change", str((number + 1) % SHOWN))
        await page.close()
    for number in range(0, named, SHOWN):  # a file that changed has another name
        for name in names[:SHOWN]:
            os.utime(host.workspace / name, (number, number))
        place = urlencode([("place", name) for name in names[:SHOWN]])
        page = await visitor.open(f"/image?{place}")
        await page.wait(page.viewer)
        await page.close()
    await visitor.leave()


def fill_history(host: Host, count: int = ENDED) -> None:
    """Jobs that have ended, as many as the server remembers."""
    history = History(host.workspace / "unnoise-app" / ".queue")
    for number in range(count):
        job = Job(f"old-{number}", Request((f"old_{number}.tif",)), "somebody", number + 1)
        job.state = job.outcome = "done"
        job.ended = time.time() - 10 * (count - number)
        history.save(job)
    history.close()


async def source(page: Page, but: str = "") -> str:
    """Where the image is that a page shows, another one than that."""

    def find() -> str:
        viewer = page.viewer()
        place = f"{viewer['props']['base']}/{viewer['props']['sources']['noisy']}" if viewer else ""
        return "" if place == but else place

    return str(await page.wait(find))


async def until_some_wait(host: Host, patience: float) -> int:
    """How many jobs wait, as soon as there are some."""
    end = time.monotonic() + patience
    while (count := host.states().count("waiting")) < FEWEST and time.monotonic() < end:
        await asyncio.sleep(0.2)
    return count


async def restarts(host: Host, book: Diary, seconds: float) -> list[int]:
    """Kill the server, then stop it, each while jobs wait; how many waited."""
    waited = []
    for number in (signal.SIGKILL, signal.SIGTERM):
        await asyncio.sleep(seconds)
        waited.append(await until_some_wait(host, seconds + 300))
        await asyncio.to_thread(host.end, number)
        before = {job for job, record in book.jobs.items() if not record}
        kept = {p.stem for p in (host.workspace / "unnoise-app/.queue/jobs").glob("*.json")}
        book.losses += [f"job {job} is gone after {number.name}" for job in before - kept]
        await asyncio.to_thread(host.start)
    return waited


async def rest(host: Host, series: Series) -> None:
    """Look at the size of the server while nobody is there and no job waits or runs."""
    async with host.gate.closed():
        gone = time.monotonic()
        while {"waiting", "running"} & set(host.states()) and time.monotonic() < gone + 300:
            await asyncio.sleep(0.5)
        await asyncio.sleep(max(gone + FORGOTTEN - time.monotonic(), FORGOTTEN / 10))
        assert host.process is not None
        await series.rest(host.process, host.used())
        if host.is_traced:
            await host.trace()


async def first_of(work: Coroutine[Any, Any, Any], tasks: list[asyncio.Task[None]]) -> Any:
    """What the work gives, unless one of the tasks fails before."""
    mine = asyncio.create_task(work)
    while not mine.done():
        running = [task for task in tasks if not task.done()]
        done, _ = await asyncio.wait([mine, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {mine}:
            task.result()
    return mine.result()


async def house(host: Host, book: Diary, series: Series, waited: list[int], wanted: Any) -> None:
    """All that happens, from the first visitor to the last job."""
    seconds, began = wanted.minutes * 60, time.monotonic()
    lives = [Life(host, book, n, wanted.think) for n in range(wanted.clients)]
    wanted.chromium &= importlib.util.find_spec("playwright") is not None
    if wanted.chromium:
        from load.chromium import Window

        wanted.chromium = Path(Window.program).exists()
        lives += [Window(host, book, wanted.clients, wanted.think * 2)] * wanted.chromium
    tasks = [asyncio.create_task(life.live()) for life in lives]
    waited += await first_of(restarts(host, book, min(seconds * BEFORE, AT_MOST)), tasks)
    if wanted.fill:
        await fill(host)
    assert host.process is not None
    every = max(min(5.0, seconds / 60), 0.1)
    watching = asyncio.create_task(series.watch(host.process, every))
    over = max(began + seconds, time.monotonic() + seconds / 2)
    while (left := over - time.monotonic()) > 0:
        part = min(wanted.work, left)
        await first_of(asyncio.sleep(part), tasks)
        if part == wanted.work:
            await rest(host, series)
    watching.cancel()
    host.is_open = False
    for task in tasks:
        await task


def measured(wanted: Any) -> dict[str, Any]:
    """Open the house, and count afterwards."""
    folder = wanted.folder / "page"
    shutil.rmtree(folder, ignore_errors=True)
    host, book = Host(folder, plain=wanted.plain, traced=wanted.traced), diary()
    wide = np.random.default_rng(0).poisson(100, (WIDE, WIDE)).astype(np.uint16)
    np.save(host.workspace / "wide.npy", wide)
    series, waited, is_stopped = Series(folder / SERIES), list[int](), False
    if wanted.fill:
        fill_history(host)
    try:
        host.start()
        asyncio.run(house(host, book, series, waited, wanted))
    except KeyboardInterrupt:  # what was seen until then is told
        is_stopped = True
    finally:
        host.close()
    about, losses = series.told()
    if wanted.traced:  # which takes memory that is no fixed part of what is traced
        text, grown = traced.told(host.held.with_name(f"{host.held.name}.lines"))
        about["told"] += f"; {text}"
        losses = grown + [loss for loss in losses if not loss.startswith("memory")]
    losses += book.losses
    if not is_stopped:
        losses += [f"job {job} was lost" for job, record in book.jobs.items() if not record]
    pairs, passed = unfair([record for record in book.jobs.values() if record])
    losses += passed
    own = host.workspace / "unnoise-app"
    left = [*(own / ".incoming").glob("*"), *(own / "results").rglob(".*")]
    losses += [f"{path.relative_to(own)} was left behind" for path in left]
    said = host.said.read_text("utf-8", "replace")
    if "Traceback" in said or "ERROR" in said:
        losses.append(f"the server said: {said[-2000:]}")
    counts = book.counts
    told = [
        about.pop("told"),
        f"{counts['done']} done, {counts['failed']} failed as their file was gone, "
        f"{counts['stopped']} stopped, {counts['started again']} started again after a restart "
        f"with {waited} jobs waiting",
        f"{counts['downloads']} results right",
        f"{counts['tiles']} tiles",
        f"{counts['connected again']} broken connections made again, {counts['loaded again']} of "
        f"them after the page was forgotten",
        f"{len(passed)} of {pairs} turns unfair",
    ]
    amount = f"page: {wanted.clients} visitors{' and Chromium' if wanted.chromium else ''}"
    amount += f" for {wanted.minutes:g} minutes, {len(book.jobs)} jobs"
    return {
        "amount": amount,
        "losses": losses,
        "told": "; ".join(told),
        "counts": counts,
        "stopped": is_stopped,
        **about,
    }


def main() -> int:
    """The load."""
    parser = arguments("The page with many visitors.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--think", type=float, default=300, help="seconds between two visits")
    parser.add_argument("--work", type=float, default=WORK, help="seconds between two rests")
    parser.add_argument("--no-chromium", dest="chromium", action="store_false")
    parser.add_argument("--no-fill", dest="fill", action="store_false")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="with the memory of C in place of Python's, which returns it by 4 kB, not by 1 MB",
    )
    parser.add_argument(
        "--traced",
        action="store_true",
        help="tell what each line of Python holds, in place of the size, which that changes",
    )
    parser.add_argument("--told", action="store_true", help="what the last run has seen so far")
    options = parser.parse_args()
    if options.told:
        about, losses = Series.read(options.folder / "page" / SERIES).told()
        print(about["told"], *losses, sep="\n")
        return 0
    key = f"load.page --minutes {options.minutes:g} --clients {options.clients}"
    for name in ("think", "work"):
        value = getattr(options, name)
        key += f" --{name} {value:g}" if value != parser.get_default(name) else ""
    key += "".join(f" --{name}" for name in ("plain", "traced") if getattr(options, name))
    return run_once("page", options, key, partial(measured, options))


if __name__ == "__main__":
    sys.exit(main())
