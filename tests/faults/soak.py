"""All faults at all acts, with a ledger of what ran: a soak that goes on where it was stopped.

    python -m faults.soak --kills 200        # seeded kills; the same numbers, the same points
    python -m faults.soak --all              # every fault at every act of every job
    python -m faults.soak --full-disks       # small disks of their own (Linux, root)
    python -m faults.soak --system           # errors beneath Python (Linux, gcc)
    python -m faults.soak --meetings 50      # two runs that want the same place
    python -m faults.soak --queue 40         # a program with a queue of jobs is killed
    python -m faults.soak --refused 100      # errors and signals at writes, drawn with a seed
    python -m faults.soak --disturbed 100    # inputs gone, replaced, cut or unreadable; the clock
    python -m faults.soak --power 500        # power is lost, and what was not synced
    python -m faults.soak --ends             # a training is stopped in all that follows its steps
    python -m faults.soak --table            # what the ledger says, as docs/reliability.md

with `tests` on the path, or all but the last by `make soak`.

The ledger is `.soak/faults.jsonl` in the checkout: a line for each trial, with the digest of the
code it ran on and the day. What the ledger has of this code is not tried again. Jobs take turns, so
a run that is ended early has tried all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults import points, shim
from faults.inject import WRITES
from faults.meetings import MEETING, kill_queue, meet, waits
from faults.points import Point
from faults.power import LOST
from faults.scenarios import QUEUE, SCENARIOS
from faults.trials import Job, Zygote, mounted

LEDGER = Path(__file__).parents[2] / ".soak" / "faults.jsonl"
INSIDE_SHARE = 0.6
"""Of the seeded kills, so many are aimed inside a write; the others come at any time."""
WORDS = {
    "KILL": "SIGKILL inside a creation, write, rename or sync",
    "KILL any time": "SIGKILL at any time",
    "TERM": "SIGTERM inside one of these",
    "INT": "SIGINT (Ctrl-C) inside one of these",
    "ENOSPC": "disk full from that act on, half of a write having arrived",
    "EIO": "I/O error of one act",
    "EACCES": "permission withdrawn from that act on",
    "GONE": "the images vanish at any act",
    "REPLACED": "the images are replaced at any act",
    "TRUNCATED": "the images are cut to half at any act",
    "EIO, read": "I/O error of one act of reading",
    "EACCES, read": "permission to read withdrawn",
    "end": "SIGINT, SIGTERM or SIGKILL in every act after the last step of a training",
    "POWER": "the power is lost at any act or after the end: all that was not synced is gone",
    "POWER NAMES": "the same, and names are as they were, but bytes that were not synced are gone",
    "POWER SOME": "the same, and some of what was not synced is there, as it comes",
    "CLOCK": "the clock jumps by hours at every act",
    "disk": "a disk of so few bytes more than the job begins with",
    "meeting": "a second run of the same kind to the same place, at any act of the first",
    "meeting, killed": "the same, and the first is killed there",
    "queue": "SIGKILL of a program with a queue of three jobs, at any act",
    "beneath": "error of the system beneath Python (LD_PRELOAD): ENOSPC or EIO of one act",
}


def code() -> str:
    """A number for the code under test."""
    total = hashlib.sha256()
    for path in sorted((Path(__file__).parents[2] / "src").rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def known() -> list[dict[str, Any]]:
    """The lines of the ledger; one that was cut by a kill is none."""
    found = []
    for line in LEDGER.read_text().splitlines() if LEDGER.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Soak:
    """Trials that are written down."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self.zygote, self.folder, self.code = zygote, folder, code()
        self.done = {line["key"] for line in known() if line["code"] == self.code}
        self.jobs: dict[str, Job] = {}
        self.failed = 0

    def job(self, name: str) -> Job:
        """A prepared job."""
        if name not in self.jobs:
            scenario = QUEUE if name == "queue" else SCENARIOS[name]
            self.jobs[name] = Job(scenario, self.zygote, self.folder / name)
        return self.jobs[name]

    def attempt(
        self,
        name: str,
        point: Point,
        label: str = "",
        trial: Callable[..., object] = Job.try_fault,
    ) -> None:
        """Make a trial that the ledger has not."""
        label = label or point["kind"]
        key = f"{name} {label} {sorted((k, v) for k, v in point.items() if k != 'acts')}"
        if key in self.done:
            return
        started, problem, job = time.monotonic(), "", self.job(name)
        counted = [a for a in job.reads if a.split()[0] in point.get("acts", WRITES)]
        at = -1 if point.get("beneath") else point.get("at", -1)
        act = "" if at < 0 else counted[at] if at < len(counted) else "after the end"
        try:
            trial(job, **point)
        except AssertionError as error:
            problem = str(error)[:2000]
            self.failed += 1
            print(f"LOSS: {key}: {problem}", flush=True)
        day = time.strftime("%Y-%m-%d", time.gmtime())
        line = {"key": key, "code": self.code, "day": day, "job": name, "fault": label, "act": act}
        line |= {"loss": problem, "seconds": round(time.monotonic() - started, 2)}
        LEDGER.parent.mkdir(exist_ok=True)
        with LEDGER.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.done.add(key)


def seeded(soak: Soak, count: int) -> None:
    """Kills of jobs, drawn with a seed."""
    names = [*SCENARIOS]
    for number in range(count):
        rng = random.Random(number)
        name = names[number % len(names)]
        job = soak.job(name)
        if number % 10 < 10 * INSIDE_SHARE:
            soak.attempt(name, rng.choice(points.kills(job.acts)))
        else:
            share = round(rng.random(), 3)
            soak.attempt(name, {"kind": "KILL", "share": share}, "KILL any time")


def everything(soak: Soak) -> None:
    """Every fault at every act."""
    for name in SCENARIOS:
        for point in points.every(soak.job(name).acts):
            soak.attempt(name, point)


def full_disks(soak: Soak) -> None:
    """Disks that are full after so many pages of 4 KiB."""
    points = [(name, pages) for name in SCENARIOS for pages in range(0, 40, 2)]
    for name, pages in random.Random(0).sample(points, len(points)):
        soak.attempt(name, {"kind": "ENOSPC", "room": pages * 4096}, "disk")


def refused(soak: Soak, count: int) -> None:
    """Errors and signals where something is written."""
    names, kinds = [*SCENARIOS], ("TERM", "INT", "ENOSPC", "EIO", "EACCES")
    for number in range(count):
        name, kind = names[number % len(names)], kinds[number % len(kinds)]
        found = points.some(soak.job(name).acts, f"{name} {number}", 1, kind)
        soak.attempt(name, found[0])


def disturbed(soak: Soak, count: int) -> None:
    """What happens around a job."""
    names, kinds = [*SCENARIOS], ("GONE", "REPLACED", "TRUNCATED", "EIO", "EACCES", "CLOCK")
    for number in range(count):
        name, kind = names[number % len(names)], kinds[number % len(kinds)]
        found = points.disturbances(soak.job(name).reads, kind)
        label = f"{kind}, read" if kind in ("EIO", "EACCES") else kind
        soak.attempt(name, random.Random(number).choice(found), label)


def power(soak: Soak, count: int) -> None:
    """The power is lost, drawn with a seed; every tenth time after the end of the job."""
    names = [*SCENARIOS]
    for number in range(count):
        name, kind = names[number % len(names)], LOST[number // len(names) % 3]
        found = points.losses(soak.job(name).acts, kind)
        point = found[-1] if number % 10 == 9 else random.Random(number).choice(found[:-1])
        soak.attempt(name, point)
    for number in range(count // 8):
        at, kind = random.Random(number).choice(waits(soak.job("queue").acts)), LOST[number % 3]
        soak.attempt("queue", {"at": at, "kind": kind}, kind, kill_queue)


def ends(soak: Soak) -> None:
    """Signals in turn in every act from the save after the last step on."""
    for name in ("resume-adapted", "resume", "train"):
        acts = soak.job(name).acts
        saves = [i for i, act in enumerate(acts) if act.startswith("mkdir m/")]
        for number, point in enumerate(points.kills(acts)):
            if point["at"] > saves[-2]:
                kind = ("INT", "KILL", "TERM")[number % 3]
                soak.attempt(name, {**point, "kind": kind}, "end")


def meetings(soak: Soak, count: int) -> None:
    """Two runs that meet, drawn with a seed."""
    for number in range(count):
        rng, name = random.Random(number), MEETING[number % len(MEETING)]
        point = {"at": rng.choice(waits(soak.job(name).acts))}
        if rng.random() < 0.5:
            soak.attempt(name, point, "meeting", meet)
        else:
            soak.attempt(name, {**point, "then": "SIGKILL"}, "meeting, killed", meet)


def queues(soak: Soak, count: int) -> None:
    """Kills of a program with a queue, and programs that want the same one."""
    for number in range(count):
        at = random.Random(number).choice(waits(soak.job("queue").acts))
        if number % 4:
            soak.attempt("queue", {"at": at}, "queue", kill_queue)
        else:
            soak.attempt("queue", {"at": at, "then": "SIGKILL"}, "meeting, killed", meet)


def beneath(soak: Soak) -> None:
    """Errors that libraries meet when they call the system themselves."""
    found = [
        (name, kind, at)
        for name in SCENARIOS
        for kind in ("ENOSPC", "EIO")
        for at in range(0, len(soak.job(name).acts), 3)
    ]
    for name, kind, at in random.Random(0).sample(found, len(found)):
        soak.attempt(name, {"kind": kind, "at": at, "beneath": True}, "beneath")


def table() -> Iterator[str]:
    """Fault, trials, losses, command; of the newest code in the ledger."""
    lines = known()
    newest = lines[-1]["code"] if lines else ""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        if line["code"] == newest:
            counts[line["fault"]][0] += 1
            counts[line["fault"]][1] += bool(line["loss"])
    commands = {"meeting": "--meetings 50", "meeting, killed": "--meetings 50"}
    around = ("GONE", "REPLACED", "TRUNCATED", "EIO, read", "EACCES, read", "CLOCK")
    commands |= dict.fromkeys(around, "--disturbed 100")
    commands |= dict.fromkeys(("TERM", "INT", "ENOSPC", "EIO", "EACCES"), "--refused 100, --all")
    commands |= dict.fromkeys(LOST, "--power 500")
    commands |= {
        "queue": "--queue 40",
        "KILL any time": "--kills 200",
        "disk": "--full-disks",
        "end": "--ends",
        "beneath": "--system",
    }
    yield "| fault | trials | losses | command: `python -m faults.soak` |"
    yield "|---|---|---|---|"
    for kind, words in WORDS.items():
        if kind in counts:
            trials, losses = counts[kind]
            command = commands.get(kind, "--kills 200, --all" if kind == "KILL" else "--all")
            yield f"| {words} | {trials} | {losses} | `{command}` |"
    jobs = len({line["job"] for line in lines if line["code"] == newest})
    yield f"\n{jobs} jobs; {time.strftime('%Y-%m-%d')}, code {newest}."


def main() -> int:
    """The soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0, metavar="N")
    for name in ("meetings", "queue", "refused", "disturbed", "power"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    for name in ("all", "ends", "full-disks", "system", "table"):
        parser.add_argument(f"--{name}", action="store_true")
    wanted = parser.parse_args()
    if wanted.table:
        print("\n".join(table()))
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        parts = (
            (wanted.kills, lambda soak: seeded(soak, wanted.kills), {}),
            (wanted.meetings, lambda soak: meetings(soak, wanted.meetings), {}),
            (wanted.queue, lambda soak: queues(soak, wanted.queue), {}),
            (wanted.refused, lambda soak: refused(soak, wanted.refused), {}),
            (wanted.disturbed, lambda soak: disturbed(soak, wanted.disturbed), {}),
            (wanted.power, lambda soak: power(soak, wanted.power), {}),
            (wanted.ends, ends, {}),
            (wanted.all, everything, {}),
            (wanted.full_disks, full_disks, {}),
            (wanted.system, beneath, {"preload": True}),
        )
        for number, (asked, work, options) in enumerate(parts):
            if not asked:
                continue
            if work is full_disks and not _mounts():
                print("small disks: skipped, as no disk can be mounted here")
                continue
            library = shim.build(Path(folder)) if options else None
            if options and library is None:
                print("errors beneath Python: skipped, as there is no gcc")
                continue
            zygote = Zygote(preload=library)
            try:
                soak = Soak(zygote, Path(folder, str(number)))
                work(soak)
                failed += soak.failed
            finally:
                zygote.close()
    print("\n".join(table()))
    return int(failed > 0)


def _mounts() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder), 2**20):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


if __name__ == "__main__":
    sys.exit(main())
