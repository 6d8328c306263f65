"""Run suites of benchmarks one after the other, then write the tables and plots anew.

    python benchmarks/run.py --list
    python benchmarks/run.py --suite camera w2s --seed 1
    python benchmarks/run.py --suite all              # about a day; the goals come first
    python benchmarks/run.py --suite quick            # below 10 minutes; make bench-quick

Every command is one that somebody could type. Single images (real.py) go on where they were
interrupted; other commands that are finished can be left out with --from N. Results of the quick
suite go to results/quick, replace nothing and appear in no document.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass

import peer
from common import HERE

QUICK = HERE / "results" / "quick"


@dataclass(frozen=True)
class Suite:
    """Commands with the minutes that they take on two quiet cores."""

    what: str
    commands: tuple[tuple[float, str], ...]

    @property
    def minutes(self) -> float:
        """Of all commands together."""
        return sum(minutes for minutes, _ in self.commands)


R2R = "bsd68.py --method r2r --clock cpu --tta --set net.filters=48"
SUITES = {
    "startup": Suite("import, command to first step", ((2, "startup.py"),)),
    "memory": Suite("peak memory", ((6, "memory.py"),)),
    "viewer": Suite("tiles of a large image on the page", ((5, "viewer.py"),)),
    "overlap": Suite("prediction from file to file, against the net", ((12, "overlap.py"),)),
    "kill": Suite("predictions that are killed and go on", ((4, "kill.py"),)),
    "scale": Suite("images of any size, processes, Dask", ((10, "scale.py"),)),
    "throughput": Suite("a step and prediction, against the peers", ((18, "throughput.py"),)),
    "camera": Suite(
        "one photograph, sigma 25 unknown, by every method",
        (
            (14, "real.py --sets camera --seconds 20 60 300 --rivals bm3d nlm --seed {seed}"),
            (6, "real.py --sets camera --seconds 20 60 300 --roads scratch --rivals --method b2u "
                "--seed {seed}"),
            (2, "real.py --sets camera --seconds 60 --roads scratch --rivals --method r2r "
                "--seed {seed}"),
            (48, "real.py --sets camera --roads --rivals careamics n2v --rival-seconds 60 180 600 "
                 "--seed {seed}"),
        ),
    ),
    "fmd": Suite(
        "FMD and GigaDB, against CAREamics with ten times the time",
        (
            (16, "real.py --sets fmd gigadb --seconds 60 --rivals bm3d nlm --seed {seed}"),
            (105, "real.py --sets fmd gigadb --roads --rivals careamics --rival-seconds 600 "
                  "--seed {seed}"),
        ),
    ),
    "w2s": Suite(
        "report fields of W2S, one image at a time",
        (
            (95, "real.py --sets w2s --seconds 60 300 --adapted-once --rivals bm3d nlm "
                 "--seed {seed}"),
        ),
    ),
    "bsd68": Suite(
        "BSD68 from noisy Train400, quality against time",
        (
            (17, f"{R2R} --minutes 15 --milestones 5 --seed {{seed}}"),
            (17, "bsd68.py --method b2u --minutes 15 --clock cpu --tta --seed {seed}"),
            (17, "bsd68.py --method n2v --minutes 15 --clock cpu --tta --seed {seed}"),
            *((6, f"{R2R} {setting} --minutes 4 --seed {{seed}}")
              for setting in ("recorruption.decay=1.0", "recorruption.decay=0.4",
                              "training.precision=float32", "training.precision=bfloat16")),
            *((m + 2, f"bsd68.py --peer {p} --minutes {m:g} --seed {{seed}}")
              for p in ("careamics", "n2v") for m in (2.5, 5, 10, 20)),
        ),
    ),
    "w2s-careamics": Suite(
        "CAREamics on the report fields of W2S, with ten times a minute",
        ((250, "real.py --sets w2s --roads --rivals careamics --rival-seconds 600 --seed {seed}"),),
    ),
    "inspect": Suite("what the noise is", ((4, "inspect.py"), (5, "verdict.py"))),
    "correlated": Suite(
        "correlated noise, photographs, microscopy: the report halves",
        ((15, "correlated.py --half report --processes 2"),
         (15, "correlated.py --half report --methods shuffled peers --processes 2"),
         (60, "correlated.py --half report --methods slow --seeds 0 --processes 2")),
    ),
    "strong": Suite(
        "very strong noise: against a blur, and invented edges",
        ((35, "strong.py --processes 2"), (6, "strong.py --edges")),
    ),
    "quality": Suite(
        "the estimated gain",
        ((8, "quality.py --seconds 5 --seed {seed}"), (1, "quality.py truths"),
         (1, "quality.py counts --seed {seed}")),
    ),
    "auto": Suite(
        "the method that auto chooses",
        ((28, "auto.py --seconds 15 --part 0/2 --seed {seed}"),
         (28, "auto.py --seconds 15 --part 1/2 --seed {seed}")),
    ),
    "family": Suite(
        "every method with the same budget",
        ((70, "family.py bsd68 --seconds 300 --seed {seed}"),
         (40, "family.py w2s --seconds 60 --seed {seed}"),
         (40, "family.py fmd --seconds 60 --seed {seed}"),
         (25, "family.py stripes --seconds 60 --seed {seed}")),
    ),
    "parity": Suite("n2v with the same recipe", ((50, "parity.py"),)),
    "cases": Suite("files that were once denoised wrongly", ((25, "cases.py"),)),
    "stack": Suite("2D against 3D", ((5, "stack.py --seed {seed}"),)),
}  # fmt: skip
"""Suites by name, in the order in which `all` runs them."""

TRIAL = Suite(
    "a bit of everything, below 10 minutes on two slow cores",
    (
        (1.5, "throughput.py --quick"),
        (1.5, "real.py --sets camera --seconds 15 --rivals bm3d nlm --seed {seed}"),
        (1, "real.py --sets fmd --only _B_ --seconds 15 --rivals bm3d --seed {seed}"),
        (0.5, "real.py --sets fmd --only _B_ --roads --rivals careamics --rival-seconds 10 "
              "--seed {seed}"),
        (1, "bsd68.py --method b2u --minutes 0.5 --images 10 --seed {seed}"),
    ),
)  # fmt: skip
"""The suite `quick`."""


def listed() -> str:
    """The suites with their commands."""
    lines = []
    for name, suite in {**SUITES, "quick": TRIAL}.items():
        lines.append(f"{name} ({suite.minutes:.0f} min): {suite.what}")
        lines += [f"    python benchmarks/{command}" for _, command in suite.commands]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["all", "quick", *SUITES]
    parser.add_argument("--suite", nargs="+", choices=names, default=["quick"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", type=int, default=1, dest="first", help="leave out the first")
    parser.add_argument("--list", action="store_true", help="show the suites and stop")
    args = parser.parse_args()
    if args.list:
        print(listed())
        return
    is_quick = args.suite == ["quick"]
    if "quick" in args.suite and not is_quick:
        parser.error("quick runs alone, as its results go elsewhere")
    chosen = list(SUITES) if "all" in args.suite else args.suite
    suites = [TRIAL] if is_quick else [SUITES[name] for name in chosen]
    for name in peer.missing(*peer.PACKAGES):
        print(f"{name} is missing: run sh benchmarks/peers/setup.sh {name}", flush=True)
    failed = run([pair for suite in suites for pair in suite.commands], args, quick=is_quick)
    show = ["--print", "--results", str(QUICK)] if is_quick else []
    subprocess.run([sys.executable, str(HERE / "tables.py"), *show], check=True)
    for command in failed:
        print(f"failed: {command}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def run(commands: list[tuple[float, str]], args: argparse.Namespace, *, quick: bool) -> list[str]:
    """Run commands in order, saying how long the rest will take; those that failed."""
    environment = dict(os.environ)
    if quick:
        environment["UNNOISE_RESULTS"] = str(QUICK)
    failed = []
    pace, started, due = 1.0, time.perf_counter(), 0.0
    for i, (minutes, template) in enumerate(commands, 1):
        if i < args.first:
            continue
        command = template.format(seed=args.seed)
        left = pace * sum(m for m, _ in commands[i - 1 :])
        print(
            f"[{i}/{len(commands)}] python benchmarks/{command}\n"
            f"    about {pace * minutes:.1f} min; all that is left {left:.0f} min",
            flush=True,
        )
        script, *options = shlex.split(command)
        words = [sys.executable, str(HERE / script), *options]
        if subprocess.run(words, env=environment).returncode:
            failed.append(f"python benchmarks/{command}")
        due += minutes
        pace = (time.perf_counter() - started) / 60 / due  # of this machine, over the estimates
    return failed


if __name__ == "__main__":
    main()
