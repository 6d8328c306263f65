"""Files that were once denoised wrongly, each judged by what is right.

    python benchmarks/cases.py                     # all, about 20 minutes on one thread
    python benchmarks/cases.py --only gaps hot     # some
    python benchmarks/cases.py --quick             # without trained networks
    python benchmarks/cases.py --failing           # print the failures alone

The files are made by the scripts of ../shared/cases in a temporary folder; without these scripts
only what is made here runs. The commands are those of the terminal, with as many threads as
OMP_NUM_THREADS says. Parts A to I are those of issue 14; its photon bias and its noise intervals
have scripts of their own, photon_bias.py and noise_intervals.py.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import case_files
import case_frames
import case_outliers
import case_pixels
from case_work import CASES, Check, CommandFailed, Work
from common import alone, origin, record, recorded

MADE_THERE: dict[str, Callable[[Work], Iterator[Check]]] = {
    "gaps": case_pixels.gaps,
    "misc": case_pixels.misc,
    "geo": case_pixels.geo,
    "hot": case_outliers.hot,
    "bleach": case_frames.bleach,
    "dupframes": case_frames.dupframes,
    "noisekinds": case_frames.noisekinds,
    "imagej": case_files.imagej,
    "multifile": case_files.multifile,
    "scan": case_files.scan,
}
"""Cases whose files the scripts of ../shared/cases make."""
MADE_HERE: dict[str, Callable[[Work], Iterator[Check]]] = {
    "api": case_pixels.api,
    "exposures": case_frames.exposures,
    "extremes": case_outliers.extremes,
    "stamp": case_pixels.stamp,
}
"""Cases of the same kinds that need no script."""


def outcome(name: str, folder: Path, *, quick: bool) -> Iterator[Check]:
    """Make the files of a case and judge what becomes of them."""
    work = Work(folder, quick)
    if name in MADE_HERE:
        yield from MADE_HERE[name](work)
        return
    if not (CASES / name).is_dir():
        print(f"{name} is left out: it needs the scripts of ../shared/cases beside the checkout")
        return
    try:
        work.make(name)
    except CommandFailed as error:
        yield Check("-", "the files are made", str(error), "made", False)
        return
    yield from MADE_THERE[name](work)


def shown(name: str, found: Check) -> str:
    """One line of the table."""
    verdict = "pass" if found.passed else "FAIL"
    return f"{verdict}  {name:10s} {found.part}  {found.what}: {found.value} ({found.limit})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [*MADE_THERE, *MADE_HERE]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="leave out what trains a network")
    parser.add_argument("--failing", action="store_true", help="print only what fails")
    parser.add_argument("--keep", type=Path, help="make the files in this folder and keep them")
    args = parser.parse_args()
    passed = total = 0
    for name in args.only:
        started = time.perf_counter()
        rows = []
        with contextlib.ExitStack() as stack:
            place = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (place / name).mkdir(parents=True)
            for found in outcome(name, place / name, quick=args.quick):
                rows.append({"case": name, **vars(found), "quick": args.quick, **origin()})
                if not (args.failing and found.passed):
                    print(shown(name, found), flush=True)
        print(f"      {name} took {time.perf_counter() - started:.0f} s", flush=True)
        passed, total = passed + sum(row["passed"] for row in rows), total + len(rows)
        if rows:
            keep(name, rows)
    print(f"{passed} of {total} pass")
    sys.exit(0 if passed == total else 1)


def keep(name: str, rows: list[dict]) -> None:
    """Write the rows of a case in the place of its older ones."""
    order = {case: i for i, case in enumerate([*MADE_THERE, *MADE_HERE])}
    with alone("cases"):
        others = [row for row in recorded("cases") if row["case"] != name]
        every = sorted([*others, *rows], key=lambda row: order.get(row["case"], len(order)))
        record("cases", {"seed": "in the scripts"}, every)


if __name__ == "__main__":
    main()
