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
import faulthandler
import hashlib
import mmap
import os
import re
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "src")]

from fuzz import ledger  # noqa: E402

SHARED = HERE.parents[2] / "shared" / "data" / "formats"
HANGS, MEMORY = 5, 3000
"""Seconds of the processor of one input, and megabytes of the process, that are a fault."""
LARGEST = 2**16
"""Bytes of the inputs, and of the real files that are seeds."""
NO_MEMORY = 71
"""Exit code of libFuzzer for that."""
ENDS = 300
"""Processes that a library may end before a slice is over."""


class Slice(NamedTuple):
    """What was done with a target.

    Attributes
    ----------
    executions : int
    seconds : float
        Of the processor.
    faults : list of str
        Why a process ended, and the input.
    is_broken : bool
        Whether the last fault is ours, or ended the slice otherwise.
    """

    executions: int
    seconds: float
    faults: list[str]
    is_broken: bool


class Shown:
    """What a process shows its parent, however it ends: its last input, and how many there were."""

    HEAD = struct.Struct("<QQ")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.HEAD.size + LARGEST)

    def show(self, data: bytes) -> None:
        """Tell of the next input."""
        self._memory[self.HEAD.size : self.HEAD.size + len(data)] = data
        self.HEAD.pack_into(self._memory, 0, self.count + 1, len(data))

    @property
    def count(self) -> int:
        """Inputs so far."""
        return int(self.HEAD.unpack_from(self._memory)[0])

    @property
    def last(self) -> bytes:
        """The last input."""
        _, size = self.HEAD.unpack_from(self._memory)
        return self._memory[self.HEAD.size : self.HEAD.size + size]


def main() -> int:
    """Fuzz targets; the exit code is 1 where one broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="names out of targets.TARGETS; default: all")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    parser.add_argument("--seconds", type=int, default=120, help="of the processor, for a slice")
    parser.add_argument("--table", action="store_true", help="what was done, and nothing else")
    parser.add_argument("--anew", action="store_true", help="what older code did does not count")
    options = parser.parse_args()
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
            part = slice_of(name, options)
            what = name, part.executions, part.seconds, len(part.faults), codes[name]
            ledger.add(ledger.Row(*what, ledger.today()))
            print(
                f"{name:16} {part.executions:>9,} executions, {part.seconds:7.1f} s of the "
                f"processor, {len(part.faults) or 'no'} faults",
                *part.faults,
                sep="\n    ",
                flush=True,
            )
            broken |= {name} if part.is_broken else set()
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


def slice_of(name: str, options: argparse.Namespace) -> Slice:
    """Fuzz a target for a while in processes of its own, one unless a library ends them."""
    targets = _targets()
    executions, seconds, ends = 0, 0.0, []
    while executions < options.runs and seconds < options.seconds and len(ends) < ENDS:
        shown = Shown()
        with tempfile.TemporaryDirectory(dir=targets.in_memory(), prefix="unnoise-fuzz-") as place:
            child = os.fork()
            if child == 0:
                os.environ[targets.FOLDER] = place
                _child(name, options, shown, options.runs - executions, options.seconds - seconds)
            _, status, used = os.wait4(child, 0)
        executions, seconds = executions + shown.count, seconds + used.ru_utime + used.ru_stime
        if (code := os.waitstatus_to_exitcode(status)) == 0:
            break
        ends.append(f"{_reason(code)} by {_kept(name, options, shown.last)}")
        if not (targets.TARGETS[name].may_end and _is_beneath(code, _log(name, options))):
            break
    else:
        code = 0
    if not ends:
        _log(name, options).unlink(missing_ok=True)
    return Slice(executions, round(seconds, 1), ends, code != 0)


def _is_beneath(code: int, log: Path) -> bool:
    """Whether a library ended a process: no exception of ours, and no hang in our code."""
    if code == -signal.SIGPROF:
        innermost = re.search(r'most recent call first\):\s+File "(.*?)"', log.read_text("utf-8"))
        return innermost is not None and f"{os.sep}unnoise{os.sep}" not in innermost[1]
    return code < 0 or code == NO_MEMORY


def _reason(code: int) -> str:
    """Why a process ended."""
    if code == -signal.SIGPROF:
        return f"{HANGS} s of the processor"
    if code == NO_MEMORY:
        return f"{MEMORY} MB"
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name


def _kept(name: str, options: argparse.Namespace, data: bytes) -> Path:
    """An input that broke a target, as a file."""
    place: Path = options.folder / f"{_plain(name)}-fault-{hashlib.sha1(data).hexdigest()}"
    place.write_bytes(data)
    return place


def _log(name: str, options: argparse.Namespace) -> Path:
    """What the last process of a target said."""
    return Path(options.folder) / f"{_plain(name)}.log"


def _child(
    name: str, options: argparse.Namespace, shown: Shown, runs: int, seconds: float
) -> NoReturn:
    """Fuzz in this process, and end with it."""
    told = os.open(_log(name, options), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    for number in (1, 2):  # atheris tells of exceptions by the first
        os.dup2(told, number)
    try:
        fuzz(name, options.folder, shown, runs, seconds)
    except BaseException:
        traceback.print_exc()
    os._exit(1)  # as libFuzzer did not end it


def fuzz(name: str, kept: Path, shown: Shown, runs: int, seconds: float) -> None:
    """Fuzz a target in this process, which libFuzzer ends."""
    import logging
    import random
    import warnings

    import atheris

    targets = _targets()
    faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)  # says where it hangs
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    target = targets.TARGETS[name]
    corpus, seeds = kept / "corpus" / _plain(name), kept / "seeds" / _plain(name)
    for place in (corpus, seeds):
        place.mkdir(parents=True, exist_ok=True)
    found = target.seeds() + [path.read_bytes() for path in _real(name)]
    found += [path.read_bytes() for path in HERE.glob(f"inputs/{_plain(name)}/*")]
    for i, seed in enumerate(found):
        (seeds / str(i)).write_bytes(seed)
    flags = [
        f"-runs={runs}",
        "-timeout=3600",  # of the clock; the timer below counts the processor
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LARGEST}",
        f"-artifact_prefix={targets.folder()}/",
        # Else libFuzzer ends with a code of its own where a library ends the process by a signal.
        *(f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "ill", "fpe")),
        f"-seed={time.time_ns() % 2**31}",
    ]

    end = time.process_time() + seconds

    def one(data: bytes) -> None:
        shown.show(data)
        signal.setitimer(signal.ITIMER_PROF, HANGS)  # ends the process, wherever it is
        targets.tried(data, target)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.process_time() > end:  # of the processor, which libFuzzer does not count
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
