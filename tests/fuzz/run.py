"""Coverage-guided fuzzing of `targets.TARGETS` by atheris: ``make fuzz``.

Every target is run in slices until it had a million executions or half an hour of the processor.
What was done stands in ``tests/fuzz/ledger.tsv``, so that a run that is stopped goes on; the inputs
that reached new code are in the folder. An input that breaks a target is named: mend the code, and
put the input into ``tests/fuzz/inputs/TARGET``, where `test_targets.py` tries it ever after.

    python tests/fuzz/run.py --folder .fuzz                     # all targets, one after the other
    python tests/fuzz/run.py "image.tif" camera --seconds 120   # two of them, two minutes each
    python tests/fuzz/run.py --table                            # what was done so far
    python tests/fuzz/run.py --anew                             # only what this code did counts
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]

from fuzz import ledger  # noqa: E402

SHARED = HERE.parents[2] / "shared" / "data" / "formats"
HANGS, MEMORY = 5, 3000
"""Seconds of the processor of one input, and megabytes of the process, that are a fault."""
LARGEST = 2**16
"""Bytes of the inputs, and of the real files that are seeds."""


def main() -> int:
    """Fuzz targets; the exit code is 1 where one broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="names out of targets.TARGETS; default: all")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    parser.add_argument("--seconds", type=int, default=120, help="of the processor, for a slice")
    parser.add_argument("--table", action="store_true", help="what was done, and nothing else")
    parser.add_argument("--anew", action="store_true", help="what older code did does not count")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        one_alone(options.targets[0], options.only)
        return 0
    if not options.table:
        options.folder.mkdir(parents=True, exist_ok=True)
    broken = set() if options.table else _slices(options)
    print(ledger.table(ledger.sums(ledger.rows(), anew=options.anew)))
    return bool(broken)


def _slices(options: argparse.Namespace) -> set[str]:
    """Fuzz what is not done, in turns, those that had least of the processor first.

    Targets that are named get one slice each, if they are not done.
    """
    broken: set[str] = set()
    codes = {name: ledger.code_of(name) for name in options.targets or _names()}
    while True:
        done = ledger.sums(ledger.rows(), anew=options.anew)
        left = [
            n for n in codes if not ledger.is_enough(done.get(n, Counter())) and n not in broken
        ]
        for name in sorted(left, key=lambda n: done.get(n, Counter())["seconds"]):
            options.runs = ledger.ENOUGH - done.get(name, Counter())["executions"]
            executions, seconds, fault = slice_of(name, options)
            ledger.add(
                ledger.Row(name, executions, seconds, int(bool(fault)), codes[name], ledger.today())
            )
            print(
                f"{name:16} {executions:>9,} executions, {seconds:7.1f} s of the processor, "
                f"{fault or 'no fault'}",
                flush=True,
            )
            broken |= {name} if fault else set()
        if options.targets or not left:
            return broken


def _names() -> list[str]:
    """The targets whose packages are installed."""
    from importlib.util import find_spec

    return [name for name, target in _targets().TARGETS.items() if find_spec(target.needs)]


def _targets() -> ModuleType:
    """The targets, with code that tells where it was: imported once, for all slices."""
    import atheris

    with atheris.instrument_imports(include=["unnoise"]):
        from fuzz import targets
    return targets


def slice_of(name: str, options: argparse.Namespace) -> tuple[int, float, str]:
    """Fuzz a target for a while in a process of its own: executions, seconds, and the fault."""
    targets = _targets()
    log = options.folder / f"{_plain(name)}.log"
    with tempfile.TemporaryDirectory(dir=targets.in_memory(), prefix="unnoise-fuzz-") as place:
        child = os.fork()
        if child == 0:
            os.environ[targets.FOLDER] = place
            told = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            for number in (1, 2):  # atheris tells of exceptions by the first
                os.dup2(told, number)
            try:
                fuzz(name, options)
            except BaseException:
                traceback.print_exc()
            os._exit(1)  # as libFuzzer did not end it
        _, status, used = os.wait4(child, 0)
    told, code = log.read_text("utf-8", "replace"), os.waitstatus_to_exitcode(status)
    count = re.findall(r"number_of_executed_units:\s*(\d+)", told)
    kept = re.findall(r"Test unit written to (\S+)", told)
    fault = kept[-1] if kept else "" if code == 0 else f"exit code {code}"
    if "-timeout-" in fault and not _hangs(name, fault):
        fault = ""  # others kept the processor busy: libFuzzer counts a minute of the clock
    if not fault:
        log.unlink()
    return int(count[-1]) if count else 0, round(used.ru_utime + used.ru_stime, 1), fault


def _hangs(name: str, place: str) -> bool:
    """Whether an input takes too long of the processor, too."""
    command = [sys.executable, __file__, name, "--only", place]
    return subprocess.run(command, capture_output=True).returncode != 0


def one_alone(name: str, place: Path) -> None:
    """Try an input in this process, which the system ends after `HANGS` seconds of work."""
    from fuzz import targets

    target, data = targets.TARGETS[name], place.read_bytes()
    atexit.register(targets.clean)
    used = int(time.process_time()) + HANGS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used, used))
    targets.tried(data, target)


def fuzz(name: str, options: argparse.Namespace) -> None:
    """Fuzz a target in this process, which libFuzzer ends."""
    import logging
    import random
    import warnings

    import atheris

    targets = _targets()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    target, folder = targets.TARGETS[name], options.folder
    corpus, seeds = folder / "corpus" / _plain(name), folder / "seeds" / _plain(name)
    for place in (corpus, seeds):
        place.mkdir(parents=True, exist_ok=True)
    found = target.seeds() + [path.read_bytes() for path in _real(name)]
    found += [path.read_bytes() for path in HERE.glob(f"inputs/{_plain(name)}/*")]
    for i, seed in enumerate(found):
        (seeds / str(i)).write_bytes(seed)
    flags = [
        f"-runs={options.runs}",
        f"-timeout={12 * HANGS}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LARGEST}",
        f"-artifact_prefix={folder.resolve()}/{_plain(name)}-",
        "-print_final_stats=1",
        f"-seed={time.time_ns() % 2**31}",
    ]

    end = time.process_time() + options.seconds

    def one(data: bytes) -> None:
        start = time.process_time()
        try:
            targets.tried(data, target)
            now = time.process_time()
            assert now - start < HANGS, f"{now - start:.1f} s of the processor"
        except BaseException:  # after which atheris ends without keeping the input
            place = folder.resolve() / f"{_plain(name)}-crash-{hashlib.sha1(data).hexdigest()}"
            place.write_bytes(data)
            print(f"Test unit written to {place}", flush=True)
            raise
        if now > end:  # of the processor, which libFuzzer does not count
            os.kill(os.getpid(), signal.SIGUSR1)

    for seed in found:  # what is loaded at the first use counts to none of them
        targets.tried(seed, target)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        found = target.change(data, rng) if target.change and rng.random() < 0.7 else None
        return found if found and len(found) <= longest else atheris.Mutate(data, longest)

    own = {"custom_mutator": mutate} if target.change else {}
    atheris.Setup([sys.argv[0], *flags, str(corpus), str(seeds)], one, **own)
    atheris.Fuzz()


def _plain(name: str) -> str:
    return name.replace(" ", "_")


def _real(name: str) -> list[Path]:
    """Small real files of a format, where they are beside the checkout."""
    suffix = name.removeprefix("image") if name.startswith("image.") else ""
    if not suffix or not SHARED.is_dir():
        return []
    files = (p for p in sorted(SHARED.rglob(f"*{suffix}")) if p.is_file())
    return [path for path in files if path.stat().st_size <= LARGEST][:50]


if __name__ == "__main__":
    sys.exit(main())
